/* The objects of a repository in a directory, and a byte of one changed. */
#ifndef VARVE_TESTS_REPO_OBJECTS_H
#define VARVE_TESTS_REPO_OBJECTS_H

#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define OBJECTS_MAX 512

static char object_paths[OBJECTS_MAX][SCRATCH_LEN + 120];
static size_t n_objects;

static int object_take(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type == FTW_F && n_objects < OBJECTS_MAX)
		(void)snprintf(object_paths[n_objects++], sizeof *object_paths, "%s", path);
	return 0;
}

static inline void objects_find(const struct repo_fixture *f)
{
	n_objects = 0;
	assert_int_equal(nftw(f->url, object_take, 8, FTW_PHYS), 0);
	assert_true(n_objects && n_objects < OBJECTS_MAX);
}

/* Twice: as it was. */
static inline void object_flip(const char *path, off_t at)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x20;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	assert_int_equal(close(fd), 0);
}

#endif
