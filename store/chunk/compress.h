/* Compression of one chunk with zstd, and a pool of the memory it takes.
 *
 * A context is used by one thread at a time; the pool may be used by any number. Contexts are recycled because fresh
 * memory costs more than the work done in it. */
#ifndef VARVE_CHUNK_COMPRESS_H
#define VARVE_CHUNK_COMPRESS_H

#include <stddef.h>
#include <stdint.h>

struct compress_pool;
struct compress_ctx;

/* 0 or -ENOMEM. */
int compress_pool_new(struct compress_pool **ret);
/* Every context must have been put back. */
void compress_pool_free(struct compress_pool *pool);
/* 0 or -ENOMEM. */
int compress_pool_get(struct compress_pool *pool, struct compress_ctx **ret);
/* NULL is accepted. */
void compress_pool_put(struct compress_pool *pool, struct compress_ctx *ctx);

/* CHUNK_LEN_MAX bytes that belong to whoever holds the context. */
uint8_t *compress_scratch(struct compress_ctx *ctx);

/* Compresses src into dst, which has room for len bytes. Returns the compressed length, or 0 when the chunk is to be
 * stored as it is: because samples of it do not shrink, because it shrinks by less than 1/16, or for want of memory. */
size_t compress_chunk(struct compress_ctx *ctx, int level, const void *src, size_t len, void *dst);
/* Into out, which must come out exactly raw_len bytes long. 0, -ECORRUPT, or -ENOMEM. Safe with any input. */
int compress_expand(struct compress_ctx *ctx, const void *stored, size_t stored_len, void *out, size_t raw_len);

#endif
