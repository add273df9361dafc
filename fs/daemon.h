/* What one daemon consists of; passed to everything that runs in it. Filled by daemon_run before any thread runs, and
 * constant after but for what says otherwise. */
#ifndef VARVE_FS_DAEMON_H
#define VARVE_FS_DAEMON_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "fs/fence.h"
#include "fs/handover.h"
#include "fs/node_table.h"
#include "fs/open_table.h"
#include "fs/options.h"
#include "fs/parked.h"
#include "fs/session.h"
#include "store/volume/store.h"

struct daemon {
	struct options options;
	struct handover handover;
	bool take_over; /* the mount was there before this daemon */
	struct store *store;
	struct node_table *nodes;
	struct open_table *opens;
	struct parked *parked;
	/* Requests that wait until the kernel has written pages out: those may be parked, so this has threads of its own. */
	struct parked *parked_deliver;
	struct fence *fence;
	struct session *session;
	struct uses *uses;
	/* One rollback, removal or renaming at a time: they look who uses the volume, then replace it. */
	pthread_mutex_t replace_lock;
	int64_t started_ns; /* since 1970 */
	uint64_t started_us; /* CLOCK_MONOTONIC */
	_Atomic bool sync_inline; /* a worker is at an fsync: the next one is parked */
};

/* What the daemon's process ends with. */
enum daemon_exit {
	DAEMON_ENDED = 0,       /* unmounted, everything written out */
	DAEMON_FAILED = 1,      /* it could not start, or not end well */
	DAEMON_CORRUPT = 3,     /* what it was handed over is damaged */
	DAEMON_HANDED_OVER = 4, /* the mount is there, for the next one */
};

/* The daemon proper, in a process of its own, from its start to its end. Errors are logged, and told to the supervisor.
 */
enum daemon_exit daemon_run(const struct options *o, const struct handover *h);
uint64_t daemon_mono_us(void);

#endif
