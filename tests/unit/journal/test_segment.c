#include "tests/unit/journal/journal_fixture.h"

#include "store/base/le.h"

static const struct segment_use USE = {7, 0x1234, 55, true};

static void test_head_round_trip(void **state)
{
	struct segment seg = {.size = SEGMENT};
	struct segment_use use;
	uint8_t head[SEGMENT_HEAD_LEN];
	uint64_t size;

	(void)state;
	memcpy(seg.store_id, STORE_ID, 16);
	segment_head_encode(head, &seg, &USE);
	assert_int_equal(segment_head_decode(head, sizeof head, STORE_ID, &use, &size), 0);
	assert_int_equal(use.generation, 7);
	assert_int_equal(use.salt, 0x1234);
	assert_int_equal(use.first_batch, 55);
	assert_true(use.continues);
	assert_int_equal(size, SEGMENT);
	for (size_t bit = 0; bit < sizeof head * 8; bit++) {
		head[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_int_equal(segment_head_decode(head, sizeof head, STORE_ID, &use, &size), -ECORRUPT);
		head[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	assert_int_equal(segment_head_decode(head, sizeof head - 1, STORE_ID, &use, &size), -ECORRUPT);
	assert_int_equal(segment_head_decode(head, sizeof head, (const uint8_t *)"another-store-id", &use, &size), -EXDEV);
}

static void test_batch_needs_its_id(void **state)
{
	struct batch_id id = {3, 9, 77};
	struct batch_id wrong;
	uint8_t p[BATCH_HEADER_LEN + 100];
	struct batch_info got;
	uint64_t sum;

	(void)state;
	memset(p, 0x33, sizeof p);
	sum = batch_seal(p, 100, 2, &id, 5, 6);
	assert_int_equal(batch_parse(p, sizeof p, &id, &got), 0);
	assert_int_equal(got.len, 100);
	assert_true(got.sum == sum);
	assert_int_equal(got.after, 6);
	wrong = (struct batch_id){4, 9, 77};
	assert_int_equal(batch_parse(p, sizeof p, &wrong, &got), -ECORRUPT);
	wrong = (struct batch_id){3, 10, 77};
	assert_int_equal(batch_parse(p, sizeof p, &wrong, &got), -ECORRUPT);
	wrong = (struct batch_id){3, 9, 78};
	assert_int_equal(batch_parse(p, sizeof p, &wrong, &got), -ECORRUPT);
	assert_int_equal(batch_parse(p, sizeof p - 1, &id, &got), -ECORRUPT);
	for (size_t bit = 0; bit < sizeof p * 8; bit++) {
		p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_int_equal(batch_parse(p, sizeof p, &id, &got), -ECORRUPT);
		p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
}

static void test_random_bytes(void **state)
{
	struct batch_id id = {3, 9, 77};

	(void)state;
	srandom(2);
	for (int i = 0; i < 50000; i++) {
		size_t n = (size_t)random() % 160;
		uint8_t *p = calloc(1, n ? n : 1);
		struct segment_use use;
		struct batch_info info;
		uint64_t num;

		if (n > BATCH_HEADER_LEN) {
			(void)batch_seal(p, n - BATCH_HEADER_LEN, 1, &id, 5, 6);
			le64_put(p + 32, i % 2 ? (uint64_t)random() % 256 : UINT64_MAX - (uint64_t)random() % 256);
		}
		if (i % 3 == 0)
			for (size_t k = 0; k < n; k++)
				p[k] = (uint8_t)random();
		if (batch_parse(p, n, &id, &info) == 0)
			assert_true(info.len <= n - BATCH_HEADER_LEN);
		assert_true(segment_head_decode(p, n, STORE_ID, &use, &num) != 0);
		free(p);
	}
}

/* A new use takes the other slot: a header write that tears leaves the use before it. */
static void test_torn_header(void **state)
{
	struct segment_use use = USE;
	struct segment seg;
	struct scratch s;
	uint8_t junk[SEGMENT_HEAD_LEN - 1];

	(void)state;
	scratch_make(&s);
	assert_int_equal(segment_open(s.fd, 0, STORE_ID, SEGMENT, &seg, NULL), 0);
	assert_int_equal(seg.use.generation, 0);
	assert_int_equal(segment_begin(&seg, &use), 0);
	use.generation = 9;
	assert_int_equal(segment_begin(&seg, &use), 0);
	segment_close(&seg);

	/* An existing segment keeps its size. */
	assert_int_equal(segment_open(s.fd, 0, STORE_ID, 2 * SEGMENT, &seg, NULL), 0);
	assert_int_equal(seg.size, SEGMENT);
	assert_int_equal(seg.use.generation, 9);
	memset(junk, 0xff, sizeof junk);
	assert_int_equal(pwrite(seg.fd, junk, sizeof junk, seg.slot * SEGMENT_BLOCK), sizeof junk);
	segment_close(&seg);
	assert_int_equal(segment_open(s.fd, 0, STORE_ID, SEGMENT, &seg, NULL), 0);
	assert_int_equal(seg.use.generation, 7);
	segment_close(&seg);
	segment_close(&seg);
	scratch_remove(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_head_round_trip),
		cmocka_unit_test(test_batch_needs_its_id),
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_torn_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
