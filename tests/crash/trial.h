/* A trial: the power fails at some moment of a record, and the store is opened on what is left. */
#ifndef VARVE_CRASH_TRIAL_H
#define VARVE_CRASH_TRIAL_H

#include "tests/crash/timeline.h"
#include "tests/crash/workload.h"

struct trial {
	struct disk *disk; /* of the folder, which has what the record says up to `changes` */
	size_t changes;
	const struct timeline *timeline;
	const struct workload *workload;
	struct run *run;   /* for this and nothing else; its folder is the disk's */
	uint64_t seed;     /* what is lost, and what happens then */
	uint64_t cuts;     /* counted up: power cuts, the ones after the first included */
};

/* Any fault ends the process by run_fail. Afterwards the folder is as before. */
void trial_run(struct trial *t);

#endif
