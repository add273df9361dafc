/* A round: a store is worked with while its I/O is recorded; then the record is done again to a copy of the store, and stopped at each sync
 * and at random places for a trial. */
#ifndef VARVE_CRASH_ROUND_H
#define VARVE_CRASH_ROUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct round {
	uint64_t seed;
	const char *dir;   /* a folder for stores, empty */
	unsigned ops;      /* how many operations are recorded */
	size_t points_max; /* how many trials */
	bool threads;      /* the store commits and maintains by itself, and somebody syncs all the time; the record is not repeatable then */
	bool one_point;    /* only the trial after `point` changes */
	size_t point;
	bool verbose;
	/* what came of it */
	uint64_t changes, syncs, points, cuts;
	uint64_t punched, compacted; /* bytes, in the record */
	uint64_t checksum; /* of the record: equal for equal seeds */
};

/* Ends the process when a fault is found. */
void round_run(struct round *rd);

#endif
