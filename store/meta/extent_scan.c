/* Reading extents. No extent is longer than CHUNK_LEN_MAX, and data rows of one level never overlap, so that of each
 * level only the last data row at or before an offset can cover it: the walk begins there. */
#include <assert.h>

#include "store/meta/extent_internal.h"

#define INODE_COL_INHERIT 11

/* What the inode row of a farther level, if it has one, leaves of the levels behind it. */
static int level_inherit(struct meta *m, const struct version_level *l, uint64_t ino, int64_t *ret)
{
	struct version_key key = {.object = ino};
	struct version_row row;
	int err = version_find_own(m, SQL_INODE_GET, l->branch, l->epoch, &key, &row, NULL);

	if (err < 0)
		return err;
	*ret = err ? INHERIT_ALL : row.col[INODE_COL_INHERIT];
	return 0;
}

int extent_walk_begin(struct version_walk *w, struct meta *m, const struct meta_view *v, const struct inode *inode,
		      int64_t from)
{
	int64_t limit = INT64_MAX;
	int err = version_walk_begin(w, m, SQL_EXTENT_WALK, v, inode->ino);

	for (unsigned i = 0; !err && i < w->n; i++) {
		int64_t inherit = inode->inherit;

		w->levels[i].limit = limit;
		if (i + 1 == w->n)
			break;
		if (i > 0)
			err = level_inherit(m, &w->levels[i], inode->ino, &inherit);
		if (inherit < limit)
			limit = inherit;
		if (limit <= 0 || limit <= from - (int64_t)CHUNK_LEN_MAX)
			w->n = i + 1;
	}
	return err;
}

void extent_row_take(const struct version_row *r, const struct meta_view *v, bool hides, struct extent_row *ret)
{
	*ret = (struct extent_row){
		.off = r->k,
		.len = r->col[EXTENT_LEN],
		.chunk = (uint64_t)r->col[EXTENT_CHUNK],
		.choff = (uint32_t)r->col[EXTENT_CHOFF],
		.since = r->since,
		.own = r->branch == v->branch->id,
		.hides = hides,
	};
}

static int back_from(struct version_walk *w, const struct version_level *l, int64_t low, int64_t below,
		     sqlite3_stmt **ret)
{
	int err = sql_stmt(w->m, SQL_EXTENT_BACK, ret);

	if (err)
		return err;
	(void)sqlite3_bind_int64(*ret, 1, l->branch->id);
	(void)sqlite3_bind_int64(*ret, 2, (int64_t)w->object);
	(void)sqlite3_bind_int64(*ret, 3, below < l->limit ? below : l->limit);
	(void)sqlite3_bind_int64(*ret, 4, low);
	return 0;
}

static int last_of_level(struct version_walk *w, unsigned level, int64_t low, int64_t below, bool data_only,
			 struct version_row *ret)
{
	const struct version_level *l = &w->levels[level];
	sqlite3_stmt *st = NULL;
	int err = back_from(w, l, low, below, &st);

	while (!err && (err = sql_step(w->m, st)) == 0) {
		err = version_read(st, l->branch->id, ret);
		if (err || (ret->since <= l->epoch && ret->until > l->epoch && (ret->col[EXTENT_CHUNK] || !data_only)))
			break;
	}
	if (err <= 0)
		(void)sqlite3_reset(st);
	return err;
}

int extent_last_of_level(struct version_walk *w, unsigned level, int64_t low, int64_t below, struct version_row *ret)
{
	return last_of_level(w, level, low, below, false, ret);
}

/* Where rows must be read from, for all that cover `off` or come after it. */
static int first_offset(struct version_walk *w, int64_t off, int64_t *ret)
{
	struct version_row row;

	*ret = off;
	for (unsigned i = 0; i < w->n && off > 0; i++) {
		int err = last_of_level(w, i, off - (int64_t)CHUNK_LEN_MAX + 1, off, true, &row);

		if (err < 0)
			return err;
		if (!err && row.k < *ret && row.k + row.col[EXTENT_LEN] > off)
			*ret = row.k;
	}
	return 0;
}

int extent_rows(struct meta *m, const struct meta_view *v, const struct inode *inode, int64_t off, int64_t end,
		int64_t after, bool tombstones, struct extent_row *ret, size_t max, size_t *ret_n)
{
	struct version_walk w;
	const struct version_row *row;
	int64_t first = off;
	bool hides;
	size_t n = 0;
	int err = extent_walk_begin(&w, m, v, inode, off);

	if (!err)
		err = first_offset(&w, off, &first);
	if (!err)
		err = version_walk_start(&w, first > after ? first - 1 : after, NULL, 0);
	while (!err && n < max && (err = version_walk_next(&w, &row, &hides)) == 0) {
		if (row->k >= end)
			break;
		extent_row_take(row, v, hides, &ret[n]);
		if (ret[n].chunk ? ret[n].off + ret[n].len > off : tombstones && ret[n].own && ret[n].off >= off)
			n++;
	}
	version_walk_end(&w);
	if (err < 0)
		return err;
	*ret_n = n;
	return 0;
}

int extent_scan(struct meta *m, const struct meta_view *v, const struct inode *inode, int64_t off, int64_t end,
		struct extent *ret, size_t max, size_t *ret_n)
{
	struct version_walk w;
	const struct version_row *row;
	int64_t first = off;
	size_t n = 0;
	int err = extent_walk_begin(&w, m, v, inode, off);

	assert(off >= 0);
	if (!err)
		err = first_offset(&w, off, &first);
	if (!err)
		err = version_walk_start(&w, first - 1, NULL, 0);
	while (!err && n < max && (err = version_walk_next(&w, &row, NULL)) == 0) {
		if (row->k >= end)
			break;
		if (!row->col[EXTENT_CHUNK] || row->k + row->col[EXTENT_LEN] <= off)
			continue;
		ret[n++] = (struct extent){
			.off = row->k,
			.len = row->col[EXTENT_LEN],
			.chunk = (uint64_t)row->col[EXTENT_CHUNK],
			.choff = (uint32_t)row->col[EXTENT_CHOFF],
		};
	}
	version_walk_end(&w);
	if (err < 0)
		return err;
	*ret_n = n;
	return 0;
}
