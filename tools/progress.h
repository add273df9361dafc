/* A progress bar on stderr, when that is a terminal. One thread. */
#ifndef VARVE_TOOLS_PROGRESS_H
#define VARVE_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/cli.h"

struct progress {
	const char *label;
	int64_t begun, last; /* ms, of a clock that only goes forward */
	int shown; /* per cent; -1 while nothing is on the screen, -2 when there is to be nothing */
};

/* `label` must outlive it. With --quiet, --json, or stderr elsewhere nothing will be shown. */
void progress_begin(struct progress *p, const struct cli *cli, const char *label);
void progress_set(struct progress *p, double part);
/* Whether there is something to show, and the last time is so long ago. */
bool progress_due(struct progress *p, int ms);
/* What has been moved: with the rate and, when it is known how much of all that is (part < 0: it is not), the time that
 * it will take yet. */
void progress_moved(struct progress *p, double part, int64_t bytes);
/* Takes the bar off the screen, so that a line can be printed; progress_set brings it back. */
void progress_clear(struct progress *p);

#endif
