/* Private to the check: what its files share.
 *
 * Findings are made under the store lock and said after it was let go, since `report` may do anything. */
#ifndef VARVE_MAINT_CHECK_INTERNAL_H
#define VARVE_MAINT_CHECK_INTERNAL_H

#include "store/maint/check.h"
#include "store/volume/store_internal.h"

struct check {
	struct store *s;
	unsigned flags;
	void (*report)(void *arg, const char *line);
	void *arg;
	struct check_result result;
	struct buf lines;     /* findings not yet said, each with its NUL */
	int failed;           /* a finding could not be kept: -ENOMEM */
	uint64_t *bad_chunks; /* ascending */
	size_t bad_n, bad_cap;
};

void check_find(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line that belongs to an error counted already. */
void check_tell(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Says the findings. Lock not held. */
void check_flush(struct check *c);

/* check_view.c: what one volume's head (snap NULL) or one snapshot shows. Takes the lock. */
int check_view(struct check *c, const struct volume_row *vol, const struct snapshot_row *snap);

/* check_data.c: reads and verifies every chunk; fills bad_chunks. */
int check_data(struct check *c);

#endif
