#include "store/meta/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/meta/meta_internal.h"
#include "store/meta/schema.h"
#include "store/meta/vfs.h"
#include "store/meta/wal.h"

#define WATCH_STEPS 20000 /* SQLite's steps between two looks at the watch: a millisecond or so */
#define BUSY_TIMEOUT_MS 10000 /* a checkpoint changes the WAL's index */

int meta_reader_open(const char *dir, struct meta **ret_m, struct err *err)
{
	struct meta *m = calloc(1, sizeof *m);
	int ret;

	if (!m)
		return err_set(err, ENOMEM, "no memory to read the metadata");
	m->reader = true;
	m->dirfd = m->wal_fd = -1;
	(void)pthread_mutex_init(&m->checkpoint_lock, NULL);
	ret = meta_conn_open(dir, 0, &m->db);
	if (!ret)
		ret = sql_errno(sqlite3_exec(m->db, sql_text(SQL_PRAGMAS_READER), NULL, NULL, NULL));
	if (!ret)
		ret = schema_check(m->db, err);
	if (!ret) {
		(void)sqlite3_busy_timeout(m->db, BUSY_TIMEOUT_MS);
		ret = meta_load(m);
	}
	if (ret) {
		if (!err || !err->code)
			(void)err_set(err, -ret, "cannot read the metadata: %s", err_name(-ret));
		meta_free(m);
		return ret;
	}
	*ret_m = m;
	return 0;
}

int meta_reader_renew(struct meta *r)
{
	int ret = 0;

	sql_reset_all(r);
	if (!sqlite3_get_autocommit(r->db))
		ret = sql_exec(r, SQL_COMMIT);
	if (ret)
		return ret;
	r->in_txn = r->lost = false;
	return meta_load(r);
}

static int ask(void *arg)
{
	struct meta *r = arg;

	return r->stop(r->stop_arg);
}

void meta_reader_watch(struct meta *r, bool (*stop)(void *arg), void *arg)
{
	r->stop = stop;
	r->stop_arg = arg;
	sqlite3_progress_handler(r->db, WATCH_STEPS, stop ? ask : NULL, r);
}

static int is_page(void *arg, uint32_t page, const uint8_t *bytes, size_t len, off_t off)
{
	const int64_t *wanted = arg;

	(void)bytes, (void)len, (void)off;
	return page == *wanted;
}

/* >0: the WAL has the page. SQLite takes it from there; a checkpoint that did not end may have left half of it in the database. */
static int in_wal(struct meta *m, int64_t page)
{
	uint64_t end;

	return wal_each(m->wal_fd, is_page, &page, &end);
}

int meta_check_pages(struct meta *m, int64_t *page, unsigned max, struct err *err)
{
	/* The checkpointing connection's file: with checkpoints held back nothing writes it. */
	LOCK_SCOPE(&m->checkpoint_lock);
	sqlite3_file *file = NULL;
	int rc = sqlite3_file_control(m->checkpoint_db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
	int ret;

	if (rc == SQLITE_OK)
		rc = vfs_scan(file, page, max);
	ret = sql_errno(rc);
	if (rc == VFS_CORRUPT_SUM && in_wal(m, *page) > 0) {
		++*page;
		ret = 0;
	}
	return ret ? err_set(err, -ret, "metadata: page %lld of the database: %s", (long long)*page, err_name(-ret)) : 0;
}

int meta_check_structure(struct meta *r, struct err *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(r->db, sql_text(SQL_INTEGRITY), -1, &st, NULL);
	int ret = 0;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc != SQLITE_ROW)
		ret = err_set(err, -sql_errno(rc), "metadata: %s", sqlite3_errmsg(r->db));
	else if (strcmp((const char *)sqlite3_column_text(st, 0), "ok") != 0)
		ret = err_set(err, ECORRUPT, "metadata: %s", (const char *)sqlite3_column_text(st, 0));
	(void)sqlite3_finalize(st);
	return ret;
}

int64_t meta_pages(struct meta *m)
{
	LOCK_SCOPE(&m->checkpoint_lock);
	sqlite3_file *file = NULL;
	sqlite3_int64 size = 0;

	if (sqlite3_file_control(m->checkpoint_db, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK)
		(void)file->pMethods->xFileSize(file, &size);
	return size / META_PAGE_SIZE;
}
