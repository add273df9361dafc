#include "tests/unit/meta/fixture.h"

#include <sys/stat.h>
#include <xxhash.h>

#include "store/base/io.h"
#include "store/base/le.h"
#include "store/meta/catalog.h"
#include "store/meta/vfs.h"

enum { ROWS = 2000 };

static void fill(struct fixture *f)
{
	assert_int_equal(meta_op_begin(f->m), 0);
	for (int i = 0; i < ROWS; i++) {
		struct value cols[] = {VI(1), VI(1), VI(i * 4096), VI(META_LIVE), VI(1), VI(4096), VI(0), VI(0)};

		assert_int_equal(row_put(f->m, T_EXTENT, cols), 0);
	}
	assert_int_equal(meta_op_end(f->m), 0);
	assert_int_equal(meta_commit(f->m, 1, 1), 0);
	/* Closing moves everything into the database file. */
	meta_free(f->m);
	f->m = NULL;
}

static int open_file(const struct fixture *f)
{
	char path[DIR_LEN + 16];
	int fd;

	fixture_path(f, "meta.db", path, sizeof path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void test_format(void **state)
{
	struct fixture f;
	uint8_t page[META_PAGE_SIZE];
	struct stat st;
	int fd;

	(void)state;
	fixture_open(&f);
	fill(&f);
	fd = open_file(&f);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size % META_PAGE_SIZE, 0);
	assert_true(st.st_size > 20 * META_PAGE_SIZE);
	for (off_t i = 0; i < st.st_size / META_PAGE_SIZE; i++) {
		assert_int_equal(pread(fd, page, sizeof page, i * META_PAGE_SIZE), sizeof page);
		if (i == 0)
			assert_int_equal(page[20], META_PAGE_RESERVE);
		assert_true(le64_get(page + META_PAGE_SIZE - 8) ==
			    XXH3_64bits_withSeed(page, META_PAGE_SIZE - 8, (XXH64_hash_t)i + 1));
	}
	assert_int_equal(close(fd), 0);
	fixture_close(&f);
}

/* The error of reading everything: 0 or a code. */
static int read_all(struct fixture *f)
{
	struct err err = {0};
	sqlite3_stmt *st;
	int ret = meta_open(f->dir, &f->m, &err);
	int rc;

	if (ret)
		return ret;
	rc = sqlite3_prepare_v2(f->m->db, "SELECT sum(len), sum(choff) FROM extent NOT INDEXED", -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	ret = sql_errno(rc);
	(void)sqlite3_finalize(st);
	/* Whatever was read, the check of the whole file must find it too. */
	assert_int_equal(fixture_integrity(f->m, &err), ret ? ret : 0);
	meta_free(f->m);
	f->m = NULL;
	return ret;
}

/* The root page of a table, and a page of its data. */
static int64_t root_page(struct fixture *f, const char *table)
{
	sqlite3_stmt *st;
	int64_t page;

	assert_int_equal(sqlite3_prepare_v2(f->m->db, "SELECT rootpage FROM sqlite_schema WHERE name=?1", -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_bind_text(st, 1, table, -1, SQLITE_STATIC), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	page = sqlite3_column_int64(st, 0);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	return page;
}

static void flip(int fd, off_t off)
{
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, off), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, off), 1);
}

/* One bit anywhere in a page that is read: an error of its own, never wrong rows. */
static void test_flipped_bit(void **state)
{
	struct fixture f;
	int64_t page;
	int fd, quiet;

	(void)state;
	fixture_open(&f);
	page = root_page(&f, "extent");
	fill(&f);
	assert_int_equal(read_all(&f), 0);
	fd = open_file(&f);
	quiet = fixture_quiet();
	for (off_t at = 0; at < META_PAGE_SIZE; at += 409) {
		flip(fd, (page - 1) * META_PAGE_SIZE + at);
		assert_int_equal(read_all(&f), -ECORRUPT);
		flip(fd, (page - 1) * META_PAGE_SIZE + at);
	}
	/* The first page, behind the file's header */
	flip(fd, 2000);
	assert_int_equal(read_all(&f), -ECORRUPT);
	flip(fd, 2000);
	fixture_loud(quiet);
	assert_int_equal(read_all(&f), 0);
	assert_int_equal(close(fd), 0);
	fixture_close(&f);
}

/* A write that the disk lost, or put in another place. */
static void test_misplaced_page(void **state)
{
	struct fixture f;
	uint8_t good[META_PAGE_SIZE], other[META_PAGE_SIZE];
	int64_t page, other_page;
	int fd, quiet;

	(void)state;
	fixture_open(&f);
	page = root_page(&f, "extent");
	other_page = root_page(&f, "inode");
	fill(&f);
	fd = open_file(&f);
	assert_int_equal(pread(fd, good, sizeof good, (page - 1) * META_PAGE_SIZE), sizeof good);
	assert_int_equal(pread(fd, other, sizeof other, (other_page - 1) * META_PAGE_SIZE), sizeof other);
	quiet = fixture_quiet();
	assert_int_equal(pwrite(fd, other, sizeof other, (page - 1) * META_PAGE_SIZE), sizeof other);
	assert_int_equal(read_all(&f), -ECORRUPT);
	memset(other, 0, sizeof other);
	assert_int_equal(pwrite(fd, other, sizeof other, (page - 1) * META_PAGE_SIZE), sizeof other);
	assert_int_equal(read_all(&f), -ECORRUPT);
	fixture_loud(quiet);
	assert_int_equal(pwrite(fd, good, sizeof good, (page - 1) * META_PAGE_SIZE), sizeof good);
	assert_int_equal(read_all(&f), 0);
	assert_int_equal(close(fd), 0);
	fixture_close(&f);
}

/* A rotten page costs those who need it, not the operations that wait to be committed. */
static void test_rot_in_transaction(void **state)
{
	struct fixture f;
	struct value cols[] = {VI(1), VI(1), VI(16), VI(1), VI(0)}, number[] = {VI(5), VI(1), VI(1), VI(1), VI(1)};
	struct number_row row;
	int64_t page;
	int fd, quiet;

	(void)state;
	fixture_open(&f);
	page = root_page(&f, "purge");
	fill(&f);
	fd = open_file(&f);
	flip(fd, (page - 1) * META_PAGE_SIZE + 3000);
	assert_int_equal(close(fd), 0);
	fixture_reopen(&f);
	assert_int_equal(meta_op_begin(f.m), 0);
	assert_int_equal(row_put(f.m, T_NUMBER, number), 0);
	assert_int_equal(meta_op_end(f.m), 0);
	assert_int_equal(meta_op_begin(f.m), 0);
	number[0] = VI(6);
	assert_int_equal(row_put(f.m, T_NUMBER, number), 0);
	quiet = fixture_quiet();
	assert_int_equal(row_put(f.m, T_PURGE, cols), -ECORRUPT);
	fixture_loud(quiet);
	meta_op_abort(f.m);
	assert_false(meta_lost(f.m));
	assert_int_equal(meta_commit(f.m, 2, 2), 0);
	fixture_reopen(&f);
	assert_int_equal(number_get(f.m, 5, &row), 0);
	assert_int_equal(number_get(f.m, 6, &row), -ENOENT);
	fixture_close(&f);
}

/* Rot that SQLite itself would not read: a page of a table that nobody looks at. */
static void test_integrity_reads_everything(void **state)
{
	struct fixture f;
	struct err err = {0};
	int64_t page;
	int fd;

	(void)state;
	fixture_open(&f);
	page = root_page(&f, "purge");
	fill(&f);
	fd = open_file(&f);
	flip(fd, (page - 1) * META_PAGE_SIZE + 3000);
	assert_int_equal(close(fd), 0);
	fixture_reopen(&f);
	assert_int_equal(fixture_integrity(f.m, &err), -ECORRUPT);
	assert_non_null(strstr(err.text, "page"));
	fixture_close(&f);
}

/* A page that a checkpoint was writing when the power failed: the WAL has it. */
static void test_torn_by_checkpoint(void **state)
{
	struct value cols[] = {VI(7), VI(16), VI(1), VI(2), VI(0)};
	struct fixture f;
	struct err err = {0};
	int64_t page;
	int fd;

	(void)state;
	fixture_open(&f);
	page = root_page(&f, "purge");
	assert_int_equal(meta_op_begin(f.m), 0);
	assert_int_equal(row_put(f.m, T_PURGE, cols), 0);
	assert_int_equal(meta_op_end(f.m), 0);
	assert_int_equal(meta_commit(f.m, 1, 1), 0);
	fd = open_file(&f);
	flip(fd, (page - 1) * META_PAGE_SIZE + 3000);
	assert_int_equal(fixture_integrity(f.m, &err), 0);
	assert_int_equal(close(fd), 0);
	fixture_close(&f);
}

struct seen {
	unsigned writes[2], syncs[2]; /* of the database, of the WAL */
	bool bad_sum;
	int read_error;
	bool unsynced[2]; /* as above: written since the last sync */
	bool early;       /* something was written before what it rests on was on disk */
};

static int watch(void *arg, enum io_class cls, enum io_op op, const char *path, int fd, const void *data, size_t *len, off_t off)
{
	struct seen *s = arg;
	size_t path_len = path ? strlen(path) : 0;
	bool wal = path_len > 4 && !strcmp(path + path_len - 4, "-wal");

	(void)fd;
	if (cls != IO_DB)
		return 0;
	s->writes[wal] += op == IO_WRITE;
	s->syncs[wal] += op == IO_SYNC;
	/* pages go to the database from a WAL that is on disk, and the WAL starts over when the database is */
	if (op == IO_WRITE && (wal ? off == 0 && s->unsynced[0] : s->unsynced[1]))
		s->early = true;
	if (op == IO_WRITE || op == IO_SYNC)
		s->unsynced[wal] = op == IO_WRITE;
	if (op == IO_WRITE && !wal && *len == META_PAGE_SIZE) {
		const uint8_t *page = data;

		s->bad_sum |= le64_get(page + META_PAGE_SIZE - 8) !=
			      XXH3_64bits_withSeed(page, META_PAGE_SIZE - 8, (XXH64_hash_t)(off / META_PAGE_SIZE) + 1);
	}
	return op == IO_READ ? s->read_error : 0;
}

/* The hook sees all I/O of the database and its WAL, with the bytes that go to the file; no COMMIT flushes anything. */
static void test_hook(void **state)
{
	struct fixture f;
	struct seen seen = {0};
	struct value cols[] = {VI(1), VI(1), VI(1), VI(META_LIVE), VI(1), VI(1), VI(0), VI(0)};

	(void)state;
	fixture_open(&f);
	assert_int_equal(meta_setting_put(f.m, "x", "y", 1), 0);
	io_set_hook(watch, &seen);
	assert_int_equal(meta_op_begin(f.m), 0);
	assert_int_equal(row_put(f.m, T_EXTENT, cols), 0);
	assert_int_equal(meta_op_end(f.m), 0);
	assert_int_equal(seen.writes[0] + seen.writes[1], 0);
	assert_int_equal(meta_commit(f.m, 1, 1), 0);
	assert_true(seen.writes[1] > 0);
	assert_int_equal(seen.writes[0], 0);
	assert_int_equal(seen.syncs[0] + seen.syncs[1], 0);
	assert_int_equal(meta_checkpoint(f.m), 0);
	assert_true(seen.writes[0] > 0 && seen.syncs[0] > 0 && seen.syncs[1] > 0);
	assert_false(seen.bad_sum);
	io_set_hook(NULL, NULL);
	fixture_close(&f);
}

/* Whatever is lost of what is not synced, either the WAL or the database has every page of a durable commit. */
static void test_checkpoint_order(void **state)
{
	struct fixture f;
	struct seen seen = {0};

	(void)state;
	fixture_open(&f);
	io_set_hook(watch, &seen);
	for (int i = 1; i <= 12; i++) {
		struct value cols[] = {VI(1), VI(i), VI(1), VI(META_LIVE), VI(1), VI(1), VI(0), VI(0)};

		assert_int_equal(meta_op_begin(f.m), 0);
		assert_int_equal(row_put(f.m, T_EXTENT, cols), 0);
		assert_int_equal(meta_op_end(f.m), 0);
		assert_int_equal(meta_commit(f.m, (uint64_t)i, (uint64_t)i), 0);
		if (i % 2)
			assert_int_equal(meta_checkpoint(f.m), 0);
		if (i % 3 == 0)
			assert_int_equal(meta_reset_wal(f.m), 0);
	}
	io_set_hook(NULL, NULL);
	assert_true(seen.writes[0] > 0 && seen.writes[1] > 0);
	assert_false(seen.early);
	fixture_close(&f);
}

static void test_read_error(void **state)
{
	struct fixture f;
	struct seen seen = {.read_error = -EIO};
	struct err err = {0};
	int quiet;

	(void)state;
	fixture_open(&f);
	fill(&f);
	io_set_hook(watch, &seen);
	quiet = fixture_quiet();
	assert_int_equal(meta_open(f.dir, &f.m, &err), -EIO);
	fixture_loud(quiet);
	io_set_hook(NULL, NULL);
	assert_null(f.m);
	fixture_reopen(&f);
	fixture_close(&f);
}

/* A file of no bytes is an empty database to SQLite, and none of ours. */
static void test_empty_and_garbage(void **state)
{
	struct fixture f;
	struct err err = {0};
	uint8_t page[META_PAGE_SIZE];
	int fd, quiet;

	(void)state;
	fixture_open(&f);
	meta_free(f.m);
	f.m = NULL;
	fd = open_file(&f);
	quiet = fixture_quiet();
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(meta_open(f.dir, &f.m, &err), -ECORRUPT);
	memset(page, 0x5a, sizeof page);
	assert_int_equal(pwrite(fd, page, sizeof page, 0), sizeof page);
	assert_int_equal(meta_open(f.dir, &f.m, &err), -ECORRUPT);
	fixture_loud(quiet);
	assert_null(f.m);
	assert_int_equal(close(fd), 0);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),	  cmocka_unit_test(test_flipped_bit),
		cmocka_unit_test(test_misplaced_page), cmocka_unit_test(test_rot_in_transaction), cmocka_unit_test(test_integrity_reads_everything), cmocka_unit_test(test_torn_by_checkpoint),
		cmocka_unit_test(test_hook),	  cmocka_unit_test(test_checkpoint_order), cmocka_unit_test(test_read_error),
		cmocka_unit_test(test_empty_and_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
