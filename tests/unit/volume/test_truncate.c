/* Truncating and punching what one transaction cannot take: in slices, each of which leaves a file that is right in itself. */
#include <fcntl.h>
#include <linux/falloc.h>

#include "store/volume/ns_internal.h"
#include "tests/unit/volume/store_fixture.h"

#define EXTENTS 4000
#define STRIDE 8192

/* A file of that many extents of a byte each. */
static uint64_t make_file(struct store_fixture *f, const char *name)
{
	struct attr attr;

	assert_int_equal(ns_create(f->s, &fixture_op, f->vol.root_node, name, S_IFREG | 0666, 0, NULL, &attr), 0);
	for (int64_t i = 0; i < EXTENTS; i++) {
		uint8_t byte = (uint8_t)(1 + i % 255);

		assert_int_equal(file_write(f->s, &fixture_op, attr.node, &byte, 1, i * STRIDE, 0, false), 0);
	}
	assert_int_equal(store_commit(f->s), 0);
	return attr.node;
}

/* Every byte below `data` and nothing between there and the end. */
static void expect(struct store_fixture *f, uint64_t node, int64_t size, int64_t data_from, int64_t data_end)
{
	struct resolved r;
	struct inode inode;
	uint8_t byte;
	size_t n;
	int64_t i, alloc = 0;

	assert_int_equal(node_inode(f->s, node, false, &r, &inode), 0);
	assert_int_equal(inode.size, size);
	for (i = 0; i * STRIDE < size; i++) {
		bool is_data = i * STRIDE >= data_from && i * STRIDE < data_end;

		assert_int_equal(file_read(f->s, node, &byte, 1, i * STRIDE, false, &n), 0);
		assert_int_equal(n, 1);
		assert_int_equal(byte, is_data ? 1 + i % 255 : 0);
		alloc += is_data;
	}
	assert_int_equal(inode.alloc, alloc);
}

static int64_t size_of(struct store_fixture *f, uint64_t node)
{
	struct attr attr;

	assert_int_equal(ns_getattr(f->s, node, &attr), 0);
	return (int64_t)attr.size;
}

static void truncate_to(struct store_fixture *f, uint64_t node, int64_t size)
{
	struct attr want = {.size = size}, got;

	assert_int_equal(ns_setattr(f->s, &fixture_op, node, &want, NS_SET_SIZE, &got), 0);
	assert_int_equal(got.size, size);
}

/* After each slice, also as a crash finds it, the file is one that was truncated to somewhere in between. */
static void shorten(struct store_fixture *f, const char *name, uint64_t node, int64_t size, unsigned at_least)
{
	int64_t before = size_of(f, node), now = before;
	unsigned slices = 0;
	struct attr attr;
	bool more = true;

	while (more) {
		assert_int_equal(file_shorten(f->s, node, size, &more), 0);
		before = now;
		now = size_of(f, node);
		assert_true(more ? now > size && now < before : now == before);
		slices += more;
		expect(f, node, now, 0, INT64_MAX);
		assert_int_equal(store_commit(f->s), 0);
		store_fixture_crash(f);
		assert_int_equal(ns_lookup(f->s, f->vol.root_node, name, &attr), 0);
		assert_int_equal(attr.node, node);
		expect(f, node, now, 0, INT64_MAX);
	}
	assert_true(slices >= at_least);
	truncate_to(f, node, size);
	expect(f, node, size, 0, INT64_MAX);
	/* and what was cut off stays away */
	truncate_to(f, node, (int64_t)EXTENTS * STRIDE);
	expect(f, node, (int64_t)EXTENTS * STRIDE, 0, size);
}

static void test_own(void **state)
{
	struct store_fixture *f = *state;

	shorten(f, "a", make_file(f, "a"), 0, 3);
	shorten(f, "b", make_file(f, "b"), 1000 * STRIDE + 1, 2);
}

static void snapshot(struct store_fixture *f, const char *name)
{
	struct snapshot_name n = {.volume = "v"};
	struct cut_times times;
	struct err err = {0};

	(void)snprintf(n.snapshot, sizeof n.snapshot, "%s", name);
	if (snapshot_create(f->s, &n, 1, NULL, &times, &err))
		fail_msg("snapshot_create: %s", err.text);
}

static uint64_t in_snapshot(struct store_fixture *f, const char *snap, const char *name)
{
	struct attr attr;

	assert_int_equal(ns_lookup(f->s, f->vol.root_node, ".snapshots", &attr), 0);
	assert_int_equal(ns_lookup(f->s, attr.node, snap, &attr), 0);
	assert_int_equal(ns_lookup(f->s, attr.node, name, &attr), 0);
	return attr.node;
}

static void test_pinned(void **state)
{
	struct store_fixture *f = *state;
	uint64_t node = make_file(f, "a");

	snapshot(f, "s");
	shorten(f, "a", node, 500 * STRIDE, 3);
	expect(f, in_snapshot(f, "s", "a"), (int64_t)(EXTENTS - 1) * STRIDE + 1, 0, INT64_MAX);
}

/* On a branch that inherits the file, in part or whole. */
static void test_inherited(void **state)
{
	struct store_fixture *f = *state;
	char saved[VOLUME_NAME_MAX + 1];
	struct cut_times times;
	struct err err = {0};
	struct attr attr;
	bool more;

	(void)make_file(f, "a");
	(void)make_file(f, "b");
	(void)make_file(f, "c");
	snapshot(f, "s");
	assert_int_equal(snapshot_rollback(f->s, "v", "s", true, saved, &times, &err), 0);
	assert_int_equal(ns_lookup(f->s, f->vol.root_node, "a", &attr), 0);
	shorten(f, "a", attr.node, 700 * STRIDE, 3);
	/* nothing of its own: at once, however long */
	assert_int_equal(ns_lookup(f->s, f->vol.root_node, "b", &attr), 0);
	assert_int_equal(file_shorten(f->s, attr.node, 0, &more), 0);
	assert_false(more);
	truncate_to(f, attr.node, 0);
	truncate_to(f, attr.node, 4 * STRIDE);
	expect(f, attr.node, 4 * STRIDE, 0, 0);
	/* own rows among inherited ones */
	assert_int_equal(ns_lookup(f->s, f->vol.root_node, "c", &attr), 0);
	for (int64_t i = 0; i < EXTENTS; i += 2) {
		uint8_t byte = (uint8_t)(1 + i % 255);

		assert_int_equal(file_write(f->s, &fixture_op, attr.node, &byte, 1, i * STRIDE, 0, false), 0);
	}
	assert_int_equal(store_commit(f->s), 0);
	shorten(f, "c", attr.node, 0, 2); /* until few of its own are left */
	expect(f, in_snapshot(f, "s", "c"), (int64_t)(EXTENTS - 1) * STRIDE + 1, 0, INT64_MAX);
}

/* What is buffered goes with the extents at its place, slice by slice, and no sooner. */
static void test_buffered(void **state)
{
	struct store_fixture *f = *state;
	uint64_t node = make_file(f, "a");
	const uint8_t two[2] = {7, 7};
	int64_t off[] = {100 * STRIDE + 50, 2000 * STRIDE + 50, (EXTENTS + 10) * STRIDE};
	uint8_t got[2];
	bool more;
	size_t n;

	for (size_t i = 0; i < 3; i++)
		assert_int_equal(file_write(f->s, &fixture_op, node, two, 2, off[i], 0, false), 0);
	assert_int_equal(file_shorten(f->s, node, 0, &more), 0);
	assert_true(more);
	assert_true(size_of(f, node) > off[1] && size_of(f, node) < off[2]);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(file_read(f->s, node, got, 2, off[i], false, &n), 0);
		assert_memory_equal(got, two, 2);
	}
	truncate_to(f, node, off[0] + 1);
	assert_int_equal(file_read(f->s, node, got, 2, off[0], false, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(got[0], 7);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(size_of(f, node), off[0] + 1);
}

static void test_punch(void **state)
{
	struct store_fixture *f = *state;
	uint64_t node = make_file(f, "a"), ops = stats_get(&store_stats(f->s)->ops_mutating);
	int64_t size = (int64_t)(EXTENTS - 1) * STRIDE + 1, from = 10 * STRIDE;

	assert_int_equal(file_fallocate(f->s, &fixture_op, node, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, size), 0);
	assert_true(stats_get(&store_stats(f->s)->ops_mutating) - ops > 3);
	expect(f, node, size, 0, from);
	node = make_file(f, "b");
	assert_int_equal(file_fallocate(f->s, &fixture_op, node, FALLOC_FL_ZERO_RANGE, from, size), 0);
	expect(f, node, size + from, 0, from);
	assert_int_equal(store_commit(f->s), 0);
	store_fixture_crash(f);
	expect(f, node, size + from, 0, from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_own, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_pinned, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_inherited, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_buffered, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_punch, store_fixture_setup, store_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
