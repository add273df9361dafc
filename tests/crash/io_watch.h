/* Watches the durable I/O of a store through the hook of store/base/io.h, and says of each change which file or folder it is for. */
#ifndef VARVE_CRASH_IO_WATCH_H
#define VARVE_CRASH_IO_WATCH_H

#include <sys/types.h>

#include "store/base/io.h"
#include "tests/crash/tree.h"

/* Beyond enum io_op: a sync has returned. */
enum { DISK_SYNCED = IO_OP_COUNT };

/* A change, or a sync of one file or folder. Of enum io_op: IO_WRITE IO_TRUNCATE IO_PUNCH IO_SYNC with `file`; IO_OPEN (the creation of
 * `file`) IO_MKDIR IO_UNLINK with `file`, `dir` and `name`; IO_RENAME with `to` as well. */
struct disk_event {
	int op;
	int file, dir;
	int thread; /* who: a sync's begin and end have the same */
	char name[TREE_NAME_LEN], to[TREE_NAME_LEN];
	off_t off; /* a truncation's new size */
	size_t len;
	const void *data;
};

struct io_watch;

/* Called before the change is made, and after a sync; one at a time. A non-zero return (-errno) is what the store gets instead; a
 * creation that is only opening what is there is not shown. */
typedef int (*io_watch_fn)(void *arg, const struct disk_event *ev);

/* Takes the hook and the witness, so that no store may be open. `fn` has to keep the tree up to date, by tree_follow or otherwise. */
struct io_watch *io_watch_new(struct tree *tree, io_watch_fn fn, void *arg);
/* Carries out in the tree what an event does to names. */
void tree_follow(struct tree *t, const struct disk_event *ev);
void io_watch_free(struct io_watch *w);

#endif
