#include "store/meta/history.h"

#include "store/meta/row.h"

/* How rows are handed on: `row` is called at each, with what the caller of the walk gave. */
struct walk {
	int64_t branch, from, to;
	int (*row)(const struct walk *w, sqlite3_stmt *st);
	int (*changed)(void *arg, uint64_t ino, unsigned what);
	unsigned what;
	int (*each)(void *arg, uint64_t ino, int64_t k, const void *name, size_t name_len);
	void *arg;
};

static int give_changed(const struct walk *w, sqlite3_stmt *st)
{
	return w->changed(w->arg, (uint64_t)sqlite3_column_int64(st, 0), w->what);
}

static int give_row(const struct walk *w, sqlite3_stmt *st)
{
	return w->each(w->arg, (uint64_t)sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1), sqlite3_column_blob(st, 2),
		       (size_t)sqlite3_column_bytes(st, 2));
}

static int run(struct meta *m, enum sql_id id, const struct walk *w)
{
	sqlite3_stmt *st;
	int ret = sql_stmt(m, id, &st);

	if (ret)
		return ret;
	(void)sqlite3_bind_int64(st, 1, w->branch);
	(void)sqlite3_bind_int64(st, 2, w->from);
	(void)sqlite3_bind_int64(st, 3, w->to);
	while (!(ret = sql_step(m, st))) {
		ret = w->row(w, st);
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
		enum sql_id ids[3];
		unsigned what;
	} tables[] = {
		{{SQL_HISTORY_INODE_ENDED, SQL_HISTORY_INODE_LIVE, SQL_HISTORY_INODE_LATER}, HISTORY_INODE},
		{{SQL_HISTORY_EXTENT_ENDED, SQL_HISTORY_EXTENT_LIVE, SQL_HISTORY_EXTENT_LATER}, HISTORY_EXTENT},
		{{SQL_HISTORY_XATTR_ENDED, SQL_HISTORY_XATTR_LIVE, SQL_HISTORY_XATTR_LATER}, HISTORY_XATTR},
	};
	struct walk w = {.branch = branch, .from = from, .to = to, .row = give_changed, .changed = fn, .arg = arg};
	int ret = 0;

	for (size_t i = 0; i < sizeof tables / sizeof *tables && !ret; i++) {
		w.what = tables[i].what;
		for (size_t j = 0; j < 3 && !ret; j++)
			ret = run(m, tables[i].ids[j], &w);
	}
	return ret;
}

int history_rows(struct meta *m, enum history_what what, int64_t branch, int64_t from, int64_t to,
		 int (*fn)(void *arg, uint64_t ino, int64_t k, const void *name, size_t name_len), void *arg)
{
	static const enum sql_id extents[] = {SQL_HISTORY_EXTENT_ROW_ENDED, SQL_HISTORY_EXTENT_ROW_LIVE, SQL_HISTORY_EXTENT_ROW_LATER};
	static const enum sql_id dirents[] = {SQL_HISTORY_DIRENT_ROW_ENDED, SQL_HISTORY_DIRENT_ROW_LIVE, SQL_HISTORY_DIRENT_ROW_LATER};
	const enum sql_id *ids = what == HISTORY_DIRENT ? dirents : extents;
	const struct walk w = {.branch = branch, .from = from, .to = to, .row = give_row, .each = fn, .arg = arg};
	int ret = 0;

	for (size_t i = 0; i < 3 && !ret; i++)
		ret = run(m, ids[i], &w);
	return ret;
}
