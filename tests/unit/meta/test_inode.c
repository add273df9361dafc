#include <sys/stat.h>

#include "store/meta/inode.h"
#include "tests/unit/meta/root_fixture.h"

static uint64_t make(struct branch *b, uint32_t uid)
{
	struct inode i = {.mode = S_IFREG | 0600, .uid = uid, .nlink = 1, .inherit = INHERIT_ALL};

	OK(meta_op_begin(f.m));
	i.ino = meta_next_ino(f.m);
	OK(inode_put(f.m, b, &i));
	OK(meta_op_end(f.m));
	return i.ino;
}

static void set_uid(struct branch *b, uint64_t ino, uint32_t uid)
{
	struct meta_view v = {b, META_HEAD};
	struct inode i;

	OK(meta_op_begin(f.m));
	OK(inode_get(f.m, &v, ino, &i));
	i.uid = uid;
	OK(inode_put(f.m, b, &i));
	assert_int_equal(i.row_branch, b->id);
	OK(meta_op_end(f.m));
}

static void drop(struct branch *b, uint64_t ino)
{
	struct meta_view v = {b, META_HEAD};
	struct inode i;

	OK(meta_op_begin(f.m));
	OK(inode_get(f.m, &v, ino, &i));
	OK(inode_delete(f.m, b, &i));
	OK(meta_op_end(f.m));
}

/* The uid that a view shows, -1 when it shows no inode. */
static int uid_at(struct branch *b, int64_t epoch, uint64_t ino)
{
	struct meta_view v = {b, epoch};
	struct inode i;
	int ret = inode_get(f.m, &v, ino, &i);

	assert_true(ret == 0 || ret == -ENOENT);
	return ret ? -1 : (int)i.uid;
}

static size_t rows(void)
{
	struct buf out = {0};
	size_t n;

	fixture_dump_table(f.m, "SELECT 1 FROM inode", &out);
	n = out.len;
	buf_free(&out);
	return (n - strlen("SELECT 1 FROM inode")) / 9;
}

static void test_fields_round_trip(void **state)
{
	struct inode in = {
		.mode = S_IFDIR | 07777,
		.uid = UINT32_MAX,
		.gid = 7,
		.nlink = 3,
		.rdev = UINT64_MAX,
		.size = 1LL << 45,
		.alloc = 4096,
		.atime = -5,
		.mtime = INT64_MAX,
		.ctime = 6,
		.btime = INT64_MIN,
		.inherit = 99,
		.parent = 12345,
		.flags = INODE_HAS_CAPS,
	};
	struct meta_view v = {root, META_HEAD};
	struct inode out;

	(void)state;
	OK(meta_op_begin(f.m));
	in.ino = meta_next_ino(f.m);
	OK(inode_put(f.m, root, &in));
	OK(meta_op_end(f.m));
	OK(inode_get(f.m, &v, in.ino, &out));
	assert_int_equal(out.ino, in.ino);
	assert_int_equal(out.mode, in.mode);
	assert_int_equal(out.uid, in.uid);
	assert_int_equal(out.gid, in.gid);
	assert_int_equal(out.nlink, in.nlink);
	assert_true(out.rdev == in.rdev);
	assert_true(out.size == in.size && out.alloc == in.alloc);
	assert_true(out.atime == in.atime && out.mtime == in.mtime && out.ctime == in.ctime && out.btime == in.btime);
	assert_int_equal(out.inherit, 99);
	assert_int_equal(out.parent, in.parent);
	assert_int_equal(out.flags, in.flags);
	assert_int_equal(out.row_branch, root->id);
	assert_int_equal(out.row_since, meta_now(f.m));
}

static void test_in_place_until_pinned(void **state)
{
	uint64_t ino = make(root, 1);
	struct branch *child;
	int64_t epoch = meta_now(f.m);

	(void)state;
	set_uid(root, ino, 2);
	assert_int_equal(rows(), 1);
	child = fork_now(root);
	set_uid(root, ino, 3);
	set_uid(root, ino, 4);
	assert_int_equal(rows(), 2);
	assert_int_equal(uid_at(root, META_HEAD, ino), 4);
	assert_int_equal(uid_at(root, epoch, ino), 2);
	assert_int_equal(uid_at(root, epoch - 1, ino), -1);
	assert_int_equal(uid_at(child, META_HEAD, ino), 2);
	set_uid(child, ino, 5);
	assert_int_equal(uid_at(child, META_HEAD, ino), 5);
	assert_int_equal(uid_at(root, META_HEAD, ino), 4);
}

static void test_tombstone_only_over_ancestors(void **state)
{
	uint64_t old = make(root, 1), young;
	struct branch *child = fork_now(root), *grandchild;

	(void)state;
	young = make(child, 2);
	assert_int_equal(rows(), 2);
	drop(child, young);
	assert_int_equal(rows(), 1);
	drop(child, old);
	assert_int_equal(rows(), 2);
	assert_int_equal(uid_at(child, META_HEAD, old), -1);
	assert_int_equal(uid_at(root, META_HEAD, old), 1);
	grandchild = fork_now(child);
	assert_int_equal(uid_at(grandchild, META_HEAD, old), -1);
}

/* An inode made in the parent after the fork is above ino_base and invisible to the child. */
static void test_parent_after_fork_is_invisible(void **state)
{
	struct branch *child = fork_now(root);
	uint64_t ino = make(root, 1);

	(void)state;
	assert_int_equal(uid_at(child, META_HEAD, ino), -1);
}

static void test_scan_merges_levels(void **state)
{
	uint64_t ino[6];
	struct branch *child;
	struct meta_view v;
	struct inode got[6];
	size_t n;

	(void)state;
	for (int i = 0; i < 5; i++)
		ino[i] = make(root, (uint32_t)i);
	child = fork_now(root);
	drop(child, ino[1]);
	set_uid(child, ino[2], 22);
	drop(root, ino[3]);
	ino[5] = make(child, 5);
	v = (struct meta_view){child, META_HEAD};
	OK(inode_scan(f.m, &v, 0, got, 6, &n));
	assert_int_equal(n, 5);
	assert_int_equal(got[0].ino, ino[0]);
	assert_int_equal(got[1].ino, ino[2]);
	assert_int_equal(got[1].uid, 22);
	assert_int_equal(got[2].ino, ino[3]);
	assert_int_equal(got[4].ino, ino[5]);
	OK(inode_scan(f.m, &v, ino[2], got, 1, &n));
	assert_int_equal(n, 1);
	assert_int_equal(got[0].ino, ino[3]);
	OK(inode_scan(f.m, &v, ino[5], got, 1, &n));
	assert_int_equal(n, 0);
}

/* The bound of an ancestor's inode is about what that ancestor inherits, and is not taken over. */
static void test_inherit_is_per_level(void **state)
{
	uint64_t ino = make(root, 1);
	struct branch *child = fork_now(root), *grandchild;
	struct meta_view v = {child, META_HEAD};
	struct inode i;

	(void)state;
	OK(meta_op_begin(f.m));
	OK(inode_get(f.m, &v, ino, &i));
	assert_int_equal(i.inherit, INHERIT_ALL);
	i.inherit = 10;
	OK(inode_put(f.m, child, &i));
	OK(meta_op_end(f.m));
	OK(inode_get(f.m, &v, ino, &i));
	assert_int_equal(i.inherit, 10);
	grandchild = fork_now(child);
	v.branch = grandchild;
	OK(inode_get(f.m, &v, ino, &i));
	assert_int_equal(i.inherit, INHERIT_ALL);
}

static void put(struct branch *b, uint64_t number, uint32_t nlink)
{
	struct inode i;
	const struct meta_view v = {b, META_HEAD};

	OK(meta_op_begin(f.m));
	if (inode_get(f.m, &v, number, &i))
		i = (struct inode){.ino = number, .mode = S_IFREG | 0600};
	i.nlink = nlink;
	OK(inode_put(f.m, b, &i));
	OK(meta_op_end(f.m));
}

static void assert_orphans(struct branch *b, size_t n, const uint64_t *want)
{
	const struct meta_view v = {b, META_HEAD};
	uint64_t number = 0;

	for (size_t i = 0; i < n; i++) {
		OK(orphan_next(f.m, &v, &number));
		assert_int_equal(number, want[i]);
	}
	assert_int_equal(orphan_next(f.m, &v, &number), 1);
}

/* Each view has those that have no name in it: of its own rows and of those that it inherits, as they were then. */
static void test_orphans(void **state)
{
	struct meta_view v = {.epoch = META_HEAD};
	struct branch *child, *copy;
	struct inode i;

	(void)state;
	assert_orphans(root, 0, NULL);
	put(root, 20, 1);
	put(root, 30, 0);
	put(root, 25, 0);
	assert_orphans(root, 2, (uint64_t[]){25, 30});
	child = fork_now(root);
	put(root, 25, 1); /* linked again: a file of O_TMPFILE */
	put(root, 20, 0);
	assert_orphans(root, 2, (uint64_t[]){20, 30});
	assert_orphans(child, 2, (uint64_t[]){25, 30});
	put(child, 22, 0);
	v.branch = child;
	OK(meta_op_begin(f.m));
	OK(inode_get(f.m, &v, 25, &i));
	OK(inode_delete(f.m, child, &i));
	OK(meta_op_end(f.m));
	assert_orphans(child, 2, (uint64_t[]){22, 30});
	copy = fork_now(child);
	put(child, 30, 1);
	assert_orphans(child, 1, (uint64_t[]){22});
	assert_orphans(copy, 2, (uint64_t[]){22, 30});
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, root_setup, root_teardown)
	const struct CMUnitTest tests[] = {
		T(test_fields_round_trip),
		T(test_in_place_until_pinned),
		T(test_tombstone_only_over_ancestors),
		T(test_parent_after_fork_is_invisible),
		T(test_scan_merges_levels),
		T(test_inherit_is_per_level),
		T(test_orphans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
