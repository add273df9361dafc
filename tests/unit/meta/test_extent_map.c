#include <sys/stat.h>

#include "store/base/limits.h"
#include "store/meta/chunk_table.h"
#include "store/meta/extent_map.h"
#include "store/meta/inode.h"
#include "store/meta/xattr.h"
#include "tests/unit/meta/root_fixture.h"

#define MAX_LEN ((int64_t)CHUNK_LEN_MAX)

static uint64_t ino;
static uint64_t a, b, c; /* chunks */

static uint64_t new_chunk(void)
{
	struct chunk_row row = {.pack = 1, .stored_len = 1, .raw_len = CHUNK_LEN_MAX};

	OK(meta_op_begin(f.m));
	OK(chunk_add(f.m, &row));
	OK(meta_op_end(f.m));
	return row.id;
}

static int setup(void **state)
{
	struct inode i = {.mode = S_IFREG | 0600, .nlink = 1, .inherit = INHERIT_ALL};

	(void)root_setup(state);
	OK(meta_op_begin(f.m));
	ino = i.ino = meta_next_ino(f.m);
	OK(inode_put(f.m, root, &i));
	OK(meta_op_end(f.m));
	a = new_chunk();
	b = new_chunk();
	c = new_chunk();
	return 0;
}

static struct inode get(struct branch *br)
{
	struct meta_view v = {br, META_HEAD};
	struct inode i;

	OK(inode_get(f.m, &v, ino, &i));
	return i;
}

static void write_one(struct branch *br, int64_t off, int64_t len, uint64_t chunk, uint32_t choff)
{
	struct extent e = {off, len, chunk, choff};
	struct inode i;

	OK(meta_op_begin(f.m));
	i = get(br);
	OK(extent_write(f.m, br, &i, off, len, &e, 1));
	OK(inode_put(f.m, br, &i));
	OK(meta_op_end(f.m));
}

static void cut(struct branch *br, int64_t size)
{
	bool done = false;
	struct inode i;

	OK(meta_op_begin(f.m));
	i = get(br);
	while (!done)
		OK(extent_truncate(f.m, br, &i, size, 1, &done));
	OK(inode_put(f.m, br, &i));
	OK(meta_op_end(f.m));
}

static void expect(struct branch *br, int64_t epoch, const struct extent *want, size_t n)
{
	struct meta_view v = {br, epoch};
	struct extent got[16];
	struct inode i;
	int64_t alloc = 0;
	size_t found;

	OK(inode_get(f.m, &v, ino, &i));
	OK(extent_scan(f.m, &v, &i, 0, INT64_MAX, got, 16, &found));
	assert_int_equal(found, n);
	for (size_t k = 0; k < n; k++) {
		assert_int_equal(got[k].off, want[k].off);
		assert_int_equal(got[k].len, want[k].len);
		assert_int_equal(got[k].chunk, want[k].chunk);
		assert_int_equal(got[k].choff, want[k].choff);
		alloc += got[k].len;
	}
	assert_int_equal(i.alloc, alloc);
}
#define EXPECT(br, epoch, ...)                                                                                        \
	do {                                                                                                          \
		struct extent want_[] = {__VA_ARGS__};                                                                \
		expect(br, epoch, want_, sizeof want_ / sizeof *want_);                                               \
	} while (0)

static int64_t refs(uint64_t chunk)
{
	struct chunk_row row;

	OK(chunk_get(f.m, chunk, &row));
	return row.refs;
}

static void test_split_in_place(void **state)
{
	(void)state;
	write_one(root, 0, 100, a, 5);
	write_one(root, 30, 20, b, 0);
	EXPECT(root, META_HEAD, {0, 30, a, 5}, {30, 20, b, 0}, {50, 50, a, 55});
	assert_int_equal(refs(a), 2);
	assert_int_equal(refs(b), 1);
	write_one(root, 0, 100, c, 0);
	EXPECT(root, META_HEAD, {0, 100, c, 0});
	assert_int_equal(refs(a), 0);
	assert_int_equal(refs(b), 0);
	assert_int_equal(refs(c), 1);
}

static void test_pieces_and_holes(void **state)
{
	struct extent pieces[] = {{10, 10, a, 0}, {20, 30, 0, 0}, {50, 10, b, 7}};
	struct inode i;

	(void)state;
	write_one(root, 0, 100, c, 0);
	OK(meta_op_begin(f.m));
	i = get(root);
	OK(extent_write(f.m, root, &i, 10, 50, pieces, 3));
	OK(inode_put(f.m, root, &i));
	OK(meta_op_end(f.m));
	EXPECT(root, META_HEAD, {0, 10, c, 0}, {10, 10, a, 0}, {50, 10, b, 7}, {60, 40, c, 60});
}

static void test_pinned_rows_are_closed(void **state)
{
	int64_t epoch = meta_now(f.m);

	(void)state;
	write_one(root, 0, 100, a, 0);
	(void)fork_now(root);
	write_one(root, 40, 10, b, 0);
	EXPECT(root, META_HEAD, {0, 40, a, 0}, {40, 10, b, 0}, {50, 50, a, 50});
	EXPECT(root, epoch, {0, 100, a, 0});
	assert_int_equal(refs(a), 3);
	write_one(root, 0, 100, c, 0);
	EXPECT(root, META_HEAD, {0, 100, c, 0});
	EXPECT(root, epoch, {0, 100, a, 0});
	assert_int_equal(refs(a), 1);
}

static void test_write_into_inherited(void **state)
{
	struct branch *child, *grandchild;

	(void)state;
	write_one(root, 0, 100, a, 0);
	write_one(root, 100, 100, b, 0);
	child = fork_now(root);
	/* over the end of one and the beginning of the other: an own piece, and a tombstone with a piece behind it */
	write_one(child, 60, 80, c, 0);
	EXPECT(child, META_HEAD, {0, 60, a, 0}, {60, 80, c, 0}, {140, 60, b, 40});
	EXPECT(root, META_HEAD, {0, 100, a, 0}, {100, 100, b, 0});
	/* what was written is taken away again: nothing inherited may come back */
	grandchild = fork_now(child);
	write_one(grandchild, 0, 200, 0, 0);
	expect(grandchild, META_HEAD, NULL, 0);
	EXPECT(child, META_HEAD, {0, 60, a, 0}, {60, 80, c, 0}, {140, 60, b, 40});
	write_one(child, 0, 200, 0, 0);
	expect(child, META_HEAD, NULL, 0);
	write_one(child, 0, 10, c, 0);
	EXPECT(child, META_HEAD, {0, 10, c, 0});
}

static void test_truncate(void **state)
{
	int64_t epoch = meta_now(f.m);

	(void)state;
	write_one(root, 0, 100, a, 0);
	write_one(root, 100, 100, b, 0);
	write_one(root, 300, 100, c, 0);
	(void)fork_now(root);
	cut(root, 150);
	EXPECT(root, META_HEAD, {0, 100, a, 0}, {100, 50, b, 0});
	EXPECT(root, epoch, {0, 100, a, 0}, {100, 100, b, 0}, {300, 100, c, 0});
	cut(root, 0);
	expect(root, META_HEAD, NULL, 0);
	assert_int_equal(get(root).inherit, INHERIT_ALL);
}

/* Each level bounds what the levels behind it may show. */
static void test_truncate_through_levels(void **state)
{
	struct branch *child, *grandchild;

	(void)state;
	for (int64_t i = 0; i < 5; i++)
		write_one(root, i * 100, 100, a, (uint32_t)i);
	child = fork_now(root);
	cut(child, 150);
	assert_int_equal(get(child).inherit, 150);
	EXPECT(child, META_HEAD, {0, 100, a, 0}, {100, 50, a, 1});
	write_one(child, 300, 100, b, 0);
	grandchild = fork_now(child);
	/* its own bound is further out, the child's still holds */
	cut(grandchild, 350);
	EXPECT(grandchild, META_HEAD, {0, 100, a, 0}, {100, 50, a, 1}, {300, 50, b, 0});
	write_one(grandchild, 400, 50, c, 0);
	EXPECT(grandchild, META_HEAD, {0, 100, a, 0}, {100, 50, a, 1}, {300, 50, b, 0}, {400, 50, c, 0});
	cut(grandchild, 100);
	EXPECT(grandchild, META_HEAD, {0, 100, a, 0});
	EXPECT(child, META_HEAD, {0, 100, a, 0}, {100, 50, a, 1}, {300, 100, b, 0});
}

static void test_punch_in_slices(void **state)
{
	int64_t at = 150, slices = 0;
	struct inode i;

	(void)state;
	for (int64_t k = 0; k < 10; k++)
		write_one(root, k * 100, 100, a, 0);
	OK(meta_op_begin(f.m));
	i = get(root);
	for (; at < 850; slices++)
		OK(extent_punch(f.m, root, &i, at, 850, 3, &at));
	OK(inode_put(f.m, root, &i));
	OK(meta_op_end(f.m));
	assert_in_range(slices, 3, 4);
	EXPECT(root, META_HEAD, {0, 100, a, 0}, {100, 50, a, 0}, {850, 50, a, 50}, {900, 100, a, 0});
	assert_int_equal(refs(a), 4);
}

static void test_longest_extent_is_found(void **state)
{
	struct meta_view v = {root, META_HEAD};
	struct inode i;
	struct extent e;
	size_t n;

	(void)state;
	write_one(root, 7, MAX_LEN, a, 0);
	i = get(root);
	OK(extent_scan(f.m, &v, &i, MAX_LEN + 6, MAX_LEN + 7, &e, 1, &n));
	assert_int_equal(n, 1);
	assert_int_equal(e.off, 7);
	OK(extent_scan(f.m, &v, &i, MAX_LEN + 7, INT64_MAX, &e, 1, &n));
	assert_int_equal(n, 0);
	OK(extent_scan(f.m, &v, &i, 0, 7, &e, 1, &n));
	assert_int_equal(n, 0);
}

static int64_t count(const char *sql)
{
	sqlite3_stmt *st;
	int64_t ret;

	assert_int_equal(sqlite3_prepare_v2(f.m->db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	ret = sqlite3_column_int64(st, 0);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	return ret;
}

static void purge_all(void)
{
	unsigned rows;

	do {
		OK(meta_op_begin(f.m));
		OK(extent_purge_slice(f.m, 7, &rows));
		OK(meta_op_end(f.m));
		assert_in_range(rows, 0, 8);
	} while (rows);
}

static void destroy(struct branch *br)
{
	struct inode i;

	OK(meta_op_begin(f.m));
	i = get(br);
	OK(inode_delete(f.m, br, &i));
	OK(extent_purge(f.m, br, ino, true));
	OK(meta_op_end(f.m));
}

static void test_purge(void **state)
{
	(void)state;
	for (int64_t k = 0; k < 50; k++)
		write_one(root, k * 100, 100, a, 0);
	destroy(root);
	purge_all();
	assert_int_equal(refs(a), 0);
	assert_int_equal(count("SELECT (SELECT count(*) FROM extent) + (SELECT count(*) FROM purge)"), 0);
}

/* What a view sees is closed at the deletion's epoch, however late its turn comes; what none sees goes. */
static void test_purge_keeps_what_views_see(void **state)
{
	struct meta_view v = {root, 0};
	int64_t epoch = meta_now(f.m), deleted;
	struct extent got[64];
	struct inode i;
	size_t n;

	(void)state;
	OK(meta_op_begin(f.m));
	OK(xattr_set(f.m, root, ino, "user.a", "1", 1, 0));
	OK(meta_op_end(f.m));
	for (int64_t k = 0; k < 20; k++)
		write_one(root, k * 100, 100, a, 0);
	(void)fork_now(root);
	for (int64_t k = 20; k < 50; k++)
		write_one(root, k * 100, 100, b, 0);
	deleted = meta_now(f.m);
	destroy(root);
	(void)fork_now(root);
	purge_all();
	assert_int_equal(refs(a), 20);
	assert_int_equal(refs(b), 0);
	assert_int_equal(count("SELECT count(DISTINCT until) FROM"
			       " (SELECT until FROM extent UNION ALL SELECT until FROM xattr)"), 1);
	assert_int_equal(count("SELECT max(until) FROM extent"), deleted);
	v.epoch = epoch;
	OK(inode_get(f.m, &v, ino, &i));
	OK(extent_scan(f.m, &v, &i, 0, INT64_MAX, got, 64, &n));
	assert_int_equal(n, 20);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, root_teardown)
	const struct CMUnitTest tests[] = {
		T(test_split_in_place),
		T(test_pieces_and_holes),
		T(test_pinned_rows_are_closed),
		T(test_write_into_inherited),
		T(test_truncate),
		T(test_truncate_through_levels),
		T(test_punch_in_slices),
		T(test_longest_extent_is_found),
		T(test_purge),
		T(test_purge_keeps_what_views_see),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
