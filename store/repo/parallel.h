/* The same work on many items by a few threads, which take the next item as they become free. */
#ifndef VARVE_REPO_PARALLEL_H
#define VARVE_REPO_PARALLEL_H

#include "store/base/err.h"

#define PARALLEL_MAX 8

/* Two threads more than there are processors, so that those stay busy; at most PARALLEL_MAX. */
unsigned parallel_width(void);
/* Calls fn(arg, worker, i) for each i < n, worker < width, one item of a worker at a time. After an error no new item
 * is begun; the first error is returned, with its text. */
int parallel_run(unsigned width, size_t n, int (*fn)(void *arg, unsigned worker, size_t i, struct err *err), void *arg,
		 struct err *err);

#endif
