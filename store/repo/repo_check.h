/* The check of a repository: every object is there, whole, and what every snapshot needs can be found. Changes nothing,
 * unless it is told to repair. */
#ifndef VARVE_REPO_REPO_CHECK_H
#define VARVE_REPO_REPO_CHECK_H

#include "store/repo/repo.h"

struct repo_check_result {
	uint64_t snapshots, packs, nodes, chunks, bytes; /* bytes: read and verified, with REPO_CHECK_DATA */
	uint64_t unused_bytes;                           /* of blobs that no snapshot needs: a prune would free them */
	uint64_t errors;
	uint64_t affected; /* files, of each snapshot, that cannot be restored whole */
	uint64_t set_aside; /* objects that were moved to damaged/ */
};
enum repo_check_flags {
	REPO_CHECK_DATA = 1,   /* read every pack, verify every byte */
	REPO_CHECK_REPAIR = 2, /* then move damaged packs, index objects and quarantines to damaged/; see repair.h */
};
/* `finding` gets one line for each fault, which names the object, then lines that say which files of which snapshots it affects. */
int repo_check(struct repo *r, unsigned flags, void (*finding)(void *arg, const char *line), void *arg,
	       struct repo_progress *progress, struct repo_check_result *ret, struct err *err);

#endif
