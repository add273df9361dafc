/* Private to store/volume and store/maint: the open store, transactions, files with buffered data.
 *
 * Locks, in the order they are taken:
 *   maintain_lock  one step of background work at a time. Held across I/O.
 *   instant_lock   one cut (snapshot, clone, rollback) at a time
 *   drain_lock     one drain at a time: a commit, or a file drained for its fsync. Everything that moves chunks from packs to the
 *                  free list holds it too, so that a chunk found by hash stays until its extents are in. Held across I/O.
 *   lock           the store lock: meta, ring, journal_append, files, numbers. Not held across a flush or pack I/O, but for two
 *                  things: a cut stores what little is left to drain under it (unflushed), and about once in WAL_SIZE_MAX of
 *                  WAL a commit finishes the checkpoint under it, so that the WAL can start over.
 *   (the journal's and the chunk store's own locks are leaves)
 *
 * States of written data. A write puts its bytes into the ring and a range that points there into the file's `active` buffer. A
 * drain seals it (active -> sealed), cuts, stores and syncs chunks with no lock held, then inserts their extents in slices, each one
 * a transaction that also takes those ranges out of `sealed`. Reads look into active, then sealed, then the extents. Truncation and
 * punching trim both buffers, and a drain inserts only what is still in `sealed`.
 *
 * While a file has ranges in either buffer its true size is `size` here and the inode row's size is what the drained part
 * justifies: a row's size never runs ahead of its data. */
#ifndef VARVE_VOLUME_STORE_INTERNAL_H
#define VARVE_VOLUME_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"
#include "store/chunk/chunk_store.h"
#include "store/journal/journal_file.h"
#include "store/journal/ring.h"
#include "store/meta/catalog.h"
#include "store/meta/dirent.h"
#include "store/meta/extent_map.h"
#include "store/meta/xattr.h"
#include "store/volume/chunk_cache.h"
#include "store/volume/file_io.h"
#include "store/volume/snapshot.h"
#include "store/volume/write_buffer.h"

#define LOCK_NAME "lock"

#define INO_MOUNT_ROOT 1
#define INO_SNAPSHOTS 2 /* VOLUME/.snapshots, under the volume's number */
#define SNAPSHOTS_NAME ".snapshots"

#define FILE_BUCKETS 4096
#define NUMBER_CACHE 1024
#define DAMAGE_REMEMBERED 64
#define QUOTA_BUCKETS 256

/* A regular file that is open, or has buffered data. Under the store lock. */
struct file {
	struct file *hash_next;
	struct file *dirty_next, *dirty_prev; /* in store.dirty while it has ranges or a pending mtime */
	bool dirty;
	struct branch *branch;
	uint64_t ino;
	struct write_buffer active, sealed;
	int64_t size;  /* while either buffer has ranges */
	int64_t mtime; /* of the last buffered write; 0 when the row's is right */
	uint64_t journaled; /* ranges with seq up to this are in the journal */
	bool replaced;      /* a record says more of it than is true without its ranges that are not in the journal: a rename put it in
			     * another file's place, or a size reaches beyond them; so they go into the journal together */
	uint32_t opens, writers, pid;
	uint32_t pins; /* drains that look at it with the lock released */
	uint64_t node; /* as last opened */
};

/* What a node id number stands for; cached from the number and volume tables. */
struct number_slot {
	uint64_t generation;
	uint32_t number;
	enum number_kind kind;
	int64_t volume;
	uint32_t dir_number, file_number; /* of the nodes seen through this one */
	uint64_t root_ino;
	struct meta_view view;
	bool writable;
	int32_t compression;
	int64_t quota_bytes, quota_inodes;
};

/* What a volume in the trash holds, as far as it has been counted. */
struct trash_count {
	int64_t volume, branch; /* the branch that is being counted */
	struct extent_cursor at;
	double bytes;
	bool done;
};

struct trash {
	int days;       /* see trash_days */
	int64_t oldest; /* ns: when the volume was removed that has been in the trash for longest; 0: it is empty */
	bool making_room; /* a thread is */
	struct trash_count *counts;
	size_t n_counts;
};

/* The state of compaction, see compact.c. */
struct compaction {
	struct chunk_writer *mover; /* NULL until it is needed */
	uint32_t pack, off;         /* where it is; pack 0: nowhere */
	bool look;                  /* whether there may be a pack that is worth it */
	uint32_t last_old;          /* the last pack of before the store was opened */
	uint32_t dead_min, dead_percent;
	uint32_t *left_alone;       /* packs with damaged records */
	size_t n_left_alone;
};

struct store {
	char *dir;
	int dirfd;
	int claim_fd; /* -1: the caller has the claim */
	int lock_fd;
	unsigned flags;
	uint64_t wal_size_max;
	uint8_t id[16];
	struct stats stats;

	pthread_mutex_t maintain_lock;
	pthread_mutex_t instant_lock;
	pthread_mutex_t drain_lock;
	pthread_mutex_t lock;
	pthread_cond_t space_cond; /* ring space came free, or a hold ended */

	/* under lock */
	struct meta *meta;
	struct ring *ring;
	struct journal *journal;
	struct buf tx_effects, tx_record; /* of the transaction in progress */
	struct ring_pos journal_pos; /* the next ring record to go into the journal */
	struct file *files[FILE_BUCKETS];
	struct file *dirty;
	_Atomic uint64_t generation; /* of the number cache; read without the lock by volume_generation */
	struct number_slot numbers[NUMBER_CACHE];
	bool held;           /* a commit that cannot keep up with late renames holds mutating operations back */
	bool keep_orphans;
	bool recovering; /* nothing is refused or waited for */
	bool from_ring;  /* opened on an earlier daemon's ring, when the database ended with this chunk: */
	uint64_t chunks_before_ring;
	int rows_error;      /* not 0: SQLite lost its transaction, and the ring's records could not be applied again yet */
	uint64_t reapply_at; /* us, CLOCK_MONOTONIC: not before is that tried again */
	int commit_error;    /* of the last commit; 0 when it succeeded */
	bool replaced_files; /* some dirty file may be `replaced` */
	bool rows_unsynced;  /* extents entered whose chunks are not synced yet: the journal waits (a cut is syncing them) */
	bool cut_lost;       /* and that sync failed: the next commit stores them again */
	struct trash trash;
	int64_t growth[QUOTA_BUCKETS]; /* at least what buffered files are longer than their rows, by branch: quota.c */
	uint64_t damage_said[DAMAGE_REMEMBERED]; /* chunks whose damage was logged lately */
	unsigned damage_next;
	int64_t host_free;     /* of the host filesystem, as last asked, less what was accepted since */
	int64_t host_free_at;  /* ns, CLOCK_MONOTONIC */

	/* under maintain_lock */
	int64_t flatten_branch;
	struct flatten_cursor flatten_cursor;
	struct compaction compaction;

	/* under drain_lock */
	bool reserved;         /* the file that holds space back is there */
	uint64_t rows_durable; /* rows up to this record are in a commit whose WAL is synced */
	uint64_t collected_seq; /* the record that last put chunks on the free list */
	struct chunk_store *chunks;
	struct chunk_writer *writer;
	bool find_locked; /* the drain in progress holds the store lock: a cut's */
	struct drain *cut_drain; /* the last cut's, until its chunks are synced */

	struct chunk_cache cache; /* own locks */

	/* reads in flight, by gate: punching waits for the gate that was open when a chunk was freed */
	_Atomic unsigned gate;
	_Atomic unsigned gate_readers[2];

	/* threads */
	pthread_t commit_thread, maintain_thread;
	bool commit_running, maintain_running;
	pthread_mutex_t thread_lock; /* leaf: what follows */
	pthread_cond_t commit_cond, maintain_cond;
	bool commit_wanted, stopping, maintain_wanted;
	unsigned commit_interval_ms;
};

/* --- transactions (tx.c) --- */

/* One mutating operation: the store lock, a savepoint, and the effects for its record. */
struct tx {
	struct store *s;
	unsigned flags;
	uint64_t unique;
	struct op_done *done; /* NULL: nobody asks */
	struct buf *effects; /* buffer effects, see effect.h */
	uint64_t reply_node, reply_value;
	int64_t now;  /* ns since 1970: the operation's time */
	uint64_t seq; /* after tx_end_locked: the record's number, 0 when nothing changed */
};
enum tx_flags {
	TX_LOCKED = 1,  /* the caller holds the store lock and keeps it; never waits */
	TX_NO_META = 2, /* touches no row: only buffer effects (a write) */
	TX_DRAIN = 4,   /* may use the part of the ring that is kept for draining it; never waits; passes a hold */
	TX_NOWAIT = 8,  /* -EAGAIN rather than wait for ring space */
	TX_GROWS = 16,  /* needs room on the host filesystem: what is in the trash makes way first */
};

/* Takes the store lock, waits while a cut holds operations back or the ring has less room than `data_len` and the reserve,
 * begins. On failure the lock is not held (unless TX_LOCKED). */
int tx_begin(struct store *s, const struct op *op, unsigned flags, size_t data_len, struct tx *tx);
/* ret < 0: undoes everything and returns ret. Else appends the record, with `data` of a write copied into it. Keeps the lock. Files' buffers are
 * changed by the caller after this said 0. */
int tx_end_locked(struct tx *tx, int ret, const void *data, size_t len, const uint8_t **ret_data);
/* The same without data, and releases the lock unless TX_LOCKED. */
int tx_end(struct tx *tx, int ret);
int64_t now_ns(void);
uint64_t mono_us(void);
/* SQLite lost the transaction: rolls back and applies the ring's records again. Lock held. */
int tx_reapply(struct store *s);
/* Before rows are looked at or changed: brings them back if SQLite has lost them, or says why it cannot. Lock held, not inside an operation. */
int rows_ready(struct store *s);

/* --- the folder (store.c) --- */

int store_open_dir(const char *dir, int *ret_fd, struct err *err); /* -ENOENT when it is no store */

/* --- nodes (number.c) --- */

struct resolved {
	const struct number_slot *slot; /* points into this struct: never copy it by value */
	struct number_slot own_slot;
	uint64_t ino;
	bool mount_root, snapshots_dir; /* the two kinds of directory that exist in no view */
};
int node_resolve(struct store *s, uint64_t node, struct resolved *ret); /* -ESTALE; rows are ready when it says 0 */
/* For changing: also -EROFS (snapshots, virtual directories) and -ESTALE (a replaced head). */
int node_resolve_write(struct store *s, uint64_t node, struct resolved *ret);
int number_lookup(struct store *s, uint32_t number, const struct number_slot **ret); /* -ESTALE when there is no such number */
void numbers_changed(struct store *s);
uint64_t node_make(const struct number_slot *slot, uint64_t ino, uint32_t mode);
/* Row -> attributes, buffered size and mtime included. */
void attr_fill(struct store *s, const struct number_slot *slot, const struct inode *inode, struct attr *ret);
/* Resolves and reads the inode row (size and mtime of the row, not the buffered ones). -ESTALE when it is gone. */
int node_inode(struct store *s, uint64_t node, bool write, struct resolved *r, struct inode *ret);

/* --- files (file.c); lock held --- */

struct file *file_find(struct store *s, const struct branch *b, uint64_t ino); /* NULL */
int file_obtain(struct store *s, struct branch *b, uint64_t ino, struct file **ret);
void file_put(struct store *s, struct file *f); /* frees it when nothing keeps it */
void file_mark_dirty(struct store *s, struct file *f);
static inline bool file_buffered(const struct file *f)
{
	return f->active.n || f->sealed.n;
}
int64_t file_size(const struct file *f_or_null, const struct inode *inode);
/* Drops buffered ranges in [from, end); the file's size is `size` then. Room must have been reserved in both buffers. */
void file_trim(struct store *s, struct file *f, int64_t from, int64_t end, int64_t size);
int file_reserve(struct file *f); /* room in both buffers for one insertion or cut each */
/* A record has just told the file's size, which its row does not have yet. */
void file_size_told(struct store *s, struct file *f, int64_t row_size);
bool file_buffered_outside(const struct file *f, int64_t from, int64_t end); /* would anything stay after file_trim */
void file_settled(struct store *s, struct file *f); /* call after ranges went: forgets size and dirtiness when none are left */

/* --- draining and committing (drain.c, commit.c) --- */

/* What one drain took: the sealed ranges of some files. */
struct drain;
/* Seals the buffers of all files, or of one. drain_lock and lock held. *ret is NULL when nothing is buffered. */
int drain_seal(struct store *s, struct file *f_or_null, struct drain **ret);
/* Stores the chunks, syncs them, inserts the extents; frees d. drain_lock held, lock not held. On failure the data stays buffered. */
int drain_run(struct store *s, struct drain *d);
/* The same inside a cut: lock held throughout, nothing is synced: rows_unsynced is set, and d stays, as cut_drain. */
int drain_run_held(struct store *s, struct drain *d);
/* Makes the chunks of cut_drain durable, if there is one; stores them again, elsewhere, once a sync of them has failed. On failure
 * cut_lost is set, and nothing may be committed or journalled. drain_lock held, lock not held. */
int drain_settle_cut(struct store *s);
/* Lock held. */
void drain_free(struct store *s, struct drain *d);
/* Seals and drains one file. drain_lock held, lock not held. */
int drain_file(struct store *s, struct branch *b, uint64_t ino);
int64_t buffered_bytes(const struct store *s); /* lock held */

/* Takes changed rows to their tables in slices, until few are left, so that nobody waits for all of them at once. Lock not held. */
int rows_settle(struct store *s);
/* drain_lock held, lock not held. */
int commit_with_drain_lock(struct store *s);
void commit_kick(struct store *s); /* asks the commit thread for a commit soon */
void *commit_main(void *store);
/* Appends ring records not yet there to the journal, and the buffered data of `f` (may be NULL) and of files that a rename put in another's
 * place. Lock held. -EAGAIN: some file has too much buffered for a record: drain it first (*ret_drain). -ENOSPC: commit first. */
int journal_catch_up(struct store *s, struct file *f, uint64_t *ret_position, struct branch **ret_drain_branch, uint64_t *ret_drain_ino);
/* Everything recorded so far is durable on return. No lock held. */
int sync_records(struct store *s, struct branch *b, uint64_t ino);

/* --- recovery (recover.c) --- */
/* With s->ring set: from it; else makes one and replays the journal into it. The caller commits. No other thread runs. */
int recover(struct store *s, const struct store_options *opts, struct err *err);
/* The chunks that the ring told of are on the disk, or lost and logged, on return: before the first commit. */
int recover_chunks(struct store *s);
/* Carries out buffer effects of a record; data may be NULL (a journal record without it). Lock held. */
int effects_apply_buffers(struct store *s, uint64_t seq, struct buf_reader effects, const uint8_t *data, size_t data_len);

/* Destroys a live inode: row, extents, xattrs, totals; its buffers are dropped by the caller after the transaction. */
int inode_destroy(struct tx *tx, struct branch *b, const struct inode *inode);
/* Sets the row's size (not put) and the branch's totals. */
int inode_resize(struct store *s, struct branch *b, struct inode *inode, int64_t size);
/* Frees what a new head had as orphans from its origin: its number is new, so none was opened by it; what has lost its name since may
 * be open and stays. Directories are known by their volume's number, so theirs may only go when that is new too. No lock held. */
int orphans_free_inherited(struct store *s, int64_t branch, bool directories);
/* Frees a head's orphans but for directories, when its number is new and nothing was opened by it yet. Lock held. */
int orphans_free_files(struct store *s, struct branch *b);
/* Frees those of every head: nothing is open when a store has just been opened. No lock held. */
int orphans_free_all(struct store *s);

/* host_total and host_free only. */
int host_space(struct store *s, struct store_space *ret);
/* -ENOSPC when the host filesystem has no room for more_bytes, -EDQUOT when a file that grows by `grows` or more_inodes would pass the
 * volume's quota: writing over what is there never does. What is admitted counts from then on. Lock held. */
int admit_bytes(struct store *s, const struct number_slot *slot, int64_t more_bytes, int64_t grows, int64_t more_inodes);
/* The bytes by which the buffered files of a branch are longer than its totals know. Lock held. */
int quota_pending(struct store *s, const struct branch *b, int64_t *ret);

/* Whether the host filesystem has less room than is kept free of more_bytes. Lock held. */
bool host_is_low(struct store *s, int64_t more_bytes);

/* --- trash (trash.c) --- */

int trash_open(struct store *s);
/* Lock held: after a volume went into the trash or out of it, or may have. */
void trash_changed(struct store *s);
/* Background work: one expired volume, or a slice of counting. No lock held. */
int trash_step(struct store *s, bool *ret_more);
/* Empties the trash, oldest first, until there is room; waits while another thread does. Lock held, given up meanwhile. */
void trash_make_room(struct store *s, int64_t bytes);
/* Drops the drafts of whoever had the store open before (draft.c). */
int drafts_drop(struct store *s);

/* --- instants (instant.c) --- */

/* Drains, then runs fn inside one transaction with operations held back, then `after` (may be NULL), for what need not be of that instant,
 * in another with nothing held back, and makes both durable. A failure of `after` is logged and no failure of the cut. */
int instant_run(struct store *s, int (*fn)(struct tx *tx, void *arg), int (*after)(struct tx *tx, void *arg), void *arg,
		struct cut_times *times);

/* --- maintenance --- */
/* A slice of compaction; maintain_lock held, no other. *ret_more is set when there may be more. */
int compact_step(struct store *s, bool *ret_more);
int compact_end_packs(struct store *s);
void compact_free(struct store *s);
bool pack_is_busy(const struct store *s, uint32_t pack); /* being appended to: not to be punched */
/* Another writer for this store. */
int store_writer_new(struct store *s, struct chunk_writer **ret);
struct chunk_loc chunk_row_loc(const struct chunk_row *row);
void *maintain_main(void *store);
void maintain_kick(struct store *s);

#endif
