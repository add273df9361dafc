/* The check: clean stores are clean, and each kind of damage, done on purpose, is found and named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>

#include "store/maint/check.h"
#include "store/volume/store_internal.h"

#define FILE_LEN (300 * KIB)

struct fixture {
	char dir[64];
	struct store *s;
	struct volume_info vol;
	uint64_t sub, file; /* node ids of /sub and /sub/file */
	char lines[16384];
};

static const struct op op = {.umask = 022};

static void open_store(struct fixture *f)
{
	struct store_options opts = {.flags = STORE_NO_THREADS, .ring_size = 8 * MIB, .ring_fd = -1};
	struct err err = {0};

	if (store_open(f->dir, &opts, &f->s, &err))
		fail_msg("store_open: %s", err.text);
}

static uint64_t make(struct fixture *f, uint64_t parent, const char *name, uint32_t mode, unsigned seed, size_t len)
{
	uint8_t *data = malloc(len + 1);
	struct attr attr;

	assert_non_null(data);
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
	assert_int_equal(ns_create(f->s, &op, parent, name, mode, 0, NULL, &attr), 0);
	if (len)
		assert_int_equal(file_write(f->s, &op, attr.node, data, len, 0, 0, false), 0);
	free(data);
	return attr.node;
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
	open_store(f);
	if (volume_create(f->s, "v", NULL, &f->vol, &err))
		fail_msg("volume_create: %s", err.text);
	f->sub = make(f, f->vol.root_node, "sub", S_IFDIR | 0755, 0, 0);
	f->file = make(f, f->sub, "file", S_IFREG | 0644, 1, FILE_LEN);
	(void)make(f, f->vol.root_node, "other", S_IFREG | 0644, 2, 5000);
	assert_int_equal(store_commit(f->s), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char cmd[128];

	store_abandon(f->s);
	(void)snprintf(cmd, sizeof cmd, "rm -rf %s", f->dir);
	assert_int_equal(system(cmd), 0);
	free(f);
	return 0;
}

static void keep(void *arg, const char *line)
{
	struct fixture *f = arg;
	size_t n = strlen(f->lines);

	(void)snprintf(f->lines + n, sizeof f->lines - n, "%s\n", line);
}

static struct check_result check(struct fixture *f, unsigned flags)
{
	struct check_result r = {0};
	struct err err = {0};

	f->lines[0] = 0;
	if (check_store(f->s, flags, keep, f, &r, &err))
		fail_msg("check_store: %s", err.text);
	return r;
}

static void assert_clean(struct fixture *f)
{
	struct check_result r = check(f, CHECK_DATA);

	if (r.errors || f->lines[0])
		fail_msg("%llu errors: %s", (unsigned long long)r.errors, f->lines);
}

static void assert_finds(struct fixture *f, unsigned flags, const char *text)
{
	struct check_result r = check(f, flags);

	assert_int_not_equal(r.errors, 0);
	if (!strstr(f->lines, text))
		fail_msg("'%s' is not in: %s", text, f->lines);
}

static void snapshot(struct fixture *f, const char *name)
{
	struct snapshot_name n = {.volume = "v"};
	struct cut_times times;
	struct err err = {0};

	(void)snprintf(n.snapshot, sizeof n.snapshot, "%s", name);
	if (snapshot_create(f->s, &n, 1, NULL, &times, &err))
		fail_msg("snapshot_create: %s", err.text);
}

static void test_clean(void **state)
{
	struct fixture *f = *state;
	struct check_result r = check(f, CHECK_DATA);

	assert_int_equal(r.errors, 0);
	assert_int_equal(r.inodes, 4);
	assert_int_equal(r.dirents, 3);
	assert_true(r.chunks > 0 && r.extents >= r.chunks);
	assert_int_equal(r.bytes_verified, FILE_LEN + 5000);
}

static void test_clean_through_history(void **state)
{
	struct fixture *f = *state;
	char saved[VOLUME_NAME_MAX + 1];
	struct volume_info clone;
	struct cut_times times;
	struct err err = {0};
	bool more = true;

	snapshot(f, "a");
	(void)make(f, f->sub, "new", S_IFREG | 0644, 3, 70000);
	assert_int_equal(ns_rename(f->s, &op, f->sub, "file", f->vol.root_node, "moved", 0), 0);
	assert_int_equal(file_write(f->s, &op, f->file, "changed", 7, 100000, 0, false), 0);
	assert_clean(f); /* with data still in the write buffers */
	snapshot(f, "b");
	assert_int_equal(ns_unlink(f->s, &op, f->vol.root_node, "moved"), 0); /* an orphan */
	assert_clean(f);
	assert_int_equal(snapshot_clone(f->s, "v", "a", "clone", &(struct volume_options){0}, &clone, &times, &err), 0);
	(void)make(f, clone.root_node, "in-clone", S_IFDIR | 0700, 0, 0);
	assert_int_equal(snapshot_rollback(f->s, "v", "a", true, saved, &times, &err), 0);
	assert_int_equal(ns_unlink(f->s, &op, f->sub, "file"), 0);
	assert_clean(f);
	assert_int_equal(snapshot_remove(f->s, "v", "b", &err), 0);
	for (int i = 0; i < 1000 && more; i++) {
		assert_int_equal(store_maintain(f->s, &more), 0);
		assert_int_equal(store_commit(f->s), 0);
	}
	assert_clean(f);
	assert_int_equal(store_close(f->s, &err), 0);
	open_store(f);
	assert_clean(f);
}

/* A store in use: names and contents change, snapshots come and go. */
static void *use(void *arg)
{
	struct fixture *f = arg;
	char name[16], snap[16];
	struct err err = {0};

	for (unsigned i = 0; i < 600; i++) {
		(void)snprintf(name, sizeof name, "n%u", i % 50);
		(void)snprintf(snap, sizeof snap, "s%u", i / 20 % 4);
		if (ns_unlink(f->s, &op, f->sub, name) == 0 && i % 3)
			(void)ns_rename(f->s, &op, f->sub, "file", f->vol.root_node, "file", 0);
		else
			(void)ns_rename(f->s, &op, f->vol.root_node, "file", f->sub, "file", 0);
		(void)make(f, f->sub, name, S_IFREG | 0644, i, 1 + i * 37 % 20000);
		assert_int_equal(file_write(f->s, &op, f->file, name, 3, i * 911 % FILE_LEN, 0, false), 0);
		if (i % 20 == 0) {
			(void)snapshot_remove(f->s, "v", snap, &err);
			snapshot(f, snap);
		}
	}
	return NULL;
}

static void test_clean_while_in_use(void **state)
{
	struct store_options opts = {.ring_size = 8 * MIB, .ring_fd = -1, .commit_interval_ms = 20};
	struct fixture *f = *state;
	struct err err = {0};
	pthread_t thread;

	assert_int_equal(store_close(f->s, &err), 0);
	if (store_open(f->dir, &opts, &f->s, &err))
		fail_msg("store_open: %s", err.text);
	assert_int_equal(pthread_create(&thread, NULL, use, f), 0);
	while (pthread_tryjoin_np(thread, NULL))
		assert_clean(f);
	assert_clean(f);
}

/* Somebody who works in the store whenever the check looks up, within statements too: nothing of the store is locked then. Or who does
 * nothing, and cancels it in the end. */
struct onlooker {
	struct fixture *f;
	unsigned asked, cancel_at;
	double part;
};

static void onlooker_report(void *arg, const char *line)
{
	struct onlooker *o = arg;

	keep(o->f, line);
}

static void onlooker_progress(void *arg, double part)
{
	struct onlooker *o = arg;

	assert_true(part >= o->part && part < 1.0001);
	o->part = part;
}

static bool onlooker_cancelled(void *arg)
{
	struct onlooker *o = arg;
	char name[16];

	if (++o->asked == o->cancel_at)
		return true;
	if (o->cancel_at)
		return false;
	(void)snprintf(name, sizeof name, "w%u", o->asked);
	(void)make(o->f, o->f->sub, name, S_IFREG | 0644, o->asked, 3000);
	assert_int_equal(file_write(o->f->s, &op, o->f->file, name, strlen(name), o->asked * 1000 % FILE_LEN, 0, false), 0);
	if (o->asked % 3 == 0)
		assert_int_equal(store_commit(o->f->s), 0);
	if (o->asked % 5 == 0) {
		struct err err = {0};

		(void)snapshot_remove(o->f->s, "v", "s", &err);
		snapshot(o->f, "s");
	}
	return false;
}

static int watched_check(struct onlooker *o)
{
	const struct check_watch watch = {o, onlooker_report, onlooker_progress, onlooker_cancelled};
	struct check_result r = {0};
	struct err err = {0};
	int ret = check_store_watched(o->f->s, CHECK_DATA, &watch, &r, &err);

	assert_int_equal(r.errors, 0);
	if (o->f->lines[0])
		fail_msg("%s", o->f->lines);
	return ret;
}

static void test_others_go_on(void **state)
{
	struct fixture *f = *state;
	struct onlooker o = {.f = f};

	for (unsigned i = 0; i < 2000; i++) { /* enough for statements of many steps */
		char name[16];

		(void)snprintf(name, sizeof name, "many%u", i);
		(void)make(f, f->vol.root_node, name, S_IFREG | 0644, i, 0);
	}
	snapshot(f, "s");
	assert_int_equal(watched_check(&o), 0);
	assert_true(o.asked > 50);
	assert_true(o.part > 0.999);
	assert_clean(f);
}

static void test_cancelled(void **state)
{
	struct fixture *f = *state;
	struct onlooker o = {.f = f};
	unsigned n = 0;

	for (int ret = -ECANCELED; ret; n++) {
		o = (struct onlooker){.f = f, .cancel_at = n + 1};
		ret = watched_check(&o);
		assert_true(ret == 0 || ret == -ECANCELED);
		assert_int_equal(ret == 0, o.asked <= n);
	}
	assert_true(n > 5);
}

static struct meta_view head(struct fixture *f)
{
	struct volume_row vol;
	struct branch *b;

	assert_int_equal(volume_by_name(f->s->meta, "v", &vol), 0);
	b = branch_get(f->s->meta, vol.branch);
	assert_non_null(b);
	volume_row_free(&vol);
	return (struct meta_view){b, META_HEAD};
}

static uint64_t ino_of(uint64_t node)
{
	return node & ((UINT64_C(1) << NODE_INO_BITS) - 1);
}

static void test_references(void **state)
{
	struct fixture *f = *state;
	struct chunk_row row;
	size_t n;

	assert_int_equal(chunk_scan(f->s->meta, 0, &row, 1, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(meta_op_begin(f->s->meta), 0);
	assert_int_equal(chunk_ref(f->s->meta, row.id, 3), 0);
	assert_int_equal(meta_op_end(f->s->meta), 0);
	assert_finds(f, 0, "4 references, but 1 extents");
}

static void damage_inode(struct fixture *f, uint64_t node, void (*damage)(struct inode *inode))
{
	struct meta_view v = head(f);
	struct inode inode;

	assert_int_equal(meta_op_begin(f->s->meta), 0);
	assert_int_equal(inode_get(f->s->meta, &v, ino_of(node), &inode), 0);
	damage(&inode);
	assert_int_equal(inode_put(f->s->meta, v.branch, &inode), 0);
	assert_int_equal(meta_op_end(f->s->meta), 0);
}

static void wrong_nlink(struct inode *inode)
{
	inode->nlink += 2;
}

static void wrong_size(struct inode *inode)
{
	inode->size -= 1;
}

static void wrong_alloc(struct inode *inode)
{
	inode->alloc += 4096;
}

static void wrong_parent(struct inode *inode)
{
	inode->parent = inode->ino;
}

static void test_inodes(void **state)
{
	struct fixture *f = *state;

	damage_inode(f, f->file, wrong_nlink);
	assert_finds(f, 0, "(/sub/file): its link count is 3 and should be 1");
	damage_inode(f, f->file, wrong_alloc);
	assert_finds(f, 0, "bytes of extents, its inode says");
	damage_inode(f, f->file, wrong_size);
	assert_finds(f, 0, "beyond its size");
	assert_finds(f, 0, "its total says");
	damage_inode(f, f->sub, wrong_parent);
	assert_finds(f, 0, "(/sub): its parent should be");
	damage_inode(f, f->sub, wrong_size);
	assert_finds(f, 0, "(/sub): its size is 0, but it has 1 entries");
}

static void test_entries(void **state)
{
	struct fixture *f = *state;
	struct meta_view v = head(f);
	struct dirent_row row;

	snapshot(f, "whole");
	assert_int_equal(meta_op_begin(f->s->meta), 0);
	assert_int_equal(dirent_get(f->s->meta, &v, ino_of(f->sub), "file", 4, &row), 0);
	row.type = DT_DIR;
	assert_int_equal(dirent_put(f->s->meta, v.branch, &row), 0);
	assert_int_equal(meta_op_end(f->s->meta), 0);
	assert_finds(f, 0, "its entry 'file' has type");
	assert_int_equal(meta_op_begin(f->s->meta), 0);
	row.ino = 12345678;
	assert_int_equal(dirent_put(f->s->meta, v.branch, &row), 0);
	assert_int_equal(meta_op_end(f->s->meta), 0);
	assert_finds(f, 0, "points at inode 12345678, which does not exist");
	assert_null(strstr(f->lines, "v@whole"));
}

static void test_snapshot_totals(void **state)
{
	struct fixture *f = *state;
	struct snapshot_row snap;
	struct volume_row vol;

	snapshot(f, "a");
	assert_int_equal(volume_by_name(f->s->meta, "v", &vol), 0);
	assert_int_equal(snapshot_by_name(f->s->meta, vol.id, "a", &snap), 0);
	volume_row_free(&vol);
	snap.bytes += 7;
	snap.inodes += 1;
	assert_int_equal(meta_op_begin(f->s->meta), 0);
	assert_int_equal(snapshot_put(f->s->meta, &snap), 0);
	assert_int_equal(meta_op_end(f->s->meta), 0);
	assert_finds(f, 0, "v@a: its files have");
	assert_finds(f, 0, "v@a: it has 4 inodes, its total says 5");
	assert_int_equal(check(f, 0).errors, 2);
}

static void test_space(void **state)
{
	struct fixture *f = *state;
	struct chunk_row row;
	size_t n;

	assert_int_equal(chunk_scan(f->s->meta, 0, &row, 1, &n), 0);
	assert_int_equal(meta_op_begin(f->s->meta), 0);
	/* leaves its place on the free list and takes one inside itself */
	assert_int_equal(chunk_move(f->s->meta, row.id, row.pack, row.off + 8), 0);
	assert_int_equal(meta_op_end(f->s->meta), 0);
	assert_finds(f, 0, "overlaps the one before it");
}

static void test_lost_data(void **state)
{
	struct fixture *f = *state;
	char path[128], was;
	struct chunk_row row;
	size_t n;
	int fd;

	snapshot(f, "a");
	assert_int_equal(chunk_scan(f->s->meta, 0, &row, 1, &n), 0);
	(void)snprintf(path, sizeof path, "%s/packs/%08x.pack", f->dir, row.pack);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &was, 1, row.off + 20), 1);
	was = (char)~was;
	assert_int_equal(pwrite(fd, &was, 1, row.off + 20), 1);
	assert_int_equal(close(fd), 0);

	assert_int_equal(check(f, 0).errors, 0);
	assert_int_equal(check(f, CHECK_DATA).errors, 1);
	assert_non_null(strstr(f->lines, "v: /"));
	assert_non_null(strstr(f->lines, "v@a: /"));
	assert_non_null(strstr(f->lines, " lost "));
}

/* A checksum of all files of a store; SQLite's -shm aside, which is an index that is made anew, and the lock, which says who
 * looks. */
static void sum_files(const char *dir, char *out, size_t size)
{
	char cmd[300];
	FILE *p;

	(void)snprintf(cmd, sizeof cmd, "cd %s && find . ! -name '*-shm' ! -name lock -printf '%%p %%s %%m %%T@\\n' | sort | sha256sum;"
		       "cd %s && find . -type f ! -name '*-shm' ! -name lock | sort | xargs sha256sum | sha256sum", dir, dir);
	p = popen(cmd, "re");
	assert_non_null(p);
	assert_true(fread(out, 1, size - 1, p) > 60);
	assert_int_equal(pclose(p), 0);
}

/* As kill -9 leaves it, with a WAL, a journal to replay, and what only the daemon knew: looked at without a change of one byte. */
static void test_changes_nothing(void **state)
{
	struct fixture *f = *state, look = {0};
	struct store_options opts = {.flags = STORE_NO_THREADS | STORE_READONLY, .ring_fd = -1};
	char cmd[200], before[200] = "", after[200] = "";
	struct err err = {0};

	assert_int_equal(file_fsync(f->s, make(f, f->sub, "synced", S_IFREG | 0644, 8, 3000)), 0);
	(void)make(f, f->sub, "buffered", S_IFREG | 0644, 9, 3000);
	(void)snprintf(look.dir, sizeof look.dir, "%.50s.look", f->dir);
	(void)snprintf(cmd, sizeof cmd, "cp -a %s %s", f->dir, look.dir);
	assert_int_equal(system(cmd), 0);
	sum_files(look.dir, before, sizeof before);
	for (int i = 0; i < 2; i++) {
		if (store_open(look.dir, &opts, &look.s, &err))
			fail_msg("store_open: %s", err.text);
		assert_clean(&look);
		assert_int_equal(store_close(look.s, &err), 0);
		sum_files(look.dir, after, sizeof after);
		assert_string_equal(before, after);
	}
	(void)snprintf(cmd, sizeof cmd, "rm -rf %s", look.dir);
	assert_int_equal(system(cmd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_clean, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clean_through_history, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clean_while_in_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others_go_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancelled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_references, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inodes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_entries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_snapshot_totals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_space, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_data, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changes_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
