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
