/* In this program the kernel's random numbers and the time of day are repeatable, so that a seed gives the same record, change by change.
 * Linked with --wrap. The monotonic clock stays what it is: threads wait by it. */
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "tests/crash/repeatable.h"

#define BEGIN_SECONDS 1700000000

int __real_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags);

static atomic_uint_fast64_t clock_ticks, random_state;

void repeatable_begin(uint64_t seed)
{
	atomic_store(&clock_ticks, 0);
	atomic_store(&random_state, seed);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	uint64_t us;

	if (clock != CLOCK_REALTIME)
		return __real_clock_gettime(clock, ts);
	us = atomic_fetch_add(&clock_ticks, 1);
	*ts = (struct timespec){BEGIN_SECONDS + (time_t)(us / 1000000), (long)(us % 1000000) * 1000};
	return 0;
}

ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags)
{
	uint8_t *p = buf;

	(void)flags;
	for (size_t n; len; p += n, len -= n) {
		uint64_t z = atomic_fetch_add(&random_state, UINT64_C(0x9e3779b97f4a7c15));

		z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
		z ^= z >> 31;
		n = len < sizeof z ? len : sizeof z;
		memcpy(p, &z, n);
	}
	return (ssize_t)(p - (uint8_t *)buf);
}
