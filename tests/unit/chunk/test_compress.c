#include "fixture.h"

struct memory {
	struct compress_pool *pool;
	struct compress_ctx *ctx;
	uint8_t data[CHUNK_LEN_MAX], stored[CHUNK_LEN_MAX], out[CHUNK_LEN_MAX];
};

static int setup(void **state)
{
	struct memory *m = calloc(1, sizeof *m);

	assert_int_equal(compress_pool_new(&m->pool), 0);
	assert_int_equal(compress_pool_get(m->pool, &m->ctx), 0);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct memory *m = *state;

	compress_pool_put(m->pool, m->ctx);
	compress_pool_free(m->pool);
	free(m);
	return 0;
}

static void round_trip(void **state)
{
	static const size_t lens[] = {1000, 4096, 16384, 32768, 65537, CHUNK_LEN_MAX};
	struct memory *m = *state;

	fixture_text(5, m->data, sizeof m->data);
	for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
		for (int level = 1; level <= 5; level += 2) {
			size_t n = compress_chunk(m->ctx, level, m->data, lens[i], m->stored);

			assert_in_range(n, 1, lens[i] - lens[i] / 16);
			memset(m->out, 0, lens[i]);
			assert_int_equal(compress_expand(m->ctx, m->stored, n, m->out, lens[i]), 0);
			assert_memory_equal(m->out, m->data, lens[i]);
		}
	}
}

static void what_does_not_shrink_stays_raw(void **state)
{
	static const size_t lens[] = {1, 2, 15, 100, 4096, 16384, 65536, CHUNK_LEN_MAX};
	struct memory *m = *state;

	fixture_random(6, m->data, sizeof m->data);
	for (size_t i = 0; i < sizeof lens / sizeof *lens; i++)
		assert_int_equal(compress_chunk(m->ctx, 1, m->data, lens[i], m->stored), 0);
}

/* Either sample is enough to have the whole chunk tried. */
static void samples_see_head_and_middle(void **state)
{
	struct memory *m = *state;

	fixture_random(7, m->data, 131072);
	memset(m->data + 60000, 'z', 71072);
	assert_in_range(compress_chunk(m->ctx, 1, m->data, 131072, m->stored), 1, 70000);
	fixture_random(7, m->data, 131072);
	memset(m->data, 'z', 30000);
	assert_in_range(compress_chunk(m->ctx, 1, m->data, 131072, m->stored), 1, 110000);
	/* a head that shrinks does not make the chunk worth compressing */
	fixture_random(7, m->data, 131072);
	memset(m->data, 'z', 4000);
	assert_int_equal(compress_chunk(m->ctx, 1, m->data, 131072, m->stored), 0);
}

static void damage_is_seen_or_harmless(void **state)
{
	struct memory *m = *state;
	size_t len = 20000, n;

	fixture_text(8, m->data, len);
	n = compress_chunk(m->ctx, 1, m->data, len, m->stored);
	assert_true(n > 0);
	assert_int_equal(compress_expand(m->ctx, m->stored, n, m->out, len - 1), -ECORRUPT);
	assert_int_equal(compress_expand(m->ctx, m->stored, n, m->out, len + 1), -ECORRUPT);
	assert_int_equal(compress_expand(m->ctx, m->stored, 0, m->out, len), -ECORRUPT);
	for (size_t cut = 1; cut < n; cut += 97)
		assert_int_equal(compress_expand(m->ctx, m->stored, cut, m->out, len), -ECORRUPT);
	for (size_t i = 0; i < n; i += 13) {
		int ret;

		m->stored[i] ^= 0x40;
		ret = compress_expand(m->ctx, m->stored, n, m->out, len);
		assert_true(ret == 0 || ret == -ECORRUPT || ret == -ENOMEM); /* the hash above judges what comes out */
		m->stored[i] ^= 0x40;
	}
}

static void pool_recycles(void **state)
{
	struct memory *m = *state;
	struct compress_ctx *held[40];

	for (size_t i = 0; i < 40; i++)
		assert_int_equal(compress_pool_get(m->pool, &held[i]), 0);
	for (size_t i = 0; i < 40; i++)
		compress_pool_put(m->pool, held[i]);
	compress_pool_put(m->pool, NULL);
	assert_int_equal(compress_pool_get(m->pool, &held[1]), 0);
	assert_ptr_equal(held[1], held[15]); /* the last one that was kept */
	compress_pool_put(m->pool, held[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(what_does_not_shrink_stays_raw, setup, teardown),
		cmocka_unit_test_setup_teardown(samples_see_head_and_middle, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_is_seen_or_harmless, setup, teardown),
		cmocka_unit_test_setup_teardown(pool_recycles, setup, teardown),
	};

	return cmocka_run_group_tests_name("compress", tests, NULL, NULL);
}
