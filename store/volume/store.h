/* An open store: what the daemon, the offline commands and the tests hold. The rest of this folder is verbs on it:
 * namespace.h (names and attributes), file_io.h (contents), volume.h, snapshot.h, diff.h.
 *
 * Threading: every function here and in those headers may be called by any number of threads, unless it says otherwise. One mutex,
 * the store lock, covers metadata and write buffers; it is never held across a flush or a pack read.
 *
 * Nodes: what FUSE calls a node id. (number << 40) | ino, see DESIGN section 3. NODE_ROOT is the mount's root, whose entries
 * are the volumes. */
#ifndef VARVE_VOLUME_STORE_H
#define VARVE_VOLUME_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/err.h"
#include "store/base/limits.h"
#include "store/base/stats.h"

#define NODE_ROOT UINT64_C(1)

struct store;

/* Makes a store in `dir` (made if missing, must be empty). Refuses NFS, overlay, FUSE and a store's own mount. */
int store_init(const char *dir, struct err *err);

enum store_flags {
	STORE_NO_THREADS = 1, /* no commit, sync or maintenance threads: the caller drives store_commit and store_maintain (tests, check) */
	STORE_READONLY = 2,   /* for check: nothing is written, not even the journal replayed into the database file */
	STORE_KEEP_ORPHANS = 4, /* files without a name may still be open: they are freed by ns_forget, or by the next opening */
	STORE_CLAIMED = 8, /* the caller has the claim (claim.h) */
};
/* What a thread has last carried out, kept where it outlives the process: written before the operation's record is in the ring, it
 * counts exactly when that record is there. The thread clears `unique` once the request is answered. */
struct op_done {
	_Atomic uint64_t unique; /* the request; 0: none */
	uint64_t seq;            /* its record's number */
	uint64_t node;           /* what was made, if anything */
};
struct store_options {
	unsigned flags;
	size_t ring_size;       /* 0: RING_SIZE_DEFAULT */
	int ring_fd;            /* -1: a new ring; else an earlier daemon's, whose records are applied */
	unsigned commit_interval_ms; /* 0: COMMIT_INTERVAL_MS */
	struct op_done *done;   /* the earlier daemon's, with ring_fd: opening clears those that never came to be */
	size_t done_n;
	/* Called, unless NULL, once everything acknowledged is known, with the store: it may be read by other threads from then on,
	 * though opening goes on for as long as a disk takes. Not 0 fails the opening. When that fails later on, called again with
	 * NULL, and no thread may be at work with the store when it returns. */
	int (*recovered)(void *arg, struct store *s, struct err *err);
	void *recovered_arg;
	/* For tests, so that what is rare happens often. 0: as limits.h says. */
	uint64_t journal_size; /* of a segment, when the store is opened for the first time */
	uint64_t pack_size, wal_size;
	uint32_t compact_min, compact_percent; /* dead bytes of a pack that make it worth compacting, and of how many of all */
};
#define STORE_OPTIONS_DEFAULT ((struct store_options){.ring_fd = -1})

/* Takes the claim and the lock (-EBUSY: somebody has them, the error says who), opens, replays the journal and the ring, finishes leftovers. */
int store_open(const char *dir, const struct store_options *opts, struct store **ret, struct err *err);
/* Commits everything, stops the threads, frees. The store is freed even on error. */
int store_close(struct store *s, struct err *err);
/* Frees without committing, as kill -9 would leave it: for tests of recovery. */
void store_abandon(struct store *s);

/* Makes everything acknowledged so far part of a durable commit. */
int store_commit(struct store *s);
/* One small step of each kind of background work (orphan purge, reaping, flattening, collection, punching, checkpointing). *ret_more is
 * false when nothing is left to do. With threads the store does this itself. */
int store_maintain(struct store *s, bool *ret_more);

int store_ring_fd(struct store *s); /* borrowed */
struct stats *store_stats(struct store *s);
void store_uuid(const struct store *s, char out[37]);

struct store_space {
	uint64_t logical_bytes;    /* sum of the live volumes' file sizes */
	uint64_t snapshot_bytes;   /* sum over the snapshots of their totals */
	uint64_t referenced_bytes; /* before deduplication: what all extent rows refer to */
	uint64_t unique_bytes;     /* after deduplication */
	uint64_t stored_bytes;     /* after compression */
	uint64_t disk_bytes;       /* packs on the host filesystem */
	uint64_t meta_bytes;       /* database, WAL, journal */
	uint64_t chunks;
	uint64_t pending_bytes;    /* dead, not yet given back */
	uint64_t host_total, host_free;
	uint64_t volumes, snapshots, inodes;
	uint64_t buffered_bytes;   /* written, not yet in packs */
	uint64_t reap_tasks;
	uint64_t trash_volumes, trash_bytes; /* removed volumes that can be brought back; what they hold, see trash_info.held_bytes */
};
int store_space(struct store *s, struct store_space *ret);

#endif
