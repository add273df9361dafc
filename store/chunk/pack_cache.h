/* Open descriptors of pack files for readers, bounded. Any thread. */
#ifndef VARVE_CHUNK_PACK_CACHE_H
#define VARVE_CHUNK_PACK_CACHE_H

#include <stdint.h>

#define PACK_CACHE_SLOTS 256

struct pack_cache;

/* `dirfd` (the packs directory) is not owned. 0 or -ENOMEM. */
int pack_cache_new(int dirfd, struct pack_cache **ret);
/* No descriptor may be held. */
void pack_cache_free(struct pack_cache *pc);

struct pack_ref {
	int fd;
	int slot; /* -1: the descriptor is the holder's alone */
};
/* 0 or -errno from open. Hold it for the duration of a read. */
int pack_cache_get(struct pack_cache *pc, uint32_t id, struct pack_ref *ret);
void pack_cache_put(struct pack_cache *pc, struct pack_ref ref);
/* Closes the pack's descriptor, so that a removed file's space is given back; holders go on reading until they put
 * it. */
void pack_cache_forget(struct pack_cache *pc, uint32_t id);

#endif
