/* The WAL: its pages are checked when they are read, and damage in it is told from what a power cut leaves. */
#include "tests/unit/meta/fixture.h"

#include <sys/stat.h>

#include "store/base/io.h"
#include "store/base/le.h"
#include "store/meta/wal.h"

#define COMMITS 4
#define ROWS 300

static int open_file(const struct fixture *f, const char *name)
{
	char path[DIR_LEN + 16];
	int fd;

	fixture_path(f, name, path, sizeof path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void flip(int fd, off_t off)
{
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, off), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, off), 1);
}

static off_t size_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_size;
}

static void commit_one(struct fixture *f, int nth)
{
	assert_int_equal(meta_op_begin(f->m), 0);
	for (int i = 0; i < ROWS; i++) {
		struct value cols[] = {VI(1), VI(nth), VI(i * 4096), VI(META_LIVE), VI(1), VI(4096), VI(0), VI(0)};

		assert_int_equal(row_put(f->m, T_EXTENT, cols), 0);
	}
	assert_int_equal(meta_op_end(f->m), 0);
	assert_int_equal(meta_commit(f->m, (uint64_t)nth, (uint64_t)nth), 0);
	assert_int_equal(meta_sync_wal(f->m), 0);
}

/* What a power cut leaves after so many commits; ends[i] is where the WAL ended after i of them. */
static void cut_after_commits(struct fixture *f, off_t ends[COMMITS + 1])
{
	int fd;

	fixture_open(f);
	meta_keep_files(f->m);
	f->m->wal_existed = true;
	fd = open_file(f, "meta.db-wal");
	ends[0] = size_of(fd);
	for (int i = 1; i <= COMMITS; i++) {
		commit_one(f, i);
		ends[i] = size_of(fd);
	}
	assert_int_equal(close(fd), 0);
	meta_free(f->m);
	f->m = NULL;
}

/* The number of the commit that it opens with, or an error. */
static int open_at(struct fixture *f, struct err *err)
{
	uint64_t rows = 0, data = 0;
	int quiet = fixture_quiet(), ret;

	*err = (struct err){0};
	ret = meta_open(f->dir, &f->m, err);
	fixture_loud(quiet);
	if (ret)
		return ret;
	meta_keep_files(f->m);
	f->m->wal_existed = true;
	meta_committed(f->m, &rows, &data);
	meta_free(f->m);
	f->m = NULL;
	return (int)rows;
}

static void test_page_is_checked(void **state)
{
	struct fixture f;
	struct meta *reader;
	struct err err = {0};
	sqlite3_stmt *st;
	int fd, quiet;

	(void)state;
	fixture_open(&f);
	commit_one(&f, 1);
	fd = open_file(&f, "meta.db-wal");
	for (off_t off = WAL_HEADER_LEN + WAL_FRAME_HEADER_LEN + 2000; off < size_of(fd); off += WAL_FRAME_LEN)
		flip(fd, off);
	quiet = fixture_quiet();
	/* a handle that has read nothing yet */
	if (!meta_reader_open(f.dir, &reader, &err)) {
		int rc = sqlite3_prepare_v2(reader->db, "SELECT sum(len) FROM extent", -1, &st, NULL);

		if (rc == SQLITE_OK)
			rc = sqlite3_step(st);
		assert_int_equal(sql_errno(rc), -ECORRUPT);
		(void)sqlite3_finalize(st);
		meta_free(reader);
	} else {
		assert_int_equal(err.code, ECORRUPT);
	}
	fixture_loud(quiet);
	for (off_t off = WAL_HEADER_LEN + WAL_FRAME_HEADER_LEN + 2000; off < size_of(fd); off += WAL_FRAME_LEN)
		flip(fd, off);
	assert_int_equal(close(fd), 0);
	fixture_close(&f);
}

/* A bit anywhere in a transaction that others follow: refused. In the last one it looks like a power cut. */
static void test_flipped_bit(void **state)
{
	struct fixture f;
	struct err err;
	off_t ends[COMMITS + 1];
	int fd;

	(void)state;
	cut_after_commits(&f, ends);
	assert_true(ends[0] == 0);
	assert_int_equal(open_at(&f, &err), COMMITS);
	fd = open_file(&f, "meta.db-wal");
	for (off_t off = 0; off < ends[COMMITS]; off += off % WAL_FRAME_LEN < 64 ? 5 : 517) {
		int got;

		flip(fd, off);
		got = open_at(&f, &err);
		if (off >= ends[COMMITS - 1]) {
			assert_int_equal(got, COMMITS - 1);
		} else {
			assert_int_equal(got, -ECORRUPT);
			assert_non_null(strstr(err.text, "meta.db-wal is damaged at byte"));
			assert_true(*err.hint);
		}
		flip(fd, off);
	}
	assert_int_equal(open_at(&f, &err), COMMITS);
	assert_int_equal(close(fd), 0);
	fixture_close(&f);
}

static void put(int fd, const uint8_t *bytes, off_t off, size_t len)
{
	assert_int_equal(pwrite(fd, bytes + off, len, off), (ssize_t)len);
}

/* Any part of the last transaction may be missing, sector by sector. */
static void test_torn_end(void **state)
{
	static const uint8_t zeros[512];
	struct fixture f;
	struct err err;
	off_t ends[COMMITS + 1];
	uint8_t *bytes;
	int fd;

	(void)state;
	srandom(5);
	cut_after_commits(&f, ends);
	fd = open_file(&f, "meta.db-wal");
	bytes = malloc((size_t)ends[COMMITS]);
	assert_non_null(bytes);
	assert_int_equal(pread(fd, bytes, (size_t)ends[COMMITS], 0), ends[COMMITS]);
	for (int round = 0; round < 200; round++) {
		off_t sector = (ends[COMMITS - 1] + 511) / 512 * 512;
		bool torn = false;
		int got;

		for (; sector + 512 <= ends[COMMITS]; sector += 512)
			if (random() % 4 == 0) {
				torn |= memcmp(bytes + sector, zeros, 512) != 0;
				assert_int_equal(pwrite(fd, zeros, 512, sector), 512);
			}
		got = open_at(&f, &err);
		assert_int_equal(got, torn ? COMMITS - 1 : COMMITS);
		put(fd, bytes, ends[COMMITS - 1], (size_t)(ends[COMMITS] - ends[COMMITS - 1]));
	}
	free(bytes);
	assert_int_equal(close(fd), 0);
	fixture_close(&f);
}

struct seen {
	uint64_t rewritten; /* bytes of the WAL from its beginning on */
	bool synced;
};

static int watch(void *arg, enum io_class cls, enum io_op op, const char *path, int fd, const void *data, size_t *len, off_t off)
{
	struct seen *s = arg;

	(void)path, (void)fd, (void)data;
	if (cls == IO_DB && op == IO_WRITE && (uint64_t)off == s->rewritten)
		s->rewritten += *len;
	if (cls == IO_DB && op == IO_SYNC)
		s->synced = true;
	return 0;
}

/* Opened for writing, the torn end goes, and what is whole is written again, since nobody knows whether it is on the disk. */
static void test_opening_settles(void **state)
{
	struct fixture f;
	struct err err = {0};
	struct seen seen = {0};
	off_t ends[COMMITS + 1];
	int fd;

	(void)state;
	cut_after_commits(&f, ends);
	fd = open_file(&f, "meta.db-wal");
	flip(fd, ends[COMMITS - 1] + 2000);
	fixture_reopen(&f);
	io_set_hook(watch, &seen);
	assert_int_equal(meta_settle_wal(f.m), 0);
	io_set_hook(NULL, NULL);
	assert_int_equal(size_of(fd), ends[COMMITS - 1]);
	assert_int_equal(seen.rewritten, ends[COMMITS - 1]);
	assert_true(seen.synced);
	commit_one(&f, COMMITS);
	meta_keep_files(f.m);
	meta_free(f.m);
	assert_int_equal(open_at(&f, &err), COMMITS);
	assert_int_equal(close(fd), 0);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page_is_checked),
		cmocka_unit_test(test_flipped_bit),
		cmocka_unit_test(test_torn_end),
		cmocka_unit_test(test_opening_settles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
