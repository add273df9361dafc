#include "tests/model/checkup.h"

#include <inttypes.h>

#include "store/maint/check.h"
#include "store/maint/gc.h"

#define STEPS_MAX 100000

static void report(void *arg, const char *line)
{
	run_log(arg, "check: %s", line);
}

void checkup_store(struct run *r, bool data)
{
	struct check_result result = {0};
	struct err err = {0};

	run_want_err(r, "check_store", check_store(r->store, data ? CHECK_DATA : 0, report, r, &result, &err), 0, &err);
	if (result.errors)
		run_fail(r, "check_store finds %" PRIu64 " errors; the last of them are among the operations above", result.errors);
}

bool checkup_maintain(struct run *r)
{
	unsigned steps = 1 + (unsigned)rng_below(&r->rng, 6);
	bool more = true;

	if (rng_one_in(&r->rng, 20)) {
		checkup_maintain_all(r);
		return true;
	}
	run_log(r, "maintain, %u steps", steps);
	while (steps-- && more)
		run_want(r, "store_maintain", store_maintain(r->store, &more), 0);
	return true;
}

void checkup_maintain_all(struct run *r)
{
	bool more = true;

	run_log(r, "maintain to the end");
	for (unsigned i = 0; more; i++) {
		if (i == STEPS_MAX)
			run_fail(r, "background work has no end");
		run_want(r, "store_maintain", store_maintain(r->store, &more), 0);
	}
}

bool checkup_collect(struct run *r)
{
	struct gc_result result;
	struct err err = {0};

	run_want_err(r, "gc_run", gc_run(r->store, &(struct gc_watch){0}, &result, &err), 0, &err);
	run_synced(r);
	run_log(r, "collect: %" PRIu64 " bytes freed, %" PRIu64 " moved", result.freed_bytes, result.moved_bytes);
	return true;
}
