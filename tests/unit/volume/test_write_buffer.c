/* The write buffer against a plain array: of every byte of a small file, which record it came from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/volume/write_buffer.h"

#define SIZE 96 /* small, so that ranges meet often */
#define ROUNDS 4000
#define STEPS 60

/* The bytes of record `seq`: no two neighbouring positions and no two records are alike. */
static uint8_t content[256][SIZE];

struct model {
	uint8_t seq[SIZE]; /* 0: not buffered */
};

static uint64_t rng;

static unsigned pick(unsigned n)
{
	rng = rng * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(rng >> 33) % n;
}

static void make_content(void)
{
	for (unsigned s = 0; s < 256; s++)
		for (unsigned i = 0; i < SIZE; i++)
			content[s][i] = (uint8_t)(s * 31 + i * 7);
}

static void assert_same(const struct write_buffer *wb, const struct model *m)
{
	int64_t bytes = 0, end = 0;
	size_t i = 0;

	write_buffer_check(wb);
	for (int64_t off = 0; off < SIZE; off++) {
		while (i < wb->n && wb->v[i].off + wb->v[i].len <= off)
			i++;
		assert_int_equal(write_buffer_seek(wb, off), i);
		if (!m->seq[off]) {
			assert_true(i == wb->n || wb->v[i].off > off);
			continue;
		}
		assert_true(i < wb->n && wb->v[i].off <= off);
		assert_int_equal(wb->v[i].seq, m->seq[off]);
		assert_ptr_equal(wb->v[i].data + (off - wb->v[i].off), &content[m->seq[off]][off]);
		bytes++;
		end = off + 1;
	}
	assert_int_equal(wb->bytes, bytes);
	assert_int_equal(write_buffer_end(wb), end);
}

static void pick_range(int64_t *off, int64_t *end)
{
	*off = pick(SIZE);
	*end = *off + 1 + pick(pick(3) ? 12 : SIZE);
	if (*end > SIZE)
		*end = SIZE;
}

static void insert(struct write_buffer *wb, struct model *m, unsigned seq)
{
	int64_t off, end;

	pick_range(&off, &end);
	assert_int_equal(write_buffer_reserve(wb), 0);
	write_buffer_insert(wb, &(struct range){off, end - off, seq, &content[seq][off]});
	memset(m->seq + off, (int)seq, (size_t)(end - off));
}

static void cut(struct write_buffer *wb, struct model *m)
{
	int64_t off, end;

	pick_range(&off, &end);
	assert_int_equal(write_buffer_reserve(wb), 0);
	write_buffer_cut(wb, off, pick(8) ? end : INT64_MAX - 1);
	if (write_buffer_end(wb) <= off)
		end = SIZE;
	memset(m->seq + off, 0, (size_t)(end - off));
}

static void cut_through(struct write_buffer *wb, struct model *m, unsigned newest)
{
	unsigned seq = newest ? pick(newest + 1) : 0;
	int64_t off, end;

	pick_range(&off, &end);
	assert_int_equal(write_buffer_cut_through(wb, off, end, seq), 0);
	for (int64_t i = off; i < end; i++)
		if (m->seq[i] <= seq)
			m->seq[i] = 0;
}

/* `wb` becomes what lies under `over`, which is how a drain that failed gives its ranges back. */
static void merge(struct write_buffer *wb, struct model *m, unsigned *seq)
{
	struct write_buffer over = {0};
	struct model top = {{0}};
	unsigned n = pick(4);

	while (n--)
		insert(&over, &top, ++*seq);
	assert_int_equal(write_buffer_merge_under(&over, wb), 0);
	assert_int_equal(wb->n, 0);
	assert_int_equal(wb->bytes, 0);
	write_buffer_free(wb);
	*wb = over;
	for (int i = 0; i < SIZE; i++)
		if (top.seq[i])
			m->seq[i] = top.seq[i];
}

static void test_against_model(void **state)
{
	const char *given = getenv("SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : 1;

	(void)state;
	rng = seed;
	print_message("SEED=%llu\n", (unsigned long long)seed);
	make_content();
	for (int round = 0; round < ROUNDS; round++) {
		struct write_buffer wb = {0};
		struct model m = {{0}};
		unsigned seq = 0;

		for (int step = 0; step < STEPS; step++) {
			switch (pick(8)) {
			case 0:
				cut(&wb, &m);
				break;
			case 1:
				cut_through(&wb, &m, seq);
				break;
			case 2:
				merge(&wb, &m, &seq);
				break;
			default:
				insert(&wb, &m, ++seq);
			}
			assert_same(&wb, &m);
		}
		write_buffer_free(&wb);
		assert_int_equal(wb.n, 0);
		assert_null(wb.v);
	}
}

static void test_empty(void **state)
{
	struct write_buffer wb = {0}, other = {0};

	(void)state;
	write_buffer_check(&wb);
	assert_int_equal(write_buffer_end(&wb), 0);
	assert_int_equal(write_buffer_seek(&wb, 0), 0);
	assert_int_equal(write_buffer_cut_through(&wb, 0, INT64_MAX, UINT64_MAX), 0);
	assert_int_equal(write_buffer_merge_under(&wb, &other), 0);
	assert_int_equal(wb.n, 0);
	assert_int_equal(write_buffer_reserve(&wb), 0);
	write_buffer_cut(&wb, 0, INT64_MAX);
	assert_int_equal(wb.n, 0);
	write_buffer_free(&wb);
	write_buffer_free(&other);
}

/* Room for one insertion or cut is enough for the worst one: in the middle of a range. */
static void test_reserved_room(void **state)
{
	struct write_buffer wb = {0};
	size_t cap;

	(void)state;
	make_content();
	assert_int_equal(write_buffer_reserve(&wb), 0);
	write_buffer_insert(&wb, &(struct range){0, 90, 1, content[1]});
	for (unsigned i = 1; i < 40; i++) {
		assert_int_equal(write_buffer_reserve(&wb), 0);
		cap = wb.cap;
		write_buffer_insert(&wb, &(struct range){2 * i, 1, i + 1, &content[i + 1][2 * i]});
		assert_int_equal(wb.cap, cap);
		write_buffer_check(&wb);
	}
	assert_int_equal(wb.n, 79);
	assert_int_equal(wb.bytes, 90);
	write_buffer_cut(&wb, 0, INT64_MAX);
	assert_int_equal(wb.n, 0);
	assert_int_equal(wb.bytes, 0);
	write_buffer_free(&wb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_reserved_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
