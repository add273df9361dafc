/* Private to store/meta: live rows kept in memory, in front of their tables. Live inode and directory entry rows
 * are changed here, and reach SQLite when the transaction is committed, when a statement that names their
 * table runs, or when there are many: what is made, changed and removed in between costs SQLite nothing, and no
 * savepoint. What SQLite said of such rows is remembered too, absent ones included. Closed versions never are here.
 *
 * Lock: the store's. The effects of a change are recorded at once, see row.c: only the tables lag behind. */
#ifndef VARVE_META_PENDING_H
#define VARVE_META_PENDING_H

#include "store/meta/row.h"
#include "store/meta/version.h"

int pending_new(struct meta *m); /* a reader has none: it reads the tables */
void pending_free(struct meta *m); /* NULL inside is fine */

/* Whether rows of this table, with this key, are kept here. */
bool pending_takes(enum table t, const struct value *cols);
/* What row_put, row_update and row_delete do of such a row. >0: not known here, the table is to be changed. */
int pending_put(struct meta *m, enum table t, const struct value *cols);
int pending_update(struct meta *m, enum table t, const struct value *cols);
int pending_delete(struct meta *m, enum table t, const struct value *key);

/* The branch's live row of an inode or a directory entry. */
enum pending_answer {
	PENDING_ROW,
	PENDING_ABSENT,
	PENDING_UNKNOWN, /* ask the table */
};
enum pending_answer pending_find(struct meta *m, enum table t, int64_t branch, const struct version_key *key,
				 struct version_row *ret);
/* Does the table say something else of that row's key? */
bool pending_differs(struct meta *m, enum table t, int64_t branch, const struct version_key *key);
/* What the table said: the row, or NULL when there is none. */
void pending_learn(struct meta *m, enum table t, int64_t branch, const struct version_key *key,
		   const struct version_row *row);

/* Carries changes out in the tables: up to `max` rows, or those of one object (a version_key's), or all. */
int pending_flush(struct meta *m, size_t max);
int pending_flush_object(struct meta *m, enum table t, uint64_t object);
static inline int pending_flush_all(struct meta *m)
{
	return pending_flush(m, SIZE_MAX);
}
size_t pending_count(const struct meta *m); /* rows that differ from their tables */
uint64_t pending_memory(const struct meta *m);
/* Forgets everything: the transaction is gone. */
void pending_drop(struct meta *m);

/* An operation begins; it is undone. */
void pending_op_begin(struct meta *m);
void pending_undo(struct meta *m);
/* The operation changes such rows in the table itself: what is read from there until it ends may be undone. */
void pending_passed_by(struct meta *m);

#endif
