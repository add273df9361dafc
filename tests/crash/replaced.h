/* A file replaced by rename shows the old content or the new one, never neither. */
#ifndef VARVE_CRASH_REPLACED_H
#define VARVE_CRASH_REPLACED_H

#include "tests/model/run.h"

/* The states that were possible: their own references. */
struct possible {
	size_t n;
	struct mstate *v;
};
void possible_copy(struct possible *p, const struct history *h);
void possible_free(struct possible *p);

/* Every name of the run's state, which is what survived, that changed hands by rename among the possible states: the file has its
 * whole content. */
void replaced_check(struct run *r, const struct possible *p);

#endif
