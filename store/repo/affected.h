/* Private to store/repo: what damage means, as files of snapshots. */
#ifndef VARVE_REPO_AFFECTED_H
#define VARVE_REPO_AFFECTED_H

#include "store/repo/manifest.h"

/* Gives `finding` a line for each of the first files of the snapshot that need a chunk which is flagged as damaged or is in no pack, one
 * for how many more there are, and one when a part of the manifest cannot be read. *ret_files: how many; the nodes found to be sound are
 * flagged, so that the next snapshot's walk passes them over. */
int affected_report(struct repo *r, struct blob_in *in, const struct repo_entry *e,
		    void (*finding)(void *arg, const char *line), void *arg, uint64_t *ret_files, struct err *err);

#endif
