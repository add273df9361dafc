/* A scratch metadata database for the tests of store/meta, and a dump of all that is in one. */
#ifndef VARVE_TESTS_META_FIXTURE_H
#define VARVE_TESTS_META_FIXTURE_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/base/log.h"
#include "store/meta/meta_internal.h"
#include "store/meta/pending.h"
#include "store/meta/reader.h"

#define DIR_LEN 64

struct fixture {
	char dir[DIR_LEN];
	struct meta *m;
};

static inline void fixture_path(const struct fixture *f, const char *name, char *out, size_t size)
{
	(void)snprintf(out, size, "%s/%s", f->dir, name);
}

static inline void fixture_reopen(struct fixture *f)
{
	struct err err = {0};

	meta_free(f->m);
	f->m = NULL;
	if (meta_open(f->dir, &f->m, &err))
		fail_msg("meta_open: %s", err.text);
}

static inline void fixture_open(struct fixture *f)
{
	struct err err = {0};

	memset(f, 0, sizeof *f);
	(void)snprintf(f->dir, sizeof f->dir, "/var/tmp/varve-meta-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	if (meta_create(f->dir, &err))
		fail_msg("meta_create: %s", err.text);
	fixture_reopen(f);
}

/* All pages and SQLite's own check. */
static inline int fixture_integrity(struct meta *m, struct err *err)
{
	int64_t page = 1;
	int ret = 0;

	while (!ret && page)
		ret = meta_check_pages(m, &page, 3, err);
	return ret ? ret : meta_check_structure(m, err);
}

static inline void fixture_close(struct fixture *f)
{
	static const char *const names[] = {"meta.db", "meta.db-wal", "meta.db-shm", "meta.db-journal"};
	char path[DIR_LEN + 32];

	meta_free(f->m);
	f->m = NULL;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		fixture_path(f, names[i], path, sizeof path);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(f->dir), 0);
}

static inline int fixture_last_branch(void *arg, struct branch *b)
{
	int64_t *last = arg;

	*last = b->id > *last ? b->id : *last;
	return 0;
}

/* Ids that were handed out and then given up differ harmlessly; everything else is compared. */
static inline void fixture_dump_memory(struct meta *m, struct buf *out)
{
	int64_t last = 0;
	char line[256];

	for (int c = COUNTER_ID + 1; c < COUNTER_COUNT; c++) {
		int n = snprintf(line, sizeof line, "counter %d %lld\n", c, (long long)m->counters[c]);

		assert_int_equal(buf_add(out, line, (size_t)n), 0);
	}
	assert_int_equal(branch_each(m, fixture_last_branch, &last), 0);
	for (int64_t id = 1; id <= last; id++) {
		struct branch *b = branch_get(m, id);
		int n;

		if (!b)
			continue;
		n = snprintf(line, sizeof line, "branch %lld %lld %lld %llu %lld %lld %lld %lld %lld %d\n", (long long)id,
			     b->parent ? (long long)b->parent->id : 0, (long long)b->fork_epoch,
			     (unsigned long long)b->ino_base, (long long)b->origin_branch, (long long)b->origin_epoch,
			     (long long)b->pinned, (long long)b->bytes, (long long)b->inodes, b->head);
		assert_int_equal(buf_add(out, line, (size_t)n), 0);
	}
}

static inline void fixture_dump_table(struct meta *m, const char *select, struct buf *out)
{
	sqlite3_stmt *st;

	assert_int_equal(pending_flush_all(m), 0);
	assert_int_equal(sqlite3_prepare_v2(m->db, select, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(buf_add(out, select, strlen(select)), 0);
	while (sqlite3_step(st) == SQLITE_ROW)
		for (int i = 0; i < sqlite3_column_count(st); i++) {
			uint8_t type = (uint8_t)sqlite3_column_type(st, i);

			assert_int_equal(buf_add_u8(out, type), 0);
			if (type == SQLITE_INTEGER)
				assert_int_equal(buf_add_le64(out, (uint64_t)sqlite3_column_int64(st, i)), 0);
			else
				assert_int_equal(buf_add_bytes(out, sqlite3_column_blob(st, i),
							       (size_t)sqlite3_column_bytes(st, i)), 0);
		}
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
}

/* Every row of every recorded table (branch totals as in memory: rows have them only after a commit), and the state
 * in memory. */
static inline struct buf fixture_dump(struct meta *m)
{
	static const char *const selects[] = {
		"SELECT * FROM inode ORDER BY 1,2,3", "SELECT * FROM dirent ORDER BY 1,2,3,4,5",
		"SELECT * FROM xattr ORDER BY 1,2,3,4", "SELECT * FROM extent ORDER BY 1,2,3,4", "SELECT * FROM chunk ORDER BY 1",
		"SELECT * FROM free ORDER BY 1,2", "SELECT id FROM branch ORDER BY 1", "SELECT * FROM volume ORDER BY 1",
		"SELECT * FROM snapshot ORDER BY 1", "SELECT * FROM number ORDER BY 1", "SELECT * FROM reap ORDER BY 1",
		"SELECT * FROM purge ORDER BY 1",
	};
	struct buf out = {0};

	for (size_t i = 0; i < sizeof selects / sizeof *selects; i++)
		fixture_dump_table(m, selects[i], &out);
	fixture_dump_memory(m, &out);
	return out;
}

static inline void assert_same_dump(struct buf a, struct buf b)
{
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
}

/* Sends stderr, where the log goes, to nowhere until fixture_loud. */
static inline int fixture_quiet(void)
{
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);

	assert_true(saved >= 0 && null >= 0);
	assert_true(dup2(null, STDERR_FILENO) >= 0);
	(void)close(null);
	return saved;
}

static inline void fixture_loud(int saved)
{
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	(void)close(saved);
}

static inline struct branch *fixture_root_branch(struct meta *m)
{
	struct branch *b = NULL;

	assert_int_equal(meta_op_begin(m), 0);
	assert_int_equal(branch_create(m, NULL, 0, 0, &b), 0);
	assert_int_equal(branch_set_head(m, b, true), 0);
	assert_int_equal(meta_op_end(m), 0);
	return b;
}

#endif
