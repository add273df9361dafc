#include <string.h>

#include "store/meta/meta_internal.h"
#include "store/meta/pending.h"

static const char *const texts[SQL_COUNT] = {
#define SQL(name, text) [SQL_##name] = (text),
#include "store/meta/sql_list.h"
#undef SQL
};

const char *sql_text(enum sql_id id)
{
	return texts[id];
}

int sql_errno(int rc)
{
	if (rc == SQLITE_IOERR_DATA || rc == SQLITE_IOERR_CORRUPTFS)
		return -ECORRUPT;
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -ECORRUPT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_INTERRUPT:
		return -ECANCELED;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_TOOBIG:
		return -E2BIG;
	default:
		return -EIO;
	}
}

/* Looks whether the write transaction is of use after an error: SQLite rolls it back after some, and refuses further
 * writes in it after SQLITE_CORRUPT (its extended codes aside, see vfs.c). */
static int failed(struct meta *m, int rc)
{
	int ret = sql_errno(rc);

	if (ret == -ECORRUPT && m->stats)
		stats_add(&m->stats->metadata_corrupt, 1);
	if (m->in_txn && (rc == SQLITE_CORRUPT || sqlite3_get_autocommit(m->db))) {
		m->in_txn = false;
		m->lost = true;
		m->lost_error = ret;
	}
	return ret;
}

/* Those that know of the rows in memory themselves, and those that bring them to the tables. */
static bool minds_pending(enum sql_id id)
{
	switch (id) {
	case SQL_INODE_GET:
	case SQL_INODE_PUT:
	case SQL_INODE_UPDATE:
	case SQL_INODE_DELETE:
	case SQL_DIRENT_GET:
	case SQL_DIRENT_WALK:
	case SQL_DIRENT_PUT:
	case SQL_DIRENT_UPDATE:
	case SQL_DIRENT_DELETE:
		return true;
	default:
		return false;
	}
}

/* SQLite tells which tables a statement names as it prepares it. */
static int authorize(void *arg, int action, const char *table, const char *b, const char *c, const char *d)
{
	struct meta *m = arg;

	(void)b;
	(void)c;
	(void)d;
	if ((action == SQLITE_READ || action == SQLITE_INSERT || action == SQLITE_UPDATE || action == SQLITE_DELETE) &&
	    (!strcmp(table, "inode") || !strcmp(table, "dirent")))
		m->preparing_names_pending = true;
	return SQLITE_OK;
}

void sql_watch(struct meta *m)
{
	(void)sqlite3_set_authorizer(m->db, authorize, m);
}

int sql_stmt(struct meta *m, enum sql_id id, sqlite3_stmt **ret)
{
	sqlite3_stmt **st = &m->stmts[id];
	bool controls = id >= SQL_BEGIN && id <= SQL_ROLLBACK_TO;
	int err, rc;

	*ret = NULL;
	/* Reads too are several times cheaper inside a transaction, which takes and gives back the WAL's locks only
	 * once. */
	if (!controls && m->lost) /* what the files have is older than what was acknowledged */
		return m->lost_error;
	err = controls ? 0 : sql_begin(m);
	if (err)
		return err;
	if (*st) {
		(void)sqlite3_reset(*st);
	} else {
		m->preparing_names_pending = false;
		rc = sqlite3_prepare_v3(m->db, texts[id], -1, SQLITE_PREPARE_PERSISTENT, st, NULL);
		if (rc != SQLITE_OK)
			return failed(m, rc);
		m->names_pending[id] = m->preparing_names_pending && !minds_pending(id);
	}
	if (m->names_pending[id] && (err = pending_flush_all(m)))
		return err;
	*ret = *st;
	return 0;
}

int sql_step(struct meta *m, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);
	int ret;

	if (rc == SQLITE_ROW)
		return 0;
	ret = rc == SQLITE_DONE ? 1 : failed(m, rc);
	(void)sqlite3_reset(st);
	return ret;
}

int sql_exec(struct meta *m, enum sql_id id)
{
	sqlite3_stmt *st = NULL;
	int ret = sql_stmt(m, id, &st);

	if (ret)
		return ret;
	ret = sql_step(m, st);
	return ret < 0 ? ret : 0;
}

int sql_begin(struct meta *m)
{
	int ret = m->in_txn || m->lost ? 0 : sql_exec(m, m->reader ? SQL_BEGIN_READ : SQL_BEGIN);

	if (!ret && !m->lost)
		m->in_txn = true;
	return ret;
}

void sql_reset_all(struct meta *m)
{
	for (size_t i = 0; i < SQL_COUNT; i++)
		(void)sqlite3_reset(m->stmts[i]); /* NULL is fine */
}

void sql_finalize_all(struct meta *m)
{
	for (size_t i = 0; i < SQL_COUNT; i++) {
		(void)sqlite3_finalize(m->stmts[i]);
		m->stmts[i] = NULL;
	}
}
