/* The open database: one connection that carries all operations inside one long write transaction, and a second one
 * that checkpoints. (Readers, which see what is committed, are in reader.c.)
 *
 * States: no transaction (after a commit) -> in_txn at the first statement, be it a read -> in_op between
 * meta_op_begin and end or abort. `lost` means that SQLite rolled the transaction back by itself (a full disk at
 * COMMIT, an I/O error): nothing but meta_rollback is of use then. With cache_spill off nothing of a transaction
 * reaches the files before COMMIT.
 *
 * The WAL is synced through a descriptor of our own, so that no thread shares an SQLite connection for it. Locks on
 * the database file belong to the process, so that nothing but SQLite may open and close that one. */
#include "store/meta/db.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/le.h"
#include "store/base/log.h"
#include "store/meta/meta_internal.h"
#include "store/meta/pending.h"
#include "store/meta/schema.h"
#include "store/meta/vfs.h"
#include "store/meta/wal.h"

#define DB_NAME "meta.db"
#define WAL_NAME DB_NAME "-wal"
#define BUSY_TIMEOUT_MS 10000 /* somebody looks with the sqlite3 shell */

int meta_conn_open(const char *dir, int flags, sqlite3 **ret)
{
	AUTO_FREE char *path = NULL;
	sqlite3 *db = NULL;
	int rc = vfs_register();

	if (rc)
		return sql_errno(rc);
	if (asprintf(&path, "%s/" DB_NAME, dir) < 0)
		return -ENOMEM;
	rc = sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE, VFS_NAME);
	if (rc == SQLITE_OK)
		rc = sqlite3_extended_result_codes(db, 1);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, sql_text(SQL_PRAGMAS), NULL, NULL, NULL);
	if (rc != SQLITE_OK) {
		(void)sqlite3_close_v2(db);
		return sql_errno(rc);
	}
	*ret = db;
	return 0;
}

int meta_create(const char *dir, struct err *err)
{
	AUTO_CLOSE int dirfd = -1;
	sqlite3 *db = NULL;
	int reserve = META_PAGE_RESERVE;
	int ret = io_open(IO_DB, AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, &dirfd);
	int rc;

	if (ret)
		return err_set(err, -ret, "cannot open %s: %s", dir, err_name(-ret));
	if (faccessat(dirfd, DB_NAME, F_OK, 0) == 0)
		return err_set(err, EEXIST, "%s/" DB_NAME " exists already", dir);
	ret = meta_conn_open(dir, SQLITE_OPEN_CREATE, &db);
	if (ret)
		return err_set(err, -ret, "cannot create %s/" DB_NAME ": %s", dir, err_name(-ret));
	rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, sql_text(SQL_PRAGMAS_CREATE), NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, sql_text(SQL_BEGIN), NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = schema_create(db);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, sql_text(SQL_COMMIT), NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	ret = sql_errno(rc);
	if (ret)
		(void)err_set(err, -ret, "cannot make the tables of %s/" DB_NAME ": %s", dir, sqlite3_errmsg(db));
	rc = sqlite3_close(db);
	if (!ret && rc)
		ret = err_set(err, EIO, "cannot close %s/" DB_NAME, dir);
	if (ret)
		return ret;
	ret = io_fsync_dir(IO_DB, dirfd);
	return ret ? err_set(err, -ret, "cannot sync %s: %s", dir, err_name(-ret)) : 0;
}

static int wal_hook(void *arg, sqlite3 *db, const char *name, int frames)
{
	struct meta *m = arg;

	(void)db;
	(void)name;
	atomic_store(&m->wal_bytes, WAL_HEADER_LEN + (uint64_t)frames * WAL_FRAME_LEN);
	atomic_store(&m->wal_end, atomic_load(&m->wal_bytes));
	return SQLITE_OK;
}

/* The WAL's name in the directory must be durable before a commit in it can be; SQLite would see to it in its own
 * sync. */
static int open_wal(struct meta *m, struct err *err)
{
	struct wal_state wal = {0};
	struct stat st;
	int ret = io_open(IO_DB, m->dirfd, WAL_NAME, O_RDWR, 0, &m->wal_fd);

	if (!ret && fstat(m->wal_fd, &st) < 0)
		ret = -errno;
	if (!ret)
		ret = wal_look(m->wal_fd, &wal);
	if (ret)
		return ret;
	if (wal.damaged_at != UINT64_MAX) {
		m->keep_files = m->wal_existed = true;
		(void)err_set(err, ECORRUPT, WAL_NAME " is damaged at byte %llu, in a transaction that was on disk",
			      (unsigned long long)wal.damaged_at);
		err_hint(err, "restore a copy of the store, or move " WAL_NAME ", journal.0 and journal.1 out of its folder to go on from an "
			      "earlier state");
		return -ECORRUPT;
	}
	atomic_store(&m->wal_bytes, (uint64_t)st.st_size);
	atomic_store(&m->wal_end, wal.end);
	/* whoever wrote it may have died of a sync that failed */
	atomic_store(&m->wal_suspect, st.st_size > 0);
	m->wal_existed = st.st_size > 0;
	m->wal_torn = wal.end && wal.end < (uint64_t)st.st_size;
	return io_fsync_dir(IO_DB, m->dirfd);
}

/* What a power cut left of a transaction behind the last whole one goes, so that what is written over half of it is never taken for its
 * successor (wal_look). SQLite does not look there. */
static int trim_wal(struct meta *m)
{
	int ret = io_ftruncate(IO_DB, m->wal_fd, (off_t)atomic_load(&m->wal_end));

	if (!ret)
		m->wal_torn = false;
	return ret;
}

static int load_secret(struct meta *m)
{
	int ret = meta_setting_get(m, "secret", m->secret, sizeof m->secret);

	return ret == -ENOENT ? 0 : ret;
}

int meta_load(struct meta *m)
{
	int ret = counter_load(m);

	if (!ret)
		ret = branch_load(m);
	return ret ? ret : load_secret(m);
}

/* A store has one: what is missing, or something else by now, does not come back by trying again. */
static int check_file(int dirfd, const char *dir, struct err *err)
{
	struct stat st;

	if (fstatat(dirfd, DB_NAME, &st, 0) < 0)
		return errno == ENOENT ? err_set(err, ECORRUPT, "%s/" DB_NAME " is missing", dir) : -errno;
	return S_ISREG(st.st_mode) ? 0 : err_set(err, ECORRUPT, "%s/" DB_NAME " is not a file", dir);
}

int meta_open(const char *dir, struct meta **ret_m, struct err *err)
{
	struct meta *m = calloc(1, sizeof *m);
	int ret;

	if (!m)
		return err_set(err, ENOMEM, "no memory to open the metadata");
	m->dirfd = m->wal_fd = -1;
	(void)pthread_mutex_init(&m->checkpoint_lock, NULL);
	/* Until init has stored the secret: bytes that XXH3 can work with. */
	for (size_t i = 0; i < sizeof m->secret; i += 8)
		le64_put(m->secret + i, XXH64(&i, sizeof i, 0));
	ret = pending_new(m);
	if (!ret)
		ret = io_open(IO_DB, AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, &m->dirfd);
	if (!ret && (ret = check_file(m->dirfd, dir, err)) == -ECORRUPT)
		goto fail;
	if (!ret)
		ret = meta_conn_open(dir, 0, &m->db);
	if (!ret)
		ret = meta_conn_open(dir, 0, &m->checkpoint_db);
	if (ret) {
		(void)err_set(err, -ret, "cannot open %s/" DB_NAME ": %s", dir, err_name(-ret));
		goto fail;
	}
	sql_watch(m);
	ret = schema_check(m->db, err);
	if (!ret)
		ret = schema_check(m->checkpoint_db, err);
	if (ret)
		goto fail;
	(void)sqlite3_busy_timeout(m->db, BUSY_TIMEOUT_MS);
	(void)sqlite3_wal_hook(m->db, wal_hook, m);
	ret = open_wal(m, err);
	if (!ret)
		ret = meta_load(m);
	if (ret && err && err->code)
		goto fail;
	if (ret) {
		(void)err_set(err, -ret, "cannot read %s/" DB_NAME ": %s", dir, err_name(-ret));
		goto fail;
	}
	*ret_m = m;
	return 0;
fail:
	meta_free(m);
	return ret;
}

/* Closing this connection then changes no file. */
static void keep_wal(sqlite3 *db)
{
	int on = 1;

	if (!db)
		return;
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	(void)sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
}

void meta_count_in(struct meta *m, struct stats *stats)
{
	m->stats = stats;
}

void meta_keep_files(struct meta *m)
{
	m->keep_files = true;
}

void meta_free(struct meta *m)
{
	if (!m)
		return;
	sql_finalize_all(m);
	if (m->keep_files ? m->wal_existed : atomic_load(&m->wal_suspect)) {
		keep_wal(m->db);
		keep_wal(m->checkpoint_db);
	}
	/* Closing the last connection rolls back what is open, checkpoints, and removes the WAL. */
	(void)sqlite3_close(m->db);
	(void)sqlite3_close(m->checkpoint_db);
	branch_free_all(m);
	pending_free(m);
	buf_free(&m->effects);
	if (m->wal_fd >= 0)
		(void)close(m->wal_fd);
	if (m->dirfd >= 0)
		(void)close(m->dirfd);
	(void)pthread_mutex_destroy(&m->checkpoint_lock);
	free(m);
}

/* Ends a transaction that holds no operation: opened by reads, or for a setting. */
static int end_plain(struct meta *m)
{
	int ret;

	assert(!m->in_op && !m->dirty);
	sql_reset_all(m);
	ret = m->in_txn ? sql_exec(m, SQL_COMMIT) : 0;
	if (!ret)
		m->in_txn = false;
	return ret;
}

int meta_migrate(struct meta *m, bool keep, struct err *err)
{
	int ret = 0;

	assert(!m->in_op && !m->dirty);
	if (m->in_txn)
		ret = end_plain(m);
	if (ret)
		return err_set(err, -ret, "the metadata cannot be read: %s", err_name(-ret));
	if (!schema_is_old(m->db))
		return 0;
	ret = keep ? meta_settle_wal(m) : 0;
	if (!ret)
		ret = schema_migrate(m->db, keep, err);
	m->in_txn = !sqlite3_get_autocommit(m->db);
	if (!ret && keep)
		ret = meta_sync_wal(m);
	if (ret && err && !err->code)
		(void)err_set(err, -ret, "the metadata cannot be written: %s", err_name(-ret));
	return ret;
}

int meta_op_begin(struct meta *m)
{
	int ret;

	assert(!m->in_op);
	if (m->lost)
		return m->lost_error;
	ret = sql_begin(m);
	if (ret)
		return ret;
	m->in_op = true;
	m->savepoint = false;
	m->op_seq++;
	m->undo_len = 0;
	memcpy(m->counters_op, m->counters, sizeof m->counters);
	pending_op_begin(m);
	buf_reset(&m->effects);
	return 0;
}

int meta_op_end(struct meta *m)
{
	int ret;

	assert(m->in_op);
	if (m->lost)
		return -EIO;
	ret = m->savepoint ? sql_exec(m, SQL_RELEASE) : 0;
	if (ret)
		return ret;
	m->in_op = m->savepoint = false;
	if (m->effects.len > 0)
		m->dirty = true;
	/* What cannot be written now stays pending, unless nothing can be any more. */
	if (pending_count(m) > META_PENDING_MAX)
		ret = pending_flush(m, pending_count(m) - META_PENDING_MAX);
	return m->lost ? ret : 0;
}

void meta_op_abort(struct meta *m)
{
	assert(m->in_op);
	sql_reset_all(m);
	pending_undo(m);
	if (!m->lost && m->savepoint && (sql_exec(m, SQL_ROLLBACK_TO) || sql_exec(m, SQL_RELEASE))) {
		(void)sql_exec(m, SQL_ROLLBACK);
		meta_refuse(m, -EIO);
	}
	for (int c = COUNTER_ID + 1; c < COUNTER_COUNT; c++)
		m->counters[c] = m->counters_op[c];
	branch_undo(m);
	buf_reset(&m->effects);
	m->in_op = m->savepoint = false;
}

bool meta_in_op(const struct meta *m)
{
	return m->in_op;
}

bool meta_lost(const struct meta *m)
{
	return m->lost;
}

void meta_refuse(struct meta *m, int error)
{
	m->lost = true;
	m->lost_error = error;
}

int meta_rollback(struct meta *m)
{
	int ret = 0;

	sql_reset_all(m);
	m->in_op = m->savepoint = false;
	m->undo_len = 0;
	pending_drop(m);
	buf_reset(&m->effects);
	if (!sqlite3_get_autocommit(m->db))
		ret = sql_exec(m, SQL_ROLLBACK);
	if (ret)
		return ret;
	m->in_txn = m->lost = m->dirty = false;
	return meta_load(m);
}

const struct buf *meta_effects(const struct meta *m)
{
	return &m->effects;
}

bool meta_dirty(const struct meta *m)
{
	return m->dirty || memcmp(m->counters, m->counters_stored, sizeof m->counters) != 0;
}

size_t meta_unsettled(const struct meta *m)
{
	return pending_count(m);
}

int meta_settle(struct meta *m, size_t max_rows)
{
	assert(!m->in_op);
	return pending_flush(m, max_rows);
}

int meta_commit(struct meta *m, uint64_t rows_seq, uint64_t data_seq)
{
	int64_t old_rows_seq = m->counters[COUNTER_ROWS_SEQ], old_data_seq = m->counters[COUNTER_DATA_SEQ];
	int ret;

	assert(!m->in_op);
	if (m->lost)
		return m->lost_error;
	m->counters[COUNTER_ROWS_SEQ] = (int64_t)rows_seq;
	m->counters[COUNTER_DATA_SEQ] = (int64_t)data_seq;
	if (!m->in_txn && !meta_dirty(m))
		return 0;
	ret = sql_begin(m);
	if (!ret)
		ret = pending_flush_all(m);
	if (!ret)
		ret = counter_store(m);
	if (!ret)
		ret = branch_store_totals(m);
	sql_reset_all(m); /* no read mark may stay in the WAL */
	if (!ret)
		ret = sql_exec(m, SQL_COMMIT);
	if (ret) {
		m->counters[COUNTER_ROWS_SEQ] = old_rows_seq;
		m->counters[COUNTER_DATA_SEQ] = old_data_seq;
		return ret;
	}
	memcpy(m->counters_stored, m->counters, sizeof m->counters);
	m->in_txn = m->dirty = false;
	return 0;
}

void meta_committed(const struct meta *m, uint64_t *ret_rows_seq, uint64_t *ret_data_seq)
{
	*ret_rows_seq = (uint64_t)m->counters_stored[COUNTER_ROWS_SEQ];
	*ret_data_seq = (uint64_t)m->counters_stored[COUNTER_DATA_SEQ];
}

int meta_sync_wal(struct meta *m)
{
	int ret;

	if (atomic_load(&m->wal_suspect))
		ret = wal_write_again(m->wal_fd, atomic_load(&m->wal_end));
	else
		ret = io_fdatasync(IO_DB, m->wal_fd);
	atomic_store(&m->wal_suspect, ret != 0);
	return ret;
}

int meta_settle_wal(struct meta *m)
{
	int ret = m->wal_torn ? trim_wal(m) : 0;

	return !ret && atomic_load(&m->wal_suspect) ? meta_sync_wal(m) : ret;
}

/* checkpoint_lock held. */
static int checkpoint(struct meta *m, int mode)
{
	int ret = atomic_load(&m->wal_suspect) ? meta_sync_wal(m) : 0;
	int rc;

	/* Pages of a WAL that is not on the disk must not go into the database: half of them could be there after a power cut. */
	if (ret)
		return ret;
	rc = sqlite3_wal_checkpoint_v2(m->checkpoint_db, "main", mode, NULL, NULL);
	if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY) /* it syncs the WAL first, on a descriptor of its own */
		atomic_store(&m->wal_suspect, true);
	return sql_errno(rc);
}

int meta_checkpoint(struct meta *m)
{
	LOCK_SCOPE(&m->checkpoint_lock);
	int ret = checkpoint(m, SQLITE_CHECKPOINT_PASSIVE);

	/* It met a commit just as that changed the WAL's index: the next one will do. */
	return ret == -EBUSY ? 0 : ret;
}

uint64_t meta_wal_size(const struct meta *m)
{
	return atomic_load(&m->wal_bytes);
}

int meta_reset_wal(struct meta *m)
{
	int ret = end_plain(m);

	if (ret)
		return ret;
	LOCK_SCOPE(&m->checkpoint_lock);
	ret = checkpoint(m, SQLITE_CHECKPOINT_RESTART);
	if (!ret) {
		atomic_store(&m->wal_bytes, 0);
		atomic_store(&m->wal_end, 0);
	}
	return ret;
}

static int setting_write(struct meta *m, const char *key, const void *value, size_t len)
{
	sqlite3_stmt *st;
	int ret = sql_stmt(m, SQL_SETTING_PUT, &st);

	if (ret)
		return ret;
	(void)sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	(void)sqlite3_bind_blob64(st, 2, value, len, SQLITE_STATIC);
	ret = sql_step(m, st);
	return ret > 0 ? 0 : ret;
}

int meta_setting_change(struct meta *m, const char *key, const void *value, size_t len)
{
	int ret;

	assert(!m->in_op);
	ret = setting_write(m, key, value, len);
	if (!ret)
		m->dirty = true;
	return ret;
}

int meta_setting_put(struct meta *m, const char *key, const void *value, size_t len)
{
	int ret;

	assert(!m->in_op && !m->dirty);
	ret = setting_write(m, key, value, len);
	if (!ret)
		ret = end_plain(m);
	if (!ret)
		ret = meta_sync_wal(m);
	return ret ? ret : load_secret(m);
}

int meta_setting_get(struct meta *m, const char *key, void *out, size_t len)
{
	sqlite3_stmt *st;
	int ret = sql_stmt(m, SQL_SETTING_GET, &st);

	if (ret)
		return ret;
	(void)sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	ret = sql_step(m, st);
	if (ret)
		return ret < 0 ? ret : -ENOENT;
	if ((size_t)sqlite3_column_bytes(st, 0) == len)
		memcpy(out, sqlite3_column_blob(st, 0), len);
	else
		ret = -EMSGSIZE;
	(void)sqlite3_reset(st);
	return ret;
}

uint64_t meta_memory(const struct meta *m)
{
	static const int kinds[] = {SQLITE_DBSTATUS_CACHE_USED, SQLITE_DBSTATUS_SCHEMA_USED, SQLITE_DBSTATUS_STMT_USED};
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		int now = 0, high;

		(void)sqlite3_db_status(m->db, kinds[i], &now, &high, 0);
		sum += (uint64_t)now;
	}
	return sum + pending_memory(m);
}
