/* What a repository's snapshots refer to: the marks of a check and of a prune. */
#ifndef VARVE_REPO_SURVEY_H
#define VARVE_REPO_SURVEY_H

#include "store/repo/manifest.h"

struct survey {
	struct repo *r;
	struct blob_in *in;
	/* A finding: one line; what a missing pack had is none, since that is one itself. NULL: the first one ends the
	 * survey as an error, and so does what a missing pack had. */
	void (*finding)(void *arg, const char *line);
	void *arg;
	uint64_t nodes, chunks, findings;
};
/* Marks every blob that a snapshot needs: nodes, chunks, and the bases of deltas. The index has been loaded and no mark
 * set. */
int survey_snapshot(struct survey *s, const struct repo_entry *e, struct err *err);
/* For other parts of a check. Ends with -code when findings are errors. */
int survey_find(struct survey *s, int code, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
