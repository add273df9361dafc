/* Dead inodes: the extents and xattrs of an inode that was deleted at epoch d are live rows still, which no view at d
 * or later looks at. Each is either closed with until = d, as if that had happened in the deletion, or deleted when no
 * view lies in [since, d).
 *
 * That is decided by the views there are when the row's turn comes. So it does not matter whether a reap task runs
 * before or after: a view that was dropped before no longer counts here, and one dropped later finds the row closed. A
 * reap task alone never has to see to a row that is not closed yet, save when the branch's head is gone: then whatever
 * of the rows no view needs goes with the head's task. */
#include <assert.h>

#include "store/base/cleanup.h"
#include "store/meta/extent_internal.h"
#include "store/meta/reap_internal.h"

#define BATCH 32
#define AT_ONCE_MAX 8 /* rows removed in the deletion itself; most files have fewer */

struct purge {
	struct meta *m;
	struct branch *b;
	uint64_t ino;
	int64_t epoch;
	int64_t below; /* the last view that still sees the inode */
	int64_t off;   /* extents before it are done; META_LIVE when all are */
	unsigned rows, max_rows;
};

static int finish(struct purge *p, enum table t, struct value *cols, uint64_t chunk)
{
	unsigned n = t == T_EXTENT ? EXTENT_KEY_UNTIL : 3;
	bool is_seen = cols[n + 1].i <= p->below;
	int err = row_delete(p->m, t, cols);

	p->rows++;
	if (err)
		return err;
	if (!is_seen)
		return chunk ? row_chunk_ref(p->m, chunk, -1) : 0;
	assert(cols[n + 1].i < p->epoch);
	cols[n] = VI(p->epoch);
	return row_put(p->m, t, cols);
}

/* Walks the branch's own rows only. */
static int own_begin(struct purge *p, enum sql_id walk, struct version_walk *w, int64_t k)
{
	struct meta_view head = {p->b, META_HEAD};
	int err = version_walk_begin(w, p->m, walk, &head, p->ino);

	w->n = 1;
	return err ? err : version_walk_start(w, k, NULL, 0);
}

static int purge_extents(struct purge *p)
{
	struct extent_row rows[BATCH];
	struct meta_view head = {p->b, META_HEAD};

	while (p->off < META_LIVE && p->rows < p->max_rows) {
		unsigned max = p->max_rows - p->rows < BATCH ? p->max_rows - p->rows : BATCH;
		const struct version_row *row;
		struct version_walk w;
		unsigned n = 0;
		int err = own_begin(p, SQL_EXTENT_WALK, &w, p->off - 1);

		while (!err && n < max && (err = version_walk_next(&w, &row, NULL)) == 0)
			extent_row_take(row, &head, false, &rows[n++]);
		version_walk_end(&w);
		for (unsigned i = 0; err >= 0 && i < n; i++) {
			struct value cols[EXTENT_TABLE_COLS];

			extent_fill(cols, p->b, p->ino, &rows[i]);
			err = finish(p, T_EXTENT, cols, rows[i].chunk);
		}
		if (err < 0)
			return err;
		p->off = n < max ? META_LIVE : rows[n - 1].off + 1;
	}
	return 0;
}

/* One xattr; >0 when there is none. A value that must be kept is copied: its row is deleted before it is put again. */
static int purge_xattr(struct purge *p)
{
	const struct version_row *row;
	struct version_row found;
	struct version_key key = {.object = p->ino};
	struct version_walk w;
	AUTO_FREE void *value = NULL;
	sqlite3_stmt *st;
	size_t len;
	int err = own_begin(p, SQL_XATTR_WALK, &w, 0);

	if (!err)
		err = version_walk_next(&w, &row, NULL);
	if (!err)
		found = *row;
	version_walk_end(&w);
	if (err)
		return err;
	key.name = found.name;
	key.name_len = found.name_len;
	err = version_find_own(p->m, SQL_XATTR_GET, p->b, META_HEAD, &key, &found, &st);
	if (err)
		return err < 0 ? err : -ECORRUPT;
	err = version_copy_value(st, &value, &len);
	(void)sqlite3_reset(st);
	if (!err) {
		struct value cols[] = {
			VI(p->b->id),  VI(p->ino),      VB(found.name, found.name_len),
			VI(META_LIVE), VI(found.since), found.col[0] ? VB(value, len) : VNULL,
		};

		err = finish(p, T_XATTR, cols, 0);
	}
	return err;
}

/* Removes rows until none are left or max_rows are done. */
static int run(struct purge *p, bool *ret_done)
{
	int err = purge_extents(p);

	if (err)
		return err;
	while (p->off == META_LIVE && p->rows < p->max_rows) {
		err = purge_xattr(p);
		if (err) {
			*ret_done = err > 0;
			return err < 0 ? err : 0;
		}
	}
	*ret_done = false;
	return 0;
}

static int store(struct purge *p, int64_t id, bool exists)
{
	struct value cols[] = {VI(id), VI(p->b->id), VI(p->ino), VI(p->epoch), VI(p->off)};

	return exists ? row_update(p->m, T_PURGE, cols) : row_put(p->m, T_PURGE, cols);
}

int extent_purge(struct meta *m, struct branch *b, uint64_t ino, bool has_xattrs)
{
	struct purge p = {.m = m, .b = b, .ino = ino, .epoch = meta_now(m), .below = b->pinned, .max_rows = AT_ONCE_MAX};
	bool done = true;
	int err = has_xattrs ? run(&p, &done) : purge_extents(&p);

	if (!err && (!done || p.off < META_LIVE))
		err = store(&p, meta_next_id(m), false);
	return err;
}

static int first(struct meta *m, struct purge *ret, int64_t *ret_id)
{
	sqlite3_stmt *st;
	int err = sql_stmt(m, SQL_PURGE_FIRST, &st);

	if (!err)
		err = sql_step(m, st);
	if (err)
		return err;
	*ret_id = sqlite3_column_int64(st, 0);
	ret->b = branch_get(m, sqlite3_column_int64(st, 1));
	ret->ino = (uint64_t)sqlite3_column_int64(st, 2);
	ret->epoch = sqlite3_column_int64(st, 3);
	ret->off = sqlite3_column_int64(st, 4);
	(void)sqlite3_reset(st);
	return ret->b ? 0 : -ECORRUPT;
}

int extent_purge_slice(struct meta *m, unsigned max_rows, unsigned *ret_rows)
{
	struct purge p = {.m = m, .max_rows = max_rows};
	bool done, pinned;
	int64_t id, above;
	int err = first(m, &p, &id);

	if (err) {
		if (err > 0)
			*ret_rows = 0;
		return err < 0 ? err : 0;
	}
	err = branch_neighbours(m, p.b, p.epoch, &p.below, &above, &pinned);
	if (!err)
		err = run(&p, &done);
	if (err)
		return err;
	if (done) {
		struct value key[] = {VI(id)};

		err = row_delete(m, T_PURGE, key);
		p.rows++;
		if (!err)
			err = reap_branch_if_empty(m, p.b);
	} else {
		err = store(&p, id, true);
	}
	if (!err)
		*ret_rows = p.rows;
	return err;
}
