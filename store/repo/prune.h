/* Giving space back, in two steps, while others push. A first prune finds packs that nothing needs (and copies what is
 * needed out of packs that are mostly not) and quarantines them: pushes that begin after that do not rely on them. A
 * later one, when the time of grace has passed, looks again, takes those back that a push needed nevertheless, and
 * deletes the rest. */
#ifndef VARVE_REPO_PRUNE_H
#define VARVE_REPO_PRUNE_H

#include "store/repo/repo.h"

#define PRUNE_GRACE_DEFAULT_NS (INT64_C(24) * 3600 * 1000000000)
#define PRUNE_UNUSED_PERCENT 20

struct prune_result {
	uint64_t packs, bytes; /* in the repository at the beginning */
	uint64_t deleted_packs, deleted_bytes;
	uint64_t quarantined_packs, quarantined_bytes; /* now waiting */
	uint64_t rescued_packs;
	uint64_t copied_bytes;
};
/* Anything that cannot be listed, read or found ends it before something is deleted. -EBUSY while another prune runs.
 */
int repo_prune(struct repo *r, int64_t grace_ns, bool dry_run, struct repo_progress *progress, struct prune_result *ret,
	       struct err *err);

#endif
