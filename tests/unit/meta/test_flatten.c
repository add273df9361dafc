#include <sys/stat.h>

#include "store/meta/chunk_table.h"
#include "store/meta/dirent.h"
#include "store/meta/extent_map.h"
#include "store/meta/inode.h"
#include "store/meta/xattr.h"
#include "tests/unit/meta/root_fixture.h"

#define FILES 30
#define PAGE 4096

static uint64_t dir, ino[FILES], chunk;

static void name_of(int k, struct dirent_row *row)
{
	*row = (struct dirent_row){.parent = dir, .ino = ino[k], .type = 8};
	row->name_len = (uint8_t)snprintf(row->name, sizeof row->name, "file%d", k);
	row->hash = dirent_hash(f.m, row->name, row->name_len);
}

/* A directory of files with an entry, an xattr and three extents each. */
static int setup(void **state)
{
	struct inode i = {.mode = S_IFDIR | 0700, .nlink = 1, .inherit = INHERIT_ALL};
	struct chunk_row c = {.pack = 1, .stored_len = 1, .raw_len = PAGE};

	(void)root_setup(state);
	OK(meta_op_begin(f.m));
	OK(chunk_add(f.m, &c));
	chunk = c.id;
	dir = i.ino = meta_next_ino(f.m);
	OK(inode_put(f.m, root, &i));
	for (int k = 0; k < FILES; k++) {
		struct inode file = {.ino = meta_next_ino(f.m), .mode = S_IFREG | 0600, .nlink = 1,
				     .inherit = INHERIT_ALL};
		struct dirent_row row;

		ino[k] = file.ino;
		name_of(k, &row);
		OK(dirent_put(f.m, root, &row));
		OK(xattr_set(f.m, root, ino[k], "user.k", "value", 5, 0));
		for (int64_t off = 0; off < 3 * PAGE; off += PAGE)
			OK(extent_write(f.m, root, &file, off, PAGE, &(struct extent){off, PAGE, chunk, 0}, 1));
		OK(inode_put(f.m, root, &file));
	}
	OK(meta_op_end(f.m));
	return 0;
}

/* What a view shows, in words. */
static struct buf describe(struct branch *b, int64_t epoch)
{
	struct meta_view v = {b, epoch};
	struct dirent_row rows[64];
	struct inode inodes[64];
	struct buf out = {0};
	size_t n, k;

	OK(inode_scan(f.m, &v, 0, inodes, 64, &n));
	for (size_t i = 0; i < n; i++) {
		struct extent e[8];

		OK(buf_add_le64(&out, inodes[i].ino));
		OK(buf_add_le64(&out, (uint64_t)inodes[i].alloc));
		OK(buf_add_le32(&out, inodes[i].uid));
		OK(xattr_list(f.m, &v, inodes[i].ino, &out));
		OK(extent_scan(f.m, &v, &inodes[i], 0, INT64_MAX, e, 8, &k));
		for (size_t x = 0; x < k; x++) {
			OK(buf_add_le64(&out, (uint64_t)e[x].off));
			OK(buf_add_le64(&out, (uint64_t)e[x].len));
		}
	}
	OK(dirent_scan(f.m, &v, dir, 0, rows, 64, &n));
	for (size_t i = 0; i < n; i++)
		OK(buf_add(&out, rows[i].name, rows[i].name_len + 1u));
	return out;
}

static void assert_same(struct branch *b, int64_t epoch, const struct buf *want)
{
	struct buf got = describe(b, epoch);

	assert_int_equal(got.len, want->len);
	assert_memory_equal(got.data, want->data, want->len);
	buf_free(&got);
}

static bool slice(struct branch *b, struct flatten_cursor *cursor, unsigned rows)
{
	bool done;

	OK(meta_op_begin(f.m));
	OK(flatten_slice(f.m, b, cursor, rows, &done));
	OK(meta_op_end(f.m));
	return done;
}

/* A little of everything, in the k-th file. */
static void disturb(struct branch *b, int k)
{
	struct meta_view v = {b, META_HEAD};
	struct dirent_row row;
	struct inode i;
	bool done;

	OK(meta_op_begin(f.m));
	OK(inode_get(f.m, &v, ino[k], &i));
	i.uid = 77;
	if (k % 3 == 0)
		OK(extent_truncate(f.m, b, &i, PAGE + 1, 100, &done));
	if (k % 3 == 1)
		OK(extent_write(f.m, b, &i, PAGE / 2, PAGE, &(struct extent){PAGE / 2, PAGE, 0, 0}, 1));
	OK(inode_put(f.m, b, &i));
	OK(xattr_delete(f.m, b, ino[k], "user.k"));
	if (k % 3 == 2) {
		name_of(k, &row);
		OK(dirent_get(f.m, &v, dir, row.name, row.name_len, &row));
		OK(dirent_delete(f.m, b, &row));
		OK(inode_delete(f.m, b, &i));
		OK(extent_purge(f.m, b, ino[k], true));
	}
	OK(meta_op_end(f.m));
}

static int64_t refs(void)
{
	struct chunk_row row;

	OK(chunk_get(f.m, chunk, &row));
	return row.refs;
}

static void test_copies_all_and_cuts(void **state)
{
	struct branch *child = fork_now(root);
	struct buf want = describe(child, META_HEAD);
	struct flatten_cursor cursor = {0};
	struct reap_task t;

	(void)state;
	while (!slice(child, &cursor, 7))
		assert_same(child, META_HEAD, &want);
	assert_same(child, META_HEAD, &want);
	assert_null(child->parent);
	assert_int_equal(child->origin_branch, root->id);
	assert_int_equal(branch_depth(child), 1);
	assert_int_equal(refs(), 2 * 3 * FILES);
	OK(reap_first(f.m, &t)); /* the fork's view of the parent */
	assert_int_equal(t.branch, root->id);
	assert_int_equal(root->pinned, 0);
	buf_free(&want);
	assert_true(slice(child, &cursor, 7));
}

static void test_views_of_the_branch_read_the_same(void **state)
{
	struct branch *middle = fork_now(root), *b;
	struct buf want[4];
	int64_t epoch[4];
	struct flatten_cursor cursor = {0};
	bool done = false;

	(void)state;
	disturb(middle, 0);
	disturb(middle, 1);
	disturb(middle, 2);
	b = fork_now(middle);
	for (int k = 0; k < 3; k++) {
		epoch[k] = meta_now(f.m);
		(void)fork_now(b);
		want[k] = describe(b, epoch[k]);
		for (int x = 0; x < 3; x++)
			disturb(b, 3 + 3 * k + x);
	}
	epoch[3] = META_HEAD;
	for (int turn = 0; !done; turn++) {
		want[3] = describe(b, META_HEAD);
		done = slice(b, &cursor, 11);
		for (int k = 0; k < 4; k++)
			assert_same(b, epoch[k], &want[k]);
		buf_free(&want[3]);
		/* changes between the slices, before and behind the cursor */
		if (turn < 6)
			disturb(b, turn % 2 ? 12 + turn : FILES - 1 - turn);
	}
	for (int k = 0; k < 3; k++) {
		assert_same(b, epoch[k], &want[k]);
		buf_free(&want[k]);
	}
}

/* After a restart the cursor is lost: copying anew adds nothing. */
static void test_starts_over(void **state)
{
	struct branch *child = fork_now(root);
	struct buf want = describe(child, META_HEAD);
	struct flatten_cursor cursor = {0};

	(void)state;
	for (int k = 0; k < 8; k++)
		assert_false(slice(child, &cursor, 10));
	memset(&cursor, 0, sizeof cursor);
	while (!slice(child, &cursor, 10))
		assert_same(child, META_HEAD, &want);
	assert_same(child, META_HEAD, &want);
	assert_int_equal(refs(), 2 * 3 * FILES);
	buf_free(&want);
}

/* A branch that nobody looks at is cut without copying. */
static void test_dying_branch(void **state)
{
	struct branch *child = fork_now(root);
	struct flatten_cursor cursor = {0};

	(void)state;
	OK(meta_op_begin(f.m));
	OK(reap_drop_view(f.m, child, META_HEAD));
	OK(meta_op_end(f.m));
	assert_true(slice(child, &cursor, 10));
	assert_int_equal(refs(), 3 * FILES);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, root_teardown)
	const struct CMUnitTest tests[] = {
		T(test_copies_all_and_cuts),
		T(test_views_of_the_branch_read_the_same),
		T(test_starts_over),
		T(test_dying_branch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
