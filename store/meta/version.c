/* Versions: finding, merging and changing rows of the versioned tables.
 *
 * A walk steps one statement, which belongs to one level of the lineage at a time: as long as the next row is wanted
 * from that level it steps on, and for another level it seeks to where that one stood. Of dead versions it steps over a
 * few, then seeks past those of the key, so that its cost follows what the view shows. */
#include "store/meta/version.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/meta/meta_internal.h"
#include "store/meta/pending.h"
#include "store/meta/schema.h"

#define DEAD_STEPS_MAX 4

enum { COL_K, COL_NAME, COL_UNTIL, COL_SINCE, COL_FIRST, COL_VALUE };

int version_read(sqlite3_stmt *st, int64_t branch, struct version_row *ret)
{
	int n = sqlite3_column_count(st) - COL_FIRST;
	const void *name = sqlite3_column_blob(st, COL_NAME);
	int len = sqlite3_column_bytes(st, COL_NAME);

	if (len > NAME_LEN_MAX)
		return -ECORRUPT;
	if (len > 0)
		memcpy(ret->name, name, (size_t)len);
	ret->name[len] = '\0';
	ret->name_len = (size_t)len;
	ret->branch = branch;
	ret->k = sqlite3_column_int64(st, COL_K);
	ret->until = sqlite3_column_int64(st, COL_UNTIL);
	ret->since = sqlite3_column_int64(st, COL_SINCE);
	for (int i = 0; i < n && i < VERSION_COLS_MAX; i++)
		ret->col[i] = sqlite3_column_int64(st, COL_FIRST + i);
	return 0;
}

int version_copy_value(sqlite3_stmt *st, void **ret, size_t *ret_len)
{
	const void *p = sqlite3_column_blob(st, COL_VALUE);
	size_t len = (size_t)sqlite3_column_bytes(st, COL_VALUE);
	void *copy = malloc(len + 1);

	if (!copy)
		return -ENOMEM;
	if (len > 0)
		memcpy(copy, p, len);
	*ret = copy;
	*ret_len = len;
	return 0;
}

static int get_stmt(struct meta *m, enum sql_id get, const struct version_key *key, sqlite3_stmt **ret)
{
	int err = sql_stmt(m, get, ret);

	if (err)
		return err;
	(void)sqlite3_bind_int64(*ret, 3, (int64_t)key->object);
	if (sqlite3_bind_parameter_count(*ret) > 3)
		(void)sqlite3_bind_int64(*ret, 4, key->k);
	if (key->name)
		(void)sqlite3_bind_blob(*ret, 5, key->name, (int)key->name_len, SQLITE_STATIC);
	return 0;
}

/* One level; the statement stays at the row when there is one. */
static int get_step(struct meta *m, sqlite3_stmt *st, const struct branch *b, int64_t epoch)
{
	int ret;

	(void)sqlite3_bind_int64(st, 1, b->id);
	(void)sqlite3_bind_int64(st, 2, epoch);
	ret = sql_step(m, st);
	if (!ret && sqlite3_column_int64(st, COL_SINCE) > epoch) {
		(void)sqlite3_reset(st);
		return 1;
	}
	return ret;
}

static int get_take(sqlite3_stmt *st, const struct branch *b, struct version_row *ret, sqlite3_stmt **ret_st)
{
	int err = version_read(st, b->id, ret);

	if (!err && ret_st)
		*ret_st = st;
	else
		(void)sqlite3_reset(st);
	return err;
}

static int find_in_table(struct meta *m, enum sql_id get, const struct branch *b, int64_t epoch,
			 const struct version_key *key, struct version_row *ret, sqlite3_stmt **ret_st)
{
	sqlite3_stmt *st;
	int err = get_stmt(m, get, key, &st);

	if (!err)
		err = get_step(m, st, b, epoch);
	return err ? err : get_take(st, b, ret, ret_st);
}

/* Of the tables that pending.h is in front of. A closed version is in the table only, and comes before the live row; so the
 * table decides unless all that it has is the live row, which may be another one by now. */
static int find_kept(struct meta *m, enum table t, enum sql_id get, const struct branch *b, int64_t epoch,
		     const struct version_key *key, struct version_row *ret)
{
	bool is_live = epoch == META_HEAD;
	enum pending_answer known = PENDING_UNKNOWN;
	int err;

	if (m->lost) /* some of what is kept may be of before that */
		return -EIO;
	if (is_live)
		known = pending_find(m, t, b->id, key, ret);
	if (known != PENDING_UNKNOWN)
		return known == PENDING_ROW ? 0 : 1;
	err = find_in_table(m, get, b, epoch, key, ret, NULL);
	if (is_live && err >= 0)
		pending_learn(m, t, b->id, key, err ? NULL : ret);
	if (is_live || err < 0 || !pending_differs(m, t, b->id, key) || (!err && ret->until != META_LIVE))
		return err;
	return pending_find(m, t, b->id, key, ret) == PENDING_ROW && ret->since <= epoch ? 0 : 1;
}

int version_find_own(struct meta *m, enum sql_id get, const struct branch *b, int64_t epoch,
		     const struct version_key *key, struct version_row *ret, sqlite3_stmt **ret_st)
{
	if (get == SQL_INODE_GET || get == SQL_DIRENT_GET)
		return find_kept(m, get == SQL_INODE_GET ? T_INODE : T_DIRENT, get, b, epoch, key, ret);
	return find_in_table(m, get, b, epoch, key, ret, ret_st);
}

int version_find(struct meta *m, enum sql_id get, const struct meta_view *v, const struct version_key *key,
		 struct version_row *ret, sqlite3_stmt **ret_st)
{
	const struct branch *b = v->branch;
	int64_t epoch = v->epoch;
	int err;

	while ((err = version_find_own(m, get, b, epoch, key, ret, ret_st)) > 0 && version_inherits(b, key->object)) {
		epoch = b->fork_epoch;
		b = b->parent;
	}
	return err;
}

int version_inherited(struct meta *m, enum sql_id get, const struct branch *b, const struct version_key *key, bool *ret)
{
	struct meta_view above = {b->parent, b->fork_epoch};
	struct version_row row;
	int err;

	if (!version_inherits(b, key->object)) {
		*ret = false;
		return 0;
	}
	err = version_find(m, get, &above, key, &row, NULL);
	if (err >= 0)
		*ret = err == 0 && row.col[0] != 0;
	return err < 0 ? err : 0;
}

int version_first_since(struct meta *m, enum sql_id get, const struct branch *b, const struct version_key *key,
			int64_t *ret)
{
	sqlite3_stmt *st;
	int err = 0;

	if (get == SQL_INODE_GET || get == SQL_DIRENT_GET)
		err = pending_flush_object(m, get == SQL_INODE_GET ? T_INODE : T_DIRENT, key->object);
	if (!err)
		err = get_stmt(m, get, key, &st);
	if (err)
		return err;
	(void)sqlite3_bind_int64(st, 1, b->id);
	(void)sqlite3_bind_int64(st, 2, 0);
	err = sql_step(m, st);
	if (err < 0)
		return err;
	*ret = err ? META_LIVE : sqlite3_column_int64(st, COL_SINCE);
	(void)sqlite3_reset(st);
	return 0;
}

int version_close(struct meta *m, enum table t, struct value *old)
{
	unsigned n = schema_table(t)->key_count;
	int64_t now = meta_now(m);
	int ret;

	assert(old[n - 1].i == META_LIVE);
	assert(old[n].i < now);
	ret = row_delete(m, t, old);
	old[n - 1] = VI(now);
	return ret ? ret : row_put(m, t, old);
}

int version_store(struct meta *m, struct branch *b, enum table t, struct value *cols, struct value *old)
{
	unsigned n = schema_table(t)->key_count;
	int ret = 0;

	cols[n - 1] = VI(META_LIVE);
	if (old && version_in_place(b, old[n].i)) {
		cols[n] = old[n];
		return row_update(m, t, cols);
	}
	if (old)
		ret = version_close(m, t, old);
	cols[n] = VI(meta_now(m));
	return ret ? ret : row_put(m, t, cols);
}

int version_remove(struct meta *m, struct branch *b, enum table t, struct value *old)
{
	unsigned n = schema_table(t)->key_count;

	return version_in_place(b, old[n].i) ? row_delete(m, t, old) : version_close(m, t, old);
}

int version_walk_begin(struct version_walk *w, struct meta *m, enum sql_id walk, const struct meta_view *v,
		       uint64_t object)
{
	const struct branch *b = v->branch;
	int64_t epoch = v->epoch;
	unsigned n = 1;

	for (; version_inherits(b, object); b = b->parent)
		n++;
	w->m = m;
	w->sql = walk;
	w->object = object;
	w->st = NULL;
	w->n = n;
	w->allocated = NULL;
	w->levels = w->inline_levels;
	if (n > VERSION_LEVELS_INLINE) {
		w->allocated = malloc(n * sizeof *w->levels);
		if (!w->allocated)
			return -ENOMEM;
		w->levels = w->allocated;
	}
	b = v->branch;
	for (unsigned i = 0; i < n; i++) {
		struct version_level *l = &w->levels[i];

		l->branch = b;
		l->epoch = epoch;
		l->limit = INT64_MAX;
		l->has_row = l->at_end = false;
		epoch = b->fork_epoch;
		b = b->parent;
	}
	return walk == SQL_DIRENT_WALK ? pending_flush_object(m, T_DIRENT, object) : 0;
}

int version_walk_start(struct version_walk *w, int64_t k, const void *name, size_t name_len)
{
	w->owner = w->current = w->n;
	for (unsigned i = 0; i < w->n; i++) {
		struct version_row *r = &w->levels[i].row;

		r->k = k;
		if (name_len > 0)
			memcpy(r->name, name, name_len);
		r->name_len = name_len;
		w->levels[i].has_row = w->levels[i].at_end = false;
	}
	return sql_stmt(w->m, w->sql, &w->st);
}

void version_walk_end(struct version_walk *w)
{
	if (w->st)
		(void)sqlite3_reset(w->st);
	free(w->allocated);
	w->allocated = NULL;
}

/* Seeks behind the level's row as if it ended at `until`. Later versions of a row that is visible are not: META_LIVE
 * skips them. */
static int seek(struct version_walk *w, unsigned i, int64_t until)
{
	const struct version_level *l = &w->levels[i];
	int err = sql_stmt(w->m, w->sql, &w->st);

	if (err)
		return err;
	w->owner = i;
	(void)sqlite3_bind_int64(w->st, 1, l->branch->id);
	(void)sqlite3_bind_int64(w->st, 2, (int64_t)w->object);
	(void)sqlite3_bind_int64(w->st, 3, l->row.k);
	(void)sqlite3_bind_blob(w->st, 4, l->row.name, (int)l->row.name_len,
				l->row.name_len ? SQLITE_TRANSIENT : SQLITE_STATIC);
	(void)sqlite3_bind_int64(w->st, 5, until);
	return 0;
}

/* Takes a level to its next visible row; its buffer holds the one before. */
static int level_next(struct version_walk *w, unsigned i)
{
	struct version_level *l = &w->levels[i];
	unsigned dead = 0;
	int err = w->owner == i ? 0 : seek(w, i, META_LIVE);

	while (!err && (err = sql_step(w->m, w->st)) == 0) {
		int64_t until = sqlite3_column_int64(w->st, COL_UNTIL);
		bool is_over = until <= l->epoch;

		if (sqlite3_column_int64(w->st, COL_K) >= l->limit) {
			(void)sqlite3_reset(w->st);
			err = 1;
			break;
		}
		if (!is_over && sqlite3_column_int64(w->st, COL_SINCE) <= l->epoch) {
			l->has_row = true;
			return version_read(w->st, l->branch->id, &l->row);
		}
		if (++dead < DEAD_STEPS_MAX)
			continue;
		dead = 0;
		err = version_read(w->st, l->branch->id, &l->row);
		if (!err)
			err = seek(w, i, is_over ? l->epoch : META_LIVE);
	}
	if (err < 0)
		return err;
	w->owner = w->n;
	l->at_end = true;
	return 0;
}

static int compare(const struct version_row *a, const struct version_row *b)
{
	size_t n = a->name_len < b->name_len ? a->name_len : b->name_len;
	int c;

	if (a->k != b->k)
		return a->k < b->k ? -1 : 1;
	c = n > 0 ? memcmp(a->name, b->name, n) : 0;
	return c ? c : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

int version_walk_next(struct version_walk *w, const struct version_row **ret, bool *ret_hides)
{
	unsigned best = w->n;

	for (unsigned i = 0; i < w->n; i++) {
		struct version_level *l = &w->levels[i];

		/* A row as near as the one returned last, or hidden by it, is used up. */
		if (l->has_row && w->current < w->n && i != w->current &&
		    compare(&l->row, &w->levels[w->current].row) == 0)
			l->has_row = false;
	}
	if (w->current < w->n)
		w->levels[w->current].has_row = false;
	for (unsigned i = 0; i < w->n; i++) {
		struct version_level *l = &w->levels[i];

		if (!l->has_row && !l->at_end) {
			int err = level_next(w, i);

			if (err)
				return err;
		}
		if (l->has_row && (best == w->n || compare(&l->row, &w->levels[best].row) < 0))
			best = i;
	}
	w->current = best;
	if (best == w->n)
		return 1;
	*ret = &w->levels[best].row;
	if (ret_hides) {
		*ret_hides = false;
		for (unsigned i = best + 1; i < w->n; i++)
			if (w->levels[i].has_row && compare(&w->levels[i].row, *ret) == 0) {
				*ret_hides = w->levels[i].row.col[0] != 0;
				break;
			}
	}
	return 0;
}
