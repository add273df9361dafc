/* Blobs: content compressed and sealed, and back. A context belongs to one thread. */
#ifndef VARVE_REPO_CODEC_H
#define VARVE_REPO_CODEC_H

#include "store/repo/format.h"

struct codec;

int codec_new(struct codec **ret);
void codec_free(struct codec *c);

/* Compresses (with `base` as prefix when that pays) and seals `data`: *ret_sealed is the codec's, valid until the next
 * call. Fills codec, stored_len and raw_len of *blob, whose name and type are set; base and base_name may be NULL. 0 or
 * -ENOMEM. */
int codec_seal(struct codec *c, const struct crypt_keys *keys, const void *data, size_t len, const void *base,
	       size_t base_len, const struct repo_name *base_name, struct repo_blob *blob, const void **ret_sealed);
/* Opens and expands into out, which has room for blob->raw_len; `base` is the content of a delta's base. The content's
 * name is verified. 0, -ECORRUPT or -ENOMEM. */
int codec_open(struct codec *c, const struct crypt_keys *keys, const struct repo_blob *blob, const void *sealed,
	       const void *base, size_t base_len, void *out);

#endif
