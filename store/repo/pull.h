/* Pulling a snapshot from a repository into a store.
 *
 * It becomes a snapshot of the volume of that name, whose head is not touched; a volume that is not there is made, with
 * the snapshot as its head's beginning. Where the volume has a pinned view that came from the same store's history,
 * only what differs is read. */
#ifndef VARVE_REPO_PULL_H
#define VARVE_REPO_PULL_H

#include "store/repo/repo.h"
#include "store/volume/snapshot.h"

struct pull_result {
	bool incremental;
	uint64_t rows;
};
/* new_volume NULL: the volume of the same name. */
int repo_pull(struct store *s, struct repo *r, const char *volume, const char *snapshot, const char *new_volume,
	      struct repo_progress *progress, struct pull_result *ret, struct err *err);

#endif
