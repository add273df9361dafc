/* Which inodes changed on one branch between two epochs, from the (branch, until, since) indexes: the cost follows the change. */
#ifndef VARVE_META_HISTORY_H
#define VARVE_META_HISTORY_H

#include "store/meta/branch.h"

enum history_what { HISTORY_INODE = 1, HISTORY_EXTENT = 2, HISTORY_XATTR = 4 };

/* Calls fn with the ino of each row that began or ended in (from, to]; an ino may come more than once. `to` may be META_HEAD. A non-zero
 * return of fn ends it. fn must not use the database. */
int history_changed(struct meta *m, int64_t branch, int64_t from, int64_t to, int (*fn)(void *arg, uint64_t ino, unsigned what),
		    void *arg);

#endif
