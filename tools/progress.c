#include "tools/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR_WIDTH 40

void progress_begin(struct progress *p, const struct cli *cli, const char *label)
{
	p->label = label;
	p->shown = (cli->flags & (CLI_QUIET | CLI_JSON)) || !isatty(STDERR_FILENO) ? -2 : -1;
}

void progress_set(struct progress *p, double part)
{
	int percent = part < 0 ? 0 : part > 1 ? 100 : (int)(part * 100);
	char bar[BAR_WIDTH + 1];

	if (p->shown == -2 || percent == p->shown)
		return;
	memset(bar, '.', BAR_WIDTH);
	memset(bar, '#', (size_t)(percent * BAR_WIDTH / 100));
	bar[BAR_WIDTH] = '\0';
	(void)fprintf(stderr, "\r%s [%s] %3d%%", p->label, bar, percent);
	(void)fflush(stderr);
	p->shown = percent;
}

void progress_clear(struct progress *p)
{
	if (p->shown < 0)
		return;
	(void)fprintf(stderr, "\r\033[K");
	(void)fflush(stderr);
	p->shown = -1;
}
