/* Dropping views. A closed row [since, until) is kept by the views in it; when the last of them goes, the task recorded
 * with its drop covers the row: with p and n the neighbouring views, all rows with since in (p, v] and until in (v, n].
 * So at any time each closed row has a view or a pending task, and when all tasks are done nothing is left that no view
 * can see.
 *
 * The bounds are those of the moment of the drop. That is why n is `now`, not infinity, when nothing but a live head
 * follows: a row that is live now may be closed later for the sake of a view yet to come, and then its until lies
 * behind `now`. With no head either, nothing can be closed any more, and n is META_LIVE: all rows go that no view at p
 * or before sees, live ones and those of after v included (a head that was retired rather than dropped may have left
 * some).
 *
 * Rows are found by seeking the history index, one `until` after the other: rows in the range of `until` that other
 * views still need are not looked at, however often a slice begins anew. */
#include <string.h>

#include "store/meta/inode.h"
#include "store/meta/reap_internal.h"
#include "store/meta/version.h"

int reap_drop_view(struct meta *m, struct branch *b, int64_t epoch)
{
	bool is_head = epoch == META_HEAD, pinned;
	struct value cols[5];
	int64_t p, n;
	int err = is_head && b->head ? branch_set_head(m, b, false) : 0;

	if (!err)
		err = branch_refresh_pinned(m, b);
	if (!err)
		err = branch_neighbours(m, b, epoch, &p, &n, &pinned);
	if (err || (pinned && !is_head))
		return err;
	if (n == META_HEAD)
		n = meta_now(m);
	cols[0] = VI(meta_next_id(m));
	cols[1] = VI(b->id);
	cols[2] = VI(p);
	cols[3] = VI(is_head ? META_LIVE : epoch);
	cols[4] = VI(n);
	return row_put(m, T_REAP, cols);
}

int reap_first(struct meta *m, struct reap_task *ret)
{
	sqlite3_stmt *st;
	int err = sql_stmt(m, SQL_REAP_FIRST, &st);

	if (!err)
		err = sql_step(m, st);
	if (err)
		return err;
	*ret = (struct reap_task){
		.id = sqlite3_column_int64(st, 0),
		.branch = sqlite3_column_int64(st, 1),
		.p = sqlite3_column_int64(st, 2),
		.v = sqlite3_column_int64(st, 3),
		.n = sqlite3_column_int64(st, 4),
	};
	(void)sqlite3_reset(st);
	return 0;
}

/* The next `until` above *until; >0 when there is none up to n. */
static int next_until(struct meta *m, enum sql_id id, const struct reap_task *t, int64_t *until)
{
	sqlite3_stmt *st;
	int64_t found;
	int err = sql_stmt(m, id, &st);

	if (err)
		return err;
	(void)sqlite3_bind_int64(st, 1, t->branch);
	(void)sqlite3_bind_int64(st, 2, *until);
	err = sql_step(m, st);
	if (err)
		return err;
	found = sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	if (found > t->n)
		return 1;
	*until = found;
	return 0;
}

/* Deletes one row with this `until`; >0 when there is none. */
static int delete_one(struct meta *m, enum table t, enum sql_id id, const struct reap_task *task, int64_t until)
{
	int64_t since_max = task->n == META_LIVE ? META_LIVE : task->v;
	char name[NAME_LEN_MAX];
	struct value key[5] = {VI(task->branch)};
	uint64_t chunk = 0;
	sqlite3_stmt *st;
	unsigned n = 1;
	int err = sql_stmt(m, id, &st);

	if (err)
		return err;
	(void)sqlite3_bind_int64(st, 1, task->branch);
	(void)sqlite3_bind_int64(st, 2, until);
	(void)sqlite3_bind_int64(st, 3, task->p);
	(void)sqlite3_bind_int64(st, 4, since_max);
	err = sql_step(m, st);
	if (err)
		return err;
	key[n++] = VI(sqlite3_column_int64(st, 0));
	if (t == T_DIRENT || t == T_EXTENT)
		key[n++] = VI(sqlite3_column_int64(st, 1));
	if (t == T_EXTENT)
		chunk = (uint64_t)sqlite3_column_int64(st, 2);
	if (t == T_DIRENT || t == T_XATTR) {
		int col = t == T_DIRENT ? 2 : 1;
		const void *p = sqlite3_column_blob(st, col);
		size_t len = (size_t)sqlite3_column_bytes(st, col);

		err = len > 0 && len <= sizeof name ? 0 : -ECORRUPT;
		if (!err)
			memcpy(name, p, len);
		key[n++] = VB(name, len);
	}
	(void)sqlite3_reset(st);
	key[n] = VI(until);
	if (!err)
		err = row_delete(m, t, key);
	return !err && chunk ? row_chunk_ref(m, chunk, -1) : err;
}

/* Deletes up to `max` rows of one table, counting in *rows. */
static int delete_rows(struct meta *m, enum table t, enum sql_id next, enum sql_id of, const struct reap_task *task,
		       unsigned max, unsigned *rows)
{
	int64_t until = task->v == META_LIVE ? META_LIVE - 1 : task->v;
	int err = 0;

	while (*rows < max && (err = next_until(m, next, task, &until)) == 0) {
		while (*rows < max && (err = delete_one(m, t, of, task, until)) == 0)
			++*rows;
		if (err < 0)
			break;
	}
	return err < 0 ? err : 0;
}

static int is_busy(struct meta *m, const struct branch *b, bool *ret)
{
	sqlite3_stmt *st;
	int err = sql_stmt(m, SQL_REAP_BRANCH_BUSY, &st);

	if (err)
		return err;
	(void)sqlite3_bind_int64(st, 1, b->id);
	err = sql_step(m, st);
	if (err)
		return err < 0 ? err : -ECORRUPT;
	*ret = sqlite3_column_int64(st, 0) != 0;
	(void)sqlite3_reset(st);
	return 0;
}

int reap_branch_if_empty(struct meta *m, struct branch *b)
{
	struct branch *parent = b->parent;
	int64_t fork_epoch = b->fork_epoch;
	bool busy;
	int err;

	if (b->dead || b->head || b->pinned)
		return 0;
	err = is_busy(m, b, &busy);
	if (err || busy)
		return err;
	err = branch_delete(m, b);
	return err || !parent ? err : reap_drop_view(m, parent, fork_epoch);
}

int reap_slice(struct meta *m, const struct reap_task *task, unsigned max_rows, unsigned *ret_rows)
{
	struct branch *b = branch_get(m, task->branch);
	struct value key[] = {VI(task->id)};
	unsigned rows = 0;
	int err = 0;

	if (!b)
		return -ECORRUPT;
	err = delete_rows(m, T_DIRENT, SQL_REAP_DIRENT_UNTIL, SQL_REAP_DIRENT, task, max_rows, &rows);
	if (!err)
		err = delete_rows(m, T_XATTR, SQL_REAP_XATTR_UNTIL, SQL_REAP_XATTR, task, max_rows, &rows);
	if (!err)
		err = delete_rows(m, T_EXTENT, SQL_REAP_EXTENT_UNTIL, SQL_REAP_EXTENT, task, max_rows, &rows);
	if (!err)
		err = delete_rows(m, T_INODE, SQL_REAP_INODE_UNTIL, SQL_REAP_INODE, task, max_rows, &rows);
	if (!err && rows == 0) {
		err = row_delete(m, T_REAP, key);
		if (!err)
			err = reap_branch_if_empty(m, b);
	}
	if (!err)
		*ret_rows = rows;
	return err;
}
