#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/base/err.h"
#include "store/base/le.h"
#include "store/journal/record.h"

static const struct record_head HEAD = {0x1122334455667788, 42, UINT64_MAX, -17, RECORD_DATA, 0xbeef};

/* Encodes a record into fresh memory of exactly its length, so that a sanitizer sees any read beyond it. */
static uint8_t *encoded(size_t effects_len, size_t data_len, enum record_sum sum, size_t *ret_len)
{
	size_t len = RECORD_HEADER_LEN + effects_len + data_len;
	uint8_t *p = malloc(len);
	struct record rec = {99, HEAD, p + RECORD_HEADER_LEN, effects_len, p + RECORD_HEADER_LEN + effects_len, data_len};

	assert_non_null(p);
	for (size_t i = RECORD_HEADER_LEN; i < len; i++)
		p[i] = (uint8_t)(i * 7);
	record_encode(p, &rec, sum);
	*ret_len = len;
	return p;
}

static void test_round_trip(void **state)
{
	static const size_t sizes[] = {0, 1, 63, 64, 65, 4096, 70000};

	(void)state;
	for (size_t e = 0; e < sizeof sizes / sizeof *sizes; e++)
		for (size_t d = 0; d < sizeof sizes / sizeof *sizes; d++)
			for (int sum = RECORD_SUM_HEAD; sum <= RECORD_SUM_ALL; sum++) {
				size_t len;
				size_t got;
				struct record rec;
				uint8_t *p = encoded(sizes[e], sizes[d], (enum record_sum)sum, &len);

				assert_int_equal(record_decode(p, len, (enum record_sum)sum, &rec, &got), 0);
				assert_int_equal(got, len);
				assert_int_equal(rec.seq, 99);
				assert_int_equal(rec.head.unique, HEAD.unique);
				assert_int_equal(rec.head.reply_ino, 42);
				assert_true(rec.head.reply_value == UINT64_MAX);
				assert_int_equal(rec.head.reply_error, -17);
				assert_int_equal(rec.head.kind, RECORD_DATA);
				assert_int_equal(rec.head.flags, 0xbeef);
				assert_int_equal(rec.effects_len, sizes[e]);
				assert_int_equal(rec.data_len, sizes[d]);
				assert_ptr_equal(rec.effects, p + RECORD_HEADER_LEN);
				assert_ptr_equal(rec.data, p + RECORD_HEADER_LEN + sizes[e]);
				free(p);
			}
}

static void test_iov_is_the_same(void **state)
{
	size_t len;
	uint8_t out[RECORD_HEADER_LEN];
	uint8_t *p = encoded(100, 1000, RECORD_SUM_ALL, &len);
	uint8_t *data = p + RECORD_HEADER_LEN + 100;
	struct iovec iov[4] = {{data, 1}, {data + 1, 0}, {data + 1, 500}, {data + 501, 499}};
	struct record rec = {99, HEAD, p + RECORD_HEADER_LEN, 100, NULL, 0};

	(void)state;
	record_encode_iov(out, &rec, iov, 4);
	assert_memory_equal(out, p, RECORD_HEADER_LEN);
	free(p);
}

static void test_every_flip_is_found(void **state)
{
	for (int sum = RECORD_SUM_HEAD; sum <= RECORD_SUM_ALL; sum++) {
		size_t len;
		uint8_t *p = encoded(50, 80, (enum record_sum)sum, &len);
		size_t covered = sum == RECORD_SUM_ALL ? len : RECORD_HEADER_LEN + 50;

		(void)state;
		for (size_t bit = 0; bit < len * 8; bit++) {
			struct record rec = {.seq = 5};
			size_t got = 7;
			int ret;

			p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
			ret = record_decode(p, len, (enum record_sum)sum, &rec, &got);
			p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
			assert_int_equal(ret, bit / 8 < covered ? -ECORRUPT : 0);
			if (ret) {
				assert_int_equal(rec.seq, 5);
				assert_int_equal(got, 7);
			}
		}
		free(p);
	}
}

static void test_every_truncation_is_found(void **state)
{
	size_t len;
	uint8_t *p = encoded(50, 80, RECORD_SUM_ALL, &len);

	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		struct record rec;
		size_t got;
		uint8_t *part = malloc(cut + 1);

		memcpy(part, p, cut);
		part = realloc(part, cut ? cut : 1);
		assert_int_equal(record_decode(part, cut, RECORD_SUM_ALL, &rec, &got), -ECORRUPT);
		free(part);
	}
	free(p);
}

/* Random bytes, and a valid record with random fields overwritten: the parser must stay inside its buffer. */
static void test_random_bytes(void **state)
{
	uint32_t magic;
	size_t len;
	uint8_t *good = encoded(20, 40, RECORD_SUM_ALL, &len);

	(void)state;
	magic = le32_get(good);
	srandom(1);
	for (int i = 0; i < 100000; i++) {
		size_t n = (size_t)random() % 200;
		uint8_t *p = malloc(n ? n : 1);
		struct record rec;
		size_t got;

		for (size_t k = 0; k < n; k++)
			p[k] = i % 2 && k < len ? good[k] : (uint8_t)random();
		if (n >= 8 && i % 3 == 0)
			le32_put(p, magic);
		if (n >= RECORD_HEADER_LEN && i % 2)
			le32_put(p + 4 + 4 * ((size_t)random() % 13), i % 5 ? (uint32_t)random() % 256 : UINT32_MAX);
		if (!record_decode(p, n, i % 7 ? RECORD_SUM_ALL : RECORD_SUM_HEAD, &rec, &got)) {
			assert_true(got <= n);
			assert_int_equal(got, RECORD_HEADER_LEN + rec.effects_len + rec.data_len);
		}
		free(p);
	}
	free(good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_iov_is_the_same),
		cmocka_unit_test(test_every_flip_is_found),
		cmocka_unit_test(test_every_truncation_is_found),
		cmocka_unit_test(test_random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
