/* Which inodes changed on one branch between two epochs, from the (branch, until, since) indexes: the cost follows the change. */
#ifndef VARVE_META_HISTORY_H
#define VARVE_META_HISTORY_H

#include "store/meta/branch.h"

enum history_what { HISTORY_INODE = 1, HISTORY_EXTENT = 2, HISTORY_XATTR = 4, HISTORY_DIRENT = 8 };

/* Calls fn with the ino of each row that began or ended in (from, to]; an ino may come more than once. `to` may be META_HEAD. A non-zero
 * return of fn ends it. fn must not use the database. */
int history_changed(struct meta *m, int64_t branch, int64_t from, int64_t to, int (*fn)(void *arg, uint64_t ino, unsigned what),
		    void *arg);

/* The same of directory entries (HISTORY_DIRENT: ino is the directory's, k the hash) or extents (HISTORY_EXTENT: k is the offset), row by
 * row; a row may come more than once. `name` is valid during the call. */
int history_rows(struct meta *m, enum history_what what, int64_t branch, int64_t from, int64_t to,
		 int (*fn)(void *arg, uint64_t ino, int64_t k, const void *name, size_t name_len), void *arg);

#endif
