/* Background work done to its end, now: everything that is dead given back to the host filesystem. */
#ifndef VARVE_MAINT_GC_H
#define VARVE_MAINT_GC_H

#include "store/volume/store.h"

struct gc_result {
	uint64_t freed_bytes; /* of the host filesystem, given back by packs */
	uint64_t moved_bytes; /* of live chunks, written elsewhere for that: freed_bytes counts their old places too */
	uint64_t rows;        /* of the database, removed */
};
struct gc_watch {
	void *arg;
	void (*progress)(void *arg, double part); /* 0 to 1; may be NULL */
	bool (*cancelled)(void *arg);             /* asked after every slice; may be NULL */
};

/* Commits, removes rows, collects, compacts and punches until nothing is left of what there was to do. Beside the store's own background
 * work, if it has any. -ECANCELED when cancelled: what was done until then is done. */
int gc_run(struct store *s, const struct gc_watch *watch, struct gc_result *ret, struct err *err);

#endif
