#include <xxhash.h>

#include "fixture.h"
#include "store/base/le.h"
#include "store/chunk/pack_format.h"

static uint8_t secret[CHUNK_SECRET_LEN];

static struct pack_record sample(void)
{
	return (struct pack_record){
		.loc = {.pack = 0x01020304,
			.off = 96 + 4711,
			.stored_len = 1000,
			.raw_len = 65000,
			.codec = CHUNK_ZSTD,
			.hash = {.lo = 0x1111222233334444, .hi = 0x5555666677778888}},
		.owner = {.branch = -5, .ino = 0xabcdef, .off = 1ULL << 40},
		.sequence = 0x0102030405060708,
	};
}

static int setup(void **state)
{
	(void)state;
	fixture_random(9, secret, sizeof secret);
	return 0;
}

/* Signs a header that a test has changed, as its writer would have. */
static void sign(uint8_t header[CHUNK_RECORD_HEADER_LEN])
{
	XXH128_hash_t sum = XXH3_128bits_withSecret(header, 80, secret, sizeof secret);

	le64_put(header + 80, sum.low64);
	le64_put(header + 88, sum.high64);
}

static void round_trip(void **state)
{
	uint8_t header[CHUNK_RECORD_HEADER_LEN + 1];
	struct pack_record rec = sample(), back;

	(void)state;
	pack_record_encode(&rec, secret, header + 1); /* at an odd address */
	assert_int_equal(pack_record_parse(header + 1, CHUNK_RECORD_HEADER_LEN, secret, &back), 0);
	assert_int_equal(back.loc.pack, rec.loc.pack);
	assert_int_equal(back.loc.off, rec.loc.off);
	assert_int_equal(back.loc.stored_len, rec.loc.stored_len);
	assert_int_equal(back.loc.raw_len, rec.loc.raw_len);
	assert_int_equal(back.loc.codec, rec.loc.codec);
	assert_true(back.loc.hash.lo == rec.loc.hash.lo);
	assert_true(back.loc.hash.hi == rec.loc.hash.hi);
	assert_true(back.owner.branch == rec.owner.branch);
	assert_true(back.owner.ino == rec.owner.ino);
	assert_true(back.owner.off == rec.owner.off);
	assert_true(back.sequence == rec.sequence);
}

/* The byte table of pack_format.h. */
static void bytes_are_where_they_belong(void **state)
{
	static const uint8_t start[] = {'V', 'C', 'h', 'k', 1, 0, 1, 0, 0xe8, 0xfd, 0, 0, 0xe8, 3, 0, 0, 0x44, 0x44, 0x33};
	uint8_t header[CHUNK_RECORD_HEADER_LEN], signed_again[CHUNK_RECORD_HEADER_LEN];
	struct pack_record rec = sample();

	(void)state;
	pack_record_encode(&rec, secret, header);
	assert_memory_equal(header, start, sizeof start);
	assert_true(le64_get(header + 24) == rec.loc.hash.hi);
	assert_true((int64_t)le64_get(header + 32) == -5);
	assert_true(le64_get(header + 40) == 0xabcdef);
	assert_true(le64_get(header + 48) == 1ULL << 40);
	assert_true(le64_get(header + 56) == rec.sequence);
	assert_int_equal(le32_get(header + 64), 0x01020304);
	assert_int_equal(le32_get(header + 68), 96 + 4711);
	assert_true(le64_get(header + 72) == 0);
	memcpy(signed_again, header, sizeof header);
	sign(signed_again);
	assert_memory_equal(header, signed_again, sizeof header);
}

static void truncated_and_flipped(void **state)
{
	uint8_t header[CHUNK_RECORD_HEADER_LEN], other_secret[CHUNK_SECRET_LEN];
	struct pack_record rec = sample(), back = {.sequence = 42};

	(void)state;
	pack_record_encode(&rec, secret, header);
	for (size_t len = 0; len < sizeof header; len++) {
		uint8_t *exact = malloc(len + !len); /* so that a sanitizer sees a look beyond it */

		memcpy(exact, header, len);
		assert_int_equal(pack_record_parse(exact, len, secret, &back), -ENODATA);
		free(exact);
	}
	for (size_t bit = 0; bit < 8 * sizeof header; bit++) {
		header[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(pack_record_parse(header, sizeof header, secret, &back), -ECORRUPT);
		header[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	fixture_random(10, other_secret, sizeof other_secret);
	assert_int_equal(pack_record_parse(header, sizeof header, other_secret, &back), -ECORRUPT);
	assert_true(back.sequence == 42);
}

/* Headers that are rightly signed but say what cannot be. */
static void nonsense_is_refused(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
	} changes[] = {
		{8, 0},                        /* no content */
		{8, CHUNK_LEN_MAX + 1},        /* too much of it */
		{12, 0},                       /* no payload */
		{12, 65001},                   /* more payload than content */
		{64, 0},                       /* pack 0 */
		{68, 95},                      /* no room for the header */
		{68, (uint32_t)PACK_SIZE_MAX}, /* beyond the pack */
		{68, UINT32_MAX},
		{4, 0x00010002}, /* version 2 */
		{4, 0x00020001}, /* codec 2 */
		{4, 0x00000001}, /* raw, with two lengths */
		{4, 0x01010001}, /* not zero */
		{72, 1},         /* not zero */
		{0, 0},          /* no magic */
	};
	uint8_t header[CHUNK_RECORD_HEADER_LEN];
	struct pack_record rec = sample(), back;

	(void)state;
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		pack_record_encode(&rec, secret, header);
		le32_put(header + changes[i].at, changes[i].value);
		sign(header);
		assert_int_equal(pack_record_parse(header, sizeof header, secret, &back), -ECORRUPT);
	}
}

static void random_input(void **state)
{
	uint8_t noise[4096];
	struct pack_record back;

	(void)state;
	fixture_random(11, noise, sizeof noise);
	for (size_t i = 0; i + CHUNK_RECORD_HEADER_LEN <= sizeof noise; i++) {
		assert_int_equal(pack_record_parse(noise + i, sizeof noise - i, secret, &back), -ECORRUPT);
		if (i + 6 <= sizeof noise)
			memcpy(noise + i, "VChk\x01", 6); /* gets as far as the checksum */
		assert_int_equal(pack_record_parse(noise + i, sizeof noise - i, secret, &back), -ECORRUPT);
	}
}

static void names(void **state)
{
	static const char *const bad[] = {"00000000.pack", "0000001.pack", "00000001.pac", "0000000A.pack", "+0000001.pack",
					  "00000001.pack~", "", "zzzzzzzz.pack"};
	char name[PACK_NAME_LEN + 1];
	uint32_t id = 7;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(pack_name_parse(bad[i], &id));
	assert_int_equal(id, 7);
	pack_name(0xdeadbeef, name);
	assert_string_equal(name, "deadbeef.pack");
	assert_true(pack_name_parse(name, &id));
	assert_true(id == 0xdeadbeef);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(bytes_are_where_they_belong),
		cmocka_unit_test(truncated_and_flipped),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(random_input),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests_name("pack_format", tests, setup, NULL);
}
