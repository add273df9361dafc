/* The metadata database: one SQLite file, one connection, one long write transaction at a time.
 *
 * Every change of a row goes through one private function (row.h), which carries it out and appends it, encoded, to the
 * current operation's *effects*. The effects of an operation are an opaque blob: the caller puts it in the ring and the
 * journal, and meta_apply carries it out again after a crash. The database remembers how far it includes them: the two
 * sequence numbers given to meta_commit.
 *
 * Threading: the caller serialises every function of store/meta (the store lock), except meta_sync_wal and
 * meta_checkpoint, which may run in another thread at the same time.
 *
 * Returns 0 or -errno; -ECORRUPT when a page's checksum or a row does not hold. */
#ifndef VARVE_META_DB_H
#define VARVE_META_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/err.h"
#include "store/base/stats.h"

#define META_LIVE INT64_MAX          /* `until` of a live row */
#define META_HEAD (INT64_MAX - 1)    /* the epoch at which live rows are read */
#define META_SCHEMA_VERSION 4

struct meta;

/* Makes an empty database "meta.db" in the directory. */
int meta_create(const char *dir, struct err *err);
/* Opens it; SQLite's WAL recovery happens here. -ETOONEW for a newer schema, with a clear text. */
int meta_open(const char *dir, struct meta **ret, struct err *err);
/* Brings the database to this program's schema: the first thing to be done after opening. Durably with `keep`; else only as long as it
 * is open and nothing is committed. */
int meta_migrate(struct meta *m, bool keep, struct err *err);
/* Closes without committing: what was not committed is gone (it is in the ring). NULL is fine. */
void meta_free(struct meta *m);
/* Damage that is met is counted there, from here on. */
void meta_count_in(struct meta *m, struct stats *stats);
/* meta_free will leave the database and its WAL as they are: for a check, which changes nothing. */
void meta_keep_files(struct meta *m);

/* --- operations --- */

/* Begins an operation: opens the write transaction if there is none, sets a savepoint, empties the effects. */
int meta_op_begin(struct meta *m);
/* Ends it successfully; the effects stay readable until the next begin. */
int meta_op_end(struct meta *m);
/* Undoes it, branch totals and the epoch included; ids handed out are not taken back. Afterwards meta_lost() tells
 * whether SQLite had to roll the whole transaction back. */
void meta_op_abort(struct meta *m);
/* SQLite rolled everything since the last commit back: the caller calls meta_rollback, then applies the ring's
 * records again. */
bool meta_in_op(const struct meta *m);
bool meta_lost(const struct meta *m);
/* The rows are not what was acknowledged: every look at them and every change fails with `error` until meta_rollback. */
void meta_refuse(struct meta *m, int error);
/* Drops everything since the last commit and reloads the in-memory state (branches, counters) from the database. Every
 * `struct branch *` and view stays valid as a pointer; branches that no longer exist are marked dead. */
int meta_rollback(struct meta *m);
/* The encoded effects of the current (or just ended) operation. */
const struct buf *meta_effects(const struct meta *m);
/* Carries out effects again, inside an operation begun by the caller; records them as effects too. -ECORRUPT when
 * they do not parse. */
int meta_apply(struct meta *m, const void *effects, size_t len);

/* Rows changed by operations that have not reached their tables yet: meta_commit takes them all there, and so does a statement
 * that has to see them. meta_settle takes up to max_rows of them, between operations, so that neither has much to do. */
size_t meta_unsettled(const struct meta *m);
int meta_settle(struct meta *m, size_t max_rows);

/* Commits what was done so far with synchronous=NORMAL: nothing is flushed. rows_seq: all effects of records up to
 * this number are included. data_seq: the data of all writes up to this number is included. */
int meta_commit(struct meta *m, uint64_t rows_seq, uint64_t data_seq);
void meta_committed(const struct meta *m, uint64_t *ret_rows_seq, uint64_t *ret_data_seq);
/* True when there is anything that meta_commit would write. */
bool meta_dirty(const struct meta *m);
/* Makes the last commit durable (fdatasync of the WAL). Any thread. */
int meta_sync_wal(struct meta *m);
/* To be called before each meta_commit: a sync that failed is made up for, and what a power cut tore is cut off, since a WAL in which a
 * transaction follows what is not on disk could not be told from a damaged one after a power cut. Takes a sync after opening and after
 * a failure, else nothing. */
int meta_settle_wal(struct meta *m);
/* Moves WAL content into the database file (PASSIVE), on a connection of its own: what it can at the moment. Any
 * thread, one at a time. */
int meta_checkpoint(struct meta *m);
/* Bytes in the WAL. */
uint64_t meta_wal_size(const struct meta *m);
/* Called right after meta_commit with no operation in between: finishes the checkpoint so that the WAL starts over.
 * It flushes WAL and database: little is left to do right after a meta_checkpoint. -EBUSY, at once, while a reader
 * looks at what is in the WAL: not all was flushed then, and nothing is lost by trying later. */
int meta_reset_wal(struct meta *m);

/* --- counters: kept in memory, written at commit, raised by meta_apply as it sees ids --- */

int64_t meta_now(const struct meta *m); /* the epoch that changes made now belong to; begins at 1 */
/* Ends the current epoch: returns it (the view to pin), and later changes belong to the next one. Recorded. */
int meta_epoch_advance(struct meta *m, int64_t *ret_view_epoch);
uint64_t meta_next_ino(struct meta *m);   /* store-wide, never reused; the first is 16 */
uint64_t meta_reserve_inos(struct meta *m, uint64_t n); /* n in a row; the first */
uint64_t meta_last_ino(const struct meta *m);
uint64_t meta_next_chunk(struct meta *m);
uint64_t meta_last_chunk(const struct meta *m); /* the highest chunk id handed out or seen */
uint32_t meta_next_pack(struct meta *m);
uint32_t meta_last_pack(const struct meta *m); /* the highest pack id handed out or seen */
uint32_t meta_next_number(struct meta *m); /* node id numbers; the first is 1, at most 2^23 - 1 */
int64_t meta_next_id(struct meta *m);      /* ids of branches, volumes, snapshots and reap tasks */

/* Small settings of the store: "store_id", "secret", "created", … Not recorded as effects; committed at once. Only
 * at init. */
int meta_setting_put(struct meta *m, const char *key, const void *value, size_t len);
/* One that changes while the store is in use: part of the next commit, and lost with it when that fails (read it again after). */
int meta_setting_change(struct meta *m, const char *key, const void *value, size_t len);
int meta_setting_get(struct meta *m, const char *key, void *out, size_t len); /* -ENOENT, -EMSGSIZE unless exactly len */

/* SQLite's memory in bytes (page caches included). */
uint64_t meta_memory(const struct meta *m);
/* A walk that must not hold the lock for long: every iterator in this folder resumes by key, see the iter structs. */

#endif
