/* Engine and power loss, cases that tests/crash found: what fsync made durable, with the daemon's memory gone. */
#include <fcntl.h>

#include "tests/unit/volume/store_fixture.h"

/* 0: there is no such file. */
static uint64_t node_of(struct store_fixture *f, const char *name)
{
	struct attr attr;

	return ns_lookup(f->s, f->vol.root_node, name, &attr) ? 0 : attr.node;
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
		cmocka_unit_test_setup_teardown(test_power_fails_twice, store_fixture_setup, store_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
