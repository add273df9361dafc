/* Engine and power loss, cases that tests/crash found: what fsync made durable, with the daemon's memory gone. */
#include <fcntl.h>

#include "tests/unit/volume/store_fixture.h"

/* 0: there is no such file. */
static uint64_t node_of(struct store_fixture *f, const char *name)
{
	struct attr attr;

	return ns_lookup(f->s, f->vol.root_node, name, &attr) ? 0 : attr.node;
}

static void expect_no_size_without_data(struct store_fixture *f, const char *name, unsigned seed, size_t fsynced, size_t written)
{
	uint8_t *want = malloc(written), *got = malloc(written);
	struct attr attr;
	size_t n;

	assert_true(want && got);
	fixture_bytes(want, written, seed);
	assert_int_equal(ns_getattr(f->s, node_of(f, name), &attr), 0);
	assert_true(attr.size >= (int64_t)fsynced);
	assert_int_equal(file_read(f->s, attr.node, got, written, 0, false, &n), 0);
	assert_memory_equal(got, want, n);
	free(want);
	free(got);
}

/* A file whose end is not synced is made longer, or punched, and another file's fsync makes that durable: what it says of the size may
 * not come without the data that were there. */
static void test_size_of_unsynced_end(void **state)
{
	struct store_fixture *f = *state;
	struct attr want = {.size = 20000}, attr;
	uint8_t data[8000];
	uint64_t grown = fixture_file(f, f->vol.root_node, "grown", 20, 4000), punched = fixture_file(f, f->vol.root_node, "punched", 20, 4000);
	uint64_t other = fixture_file(f, f->vol.root_node, "other", 21, 100);

	assert_int_equal(file_fsync(f->s, grown), 0);
	assert_int_equal(file_fsync(f->s, punched), 0);
	fixture_bytes(data, sizeof data, 20);
	assert_int_equal(file_write(f->s, &fixture_op, grown, data + 4000, 4000, 4000, 0, false), 0);
	assert_int_equal(file_write(f->s, &fixture_op, punched, data + 4000, 4000, 4000, 0, false), 0);
	assert_int_equal(ns_setattr(f->s, &fixture_op, grown, &want, NS_SET_SIZE, &attr), 0);
	assert_int_equal(file_fallocate(f->s, &fixture_op, punched, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 30000, 4096), 0);
	assert_int_equal(file_fsync(f->s, other), 0);
	store_fixture_crash(f);
	expect_no_size_without_data(f, "grown", 20, 4000, 8000);
	expect_no_size_without_data(f, "punched", 20, 4000, 8000);
}

/* Two files exchange their names while neither is synced; each has taken the other's place. */
static void test_exchanged(void **state)
{
	struct store_fixture *f = *state;
	uint64_t other = fixture_file(f, f->vol.root_node, "other", 21, 100);

	(void)fixture_file(f, f->vol.root_node, "one", 22, 3000);
	(void)fixture_file(f, f->vol.root_node, "two", 23, 5000);
	assert_int_equal(ns_rename(f->s, &fixture_op, f->vol.root_node, "one", f->vol.root_node, "two", RENAME_EXCHANGE), 0);
	assert_int_equal(file_fsync(f->s, other), 0);
	store_fixture_crash(f);
	expect_no_size_without_data(f, "one", 23, 5000, 5000);
	expect_no_size_without_data(f, "two", 22, 3000, 3000);
}

/* The power fails again before anything was committed. Writes that nothing synced take numbers which the journal does not have, so
 * that what is recovered has other numbers than before, and what the second recovery skips is decided by them. */
static void test_power_fails_twice(void **state)
{
	struct store_fixture *f = *state;
	struct volume_info info;
	struct err err = {0};
	int64_t inodes;

	for (unsigned i = 0; i < 8; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "file-%u", i);
		(void)fixture_file(f, f->vol.root_node, name, i, 500000);
	}
	assert_int_equal(file_sync_meta(f->s), 0);
	assert_int_equal(volume_get(f->s, "v", &info, &err), 0);
	inodes = info.inodes;
	for (int times = 0; times < 3; times++) {
		store_fixture_crash(f);
		for (unsigned i = 0; i < 8; i++) {
			char name[16];

			(void)snprintf(name, sizeof name, "file-%u", i);
			assert_int_not_equal(node_of(f, name), 0);
		}
		assert_int_equal(volume_get(f->s, "v", &info, &err), 0);
		assert_int_equal(info.inodes, inodes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_size_of_unsynced_end, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_exchanged, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_power_fails_twice, store_fixture_setup, store_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
