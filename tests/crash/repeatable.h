#ifndef VARVE_CRASH_REPEATABLE_H
#define VARVE_CRASH_REPEATABLE_H

#include <stdint.h>

/* Time and random numbers begin again, as the seed says. */
void repeatable_begin(uint64_t seed);

#endif
