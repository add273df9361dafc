#include "tests/model/pattern.h"

#include "tests/model/alloc.h"

#define POOL_LEN (1U << 20)

struct pattern {
	bool prefer_unique;
	uint8_t pool[POOL_LEN]; /* half of it random, half of it compressible */
};

static void random_bytes(struct rng *rng, uint8_t *buf, size_t len)
{
	while (len) {
		uint64_t v = rng_next(rng);
		size_t n = len < sizeof v ? len : sizeof v;

		memcpy(buf, &v, n);
		buf += n;
		len -= n;
	}
}

struct pattern *pattern_new(uint64_t seed)
{
	struct pattern *p = must_alloc(sizeof *p);
	struct rng rng = {seed};

	p->prefer_unique = false;
	random_bytes(&rng, p->pool, POOL_LEN / 2);
	for (size_t i = POOL_LEN / 2; i < POOL_LEN; i++)
		p->pool[i] = (uint8_t)("etaoin shrdlu\n"[rng_below(&rng, 14)]);
	return p;
}

void pattern_prefer_unique(struct pattern *p)
{
	p->prefer_unique = true;
}

void pattern_free(struct pattern *p)
{
	free(p);
}

static void from_pool(const struct pattern *p, struct rng *rng, uint8_t *buf, size_t len)
{
	/* few beginnings, so that whole pieces come again */
	size_t at = rng_below(rng, 24) * (POOL_LEN / 24) + rng_below(rng, 3) * 1000;

	while (len) {
		size_t n = POOL_LEN - at < len ? POOL_LEN - at : len;

		memcpy(buf, p->pool + at, n);
		buf += n;
		len -= n;
		at = 0;
	}
}

void pattern_fill(const struct pattern *p, struct rng *rng, void *buf, size_t len)
{
	if (p->prefer_unique && !rng_one_in(rng, 4)) {
		random_bytes(rng, buf, len);
		return;
	}
	switch (rng_below(rng, 8)) {
	case 0:
		memset(buf, 0, len);
		break;
	case 1:
		memset(buf, (int)rng_below(rng, 4) + 'a', len);
		break;
	case 2:
		random_bytes(rng, buf, len);
		break;
	case 3: {
		size_t cut = rng_below(rng, len + 1);

		random_bytes(rng, buf, cut < 64 ? cut : 64);
		if (cut > 64)
			memset((uint8_t *)buf + 64, 0, cut - 64);
		from_pool(p, rng, (uint8_t *)buf + cut, len - cut);
		break;
	}
	default:
		from_pool(p, rng, buf, len);
		break;
	}
}
