/* A test program for a mounted filesystem: each case runs in a folder of its own, asserts through CHECK, and prints
 * one "ok - name" or "not ok - name" line. Runs as root on any filesystem; native ones serve to test the cases themselves. */
#ifndef VARVE_TESTS_POSIX_H
#define VARVE_TESTS_POSIX_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* An unprivileged user, and a group that it belongs to. */
#define OTHER_UID 12345
#define OTHER_GID 12346

struct posix_env {
	const char *other_volume; /* a folder on a second volume; NULL if there is none */
	bool fuse;                /* the filesystem under test is FUSE: its own limits apply, not ext4's */
	uint64_t seed;
};

extern struct posix_env posix_env;

struct posix_case {
	const char *name;
	int (*run)(void); /* 0 passed, 1 failed; the working directory is an empty folder */
};

/* Each ends with an entry without a name. */
extern const struct posix_case posix_name_cases[];
extern const struct posix_case posix_io_cases[];
extern const struct posix_case posix_perm_cases[];
extern const struct posix_case posix_random_cases[];

/* Ends the calling case (or forked child) as failed unless cond holds. */
#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond)) {                                                                               \
			printf("#   %s:%d: %s (errno %s)\n", __FILE__, __LINE__, #cond, strerror(errno)); \
			return 1;                                                                            \
		}                                                                                            \
	} while (0)

/* The call fails with exactly this error. */
#define CHECK_ERR(call, err)                                                                                  \
	do {                                                                                                  \
		errno = 0;                                                                                    \
		long long check_rc_ = (long long)(call);                                                      \
		if (check_rc_ != -1 || errno != (err)) {                                                      \
			printf("#   %s:%d: %s gave %lld and %s, expected %s\n", __FILE__, __LINE__, #call, \
			       check_rc_, strerror(errno), strerror(err));                                    \
			return 1;                                                                             \
		}                                                                                             \
	} while (0)

/* Creates a file with content; status 0 or 1. */
int posix_put(const char *name, const void *data, size_t len);
/* 0 when the file holds exactly these bytes. */
int posix_holds(const char *name, const void *data, size_t len);
/* Fills a buffer with bytes that depend on seed, incompressible. */
void posix_fill(void *buf, size_t len, uint64_t seed);
/* Runs fn in a child, with the unprivileged user's ids when as_other; its status. */
int posix_child(int (*fn)(void *arg), void *arg, bool as_other);
/* Forgets what the kernel can forget, so that a read asks the filesystem. */
void posix_drop_caches(void);

#endif
