#include <pthread.h>

#include "fixture.h"

#define CONTENT_LEN (3 * MIB + 12345)

static uint8_t *content(bool text)
{
	uint8_t *data = malloc(CONTENT_LEN);

	if (text)
		fixture_text(21, data, CONTENT_LEN);
	else
		fixture_random(22, data, CONTENT_LEN);
	return data;
}

static void store(struct fixture *f, const uint8_t *data, size_t len, int level)
{
	assert_int_equal(fixture_add(f, data, len, 0, level), 0);
	assert_int_equal(chunk_writer_sync(f->w), 0);
	fixture_settle(f);
}

static void reopened_store_reads_what_was_written(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = content(true);

	store(f, data, CONTENT_LEN, 1);
	chunk_writer_free(f->w);
	chunk_store_free(f->cs);
	fixture_open(f);
	fixture_writer(f);
	fixture_verify(f, data, CONTENT_LEN);
	assert_true(stats_get(&f->stats.chunks_corrupt) == 0);
	free(data);
}

/* What a chunk is stored as comes out beside what it is. */
static void content_and_frame(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = content(true), *out = malloc(CHUNK_LEN_MAX), *frame = malloc(CHUNK_LEN_MAX),
		*again = malloc(CHUNK_LEN_MAX);
	const struct chunk_loc *loc = &f->pieces[0].loc;
	struct compress_pool *pool;
	struct compress_ctx *ctx;

	store(f, data, CONTENT_LEN, 1);
	assert_int_equal(loc->codec, CHUNK_ZSTD);
	assert_int_equal(chunk_store_read_both(f->cs, loc, out, frame), 0);
	assert_memory_equal(out, data, loc->raw_len);
	assert_int_equal(compress_pool_new(&pool), 0);
	assert_int_equal(compress_pool_get(pool, &ctx), 0);
	assert_int_equal(compress_expand(ctx, frame, loc->stored_len, again, loc->raw_len), 0);
	assert_memory_equal(again, data, loc->raw_len);
	compress_pool_put(pool, ctx);
	compress_pool_free(pool);
	free(data);
	free(out);
	free(frame);
	free(again);
}

/* Any flipped bit of any payload is seen, compressed or not. */
static void corruption_is_detected(void **state)
{
	struct fixture *f = *state;
	uint8_t *out = malloc(CHUNK_LEN_MAX);
	uint64_t seen = 0;

	for (int text = 0; text <= 1; text++) {
		uint8_t *data = content(text);

		store(f, data, CONTENT_LEN, 1);
		assert_int_equal(f->pieces[0].loc.codec, text ? CHUNK_ZSTD : CHUNK_RAW);
		for (size_t i = 0; i < f->npieces; i++) {
			const struct chunk_loc *loc = &f->pieces[i].loc;
			uint32_t at = (uint32_t)(i * 7919) % loc->stored_len;

			fixture_flip(f, loc, at);
			assert_int_equal(chunk_store_read(f->cs, loc, out, false), -ECORRUPT);
			assert_true(stats_get(&f->stats.chunks_corrupt) == ++seen);
			fixture_flip(f, loc, at);
		}
		fixture_verify(f, data, CONTENT_LEN);
		free(data);
	}
	free(out);
}

static void impossible_locations(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = content(false), *out = malloc(CHUNK_LEN_MAX);
	struct chunk_loc good, loc;

	store(f, data, CONTENT_LEN, 0);
	good = f->pieces[0].loc;
	loc = good;
	loc.pack = 4711; /* no such file */
	assert_int_equal(chunk_store_read(f->cs, &loc, out, false), -ECORRUPT);
	loc = good;
	loc.off = (uint32_t)(PACK_SIZE_MAX - loc.stored_len); /* beyond the end */
	assert_int_equal(chunk_store_read(f->cs, &loc, out, false), -ECORRUPT);
	loc.off++;
	assert_int_equal(chunk_store_read(f->cs, &loc, out, false), -ECORRUPT);
	loc = good;
	loc.raw_len = loc.stored_len = UINT32_MAX;
	assert_int_equal(chunk_store_read(f->cs, &loc, out, false), -ECORRUPT);
	loc = good;
	loc.codec = CHUNK_ZSTD; /* raw bytes are no frame */
	assert_int_equal(chunk_store_read(f->cs, &loc, out, false), -ECORRUPT);
	loc.codec = (enum chunk_codec)9;
	assert_int_equal(chunk_store_read(f->cs, &loc, out, false), -ECORRUPT);
	assert_true(stats_get(&f->stats.chunks_corrupt) == 6);
	assert_int_equal(chunk_store_read(f->cs, &good, out, false), 0);
	free(data);
	free(out);
}

static void nowait(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = content(true), *out = malloc(CHUNK_LEN_MAX);
	int ret;

	store(f, data, CONTENT_LEN, 1);
	for (size_t i = 0, pos = 0; i < f->npieces; pos += f->pieces[i++].len) {
		ret = chunk_store_read(f->cs, &f->pieces[i].loc, out, true);
		assert_true(ret == 0 || ret == -EAGAIN);
		if (ret == 0)
			assert_memory_equal(out, data + pos, f->pieces[i].len);
	}
	free(data);
	free(out);
}

static void punch_gives_blocks_back(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = content(false), *out = malloc(CHUNK_LEN_MAX);
	uint64_t before, after, from, len;
	const struct chunk_loc *dead, *first, *last;

	store(f, data, CONTENT_LEN, 0);
	chunk_writer_free(f->w); /* leaves the pack */
	fixture_writer(f);
	assert_true(f->npieces > 4);
	first = &f->pieces[0].loc;
	dead = &f->pieces[1].loc;
	last = &f->pieces[2].loc;
	from = dead->off - CHUNK_RECORD_HEADER_LEN;
	len = CHUNK_RECORD_HEADER_LEN + dead->stored_len;
	assert_int_equal(chunk_store_disk_usage(f->cs, &before), 0);
	assert_true(before >= CONTENT_LEN);
	assert_int_equal(chunk_store_punch(f->cs, dead->pack, from, from + len), 0);
	assert_int_equal(chunk_store_disk_usage(f->cs, &after), 0);
	assert_true(before - after >= len - 2 * 4096);
	assert_true(before - after <= len);
	assert_true(stats_get(&f->stats.bytes_punched) == before - after);
	assert_int_equal(chunk_store_read(f->cs, first, out, false), 0);
	assert_int_equal(chunk_store_read(f->cs, dead, out, false), -ECORRUPT);
	assert_int_equal(chunk_store_read(f->cs, last, out, false), 0);
	/* less than a block, and a pack that is gone */
	assert_int_equal(chunk_store_punch(f->cs, last->pack, last->off, last->off + 100), 0);
	assert_int_equal(chunk_store_read(f->cs, last, out, false), 0);
	assert_int_equal(chunk_store_punch(f->cs, 4711, 0, 1 << 20), 0);
	free(data);
	free(out);
}

static void removed_pack(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = content(false), *out = malloc(CHUNK_LEN_MAX);
	uint64_t usage;

	store(f, data, CONTENT_LEN, 0);
	chunk_writer_free(f->w);
	fixture_writer(f);
	fixture_verify(f, data, CONTENT_LEN); /* so that its descriptor is cached */
	assert_int_equal(chunk_store_remove_pack(f->cs, f->pieces[0].loc.pack), 0);
	assert_int_equal(chunk_store_remove_pack(f->cs, f->pieces[0].loc.pack), 0);
	assert_int_equal(chunk_store_read(f->cs, &f->pieces[0].loc, out, false), -ECORRUPT);
	assert_int_equal(chunk_store_disk_usage(f->cs, &usage), 0);
	assert_true(usage == 0);
	free(data);
	free(out);
}

static void leftovers_are_removed(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = content(false);
	uint64_t usage;
	int fd;

	store(f, data, CONTENT_LEN, 0); /* pack 1, with space reserved: its writer lives */
	for (int i = 0; i < 3; i++) {
		char name[32];

		(void)snprintf(name, sizeof name, "packs/%08x.pack", ++f->last_pack);
		fd = openat(f->dirfd, name, O_CREAT | O_WRONLY, 0600);
		assert_int_equal(write(fd, "leftover", 8), 8);
		(void)close(fd);
	}
	assert_int_equal(f->last_pack, 4);
	assert_int_equal(chunk_store_remove_packs_from(f->cs, 3), 0);
	for (uint32_t id = 1; id <= 4; id++) {
		fd = fixture_open_pack(f, id);
		assert_int_equal(fd >= 0, id < 3);
		if (fd >= 0)
			(void)close(fd);
	}
	assert_int_equal(chunk_store_disk_usage(f->cs, &usage), 0);
	assert_true(usage < CONTENT_LEN + 64 * KIB);
	fixture_verify(f, data, CONTENT_LEN);
	free(data);
}

#define THREADS 4
#define PACKS (PACK_CACHE_SLOTS + 20)

struct reader {
	struct fixture *f;
	uint64_t seed;
	int failures;
};

static void *read_at_random(void *arg)
{
	struct reader *r = arg;
	uint8_t out[5000];

	for (int i = 0; i < 2000; i++) {
		size_t which = (r->seed = r->seed * 6364136223846793005ULL + 1) >> 40;
		const struct chunk_loc *loc = &r->f->table[which % r->f->ntable];

		r->failures += chunk_store_read(r->f->cs, loc, out, false) != 0;
		if (i % 50 == 0)
			pack_cache_forget(r->f->cs->packs, loc->pack);
	}
	return NULL;
}

/* More packs than slots, read by several threads at once: descriptors are shared, evicted and forgotten. */
static void many_readers(void **state)
{
	struct fixture *f = *state;
	struct reader readers[THREADS];
	pthread_t threads[THREADS];
	uint8_t data[5000];

	chunk_store_limit_packs(f->cs, 6000); /* one chunk each */
	for (size_t i = 0; i < PACKS; i++) {
		fixture_text(1000 + i, data, sizeof data);
		assert_int_equal(fixture_add(f, data, sizeof data, 0, (int)i % 2), 0);
		assert_int_equal(chunk_writer_flush(f->w), 0);
		fixture_settle(f);
	}
	assert_int_equal(chunk_writer_sync(f->w), 0);
	assert_int_equal(f->last_pack, PACKS);
	for (size_t i = 0; i < THREADS; i++) {
		readers[i] = (struct reader){.f = f, .seed = i + 1};
		assert_int_equal(pthread_create(&threads[i], NULL, read_at_random, &readers[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(readers[i].failures, 0);
	}
}

static void open_reports_its_failure(void **state)
{
	struct fixture *f = *state;
	struct chunk_store *cs = NULL;
	struct err err = {0};
	int fd = openat(f->dirfd, "packs", O_RDONLY | O_DIRECTORY), file;

	file = openat(fd, "packs", O_CREAT | O_WRONLY, 0600); /* a file where the folder should be */
	assert_int_equal(chunk_store_open(fd, f->secret, NULL, &cs, &err), -ENOTDIR);
	assert_int_equal(err.code, ENOTDIR);
	assert_null(cs);
	assert_int_equal(unlinkat(fd, "packs", 0), 0);
	(void)close(file);
	(void)close(fd);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reopened_store_reads_what_was_written),
		TEST(content_and_frame),
		TEST(corruption_is_detected),
		TEST(impossible_locations),
		TEST(nowait),
		TEST(punch_gives_blocks_back),
		TEST(removed_pack),
		TEST(leftovers_are_removed),
		TEST(many_readers),
		TEST(open_reports_its_failure),
	};

	return cmocka_run_group_tests_name("chunk_store", tests, NULL, NULL);
}
