/* A progress bar on stderr, when that is a terminal. One thread. */
#ifndef VARVE_TOOLS_PROGRESS_H
#define VARVE_TOOLS_PROGRESS_H

#include "tools/cli.h"

struct progress {
	const char *label;
	int shown; /* per cent; -1 while nothing is on the screen, -2 when there is to be nothing */
};

/* `label` must outlive it. With --quiet, --json, or stderr elsewhere nothing will be shown. */
void progress_begin(struct progress *p, const struct cli *cli, const char *label);
void progress_set(struct progress *p, double part);
/* Takes the bar off the screen, so that a line can be printed; progress_set brings it back. */
void progress_clear(struct progress *p);

#endif
