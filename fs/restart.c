#include "fs/restart.h"

#define LIVED_MS_ENOUGH 1000
#define DELAY_MS_FIRST 20
/* who waits for an answer should not wait longer than need be: the one bound is for daemons that get as far as serving */
#define DELAY_MS_MAX_RECOVERED 200
#define DELAY_MS_MAX 5000

int restart_delay_ms(struct restart *r, enum restart_death how, bool recovered, uint64_t lived_ms)
{
	const unsigned max = recovered ? DELAY_MS_MAX_RECOVERED : DELAY_MS_MAX;
	unsigned delay = DELAY_MS_FIRST, i;

	if (recovered)
		r->replays_failed = 0;
	else if (how != RESTART_FAILED && ++r->replays_failed >= RESTART_REPLAYS_MAX)
		return -1;
	if (recovered && lived_ms >= LIVED_MS_ENOUGH) {
		r->quick = 0;
		return 0;
	}
	if (r->quick++ == 0) /* once may be chance */
		return 0;
	for (i = 2; i < r->quick && delay < max; i++)
		delay *= 2;
	return (int)(delay < max ? delay : max);
}

bool restart_end(struct restart *r)
{
	if (++r->ends_failed < RESTART_ENDS_MAX)
		return true;
	r->ends_failed = 0;
	return false;
}
