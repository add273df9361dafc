/* The host filesystem is nearly full. Its free space is this test's own: packs take from it as they are written. */
#include <sys/statvfs.h>

#include "store/base/io.h"
#include "store/volume/store_internal.h"
#include "tests/unit/volume/store_fixture.h"

#define PIECE (512 * KIB)
#define PIECES_A_SECOND 8
#define ROOM (10 * MIB) /* beyond what writes leave free: more than the ring holds, less than two rings */

static int64_t host_left = INT64_MAX / 2;

int fstatvfs(int fd, struct statvfs *ret)
{
	(void)fd;
	*ret = (struct statvfs){
		.f_frsize = 4096, .f_bsize = 4096, .f_blocks = UINT32_MAX, .f_bavail = (fsblkcnt_t)(host_left / 4096)};
	return 0;
}

static int take(void *arg, enum io_class cls, enum io_op what, const char *path, int fd, const void *data, size_t *len, off_t off)
{
	(void)arg, (void)path, (void)fd, (void)data, (void)off;
	if (cls == IO_PACK && what == IO_WRITE)
		host_left -= (int64_t)*len;
	return 0;
}

/* A writer that is slow enough for the host to be asked again while what it has written is still in memory: the two together may not
 * take more than there is, or nothing could be committed any more. */
static void test_buffered_counts(void **state)
{
	struct store_fixture *f = *state;
	uint64_t node = fixture_file(f, f->vol.root_node, "a", 1, 100);
	static uint8_t data[PIECE];
	int64_t off = 0;
	int ret = 0;

	assert_int_equal(store_commit(f->s), 0);
	host_left = (int64_t)(HOST_MARGIN + ROOM);
	io_set_hook(take, NULL);
	for (unsigned i = 0; !ret && i < 100; i++) {
		if (i % PIECES_A_SECOND == 0)
			f->s->host_free_at = 0; /* time to ask again */
		fixture_bytes(data, sizeof data, i);
		ret = file_write(f->s, &fixture_op, node, data, sizeof data, off, 0, false);
		if (!ret)
			off += (int64_t)sizeof data;
		assert_true(buffered_bytes(f->s) <= host_left - (int64_t)(HOST_MARGIN - MIB));
	}
	assert_int_equal(ret, -ENOSPC);
	assert_true(off >= (int64_t)(ROOM - 2 * MIB));
	assert_int_equal(store_commit(f->s), 0);
	io_set_hook(NULL, NULL);
	host_left = INT64_MAX / 2;
}

struct late {
	struct store_fixture *f;
	bool done;
};

/* While a commit syncs what it has stored, a file takes another's place, and then the host is full. */
static int rename_late(void *arg, enum io_class cls, enum io_op what, const char *path, int fd, const void *data, size_t *len, off_t off)
{
	struct late *late = arg;
	uint64_t root = late->f->vol.root_node;

	(void)path, (void)fd, (void)data, (void)len, (void)off;
	if (late->done)
		return cls == IO_PACK && what == IO_WRITE ? -ENOSPC : 0;
	if (cls == IO_PACK && what == IO_SYNC) {
		late->done = true;
		(void)fixture_file(late->f, root, "new", 2, 5000);
		assert_int_equal(ns_rename(late->f->s, &fixture_op, root, "new", root, "a", 0), 0);
	}
	return 0;
}

/* A commit that finds no room for such a file fails; it does not try for ever, with everybody held back. */
static void test_late_rename(void **state)
{
	struct late late = {.f = *state};
	struct store *s = late.f->s;

	(void)fixture_file(late.f, late.f->vol.root_node, "a", 1, 5000);
	(void)alarm(30);
	io_set_hook(rename_late, &late);
	assert_int_equal(store_commit(s), -ENOSPC);
	io_set_hook(NULL, NULL);
	(void)alarm(0);
	assert_true(late.done);
	assert_false(s->held);
	assert_int_equal(store_commit(s), 0);
	fixture_expect(late.f, late.f->vol.root_node, "a", 2, 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_buffered_counts, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_late_rename, store_fixture_setup, store_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
