/* Drafts: unseen until they are published, gone when they are not. */
#include "store/volume/draft.h"

#include "store/meta/catalog.h"
#include "store/volume/store_internal.h"
#include "tests/unit/volume/store_fixture.h"

#define LEN 200000

static size_t volumes(struct store_fixture *f)
{
	struct volume_info *list;
	struct err err = {0};
	size_t n;

	assert_int_equal(volume_list(f->s, &list, &n, &err), 0);
	free(list);
	return n;
}

static void expect_no_draft(struct store_fixture *f)
{
	struct volume_row row;

	assert_true(volume_next_hidden(f->s->meta, NULL, &row) > 0);
}

static void test_new(void **state)
{
	struct store_fixture *f = *state;
	struct volume_options opts = {.set = VOLUME_SET_QUOTA | VOLUME_SET_MODE, .quota_bytes = LEN, .mode = 0700};
	char saved[VOLUME_NAME_MAX + 1] = "x";
	struct volume_info info;
	struct attr attr;
	struct err err = {0};
	struct draft d;
	uint64_t node;

	assert_int_equal(draft_new(f->s, "v", &opts, false, &d, &err), -EEXIST);
	assert_int_equal(draft_new(f->s, "a b", &opts, false, &d, &err), -EINVAL);
	assert_int_equal(draft_new(f->s, "new", &opts, true, &d, &err), 0);
	node = fixture_file(f, d.root_node, "a", 1, LEN);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(file_write(f->s, &fixture_op, node, "x", 1, LEN, 0, false), -EDQUOT);
	assert_int_equal(volumes(f), 1);
	assert_int_equal(ns_lookup(f->s, NODE_ROOT, "new", &attr), -ENOENT);
	assert_int_equal(draft_publish(f->s, &d, saved, &info, &err), 0);
	assert_string_equal(saved, "");
	assert_int_equal(info.quota_bytes, LEN);
	assert_int_equal(volumes(f), 2);
	store_fixture_crash(f);
	assert_int_equal(ns_lookup(f->s, NODE_ROOT, "new", &attr), 0);
	assert_int_equal(attr.node, d.root_node);
	assert_int_equal(attr.mode, S_IFDIR | 0700);
	fixture_expect(f, attr.node, "a", 1, LEN);
	expect_no_draft(f);
}

/* Taken by somebody else meanwhile: the draft stays one, and can be dropped. */
static void test_name_taken(void **state)
{
	struct store_fixture *f = *state;
	char saved[VOLUME_NAME_MAX + 1];
	struct volume_info info;
	struct err err = {0};
	struct draft d;

	assert_int_equal(draft_new(f->s, "new", NULL, true, &d, &err), 0);
	fixture_file(f, d.root_node, "a", 1, LEN);
	assert_int_equal(volume_create(f->s, "new", NULL, &info, &err), 0);
	assert_int_equal(draft_publish(f->s, &d, saved, &info, &err), -EEXIST);
	draft_drop(f->s, &d);
	expect_no_draft(f);
	fixture_maintain(f);
	struct store_space space;
	assert_int_equal(store_space(f->s, &space), 0);
	assert_int_equal(space.chunks, 0);
}

static void test_replace(void **state)
{
	struct store_fixture *f = *state;
	struct attr want = {.mode = 01770, .uid = 5, .gid = 6}, attr;
	char saved[VOLUME_NAME_MAX + 1];
	struct volume_info info;
	struct snapshot_info si;
	struct err err = {0};
	struct draft d;
	uint64_t old;

	assert_int_equal(
		ns_setattr(f->s, &fixture_op, f->vol.root_node, &want, NS_SET_MODE | NS_SET_UID | NS_SET_GID, &attr),
		0);
	old = fixture_file(f, f->vol.root_node, "old", 1, LEN);
	assert_int_equal(file_open(f->s, &fixture_op, old, FILE_OPEN_WRITE, 1), 0);
	assert_int_equal(draft_new(f->s, "v", NULL, true, &d, &err), -EBUSY);
	file_release(f->s, old, FILE_OPEN_WRITE);
	assert_int_equal(draft_new(f->s, "v", NULL, true, &d, &err), 0);
	fixture_file(f, d.root_node, "new", 2, LEN);
	fixture_expect(f, f->vol.root_node, "old", 1, LEN);
	assert_int_equal(file_open(f->s, &fixture_op, old, FILE_OPEN_WRITE, 1), 0);
	assert_int_equal(draft_publish(f->s, &d, saved, &info, &err), -EBUSY);
	file_release(f->s, old, FILE_OPEN_WRITE);
	err = (struct err){0};
	if (draft_publish(f->s, &d, saved, &info, &err))
		fail_msg("draft_publish: %s", err.text);
	assert_int_equal(strncmp(saved, "pre-import-", 11), 0);
	store_fixture_crash(f);
	expect_no_draft(f);
	/* the same node shows the new content, under the old owner and mode */
	assert_int_equal(info.root_node, f->vol.root_node);
	assert_int_equal(ns_getattr(f->s, f->vol.root_node, &attr), 0);
	assert_int_equal(attr.mode, S_IFDIR | 01770);
	assert_int_equal(attr.uid, 5);
	assert_int_equal(ns_lookup(f->s, f->vol.root_node, "old", &attr), -ENOENT);
	fixture_expect(f, f->vol.root_node, "new", 2, LEN);
	assert_int_equal(snapshot_get(f->s, "v", saved, &si, &err), 0);
	assert_true(si.automatic);
	assert_int_equal(si.bytes, LEN);
	assert_int_equal(snapshot_rollback(f->s, "v", saved, false, saved, NULL, &err), 0);
	fixture_expect(f, f->vol.root_node, "old", 1, LEN);
}

/* Begun from what there is; not published over what was written meanwhile. */
static void test_base(void **state)
{
	struct store_fixture *f = *state;
	char saved[VOLUME_NAME_MAX + 1];
	struct volume_info info;
	struct err err = {0};
	struct draft d;

	fixture_file(f, f->vol.root_node, "old", 1, LEN);
	assert_int_equal(draft_of_view(f->s, "v", "", &d, &err), 0);
	fixture_file(f, d.root_node, "new", 2, LEN);
	assert_int_equal(draft_publish(f->s, &d, saved, &info, &err), 0);
	fixture_expect(f, f->vol.root_node, "old", 1, LEN);
	fixture_expect(f, f->vol.root_node, "new", 2, LEN);
	assert_int_equal(draft_of_view(f->s, "v", "", &d, &err), 0);
	fixture_file(f, f->vol.root_node, "meanwhile", 3, 10);
	assert_int_equal(draft_publish(f->s, &d, saved, &info, &err), -EBUSY);
	assert_non_null(strstr(err.text, "changed meanwhile"));
	draft_drop(f->s, &d);
	expect_no_draft(f);
	assert_int_equal(draft_of_view(f->s, "v", "", &d, &err), 0);
	assert_int_equal(volume_remove(f->s, "v", 0, &err), 0);
	assert_int_equal(draft_publish(f->s, &d, saved, &info, &err), -ENOENT);
	draft_drop(f->s, &d);
}

/* What is looked at stays, though its snapshot and its volume go; a crash ends it. */
static void test_view(void **state)
{
	struct store_fixture *f = *state;
	struct snapshot_name snap = {"v", "s"};
	struct store_space space;
	struct volume_row row;
	struct err err = {0};
	struct draft d;

	fixture_file(f, f->vol.root_node, "a", 1, LEN);
	assert_int_equal(snapshot_create(f->s, &snap, 1, NULL, NULL, &err), 0);
	assert_int_equal(ns_unlink(f->s, &fixture_op, f->vol.root_node, "a"), 0);
	assert_int_equal(draft_of_view(f->s, "v", "none", &d, &err), -ENOENT);
	assert_int_equal(draft_of_view(f->s, "v", "s", &d, &err), 0);
	assert_int_equal(d.bytes, LEN);
	assert_int_equal(snapshot_remove(f->s, "v", "s", &err), 0);
	assert_int_equal(volume_remove(f->s, "v", VOLUME_REMOVE_PURGE, &err), 0);
	fixture_maintain(f);
	fixture_expect(f, d.root_node, "a", 1, LEN);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(volume_by_id(f->s->meta, d.id, &row), 0);
	store_fixture_crash(f);
	expect_no_draft(f);
	fixture_maintain(f);
	assert_int_equal(store_space(f->s, &space), 0);
	assert_int_equal(space.chunks, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_new, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_name_taken, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_replace, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_base, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_view, store_fixture_setup, store_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
