/* What a fuzz target is. libFuzzer drives one (clang), or driver.c, with any compiler, from the target's own seeds. */
#ifndef VARVE_TESTS_FUZZ_H
#define VARVE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define FUZZ_LEN_MAX 65536

/* Gives the parser any bytes; aborts when it breaks a promise. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
/* The nth valid input, made by the encoders: its length, 0 when there are no more. */
size_t fuzz_seed(unsigned nth, uint8_t out[FUZZ_LEN_MAX]);

static inline void fuzz_must(int holds)
{
	if (!holds)
		abort();
}

#endif
