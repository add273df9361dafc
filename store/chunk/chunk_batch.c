#include "store/chunk/chunk_batch.h"

#include <stdlib.h>

#define BATCH_SLOTS 8192 /* a power of two; at the average length that is 512 MiB of content */
#define BATCH_COUNT_MAX (BATCH_SLOTS / 4 * 3)

/* Open addressing with linear probing. A slot is in use when its generation is the table's. */
struct batch_slot {
	uint64_t generation;
	struct chunk_loc loc;
};

struct chunk_batch {
	uint64_t generation; /* from 1 */
	unsigned count;
	struct batch_slot slots[BATCH_SLOTS];
};

int chunk_batch_new(struct chunk_batch **ret)
{
	struct chunk_batch *b = calloc(1, sizeof *b);

	if (!b)
		return -ENOMEM;
	b->generation = 1;
	*ret = b;
	return 0;
}

void chunk_batch_free(struct chunk_batch *b)
{
	free(b);
}

static unsigned slot_index(struct chunk_hash hash, unsigned step)
{
	return (unsigned)(hash.lo + step) & (BATCH_SLOTS - 1);
}

void chunk_batch_add(struct chunk_batch *b, const struct chunk_loc *loc)
{
	unsigned step = 0;

	if (b->count >= BATCH_COUNT_MAX)
		return;
	while (b->slots[slot_index(loc->hash, step)].generation == b->generation)
		step++;
	b->slots[slot_index(loc->hash, step)] = (struct batch_slot){.generation = b->generation, .loc = *loc};
	b->count++;
}

const struct chunk_loc *chunk_batch_next(const struct chunk_batch *b, struct chunk_hash hash, uint32_t raw_len,
					 unsigned *iter)
{
	const struct batch_slot *slot;

	/* There is always a free slot to stop at: the table is never more than three quarters full. */
	while ((slot = &b->slots[slot_index(hash, *iter)])->generation == b->generation) {
		++*iter;
		if (slot->loc.hash.lo == hash.lo && slot->loc.hash.hi == hash.hi && slot->loc.raw_len == raw_len)
			return &slot->loc;
	}
	return NULL;
}

void chunk_batch_clear(struct chunk_batch *b)
{
	b->generation++;
	b->count = 0;
}
