#include "tools/progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/format.h"

#define BAR_WIDTH 40

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void progress_begin(struct progress *p, const struct cli *cli, const char *label)
{
	p->label = label;
	p->begun = p->last = now_ms();
	p->shown = (cli->flags & (CLI_QUIET | CLI_JSON)) || !isatty(STDERR_FILENO) ? -2 : -1;
}

static int percent_of(double part)
{
	return part < 0 ? 0 : part > 1 ? 100 : (int)(part * 100);
}

static void draw(const struct progress *p, int percent)
{
	char bar[BAR_WIDTH + 1];

	memset(bar, '.', BAR_WIDTH);
	memset(bar, '#', (size_t)(percent * BAR_WIDTH / 100));
	bar[BAR_WIDTH] = '\0';
	(void)fprintf(stderr, "\r%s [%s] %3d%%", p->label, bar, percent);
}

bool progress_due(struct progress *p, int ms)
{
	int64_t now = now_ms();

	if (p->shown == -2 || now - p->last < ms)
		return false;
	p->last = now;
	return true;
}

void progress_moved(struct progress *p, double part, int64_t bytes)
{
	double seconds = (double)(now_ms() - p->begun) / 1000;
	char moved[FORMAT_MAX], rate[FORMAT_MAX], left[FORMAT_MAX];

	if (p->shown == -2 || seconds <= 0)
		return;
	p->shown = percent_of(part);
	if (part >= 0)
		draw(p, p->shown);
	else
		(void)fprintf(stderr, "\r%s", p->label);
	(void)fprintf(stderr, "  %s, %s/s", format_size(moved, (uint64_t)bytes),
		      format_size(rate, (uint64_t)((double)bytes / seconds)));
	if (part > 0 && part < 1)
		(void)fprintf(stderr, ", %s left", format_uptime(left, (uint64_t)(seconds / part * (1 - part) + 0.5)));
	(void)fprintf(stderr, "\033[K");
	(void)fflush(stderr);
}

void progress_set(struct progress *p, double part)
{
	int percent = percent_of(part);

	if (p->shown == -2 || percent == p->shown)
		return;
	draw(p, percent);
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
