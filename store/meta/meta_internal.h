/* Private to store/meta: the open database, shared by its files. */
#ifndef VARVE_META_INTERNAL_H
#define VARVE_META_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/meta/branch.h"
#include "store/meta/row.h"

#define META_PAGE_SIZE 4096
#define META_PAGE_RESERVE 16 /* the last 8 of these are the page's checksum, see vfs.c */
#define META_SECRET_LEN 192
#define META_BRANCH_BUCKETS 4096

/* Kept in memory and in rows of `counter` with the names of counter_names[] in counter.c. Those up to COUNTER_ID are
 * ids that are only ever raised, even by an abort or a rollback: a gap harms nothing, while the holder of an id (a
 * pack's file) may be outside the transaction. */
enum counter {
	COUNTER_INO,
	COUNTER_CHUNK,
	COUNTER_PACK,
	COUNTER_NUMBER,
	COUNTER_ID,
	COUNTER_EPOCH,
	COUNTER_ROWS_SEQ,
	COUNTER_DATA_SEQ,
	COUNTER_CHUNKS, /* sums over the chunk table, see struct chunk_totals */
	COUNTER_RAW_BYTES,
	COUNTER_STORED_BYTES,
	COUNTER_REFERENCED_BYTES,
	COUNTER_COUNT
};

struct branch_undo {
	struct branch *b;
	struct branch saved;
};

struct pending_rows;

struct meta {
	sqlite3 *db;
	sqlite3_stmt *stmts[SQL_COUNT];
	bool names_pending[SQL_COUNT]; /* the statement names a table that pending.h is in front of */
	bool preparing_names_pending;
	bool in_txn; /* a write transaction is open, perhaps only for reading; false again when SQLite rolled it back */
	bool in_op;
	bool savepoint; /* of the operation: set before its first change of a table */
	bool lost;
	int lost_error; /* what it was lost over */
	bool dirty;  /* rows changed since the last commit */
	bool reader; /* see reader.h: no checkpoint_db and no WAL of its own, nothing is changed */
	uint64_t op_seq;
	struct buf effects;
	struct pending_rows *pending;

	int64_t counters[COUNTER_COUNT];
	int64_t counters_stored[COUNTER_COUNT]; /* as the database has them */
	int64_t counters_op[COUNTER_COUNT];     /* as they were when the operation began */

	struct branch *branches[META_BRANCH_BUCKETS];
	struct branch_undo *undo; /* branches changed by the operation, as they were */
	size_t undo_len, undo_cap;

	uint8_t secret[META_SECRET_LEN]; /* of dirent_hash; from the setting "secret" */

	bool wal_existed; /* with something in it, when this was opened */
	bool wal_torn; /* there is something behind its last whole transaction, as it was opened; committing thread only */
	bool keep_files; /* closing changes none of them */
	struct stats *stats; /* may be NULL */
	int dirfd;
	int wal_fd; /* of our own: SQLite never replaces the file while a connection is open */
	_Atomic uint64_t wal_bytes;
	_Atomic uint64_t wal_end; /* of the last commit's frames; 0: there was none yet */
	_Atomic bool wal_suspect; /* a sync of it may have failed: what is in it has to be written again before the next counts */
	pthread_mutex_t checkpoint_lock; /* protects checkpoint_db; a leaf */
	sqlite3 *checkpoint_db;

	/* of a reader */
	bool (*stop)(void *arg);
	void *stop_arg;
};

/* db.c */
int meta_conn_open(const char *dir, int flags, sqlite3 **ret);
int meta_load(struct meta *m); /* what is kept in memory, from the rows */

/* counter.c */
int counter_load(struct meta *m);
int counter_store(struct meta *m);
void counter_seen(struct meta *m, enum counter c, int64_t value); /* raises it */
int counter_by_name(const char *name, size_t len);                 /* -1 when there is none */

/* branch.c: the in-memory side of branch rows, called by row.c for every change of one, live or applied */
int branch_load(struct meta *m);
int branch_row_put(struct meta *m, const struct value *cols);
int branch_row_deleted(struct meta *m, int64_t id);
/* Remembers a branch as it is, for an abort. Called before each change of one inside an operation. */
int branch_touch(struct meta *m, struct branch *b);
void branch_undo(struct meta *m);
int branch_store_totals(struct meta *m);
void branch_free_all(struct meta *m);

/* sql.c */
int sql_errno(int rc); /* -errno of an SQLite result code */
int sql_begin(struct meta *m); /* opens the write transaction if there is none */
void sql_watch(struct meta *m); /* before any statement is prepared */
void sql_reset_all(struct meta *m);
void sql_finalize_all(struct meta *m);
int sql_exec(struct meta *m, enum sql_id id); /* a statement without parameters and rows */

#endif
