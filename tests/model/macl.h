/* POSIX ACLs in the kernel's xattr format, as the model understands them. */
#ifndef VARVE_MODEL_MACL_H
#define VARVE_MODEL_MACL_H

#include "tests/model/mtree.h"
#include "tests/model/rng.h"

#define MACL_ENTRIES_MAX 6

struct macl_entry {
	uint16_t tag, perm;
	uint32_t id;
};

struct macl {
	unsigned n;
	struct macl_entry v[MACL_ENTRIES_MAX]; /* in canonical order */
};

/* A valid list: three entries, or more with a mask. */
void macl_random(struct rng *rng, struct macl *ret);
#define MACL_BYTES_MAX (4 + 8 * MACL_ENTRIES_MAX)
size_t macl_encode(const struct macl *acl, uint8_t buf[MACL_BYTES_MAX]);
/* Sets the inode's access list: permissions follow, and a list that says no more than they do is not kept. */
void macl_set_access(struct minode *m, const struct macl *acl);
/* After a change of mode: the access list, if there is one, follows. */
void macl_follow_mode(struct minode *m);
/* Permissions and lists of a new inode. */
void macl_inherit(struct minode *m, const struct minode *dir, uint32_t umask);

#endif
