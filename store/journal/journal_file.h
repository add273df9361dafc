/* The journal: what fsync makes durable, on disk. Two preallocated segment files, journal.0 and journal.1, written
 * alternately: a commit starts the other segment (journal_rotate), and once that commit is durable the old one is
 * recycled (journal_retire). Records are appended in batches; one fdatasync serves all who wait.
 *
 * A segment begins with a header (magic, version, store id, generation, keyed checksum). Records are written in
 * batches; each carries a store-wide number and a checksum that is chained from the batch before and, first, from a
 * random value in the header, so that neither stale bytes of an earlier use nor file contents ever read as records. The
 * files are written once with zeros at creation so that later writes change no file metadata and fdatasync is one
 * device flush.
 *
 * Threading: journal_append and journal_rotate are serialised by the caller; journal_sync may be called by any thread
 * and groups the waiters: one becomes the leader and flushes for all. */
#ifndef VARVE_JOURNAL_JOURNAL_FILE_H
#define VARVE_JOURNAL_JOURNAL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "store/base/err.h"
#include "store/base/stats.h"
#include "store/journal/record.h"

struct journal;

/* Opens or creates the two segments in `dirfd`. `store_id` guards against a journal of another store. Stats may be
 * NULL. */
int journal_open(int dirfd, const uint8_t store_id[16], uint64_t segment_size, struct stats *stats,
		 struct journal **ret, struct err *err);
void journal_free(struct journal *j);

/* Calls `apply` for each record that checks, in the order written (older generation first), up to the last batch that does. `settled`:
 * what the database has; a record up to this one may be replayed once more, or be left out. What a power cut tore at the end is left out
 * silently. -ECORRUPT, with err, when anything beyond `settled` that was on disk once is missing in front of what is still there. With
 * apply NULL nothing is needed, because a ring has all of it, and damage is only logged. An `apply` that returns non-zero ends it with
 * that, err untouched.
 *
 * Must be called once, before the first append, even when there is nothing to replay. Appends continue after what was replayed, which
 * stays replayable; when that spans both segments, journal_can_rotate is false until a commit without journal_rotate has been followed
 * by journal_retire. */
int journal_replay(struct journal *j, uint64_t settled, int (*apply)(void *arg, const struct record *rec), void *arg, struct err *err);

/* Adds a record to the batch in memory (RECORD_SUM_ALL; seq is the caller's). The data is copied: that of `data`, or
 * with iovcnt 0 that of the record. -ENOSPC when the segment has no room left: the caller commits, then tries again;
 * -EMSGSIZE when an empty segment had none. */
int journal_append(struct journal *j, const struct record *rec, const struct iovec *data, int iovcnt);
/* Records appended between begin and end reach the disk together or not at all: no flush takes some of them. With keep false they are taken
 * back. Short, and without journal_sync or journal_rotate in between. */
void journal_group_begin(struct journal *j);
void journal_group_end(struct journal *j, bool keep);
/* A position that covers everything appended so far; hand it to journal_sync. */
uint64_t journal_position(const struct journal *j);
/* Returns once everything up to `position` is on stable storage. An error stays with every record that it hit: those
 * waiting get it, and so does every later journal_sync until journal_retire has dropped that segment (for the current
 * one that takes a rotation first). What a retired segment held counts as synced: a commit made it durable. */
int journal_sync(struct journal *j, uint64_t position);
/* Bytes used in the current segment, and its size. */
uint64_t journal_used(const struct journal *j);
uint64_t journal_segment_size(const struct journal *j);
/* Further records go to the other segment; -EBUSY when its content has not been retired. Records not yet written still
 * belong to the old one, which the next journal_sync writes first. */
int journal_rotate(struct journal *j);
/* A durable commit has everything up to record `through`: the segment before the current one is not needed any more. */
void journal_retire(struct journal *j, uint64_t through);
bool journal_can_rotate(const struct journal *j);
void journal_check(struct journal *j);

#endif
