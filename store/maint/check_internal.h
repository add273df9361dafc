/* Private to the check: what its files share. One thread, no lock held between its functions. */
#ifndef VARVE_MAINT_CHECK_INTERNAL_H
#define VARVE_MAINT_CHECK_INTERNAL_H

#include "store/maint/check.h"
#include "store/volume/store_internal.h"

struct check {
	struct store *s;
	unsigned flags;
	const struct check_watch *watch;
	struct check_result result;
	struct meta *m;       /* what is looked at: a reader, or of a store opened read-only its own handle */
	uint64_t renewed_us;  /* when the reader began to look at its commit */
	int stopped;          /* why statements are ended: -ECANCELED, -EAGAIN */
	double part, share;   /* done before the current step, and that step's share of all */
	double shown;         /* the progress last told */
	uint64_t *bad_chunks; /* ascending */
	size_t bad_n, bad_cap;
};

void check_find(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line that belongs to an error counted already. */
void check_tell(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* After a slice: says how far the current step is; non-zero when the check has to end. */
int check_step(struct check *c, uint64_t done, uint64_t total);
/* Looks at the last commit from now on. */
int check_renew(struct check *c);
/* The same if that is due, so that the WAL may start over: for walks of what cannot change. */
int check_renew_if_due(struct check *c);

/* check_view.c: what one volume's head (snap NULL) or one snapshot shows. *done inodes of `total` were looked at before, and *done goes on. */
int check_view(struct check *c, const struct volume_row *vol, const struct snapshot_row *snap, uint64_t *done, uint64_t total);

/* check_data.c: reads and verifies every chunk; fills bad_chunks. */
int check_data(struct check *c);

#endif
