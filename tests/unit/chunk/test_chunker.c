#include "fixture.h"

#define CONTENT_LEN (8 * MIB)
#define CUTS_MAX 1024

struct cuts {
	size_t len[CUTS_MAX];
	size_t count;
};

static struct chunker_gear gear;

static int setup(void **state)
{
	uint8_t *data = malloc(CONTENT_LEN + 100);

	chunker_gear_init(&gear);
	fixture_random(42, data, CONTENT_LEN + 100);
	*state = data;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* Cuts content fed in pieces of `step` bytes; 0 is all at once. */
static void cut_all(const uint8_t *data, size_t len, size_t step, struct cuts *cuts)
{
	size_t pos = 0, n;
	bool cut = false;

	cuts->count = 0;
	while (pos < len) {
		struct chunker c = chunker_start(&gear);

		do {
			n = len - pos;
			if (step && n > step - pos % step)
				n = step - pos % step;
			pos += chunker_feed(&c, data + pos, n, &cut);
		} while (!cut && pos < len);
		assert_true(cuts->count < CUTS_MAX);
		cuts->len[cuts->count++] = c.len;
	}
}

/* The definition in chunker.h, word by word and slowly. */
static size_t cut_by_definition(const uint8_t *data, size_t len)
{
	uint64_t hash = 0;

	for (size_t i = CHUNK_LEN_MIN - 64; i < len && i < CHUNK_LEN_MAX; i++) {
		hash = (hash << 1) + gear.table[data[i]];
		if (i < CHUNK_LEN_MIN)
			continue;
		if (hash >> (i < CHUNK_LEN_AVG ? 46 : 50) == 0)
			return i + 1;
	}
	return len < CHUNK_LEN_MAX ? len : CHUNK_LEN_MAX;
}

static void follows_its_definition(void **state)
{
	const uint8_t *data = *state;
	struct cuts cuts;
	size_t pos = 0;

	cut_all(data, CONTENT_LEN, 0, &cuts);
	for (size_t i = 0; i < cuts.count; i++) {
		assert_int_equal(cuts.len[i], cut_by_definition(data + pos, CONTENT_LEN - pos));
		pos += cuts.len[i];
	}
	assert_int_equal(pos, CONTENT_LEN);
}

/* The format's own numbers: a change of these would make old and new content stop sharing. */
static void format_is_fixed(void **state)
{
	const uint8_t *data = *state;
	struct cuts cuts;

	assert_true(gear.table[0] == 0x12a0add5160a23ecULL);
	assert_true(gear.table[255] == 0x41966321bada1624ULL);
	cut_all(data, CONTENT_LEN, 0, &cuts);
	assert_int_equal(cuts.len[0], 115673);
	assert_int_equal(cuts.len[1], 78577);
	assert_int_equal(cuts.len[2], 86680);
}

static void lengths_are_bounded(void **state)
{
	const uint8_t *data = *state;
	struct cuts cuts;
	uint8_t *zeros;

	cut_all(data, CONTENT_LEN, 0, &cuts);
	for (size_t i = 0; i + 1 < cuts.count; i++) {
		assert_true(cuts.len[i] > CHUNK_LEN_MIN);
		assert_true(cuts.len[i] <= CHUNK_LEN_MAX);
	}
	assert_in_range(CONTENT_LEN / cuts.count, CHUNK_LEN_AVG / 4 * 3, CHUNK_LEN_AVG / 2 * 3);
	zeros = calloc(1, 2 * CHUNK_LEN_MAX + 5);
	cut_all(zeros, 2 * CHUNK_LEN_MAX + 5, 0, &cuts);
	assert_int_equal(cuts.count, 3);
	assert_int_equal(cuts.len[0], CHUNK_LEN_MAX);
	assert_int_equal(cuts.len[2], 5);
	free(zeros);
}

static void layout_does_not_matter(void **state)
{
	static const size_t steps[] = {1, 7, 63, 64, 4096, 16384, 65536, 100001, 262144, 1048576};
	const uint8_t *data = *state;
	struct cuts whole, parts;

	cut_all(data, CONTENT_LEN, 0, &whole);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		cut_all(data, CONTENT_LEN, steps[i], &parts);
		assert_int_equal(parts.count, whole.count);
		assert_memory_equal(parts.len, whole.len, whole.count * sizeof *whole.len);
	}
}

static void shifted_content_is_found_again(void **state)
{
	uint8_t *data = *state;
	struct cuts plain, shifted;
	size_t a = 0, b = 0, pos_a = 0, pos_b = 0, same = 0;

	/* data + 100 with 100 bytes in front of it */
	cut_all(data + 100, CONTENT_LEN, 0, &plain);
	cut_all(data, CONTENT_LEN + 100, 0, &shifted);
	while (a < plain.count && b < shifted.count) {
		if (pos_a + 100 == pos_b && plain.len[a] == shifted.len[b])
			same++;
		if (pos_a + 100 <= pos_b)
			pos_a += plain.len[a++];
		else
			pos_b += shifted.len[b++];
	}
	assert_true(same >= plain.count * 9 / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(follows_its_definition, setup, teardown),
		cmocka_unit_test_setup_teardown(format_is_fixed, setup, teardown),
		cmocka_unit_test_setup_teardown(lengths_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(layout_does_not_matter, setup, teardown),
		cmocka_unit_test_setup_teardown(shifted_content_is_found_again, setup, teardown),
	};

	return cmocka_run_group_tests_name("chunker", tests, NULL, NULL);
}
