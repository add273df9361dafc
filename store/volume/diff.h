/* What changed between two views, from their versions: the cost follows the change, not the volume. */
#ifndef VARVE_VOLUME_DIFF_H
#define VARVE_VOLUME_DIFF_H

#include "store/volume/snapshot.h"

enum diff_kind { DIFF_ADDED = '+', DIFF_REMOVED = '-', DIFF_MODIFIED = 'M', DIFF_RENAMED = 'R' };
enum { DIFF_CONTENT = 1, DIFF_ATTR = 2, DIFF_XATTR = 4 };
struct diff_entry {
	enum diff_kind kind;
	unsigned what;        /* of DIFF_MODIFIED */
	uint64_t ino;
	uint32_t mode;
	const char *path;     /* from the volume's root, "/a/b" */
	const char *new_path; /* of DIFF_RENAMED */
};
/* b == "" means the live state; the two may be of different volumes with a common ancestor. Sorted by path. -EXDEV when they have no
 * common history. A non-zero return of fn ends it and is returned. */
int diff_views(struct store *s, const char *volume_a, const char *snap_a, const char *volume_b, const char *snap_b,
	       int (*fn)(void *arg, const struct diff_entry *e), void *arg, struct err *err);

#endif
