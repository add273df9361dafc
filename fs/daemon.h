/* What one varved consists of; passed to everything that runs in it. Filled by main before any thread runs, and
 * constant after but for what says otherwise. */
#ifndef VARVE_FS_DAEMON_H
#define VARVE_FS_DAEMON_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "fs/fence.h"
#include "fs/listener.h"
#include "fs/node_table.h"
#include "fs/options.h"
#include "fs/parked.h"
#include "fs/session.h"
#include "store/volume/store.h"

struct daemon {
	struct options options;
	struct listener api_listener, docker_listener;
	struct store *store;
	struct node_table *nodes;
	struct parked *parked;
	struct fence *fence;
	struct session *session;
	struct uses *uses;
	/* One rollback, removal or renaming at a time: they look who uses the volume, then replace it. */
	pthread_mutex_t replace_lock;
	int64_t started_ns; /* since 1970 */
	uint64_t started_us; /* CLOCK_MONOTONIC */
	_Atomic bool sync_inline; /* a worker is at an fsync: the next one is parked */
};

uint64_t daemon_mono_us(void);

#endif
