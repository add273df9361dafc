/* Private to store/meta: how rows change. Every INSERT, UPDATE and DELETE of the tables goes through these three
 * functions, which carry it out with a prepared statement and append it to the operation's effects (unless the table
 * is not recorded). */
#ifndef VARVE_META_ROW_H
#define VARVE_META_ROW_H

#include <sqlite3.h>

#include "store/meta/branch.h"
#include "store/meta/sql.h"

/* The order is part of the format of effects: only append. */
enum table {
	T_INODE,
	T_DIRENT,
	T_XATTR,
	T_EXTENT,
	T_CHUNK,
	T_FREE,
	T_BRANCH,
	T_VOLUME,
	T_SNAPSHOT,
	T_NUMBER,
	T_REAP,
	T_RETIRED, /* a table up to schema 3: such effects are read, and change nothing */
	T_PURGE,
	T_COUNTER,
	T_COUNT
};

/* A column's value. p != NULL: bytes (text or blob, by the column); otherwise the integer; is_null: NULL. */
struct value {
	int64_t i;
	const void *p;
	size_t n;
	bool is_null;
};
#define VI(x) ((struct value){.i = (int64_t)(x)})
#define VB(ptr, len) ((struct value){.p = (ptr), .n = (len)})
#define VNULL ((struct value){.is_null = true})

/* Columns in table order, key first: see schema.c. Only inside an operation; after an error the operation must be
 * aborted. */
int row_put(struct meta *m, enum table t, const struct value *cols); /* inserts the row, replacing one with this key (not in T_CHUNK) */
/* Changes the non-key columns of a row that is there (-ECORRUPT otherwise). Of a versioned row it is much cheaper
 * when `since` stays as it is, which no view can tell from `now` once the row may be changed in place. */
int row_update(struct meta *m, enum table t, const struct value *cols);
int row_delete(struct meta *m, enum table t, const struct value *key); /* -ECORRUPT when it is not there */
/* Changes a chunk's count: recorded as a delta. */
int row_chunk_ref(struct meta *m, uint64_t id, int64_t delta);
int row_branch_totals(struct meta *m, struct branch *b, int64_t bytes, int64_t inodes);

/* Runs a statement that changes rows of the table; in an operation, behind its savepoint. Leaves effects and memory alone. */
int row_write(struct meta *m, enum sql_id id, enum table t, const struct value *cols, unsigned n);

/* Statements: sql_list.h has them all, sql.h makes the enum. sql_stmt resets and returns the prepared statement, NULL when it
 * fails: resetting that does nothing. */
int sql_stmt(struct meta *m, enum sql_id id, sqlite3_stmt **ret);
/* Steps: 0 a row, >0 done, -errno. Done and errors reset the statement. */
int sql_step(struct meta *m, sqlite3_stmt *st);

#endif
