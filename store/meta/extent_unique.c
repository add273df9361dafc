#include "store/meta/extent_map.h"
#include "store/meta/row.h"

int extent_unique_bytes(struct meta *m, const struct branch *b, int64_t p, int64_t v, int64_t n, int64_t *ret_bytes)
{
	sqlite3_stmt *st;
	int ret = sql_stmt(m, SQL_EXTENT_UNIQUE, &st);

	if (ret)
		return ret;
	(void)sqlite3_bind_int64(st, 1, b->id);
	(void)sqlite3_bind_int64(st, 2, v);
	(void)sqlite3_bind_int64(st, 3, n);
	(void)sqlite3_bind_int64(st, 4, p);
	(void)sqlite3_bind_int64(st, 5, v);
	ret = sql_step(m, st);
	if (ret)
		return ret > 0 ? -ECORRUPT : ret;
	*ret_bytes = sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	return 0;
}

int extent_held_slice(struct meta *m, int64_t branch, struct extent_cursor *at, unsigned max_rows, double *bytes, unsigned *ret_rows)
{
	unsigned rows = 0;
	sqlite3_stmt *st;
	int ret = sql_stmt(m, SQL_EXTENT_HELD, &st);

	if (ret)
		return ret;
	(void)sqlite3_bind_int64(st, 1, branch);
	(void)sqlite3_bind_int64(st, 2, at->ino);
	(void)sqlite3_bind_int64(st, 3, at->off);
	(void)sqlite3_bind_int64(st, 4, at->until);
	(void)sqlite3_bind_int64(st, 5, max_rows);
	while (!(ret = sql_step(m, st))) {
		*at = (struct extent_cursor){sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1), sqlite3_column_int64(st, 2)};
		*bytes += sqlite3_column_double(st, 3);
		rows++;
	}
	if (ret < 0)
		return ret;
	*ret_rows = rows;
	return 0;
}

int extent_refs(struct meta *m, int64_t branch, int64_t epoch_or_0, struct extent_cursor *cursor, unsigned max,
		uint64_t *ret_chunks, unsigned *ret_n, bool *ret_done)
{
	struct extent_cursor at = *cursor;
	unsigned rows = 0, n = 0;
	sqlite3_stmt *st;
	int ret = sql_stmt(m, SQL_EXTENT_REFS, &st);

	if (ret)
		return ret;
	(void)sqlite3_bind_int64(st, 1, branch);
	(void)sqlite3_bind_int64(st, 2, at.ino);
	(void)sqlite3_bind_int64(st, 3, at.off);
	(void)sqlite3_bind_int64(st, 4, at.until);
	(void)sqlite3_bind_int64(st, 5, max);
	while (!(ret = sql_step(m, st))) {
		int64_t since = sqlite3_column_int64(st, 3), chunk = sqlite3_column_int64(st, 4);

		at = (struct extent_cursor){sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1),
						 sqlite3_column_int64(st, 2)};
		rows++;
		if (chunk && (!epoch_or_0 || (since <= epoch_or_0 && at.until > epoch_or_0)))
			ret_chunks[n++] = (uint64_t)chunk;
	}
	if (ret < 0)
		return ret;
	*cursor = at;
	*ret_n = n;
	*ret_done = rows < max;
	return 0;
}
