/* Bytes to write: few kinds, so that chunks repeat, shift and compress as real contents do. */
#ifndef VARVE_MODEL_PATTERN_H
#define VARVE_MODEL_PATTERN_H

#include <stddef.h>

#include "tests/model/rng.h"

struct pattern;

struct pattern *pattern_new(uint64_t seed);
/* From here on most of what is written is like nothing written before, so that no byte passes for another write's. */
void pattern_prefer_unique(struct pattern *p);
void pattern_free(struct pattern *p);
/* Fills buf with one of: zeros, a repeated text, a piece of a fixed pool (at any offset), fresh random bytes, a mixture. */
void pattern_fill(const struct pattern *p, struct rng *rng, void *buf, size_t len);

#endif
