/* Drives a fuzz target without libFuzzer: the seeds, each of them cut at every length, then random changes of them.
 *
 *   fuzz_NAME [--runs N] [--seed S] [FILE…]        FILE: runs just these; --write-seeds DIR writes the seeds for libFuzzer */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/fuzz/fuzz.h"

#define CHANGES_MAX 8

static uint64_t state;

static uint32_t chance(uint32_t below)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return below ? (uint32_t)(state >> 33) % below : 0;
}

/* In memory of exactly this length, so that a sanitizer sees one byte too many. */
static void try_it(const uint8_t *data, size_t len)
{
	uint8_t *own = malloc(len ? len : 1);

	if (!own)
		abort();
	memcpy(own, data, len);
	(void)LLVMFuzzerTestOneInput(own, len);
	free(own);
}

static size_t change(uint8_t *p, size_t len)
{
	static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x40};
	uint32_t at = chance((uint32_t)len), n = 1 + chance(8), to;

	switch (chance(6)) {
	case 0:
		p[at] ^= (uint8_t)(1u << chance(8));
		return len;
	case 1:
		p[at] = odd[chance(sizeof odd)];
		return len;
	case 2: /* a run of one byte: lengths and varints that are much too large */
		n = n < len - at ? n : (uint32_t)(len - at);
		memset(p + at, odd[chance(sizeof odd)], n);
		return len;
	case 3:
		return at;
	case 4: /* taken out */
		n = n < len - at ? n : (uint32_t)(len - at);
		memmove(p + at, p + at + n, len - at - n);
		return len - n;
	default: /* doubled */
		n = n < len - at ? n : (uint32_t)(len - at);
		to = chance((uint32_t)len);
		if (len + n > FUZZ_LEN_MAX)
			return len;
		memmove(p + to + n, p + to, len - to);
		memmove(p + to, p + at, n);
		return len + n;
	}
}

static void run_file(const char *path)
{
	static uint8_t buf[FUZZ_LEN_MAX];
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f) {
		perror(path);
		exit(2);
	}
	n = fread(buf, 1, sizeof buf, f);
	(void)fclose(f);
	try_it(buf, n);
}

static void write_seeds(const char *dir)
{
	static uint8_t buf[FUZZ_LEN_MAX];
	size_t len;

	for (unsigned nth = 0; (len = fuzz_seed(nth, buf)); nth++) {
		char path[300];
		FILE *f;

		(void)snprintf(path, sizeof path, "%s/seed%u", dir, nth);
		f = fopen(path, "wb");
		if (!f || fwrite(buf, 1, len, f) != len || fclose(f)) {
			perror(path);
			exit(2);
		}
	}
}

static void run_all(unsigned long runs)
{
	static uint8_t buf[FUZZ_LEN_MAX];
	unsigned seeds = 0;
	size_t len;

	for (; (len = fuzz_seed(seeds, buf)); seeds++)
		for (size_t cut = len + 1; cut-- > 0;)
			try_it(buf, cut);
	for (unsigned long i = 0; i < runs; i++) {
		len = fuzz_seed(chance(seeds), buf);
		for (uint32_t n = 1 + chance(CHANGES_MAX); n && len; n--)
			len = change(buf, len);
		try_it(buf, len);
	}
}

int main(int argc, char **argv)
{
	unsigned long runs = 20000;
	const char *seeds = NULL;
	int i;

	state = (uint64_t)time(NULL);
	for (i = 1; i + 1 < argc && !strncmp(argv[i], "--", 2); i += 2) {
		if (!strcmp(argv[i], "--runs"))
			runs = strtoul(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--seed"))
			state = strtoul(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--write-seeds"))
			seeds = argv[i + 1];
		else
			return 2;
	}
	printf("%s: seed %llu, %lu runs\n", argv[0], (unsigned long long)state, runs);
	(void)fflush(stdout);
	if (seeds)
		write_seeds(seeds);
	else if (i < argc)
		for (; i < argc; i++)
			run_file(argv[i]);
	else
		run_all(runs);
	return 0;
}
