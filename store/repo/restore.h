/* Restoring one path of a snapshot from a repository into a folder of any filesystem, without a store and without
 * reading the rest. */
#ifndef VARVE_REPO_RESTORE_H
#define VARVE_REPO_RESTORE_H

#include "store/repo/repo.h"

struct restore_result {
	uint64_t files, directories, others, bytes;
	uint64_t unset; /* owners and attributes that could not be set, because the user or the filesystem may not */
	char unset_first[256]; /* the first of them */
};
/* `path` inside the volume ("/" or "" for all of it). `dest` must not exist, or be an empty folder for a folder. */
int repo_restore(struct repo *r, const char *volume, const char *snapshot, const char *path, const char *dest,
		 struct repo_progress *progress, struct restore_result *ret, struct err *err);

#endif
