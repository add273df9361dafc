/* Arrays that grow by doubling: `v` has room for `cap` items of `size` bytes, of which n are in use. */
#ifndef VARVE_BASE_ARRAY_H
#define VARVE_BASE_ARRAY_H

#include <errno.h>
#include <stdlib.h>

#define ARRAY_FIRST 64

/* Makes room for one more. 0, or -ENOMEM and nothing has changed. `v` is the address of the array's pointer. */
static inline int array_grow(void *v, size_t *cap, size_t n, size_t size)
{
	size_t more = *cap ? *cap * 2 : ARRAY_FIRST;
	void *p;

	if (n < *cap)
		return 0;
	p = realloc(*(void **)v, more * size);
	if (!p)
		return -ENOMEM;
	*(void **)v = p;
	*cap = more;
	return 0;
}

#endif
