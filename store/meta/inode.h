/* Inodes, versioned per branch. */
#ifndef VARVE_META_INODE_H
#define VARVE_META_INODE_H

#include "store/meta/branch.h"

#define INHERIT_ALL INT64_MAX

struct inode {
	uint64_t ino;
	uint32_t mode; /* type and permissions */
	uint32_t uid, gid;
	uint32_t nlink;
	uint64_t rdev;
	int64_t size;   /* bytes; of a symlink its target's length; of a directory its number of entries */
	int64_t alloc;  /* bytes of extents (before deduplication), for st_blocks */
	int64_t atime, mtime, ctime, btime; /* ns since 1970 */
	int64_t inherit; /* inherited extents at or beyond this offset are hidden */
	uint64_t parent; /* of a directory: its parent directory's ino (its own for a volume's root); else 0 */
	uint32_t flags;  /* INODE_* */
	/* Where the row was found, filled by inode_get and used by inode_put; zero for a new inode. */
	int64_t row_branch, row_since;
};
enum { INODE_HAS_XATTR = 1, INODE_HAS_CAPS = 2 /* security.capability is set */ };

/* -ENOENT when the view does not show it. */
int inode_get(struct meta *m, const struct meta_view *v, uint64_t ino, struct inode *ret);
/* Writes the live row: in place when no view can see the present one, else as a new version; updates row_branch and
 * row_since. The struct must come from inode_get on the same head in this operation, or be new (row_branch 0). */
int inode_put(struct meta *m, struct branch *b, struct inode *inode);
/* Removes the live row (a tombstone if an ancestor shows it). Its extents and xattrs are the caller's to remove:
 * extent_purge. */
int inode_delete(struct meta *m, struct branch *b, const struct inode *inode);

/* Walks a view's inodes in ino order, at most `max` per call: *ret_n < max means the end. The next call begins after
 * the last ino. */
int inode_scan(struct meta *m, const struct meta_view *v, uint64_t after_ino, struct inode *ret, size_t max,
	       size_t *ret_n);

/* Symlink targets live in a versioned row of their own (xattr table, name "\001target"). */

/* Orphans: inodes with nlink 0, which stay while they may be open, and in what was snapshotted or cloned meanwhile. The
 * view's first one after *ino; >0 at the end. Costs what the history of the view's branches has of them. */
int orphan_next(struct meta *m, const struct meta_view *v, uint64_t *ino);

/* Dead inodes: deleted ones whose extents and xattrs are still to be removed in slices, recorded by extent_purge. */

#endif
