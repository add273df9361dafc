#include "store/volume/chunk_cache.h"

#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/limits.h"

int chunk_cache_init(struct chunk_cache *c)
{
	size_t i;

	for (i = 0; i < CHUNK_CACHE_SLOTS; i++)
		(void)pthread_mutex_init(&c->slots[i].lock, NULL);
	return 0;
}

void chunk_cache_free(struct chunk_cache *c)
{
	size_t i;

	for (i = 0; i < CHUNK_CACHE_SLOTS; i++) {
		(void)pthread_mutex_destroy(&c->slots[i].lock);
		free(c->slots[i].data);
	}
}

int chunk_cache_read(struct chunk_cache *c, struct chunk_store *cs, const struct chunk_loc *loc, uint32_t choff, uint32_t len,
		     void *out, bool nowait)
{
	uint64_t h = ((uint64_t)loc->pack << 32 | loc->off) * 0x9e3779b97f4a7c15ULL;
	struct chunk_cache_slot *slot = &c->slots[h >> 59];
	int ret;

	if (choff == 0 && len == loc->raw_len)
		return chunk_store_read(cs, loc, out, nowait);
	LOCK_SCOPE(&slot->lock);
	if (slot->pack != loc->pack || slot->off != loc->off) {
		if (!slot->data)
			slot->data = malloc(CHUNK_LEN_MAX);
		if (!slot->data)
			return -ENOMEM;
		slot->pack = 0;
		ret = chunk_store_read(cs, loc, slot->data, nowait);
		if (ret)
			return ret;
		slot->pack = loc->pack;
		slot->off = loc->off;
	}
	memcpy(out, slot->data + choff, len);
	return 0;
}
