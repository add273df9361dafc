/* Compaction: what lives moves, what is dead goes; nothing is lost by damage, faults, crashes or readers that come in between. */
#include "store/base/io.h"
#include "store/maint/check.h"
#include "store/maint/gc.h"
#include "store/volume/store_internal.h"
#include "tests/unit/volume/store_fixture.h"

#define FILES 240
#define FILE_LEN 3000 /* a record is no whole block: its death alone gives nothing back */
#define PACK_SIZE (512 * KIB)

static void reopen(struct store_fixture *f, bool dies)
{
	struct store_options opts = {.flags = STORE_NO_THREADS, .ring_size = 8 * MIB, .ring_fd = -1, .pack_size = PACK_SIZE};
	struct err err = {0};

	if (dies)
		store_abandon(f->s);
	else if (store_close(f->s, &err))
		fail_msg("store_close: %s", err.text);
	if (store_open(f->dir, &opts, &f->s, &err))
		fail_msg("store_open: %s", err.text);
}

static void name_of(unsigned i, char name[16])
{
	(void)snprintf(name, 16, "f%u", i);
}

/* Many small files in packs, of which every other one is removed: half of each pack is dead, and almost none of it can be punched. */
static void make_garbage(struct store_fixture *f)
{
	char name[16];

	for (unsigned i = 0; i < FILES; i++) {
		name_of(i, name);
		(void)ns_unlink(f->s, &fixture_op, f->vol.root_node, name);
		(void)fixture_file(f, f->vol.root_node, name, i, FILE_LEN);
	}
	assert_int_equal(store_commit(f->s), 0);
	for (unsigned i = 1; i < FILES; i += 2) {
		name_of(i, name);
		assert_int_equal(ns_unlink(f->s, &fixture_op, f->vol.root_node, name), 0);
	}
	assert_int_equal(orphans_free_all(f->s), 0);
	assert_int_equal(store_commit(f->s), 0);
}

static int setup(void **state)
{
	int ret = store_fixture_setup(state);

	if (ret)
		return ret;
	reopen(*state, false);
	return 0;
}

static void expect_files(struct store_fixture *f)
{
	char name[16];

	for (unsigned i = 0; i < FILES; i += 2) {
		name_of(i, name);
		fixture_expect(f, f->vol.root_node, name, i, FILE_LEN);
	}
}

static void report(void *arg, const char *line)
{
	(void)arg;
	print_message("%s\n", line);
}

static uint64_t check_errors(struct store_fixture *f)
{
	struct check_result r = {0};
	struct err err = {0};

	if (check_store(f->s, CHECK_DATA, report, NULL, &r, &err))
		fail_msg("check_store: %s", err.text);
	return r.errors;
}

static struct gc_result collect(struct store_fixture *f)
{
	struct gc_result r = {0};
	struct err err = {0};

	if (gc_run(f->s, &(struct gc_watch){0}, &r, &err))
		fail_msg("gc_run: %s", err.text);
	return r;
}

static uint64_t disk_usage(struct store_fixture *f)
{
	uint64_t bytes;

	assert_int_equal(chunk_store_disk_usage(f->s->chunks, &bytes), 0);
	return bytes;
}

static void test_space_comes_back(void **state)
{
	struct store_fixture *f = *state;
	struct gc_result r;
	uint64_t before;

	make_garbage(f);
	reopen(f, false);
	before = disk_usage(f);
	assert_true(before >= FILES * FILE_LEN);
	r = collect(f);
	assert_true(r.moved_bytes >= FILES / 2 * FILE_LEN);
	assert_true(r.freed_bytes >= before - 8192);
	expect_files(f);
	assert_int_equal(check_errors(f), 0);
	reopen(f, false); /* the mover's pack ends */
	assert_true(disk_usage(f) <= FILES / 2 * (FILE_LEN + CHUNK_RECORD_HEADER_LEN) + 16384);
	/* and that is that */
	r = collect(f);
	assert_int_equal(r.moved_bytes, 0);
	expect_files(f);
}

/* Background work moves and frees without being asked, but for the packs being appended to. */
static void test_in_background(void **state)
{
	struct store_fixture *f = *state;

	make_garbage(f);
	fixture_maintain(f);
	assert_true(stats_get(&store_stats(f->s)->bytes_compacted) > 0);
	expect_files(f);
	assert_int_equal(check_errors(f), 0);
}

static bool half_moved(struct store_fixture *f)
{
	return f->s->compaction.pack != 0 || stats_get(&store_stats(f->s)->bytes_compacted) > 0;
}

/* The daemon or the machine ends after each step in turn; every file is there, and the work is done again. */
static void test_crash_at_each_step(void **state)
{
	struct store_fixture *f = *state;
	bool more = true;

	make_garbage(f);
	reopen(f, false);
	for (unsigned steps = 1; more; steps++) {
		more = true;
		for (unsigned i = 0; i < steps && more; i++) {
			assert_int_equal(store_maintain(f->s, &more), 0);
			if (i % 3 == 2)
				assert_int_equal(store_commit(f->s), 0);
		}
		reopen(f, true);
		expect_files(f);
		assert_int_equal(check_errors(f), 0);
	}
	collect(f);
	expect_files(f);
	assert_int_equal(check_errors(f), 0);
}

/* The row of a file's only chunk. */
static struct chunk_row chunk_of(struct store_fixture *f, const char *name)
{
	struct resolved r;
	struct inode inode;
	struct extent e;
	struct chunk_row row;
	struct attr attr;
	size_t n;

	assert_int_equal(ns_lookup(f->s, f->vol.root_node, name, &attr), 0);
	assert_int_equal(node_inode(f->s, attr.node, false, &r, &inode), 0);
	assert_int_equal(extent_scan(f->s->meta, &r.slot->view, &inode, 0, INT64_MAX, &e, 1, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(chunk_get(f->s->meta, e.chunk, &row), 0);
	return row;
}

static void flip(struct store_fixture *f, const struct chunk_row *row)
{
	char path[128];
	uint8_t byte;
	FILE *file;

	(void)snprintf(path, sizeof path, "%s/packs/%08x.pack", f->dir, row->pack);
	file = fopen(path, "r+e");
	assert_non_null(file);
	assert_int_equal(fseek(file, row->off + 100, SEEK_SET), 0);
	assert_int_equal(fread(&byte, 1, 1, file), 1);
	byte ^= 1;
	assert_int_equal(fseek(file, row->off + 100, SEEK_SET), 0);
	assert_int_equal(fwrite(&byte, 1, 1, file), 1);
	assert_int_equal(fclose(file), 0);
}

/* A damaged chunk is not made good by moving it: it stays, it is counted, and all others move. */
static void test_damaged_stays(void **state)
{
	struct store_fixture *f = *state;
	struct chunk_row row, now;
	struct attr attr;
	uint8_t buf[16];
	size_t n;

	make_garbage(f);
	reopen(f, false);
	row = chunk_of(f, "f10");
	flip(f, &row);
	collect(f);
	assert_true(stats_get(&store_stats(f->s)->chunks_corrupt) > 0);
	now = chunk_of(f, "f10");
	assert_int_equal(now.pack, row.pack);
	assert_int_equal(now.off, row.off);
	assert_int_equal(ns_lookup(f->s, f->vol.root_node, "f10", &attr), 0);
	assert_int_equal(file_read(f->s, attr.node, buf, sizeof buf, 0, false, &n), -ECORRUPT);
	now = chunk_of(f, "f12");
	assert_int_not_equal(now.pack, row.pack);
	assert_int_equal(check_errors(f), 1);
	/* with the bit turned back it is what it was, and moves when it is next looked at */
	flip(f, &row);
	expect_files(f);
	reopen(f, false);
	collect(f);
	expect_files(f);
	assert_int_equal(check_errors(f), 0);
}

struct fault {
	unsigned left; /* I/O until one fails; 0: none does */
	bool hit;
};

static int fail_nth(void *arg, enum io_class cls, enum io_op what, const char *path, int fd, const void *data, size_t *len, off_t off)
{
	struct fault *fault = arg;

	(void)cls, (void)what, (void)path, (void)fd, (void)data, (void)len, (void)off;
	if (!fault->left || --fault->left)
		return 0;
	fault->hit = true;
	if (what == IO_WRITE)
		*len = 0;
	return what == IO_WRITE ? -ENOSPC : -EIO;
}

static void test_each_io_fails(void **state)
{
	struct store_fixture *f = *state;
	struct fault fault = {.hit = true};
	struct gc_result r;
	struct err err = {0};

	make_garbage(f);
	for (unsigned n = 1; fault.hit; n += 1 + n / 16) {
		reopen(f, false);
		fault = (struct fault){.left = n};
		io_set_hook(fail_nth, &fault);
		(void)gc_run(f->s, &(struct gc_watch){0}, &r, &err);
		io_set_hook(NULL, NULL);
		reopen(f, true);
		expect_files(f);
		assert_int_equal(check_errors(f), 0);
		if (n % 8 == 0) /* there is work again */
			make_garbage(f);
	}
}

/* A reader that was there before goes on reading the old place; it is gone when the reader is. */
static void *maintain(void *arg)
{
	fixture_maintain(arg);
	return NULL;
}

static void test_reader_keeps_old_place(void **state)
{
	struct store_fixture *f = *state;
	uint8_t want[FILE_LEN], got[FILE_LEN];
	struct chunk_row row, now;
	struct chunk_loc loc;
	struct stat st;
	bool more = true;
	pthread_t thread;
	char path[128];
	unsigned gate;

	make_garbage(f);
	reopen(f, false);
	row = now = chunk_of(f, "f20");
	loc = chunk_row_loc(&row);
	while (now.pack == row.pack) {
		assert_int_equal(store_maintain(f->s, &more), 0);
		now = chunk_of(f, "f20");
	}
	gate = atomic_load(&f->s->gate);
	atomic_fetch_add(&f->s->gate_readers[gate], 1); /* as file_read does when it has looked the place up */
	assert_int_equal(pthread_create(&thread, NULL, maintain, f), 0);
	while (atomic_load(&f->s->gate) == gate) /* until the punching waits for it */
		(void)usleep(1000);
	fixture_bytes(want, sizeof want, 20);
	assert_int_equal(chunk_store_read(f->s->chunks, &loc, got, false), 0);
	assert_memory_equal(got, want, sizeof got);
	atomic_fetch_sub(&f->s->gate_readers[gate], 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	(void)snprintf(path, sizeof path, "%s/packs/%08x.pack", f->dir, row.pack);
	assert_int_equal(stat(path, &st), -1);
	expect_files(f);
}

/* A chunk that dies while its copy is on the way: the row stays gone. And one that is shared on the way: it moves for both. */
static void test_dies_on_the_way(void **state)
{
	struct store_fixture *f = *state;
	bool more = true;
	unsigned i;

	make_garbage(f);
	reopen(f, false);
	for (i = 0; i < 100 && !half_moved(f); i++)
		assert_int_equal(store_maintain(f->s, &more), 0);
	assert_true(half_moved(f));
	for (i = 0; i < FILES; i += 4) {
		char name[16];

		name_of(i, name);
		assert_int_equal(ns_unlink(f->s, &fixture_op, f->vol.root_node, name), 0);
		(void)fixture_file(f, f->vol.root_node, name, i, FILE_LEN); /* found by hash, wherever it is */
	}
	assert_int_equal(orphans_free_all(f->s), 0);
	collect(f);
	expect_files(f);
	assert_int_equal(check_errors(f), 0);
}

/* A pack of before the last opening that no row knows is what a crash left. */
static void test_unknown_pack(void **state)
{
	struct store_fixture *f = *state;
	char cmd[256];
	struct stat st;

	(void)fixture_file(f, f->vol.root_node, "a", 1, 200000);
	assert_int_equal(store_commit(f->s), 0);
	(void)fixture_file(f, f->vol.root_node, "b", 2, 500000);
	assert_int_equal(store_commit(f->s), 0);
	(void)fixture_file(f, f->vol.root_node, "c", 3, 500000);
	reopen(f, false);
	(void)snprintf(cmd, sizeof cmd, "cp %s/packs/00000001.pack %s/pack.kept && rm %s/packs/00000001.pack", f->dir, f->dir, f->dir);
	(void)ns_unlink(f->s, &fixture_op, f->vol.root_node, "a");
	(void)ns_unlink(f->s, &fixture_op, f->vol.root_node, "b");
	assert_int_equal(orphans_free_all(f->s), 0);
	assert_int_equal(system(cmd), 0);
	collect(f);
	(void)snprintf(cmd, sizeof cmd, "mv %s/pack.kept %s/packs/00000001.pack", f->dir, f->dir);
	assert_int_equal(system(cmd), 0);
	collect(f);
	(void)snprintf(cmd, sizeof cmd, "%s/packs/00000001.pack", f->dir);
	assert_int_equal(stat(cmd, &st), -1);
	fixture_expect(f, f->vol.root_node, "c", 3, 500000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_space_comes_back, setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_in_background, setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_crash_at_each_step, setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_damaged_stays, setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_each_io_fails, setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_reader_keeps_old_place, setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_dies_on_the_way, setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_unknown_pack, setup, store_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
