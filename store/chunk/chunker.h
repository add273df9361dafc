/* Content-defined cutting: FastCDC with normalised chunking (level 2) over a gear hash.
 *
 * Part of the store's format, because equal content shares chunks only if it is cut alike:
 *   - lengths CHUNK_LEN_MIN, CHUNK_LEN_AVG and CHUNK_LEN_MAX (limits.h);
 *   - gear[0..255]: successive outputs of SplitMix64 from CHUNKER_GEAR_SEED;
 *   - the hash after a byte b is (hash << 1) + gear[b], hence a function of the last 64 bytes alone; it starts at 0, 64
 *     bytes before the minimum length, and nothing before that is looked at;
 *   - a chunk ends after the first byte beyond the minimum at which the top 18 bits of the hash are zero (the top 14
 *     bits from the average length on), or at the maximum length, or where the content ends.
 *
 * The state carries over from one piece of memory to the next, so cuts do not depend on how content is scattered. */
#ifndef VARVE_CHUNK_CHUNKER_H
#define VARVE_CHUNK_CHUNKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHUNKER_GEAR_SEED 0x7661727665303031ULL
#define CHUNKER_WINDOW 64
#define CHUNKER_BITS_BEFORE_AVG 18
#define CHUNKER_BITS_AFTER_AVG 14

/* Read-only after chunker_gear_init; shared by any number of threads. */
struct chunker_gear {
	uint64_t table[256];
};
void chunker_gear_init(struct chunker_gear *gear);

/* The chunk being cut. Set up with chunker_start for each chunk. */
struct chunker {
	const struct chunker_gear *gear;
	uint64_t hash;
	size_t len; /* bytes of the chunk seen so far */
};
static inline struct chunker chunker_start(const struct chunker_gear *gear)
{
	return (struct chunker){.gear = gear};
}

/* Feeds the next bytes. Returns how many belong to the chunk; *ret_cut tells whether it ends there. */
size_t chunker_feed(struct chunker *c, const void *data, size_t len, bool *ret_cut);

#endif
