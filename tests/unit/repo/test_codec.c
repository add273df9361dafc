/* Blobs: whatever form is chosen, the content comes back, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zstd.h>

#include "store/base/err.h"
#include "store/repo/codec.h"
#include "store/repo/crypt.h"

#define LEN 60000

struct fixture {
	struct crypt_keys keys;
	struct codec *codec;
	uint8_t data[LEN], base[LEN], packed[LEN], sealed[2 * LEN], out[LEN];
	struct codec_input in;
	struct repo_blob blob;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	const uint8_t master[REPO_MASTER_LEN] = {1};

	assert_non_null(f);
	assert_int_equal(crypt_init(), 0);
	crypt_derive(&f->keys, master, true);
	assert_int_equal(codec_new(&f->codec), 0);
	for (size_t i = 0; i < LEN; i++)
		f->data[i] = (uint8_t)(rand() % 5 ? "varve"[i % 5] : rand());
	memcpy(f->base, f->data, LEN);
	memcpy(f->base + 1000, "an edit", 7);
	f->in = (struct codec_input){.data = f->data, .len = LEN};
	f->blob.type = REPO_CHUNK;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	codec_free(f->codec);
	free(f);
	return 0;
}

static void seal_and_open(struct fixture *f, enum repo_codec want)
{
	const void *sealed;

	crypt_name(&f->keys, REPO_CHUNK, f->in.data, f->in.len, &f->blob.name);
	assert_int_equal(codec_seal(f->codec, &f->keys, &f->in, &f->blob, &sealed), 0);
	assert_int_equal(f->blob.codec, want);
	assert_int_equal(f->blob.raw_len, f->in.len);
	memcpy(f->sealed, sealed, f->blob.stored_len);
	memset(f->out, 0, LEN);
	assert_int_equal(codec_open(f->codec, &f->keys, &f->blob, f->sealed, f->in.base, f->in.base_len, f->out), 0);
	assert_memory_equal(f->out, f->in.data, f->in.len);
	for (uint32_t at = 0; at < f->blob.stored_len; at += 1 + f->blob.stored_len / 50) {
		f->sealed[at] ^= 4;
		assert_int_equal(
			codec_open(f->codec, &f->keys, &f->blob, f->sealed, f->in.base, f->in.base_len, f->out),
			-ECORRUPT);
		f->sealed[at] ^= 4;
	}
}

static void test_compressed_here(void **state)
{
	struct fixture *f = *state;

	seal_and_open(f, CODEC_ZSTD);
	assert_true(f->blob.stored_len < LEN / 2);
}

/* A frame that is there already is taken as it is. */
static void test_packed(void **state)
{
	struct fixture *f = *state;

	f->in.packed = f->packed;
	f->in.packed_len = ZSTD_compress(f->packed, LEN, f->data, LEN, 1);
	assert_false(ZSTD_isError(f->in.packed_len));
	seal_and_open(f, CODEC_ZSTD);
	assert_int_equal(f->blob.stored_len, f->in.packed_len + SEAL_OVERHEAD);
}

static void test_delta(void **state)
{
	struct fixture *f = *state;

	f->in.base = f->base;
	f->in.base_len = LEN;
	crypt_name(&f->keys, REPO_CHUNK, f->base, LEN, &f->in.base_name);
	seal_and_open(f, CODEC_DELTA);
	assert_true(f->blob.stored_len < 1000);
	assert_memory_equal(f->blob.base.b, f->in.base_name.b, REPO_NAME_LEN);
	/* also where there is a frame */
	f->in.packed = f->packed;
	f->in.packed_len = ZSTD_compress(f->packed, LEN, f->data, LEN, 1);
	seal_and_open(f, CODEC_DELTA);
	/* and not where what it is built upon is no help */
	for (size_t i = 0; i < LEN; i++)
		f->base[i] = (uint8_t)rand();
	seal_and_open(f, CODEC_ZSTD);
}

static void test_what_does_not_shrink(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < LEN; i++)
		f->data[i] = (uint8_t)rand();
	seal_and_open(f, CODEC_RAW);
	f->in.len = 1;
	seal_and_open(f, CODEC_RAW);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_compressed_here),
		TEST(test_packed),
		TEST(test_delta),
		TEST(test_what_does_not_shrink),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
