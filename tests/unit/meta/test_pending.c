#include <sys/stat.h>

#include "store/meta/catalog.h"
#include "store/meta/dirent.h"
#include "store/meta/inode.h"
#include "tests/unit/meta/root_fixture.h"

#define PARENT 16

/* What the table has, whatever is pending. */
static int64_t in_table(const char *sql)
{
	sqlite3_stmt *st;
	int64_t n;

	OK(sqlite3_prepare_v2(f.m->db, sql, -1, &st, NULL));
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int64(st, 0);
	OK(sqlite3_finalize(st));
	return n;
}

static int64_t inodes_in_table(void)
{
	return in_table("SELECT count(*) FROM inode");
}

static uint64_t put_new(uint32_t uid)
{
	struct inode i = {.mode = S_IFREG | 0600, .uid = uid, .nlink = 1, .inherit = INHERIT_ALL, .ino = meta_next_ino(f.m)};

	OK(inode_put(f.m, root, &i));
	return i.ino;
}

static uint64_t make(uint32_t uid)
{
	uint64_t ino;

	OK(meta_op_begin(f.m));
	ino = put_new(uid);
	OK(meta_op_end(f.m));
	return ino;
}

static void put_uid(uint64_t ino, uint32_t uid)
{
	struct meta_view v = {root, META_HEAD};
	struct inode i;

	OK(inode_get(f.m, &v, ino, &i));
	i.uid = uid;
	OK(inode_put(f.m, root, &i));
}

static void set_uid(uint64_t ino, uint32_t uid)
{
	OK(meta_op_begin(f.m));
	put_uid(ino, uid);
	OK(meta_op_end(f.m));
}

static void drop(uint64_t ino)
{
	struct meta_view v = {root, META_HEAD};
	struct inode i;

	OK(meta_op_begin(f.m));
	OK(inode_get(f.m, &v, ino, &i));
	OK(inode_delete(f.m, root, &i));
	OK(meta_op_end(f.m));
}

static int uid_at(int64_t epoch, uint64_t ino)
{
	struct meta_view v = {root, epoch};
	struct inode i;
	int ret = inode_get(f.m, &v, ino, &i);

	assert_true(ret == 0 || ret == -ENOENT);
	return ret ? -1 : (int)i.uid;
}

static int64_t pin(void)
{
	struct snapshot_row s = {.id = meta_next_id(f.m), .volume = 1, .branch = root->id, .created = 1};

	OK(meta_op_begin(f.m));
	OK(meta_epoch_advance(f.m, &s.epoch));
	(void)snprintf(s.name, sizeof s.name, "s%lld", (long long)s.epoch);
	OK(snapshot_put(f.m, &s));
	OK(meta_op_end(f.m));
	return s.epoch;
}

static void name(const char *text, uint64_t ino)
{
	struct meta_view v = {root, META_HEAD};
	struct dirent_row row;

	OK(meta_op_begin(f.m));
	if (dirent_get(f.m, &v, PARENT, text, strlen(text), &row)) {
		row = (struct dirent_row){.parent = PARENT, .name_len = (uint8_t)strlen(text)};
		memcpy(row.name, text, strlen(text) + 1);
		row.hash = dirent_hash(f.m, text, strlen(text));
	}
	row.ino = ino;
	row.type = 8;
	OK(dirent_put(f.m, root, &row));
	OK(meta_op_end(f.m));
}

static void unname(const char *text)
{
	struct meta_view v = {root, META_HEAD};
	struct dirent_row row;

	OK(meta_op_begin(f.m));
	OK(dirent_get(f.m, &v, PARENT, text, strlen(text), &row));
	OK(dirent_delete(f.m, root, &row));
	OK(meta_op_end(f.m));
}

/* Made, changed and removed between two commits: the tables never hear of it. */
static void test_tables_lag_behind(void **state)
{
	uint64_t ino = make(1), other = make(1);

	(void)state;
	set_uid(ino, 2);
	assert_int_equal(uid_at(META_HEAD, ino), 2);
	name("a", ino);
	unname("a");
	drop(other);
	assert_int_equal(uid_at(META_HEAD, other), -1);
	assert_int_equal(inodes_in_table(), 0);
	assert_int_equal(in_table("SELECT count(*) FROM dirent"), 0);
	OK(meta_commit(f.m, 1, 1));
	assert_int_equal(meta_unsettled(f.m), 0);
	assert_int_equal(inodes_in_table(), 1);
	assert_int_equal(in_table("SELECT uid FROM inode"), 2);
	fixture_reopen(&f);
	root = branch_get(f.m, 1);
	assert_int_equal(uid_at(META_HEAD, ino), 2);
	assert_int_equal(uid_at(META_HEAD, other), -1);
}

/* Listings, and statements that look at tables as a whole, see what was pending. */
static void test_seen_by_all(void **state)
{
	struct meta_view v = {root, META_HEAD};
	struct dirent_row rows[8];
	struct inode found[8];
	uint64_t ino = make(1);
	size_t n;

	(void)state;
	name("a", ino);
	OK(dirent_scan(f.m, &v, PARENT, 0, rows, 8, &n));
	assert_int_equal(n, 1);
	name("b", ino);
	OK(dirent_by_ino(f.m, &v, ino, rows, 8, &n));
	assert_int_equal(n, 2);
	unname("a");
	OK(dirent_scan(f.m, &v, PARENT, 0, rows, 8, &n));
	assert_int_equal(n, 1);
	assert_string_equal(rows[0].name, "b");
	OK(inode_scan(f.m, &v, 0, found, 8, &n));
	assert_int_equal(n, 1);
	drop(ino);
	OK(inode_scan(f.m, &v, 0, found, 8, &n));
	assert_int_equal(n, 0);
}

/* A view shows what was live when it was taken, be that in the table or not yet. */
static void test_views(void **state)
{
	uint64_t ino = make(1);
	int64_t before = meta_now(f.m) - 1, first = pin(), second;

	(void)state;
	assert_int_equal(uid_at(first, ino), 1);
	assert_int_equal(uid_at(before, ino), -1);
	set_uid(ino, 2);
	assert_int_equal(uid_at(first, ino), 1);
	second = pin();
	assert_int_equal(uid_at(second, ino), 2);
	drop(ino);
	assert_int_equal(uid_at(META_HEAD, ino), -1);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(uid_at(first, ino), 1);
		assert_int_equal(uid_at(second, ino), 2);
		assert_int_equal(uid_at(META_HEAD, ino), -1);
		OK(meta_commit(f.m, 1, 1));
	}
	assert_int_equal(inodes_in_table(), 2);
}

/* An operation that is undone leaves rows, clean and dirty, as they were; also those that a statement in it had brought to
 * their table, and those that it was the first to look at. */
static void test_undo(void **state)
{
	struct meta_view v = {root, META_HEAD};
	uint64_t clean = make(1), dirty, made, unseen = make(1);
	struct inode found[8];
	struct value key[3];
	size_t n;

	(void)state;
	OK(meta_commit(f.m, 1, 1));
	fixture_reopen(&f);
	root = branch_get(f.m, 1);
	v.branch = root;
	assert_int_equal(uid_at(META_HEAD, clean), 1);
	dirty = make(2);
	for (int with_flush = 0; with_flush < 2; with_flush++) {
		OK(meta_op_begin(f.m));
		put_uid(clean, 7);
		put_uid(dirty, 8);
		made = put_new(9);
		if (with_flush) {
			OK(inode_scan(f.m, &v, 0, found, 8, &n));
			assert_int_equal(n, 4);
			put_uid(clean, 70);
		}
		key[0] = VI(root->id);
		key[1] = VI(unseen);
		key[2] = VI(META_LIVE);
		OK(row_delete(f.m, T_INODE, key));
		assert_int_equal(uid_at(META_HEAD, unseen), -1);
		meta_op_abort(f.m);
		assert_false(meta_lost(f.m));
		assert_int_equal(uid_at(META_HEAD, clean), 1);
		assert_int_equal(uid_at(META_HEAD, dirty), 2);
		assert_int_equal(uid_at(META_HEAD, made), -1);
		assert_int_equal(meta_unsettled(f.m), 1);
	}
	assert_int_equal(uid_at(META_HEAD, unseen), 1);
	OK(meta_commit(f.m, 2, 2));
	assert_int_equal(inodes_in_table(), 3);
	assert_int_equal(in_table("SELECT sum(uid) FROM inode"), 4);
}

/* A transaction that is given up takes pending rows along. */
static void test_rollback(void **state)
{
	uint64_t ino = make(1);

	(void)state;
	OK(meta_commit(f.m, 1, 1));
	set_uid(ino, 2);
	drop(make(3));
	OK(meta_rollback(f.m));
	assert_int_equal(meta_unsettled(f.m), 0);
	assert_int_equal(uid_at(META_HEAD, ino), 1);
}

static void test_bounded(void **state)
{
	uint64_t first = make(1);

	(void)state;
	for (int i = 0; i < META_PENDING_MAX + 10; i++)
		(void)make(2);
	assert_int_equal(meta_unsettled(f.m), META_PENDING_MAX);
	assert_int_equal(inodes_in_table(), 11);
	while (meta_unsettled(f.m) > 0) {
		size_t before = meta_unsettled(f.m);

		OK(meta_settle(f.m, 5000));
		assert_true(meta_unsettled(f.m) == (before < 5000 ? 0 : before - 5000));
	}
	assert_int_equal(inodes_in_table(), META_PENDING_MAX + 11);
	assert_int_equal(uid_at(META_HEAD, first), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tables_lag_behind, root_setup, root_teardown),
		cmocka_unit_test_setup_teardown(test_seen_by_all, root_setup, root_teardown),
		cmocka_unit_test_setup_teardown(test_views, root_setup, root_teardown),
		cmocka_unit_test_setup_teardown(test_undo, root_setup, root_teardown),
		cmocka_unit_test_setup_teardown(test_rollback, root_setup, root_teardown),
		cmocka_unit_test_setup_teardown(test_bounded, root_setup, root_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
