/* Operations on attributes and extended attributes. */
#ifndef VARVE_MODEL_ATTRIBUTE_H
#define VARVE_MODEL_ATTRIBUTE_H

#include "tests/model/run.h"

bool attribute_set(struct run *r);
bool attribute_truncate(struct run *r);
bool attribute_xattr_set(struct run *r);
bool attribute_xattr_remove(struct run *r);
bool attribute_acl_set(struct run *r);

/* What a write by somebody without the right to keep them takes away: suid, sgid of a group-executable file, capabilities. */
void attribute_kill_priv(struct minode *m);
/* Compares every extended attribute of a node with the model. */
void attribute_compare_xattrs(struct run *r, uint64_t node, const struct minode *m);

#endif
