/* Pushing snapshots of a store's volumes to a repository.
 *
 * The first push of a volume walks it; a later one walks what changed since the snapshot that was pushed last, which
 * stays pinned. Contents are read, named, looked up, and what is new is compressed and sealed by a few threads; then
 * the manifest's nodes, an index object and at last the snapshot record are written: until then nothing refers to what
 * was sent, and an interrupted push leaves packs that the next one takes in.
 *
 * What packs had that the repository has lost is sent again where the snapshot has it: then everything is looked at, and
 * older snapshots with the same contents are whole again, too. */
#ifndef VARVE_REPO_PUSH_H
#define VARVE_REPO_PUSH_H

#include "store/repo/repo.h"
#include "store/volume/snapshot.h"

struct push_result {
	struct repo_name id;
	bool already;     /* the repository had it */
	bool incremental; /* from a pinned snapshot */
	uint64_t rows;    /* of the manifest that were looked at */
	uint64_t missing_packs; /* that were not known to be, or had something that is lost */
	uint64_t sent_again;    /* chunks and nodes that were in them */
};
/* One snapshot. The repository is open; its index is loaded here. */
int repo_push(struct store *s, struct repo *r, const char *volume, const char *snapshot, struct repo_progress *progress,
	      struct push_result *ret, struct err *err);

#endif
