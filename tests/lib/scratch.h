/* A folder for what a test writes: in memory where that has room, since an fsync of a disk takes longer than all the rest. */
#ifndef VARVE_TESTS_SCRATCH_H
#define VARVE_TESTS_SCRATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statfs.h>
#include <unistd.h>

#define SCRATCH_LEN 256
#define SCRATCH_MEMORY "/dev/shm"

/* The folder's name begins with "varve-" and `name`. In memory only where more than free_min bytes are free. False: errno says why. */
static inline bool scratch_make(const char *name, uint64_t free_min, char ret[SCRATCH_LEN])
{
	const char *disk = getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp";
	struct statfs fs;
	bool memory = !access(SCRATCH_MEMORY, W_OK) && !statfs(SCRATCH_MEMORY, &fs) &&
		      (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize > free_min;

	(void)snprintf(ret, SCRATCH_LEN, "%s/varve-%s.XXXXXX", memory ? SCRATCH_MEMORY : disk, name);
	return mkdtemp(ret);
}

static inline bool scratch_remove(const char *dir)
{
	char command[SCRATCH_LEN + 16];

	(void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
	return !system(command);
}

#endif
