#include "store/chunk/compress.h"

#include <pthread.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "store/base/cleanup.h"
#include "store/base/err.h"
#include "store/base/limits.h"

#define POOL_IDLE_MAX 16 /* contexts kept for later; more may be out at one time */

/* Whole chunks up to this are simply compressed: the samples would be most of the work. */
#define SAMPLE_CHUNK_MIN (32 * KIB)
#define SAMPLE_HEAD_LEN (8 * KIB)
#define SAMPLE_MIDDLE_LEN (4 * KIB)
#define SAMPLE_LEVEL 1

struct compress_ctx {
	ZSTD_CCtx *cctx; /* made at the first compression: readers never need it */
	ZSTD_DCtx *dctx;
	uint8_t *scratch;
	struct compress_ctx *next; /* in the pool's list */
};

struct compress_pool {
	pthread_mutex_t lock;
	struct compress_ctx *idle; /* under lock */
	int idle_count;            /* under lock */
};

static void ctx_free(struct compress_ctx *ctx)
{
	if (!ctx)
		return;
	(void)ZSTD_freeCCtx(ctx->cctx);
	(void)ZSTD_freeDCtx(ctx->dctx);
	free(ctx->scratch);
	free(ctx);
}

static int ctx_new(struct compress_ctx **ret)
{
	struct compress_ctx *ctx = calloc(1, sizeof *ctx);

	if (!ctx)
		return -ENOMEM;
	ctx->dctx = ZSTD_createDCtx();
	ctx->scratch = malloc(CHUNK_LEN_MAX);
	if (!ctx->dctx || !ctx->scratch) {
		ctx_free(ctx);
		return -ENOMEM;
	}
	*ret = ctx;
	return 0;
}

int compress_pool_new(struct compress_pool **ret)
{
	struct compress_pool *pool = calloc(1, sizeof *pool);

	if (!pool)
		return -ENOMEM;
	(void)pthread_mutex_init(&pool->lock, NULL);
	*ret = pool;
	return 0;
}

void compress_pool_free(struct compress_pool *pool)
{
	struct compress_ctx *ctx;

	if (!pool)
		return;
	while ((ctx = pool->idle)) {
		pool->idle = ctx->next;
		ctx_free(ctx);
	}
	(void)pthread_mutex_destroy(&pool->lock);
	free(pool);
}

int compress_pool_get(struct compress_pool *pool, struct compress_ctx **ret)
{
	{
		LOCK_SCOPE(&pool->lock);

		if (pool->idle) {
			*ret = pool->idle;
			pool->idle = pool->idle->next;
			pool->idle_count--;
			return 0;
		}
	}
	return ctx_new(ret);
}

void compress_pool_put(struct compress_pool *pool, struct compress_ctx *ctx)
{
	if (!ctx)
		return;
	{
		LOCK_SCOPE(&pool->lock);

		if (pool->idle_count < POOL_IDLE_MAX) {
			ctx->next = pool->idle;
			pool->idle = ctx;
			pool->idle_count++;
			return;
		}
	}
	ctx_free(ctx);
}

uint8_t *compress_scratch(struct compress_ctx *ctx)
{
	return ctx->scratch;
}

/* The most that a compressed form may take to be worth decompressing at every read. */
static size_t worthwhile(size_t len)
{
	return len - len / 16;
}

/* Whether a part of the chunk shrinks; dst is overwritten. */
static int shrinks(struct compress_ctx *ctx, const uint8_t *src, size_t len, void *dst)
{
	return !ZSTD_isError(ZSTD_compressCCtx(ctx->cctx, dst, worthwhile(len), src, len, SAMPLE_LEVEL));
}

size_t compress_chunk(struct compress_ctx *ctx, int level, const void *src, size_t len, void *dst)
{
	const uint8_t *p = src;
	size_t n;

	if (!ctx->cctx)
		ctx->cctx = ZSTD_createCCtx();
	if (!ctx->cctx)
		return 0;
	if (len >= SAMPLE_CHUNK_MIN && !shrinks(ctx, p, SAMPLE_HEAD_LEN, dst) &&
	    !shrinks(ctx, p + len / 2, SAMPLE_MIDDLE_LEN, dst))
		return 0;
	n = ZSTD_compressCCtx(ctx->cctx, dst, worthwhile(len), src, len, level);
	return ZSTD_isError(n) ? 0 : n;
}

int compress_expand(struct compress_ctx *ctx, const void *stored, size_t stored_len, void *out, size_t raw_len)
{
	size_t n = ZSTD_decompressDCtx(ctx->dctx, out, raw_len, stored, stored_len);

	if (ZSTD_isError(n))
		return ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation ? -ENOMEM : -ECORRUPT;
	return n == raw_len ? 0 : -ECORRUPT;
}
