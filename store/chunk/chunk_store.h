/* Contents: cut into chunks, hashed, deduplicated, compressed, appended to packs; read back and verified.
 *
 * This module knows packs and bytes; it does not know files, versions or SQLite. Who refers to a chunk is the caller's
 * business: the caller looks candidates up by hash (the `find` callback), stores what comes out in its chunk table, and
 * says when a range of a pack is dead. Pack files are named packs/XXXXXXXX.pack (hexadecimal id, from 1).
 *
 * Threading: chunk_store_read and chunk_store_hash may be called by any number of threads at once. A `chunk_writer` is
 * used by one thread at a time; several writers may exist, each appends to a pack of its own. */
#ifndef VARVE_CHUNK_CHUNK_STORE_H
#define VARVE_CHUNK_CHUNK_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/base/err.h"
#include "store/base/stats.h"

#define CHUNK_SECRET_LEN 192 /* XXH3 custom secret: at least 136 bytes */

struct chunk_hash {
	uint64_t lo, hi;
};

enum chunk_codec { CHUNK_RAW = 0, CHUNK_ZSTD = 1 };

/* Where a chunk's bytes are. 40 bytes that the caller keeps in its table. */
struct chunk_loc {
	uint32_t pack;
	uint32_t off;        /* of the payload (not of the record header) in the pack file */
	uint32_t stored_len; /* payload bytes in the pack */
	uint32_t raw_len;    /* bytes of content, 1..CHUNK_LEN_MAX */
	enum chunk_codec codec;
	struct chunk_hash hash; /* XXH3-128 of the raw content with the store's secret */
};

/* Whose content a chunk is: written into the record header for best-effort salvage only. */
struct chunk_owner {
	int64_t branch;
	uint64_t ino;
	uint64_t off;
};

struct chunk_store;

/* `dirfd` is the store directory (not kept); packs/ is made if missing. Nothing is scanned. Stats may be NULL. */
int chunk_store_open(int dirfd, const uint8_t secret[CHUNK_SECRET_LEN], struct stats *stats, struct chunk_store **ret,
		     struct err *err);
/* New packs end before size_max (tests: small ones, so that many come and go). Before there is a writer. */
void chunk_store_limit_packs(struct chunk_store *cs, uint64_t size_max);
/* Every writer must have been freed. */
void chunk_store_free(struct chunk_store *cs);
/* To be called once after opening, before there is a writer: removes packs that a crash left, with ids never
 * recorded as used (>= first_unused_pack), and gives back the space that a dead writer had reserved at the end of
 * its pack. */
int chunk_store_remove_packs_from(struct chunk_store *cs, uint32_t first_unused_pack);

struct chunk_hash chunk_store_hash(const struct chunk_store *cs, const void *data, size_t len);

/* Reads a whole chunk, decompresses it and verifies its hash: into `out`, which holds loc->raw_len bytes (and may
 * have been written to after an error). 0, -ECORRUPT (logged by the caller, counted here; a pack that is missing or
 * too short is damage, too), or -errno. With nowait, -EAGAIN rather than wait for the disk. */
int chunk_store_read(struct chunk_store *cs, const struct chunk_loc *loc, void *out, bool nowait);
/* The same; of a compressed chunk `stored`, which holds CHUNK_LEN_MAX, also gets the stored_len bytes of zstd frame that
 * it was expanded from. */
int chunk_store_read_both(struct chunk_store *cs, const struct chunk_loc *loc, void *out, void *stored);

/* Writes a chunk's stored bytes once more where they are: for one whose sync may have failed, after which the kernel takes its pages for
 * clean. -ECORRUPT when its bytes are not right any more. */
int chunk_store_write_again(struct chunk_store *cs, const struct chunk_loc *loc);
/* Makes all that was written to a pack durable, by whomever. */
int chunk_store_sync_pack(struct chunk_store *cs, uint32_t pack);

/* Gives the host filesystem back the payloads and headers of dead records: [off, end) of the pack as the caller merged it, rounded
 * inward to blocks, and at the file's end (end may be beyond it) outward. A pack that is gone counts as done; -EOPNOTSUPP where the
 * filesystem cannot. Never called for a pack that a writer is appending to. */
int chunk_store_punch(struct chunk_store *cs, uint32_t pack, uint64_t off, uint64_t end);
/* Removes a pack that holds nothing alive; -ENOENT counts as done. */
int chunk_store_remove_pack(struct chunk_store *cs, uint32_t pack);
/* Calls fn with every pack file there is, and the bytes that it takes of the host filesystem, but not more than its length. fn may remove
 * packs. Ends with what fn returns, if that is not 0. */
int chunk_store_each_pack(struct chunk_store *cs, int (*fn)(void *arg, uint32_t pack, uint64_t bytes), void *arg);
/* The length of a pack's file; -ENOENT. */
int chunk_store_pack_length(struct chunk_store *cs, uint32_t pack, uint64_t *ret);
/* Bytes that packs take on the host filesystem (st_blocks). */
int chunk_store_disk_usage(struct chunk_store *cs, uint64_t *ret_bytes);
/* The record header's length: a dead chunk's record is [loc.off - header, loc.off + loc.stored_len). */
#define CHUNK_RECORD_HEADER_LEN 96

/* --- writing --- */

struct chunk_writer;

/* next_pack hands out a pack id never used before in this store, and may be called from the writer's thread at any
 * append. `find` is asked for stored chunks with this hash, nth = 0, 1, 2 … until it returns >0 (no more); it returns 0
 * with the id and location, or -errno. Both may take locks; no lock of this module is held then. */
struct chunk_writer_ops {
	int (*next_pack)(void *arg, uint32_t *ret_pack);
	int (*find)(void *arg, struct chunk_hash hash, uint32_t raw_len, int nth, uint64_t *ret_id,
		    struct chunk_loc *ret_loc);
	void *arg;
};
int chunk_writer_new(struct chunk_store *cs, const struct chunk_writer_ops *ops, struct chunk_writer **ret);
void chunk_writer_free(struct chunk_writer *w);

/* One piece of what chunk_writer_add made of a range: either an existing chunk (id != 0), whose bytes were compared,
 * or a newly stored one (id == 0; the caller assigns an id). The same content twice before chunk_writer_batch_end
 * gives pieces with the same loc (pack, off), and id == 0. The piece covers the whole chunk. */
struct chunk_piece {
	uint64_t off; /* in the file */
	uint32_t len;
	uint64_t id;
	struct chunk_loc loc;
};

enum chunk_add_flags {
	CHUNK_ADD_SINGLE = 1, /* one chunk of its own size (at most CHUNK_LEN_MAX): no cutting, and nothing shared */
};

/* After an error from chunk_writer_add (including one from find, next_pack or emit), chunk_writer_flush or
 * chunk_writer_sync the writer has dropped everything since its last successful chunk_writer_sync: the caller
 * discards every piece with id 0 emitted since then, and adds its content again when it tries again. The writer
 * itself goes on, in a new pack. Freeing a writer drops what was not flushed. */

/* Cuts `len` bytes of content that belong at owner.off (off + position), stores or shares each chunk, and calls
 * `emit` for each piece in file order. `level` 0 stores uncompressed, else the zstd level. The source is given as a
 * list of spans because write buffers are scattered; their sum is `len`. Payloads are gathered into large appends
 * and may not have reached the file when this returns: chunk_writer_flush does that. A run of zeros is stored like
 * any content. */
struct chunk_span {
	const void *data;
	size_t len;
};
int chunk_writer_add(struct chunk_writer *w, const struct chunk_owner *owner, const struct chunk_span *spans,
		     size_t nspans, unsigned flags, int level, int (*emit)(void *arg, const struct chunk_piece *piece), void *arg);
/* Appends a record as another pack has it, payload untouched, so that the chunk can live there. >0 when it cannot be read or is damaged
 * (counted): it had better stay where it is, and nothing else has happened. Not found by chunk_writer_add, and one call does not
 * see another's. */
int chunk_writer_copy(struct chunk_writer *w, const struct chunk_loc *from, struct chunk_loc *ret);
/* Syncs, and goes on in a new pack, so that dead records of this one can be punched. */
int chunk_writer_end_pack(struct chunk_writer *w);
/* Gives back the space that is reserved at the end of its pack for more: for a writer that will not write for a while. */
void chunk_writer_trim(struct chunk_writer *w);
/* Writes out what was gathered (no sync). Pieces are readable through chunk_store_read from here on. */
int chunk_writer_flush(struct chunk_writer *w);
/* Flushes, then fdatasyncs every pack that has unsynced records. */
int chunk_writer_sync(struct chunk_writer *w);
/* The same, but a failure leaves what was written where it is, readable as long as the kernel keeps it: for a caller that has given out
 * its places and will store it again. After a successful chunk_writer_flush only. */
int chunk_writer_sync_or_leave(struct chunk_writer *w);
/* Forgets what was stored since the last call, for the sharing of one content that comes twice before `find` knows
 * it. The caller calls it as soon as it has given ids to everything emitted: pieces of one loc would else be given
 * ids twice. */
void chunk_writer_batch_end(struct chunk_writer *w);
/* True when there are records not yet synced. */
bool chunk_writer_dirty(const struct chunk_writer *w);
/* The pack being appended to (0 when none): punching and compaction leave it alone. Any thread. */
uint32_t chunk_writer_pack(const struct chunk_writer *w);
/* The length that pack has or will have. */
uint64_t chunk_writer_end(const struct chunk_writer *w);

#endif
