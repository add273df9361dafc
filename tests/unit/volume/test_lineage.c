/* Clone and rollback, in what the model of tests/model does not look at closely. */
#include "store/volume/store_internal.h"
#include "tests/unit/volume/store_fixture.h"

#define LEN 50000

/* v holds a kept file and folder, and a file and a folder that had no name left when v@s was taken; the nodes of these. */
static void make_nameless(struct store_fixture *f, uint64_t *ret_file, uint64_t *ret_dir)
{
	struct snapshot_name name = {"v", "s"};
	struct attr dir;
	struct err err = {0};

	ns_keep_orphans(f->s, true);
	(void)fixture_file(f, f->vol.root_node, "kept", 1, LEN);
	*ret_file = fixture_file(f, f->vol.root_node, "gone", 2, LEN);
	assert_int_equal(ns_create(f->s, &fixture_op, f->vol.root_node, "d", S_IFDIR | 0755, 0, NULL, &dir), 0);
	*ret_dir = dir.node;
	assert_int_equal(ns_rmdir(f->s, &fixture_op, f->vol.root_node, "d"), 0);
	assert_int_equal(ns_unlink(f->s, &fixture_op, f->vol.root_node, "gone"), 0);
	assert_int_equal(snapshot_create(f->s, &name, 1, NULL, NULL, &err), 0);
}

static void assert_totals(struct store_fixture *f, const char *volume, int64_t bytes, int64_t inodes)
{
	struct volume_info info;
	struct err err = {0};

	assert_int_equal(volume_get(f->s, volume, &info, &err), 0);
	assert_int_equal(info.bytes, bytes);
	assert_int_equal(info.inodes, inodes);
}

/* A clone has only what a name leads to; its source goes on with what is open. */
static void test_clone_leaves_nameless(void **state)
{
	struct store_fixture *f = *state;
	struct volume_info copy;
	uint64_t file, dir;
	struct attr attr;
	struct err err = {0};

	make_nameless(f, &file, &dir);
	assert_int_equal(snapshot_clone(f->s, "v", "s", "of-snapshot", NULL, &copy, NULL, &err), 0);
	assert_int_equal(copy.bytes, LEN);
	assert_int_equal(copy.inodes, 2);
	assert_int_equal(snapshot_clone(f->s, "v", "", "of-now", NULL, &copy, NULL, &err), 0);
	assert_totals(f, "of-now", LEN, 2);
	assert_totals(f, "v", 2 * LEN, 4);
	assert_int_equal(ns_getattr(f->s, file, &attr), 0);
	assert_int_equal(ns_forget(f->s, file), 0);
	assert_int_equal(ns_forget(f->s, dir), 0);
	assert_totals(f, "v", LEN, 2);
	assert_int_equal(snapshot_clone(f->s, "v", "s", "later", NULL, &copy, NULL, &err), 0);
	assert_totals(f, "later", LEN, 2);
}

/* A folder's node goes on over a rollback, so that what still knows it keeps it. */
static void test_rollback_leaves_nameless(void **state)
{
	struct store_fixture *f = *state;
	char saved[VOLUME_NAME_MAX + 1];
	uint64_t file, dir;
	struct attr attr;
	struct err err = {0};

	make_nameless(f, &file, &dir);
	assert_int_equal(snapshot_rollback(f->s, "v", "s", true, saved, NULL, &err), 0);
	assert_totals(f, "v", LEN, 3);
	assert_int_equal(ns_getattr(f->s, file, &attr), 0); /* of before the rollback: what is open reads it */
	assert_int_equal(ns_getattr(f->s, dir, &attr), 0);
	assert_int_equal(ns_forget(f->s, dir), 0);
	assert_totals(f, "v", LEN, 2);
}

/* Between the cut and the freeing somebody opens files of the new head and removes their names: they stay. */
static void test_opened_since_stays(void **state)
{
	struct store_fixture *f = *state;
	char saved[VOLUME_NAME_MAX + 1];
	uint64_t file, dir, later;
	struct volume_row row;
	struct attr kept, attr;
	struct err err = {0};

	make_nameless(f, &file, &dir);
	assert_int_equal(snapshot_rollback(f->s, "v", "s", true, saved, NULL, &err), 0);
	assert_int_equal(ns_lookup(f->s, f->vol.root_node, "kept", &kept), 0);
	later = fixture_file(f, f->vol.root_node, "later", 3, LEN);
	assert_int_equal(ns_unlink(f->s, &fixture_op, f->vol.root_node, "kept"), 0);
	assert_int_equal(ns_unlink(f->s, &fixture_op, f->vol.root_node, "later"), 0);
	assert_int_equal(volume_by_name(f->s->meta, "v", &row), 0);
	assert_int_equal(orphans_free_inherited(f->s, row.branch, false), 0);
	volume_row_free(&row);
	assert_int_equal(ns_getattr(f->s, kept.node, &attr), 0);
	assert_int_equal(ns_getattr(f->s, later, &attr), 0);
}

/* What a crash left to be done is done when the store is opened. */
static void test_opening_frees(void **state)
{
	struct store_fixture *f = *state;
	char saved[VOLUME_NAME_MAX + 1];
	uint64_t file, dir;
	struct err err = {0};

	make_nameless(f, &file, &dir);
	assert_int_equal(snapshot_rollback(f->s, "v", "s", true, saved, NULL, &err), 0);
	store_fixture_crash(f);
	assert_totals(f, "v", LEN, 2);
	assert_int_equal(snapshot_rollback(f->s, "v", "s", true, saved, NULL, &err), 0);
	assert_int_equal(orphans_free_all(f->s), 0);
	assert_totals(f, "v", LEN, 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, store_fixture_setup, store_fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_clone_leaves_nameless),
		T(test_rollback_leaves_nameless),
		T(test_opened_since_stays),
		T(test_opening_frees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
