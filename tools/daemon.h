/* Whether a command goes through the daemon or opens the store itself. */
#ifndef VARVE_TOOLS_DAEMON_H
#define VARVE_TOOLS_DAEMON_H

#include "store/volume/store.h"
#include "tools/cli.h"

/* 1: a daemon answers, and serves the store that is meant. 0: none does, and *ret is the store, opened with these store_flags.
 * -code. Waits a while for a daemon that starts or ends, and for another command; -EBUSY when that takes too long. */
int daemon_or_store(struct cli *cli, unsigned flags, struct store **ret, struct err *err);

#endif
