/* Shared by the files that implement extent_map.h. */
#ifndef VARVE_META_EXTENT_INTERNAL_H
#define VARVE_META_EXTENT_INTERNAL_H

#include "store/meta/extent_map.h"
#include "store/meta/version.h"

enum { EXTENT_CHUNK, EXTENT_LEN, EXTENT_CHOFF }; /* columns of a version_row */

/* A row of the merged levels, as the code that changes them needs it. */
struct extent_row {
	int64_t off, len; /* a tombstone: len 0, chunk 0 */
	uint64_t chunk;
	uint32_t choff;
	int64_t since;
	bool own;   /* of the branch itself */
	bool hides; /* without it, a row of a farther level would show at this offset */
};

/* A walk over the levels of a file, each with the limit that the `inherit` of the nearer levels sets it. Rows below
 * `from` do not matter. */
int extent_walk_begin(struct version_walk *w, struct meta *m, const struct meta_view *v, const struct inode *inode,
		      int64_t from);
void extent_row_take(const struct version_row *r, const struct meta_view *v, bool hides, struct extent_row *ret);
/* The row of one level with the highest offset in [low, below), a tombstone too; >0 when there is none. */
int extent_last_of_level(struct version_walk *w, unsigned level, int64_t low, int64_t below, struct version_row *ret);
/* Rows of the view that overlap [off, end) and begin after `after`, in order. Tombstones (of the branch itself) on
 * request. */
int extent_rows(struct meta *m, const struct meta_view *v, const struct inode *inode, int64_t off, int64_t end,
		int64_t after, bool tombstones, struct extent_row *ret, size_t max, size_t *ret_n);

/* Fills the columns of a live row, with since for now. */
enum {
	EXTENT_KEY_BRANCH,
	EXTENT_KEY_INO,
	EXTENT_KEY_OFF,
	EXTENT_KEY_UNTIL,
	EXTENT_SINCE,
	EXTENT_COL_LEN,
	EXTENT_COL_CHUNK,
	EXTENT_COL_CHOFF,
	EXTENT_TABLE_COLS
};
void extent_fill(struct value *cols, const struct branch *b, uint64_t ino, const struct extent_row *r);
/* Takes [lo, hi) out of a row that overlaps it, leaving its pieces on both sides and what must hide inherited rows.
 * `reused`: a new row takes the place of a row that begins in the range; the own row there, if it may change, is left
 * to be replaced, its reference dropped. Changes inode->alloc. */
int extent_cut(struct meta *m, struct branch *b, struct inode *inode, const struct extent_row *r, int64_t lo,
	       int64_t hi, bool reused);

#endif
