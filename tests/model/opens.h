/* Opens, and what outlives its name. */
#ifndef VARVE_MODEL_OPENS_H
#define VARVE_MODEL_OPENS_H

#include "tests/model/run.h"

bool opens_open(struct run *r);
bool opens_release(struct run *r);
bool opens_forget(struct run *r);    /* an unlinked inode goes for good; a linked one does not care */
bool opens_old_heads(struct run *r); /* nodes of before a rollback */

/* Opens of a volume that is gone. */
void opens_drop_volume(struct run *r, int64_t volume);
void opens_drop_all(struct run *r);
/* Heads kept by a snapshot that is gone ("" : of the whole volume). */
void opens_drop_heads(struct run *r, int64_t volume, const char *saved);

#endif
