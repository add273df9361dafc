/* Comparing views of the store with the model's. Any difference fails the run. */
#ifndef VARVE_MODEL_COMPARE_H
#define VARVE_MODEL_COMPARE_H

#include "tests/model/run.h"

enum { COMPARE_DATA = 1, COMPARE_XATTRS = 2, COMPARE_ALL = 3 };

/* One live volume: every directory, entry, attribute. */
void compare_volume(struct run *r, int vi, unsigned what);
/* One snapshot, through VOLUME/.snapshots/NAME. */
void compare_snapshot(struct run *r, int vi, size_t si, unsigned what);
/* Unlinked inodes of a live volume, which known nodes still lead to. */
void compare_orphans(struct run *r, int vi);
/* What a rollback replaced: its nodes read what they did, and refuse changes. */
void compare_old_head(struct run *r, const struct old_head *h);
/* All of it, with contents. */
void compare_everything(struct run *r);

/* Operations: one view picked at random; changes where nothing may change. */
bool compare_some(struct run *r);
bool compare_refusals(struct run *r);

#endif
