/* Extended attributes and symlink targets, versioned per branch. */
#ifndef VARVE_META_XATTR_H
#define VARVE_META_XATTR_H

#include "store/meta/branch.h"

#define XATTR_INTERNAL '\001' /* how names begin that xattr_list leaves out */
#define XATTR_SYMLINK_TARGET "\001target"
#define XATTR_ORIGIN "\001origin" /* of a root directory that a pull made: how it numbered the inodes */
#define XATTR_RECEIVED "\001received" /* of one that a receive made: as what, see store/repo/stream_id.h */

/* Copies the value into a buffer that the caller frees. -ENODATA when absent. */
int xattr_get(struct meta *m, const struct meta_view *v, uint64_t ino, const char *name, void **ret_value,
	      size_t *ret_len);
enum { XATTR_SET_CREATE = 1, XATTR_SET_REPLACE = 2 };
int xattr_set(struct meta *m, struct branch *b, uint64_t ino, const char *name, const void *value, size_t len,
	      int flags);
int xattr_delete(struct meta *m, struct branch *b, uint64_t ino, const char *name); /* -ENODATA when absent */
/* Names, each with its NUL, appended to the buffer, in name order. */
int xattr_list(struct meta *m, const struct meta_view *v, uint64_t ino, struct buf *ret);

#endif
