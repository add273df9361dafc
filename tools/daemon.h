/* Whether a command goes through the daemon or opens the store itself. */
#ifndef VARVE_TOOLS_DAEMON_H
#define VARVE_TOOLS_DAEMON_H

#include "tools/cli.h"

/* 1: a daemon answers, and serves the store that is meant; 0: none does, and there may be a store to open; -code. */
int daemon_serves(struct cli *cli, struct err *err);

#endif
