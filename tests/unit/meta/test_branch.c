#include "tests/unit/meta/fixture.h"

#include "store/meta/catalog.h"

static int64_t advance(struct meta *m)
{
	int64_t epoch;

	assert_int_equal(meta_epoch_advance(m, &epoch), 0);
	return epoch;
}

static struct branch *fork_of(struct meta *m, struct branch *parent, int64_t epoch)
{
	struct meta_view view = {parent, epoch};
	struct branch *b;

	assert_int_equal(branch_create(m, &view, 10, 2, &b), 0);
	return b;
}

static struct snapshot_row snapshot(struct meta *m, struct branch *b, int64_t epoch)
{
	struct snapshot_row s = {.id = meta_next_id(m), .volume = 1, .branch = b->id, .epoch = epoch};

	(void)snprintf(s.name, sizeof s.name, "s%lld", (long long)s.id);
	assert_int_equal(snapshot_put(m, &s), 0);
	return s;
}

static void test_lineage(void **state)
{
	struct fixture f;
	struct branch *root, *child, *grandchild;
	int64_t ids[2];

	(void)state;
	fixture_open(&f);
	root = fixture_root_branch(f.m);
	assert_null(root->parent);
	assert_int_equal(branch_depth(root), 1);
	assert_int_equal(meta_op_begin(f.m), 0);
	(void)meta_next_ino(f.m);
	child = fork_of(f.m, root, advance(f.m));
	assert_ptr_equal(child->parent, root);
	assert_int_equal(child->fork_epoch, 1);
	assert_int_equal(child->ino_base, meta_last_ino(f.m));
	assert_int_equal(child->bytes, 10);
	assert_int_equal(child->inodes, 2);
	assert_int_equal(root->pinned, 1);
	grandchild = fork_of(f.m, child, advance(f.m));
	assert_int_equal(branch_depth(grandchild), 3);
	assert_int_equal(branch_cut_parent(f.m, grandchild), 0);
	assert_null(grandchild->parent);
	assert_int_equal(branch_depth(grandchild), 1);
	assert_int_equal(grandchild->origin_branch, child->id);
	assert_int_equal(grandchild->origin_epoch, 2);
	assert_int_equal(child->pinned, 0);
	assert_int_equal(meta_op_end(f.m), 0);
	assert_int_equal(meta_commit(f.m, 1, 1), 0);
	ids[0] = child->id;
	ids[1] = grandchild->id;
	fixture_reopen(&f);
	child = branch_get(f.m, ids[0]);
	grandchild = branch_get(f.m, ids[1]);
	assert_int_equal(branch_depth(child), 2);
	assert_int_equal(branch_depth(grandchild), 1);
	assert_int_equal(grandchild->origin_branch, ids[0]);
	assert_int_equal(child->parent->pinned, 1);
	fixture_close(&f);
}

struct expect {
	int64_t epoch, below, above;
	bool pinned;
};

static void assert_neighbours(struct meta *m, struct branch *b, const struct expect *want, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int64_t below, above;
		bool pinned;

		assert_int_equal(branch_neighbours(m, b, want[i].epoch, &below, &above, &pinned), 0);
		assert_int_equal(below, want[i].below);
		assert_int_equal(above, want[i].above);
		assert_int_equal(pinned, want[i].pinned);
	}
}

static void test_neighbours(void **state)
{
	static const struct expect as_head[] = {
		{1, 0, 2, false}, {2, 0, 4, true}, {3, 2, 4, false}, {4, 2, META_HEAD, true}, {5, 4, META_HEAD, false},
		{META_HEAD, 4, META_LIVE, true},
	};
	static const struct expect as_left[] = {
		{3, 2, 4, false}, {4, 2, META_LIVE, true}, {5, 4, META_LIVE, false}, {META_HEAD, 4, META_LIVE, false},
	};
	struct fixture f;
	struct branch *b;
	struct snapshot_row one, two;

	(void)state;
	fixture_open(&f);
	b = fixture_root_branch(f.m);
	assert_int_equal(meta_op_begin(f.m), 0);
	for (int i = 0; i < 6; i++)
		(void)advance(f.m);
	one = snapshot(f.m, b, 4);
	two = snapshot(f.m, b, 4);
	(void)fork_of(f.m, b, 2);
	assert_int_equal(b->pinned, 4);
	assert_neighbours(f.m, b, as_head, sizeof as_head / sizeof *as_head);
	assert_int_equal(branch_set_head(f.m, b, false), 0);
	assert_neighbours(f.m, b, as_left, sizeof as_left / sizeof *as_left);
	/* Two snapshots pin one view: it goes with the second. */
	assert_int_equal(snapshot_delete(f.m, one.id), 0);
	assert_int_equal(b->pinned, 4);
	assert_int_equal(snapshot_delete(f.m, two.id), 0);
	assert_int_equal(b->pinned, 2);
	assert_int_equal(meta_op_end(f.m), 0);
	fixture_close(&f);
}

static void test_delete(void **state)
{
	struct fixture f;
	struct branch *root, *child;
	struct value xattr[] = {VI(0), VI(16), VB("x", 1), VI(META_LIVE), VI(1), VB("", 0)};

	(void)state;
	fixture_open(&f);
	root = fixture_root_branch(f.m);
	assert_int_equal(meta_op_begin(f.m), 0);
	assert_int_equal(branch_delete(f.m, root), -EBUSY);
	assert_int_equal(branch_set_head(f.m, root, false), 0);
	child = fork_of(f.m, root, advance(f.m));
	assert_int_equal(branch_delete(f.m, root), -EBUSY);
	xattr[0] = VI(child->id);
	assert_int_equal(row_put(f.m, T_XATTR, xattr), 0);
	assert_int_equal(branch_delete(f.m, child), -ENOTEMPTY);
	assert_int_equal(row_delete(f.m, T_XATTR, xattr), 0);
	assert_int_equal(branch_delete(f.m, child), 0);
	assert_true(child->dead);
	assert_null(branch_get(f.m, child->id));
	assert_int_equal(root->pinned, 0);
	assert_int_equal(branch_delete(f.m, root), 0);
	meta_op_abort(f.m);
	assert_ptr_equal(branch_get(f.m, root->id), root);
	assert_true(root->head);
	assert_true(child->dead);
	fixture_close(&f);
}

static int count_branch(void *arg, struct branch *b)
{
	assert_false(b->dead);
	++*(int *)arg;
	return b->id == 3 ? 77 : 0;
}

/* More branches than buckets: found by id all the same. */
static void test_many(void **state)
{
	struct fixture f;
	struct branch *root;
	int n = 0;

	(void)state;
	fixture_open(&f);
	root = fixture_root_branch(f.m);
	assert_int_equal(meta_op_begin(f.m), 0);
	(void)advance(f.m);
	for (int i = 0; i < 2 * META_BRANCH_BUCKETS; i++)
		(void)fork_of(f.m, root, 1);
	assert_int_equal(meta_op_end(f.m), 0);
	for (int64_t id = 1; id <= 2 * META_BRANCH_BUCKETS; id++)
		assert_int_equal(branch_get(f.m, id)->id, id);
	assert_null(branch_get(f.m, 1000000));
	assert_int_equal(branch_each(f.m, count_branch, &n), 77);
	assert_true(n >= 1 && n < 2 * META_BRANCH_BUCKETS);
	fixture_close(&f);
}

/* A lineage that is a circle would never end: such rows are refused. */
static void test_circle(void **state)
{
	struct fixture f;
	struct value cols[] = {VI(1), VI(2), VI(1), VI(0), VI(0), VI(0), VI(0), VI(0), VI(0)};
	struct branch *root;

	(void)state;
	fixture_open(&f);
	root = fixture_root_branch(f.m);
	assert_int_equal(meta_op_begin(f.m), 0);
	(void)advance(f.m);
	(void)fork_of(f.m, root, 1);
	assert_int_equal(row_update(f.m, T_BRANCH, cols), -ECORRUPT);
	cols[1] = VI(1);
	assert_int_equal(row_update(f.m, T_BRANCH, cols), -ECORRUPT);
	cols[1] = VI(99);
	assert_int_equal(row_update(f.m, T_BRANCH, cols), -ECORRUPT);
	meta_op_abort(f.m);
	assert_null(root->parent);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lineage), cmocka_unit_test(test_neighbours), cmocka_unit_test(test_delete),
		cmocka_unit_test(test_many),	cmocka_unit_test(test_circle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
