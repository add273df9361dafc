/* The claim on a store: whoever opens one has it from before the opening to after the closing. A daemon's supervisor has it for all
 * daemons that it starts, so that nobody comes between the death of one and the start of the next, who has to find the store as the
 * ring knows it.
 *
 * A claim is a descriptor, and lasts as long as any copy of it, whichever process has it; it ends with them by itself. */
#ifndef VARVE_VOLUME_CLAIM_H
#define VARVE_VOLUME_CLAIM_H

#include "store/base/err.h"

enum claim_kind {
	CLAIM_PASSING, /* by a command, which lets go when it is done */
	CLAIM_LASTING, /* by a daemon, until claim_end */
};

enum claim_state {
	CLAIM_FREE,     /* nobody */
	CLAIM_PASSES,   /* somebody who will let go */
	CLAIM_LASTS,    /* a daemon */
	CLAIM_ORPHANED, /* a daemon that was killed and is not yet gone, or one whose process cannot be seen from here */
};

/* Does not wait: -EBUSY when somebody has it, and the error names who. -ENOENT when `dir` is no store. */
int claim_take(const char *dir, enum claim_kind kind, int *ret_fd, struct err *err);
/* A lasting claim becomes a passing one: its holder, from now on this process, is about to end. */
void claim_end(int fd);
/* Who has it: an enum claim_state, or -errno. */
int claim_look(const char *dir);

#endif
