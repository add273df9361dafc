/* The chunk table (id -> place, hash, references), the free list, and what compaction needs. Ids are never reused. */
#ifndef VARVE_META_CHUNK_TABLE_H
#define VARVE_META_CHUNK_TABLE_H

#include "store/meta/db.h"

/* Of a record in a pack, before the payload: chunk's CHUNK_RECORD_HEADER_LEN, which this folder may not include.
 * Whoever includes both asserts that they are equal. */
#define PACK_RECORD_HEADER_LEN 96

struct chunk_row {
	uint64_t id;
	uint32_t pack, off, stored_len, raw_len; /* off is the payload's */
	uint8_t codec;
	bool indexed; /* findable by hash */
	uint64_t hash_lo, hash_hi;
	int64_t refs;
};

int chunk_get(struct meta *m, uint64_t id, struct chunk_row *ret); /* -ENOENT */
/* The nth indexed chunk with this hash and length; >0 when there are no more. */
int chunk_find(struct meta *m, uint64_t hash_lo, uint64_t hash_hi, uint32_t raw_len, int nth, struct chunk_row *ret);
/* Adds a chunk with a fresh id and no references. */
int chunk_add(struct meta *m, struct chunk_row *row);
/* Changes the reference count; -ECORRUPT rather than below 0. */
int chunk_ref(struct meta *m, uint64_t id, int64_t delta);
/* Changes a chunk's place (compaction); the old place goes to the free list. */
int chunk_move(struct meta *m, uint64_t id, uint32_t pack, uint32_t off);
/* The content of a chunk was stored anew: id keeps its references and its hash, and takes place, length and codec of `place`; the old
 * place goes to the free list. */
int chunk_replace(struct meta *m, uint64_t id, const struct chunk_row *place);

/* Collector, step 1: moves up to max chunks without references to the free list. Chunks with id >= before_id are
 * left alone (they may be about to be referenced). */
int chunk_collect(struct meta *m, uint64_t before_id, unsigned max, unsigned *ret_n);
/* The free list in (pack, off) order after (pack, off); records as whole ranges, header included. >0 at the end. */
struct free_row {
	uint32_t pack, off, len;
	int64_t epoch_seq; /* 0; room for a caller that must know since when */
};
int free_next(struct meta *m, uint32_t pack, uint32_t off, struct free_row *ret);
int free_delete(struct meta *m, uint32_t pack, uint32_t off);

/* Per pack: stored bytes (record headers included) that are alive in the chunk table. */
struct pack_usage {
	uint32_t pack;
	uint64_t live_bytes;
	uint64_t live_chunks;
};
/* Kept as rows change: no count. All 0 for a pack without chunks. */
int pack_usage(struct meta *m, uint32_t pack, struct pack_usage *ret);
/* Widens a range of a pack in which nothing lives to the nearest records that do: *off to the end of the one before it, or 0, *end to the
 * begin of the one after it, or UINT64_MAX. */
int pack_widen(struct meta *m, uint32_t pack, uint64_t *off, uint64_t *end);
/* Chunks of a pack in offset order after `off`. */
int chunk_by_pack(struct meta *m, uint32_t pack, uint32_t off, struct chunk_row *ret, size_t max, size_t *ret_n);
/* Chunks in id order after `id`. */
int chunk_scan(struct meta *m, uint64_t id, struct chunk_row *ret, size_t max, size_t *ret_n);

/* Whole-store sums, maintained incrementally or counted by one query; for `df`. */
struct chunk_totals {
	uint64_t chunks, raw_bytes, stored_bytes, referenced_bytes;
};
int chunk_totals(struct meta *m, struct chunk_totals *ret);

#endif
