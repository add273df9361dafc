/* The workload: one step is one operation of the engine. A step that failed can be done again. */
#ifndef VARVE_TESTS_FAULT_WORK_H
#define VARVE_TESTS_FAULT_WORK_H

#include "store/base/buf.h"
#include "store/volume/store.h"
#include "tests/lib/scratch.h"

struct work {
	char dir[SCRATCH_LEN + 16];
	struct store *s; /* NULL while closed */
};

enum step_sync { SYNC_NOTHING, SYNC_RECORDS, SYNC_ALL };
struct step {
	const char *name;
	int (*fn)(struct work *w);
	int done;            /* -errno that doing it again gives when it had been done after all; 0: none */
	enum step_sync sync; /* what is durable once it has returned 0: all records (and the data of `file`), or everything */
	const char *file;    /* "VOLUME:/PATH" */
};
extern const struct step work_steps[];
extern const unsigned work_steps_n;

/* Opens the store of w->dir as it is. The ring is that of a daemon that died, or -1. */
int work_open(struct work *w, int ring_fd);

/* All that volumes and snapshots show, a line for each file, sorted: "VOLUME[@SNAPSHOT]:/PATH …". Aborts on an error. */
void work_manifest(struct work *w, struct buf *ret);
/* Finds nothing wrong in the store and its contents; else says what, and returns how many findings there were. */
unsigned long work_check(struct work *w);

#endif
