/* Blobs: content compressed and sealed, and back. A context belongs to one thread. */
#ifndef VARVE_REPO_CODEC_H
#define VARVE_REPO_CODEC_H

#include "store/repo/format.h"

struct codec;

int codec_new(struct codec **ret);
void codec_free(struct codec *c);

/* Compresses `data` (up to REPO_BLOB_RAW_MAX, with `base` as prefix when that pays; NULL: none). *ret is the codec's until
 * the next call, or `data` itself for CODEC_RAW. */
enum repo_codec codec_pack(struct codec *c, const void *data, size_t len, const void *base, size_t base_len,
			   const void **ret, size_t *ret_len);
/* Expands what codec_pack made of raw_len bytes into out. 0 or -ECORRUPT. */
int codec_unpack(struct codec *c, enum repo_codec how, const void *src, size_t len, const void *base, size_t base_len,
		 void *out, size_t raw_len);

/* Compresses as codec_pack does and seals `data`: *ret_sealed is the codec's, valid until the next
 * call. Fills codec, stored_len and raw_len of *blob, whose name and type are set; base and base_name may be NULL. 0 or
 * -ENOMEM. */
int codec_seal(struct codec *c, const struct crypt_keys *keys, const void *data, size_t len, const void *base,
	       size_t base_len, const struct repo_name *base_name, struct repo_blob *blob, const void **ret_sealed);
/* Opens and expands into out, which has room for blob->raw_len; `base` is the content of a delta's base. The content's
 * name is verified. 0, -ECORRUPT or -ENOMEM. */
int codec_open(struct codec *c, const struct crypt_keys *keys, const struct repo_blob *blob, const void *sealed,
	       const void *base, size_t base_len, void *out);

#endif
