/* Blobs from a repository: found in the index, read, opened, verified. Keeps what it read lately, and reads ahead where
 * round trips are dear. Any thread. */
#ifndef VARVE_REPO_BLOB_IN_H
#define VARVE_REPO_BLOB_IN_H

#include "store/repo/codec.h"
#include "store/repo/repo.h"

struct blob_in;

/* The repository's index has been loaded. `progress` (sent) may be NULL. */
int blob_in_new(struct repo *r, struct repo_progress *progress, struct blob_in **ret);
void blob_in_free(struct blob_in *in);

/* The whole content into `out`, which has room for REPO_BLOB_RAW_MAX. -ECORRUPT or -ENOENT when every copy is missing or
 * damaged; the error names the pack. */
int blob_in_get(struct blob_in *in, const struct repo_name *name, enum repo_type type, void *out, size_t *ret_len,
		struct err *err);

#endif
