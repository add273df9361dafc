/* The engine end to end, on a real directory: what is written is read back live, after a commit, after both kinds of crash, from
 * snapshots and clones, and after a rollback. */
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "tests/unit/volume/store_fixture.h"

static void expect_content(struct store_fixture *f, uint64_t node, unsigned seed, size_t len)
{
	uint8_t *want = malloc(len + 1), *got = malloc(len + 1);
	size_t n;

	assert_true(want && got);
	fixture_bytes(want, len, seed);
	assert_int_equal(file_read(f->s, node, got, len + 1, 0, false, &n), 0);
	assert_int_equal(n, len);
	assert_memory_equal(got, want, len);
	free(want);
	free(got);
}

static uint64_t find(struct store_fixture *f, const char *a, const char *b, const char *c)
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
	struct store_fixture *f = *state;
	uint64_t node = fixture_file(f, f->vol.root_node, "a", 1, 700000);
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
	struct store_fixture *f = *state;
	struct err err = {0};

	fixture_file(f, f->vol.root_node, "a", 2, 300000);
	assert_int_equal(store_close(f->s, &err), 0);
	store_fixture_open(f, -1);
	expect_content(f, find(f, "v", "a", NULL), 2, 300000);
}

static void test_daemon_dies(void **state)
{
	struct store_fixture *f = *state;
	int fd;

	fixture_file(f, f->vol.root_node, "before", 3, 50000);
	assert_int_equal(store_commit(f->s), 0);
	fixture_file(f, f->vol.root_node, "after", 4, 250000);
	assert_int_equal(ns_rename(f->s, &fixture_op, f->vol.root_node, "before", f->vol.root_node, "moved", 0), 0);
	fd = dup(store_ring_fd(f->s));
	store_abandon(f->s);
	store_fixture_open(f, fd);
	close(fd);
	expect_content(f, find(f, "v", "moved", NULL), 3, 50000);
	expect_content(f, find(f, "v", "after", NULL), 4, 250000);
	assert_int_equal(find(f, "v", "before", NULL), 0);
}

/* What a request has carried out is known to the next daemon, and what it only meant to do is not taken for done. */
static void test_done_is_noted(void **state)
{
	struct store_fixture *f = *state;
	struct op_done done[2] = {{0}};
	struct op first = fixture_op, second = fixture_op;
	struct store_options opts = {
		.flags = STORE_NO_THREADS | STORE_KEEP_ORPHANS, .ring_size = 8 * MIB, .done = done, .done_n = 2};
	struct attr made;
	struct err err = {0};

	first.unique = 100;
	first.done = &done[0];
	second.unique = 102;
	second.done = &done[1];
	assert_int_equal(ns_create(f->s, &first, f->vol.root_node, "made", S_IFREG | 0644, 0, NULL, &made), 0);
	assert_int_equal(done[0].unique, 100);
	assert_int_equal(done[0].node, made.node);
	/* an operation that fails leaves no note */
	assert_int_equal(ns_unlink(f->s, &second, f->vol.root_node, "absent"), -ENOENT);
	assert_int_equal(done[1].unique, 0);
	/* one that died just before its record was in the ring */
	done[1] = (struct op_done){.unique = 102, .seq = done[0].seq + 1};
	opts.ring_fd = dup(store_ring_fd(f->s));
	store_abandon(f->s);
	if (store_open(f->dir, &opts, &f->s, &err))
		fail_msg("store_open: %s", err.text);
	close(opts.ring_fd);
	assert_int_equal(done[0].unique, 100);
	assert_int_equal(done[1].unique, 0);
	assert_int_equal(ns_getattr(f->s, done[0].node, &made), 0);
}

/* Opens for reading were not counted by this process: closing them leaves those for writing open. */
static void test_closing_what_was_opened_before(void **state)
{
	struct store_fixture *f = *state;
	struct open_file *files;
	struct attr a;
	size_t n;

	assert_int_equal(ns_create(f->s, &fixture_op, f->vol.root_node, "file", S_IFREG | 0644, 0, NULL, &a), 0);
	assert_int_equal(file_open(f->s, NULL, a.node, FILE_OPEN_WRITE, 1), 0);
	file_release(f->s, a.node, 0);
	assert_int_equal(file_open_list(f->s, 0, &files, &n), 0);
	free(files);
	assert_int_equal(n, 1);
	file_release(f->s, a.node, FILE_OPEN_WRITE);
	assert_int_equal(file_open_list(f->s, 0, &files, &n), 0);
	free(files);
	assert_int_equal(n, 0);
}

static void test_machine_dies(void **state)
{
	struct store_fixture *f = *state;
	uint64_t small, large, plain;
	struct attr attr;

	small = fixture_file(f, f->vol.root_node, "small", 5, 9000);
	large = fixture_file(f, f->vol.root_node, "large", 6, 400000);
	plain = fixture_file(f, f->vol.root_node, "plain", 7, 5000);
	(void)plain;
	assert_int_equal(file_fsync(f->s, small), 0);
	assert_int_equal(file_fsync(f->s, large), 0);
	fixture_file(f, f->vol.root_node, "late", 8, 5000);
	store_abandon(f->s);
	store_fixture_open(f, -1);
	expect_content(f, find(f, "v", "small", NULL), 5, 9000);
	expect_content(f, find(f, "v", "large", NULL), 6, 400000);
	/* its creation came before the fsync; its data was not synced, so no size may be there without it */
	assert_int_equal(ns_getattr(f->s, find(f, "v", "plain", NULL), &attr), 0);
	assert_int_equal(attr.size, 0);
	assert_int_equal(find(f, "v", "late", NULL), 0);
}

static void test_replaced_by_rename(void **state)
{
	struct store_fixture *f = *state;

	fixture_file(f, f->vol.root_node, "conf", 9, 3000);
	assert_int_equal(store_commit(f->s), 0);
	fixture_file(f, f->vol.root_node, "conf.tmp", 10, 4000);
	assert_int_equal(ns_rename(f->s, &fixture_op, f->vol.root_node, "conf.tmp", f->vol.root_node, "conf", 0), 0);
	assert_int_equal(file_sync_meta(f->s), 0);
	store_abandon(f->s);
	store_fixture_open(f, -1);
	expect_content(f, find(f, "v", "conf", NULL), 10, 4000);
}

static void test_snapshot_rollback_clone(void **state)
{
	struct store_fixture *f = *state;
	struct snapshot_name name = {"v", "s1"};
	struct err err = {0};
	struct volume_info copy;
	uint64_t node = fixture_file(f, f->vol.root_node, "a", 11, 200000), old;
	char saved[VOLUME_NAME_MAX + 1];
	uint8_t byte = 'x';
	struct attr attr;

	assert_int_equal(snapshot_create(f->s, &name, 1, NULL, NULL, &err), 0);
	assert_int_equal(file_write(f->s, &fixture_op, node, &byte, 1, 100, 0, false), 0);
	fixture_file(f, f->vol.root_node, "b", 12, 1000);
	expect_content(f, find(f, "v", ".snapshots", "s1") ? ({
			       struct attr root = {.node = find(f, "v", ".snapshots", "s1")};

			       assert_int_equal(ns_lookup(f->s, root.node, "a", &attr), 0);
			       attr.node;
		       })
							   : 0,
		       11, 200000);
	assert_int_equal(file_write(f->s, &fixture_op, attr.node, &byte, 1, 0, 0, false), -EROFS);
	old = node;
	assert_int_equal(snapshot_rollback(f->s, "v", "s1", false, saved, NULL, &err), 0);
	node = find(f, "v", "a", NULL);
	assert_int_not_equal(node, old);
	expect_content(f, node, 11, 200000);
	assert_int_equal(find(f, "v", "b", NULL), 0);
	assert_int_equal(file_write(f->s, &fixture_op, old, &byte, 1, 0, 0, false), -ESTALE);
	assert_int_equal(ns_getattr(f->s, f->vol.root_node, &attr), 0);
	assert_int_equal(snapshot_rollback(f->s, "v", saved, false, saved, NULL, &err), 0);
	expect_content(f, find(f, "v", "b", NULL), 12, 1000);
	assert_int_equal(snapshot_clone(f->s, "v", "s1", "copy", NULL, &copy, NULL, &err), 0);
	expect_content(f, find(f, "copy", "a", NULL), 11, 200000);
	assert_int_equal(file_write(f->s, &fixture_op, find(f, "copy", "a", NULL), &byte, 1, 5, 0, false), 0);
	assert_int_equal(store_commit(f->s), 0);
	store_fixture_open((store_abandon(f->s), f), -1);
	expect_content(f, find(f, "v", "b", NULL), 12, 1000);
}

static size_t automatic_unheld(struct store_fixture *f)
{
	AUTO_FREE struct snapshot_info *list = NULL;
	struct err err = {0};
	size_t i, n, count = 0;

	assert_int_equal(snapshot_list(f->s, "v", &list, &n, &err), 0);
	for (i = 0; i < n; i++)
		count += list[i].automatic && !list[i].held;
	return count;
}

/* Sixteen are kept beside those that are held, also when some are let go of later, and a daemon that dies changes nothing. */
static void test_automatic_snapshots_are_bounded(void **state)
{
	struct store_fixture *f = *state;
	struct snapshot_name name = {"v", "s1"};
	char first[2][VOLUME_NAME_MAX + 1], saved[VOLUME_NAME_MAX + 1];
	struct err err = {0};
	int i;

	assert_int_equal(snapshot_create(f->s, &name, 1, NULL, NULL, &err), 0);
	for (i = 0; i < 2; i++) {
		assert_int_equal(snapshot_rollback(f->s, "v", "s1", false, first[i], NULL, &err), 0);
		assert_int_equal(snapshot_hold(f->s, "v", first[i], true, &err), 0);
	}
	for (i = 0; i < 17; i++)
		assert_int_equal(snapshot_rollback(f->s, "v", "s1", false, saved, NULL, &err), 0);
	assert_int_equal(automatic_unheld(f), 16);
	for (i = 0; i < 2; i++)
		assert_int_equal(snapshot_hold(f->s, "v", first[i], false, &err), 0);
	assert_int_equal(automatic_unheld(f), 18);
	assert_int_equal(snapshot_rollback(f->s, "v", "s1", false, saved, NULL, &err), 0);
	assert_int_equal(automatic_unheld(f), 16);
	store_fixture_crash(f);
	assert_int_equal(automatic_unheld(f), 16);
}

/* Between the death of a daemon and the next one somebody else was at work. */
static void test_ring_of_another_past(void **state)
{
	struct store_fixture *f = *state;
	struct store_options opts = {.flags = STORE_NO_THREADS, .ring_size = 8 * MIB};
	struct err err = {0};

	fixture_file(f, f->vol.root_node, "unsynced", 1, 5000);
	opts.ring_fd = dup(store_ring_fd(f->s));
	store_fixture_crash(f);
	fixture_file(f, f->vol.root_node, "since", 2, 5000);
	assert_int_equal(store_close(f->s, &err), 0);
	assert_int_equal(store_open(f->dir, &opts, &f->s, &err), -ECORRUPT);
	assert_non_null(strstr(err.text, "changed since the last daemon ran"));
	(void)close(opts.ring_fd);
	store_fixture_open(f, -1);
	fixture_expect(f, f->vol.root_node, "since", 2, 5000);
}

static void test_unknown_names(void **state)
{
	struct store_fixture *f = *state;
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
	struct store_fixture *f = *state;
	struct store_space before, after;
	struct err err = {0};
	bool more = true;

	fixture_file(f, f->vol.root_node, "big", 13, 3000000);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(store_space(f->s, &before), 0);
	assert_true(before.unique_bytes >= 3000000);
	assert_int_equal(volume_remove(f->s, "v", VOLUME_REMOVE_PURGE, &err), 0);
	while (more)
		assert_int_equal(store_maintain(f->s, &more), 0);
	assert_int_equal(store_space(f->s, &after), 0);
	assert_int_equal(after.chunks, 0);
	assert_int_equal(after.volumes, 0);
}

/* A database at its quota must be able to write in place; only growth is refused. */
static void test_quota(void **state)
{
	struct store_fixture *f = *state;
	struct volume_options opts = {.set = VOLUME_SET_QUOTA, .quota_bytes = 100000};
	uint64_t node = fixture_file(f, f->vol.root_node, "db", 14, 100000);
	uint8_t page[8192] = {1};
	struct attr want = {.size = 100001}, got;
	struct err err = {0};

	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(volume_set(f->s, "v", &opts, &err), 0);
	assert_int_equal(file_write(f->s, &fixture_op, node, page, sizeof page, 8192, 0, false), 0);
	assert_int_equal(file_write(f->s, &fixture_op, node, page, sizeof page, 100000, 0, false), -EDQUOT);
	assert_int_equal(ns_setattr(f->s, &fixture_op, node, &want, NS_SET_SIZE, &got), -EDQUOT);
	want.size = 50000;
	assert_int_equal(ns_setattr(f->s, &fixture_op, node, &want, NS_SET_SIZE, &got), 0);
	assert_int_equal(file_write(f->s, &fixture_op, node, page, sizeof page, 50000, 0, false), 0);
}

static void fill_to_quota(struct store_fixture *f, const char *prefix, unsigned most, unsigned *ret_n)
{
	uint8_t page[1000] = {1};
	struct attr attr;
	char name[16];
	unsigned n;
	int ret = 0;

	for (n = 0; n < most && !ret; n += !ret) {
		(void)snprintf(name, sizeof name, "%s%u", prefix, n);
		assert_int_equal(ns_create(f->s, &fixture_op, f->vol.root_node, name, S_IFREG | 0644, 0, NULL, &attr), 0);
		ret = file_write(f->s, &fixture_op, attr.node, page, sizeof page, 0, 0, false);
	}
	assert_int_equal(ret, n == most ? 0 : -EDQUOT);
	*ret_n = n;
}

/* What is buffered counts, in statfs too, and nothing is counted twice once it is drained; a rollback brings the counts of then. */
static void test_quota_of_buffered(void **state)
{
	struct store_fixture *f = *state;
	struct volume_options opts = {.set = VOLUME_SET_QUOTA, .quota_bytes = 100000};
	struct snapshot_name name = {"v", "s1"};
	char saved[VOLUME_NAME_MAX + 1];
	struct ns_statfs fs;
	struct err err = {0};
	unsigned n;

	assert_int_equal(volume_set(f->s, "v", &opts, &err), 0);
	fill_to_quota(f, "a", 40, &n);
	assert_int_equal(snapshot_create(f->s, &name, 1, NULL, NULL, &err), 0);
	fill_to_quota(f, "b", 100, &n);
	assert_int_equal(n, 60);
	assert_int_equal(ns_statfs(f->s, f->vol.root_node, &fs), 0);
	assert_int_equal(fs.total_bytes, 100000);
	assert_int_equal(fs.free_bytes, 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(ns_statfs(f->s, f->vol.root_node, &fs), 0);
	assert_int_equal(fs.free_bytes, 0);
	assert_int_equal(snapshot_rollback(f->s, "v", "s1", false, saved, NULL, &err), 0);
	assert_int_equal(ns_statfs(f->s, f->vol.root_node, &fs), 0);
	assert_int_equal(fs.free_bytes, 60000);
	fill_to_quota(f, "c", 100, &n);
	assert_int_equal(n, 60);
}

static void test_quota_of_inodes(void **state)
{
	struct store_fixture *f = *state;
	struct volume_options opts = {.set = VOLUME_SET_QUOTA_INODES, .quota_inodes = 3}; /* the root is one */
	struct ns_statfs fs;
	struct attr attr;
	struct err err = {0};

	assert_int_equal(volume_set(f->s, "v", &opts, &err), 0);
	(void)fixture_file(f, f->vol.root_node, "a", 1, 10);
	(void)fixture_file(f, f->vol.root_node, "b", 1, 10);
	assert_int_equal(ns_create(f->s, &fixture_op, f->vol.root_node, "c", S_IFREG | 0644, 0, NULL, &attr), -EDQUOT);
	opts.quota_inodes = 1;
	assert_int_equal(volume_set(f->s, "v", &opts, &err), 0);
	assert_int_equal(ns_statfs(f->s, f->vol.root_node, &fs), 0);
	assert_int_equal(fs.free_inodes, 0);
}

/* Closing a file of a snapshot leaves the live file's opens alone: a rollback still sees who writes. */
static void test_release_in_snapshot(void **state)
{
	struct store_fixture *f = *state;
	struct snapshot_name name = {"v", "s1"};
	uint64_t node = fixture_file(f, f->vol.root_node, "a", 15, 1000);
	struct attr attr = {0};
	struct open_file *open;
	struct err err = {0};
	size_t n;

	assert_int_equal(snapshot_create(f->s, &name, 1, NULL, NULL, &err), 0);
	assert_int_equal(ns_lookup(f->s, find(f, "v", ".snapshots", "s1"), "a", &attr), 0);
	assert_int_equal(file_open(f->s, &fixture_op, node, FILE_OPEN_WRITE, 1), 0);
	assert_int_equal(file_open(f->s, &fixture_op, attr.node, 0, 1), 0);
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

/* The chunks of a cut's last drain cannot be written: nothing that refers to them is acknowledged or reaches the disk, until they can be. */
static void cut_that_loses_chunks(struct store_fixture *f, bool then_power)
{
	struct snapshot_name name = {"v", "s1"};
	uint64_t node = fixture_file(f, f->vol.root_node, "synced", 16, 9000);
	struct err err = {0};
	struct attr attr;

	assert_int_equal(file_fsync(f->s, node), 0);
	node = fixture_file(f, f->vol.root_node, "late", 17, 9000);
	io_set_hook(fail_pack_sync, NULL);
	assert_int_equal(snapshot_create(f->s, &name, 1, NULL, NULL, &err), -EIO);
	assert_int_equal(file_fsync(f->s, node), -EIO);
	assert_int_equal(store_commit(f->s), -EIO);
	io_set_hook(NULL, NULL);
	expect_content(f, node, 17, 9000);
	if (!then_power) {
		assert_int_equal(file_fsync(f->s, node), 0);
		assert_int_equal(ns_create(f->s, &fixture_op, f->vol.root_node, "more", S_IFREG | 0644, 0, NULL, &attr), 0);
	}
	store_abandon(f->s);
	store_fixture_open(f, -1);
	expect_content(f, find(f, "v", "synced", NULL), 16, 9000);
	assert_int_equal(find(f, "v", "late", NULL) != 0, !then_power);
	assert_int_equal(find(f, "v", ".snapshots", "s1") != 0, !then_power);
	if (!then_power)
		expect_content(f, find(f, "v", "late", NULL), 17, 9000);
}

static void test_cut_that_loses_chunks(void **state)
{
	cut_that_loses_chunks(*state, false);
}

static void test_cut_that_loses_chunks_then_power(void **state)
{
	cut_that_loses_chunks(*state, true);
}

static void test_open_writers(void **state)
{
	struct store_fixture *f = *state;
	uint64_t a = fixture_file(f, f->vol.root_node, "a", 1, 10), b = fixture_file(f, f->vol.root_node, "b", 1, 10);
	struct volume_info w, *list;
	struct err err = {0};
	size_t n;

	assert_int_equal(volume_create(f->s, "w", NULL, &w, &err), 0);
	assert_int_equal(file_open(f->s, NULL, a, FILE_OPEN_WRITE, 1), 0);
	assert_int_equal(file_open(f->s, NULL, b, FILE_OPEN_WRITE, 1), 0);
	assert_int_equal(file_open(f->s, NULL, fixture_file(f, w.root_node, "c", 1, 10), FILE_OPEN_WRITE, 1), 0);
	assert_int_equal(volume_list(f->s, &list, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_int_equal(list[0].open_writers, 2);
	assert_int_equal(list[1].open_writers, 1);
	free(list);
	file_release(f->s, a, FILE_OPEN_WRITE);
	assert_int_equal(volume_get(f->s, "v", &w, &err), 0);
	assert_int_equal(w.open_writers, 1);
}

struct told {
	struct store *s; /* NULL: not, or not any more */
	unsigned calls;
	size_t volumes;
	int answer;
};

static int on_recovered(void *arg, struct store *s, struct err *err)
{
	struct told *t = arg;
	struct volume_brief *list;

	t->s = s;
	t->calls++;
	if (!s)
		return 0;
	assert_int_equal(volume_briefs(s, &list, &t->volumes, err), 0);
	free(list);
	return t->answer ? err_set(err, t->answer, "not wanted") : 0;
}

static int no_sync(void *arg, enum io_class cls, enum io_op op, const char *path, int fd, const void *data, size_t *len, off_t off)
{
	const struct told *t = arg;

	(void)cls;
	(void)path;
	(void)fd;
	(void)data;
	(void)len;
	(void)off;
	return t->calls && op == IO_SYNC ? -EIO : 0;
}

/* What was acknowledged can be read before the disk has it, and is taken back when the disk will not have it. */
static void test_told_when_recovered(void **state)
{
	struct store_fixture *f = *state;
	struct store_options o = STORE_OPTIONS_DEFAULT;
	struct told t = {0};
	struct err err = {0};
	int fd = dup(store_ring_fd(f->s));

	store_abandon(f->s);
	o.flags = STORE_NO_THREADS;
	o.ring_fd = fd;
	o.recovered = on_recovered;
	o.recovered_arg = &t;
	t.answer = EINTR;
	assert_int_equal(store_open(f->dir, &o, &f->s, &err), -EINTR);
	assert_string_equal(err.text, "not wanted");
	assert_int_equal(t.calls, 1);
	t = (struct told){0};
	io_set_hook(no_sync, &t);
	assert_true(store_open(f->dir, &o, &f->s, NULL) < 0);
	io_set_hook(NULL, NULL);
	assert_int_equal(t.calls, 2);
	assert_null(t.s);
	t = (struct told){0};
	assert_int_equal(store_open(f->dir, &o, &f->s, &err), 0);
	close(fd);
	assert_ptr_equal(t.s, f->s);
	assert_int_equal(t.volumes, 1);
	assert_int_equal(t.calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_back, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_clean_reopen, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_daemon_dies, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_open_writers, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_told_when_recovered, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_done_is_noted, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_closing_what_was_opened_before, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_machine_dies, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_replaced_by_rename, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_snapshot_rollback_clone, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_automatic_snapshots_are_bounded, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_ring_of_another_past, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_unknown_names, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_removed_space_comes_back, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_quota, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_quota_of_buffered, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_quota_of_inodes, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_release_in_snapshot, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_cut_that_loses_chunks, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_cut_that_loses_chunks_then_power, store_fixture_setup, store_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
