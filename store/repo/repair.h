/* Private to store/repo: taking what a check found to be damaged out of use, so that pushes send it again. A damaged
 * object is moved to damaged/, never deleted. What of a pack still verifies is copied to new packs before. */
#ifndef VARVE_REPO_REPAIR_H
#define VARVE_REPO_REPAIR_H

#include "store/repo/repo.h"

struct repair_object {
	enum repo_type type; /* REPO_PACK, REPO_INDEX or REPO_QUARANTINE */
	struct repo_name name;
};
/* Calls `finding` with a line for each object that was moved. An object that turns out to be sound stays. -EBUSY while a
 * prune runs. *ret_moved: how many. */
int repair_run(struct repo *r, const struct repair_object *objects, size_t n,
	       void (*finding)(void *arg, const char *line), void *arg, uint64_t *ret_moved, struct err *err);

#endif
