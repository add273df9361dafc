/* Changing extents. An own live row that no view can see is trimmed, split, replaced or deleted in place; another one
 * is closed and its remaining pieces become new rows. Of an inherited row the remaining pieces become own rows.
 * Wherever that leaves no own row at an offset where an ancestor shows one, a tombstone is put.
 *
 * Rows are gathered in batches, and changed only when the walk over the table is over. */
#include <assert.h>

#include "store/meta/extent_internal.h"

#define BATCH 32

void extent_fill(struct value *cols, const struct branch *b, uint64_t ino, const struct extent_row *r)
{
	cols[EXTENT_KEY_BRANCH] = VI(b->id);
	cols[EXTENT_KEY_INO] = VI(ino);
	cols[EXTENT_KEY_OFF] = VI(r->off);
	cols[EXTENT_KEY_UNTIL] = VI(META_LIVE);
	cols[EXTENT_SINCE] = VI(r->since);
	cols[EXTENT_COL_LEN] = VI(r->len);
	cols[EXTENT_COL_CHUNK] = VI(r->chunk);
	cols[EXTENT_COL_CHOFF] = VI(r->choff);
}

static int put(struct meta *m, struct branch *b, uint64_t ino, const struct extent_row *r)
{
	struct value cols[EXTENT_TABLE_COLS];

	assert(r->len <= (int64_t)CHUNK_LEN_MAX);
	extent_fill(cols, b, ino, r);
	cols[EXTENT_SINCE] = VI(meta_now(m));
	return row_put(m, T_EXTENT, cols);
}

static int update(struct meta *m, struct branch *b, uint64_t ino, const struct extent_row *r)
{
	struct value cols[EXTENT_TABLE_COLS];

	extent_fill(cols, b, ino, r);
	return row_update(m, T_EXTENT, cols);
}

/* Puts a row at an offset where the branch may have a tombstone. */
static int put_over_tombstone(struct meta *m, struct branch *b, uint64_t ino, const struct extent_row *r)
{
	struct version_key key = {.object = ino, .k = r->off};
	struct value old[EXTENT_TABLE_COLS], cols[EXTENT_TABLE_COLS];
	struct extent_row tombstone = {.off = r->off};
	struct version_row found;
	int err;

	if (!version_inherits(b, ino))
		return put(m, b, ino, r);
	err = version_find_own(m, SQL_EXTENT_GET, b, META_HEAD, &key, &found, NULL);
	if (err > 0)
		return put(m, b, ino, r);
	if (err || found.col[EXTENT_CHUNK])
		return err ? err : -ECORRUPT;
	tombstone.since = found.since;
	extent_fill(old, b, ino, &tombstone);
	extent_fill(cols, b, ino, r);
	return version_store(m, b, T_EXTENT, cols, old);
}

/* The row's beginning goes: deletes it, hides what is behind it, or leaves it to be replaced. */
static int vacate(struct meta *m, struct branch *b, uint64_t ino, const struct extent_row *r, bool in_place,
		  bool reused)
{
	struct extent_row tombstone = {.off = r->off, .since = r->since};
	struct value cols[EXTENT_TABLE_COLS];
	bool hide = !r->own || r->hides;

	if (reused || (!in_place && !hide))
		return 0;
	if (in_place && hide)
		return update(m, b, ino, &tombstone);
	if (hide)
		return put(m, b, ino, &tombstone);
	extent_fill(cols, b, ino, r);
	return row_delete(m, T_EXTENT, cols);
}

int extent_cut(struct meta *m, struct branch *b, struct inode *inode, const struct extent_row *r, int64_t lo,
	       int64_t hi, bool reused)
{
	bool in_place = r->own && version_in_place(b, r->since);
	struct extent_row left = *r, right = *r;
	int64_t refs = 0;
	int err = 0;

	left.len = lo > r->off ? lo - r->off : 0;
	right.off = hi;
	right.len = r->off + r->len > hi ? r->off + r->len - hi : 0;
	if (r->own && !in_place) {
		struct value cols[EXTENT_TABLE_COLS];

		extent_fill(cols, b, inode->ino, r);
		err = version_close(m, T_EXTENT, cols);
	}
	if (!err && left.len > 0)
		err = in_place ? update(m, b, inode->ino, &left) : put(m, b, inode->ino, &left);
	else if (!err)
		err = vacate(m, b, inode->ino, r, in_place, reused);
	if (!err && right.len > 0) {
		right.choff += (uint32_t)(hi - r->off);
		err = put_over_tombstone(m, b, inode->ino, &right);
	}
	if (err)
		return err;
	inode->alloc -= r->len - left.len - right.len;
	refs = (left.len > 0) + (right.len > 0) - in_place;
	return refs ? row_chunk_ref(m, r->chunk, refs) : 0;
}

/* The pieces that a write has yet to put. */
struct writer {
	struct meta *m;
	struct branch *b;
	struct inode *inode;
	const struct extent *next, *end;
};

/* Puts one piece, in the place of `old` when that is an own row that may change. */
static int put_piece(struct writer *w, const struct extent *p, const struct extent_row *old)
{
	struct extent_row r = {.off = p->off, .len = p->len, .chunk = p->chunk, .choff = p->choff};
	int err;

	if (old && old->own && version_in_place(w->b, old->since)) {
		r.since = old->since;
		err = update(w->m, w->b, w->inode->ino, &r);
	} else {
		err = put(w->m, w->b, w->inode->ino, &r);
	}
	if (err)
		return err;
	w->inode->alloc += p->len;
	return row_chunk_ref(w->m, p->chunk, 1);
}

/* Puts the pieces that begin before `off`; holes need no row. */
static int put_before(struct writer *w, int64_t off)
{
	for (; w->next < w->end && w->next->off < off; w->next++) {
		int err = w->next->chunk ? put_piece(w, w->next, NULL) : 0;

		if (err)
			return err;
	}
	return 0;
}

/* Makes room in the place of one row, and puts the piece that begins where it begins. */
static int replace_row(struct writer *w, const struct extent_row *r, int64_t lo, int64_t hi)
{
	bool reused;
	int err = put_before(w, r->off);

	if (err)
		return err;
	reused = w->next < w->end && w->next->off == r->off && w->next->chunk != 0;
	if (r->chunk) {
		err = extent_cut(w->m, w->b, w->inode, r, lo, hi, reused);
	} else if (reused && !version_in_place(w->b, r->since)) {
		struct value cols[EXTENT_TABLE_COLS];

		extent_fill(cols, w->b, w->inode->ino, r);
		err = version_close(w->m, T_EXTENT, cols);
	}
	if (err || !reused)
		return err;
	return put_piece(w, w->next++, r);
}

static void check_pieces(int64_t off, int64_t len, const struct extent *pieces, size_t n)
{
	int64_t at = off;

	for (size_t i = 0; i < n; i++) {
		assert(pieces[i].off == at);
		assert(pieces[i].len > 0);
		at += pieces[i].len;
	}
	assert(at == off + len);
}

int extent_write(struct meta *m, struct branch *b, struct inode *inode, int64_t off, int64_t len,
		 const struct extent *pieces, size_t n)
{
	struct meta_view head = {b, META_HEAD};
	struct writer w = {m, b, inode, pieces, pieces + n};
	struct extent_row rows[BATCH];
	int64_t end = off + len, after = -1;
	size_t count;
	int err;

	check_pieces(off, len, pieces, n);
	do {
		err = extent_rows(m, &head, inode, off, end, after, true, rows, BATCH, &count);
		for (size_t i = 0; !err && i < count; i++)
			err = replace_row(&w, &rows[i], off, end);
		if (!err && count > 0)
			after = rows[count - 1].off;
	} while (!err && count == BATCH);
	return err ? err : put_before(&w, end);
}

int extent_punch(struct meta *m, struct branch *b, struct inode *inode, int64_t off, int64_t end, unsigned max_rows,
		 int64_t *ret_next)
{
	struct meta_view head = {b, META_HEAD};
	struct extent_row rows[BATCH];
	int64_t after = -1;
	size_t count, max;
	int err;

	assert(max_rows > 0);
	do {
		max = max_rows < BATCH ? max_rows : BATCH;
		err = extent_rows(m, &head, inode, off, end, after, false, rows, max, &count);
		for (size_t i = 0; !err && i < count; i++)
			err = extent_cut(m, b, inode, &rows[i], off, end, false);
		if (err)
			return err;
		if (count > 0)
			after = rows[count - 1].off;
		max_rows -= (unsigned)count;
	} while (count == max && max_rows > 0);
	if (count < max || after + rows[count - 1].len > end)
		*ret_next = end;
	else
		*ret_next = after + rows[count - 1].len;
	return 0;
}
