/* Archives in memory: made from a volume, made by hand, and put into one. */
#ifndef VARVE_TESTS_ARCHIVE_FIXTURE_H
#define VARVE_TESTS_ARCHIVE_FIXTURE_H

#include "store/archive/tar_export.h"
#include "store/archive/tar_import.h"
#include "store/base/buf.h"
#include "store/volume/draft.h"
#include "tests/unit/volume/store_fixture.h"

#define BLOCK 512

/* The whole archive of a volume, read in pieces of an odd length. */
static inline void export_volume(struct store_fixture *f, const char *volume, const char *snapshot,
				 enum tar_compression how, struct buf *ret)
{
	struct tar_export *x;
	struct err err = {0};
	uint8_t piece[10007];
	size_t n = 1;

	buf_reset(ret);
	if (tar_export_open(f->s, volume, snapshot, how, &x, &err))
		fail_msg("tar_export_open: %s", err.text);
	while (n) {
		if (tar_export_read(x, piece, sizeof piece, &n, &err))
			fail_msg("tar_export_read: %s", err.text);
		assert_int_equal(buf_add(ret, piece, n), 0);
	}
	tar_export_free(x);
}

struct source {
	const uint8_t *data;
	size_t len, at;
	int error; /* given at the end */
};

static inline int source_read(void *arg, void *buf, size_t len, size_t *ret_len)
{
	struct source *src = arg;
	size_t n = src->len - src->at;

	if (!n && src->error)
		return src->error;
	n = n < len ? n : len;
	n = n < 4999 ? n : 4999;
	memcpy(buf, src->data + src->at, n);
	src->at += n;
	*ret_len = n;
	return 0;
}

/* As an import does it: into a draft, published when all is in, else dropped. */
static inline int import_into(struct store_fixture *f, const char *volume, const void *tar, size_t len, unsigned strip,
			      struct err *err)
{
	struct source src = {.data = tar, .len = len};
	const struct tar_import_options o = {.read = source_read, .arg = &src, .strip = strip, .volume = volume};
	char saved[VOLUME_NAME_MAX + 1];
	struct tar_import_result result;
	struct volume_info info;
	struct draft d;
	int r;

	*err = (struct err){0};
	r = draft_new(f->s, volume, NULL, true, &d, err);
	if (r)
		return r;
	r = tar_import(f->s, d.root_node, &o, &result, err);
	if (!r)
		r = draft_publish(f->s, &d, saved, &info, err);
	if (r)
		draft_drop(f->s, &d);
	return r;
}

/* --- by hand: ustar --- */

static inline void tar_add(struct buf *tar, const char *name, char type, const char *link, const void *data, size_t len)
{
	uint8_t block[BLOCK] = {0};
	unsigned sum = 0;

	(void)snprintf((char *)block, 100, "%s", name);
	(void)snprintf((char *)block + 100, 8, "%07o", type == '5' ? 0755 : 0644);
	(void)snprintf((char *)block + 108, 8, "%07o", 1000);
	(void)snprintf((char *)block + 116, 8, "%07o", 1000);
	(void)snprintf((char *)block + 124, 12, "%011zo", len);
	(void)snprintf((char *)block + 136, 12, "%011o", 1000000000);
	memset(block + 148, ' ', 8);
	block[156] = (uint8_t)type;
	(void)snprintf((char *)block + 157, 100, "%s", link ? link : "");
	memcpy(block + 257, "ustar\00000", 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += block[i];
	(void)snprintf((char *)block + 148, 8, "%06o", sum);
	assert_int_equal(buf_add(tar, block, BLOCK), 0);
	memset(block, 0, sizeof block);
	assert_int_equal(buf_add(tar, data, len), 0);
	assert_int_equal(buf_add(tar, block, (BLOCK - len % BLOCK) % BLOCK), 0);
}

static inline void tar_end(struct buf *tar)
{
	static const uint8_t zeros[2 * BLOCK];

	assert_int_equal(buf_add(tar, zeros, sizeof zeros), 0);
}

#endif
