/* The last few chunks read in part: a read that ends inside a chunk is mostly followed by one that begins there.
 * Direct-mapped by place; a place in a pack never gets other content, so nothing needs invalidation. Any thread. */
#ifndef VARVE_VOLUME_CHUNK_CACHE_H
#define VARVE_VOLUME_CHUNK_CACHE_H

#include <pthread.h>

#include "store/chunk/chunk_store.h"

#define CHUNK_CACHE_SLOTS 32

struct chunk_cache_slot {
	pthread_mutex_t lock; /* held while the slot's chunk is read */
	uint32_t pack, off;   /* pack 0: empty */
	uint8_t *data;        /* CHUNK_LEN_MAX bytes, allocated at first use and kept */
};
struct chunk_cache {
	struct chunk_cache_slot slots[CHUNK_CACHE_SLOTS];
};

int chunk_cache_init(struct chunk_cache *c);
void chunk_cache_free(struct chunk_cache *c);
/* Copies [choff, choff+len) of a chunk's content, reading it through the cache. As chunk_store_read. */
int chunk_cache_read(struct chunk_cache *c, struct chunk_store *cs, const struct chunk_loc *loc, uint32_t choff, uint32_t len,
		     void *out, bool nowait);

#endif
