#include "store/meta/xattr.h"
#include "store/base/limits.h"
#include "tests/unit/meta/root_fixture.h"

#define INO 20

static int setup(void **state)
{
	(void)root_setup(state);
	while (meta_next_ino(f.m) < 1000)
		;
	return 0;
}

static int set(struct branch *b, const char *name, const char *value, int flags)
{
	int ret;

	OK(meta_op_begin(f.m));
	ret = xattr_set(f.m, b, INO, name, value, strlen(value), flags);
	OK(meta_op_end(f.m));
	return ret;
}

static int drop(struct branch *b, const char *name)
{
	int ret;

	OK(meta_op_begin(f.m));
	ret = xattr_delete(f.m, b, INO, name);
	OK(meta_op_end(f.m));
	return ret;
}

static void assert_value(struct branch *b, int64_t epoch, const char *name, const char *want)
{
	struct meta_view v = {b, epoch};
	void *value = NULL;
	size_t len;

	if (!want) {
		assert_int_equal(xattr_get(f.m, &v, INO, name, &value, &len), -ENODATA);
		assert_null(value);
		return;
	}
	OK(xattr_get(f.m, &v, INO, name, &value, &len));
	assert_int_equal(len, strlen(want));
	assert_memory_equal(value, want, len);
	free(value);
}

static void assert_list(struct branch *b, const char *want, size_t len)
{
	struct meta_view v = {b, META_HEAD};
	struct buf got = {0};

	OK(xattr_list(f.m, &v, INO, &got));
	assert_int_equal(got.len, len);
	if (len)
		assert_memory_equal(got.data, want, len);
	buf_free(&got);
}

static void test_set_flags(void **state)
{
	(void)state;
	assert_int_equal(set(root, "user.a", "1", XATTR_SET_REPLACE), -ENODATA);
	OK(set(root, "user.a", "1", XATTR_SET_CREATE));
	assert_int_equal(set(root, "user.a", "2", XATTR_SET_CREATE), -EEXIST);
	assert_value(root, META_HEAD, "user.a", "1");
	OK(set(root, "user.a", "", XATTR_SET_REPLACE));
	assert_value(root, META_HEAD, "user.a", "");
	OK(drop(root, "user.a"));
	assert_int_equal(drop(root, "user.a"), -ENODATA);
	assert_value(root, META_HEAD, "user.a", NULL);
}

static void test_versions_and_tombstones(void **state)
{
	int64_t e1, e2;
	struct branch *child;

	(void)state;
	OK(set(root, "user.a", "old", 0));
	child = fork_now(root);
	e1 = child->fork_epoch;
	OK(set(root, "user.a", "new", 0));
	assert_value(root, e1, "user.a", "old");
	assert_value(root, META_HEAD, "user.a", "new");
	assert_value(child, META_HEAD, "user.a", "old");
	OK(drop(child, "user.a"));
	assert_value(child, META_HEAD, "user.a", NULL);
	assert_int_equal(drop(child, "user.a"), -ENODATA);
	e2 = fork_now(child)->fork_epoch;
	OK(set(child, "user.a", "again", XATTR_SET_CREATE));
	assert_value(child, META_HEAD, "user.a", "again");
	assert_value(child, e2, "user.a", NULL);
}

static void test_list(void **state)
{
	struct branch *child;

	(void)state;
	assert_list(root, NULL, 0);
	OK(set(root, "user.b", "1", 0));
	OK(set(root, "user.a", "1", 0));
	OK(set(root, XATTR_SYMLINK_TARGET, "/somewhere", 0));
	assert_list(root, "user.a\0user.b", 14);
	assert_value(root, META_HEAD, XATTR_SYMLINK_TARGET, "/somewhere");
	child = fork_now(root);
	OK(drop(child, "user.a"));
	OK(set(child, "user.aa", "1", 0));
	assert_list(child, "user.aa\0user.b", 15);
	assert_list(root, "user.a\0user.b", 14);
}

static void test_longest(void **state)
{
	struct meta_view v = {root, META_HEAD};
	char name[XATTR_NAME_MAX + 1];
	char *value = malloc(XATTR_VALUE_MAX);
	void *got;
	size_t len;

	(void)state;
	assert_non_null(value);
	memset(name, 'n', XATTR_NAME_MAX);
	name[XATTR_NAME_MAX] = '\0';
	memset(value, 'v', XATTR_VALUE_MAX);
	OK(meta_op_begin(f.m));
	OK(xattr_set(f.m, root, INO, name, value, XATTR_VALUE_MAX, 0));
	OK(meta_op_end(f.m));
	v.epoch = fork_now(root)->fork_epoch;
	OK(set(root, name, "short", 0));
	assert_value(root, META_HEAD, name, "short");
	OK(xattr_get(f.m, &v, INO, name, &got, &len));
	assert_int_equal(len, XATTR_VALUE_MAX);
	assert_memory_equal(got, value, len);
	free(got);
	free(value);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, root_teardown)
	const struct CMUnitTest tests[] = {
		T(test_set_flags), T(test_versions_and_tombstones), T(test_list), T(test_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
