/* Which volumes a container engine has mounted, and under which ids: its own record, kept in the store's folder,
 * since an engine that outlives the daemon never says it again. A count is a hint: engines that were killed never
 * unmount, and mount again under the same id. None survives a start of the machine, since no mount does. Any thread. */
#ifndef VARVE_FS_USES_H
#define VARVE_FS_USES_H

#include <stddef.h>
#include <stdint.h>

#include "store/base/err.h"

#define USE_ID_MAX 128
#define USES_MAX 100000

struct uses;
struct use {
	int64_t volume;
	char id[USE_ID_MAX + 1];
	unsigned count;
};

/* Reads the record in `store_dir`. One that cannot be read is set aside and said in the log: it begins empty then. */
int uses_open(const char *store_dir, struct uses **ret, struct err *err);
void uses_free(struct uses *u);
/* One more use of the volume under the id; durable on return. When it cannot be written it is kept in memory and said
 * in the log: that is no reason to keep a container from starting. -EINVAL for an id that is none, -ENOSPC for too
 * many. */
int uses_add(struct uses *u, int64_t volume, const char *id);
/* One less; -ENOENT when there is none. */
int uses_drop(struct uses *u, int64_t volume, const char *id);
/* The volume is gone. */
void uses_forget(struct uses *u, int64_t volume);
/* The volume's uses (0: all); caller frees. */
int uses_list(struct uses *u, int64_t volume, struct use **ret, size_t *ret_n);
/* How many there are, counts added up. */
unsigned uses_count(struct uses *u, int64_t volume);

#endif
