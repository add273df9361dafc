/* When a daemon that died is started again, and when not any more. */
#ifndef VARVE_FS_RESTART_H
#define VARVE_FS_RESTART_H

#include <stdbool.h>
#include <stdint.h>

/* Deaths in a row over one and the same ring, after which it is set aside. */
#define RESTART_REPLAYS_MAX 3
/* Deaths in a row of daemons that were about to end. */
#define RESTART_ENDS_MAX 3

struct restart {
	unsigned replays_failed; /* in a row */
	unsigned quick;          /* short lives in a row */
	unsigned ends_failed;    /* in a row */
};

enum restart_death {
	RESTART_DIED,    /* a signal, or an exit that nobody foresaw */
	RESTART_CORRUPT, /* it says that what it was handed over is damaged */
	RESTART_FAILED,  /* it says why it cannot start, and may be able to later */
};

/* How long to wait before the next start, in ms; -1 when the ring has to be set aside. `recovered`: it had taken in the
 * ring before it died. */
int restart_delay_ms(struct restart *r, enum restart_death how, bool recovered, uint64_t lived_ms);

/* One died that was about to end. False when that was once too often for the same to be tried again; the count begins anew. */
bool restart_end(struct restart *r);

#endif
