/* An open store in a scratch folder, with a volume "v", driven by the test: no threads. */
#ifndef VARVE_TESTS_STORE_FIXTURE_H
#define VARVE_TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "store/volume/file_io.h"
#include "store/volume/snapshot.h"

struct store_fixture {
	char dir[64];
	struct store *s;
	struct volume_info vol;
};

static const struct op fixture_op = {.uid = 1000, .gid = 1000, .umask = 022};

/* ring_fd -1: a new ring. */
static inline void store_fixture_open(struct store_fixture *f, int ring_fd)
{
	struct store_options opts = {.flags = STORE_NO_THREADS | (ring_fd >= 0 ? STORE_KEEP_ORPHANS : 0),
				     .ring_size = 8 * MIB,
				     .ring_fd = ring_fd};
	struct err err = {0};

	if (store_open(f->dir, &opts, &f->s, &err))
		fail_msg("store_open: %s", err.text);
}

/* As after kill -9: what was not committed or synced is gone. */
static inline void store_fixture_crash(struct store_fixture *f)
{
	store_abandon(f->s);
	f->s = NULL;
	store_fixture_open(f, -1);
}

static inline int store_fixture_setup(void **state)
{
	struct store_fixture *f = calloc(1, sizeof *f);
	struct err err = {0};

	assert_non_null(f);
	strcpy(f->dir, "/var/tmp/varve-unit-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	if (store_init(f->dir, &err))
		fail_msg("store_init: %s", err.text);
	store_fixture_open(f, -1);
	if (volume_create(f->s, "v", NULL, &f->vol, &err))
		fail_msg("volume_create: %s", err.text);
	*state = f;
	return 0;
}

static inline int store_fixture_teardown(void **state)
{
	struct store_fixture *f = *state;
	struct err err = {0};
	char cmd[128];

	if (f->s && store_close(f->s, &err))
		fail_msg("store_close: %s", err.text);
	(void)snprintf(cmd, sizeof cmd, "rm -rf %s", f->dir);
	assert_int_equal(system(cmd), 0);
	free(f);
	return 0;
}

/* The same bytes for the same seed. */
static inline void fixture_bytes(uint8_t *p, size_t n, unsigned seed)
{
	uint64_t x = seed * 2654435761u + 1;

	for (size_t i = 0; i < n; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		p[i] = (uint8_t)(x >> 56);
	}
}

/* A new file of so many such bytes; its node. */
static inline uint64_t fixture_file(struct store_fixture *f, uint64_t parent, const char *name, unsigned seed,
				    size_t len)
{
	uint8_t *data = malloc(len + 1);
	struct attr attr;
	size_t off, n;

	assert_non_null(data);
	fixture_bytes(data, len, seed);
	assert_int_equal(ns_create(f->s, &fixture_op, parent, name, S_IFREG | 0666, 0, NULL, &attr), 0);
	for (off = 0; off < len; off += n) {
		n = len - off < 100000 ? len - off : 100000;
		assert_int_equal(file_write(f->s, &fixture_op, attr.node, data + off, n, (int64_t)off, 0, false), 0);
	}
	free(data);
	return attr.node;
}

/* The file has exactly these bytes. */
static inline void fixture_expect(struct store_fixture *f, uint64_t parent, const char *name, unsigned seed, size_t len)
{
	uint8_t *want = malloc(len + 1), *got = malloc(len + 1);
	struct attr attr;
	size_t off, n = 0;

	assert_non_null(want);
	assert_non_null(got);
	fixture_bytes(want, len, seed);
	assert_int_equal(ns_lookup(f->s, parent, name, &attr), 0);
	assert_int_equal(attr.size, len);
	for (off = 0; off < len; off += n)
		assert_int_equal(file_read(f->s, attr.node, got + off, len - off, (int64_t)off, false, &n), 0);
	assert_memory_equal(got, want, len);
	free(want);
	free(got);
}

/* All background work. */
static inline void fixture_maintain(struct store_fixture *f)
{
	bool more = true;

	while (more)
		assert_int_equal(store_maintain(f->s, &more), 0);
	assert_int_equal(store_commit(f->s), 0);
	more = true;
	while (more)
		assert_int_equal(store_maintain(f->s, &more), 0);
}

#endif
