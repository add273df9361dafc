/* Directory entries, versioned per branch, ordered by a 62-bit keyed hash of the name, which is also the readdir cookie
 * (>= 16; smaller cookies are the caller's). Entries with one hash are always returned together. */
#ifndef VARVE_META_DIRENT_H
#define VARVE_META_DIRENT_H

#include "store/base/limits.h"
#include "store/meta/branch.h"

struct dirent_row {
	uint64_t parent;
	int64_t hash;
	uint64_t ino;
	uint8_t type; /* DT_* */
	uint8_t name_len;
	char name[NAME_LEN_MAX + 1]; /* any bytes but '/' and NUL; NUL added */
	int64_t row_branch, row_since;
};

int64_t dirent_hash(const struct meta *m, const char *name, size_t len);
/* -ENOENT when the view does not show it. */
int dirent_get(struct meta *m, const struct meta_view *v, uint64_t parent, const char *name, size_t len,
	       struct dirent_row *ret);
/* Adds an entry the caller knows to be absent (dirent_get said -ENOENT in this operation), or changes ino and type of
 * one it got. */
int dirent_put(struct meta *m, struct branch *b, struct dirent_row *row);
int dirent_delete(struct meta *m, struct branch *b, const struct dirent_row *row);
/* Entries with hash > after, in hash order, up to max; all of one hash or none (max is at least 8). *ret_n == 0 at the
 * end. */
int dirent_scan(struct meta *m, const struct meta_view *v, uint64_t parent, int64_t after, struct dirent_row *ret,
		size_t max, size_t *ret_n);
/* The entries that name an inode (any parent), up to max; for paths. Both live and historical views. */
int dirent_by_ino(struct meta *m, const struct meta_view *v, uint64_t ino, struct dirent_row *ret, size_t max,
		  size_t *ret_n);

#endif
