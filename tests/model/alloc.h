/* Memory for the model: a test that cannot allocate has nothing left to say. */
#ifndef VARVE_MODEL_ALLOC_H
#define VARVE_MODEL_ALLOC_H

#include <stdlib.h>
#include <string.h>

static inline void *must_alloc(size_t len)
{
	void *p = malloc(len ? len : 1);

	if (!p)
		abort();
	return p;
}

static inline void *must_zalloc(size_t len)
{
	void *p = calloc(1, len ? len : 1);

	if (!p)
		abort();
	return p;
}

static inline void *must_realloc(void *old, size_t len)
{
	void *p = realloc(old, len ? len : 1);

	if (!p)
		abort();
	return p;
}

#endif
