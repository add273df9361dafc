#include "fixture.h"

#define CONTENT_LEN (3 * MIB)

struct state {
	struct fixture *f;
	uint8_t *blocks; /* aligned; content begins anywhere in its first block */
	struct pack *pack;
	int refused;
};

static int setup(void **state)
{
	struct state *s = calloc(1, sizeof *s);
	void *fixture;

	assert_int_equal(fixture_setup(&fixture), 0);
	s->f = fixture;
	s->blocks = aligned_alloc(PACK_BLOCK, CONTENT_LEN + PACK_BLOCK);
	assert_non_null(s->blocks);
	fixture_random(7, s->blocks, CONTENT_LEN + PACK_BLOCK);
	assert_int_equal(pack_create(s->f->cs->packs_fd, 1, &s->pack), 0);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct state *s = *state;
	void *fixture = s->f;

	io_set_hook(NULL, NULL);
	pack_free(s->pack);
	free(s->blocks);
	free(s);
	return fixture_teardown(&fixture);
}

/* What the file holds, against what was appended. */
static void check_content(struct state *s, const uint8_t *want, size_t len)
{
	uint8_t *got = malloc(len + 1);

	assert_int_equal(s->pack->end, len);
	assert_int_equal(pread(s->pack->fd, got, len + 1, 0), len);
	assert_memory_equal(got, want, len);
	free(got);
}

/* Appends content in pieces of these lengths, each lying in memory as its place in the file does. */
static void append_all(struct state *s)
{
	static const size_t lens[] = {1, 300 * KIB, 4095, 512 * KIB + 1, 256 * KIB, 255 * KIB, 700 * KIB + 77};
	uint8_t *want = malloc(CONTENT_LEN);
	size_t done = 0;

	for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
		uint8_t *data = s->blocks + done % PACK_BLOCK;

		fixture_random(i, data, lens[i]);
		memcpy(want + done, data, lens[i]);
		assert_int_equal(pack_append(s->pack, data, lens[i]), 0);
		done += lens[i];
		check_content(s, want, done);
	}
	assert_int_equal(pack_sync(s->pack), 0);
	assert_false(pack_dirty(s->pack));
	check_content(s, want, done);
	free(want);
}

static void appends_of_any_length(void **state)
{
	append_all(*state);
}

static void memory_that_lies_otherwise(void **state)
{
	struct state *s = *state;

	assert_int_equal(pack_append(s->pack, s->blocks + 1, MIB), 0);
	assert_int_equal(s->pack->direct_fd, -1);
	check_content(s, s->blocks + 1, MIB);
}

static int refuse_direct(void *arg, enum io_class cls, enum io_op op, const char *path, int fd, const void *data, size_t *len,
			 off_t off)
{
	struct state *s = arg;

	(void)cls;
	(void)path;
	(void)data;
	(void)off;
	if (op != IO_WRITE || fd != s->pack->direct_fd)
		return 0;
	s->refused++;
	*len = 0;
	return -EINVAL;
}

/* A filesystem may open a file so and refuse to write: it is asked once. */
static void refused_blocks_go_through_the_cache(void **state)
{
	struct state *s = *state;

	io_set_hook(refuse_direct, s);
	append_all(s);
	assert_true(s->pack->no_direct);
	assert_in_range(s->refused, 0, 1); /* 0: it could not even be opened so */
}

static int refuse_open(void *arg, enum io_class cls, enum io_op op, const char *path, int fd, const void *data, size_t *len,
		       off_t off)
{
	struct state *s = arg;

	(void)cls;
	(void)path;
	(void)fd;
	(void)data;
	(void)len;
	s->refused += op == IO_OPEN && off & O_DIRECT;
	return op == IO_OPEN && off & O_DIRECT ? -EINVAL : 0;
}

static void a_filesystem_without_it(void **state)
{
	struct state *s = *state;

	io_set_hook(refuse_open, s);
	append_all(s);
	assert_int_equal(s->refused, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(appends_of_any_length, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_that_lies_otherwise, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_blocks_go_through_the_cache, setup, teardown),
		cmocka_unit_test_setup_teardown(a_filesystem_without_it, setup, teardown),
	};

	return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
