#include "store/repo/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "store/base/err.h"

#define LEVEL 3
/* A delta that is not at least this much smaller is not worth its base. */
#define DELTA_GAIN(len) ((len) - (len) / 4)
#define BOUND ZSTD_COMPRESSBOUND(REPO_BLOB_RAW_MAX)

struct codec {
	ZSTD_CCtx *cctx;
	ZSTD_DCtx *dctx;
	uint8_t plain[2][BOUND];
	uint8_t sealed[BOUND + SEAL_OVERHEAD];
};

int codec_new(struct codec **ret)
{
	struct codec *c = malloc(sizeof *c);

	if (!c)
		return -ENOMEM;
	c->cctx = ZSTD_createCCtx();
	c->dctx = ZSTD_createDCtx();
	if (!c->cctx || !c->dctx || ZSTD_isError(ZSTD_CCtx_setParameter(c->cctx, ZSTD_c_compressionLevel, LEVEL))) {
		codec_free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

void codec_free(struct codec *c)
{
	if (!c)
		return;
	(void)ZSTD_freeCCtx(c->cctx);
	(void)ZSTD_freeDCtx(c->dctx);
	free(c);
}

/* The compressed length; len when it does not shrink. */
static size_t compress(struct codec *c, uint8_t *out, const void *data, size_t len, const void *base, size_t base_len)
{
	size_t n;

	if (base)
		(void)ZSTD_CCtx_refPrefix(c->cctx, base, base_len);
	n = ZSTD_compress2(c->cctx, out, BOUND, data, len);
	return ZSTD_isError(n) || n >= len ? len : n;
}

enum repo_codec codec_pack(struct codec *c, const struct codec_input *in, const void **ret, size_t *ret_len)
{
	bool packed = in->packed && in->packed_len < in->len;
	size_t delta = in->base ? compress(c, c->plain[1], in->data, in->len, in->base, in->base_len) : in->len;
	size_t n = packed		 ? in->packed_len
		   : delta < in->len / 8 ? in->len
					 : compress(c, c->plain[0], in->data, in->len, NULL, 0);

	if (in->base && delta < DELTA_GAIN(n)) {
		*ret = c->plain[1];
		*ret_len = delta;
		return CODEC_DELTA;
	}
	*ret = n >= in->len ? in->data : packed ? in->packed : c->plain[0];
	*ret_len = n;
	return n < in->len ? CODEC_ZSTD : CODEC_RAW;
}

int codec_unpack(struct codec *c, enum repo_codec how, const void *src, size_t len, const void *base, size_t base_len,
		 void *out, size_t raw_len)
{
	size_t n;

	if (how == CODEC_RAW) {
		if (len != raw_len)
			return -ECORRUPT;
		memcpy(out, src, len);
		return 0;
	}
	if (how == CODEC_DELTA)
		(void)ZSTD_DCtx_refPrefix(c->dctx, base, base_len);
	n = ZSTD_decompressDCtx(c->dctx, out, raw_len, src, len);
	return ZSTD_isError(n) || n != raw_len ? -ECORRUPT : 0;
}

int codec_seal(struct codec *c, const struct crypt_keys *keys, const struct codec_input *in, struct repo_blob *blob,
	       const void **ret_sealed)
{
	const void *src;
	size_t n;

	if (in->len > REPO_BLOB_RAW_MAX)
		return -EINVAL;
	blob->codec = codec_pack(c, in, &src, &n);
	if (blob->codec == CODEC_DELTA)
		blob->base = in->base_name;
	crypt_seal(keys, blob->type, &blob->name, src, n, c->sealed);
	blob->stored_len = (uint32_t)(n + SEAL_OVERHEAD);
	blob->raw_len = (uint32_t)in->len;
	*ret_sealed = c->sealed;
	return 0;
}

int codec_open(struct codec *c, const struct crypt_keys *keys, const struct repo_blob *blob, const void *sealed,
	       const void *base, size_t base_len, void *out)
{
	size_t len = blob->stored_len - SEAL_OVERHEAD;
	struct repo_name name;
	uint8_t *plain = blob->codec == CODEC_RAW ? out : c->plain[0];
	int ret;

	if (blob->codec == CODEC_RAW ? len != blob->raw_len : len > BOUND)
		return -ECORRUPT;
	ret = crypt_open(keys, blob->type, &blob->name, sealed, blob->stored_len, plain);
	if (!ret && blob->codec != CODEC_RAW)
		ret = codec_unpack(c, blob->codec, plain, len, base, base_len, out, blob->raw_len);
	if (ret)
		return ret;
	crypt_name(keys, blob->type, out, blob->raw_len, &name);
	return memcmp(name.b, blob->name.b, REPO_NAME_LEN) ? -ECORRUPT : 0;
}
