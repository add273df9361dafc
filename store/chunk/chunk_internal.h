/* What the chunk store and its writers share. For store/chunk and its tests only. */
#ifndef VARVE_CHUNK_CHUNK_INTERNAL_H
#define VARVE_CHUNK_CHUNK_INTERNAL_H

#include "store/chunk/chunk_store.h"
#include "store/chunk/chunker.h"
#include "store/chunk/compress.h"
#include "store/chunk/pack_cache.h"

/* Everything is fixed once the store is open, but for what has locks of its own and the atomics. */
struct chunk_store {
	int packs_fd;
	uint8_t secret[CHUNK_SECRET_LEN];
	struct chunker_gear gear;
	struct pack_cache *packs;
	struct compress_pool *pool;
	struct stats *stats;         /* the caller's, or own_stats */
	struct stats own_stats;
	_Atomic uint64_t sequence;   /* of the next record */
	uint64_t pack_size_max;      /* PACK_SIZE_MAX, or chunk_store_limit_packs */
};

/* As chunk_store_read, with a context that the caller has already. */
int chunk_store_read_with(struct chunk_store *cs, struct compress_ctx *ctx, const struct chunk_loc *loc, void *out,
			  bool nowait);

/* The bytes of a valid location's record, header and payload, unchecked. */
int chunk_store_read_record(struct chunk_store *cs, const struct chunk_loc *loc, void *out);

#endif
