/* Operations on names. An operation returns false when it found nothing to do. */
#ifndef VARVE_MODEL_NAMESPACE_H
#define VARVE_MODEL_NAMESPACE_H

#include "tests/model/run.h"

bool namespace_create(struct run *r);
bool namespace_unlink(struct run *r);
bool namespace_rmdir(struct run *r);
bool namespace_rename(struct run *r);
bool namespace_link(struct run *r);
/* Look-ups, present and absent, and refused names. */
bool namespace_lookup(struct run *r);

/* One inode of any kind in a directory that may be orphaned and under a name that may be taken. */
void namespace_create_at(struct run *r, int vi, uint64_t dir, unsigned name, uint32_t type);
/* Renames within a directory, over what may be there. */
void namespace_rename_at(struct run *r, int vi, uint64_t dir, unsigned name, unsigned new_name);
/* Takes the entry away, by unlink or rmdir as its type wants. */
void namespace_remove_at(struct run *r, int vi, uint64_t dir, unsigned name);

#endif
