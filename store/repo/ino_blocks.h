/* How a pull numbers inodes: blocks of the manifest's numbers, each moved by a distance of its own to numbers that the
 * store has reserved. They are kept with the root directory (XATTR_ORIGIN), so that a later pull of the same history
 * goes on with them. Under the store lock. */
#ifndef VARVE_REPO_INO_BLOCKS_H
#define VARVE_REPO_INO_BLOCKS_H

#include "store/meta/branch.h"

/* Numbers [first, first + n) of the manifest are the store's from `local` on. */
struct ino_block {
	uint64_t first, n, local;
};
struct ino_blocks {
	uint64_t root_remote, root_local; /* the root directory's, which lies in no block */
	struct ino_block *v;              /* in order of `first`; the owner frees it */
	size_t n, cap;
};

/* -ECORRUPT for a number that no block has. */
int ino_blocks_map(const struct ino_blocks *b, uint64_t remote, uint64_t *ret);
/* Those of the view that the pull begins from. */
int ino_blocks_load(struct ino_blocks *b, struct meta *m, const struct meta_view *v);
/* Where manifest and store have the same numbers. */
int ino_blocks_identity(struct ino_blocks *ret, uint64_t last_ino);
/* From another store's blocks, as it keeps them: its numbers to those that it had them from. -ECORRUPT when they make no
 * sense. Needs no lock. */
int ino_blocks_invert(struct ino_blocks *ret, const void *data, size_t len);
/* -ECORRUPT when they lead to numbers that the store has given to nothing yet. */
int ino_blocks_check(const struct ino_blocks *b, const struct meta *m);
int ino_blocks_store(const struct ino_blocks *b, struct meta *m, struct branch *branch);
/* Reserves numbers for those up to last_ino that no block has. -EFBIG. */
int ino_blocks_extend(struct ino_blocks *b, struct meta *m, uint64_t last_ino);

#endif
