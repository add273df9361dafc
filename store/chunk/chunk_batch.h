/* Chunks stored since the caller last gave ids: what deduplicates one content that comes twice before the caller's
 * table knows it. Bounded: when it is full, later chunks are not remembered and may be stored twice. One thread at a
 * time. */
#ifndef VARVE_CHUNK_CHUNK_BATCH_H
#define VARVE_CHUNK_CHUNK_BATCH_H

#include "store/chunk/chunk_store.h"

struct chunk_batch;

/* 0 or -ENOMEM. */
int chunk_batch_new(struct chunk_batch **ret);
void chunk_batch_free(struct chunk_batch *b);
void chunk_batch_add(struct chunk_batch *b, const struct chunk_loc *loc);
/* Steps through the chunks with this hash and length: *iter begins at 0. NULL at the end. */
const struct chunk_loc *chunk_batch_next(const struct chunk_batch *b, struct chunk_hash hash, uint32_t raw_len,
					 unsigned *iter);
/* Forgets everything, in constant time. */
void chunk_batch_clear(struct chunk_batch *b);

#endif
