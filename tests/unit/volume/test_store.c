/* The engine end to end, on a real directory: what is written is read back live, after a commit, after both kinds of crash, from
 * snapshots and clones, and after a rollback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "store/base/io.h"
#include "store/volume/file_io.h"
#include "store/volume/snapshot.h"

struct fixture {
	char dir[64];
	struct store *s;
	struct volume_info vol;
};

static const struct op op = {.uid = 1000, .gid = 1000, .umask = 022};

static void open_store(struct fixture *f, int ring_fd)
{
	struct store_options opts = {.flags = STORE_NO_THREADS, .ring_size = 8 * MIB, .ring_fd = ring_fd};
	struct err err = {0};
	int ret = store_open(f->dir, &opts, &f->s, &err);

	if (ret)
		fail_msg("store_open: %s", err.text);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct err err = {0};

	assert_non_null(f);
	strcpy(f->dir, "/var/tmp/varve-unit-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	if (store_init(f->dir, &err))
		fail_msg("store_init: %s", err.text);
	open_store(f, -1);
	if (volume_create(f->s, "v", NULL, &f->vol, &err))
		fail_msg("volume_create: %s", err.text);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char cmd[128];
	struct err err = {0};

	if (f->s && store_close(f->s, &err))
		fail_msg("store_close: %s", err.text);
	(void)snprintf(cmd, sizeof cmd, "rm -rf %s", f->dir);
	assert_int_equal(system(cmd), 0);
	free(f);
	return 0;
}

static void fill(uint8_t *p, size_t n, unsigned seed)
{
	uint64_t x = seed * 2654435761u + 1;
	size_t i;

	for (i = 0; i < n; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		p[i] = (uint8_t)(x >> 56);
	}
}

static uint64_t make_file(struct fixture *f, uint64_t parent, const char *name, unsigned seed, size_t len)
{
	uint8_t *data = malloc(len + 1);
	struct attr attr;
	size_t off, n;

	assert_non_null(data);
	fill(data, len, seed);
	assert_int_equal(ns_create(f->s, &op, parent, name, S_IFREG | 0666, 0, NULL, &attr), 0);
	for (off = 0; off < len; off += n) {
		n = len - off < 100000 ? len - off : 100000;
		assert_int_equal(file_write(f->s, &op, attr.node, data + off, n, (int64_t)off, 0, false), 0);
	}
	free(data);
	return attr.node;
}

static void expect_content(struct fixture *f, uint64_t node, unsigned seed, size_t len)
{
	uint8_t *want = malloc(len + 1), *got = malloc(len + 1);
	size_t n;

	assert_true(want && got);
	fill(want, len, seed);
	assert_int_equal(file_read(f->s, node, got, len + 1, 0, false, &n), 0);
	assert_int_equal(n, len);
	assert_memory_equal(got, want, len);
	free(want);
	free(got);
}

static uint64_t find(struct fixture *f, const char *a, const char *b, const char *c)
{
	const char *names[] = {a, b, c};
	struct attr attr = {.node = NODE_ROOT};
	size_t i;

	for (i = 0; i < 3 && names[i]; i++)
		if (ns_lookup(f->s, attr.node, names[i], &attr))
			return 0;
	return attr.node;
}

static void test_read_back(void **state)
{
	struct fixture *f = *state;
	uint64_t node = make_file(f, f->vol.root_node, "a", 1, 700000);
	struct attr attr;

	expect_content(f, node, 1, 700000);
	assert_int_equal(ns_getattr(f->s, node, &attr), 0);
	assert_int_equal(attr.size, 700000);
	assert_int_equal(attr.mode, S_IFREG | 0644);
	assert_int_equal(store_commit(f->s), 0);
	expect_content(f, node, 1, 700000);
	assert_int_equal(ns_getattr(f->s, node, &attr), 0);
	assert_int_equal(attr.size, 700000);
	assert_int_equal(attr.blocks, (700000 + 511) / 512);
	assert_int_equal(find(f, "v", "a", NULL), node);
}

static void test_clean_reopen(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};

	make_file(f, f->vol.root_node, "a", 2, 300000);
	assert_int_equal(store_close(f->s, &err), 0);
	open_store(f, -1);
	expect_content(f, find(f, "v", "a", NULL), 2, 300000);
}

static void test_daemon_dies(void **state)
{
	struct fixture *f = *state;
	int fd;

	make_file(f, f->vol.root_node, "before", 3, 50000);
	assert_int_equal(store_commit(f->s), 0);
	make_file(f, f->vol.root_node, "after", 4, 250000);
	assert_int_equal(ns_rename(f->s, &op, f->vol.root_node, "before", f->vol.root_node, "moved", 0), 0);
	fd = dup(store_ring_fd(f->s));
	store_abandon(f->s);
	open_store(f, fd);
	close(fd);
	expect_content(f, find(f, "v", "moved", NULL), 3, 50000);
	expect_content(f, find(f, "v", "after", NULL), 4, 250000);
	assert_int_equal(find(f, "v", "before", NULL), 0);
}

static void test_machine_dies(void **state)
{
	struct fixture *f = *state;
	uint64_t small, large, plain;
	struct attr attr;

	small = make_file(f, f->vol.root_node, "small", 5, 9000);
	large = make_file(f, f->vol.root_node, "large", 6, 400000);
	plain = make_file(f, f->vol.root_node, "plain", 7, 5000);
	(void)plain;
	assert_int_equal(file_fsync(f->s, small), 0);
	assert_int_equal(file_fsync(f->s, large), 0);
	make_file(f, f->vol.root_node, "late", 8, 5000);
	store_abandon(f->s);
	open_store(f, -1);
	expect_content(f, find(f, "v", "small", NULL), 5, 9000);
	expect_content(f, find(f, "v", "large", NULL), 6, 400000);
	/* its creation came before the fsync; its data was not synced, so no size may be there without it */
	assert_int_equal(ns_getattr(f->s, find(f, "v", "plain", NULL), &attr), 0);
	assert_int_equal(attr.size, 0);
	assert_int_equal(find(f, "v", "late", NULL), 0);
}

static void test_replaced_by_rename(void **state)
{
	struct fixture *f = *state;

	make_file(f, f->vol.root_node, "conf", 9, 3000);
	assert_int_equal(store_commit(f->s), 0);
	make_file(f, f->vol.root_node, "conf.tmp", 10, 4000);
	assert_int_equal(ns_rename(f->s, &op, f->vol.root_node, "conf.tmp", f->vol.root_node, "conf", 0), 0);
	assert_int_equal(file_sync_meta(f->s), 0);
	store_abandon(f->s);
	open_store(f, -1);
	expect_content(f, find(f, "v", "conf", NULL), 10, 4000);
}

static void test_snapshot_rollback_clone(void **state)
{
	struct fixture *f = *state;
	struct snapshot_name name = {"v", "s1"};
	struct err err = {0};
	struct volume_info copy;
	uint64_t node = make_file(f, f->vol.root_node, "a", 11, 200000), old;
	char saved[VOLUME_NAME_MAX + 1];
	uint8_t byte = 'x';
	struct attr attr;

	assert_int_equal(snapshot_create(f->s, &name, 1, NULL, NULL, &err), 0);
	assert_int_equal(file_write(f->s, &op, node, &byte, 1, 100, 0, false), 0);
	make_file(f, f->vol.root_node, "b", 12, 1000);
	expect_content(f, find(f, "v", ".snapshots", "s1") ? ({
			       struct attr root = {.node = find(f, "v", ".snapshots", "s1")};

			       assert_int_equal(ns_lookup(f->s, root.node, "a", &attr), 0);
			       attr.node;
		       })
							   : 0,
		       11, 200000);
	assert_int_equal(file_write(f->s, &op, attr.node, &byte, 1, 0, 0, false), -EROFS);
	old = node;
	assert_int_equal(snapshot_rollback(f->s, "v", "s1", false, saved, NULL, &err), 0);
	node = find(f, "v", "a", NULL);
	assert_int_not_equal(node, old);
	expect_content(f, node, 11, 200000);
	assert_int_equal(find(f, "v", "b", NULL), 0);
	assert_int_equal(file_write(f->s, &op, old, &byte, 1, 0, 0, false), -ESTALE);
	assert_int_equal(ns_getattr(f->s, f->vol.root_node, &attr), 0);
	assert_int_equal(snapshot_rollback(f->s, "v", saved, false, saved, NULL, &err), 0);
	expect_content(f, find(f, "v", "b", NULL), 12, 1000);
	assert_int_equal(snapshot_clone(f->s, "v", "s1", "copy", NULL, &copy, NULL, &err), 0);
	expect_content(f, find(f, "copy", "a", NULL), 11, 200000);
	assert_int_equal(file_write(f->s, &op, find(f, "copy", "a", NULL), &byte, 1, 5, 0, false), 0);
	assert_int_equal(store_commit(f->s), 0);
	open_store((store_abandon(f->s), f), -1);
	expect_content(f, find(f, "v", "b", NULL), 12, 1000);
}

static void test_unknown_names(void **state)
{
	struct fixture *f = *state;
	struct volume_info info;
	struct err err = {0};

	assert_int_equal(volume_create(f->s, "production", NULL, &info, &err), 0);
	assert_int_equal(volume_get(f->s, "prodction", &info, &err), -ENOENT);
	assert_non_null(strstr(err.hint, "production"));
	assert_int_equal(volume_create(f->s, "a/b", NULL, &info, &err), -EINVAL);
	assert_int_equal(volume_create(f->s, "..", NULL, &info, &err), -EINVAL);
	assert_int_equal(volume_create(f->s, "", NULL, &info, &err), -EINVAL);
	assert_int_equal(volume_create(f->s, "production", NULL, &info, &err), -EEXIST);
	assert_int_equal(store_open(f->dir, &STORE_OPTIONS_DEFAULT, &(struct store *){NULL}, &err), -EBUSY);
}

static void test_removed_space_comes_back(void **state)
{
	struct fixture *f = *state;
	struct store_space before, after;
	struct err err = {0};
	bool more = true;

	make_file(f, f->vol.root_node, "big", 13, 3000000);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(store_space(f->s, &before), 0);
	assert_true(before.unique_bytes >= 3000000);
	assert_int_equal(volume_remove(f->s, "v", false, &err), 0);
	while (more)
		assert_int_equal(store_maintain(f->s, &more), 0);
	assert_int_equal(store_space(f->s, &after), 0);
	assert_int_equal(after.chunks, 0);
	assert_int_equal(after.volumes, 0);
}

/* A database at its quota must be able to write in place; only growth is refused. */
static void test_quota(void **state)
{
	struct fixture *f = *state;
	struct volume_options opts = {.set = VOLUME_SET_QUOTA, .quota_bytes = 100000};
	uint64_t node = make_file(f, f->vol.root_node, "db", 14, 100000);
	uint8_t page[8192] = {1};
	struct attr want = {.size = 100001}, got;
	struct err err = {0};

	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(volume_set(f->s, "v", &opts, &err), 0);
	assert_int_equal(file_write(f->s, &op, node, page, sizeof page, 8192, 0, false), 0);
	assert_int_equal(file_write(f->s, &op, node, page, sizeof page, 100000, 0, false), -EDQUOT);
	assert_int_equal(ns_setattr(f->s, &op, node, &want, NS_SET_SIZE, &got), -EDQUOT);
	want.size = 50000;
	assert_int_equal(ns_setattr(f->s, &op, node, &want, NS_SET_SIZE, &got), 0);
	assert_int_equal(file_write(f->s, &op, node, page, sizeof page, 50000, 0, false), 0);
}

/* Closing a file of a snapshot leaves the live file's opens alone: a rollback still sees who writes. */
static void test_release_in_snapshot(void **state)
{
	struct fixture *f = *state;
	struct snapshot_name name = {"v", "s1"};
	uint64_t node = make_file(f, f->vol.root_node, "a", 15, 1000);
	struct attr attr = {0};
	struct open_file *open;
	struct err err = {0};
	size_t n;

	assert_int_equal(snapshot_create(f->s, &name, 1, NULL, NULL, &err), 0);
	assert_int_equal(ns_lookup(f->s, find(f, "v", ".snapshots", "s1"), "a", &attr), 0);
	assert_int_equal(file_open(f->s, &op, node, FILE_OPEN_WRITE, 1), 0);
	assert_int_equal(file_open(f->s, &op, attr.node, 0, 1), 0);
	file_release(f->s, attr.node, 0);
	assert_int_equal(file_open_list(f->s, f->vol.id, &open, &n), 0);
	assert_int_equal(n, 1);
	free(open);
	file_release(f->s, node, FILE_OPEN_WRITE);
	assert_int_equal(file_open_list(f->s, f->vol.id, &open, &n), 0);
	assert_int_equal(n, 0);
	free(open);
}

/* Fails every fdatasync of a pack. */
static int fail_pack_sync(void *arg, enum io_class cls, enum io_op what, const char *path, int fd, const void *data, size_t *len,
			  off_t off)
{
	(void)arg, (void)path, (void)fd, (void)data, (void)len, (void)off;
	return cls == IO_PACK && what == IO_SYNC ? -EIO : 0;
}

/* The chunks of a cut's last drain are lost: nothing that refers to them may be acknowledged or reach the disk. */
static void test_cut_that_loses_chunks(void **state)
{
	struct fixture *f = *state;
	struct snapshot_name name = {"v", "s1"};
	uint64_t node = make_file(f, f->vol.root_node, "synced", 16, 9000);
	struct err err = {0};
	struct attr attr;

	assert_int_equal(file_fsync(f->s, node), 0);
	node = make_file(f, f->vol.root_node, "late", 17, 9000);
	io_set_hook(fail_pack_sync, NULL);
	assert_int_equal(snapshot_create(f->s, &name, 1, NULL, NULL, &err), -EIO);
	io_set_hook(NULL, NULL);
	assert_int_equal(file_fsync(f->s, node), -EIO);
	assert_int_equal(store_commit(f->s), -EIO);
	assert_int_equal(ns_create(f->s, &op, f->vol.root_node, "more", S_IFREG | 0644, 0, NULL, &attr), -EIO);
	store_abandon(f->s);
	open_store(f, -1);
	expect_content(f, find(f, "v", "synced", NULL), 16, 9000);
	assert_int_equal(find(f, "v", "late", NULL), 0);
	assert_int_equal(find(f, "v", ".snapshots", "s1"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clean_reopen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_daemon_dies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_machine_dies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaced_by_rename, setup, teardown),
		cmocka_unit_test_setup_teardown(test_snapshot_rollback_clone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed_space_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_quota, setup, teardown),
		cmocka_unit_test_setup_teardown(test_release_in_snapshot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_that_loses_chunks, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
