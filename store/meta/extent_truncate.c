/* Truncation, from the back. Own rows go one by one; inherited ones are hidden by lowering the inode's `inherit` to the
 * offset reached, so that between two slices the file is what it was up to there and a hole behind it, `alloc`
 * included. */
#include <limits.h>

#include "store/base/cleanup.h"
#include "store/meta/extent_internal.h"

#define HEAD_BATCH 64

/* The last row of each level that is still to be looked at. */
struct back {
	struct version_walk w;
	const struct meta_view *view;
	struct version_row *last; /* one for each level */
	bool *has;
	int64_t low;
};

static int refill(struct back *b, unsigned level, int64_t below)
{
	int err = extent_last_of_level(&b->w, level, b->low, below, &b->last[level]);

	if (err < 0)
		return err;
	b->has[level] = err == 0;
	return 0;
}

static int back_begin(struct back *b, struct meta *m, const struct meta_view *v, const struct inode *inode,
		      int64_t size)
{
	int err = extent_walk_begin(&b->w, m, v, inode, size);

	if (err)
		return err;
	b->view = v;
	b->low = size > (int64_t)CHUNK_LEN_MAX ? size - (int64_t)CHUNK_LEN_MAX : 0;
	b->last = calloc(b->w.n, sizeof *b->last);
	b->has = calloc(b->w.n, sizeof *b->has);
	if (!b->last || !b->has)
		return -ENOMEM;
	for (unsigned i = 0; !err && i < b->w.n; i++)
		err = refill(b, i, INT64_MAX);
	return err;
}

static void back_end(struct back *b)
{
	version_walk_end(&b->w);
	free(b->last);
	free(b->has);
}

/* The merged row with the highest offset; >0 when there is none. */
static int back_row(struct back *b, struct extent_row *ret)
{
	unsigned best = b->w.n;
	bool hides = false;

	for (unsigned i = 0; i < b->w.n; i++)
		if (b->has[i] && (best == b->w.n || b->last[i].k > b->last[best].k))
			best = i;
	if (best == b->w.n)
		return 1;
	for (unsigned i = best + 1; i < b->w.n; i++)
		if (b->has[i] && b->last[i].k == b->last[best].k) {
			hides = b->last[i].col[EXTENT_CHUNK] != 0;
			break;
		}
	extent_row_take(&b->last[best], b->view, hides, ret);
	return 0;
}

/* Goes on to the row before. */
static int back_step(struct back *b, int64_t off)
{
	for (unsigned i = 0; i < b->w.n; i++) {
		int err = b->has[i] && b->last[i].k == off ? refill(b, i, off) : 0;

		if (err)
			return err;
	}
	return 0;
}

static int remove_own(struct meta *m, struct branch *b, struct inode *inode, const struct extent_row *r)
{
	struct value cols[EXTENT_TABLE_COLS];
	bool in_place = version_in_place(b, r->since);
	int err;

	extent_fill(cols, b, inode->ino, r);
	err = version_remove(m, b, T_EXTENT, cols);
	return !err && in_place && r->chunk ? row_chunk_ref(m, r->chunk, -1) : err;
}

static int truncate_slice(struct back *back, struct branch *b, struct inode *inode, int64_t size, unsigned max_rows,
			  bool *ret_done)
{
	struct meta *m = back->w.m;
	bool inherits = version_inherits(b, inode->ino);
	struct extent_row r;
	int err;

	while ((err = back_row(back, &r)) == 0 && r.off >= size) {
		if (max_rows-- == 0) {
			*ret_done = false;
			return 0;
		}
		if (r.own)
			err = remove_own(m, b, inode, &r);
		if (err)
			return err;
		inode->alloc -= r.len;
		if (inherits && r.off < inode->inherit)
			inode->inherit = r.off;
		err = back_step(back, r.off);
		if (err)
			return err;
	}
	/* What is left begins before `size`; only the last data row of it can reach beyond. */
	while (!err && !r.chunk) {
		err = back_step(back, r.off);
		if (!err)
			err = back_row(back, &r);
	}
	if (!err && r.off + r.len > size)
		err = extent_cut(m, b, inode, &r, size, INT64_MAX, false);
	if (err < 0)
		return err;
	if (inherits && size < inode->inherit)
		inode->inherit = size;
	if (size == 0)
		inode->alloc = 0;
	*ret_done = true;
	return 0;
}

int extent_truncate(struct meta *m, struct branch *b, struct inode *inode, int64_t size, unsigned max_rows,
		    bool *ret_done)
{
	struct meta_view head = {b, META_HEAD};
	struct back back = {0};
	int err;

	/* All that is inherited goes at once, uncounted: `alloc` is 0 in the end whatever it was. */
	if (size == 0 && version_inherits(b, inode->ino))
		inode->inherit = 0;
	err = back_begin(&back, m, &head, inode, size);
	if (!err)
		err = truncate_slice(&back, b, inode, size, max_rows, ret_done);
	back_end(&back);
	return err;
}

/* The offset of the max_rows-th row from the back, of the first `levels` levels; or `size` when fewer are at or after it. */
static int nth_last(struct back *back, int64_t size, unsigned max_rows, unsigned levels, int64_t *ret_off)
{
	struct extent_row r;
	int64_t off = size;
	int err = 0;

	if (levels < back->w.n)
		back->w.n = levels;
	for (unsigned n = 0; !err && (err = back_row(back, &r)) == 0 && r.off >= size; n++) {
		if (n == max_rows) {
			*ret_off = off;
			return 0;
		}
		off = r.off;
		err = back_step(back, r.off);
	}
	*ret_off = size;
	return err < 0 ? err : 0;
}

static int tail(struct meta *m, struct branch *b, const struct inode *inode, int64_t size, unsigned max_rows, unsigned levels,
		int64_t *ret_off)
{
	struct meta_view head = {b, META_HEAD};
	struct back back = {0};
	int err = back_begin(&back, m, &head, inode, size);

	if (!err)
		err = nth_last(&back, size, max_rows, levels, ret_off);
	back_end(&back);
	return err;
}

int extent_tail(struct meta *m, struct branch *b, const struct inode *inode, int64_t size, unsigned max_rows, int64_t *ret_off)
{
	int64_t own = size + 1;
	int err = 0;

	if (size == 0 && version_inherits(b, inode->ino))
		err = tail(m, b, inode, size, max_rows, 1, &own);
	if (err || own == size) {
		*ret_off = size;
		return err;
	}
	return tail(m, b, inode, size, max_rows, UINT_MAX, ret_off);
}

int extent_head(struct meta *m, struct branch *b, const struct inode *inode, int64_t off, int64_t end, unsigned max_rows,
		int64_t *ret_end)
{
	struct meta_view head = {b, META_HEAD};
	struct extent rows[HEAD_BATCH];
	size_t n = HEAD_BATCH;

	for (unsigned left = max_rows; n == HEAD_BATCH && off < end; left -= HEAD_BATCH) {
		int err = extent_scan(m, &head, inode, off, end, rows, HEAD_BATCH, &n);

		if (err)
			return err;
		if (n == HEAD_BATCH)
			off = rows[n - 1].off + rows[n - 1].len;
		if (left <= HEAD_BATCH)
			break;
	}
	*ret_end = n == HEAD_BATCH && off < end ? off : end;
	return 0;
}
