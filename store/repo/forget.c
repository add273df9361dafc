#include "store/repo/forget.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Equal for instants of one period. */
static void period_of(int64_t ns, enum forget_period period, char out[32])
{
	static const char *const formats[] = {"%Y%m%d%H", "%Y%m%d", "%G%V", "%Y%m", "%Y"};
	time_t t = (time_t)(ns / 1000000000);
	struct tm tm;

	(void)localtime_r(&t, &tm);
	if (!strftime(out, 32, formats[period], &tm))
		*out = 0;
}

/* From the newest to the oldest of one volume. */
static void select_volume(const struct forget_policy *policy, const struct repo_entry *list, size_t n,
			  const char *volume, bool *keep)
{
	char last[FORGET_PERIODS][32] = {{0}}, now[32];
	unsigned kept = 0, periods[FORGET_PERIODS] = {0};

	for (size_t i = n; i-- > 0;) {
		if (strcmp(list[i].s.volume, volume) != 0)
			continue;
		if (kept < policy->last) {
			keep[i] = true;
			kept++;
		}
		for (int p = 0; p < FORGET_PERIODS; p++) {
			period_of(list[i].s.created, p, now);
			if (periods[p] >= policy->each[p] || !strcmp(now, last[p]))
				continue;
			keep[i] = true;
			periods[p]++;
			memcpy(last[p], now, sizeof now);
		}
	}
}

void forget_select(const struct forget_policy *policy, const struct repo_entry *list, size_t n, bool *keep)
{
	memset(keep, 0, n * sizeof *keep);
	for (size_t i = 0; i < n; i++) {
		size_t j = 0;

		while (strcmp(list[j].s.volume, list[i].s.volume) != 0)
			j++;
		if (j == i) /* the first of its volume */
			select_volume(policy, list, n, list[i].s.volume, keep);
	}
}
