/* What programs do to a store that people keep databases in, mixed with everything else. */
#ifndef VARVE_CRASH_WORKLOAD_H
#define VARVE_CRASH_WORKLOAD_H

#include "tests/model/run.h"

#define WORKLOAD_KINDS 24

struct workload {
	unsigned weights[WORKLOAD_KINDS];
	unsigned sum;
};

/* Each has its own emphasis. */
void workload_init(struct workload *w, struct rng *rng);
/* One operation, which may be several calls. */
void workload_step(const struct workload *w, struct run *r);

#endif
