/* Effects: what is encoded comes back, and what is not an effect is refused and never read past its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/base/err.h"
#include "store/volume/effect.h"

static const struct effect samples[] = {
	{EFFECT_WRITE, 3, 17, 4096, 65536, 69632, 1700000000000000000, 0},
	{EFFECT_WRITE, 1, (UINT64_C(1) << 40) - 1, 0, INT64_MAX, INT64_MAX, -1, UINT64_MAX},
	{EFFECT_TRIM, INT64_MAX, 16, 100, INT64_MAX, 100, 0, 0},
	{EFFECT_TRIM, 2, 16, 0, 0, 0, 0, 0},
	{EFFECT_DRAINED, 9, 1000000, INT64_MAX, 1, 0, 0, 12345678901234},
	{EFFECT_TIMES, 5, 18, 0, 0, 0, 0, 0},
};
#define SAMPLES (sizeof samples / sizeof *samples)

static void assert_effect(const struct effect *a, const struct effect *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_true(a->branch == b->branch && a->ino == b->ino);
	assert_true(a->off == b->off && a->len == b->len);
	assert_true(a->size == b->size && a->mtime == b->mtime && a->seq == b->seq);
}

static void add_samples(struct buf *b)
{
	for (size_t i = 0; i < SAMPLES; i++)
		assert_int_equal(effect_add(b, &samples[i]), 0);
}

static void test_round_trip(void **state)
{
	struct buf b = {0};
	struct buf_reader r;
	struct effect e;

	(void)state;
	add_samples(&b);
	r = buf_reader(b.data, b.len);
	for (size_t i = 0; i < SAMPLES; i++) {
		assert_int_equal(effect_next(&r, &e), 0);
		assert_effect(&e, &samples[i]);
	}
	assert_true(effect_next(&r, &e) > 0);
	buf_free(&b);
}

/* Every shorter text either ends at an effect's end or is refused; the effects before the end come out whole. */
static void test_truncated(void **state)
{
	struct buf b = {0};
	size_t ends[SAMPLES + 1] = {0};

	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		assert_int_equal(effect_add(&b, &samples[i]), 0);
		ends[i + 1] = b.len;
	}
	for (size_t len = 0; len < b.len; len++) {
		/* of its own size, so that a sanitizer sees a read beyond it */
		uint8_t *copy = malloc(len + !len);
		struct buf_reader r;
		struct effect e;
		size_t n = 0;
		int ret;

		assert_non_null(copy);
		memcpy(copy, b.data, len);
		r = buf_reader(copy, len);
		while ((ret = effect_next(&r, &e)) == 0) {
			assert_effect(&e, &samples[n]);
			n++;
		}
		assert_true(ends[n] <= len);
		assert_true(ends[n + 1] > len);
		assert_int_equal(ret, ends[n] == len ? 1 : -ECORRUPT);
		free(copy);
	}
	buf_free(&b);
}

static void test_refused(void **state)
{
	static const uint8_t kinds[] = {0, EFFECT_TIMES + 1, 0x80, 0xff};
	struct effect negative = samples[0], untouched, e = {0};
	struct buf b = {0};
	struct buf_reader r;

	(void)state;
	memset(&e, 0x5a, sizeof e);
	untouched = e;
	for (size_t i = 0; i < sizeof kinds; i++) {
		add_samples(&b);
		b.data[0] = kinds[i];
		r = buf_reader(b.data, b.len);
		assert_int_equal(effect_next(&r, &e), -ECORRUPT);
		buf_reset(&b);
	}
	negative.off = -1;
	assert_int_equal(effect_add(&b, &negative), 0);
	r = buf_reader(b.data, b.len);
	assert_int_equal(effect_next(&r, &e), -ECORRUPT);
	buf_reset(&b);
	negative = samples[2];
	negative.len = INT64_MIN;
	assert_int_equal(effect_add(&b, &negative), 0);
	r = buf_reader(b.data, b.len);
	assert_int_equal(effect_next(&r, &e), -ECORRUPT);
	assert_memory_equal(&e, &untouched, sizeof e);
	buf_free(&b);
}

static void test_garbage(void **state)
{
	uint64_t rng = 1;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		uint8_t *text = malloc(48);
		size_t len, n = 0;
		struct buf_reader r;
		struct effect e;
		int ret;

		assert_non_null(text);
		for (size_t i = 0; i < 48; i++) {
			rng = rng * 6364136223846793005ULL + 1442695040888963407ULL;
			text[i] = (uint8_t)(rng >> 40) & (rng >> 60 ? 0xff : 7);
		}
		len = (size_t)(rng >> 33) % 49;
		text[0] = (uint8_t)(1 + (rng >> 50) % 4); /* a kind that there is */
		r = buf_reader(text, len);
		while ((ret = effect_next(&r, &e)) == 0) {
			assert_true(e.off >= 0 && e.len >= 0);
			assert_true(e.kind >= EFFECT_WRITE && e.kind <= EFFECT_TIMES);
			assert_true(++n <= len);
		}
		assert_true(ret == 1 || ret == -ECORRUPT);
		free(text);
	}
}

static void test_split(void **state)
{
	static const uint8_t rows[] = "row effects";
	struct buf b = {0};
	struct buf_reader r;
	const void *found;
	struct effect e;
	size_t len;

	(void)state;
	assert_int_equal(buf_add_bytes(&b, rows, sizeof rows), 0);
	assert_int_equal(effect_add(&b, &samples[0]), 0);
	assert_int_equal(effects_split(b.data, b.len, &found, &len, &r), 0);
	assert_int_equal(len, sizeof rows);
	assert_memory_equal(found, rows, len);
	assert_int_equal(effect_next(&r, &e), 0);
	assert_effect(&e, &samples[0]);
	assert_true(effect_next(&r, &e) > 0);

	/* nothing at all is no effects; a length beyond the end is damage */
	assert_int_equal(effects_split(b.data, 0, &found, &len, &r), 0);
	assert_int_equal(len, 0);
	assert_true(effect_next(&r, &e) > 0);
	assert_int_equal(effects_split(b.data, sizeof rows, &found, &len, &r), -ECORRUPT);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_truncated), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_garbage),	   cmocka_unit_test(test_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
