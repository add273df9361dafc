/* Blobs: content compressed and sealed, and back. A context belongs to one thread. */
#ifndef VARVE_REPO_CODEC_H
#define VARVE_REPO_CODEC_H

#include "store/repo/format.h"

struct codec;

int codec_new(struct codec **ret);
void codec_free(struct codec *c);

struct codec_input {
	const void *data; /* up to REPO_BLOB_RAW_MAX */
	size_t len;
	const void *packed; /* a zstd frame of it that is there already, or NULL */
	size_t packed_len;
	const void *base; /* content that it is much like, or NULL */
	size_t base_len;
	struct repo_name base_name;
};
/* Compresses, with `base` as prefix when that pays. *ret is the codec's until the next call, or one of what was given. */
enum repo_codec codec_pack(struct codec *c, const struct codec_input *in, const void **ret, size_t *ret_len);
/* Expands what codec_pack made of raw_len bytes into out. 0 or -ECORRUPT. */
int codec_unpack(struct codec *c, enum repo_codec how, const void *src, size_t len, const void *base, size_t base_len,
		 void *out, size_t raw_len);

/* Compresses as codec_pack does and seals: *ret_sealed is the codec's, valid until the next call. Fills codec, stored_len
 * and raw_len of *blob, whose name and type are set, and base. 0 or -EINVAL. */
int codec_seal(struct codec *c, const struct crypt_keys *keys, const struct codec_input *in, struct repo_blob *blob,
	       const void **ret_sealed);
/* Opens and expands into out, which has room for blob->raw_len; `base` is the content of a delta's base. The content's
 * name is verified. 0, -ECORRUPT or -ENOMEM. */
int codec_open(struct codec *c, const struct crypt_keys *keys, const struct repo_blob *blob, const void *sealed,
	       const void *base, size_t base_len, void *out);

#endif
