/* Packs on their way to a repository. Blobs gather in memory, a full pack is written by the thread that filled it while
 * others go on in the next one. Any thread. */
#ifndef VARVE_REPO_PACK_OUT_H
#define VARVE_REPO_PACK_OUT_H

#include "store/repo/repo.h"

struct pack_out;

/* `progress` (sent) may be NULL. */
int pack_out_new(struct repo *r, struct repo_progress *progress, struct pack_out **ret);
void pack_out_free(struct pack_out *p);

/* Adds a sealed blob whose name was claimed in the index. May write a pack: the first error stays. */
int pack_out_add(struct pack_out *p, const struct repo_blob *blob, const void *sealed, struct err *err);
/* Writes what has been gathered. No other thread adds meanwhile. */
int pack_out_flush(struct pack_out *p, struct err *err);
/* After a flush: the content of an index object for all packs written, and for those of the index that were adopted;
 * empty when there are none. */
int pack_out_index(struct pack_out *p, struct buf *ret);
uint64_t pack_out_bytes(const struct pack_out *p);

#endif
