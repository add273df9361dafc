#include "store/meta/history.h"

#include "store/meta/row.h"

static int run(struct meta *m, enum sql_id id, int64_t branch, int64_t from, int64_t to, unsigned what,
	       int (*fn)(void *arg, uint64_t ino, unsigned what), void *arg)
{
	sqlite3_stmt *st;
	int ret = sql_stmt(m, id, &st);

	if (ret)
		return ret;
	(void)sqlite3_bind_int64(st, 1, branch);
	(void)sqlite3_bind_int64(st, 2, from);
	(void)sqlite3_bind_int64(st, 3, to);
	while (!(ret = sql_step(m, st))) {
		ret = fn(arg, (uint64_t)sqlite3_column_int64(st, 0), what);
		if (ret) {
			(void)sqlite3_reset(st);
			return ret;
		}
	}
	return ret < 0 ? ret : 0;
}

int history_changed(struct meta *m, int64_t branch, int64_t from, int64_t to, int (*fn)(void *arg, uint64_t ino, unsigned what),
		    void *arg)
{
	static const struct {
		enum sql_id ended, live, later;
		unsigned what;
	} tables[] = {
		{SQL_HISTORY_INODE_ENDED, SQL_HISTORY_INODE_LIVE, SQL_HISTORY_INODE_LATER, HISTORY_INODE},
		{SQL_HISTORY_EXTENT_ENDED, SQL_HISTORY_EXTENT_LIVE, SQL_HISTORY_EXTENT_LATER, HISTORY_EXTENT},
		{SQL_HISTORY_XATTR_ENDED, SQL_HISTORY_XATTR_LIVE, SQL_HISTORY_XATTR_LATER, HISTORY_XATTR},
	};
	size_t i;
	int ret = 0;

	for (i = 0; i < sizeof tables / sizeof *tables && !ret; i++) {
		ret = run(m, tables[i].ended, branch, from, to, tables[i].what, fn, arg);
		if (!ret)
			ret = run(m, tables[i].live, branch, from, to, tables[i].what, fn, arg);
		if (!ret)
			ret = run(m, tables[i].later, branch, from, to, tables[i].what, fn, arg);
	}
	return ret;
}

static int run_rows(struct meta *m, enum sql_id id, int64_t branch, int64_t from, int64_t to,
		    int (*fn)(void *arg, uint64_t ino, int64_t k, const void *name, size_t name_len), void *arg)
{
	sqlite3_stmt *st;
	int ret = sql_stmt(m, id, &st);

	if (ret)
		return ret;
	(void)sqlite3_bind_int64(st, 1, branch);
	(void)sqlite3_bind_int64(st, 2, from);
	(void)sqlite3_bind_int64(st, 3, to);
	while (!(ret = sql_step(m, st))) {
		ret = fn(arg, (uint64_t)sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1), sqlite3_column_blob(st, 2),
			 (size_t)sqlite3_column_bytes(st, 2));
		if (ret) {
			(void)sqlite3_reset(st);
			return ret;
		}
	}
	return ret < 0 ? ret : 0;
}

int history_rows(struct meta *m, enum history_what what, int64_t branch, int64_t from, int64_t to,
		 int (*fn)(void *arg, uint64_t ino, int64_t k, const void *name, size_t name_len), void *arg)
{
	static const enum sql_id extents[] = {SQL_HISTORY_EXTENT_ROW_ENDED, SQL_HISTORY_EXTENT_ROW_LIVE, SQL_HISTORY_EXTENT_ROW_LATER};
	static const enum sql_id dirents[] = {SQL_HISTORY_DIRENT_ROW_ENDED, SQL_HISTORY_DIRENT_ROW_LIVE, SQL_HISTORY_DIRENT_ROW_LATER};
	const enum sql_id *ids = what == HISTORY_DIRENT ? dirents : extents;
	int ret = 0;

	for (size_t i = 0; i < 3 && !ret; i++)
		ret = run_rows(m, ids[i], branch, from, to, fn, arg);
	return ret;
}
