/* Volumes removed and brought back, and what makes them go for good. */
#include "store/volume/trash.h"

#include "store/volume/store_internal.h"
#include "tests/unit/volume/store_fixture.h"

#define LEN 300000

static void remove_v(struct store_fixture *f, const char *name)
{
	struct err err = {0};

	if (volume_remove(f->s, name, 0, &err))
		fail_msg("volume_remove: %s", err.text);
}

static size_t in_trash(struct store_fixture *f)
{
	struct trash_info *list;
	struct err err = {0};
	size_t n;

	assert_int_equal(trash_list(f->s, &list, &n, &err), 0);
	free(list);
	return n;
}

/* Contents, snapshots, the root's node: all is back, and meanwhile nothing was to be seen. */
static void test_undelete(void **state)
{
	struct store_fixture *f = *state;
	struct snapshot_name snap = {"v", "s"};
	uint64_t node = fixture_file(f, f->vol.root_node, "a", 1, LEN);
	struct volume_info info;
	struct snapshot_info si;
	struct attr attr;
	struct err err = {0};
	uint8_t byte = 7;
	size_t n;

	assert_int_equal(snapshot_create(f->s, &snap, 1, NULL, NULL, &err), 0);
	assert_int_equal(file_write(f->s, &fixture_op, node, &byte, 1, LEN, 0, false), 0);
	assert_int_equal(file_open(f->s, &fixture_op, node, FILE_OPEN_WRITE, 1), 0);
	assert_int_equal(volume_remove(f->s, "v", 0, &err), -EBUSY);
	assert_int_equal(volume_remove(f->s, "v", VOLUME_REMOVE_FORCE, &err), 0);
	assert_int_equal(ns_getattr(f->s, f->vol.root_node, &attr), -ESTALE);
	assert_int_equal(file_read(f->s, node, &byte, 1, 0, false, &n), -ESTALE);
	assert_int_equal(file_write(f->s, &fixture_op, node, &byte, 1, 0, 0, false), -ESTALE);
	assert_int_equal(ns_lookup(f->s, NODE_ROOT, "v", &attr), -ENOENT);
	assert_int_equal(volume_get(f->s, "v", &info, &err), -ENOENT);
	assert_int_equal(in_trash(f), 1);
	assert_int_equal(trash_undelete(f->s, "w", NULL, &info, &err), -ENOENT);
	assert_int_equal(trash_undelete(f->s, "v", NULL, &info, &err), 0);
	assert_int_equal(info.root_node, f->vol.root_node);
	assert_int_equal(info.snapshots, 1);
	assert_int_equal(in_trash(f), 0);
	assert_int_equal(ns_lookup(f->s, f->vol.root_node, "a", &attr), 0);
	assert_int_equal(attr.size, LEN + 1);
	/* files that were open are not the same any more */
	assert_int_not_equal(attr.node, node);
	assert_int_equal(file_write(f->s, &fixture_op, node, &byte, 1, 0, 0, false), -ESTALE);
	assert_int_equal(snapshot_get(f->s, "v", "s", &si, &err), 0);
	assert_int_equal(si.bytes, LEN);
	/* nor does their being open count, whoever uses the file now */
	assert_int_equal(file_write(f->s, &fixture_op, attr.node, &byte, 1, 0, 0, false), 0);
	file_release(f->s, node, FILE_OPEN_WRITE);
	assert_int_equal(volume_remove(f->s, "v", 0, &err), 0);
	assert_int_equal(store_commit(f->s), 0);
	store_fixture_crash(f);
	assert_int_equal(in_trash(f), 1);
	assert_int_equal(trash_undelete(f->s, "v", "again", &info, &err), 0);
	store_fixture_crash(f);
	assert_int_equal(volume_get(f->s, "again", &info, &err), 0);
	assert_int_equal(info.bytes, LEN + 1);
}

/* What had no name when its volume was removed is not to be reached any more: its space comes back. A folder's node goes on. */
static void test_nameless(void **state)
{
	struct store_fixture *f = *state;
	uint64_t node = fixture_file(f, f->vol.root_node, "gone", 1, LEN);
	struct volume_info info;
	struct attr dir, attr;
	struct err err = {0};

	ns_keep_orphans(f->s, true);
	assert_int_equal(ns_create(f->s, &fixture_op, f->vol.root_node, "d", S_IFDIR | 0755, 0, NULL, &dir), 0);
	assert_int_equal(ns_rmdir(f->s, &fixture_op, f->vol.root_node, "d"), 0);
	assert_int_equal(ns_unlink(f->s, &fixture_op, f->vol.root_node, "gone"), 0);
	assert_int_equal(ns_getattr(f->s, node, &attr), 0);
	remove_v(f, "v");
	assert_int_equal(trash_undelete(f->s, "v", NULL, &info, &err), 0);
	assert_int_equal(ns_getattr(f->s, node, &attr), -ESTALE);
	assert_int_equal(ns_getattr(f->s, dir.node, &attr), 0);
	assert_int_equal(volume_get(f->s, "v", &info, &err), 0);
	assert_int_equal(info.bytes, 0);
	assert_int_equal(info.inodes, 2);
	assert_int_equal(ns_forget(f->s, dir.node), 0);
	assert_int_equal(volume_get(f->s, "v", &info, &err), 0);
	assert_int_equal(info.inodes, 1);
}

/* Two of one name, the name in use by a third. */
static void test_names(void **state)
{
	struct store_fixture *f = *state;
	struct volume_info second, third, info;
	struct err err = {0};
	unsigned n;

	remove_v(f, "v");
	assert_int_equal(volume_create(f->s, "v", NULL, &second, &err), 0);
	fixture_file(f, second.root_node, "second", 2, 10);
	remove_v(f, "v");
	assert_int_equal(volume_create(f->s, "v", NULL, &third, &err), 0);
	assert_int_equal(in_trash(f), 2);
	assert_int_equal(trash_undelete(f->s, "v", NULL, &info, &err), -EEXIST);
	assert_true(*err.hint);
	assert_int_equal(trash_undelete(f->s, "v", "bad/name", &info, &err), -EINVAL);
	assert_int_equal(trash_undelete(f->s, "v", "back", &info, &err), 0);
	assert_int_equal(info.root_node, second.root_node);
	fixture_expect(f, info.root_node, "second", 2, 10);
	assert_int_equal(trash_purge(f->s, "other", &n, &err), -ENOENT);
	assert_int_equal(trash_purge(f->s, "v", &n, &err), 0);
	assert_int_equal(n, 1);
	assert_int_equal(in_trash(f), 0);
	assert_int_equal(trash_purge(f->s, NULL, &n, &err), 0);
	assert_int_equal(n, 0);
}

/* Only what has no name, or what the setting sends there, goes for good at once. */
static void test_purged_at_once(void **state)
{
	struct store_fixture *f = *state;
	char anonymous[65];
	struct volume_info info;
	struct err err = {0};

	memset(anonymous, 'a', 64);
	anonymous[64] = 0;
	assert_int_equal(volume_create(f->s, anonymous, NULL, &info, &err), 0);
	remove_v(f, anonymous);
	assert_int_equal(in_trash(f), 0);
	assert_int_equal(trash_set_days(f->s, -1, &err), -EINVAL);
	assert_int_equal(trash_set_days(f->s, 0, &err), 0);
	remove_v(f, "v");
	assert_int_equal(in_trash(f), 0);
	store_fixture_crash(f);
	assert_int_equal(trash_days(f->s), 0);
	assert_int_equal(trash_set_days(f->s, 3, &err), 0);
	assert_int_equal(trash_days(f->s), 3);
	assert_int_equal(volume_create(f->s, "p", NULL, &info, &err), 0);
	assert_int_equal(volume_remove(f->s, "p", VOLUME_REMOVE_PURGE, &err), 0);
	assert_int_equal(in_trash(f), 0);
}

/* What it holds is counted, shared chunks by share; its days over, it goes, and the space comes back. */
static void test_held_and_expired(void **state)
{
	struct store_fixture *f = *state;
	struct trash_info *list;
	struct volume_info other;
	struct store_space space;
	struct err err = {0};
	int64_t held;
	size_t n;

	assert_int_equal(volume_create(f->s, "other", NULL, &other, &err), 0);
	fixture_file(f, f->vol.root_node, "own", 1, LEN);
	fixture_file(f, f->vol.root_node, "shared", 2, LEN);
	assert_int_equal(store_commit(f->s), 0);
	fixture_file(f, other.root_node, "shared", 2, LEN);
	assert_int_equal(store_commit(f->s), 0);
	remove_v(f, "v");
	assert_int_equal(trash_list(f->s, &list, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_int_equal(list->held_bytes, -1);
	assert_int_equal(list->bytes, 2 * LEN);
	assert_true(list->expires - list->removed == TRASH_DAYS_DEFAULT * INT64_C(86400000000000));
	free(list);
	fixture_maintain(f);
	assert_int_equal(trash_list(f->s, &list, &n, &err), 0);
	held = list->held_bytes;
	free(list);
	/* random bytes do not compress */
	assert_in_range(held, LEN + LEN / 2 - 2000, LEN + LEN / 2 + 2000);
	assert_int_equal(store_space(f->s, &space), 0);
	assert_int_equal(space.trash_bytes, held);
	assert_int_equal(space.trash_volumes, 1);
	assert_int_equal(space.volumes, 1);
	/* as if it had been there for eight days */
	f->s->trash.days = 0;
	fixture_maintain(f);
	assert_int_equal(in_trash(f), 0);
	assert_int_equal(store_space(f->s, &space), 0);
	assert_in_range(space.stored_bytes, LEN - 2000, LEN + 2000);
	fixture_expect(f, other.root_node, "shared", 2, LEN);
}

/* A full disk: the trash goes, oldest first and no more than needed, and the write succeeds. */
static void test_makes_room(void **state)
{
	struct store_fixture *f = *state;
	struct volume_info info;
	struct trash_info *list;
	struct err err = {0};
	size_t n;

	remove_v(f, "v");
	assert_int_equal(volume_create(f->s, "second", NULL, &info, &err), 0);
	remove_v(f, "second");
	assert_int_equal(volume_create(f->s, "w", NULL, &info, &err), 0);
	/* as last asked; the next answer, after the first purge, is the real one */
	f->s->host_free = 0;
	f->s->host_free_at = INT64_MAX;
	fixture_file(f, info.root_node, "a", 3, 1000);
	fixture_expect(f, info.root_node, "a", 3, 1000);
	assert_int_equal(trash_list(f->s, &list, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_string_equal(list->name, "second");
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_undelete, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_nameless, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_names, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_purged_at_once, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_held_and_expired, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_makes_room, store_fixture_setup, store_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
