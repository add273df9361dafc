/* A chunk store in a folder of its own, with a caller's chunk table that is an array. */
#ifndef VARVE_TESTS_UNIT_CHUNK_FIXTURE_H
#define VARVE_TESTS_UNIT_CHUNK_FIXTURE_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/base/io.h"
#include "store/base/limits.h"
#include "store/chunk/chunk_internal.h"
#include "store/chunk/pack.h"

#define FIXTURE_PIECES_MAX 4096
#define FIXTURE_PACK_TRIES 512

struct fixture {
	char path[64];
	int dirfd;
	uint8_t secret[CHUNK_SECRET_LEN];
	struct stats stats;
	struct chunk_store *cs;
	struct chunk_writer *w;
	uint32_t last_pack;
	/* emitted by the last add */
	struct chunk_piece pieces[FIXTURE_PIECES_MAX];
	size_t npieces;
	int emit_error;
	/* the caller's table: ids are index + 1; `lie` hands its loc out for every hash */
	struct chunk_loc table[FIXTURE_PIECES_MAX];
	size_t ntable;
	const struct chunk_loc *lie;
	int find_error;
	size_t finds;
};

/* SplitMix64: content that is random and the same in every run. */
static inline void fixture_random(uint64_t seed, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint64_t z = seed += 0x9e3779b97f4a7c15ULL;

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
		out[i] = (uint8_t)(z >> 56);
	}
}

static inline void fixture_text(uint64_t seed, uint8_t *out, size_t len)
{
	fixture_random(seed, out, len);
	for (size_t i = 0; i < len; i++)
		out[i] = "etaoin sh"[out[i] % 9];
}

static inline int fixture_next_pack(void *arg, uint32_t *ret_pack)
{
	struct fixture *f = arg;

	*ret_pack = ++f->last_pack;
	return 0;
}

static inline int fixture_find(void *arg, struct chunk_hash hash, uint32_t raw_len, int nth, uint64_t *ret_id,
			       struct chunk_loc *ret_loc)
{
	struct fixture *f = arg;

	f->finds++;
	if (f->find_error)
		return f->find_error;
	if (f->lie && nth == 0) {
		*ret_id = 999999;
		*ret_loc = *f->lie;
		return 0;
	}
	nth -= f->lie != NULL;
	for (size_t i = 0; i < f->ntable; i++) {
		const struct chunk_loc *loc = &f->table[i];

		if (loc->hash.lo != hash.lo || loc->hash.hi != hash.hi || loc->raw_len != raw_len || nth-- > 0)
			continue;
		*ret_id = i + 1;
		*ret_loc = *loc;
		return 0;
	}
	return 1;
}

static inline int fixture_emit(void *arg, const struct chunk_piece *piece)
{
	struct fixture *f = arg;

	if (f->emit_error)
		return f->emit_error;
	assert_true(f->npieces < FIXTURE_PIECES_MAX);
	f->pieces[f->npieces++] = *piece;
	return 0;
}

static inline void fixture_writer(struct fixture *f)
{
	const struct chunk_writer_ops ops = {.next_pack = fixture_next_pack, .find = fixture_find, .arg = f};

	assert_int_equal(chunk_writer_new(f->cs, &ops, &f->w), 0);
}

static inline void fixture_open(struct fixture *f)
{
	struct err err = {0};

	assert_int_equal(chunk_store_open(f->dirfd, f->secret, &f->stats, &f->cs, &err), 0);
}

static inline int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	(void)snprintf(f->path, sizeof f->path, "/var/tmp/varve-chunk-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	f->dirfd = open(f->path, O_RDONLY | O_DIRECTORY);
	fixture_random(1, f->secret, sizeof f->secret);
	fixture_open(f);
	fixture_writer(f);
	*state = f;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;
	char name[32];

	io_set_hook(NULL, NULL);
	chunk_writer_free(f->w);
	chunk_store_free(f->cs);
	for (uint32_t id = 1; id < f->last_pack + FIXTURE_PACK_TRIES; id++) {
		(void)snprintf(name, sizeof name, "packs/%08x.pack", id);
		(void)unlinkat(f->dirfd, name, 0);
	}
	assert_int_equal(unlinkat(f->dirfd, "packs", AT_REMOVEDIR), 0);
	(void)close(f->dirfd);
	assert_int_equal(rmdir(f->path), 0);
	free(f);
	return 0;
}

static inline int fixture_add(struct fixture *f, const void *data, size_t len, unsigned flags, int level)
{
	const struct chunk_owner owner = {.branch = 3, .ino = 77, .off = 1000};
	const struct chunk_span span = {.data = data, .len = len};

	f->npieces = 0;
	return chunk_writer_add(f->w, &owner, &span, 1, flags, level, fixture_emit, f);
}

/* What the caller does at a commit: ids for all that is new. */
static inline void fixture_settle(struct fixture *f)
{
	for (size_t i = 0; i < f->npieces; i++)
		if (f->pieces[i].id == 0)
			f->table[f->ntable++] = f->pieces[i].loc;
	chunk_writer_batch_end(f->w);
}

/* The pieces of the last add are the content, without gap, and read back so. */
static inline void fixture_verify(struct fixture *f, const uint8_t *data, size_t len)
{
	uint8_t *out = malloc(CHUNK_LEN_MAX);
	size_t pos = 0;

	for (size_t i = 0; i < f->npieces; i++) {
		const struct chunk_piece *piece = &f->pieces[i];

		assert_int_equal(piece->off, 1000 + pos);
		assert_int_equal(piece->len, piece->loc.raw_len);
		assert_true(pos + piece->len <= len);
		assert_int_equal(chunk_store_read(f->cs, &piece->loc, out, false), 0);
		assert_memory_equal(out, data + pos, piece->len);
		pos += piece->len;
	}
	assert_int_equal(pos, len);
	free(out);
}

static inline int fixture_open_pack(struct fixture *f, uint32_t id)
{
	char name[32];

	(void)snprintf(name, sizeof name, "packs/%08x.pack", id);
	return openat(f->dirfd, name, O_RDWR);
}

static inline void fixture_flip(struct fixture *f, const struct chunk_loc *loc, uint32_t at)
{
	int fd = fixture_open_pack(f, loc->pack);
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, loc->off + at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, loc->off + at), 1);
	(void)close(fd);
}

#endif
