#include "store/meta/dirent.h"
#include "tests/unit/meta/root_fixture.h"

#define DIR_INO 20

static int setup(void **state)
{
	(void)root_setup(state);
	while (meta_next_ino(f.m) < 1000)
		;
	return 0;
}

static void put_hashed(struct branch *b, uint64_t dir, const char *name, int64_t hash, uint64_t ino)
{
	struct meta_view v = {b, META_HEAD};
	struct dirent_row row;

	OK(meta_op_begin(f.m));
	if (hash || dirent_get(f.m, &v, dir, name, strlen(name), &row)) {
		memset(&row, 0, sizeof row);
		row.parent = dir;
		row.hash = hash ? hash : dirent_hash(f.m, name, strlen(name));
		row.name_len = (uint8_t)strlen(name);
		memcpy(row.name, name, row.name_len);
	}
	row.ino = ino;
	row.type = 8;
	OK(dirent_put(f.m, b, &row));
	OK(meta_op_end(f.m));
}

static void put(struct branch *b, const char *name, uint64_t ino)
{
	put_hashed(b, DIR_INO, name, 0, ino);
}

static void drop(struct branch *b, const char *name)
{
	struct meta_view v = {b, META_HEAD};
	struct dirent_row row;

	OK(meta_op_begin(f.m));
	OK(dirent_get(f.m, &v, DIR_INO, name, strlen(name), &row));
	OK(dirent_delete(f.m, b, &row));
	OK(meta_op_end(f.m));
}

/* 0 when the view does not show the name. */
static uint64_t at(struct branch *b, int64_t epoch, const char *name)
{
	struct meta_view v = {b, epoch};
	struct dirent_row row;
	int ret = dirent_get(f.m, &v, DIR_INO, name, strlen(name), &row);

	assert_true(ret == 0 || ret == -ENOENT);
	if (!ret)
		assert_string_equal(row.name, name);
	return ret ? 0 : row.ino;
}

static size_t rows(void)
{
	struct buf out = {0};
	size_t n;

	fixture_dump_table(f.m, "SELECT 1 FROM dirent", &out);
	n = out.len;
	buf_free(&out);
	return (n - strlen("SELECT 1 FROM dirent")) / 9;
}

static void test_put_change_delete(void **state)
{
	(void)state;
	assert_int_equal(at(root, META_HEAD, "a"), 0);
	put(root, "a", 100);
	put(root, "a", 101);
	assert_int_equal(at(root, META_HEAD, "a"), 101);
	assert_int_equal(rows(), 1);
	drop(root, "a");
	assert_int_equal(at(root, META_HEAD, "a"), 0);
	assert_int_equal(rows(), 0);
}

static void test_versions(void **state)
{
	int64_t epoch = meta_now(f.m);

	(void)state;
	put(root, "a", 100);
	(void)fork_now(root);
	drop(root, "a");
	assert_int_equal(at(root, META_HEAD, "a"), 0);
	assert_int_equal(at(root, epoch, "a"), 100);
	put(root, "a", 102);
	assert_int_equal(at(root, META_HEAD, "a"), 102);
	assert_int_equal(at(root, epoch, "a"), 100);
	assert_int_equal(rows(), 2);
}

static void test_tombstones_in_children(void **state)
{
	struct branch *child;
	int64_t epoch;

	(void)state;
	put(root, "a", 100);
	child = fork_now(root);
	put(child, "b", 101);
	drop(child, "b");
	assert_int_equal(rows(), 1);
	drop(child, "a");
	assert_int_equal(rows(), 2);
	assert_int_equal(at(child, META_HEAD, "a"), 0);
	assert_int_equal(at(root, META_HEAD, "a"), 100);
	put(child, "a", 103);
	assert_int_equal(rows(), 2);
	assert_int_equal(at(child, META_HEAD, "a"), 103);
	/* A pinned tombstone is kept for its view. */
	drop(child, "a");
	epoch = meta_now(f.m);
	(void)fork_now(child);
	put(child, "a", 104);
	assert_int_equal(at(child, META_HEAD, "a"), 104);
	assert_int_equal(at(child, epoch, "a"), 0);
}

static void test_scan(void **state)
{
	struct meta_view v;
	struct dirent_row got[16];
	struct branch *child;
	char name[8], seen[100] = {0};
	int64_t after = 0;
	size_t n, total = 0;

	(void)state;
	for (int i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof name, "%d", i);
		put(root, name, 100 + (uint64_t)i);
	}
	child = fork_now(root);
	v = (struct meta_view){child, META_HEAD};
	for (int i = 0; i < 10; i++) {
		(void)snprintf(name, sizeof name, "%d", i);
		drop(child, name);
		(void)snprintf(name, sizeof name, "%d", 50 + i);
		put(child, name, 150 + (uint64_t)i);
	}
	do {
		OK(dirent_scan(f.m, &v, DIR_INO, after, got, 8, &n));
		for (size_t i = 0; i < n; i++, total++) {
			assert_true(got[i].hash > after);
			after = got[i].hash;
			assert_int_equal(got[i].ino, 100 + (uint64_t)atoi(got[i].name));
			assert_false(seen[atoi(got[i].name)]++);
		}
	} while (n);
	assert_int_equal(total, 50);
	for (int i = 0; i < 60; i++)
		assert_int_equal(seen[i], i >= 10);
}

/* Names with one hash are never torn apart. */
static void test_scan_keeps_one_hash_together(void **state)
{
	struct meta_view v = {root, META_HEAD};
	struct dirent_row got[8];
	size_t n;

	(void)state;
	for (int i = 0; i < 6; i++) {
		char name[2] = {(char)('a' + i), 0};

		put_hashed(root, DIR_INO, name, 100 + i, 100);
	}
	put_hashed(root, DIR_INO, "x", 200, 100);
	put_hashed(root, DIR_INO, "y", 200, 101);
	put_hashed(root, DIR_INO, "z", 200, 102);
	OK(dirent_scan(f.m, &v, DIR_INO, 0, got, 8, &n));
	assert_int_equal(n, 6);
	OK(dirent_scan(f.m, &v, DIR_INO, got[n - 1].hash, got, 8, &n));
	assert_int_equal(n, 3);
	assert_string_equal(got[2].name, "z");
	OK(dirent_scan(f.m, &v, DIR_INO, 200, got, 8, &n));
	assert_int_equal(n, 0);
}

static void test_by_ino(void **state)
{
	struct meta_view v = {root, META_HEAD};
	struct branch *child;
	struct dirent_row got[4];
	size_t n;

	(void)state;
	put(root, "a", 100);
	put(root, "b", 100);
	put_hashed(root, DIR_INO + 1, "c", 0, 100);
	put(root, "d", 101);
	OK(dirent_by_ino(f.m, &v, 100, got, 4, &n));
	assert_int_equal(n, 3);
	OK(dirent_by_ino(f.m, &v, 100, got, 2, &n));
	assert_int_equal(n, 2);
	child = fork_now(root);
	v.branch = child;
	drop(child, "a");
	put(child, "b", 101);
	put(child, "e", 100);
	OK(dirent_by_ino(f.m, &v, 100, got, 4, &n));
	assert_int_equal(n, 2);
	assert_string_equal(got[0].name, "e");
	assert_string_equal(got[1].name, "c");
	assert_int_equal(got[1].parent, DIR_INO + 1);
	v.branch = root;
	OK(dirent_by_ino(f.m, &v, 100, got, 4, &n));
	assert_int_equal(n, 3);
}

static void test_names_are_bytes(void **state)
{
	struct meta_view v = {root, META_HEAD};
	struct dirent_row row = {.parent = DIR_INO, .ino = 100, .name_len = NAME_LEN_MAX};
	struct dirent_row got;

	(void)state;
	for (int i = 0; i < NAME_LEN_MAX; i++)
		row.name[i] = (char)(i == '/' ? 'x' : i + 1);
	row.hash = dirent_hash(f.m, row.name, NAME_LEN_MAX);
	assert_true(row.hash >= 16 && row.hash < 1LL << 62);
	OK(meta_op_begin(f.m));
	OK(dirent_put(f.m, root, &row));
	OK(meta_op_end(f.m));
	OK(dirent_get(f.m, &v, DIR_INO, row.name, NAME_LEN_MAX, &got));
	assert_int_equal(got.name_len, NAME_LEN_MAX);
	assert_memory_equal(got.name, row.name, NAME_LEN_MAX + 1);
	assert_int_equal(dirent_get(f.m, &v, DIR_INO, row.name, NAME_LEN_MAX - 1, &got), -ENOENT);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, root_teardown)
	const struct CMUnitTest tests[] = {
		T(test_put_change_delete), T(test_versions), T(test_tombstones_in_children), T(test_scan),
		T(test_scan_keeps_one_hash_together), T(test_by_ino), T(test_names_are_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
