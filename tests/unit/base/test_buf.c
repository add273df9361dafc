#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/base/buf.h"

static const uint64_t unsigned_cases[] = {0, 1, 127, 128, 300, 16383, 16384, UINT32_MAX, 1ULL << 63, UINT64_MAX};
static const int64_t signed_cases[] = {0, -1, 1, -64, 64, INT32_MIN, INT64_MAX, INT64_MIN};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static void fill(struct buf *b)
{
	for (size_t i = 0; i < COUNT(unsigned_cases); i++)
		assert_int_equal(buf_add_varint(b, unsigned_cases[i]), 0);
	for (size_t i = 0; i < COUNT(signed_cases); i++)
		assert_int_equal(buf_add_svarint(b, signed_cases[i]), 0);
	assert_int_equal(buf_add_u8(b, 0xfe), 0);
	assert_int_equal(buf_add_le32(b, 0x01020304), 0);
	assert_int_equal(buf_add_le64(b, 0x0102030405060708), 0);
	assert_int_equal(buf_add_bytes(b, "hello", 5), 0);
	assert_int_equal(buf_add_bytes(b, NULL, 0), 0);
	assert_int_equal(buf_add(b, "raw", 3), 0);
}

static void round_trip(void **state)
{
	struct buf b = {0};
	struct buf_reader r;
	size_t len;

	(void)state;
	fill(&b);
	r = buf_reader(b.data, b.len);
	for (size_t i = 0; i < COUNT(unsigned_cases); i++)
		assert_true(buf_get_varint(&r) == unsigned_cases[i]);
	for (size_t i = 0; i < COUNT(signed_cases); i++)
		assert_true(buf_get_svarint(&r) == signed_cases[i]);
	assert_int_equal(buf_get_u8(&r), 0xfe);
	assert_int_equal(buf_get_le32(&r), 0x01020304);
	assert_true(buf_get_le64(&r) == 0x0102030405060708);
	assert_memory_equal(buf_get_bytes(&r, &len), "hello", 5);
	assert_int_equal(len, 5);
	assert_non_null(buf_get_bytes(&r, &len));
	assert_int_equal(len, 0);
	assert_memory_equal(buf_get_raw(&r, 3), "raw", 3);
	assert_false(r.bad);
	assert_int_equal(buf_reader_left(&r), 0);
	buf_free(&b);
	assert_null(b.data);
}

static void truncated_input_stays_bad(void **state)
{
	struct buf b = {0};

	(void)state;
	fill(&b);
	for (size_t cut = 0; cut < b.len; cut++) {
		struct buf_reader r = buf_reader(b.data, cut);
		size_t len = 0;

		for (size_t i = 0; i < COUNT(unsigned_cases); i++)
			(void)buf_get_varint(&r);
		for (size_t i = 0; i < COUNT(signed_cases); i++)
			(void)buf_get_svarint(&r);
		(void)buf_get_u8(&r);
		(void)buf_get_le32(&r);
		(void)buf_get_le64(&r);
		(void)buf_get_bytes(&r, &len);
		(void)buf_get_bytes(&r, &len);
		assert_null(buf_get_raw(&r, 3));
		assert_true(r.bad);
		assert_null(buf_get_raw(&r, 0));
	}
	buf_free(&b);
}

static void overlong_varint_is_bad(void **state)
{
	uint8_t too_big[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
	uint8_t too_long[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00};
	uint8_t huge_len[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 'x'};
	struct buf_reader r = buf_reader(too_big, sizeof too_big);
	size_t len = 7;

	(void)state;
	assert_true(buf_get_varint(&r) == 0);
	assert_true(r.bad);
	r = buf_reader(too_long, sizeof too_long);
	assert_true(buf_get_varint(&r) == 0);
	assert_true(r.bad);
	r = buf_reader(huge_len, sizeof huge_len);
	assert_null(buf_get_bytes(&r, &len));
	assert_true(r.bad);
	assert_int_equal(len, 7);
}

static void reserve_limits(void **state)
{
	struct buf b = {0};

	(void)state;
	assert_int_equal(buf_add(&b, "abc", 3), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), -ENOMEM);
	assert_int_equal(buf_reserve(&b, 100000), 0);
	assert_true(b.cap >= 100003);
	assert_memory_equal(b.data, "abc", 3);
	buf_reset(&b);
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(truncated_input_stays_bad),
		cmocka_unit_test(overlong_varint_is_bad),
		cmocka_unit_test(reserve_limits),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
