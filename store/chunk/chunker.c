#include "store/chunk/chunker.h"

#include "store/base/limits.h"

void chunker_gear_init(struct chunker_gear *gear)
{
	uint64_t state = CHUNKER_GEAR_SEED, z;

	for (int i = 0; i < 256; i++) {
		state += 0x9e3779b97f4a7c15ULL;
		z = state;
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
		gear->table[i] = z ^ (z >> 31);
	}
}

/* Rolls over p[0..n) until the top `bits` bits of the hash are zero. Returns the bytes used up, the cutting one
 * included. */
static size_t roll_until(struct chunker *c, const uint8_t *p, size_t n, int bits, bool *ret_cut)
{
	const uint64_t *gear = c->gear->table;
	const uint64_t bound = 1ULL << (64 - bits); /* hash < bound: the top bits are zero */
	uint64_t hash = c->hash;
	size_t i = 0;

	*ret_cut = true;
	for (; i + 2 <= n; i += 2) {
		hash = (hash << 1) + gear[p[i]];
		if (__builtin_expect(hash < bound, 0))
			return i + 1;
		hash = (hash << 1) + gear[p[i + 1]];
		if (__builtin_expect(hash < bound, 0))
			return i + 2;
	}
	if (i < n) {
		hash = (hash << 1) + gear[p[i++]];
		if (hash < bound)
			return i;
	}
	c->hash = hash;
	*ret_cut = false;
	return n;
}

static void roll(struct chunker *c, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		c->hash = (c->hash << 1) + c->gear->table[p[i]];
}

/* How many of the `left` bytes come before the chunk's length reaches `until`. */
static size_t before(const struct chunker *c, size_t until, size_t left)
{
	if (c->len >= until)
		return 0;
	return until - c->len < left ? until - c->len : left;
}

size_t chunker_feed(struct chunker *c, const void *data, size_t len, bool *ret_cut)
{
	const uint8_t *p = data;
	const uint8_t *const end = p + len;
	bool cut = false;
	size_t n;

	n = before(c, CHUNK_LEN_MIN - CHUNKER_WINDOW, len);
	c->len += n;
	p += n;
	n = before(c, CHUNK_LEN_MIN, (size_t)(end - p));
	roll(c, p, n);
	c->len += n;
	p += n;
	n = before(c, CHUNK_LEN_AVG, (size_t)(end - p));
	if (n) {
		n = roll_until(c, p, n, CHUNKER_BITS_BEFORE_AVG, &cut);
		c->len += n;
		p += n;
	}
	n = cut ? 0 : before(c, CHUNK_LEN_MAX, (size_t)(end - p));
	if (n) {
		n = roll_until(c, p, n, CHUNKER_BITS_AFTER_AVG, &cut);
		c->len += n;
		p += n;
	}
	*ret_cut = cut || c->len == CHUNK_LEN_MAX;
	return len - (size_t)(end - p);
}
