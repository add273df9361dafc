/* Blocks of inode numbers: few where they go on, found fast and refused fast where they are many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/base/buf.h"
#include "store/base/err.h"
#include "store/repo/ino_blocks.h"

#define MANY 100000

static void add(struct buf *all, uint64_t first, uint64_t n, uint64_t local)
{
	assert_int_equal(buf_add_varint(all, first), 0);
	assert_int_equal(buf_add_varint(all, n), 0);
	assert_int_equal(buf_add_varint(all, local), 0);
}

static void test_one_history(void **state)
{
	struct ino_blocks b = {0};
	struct buf all = {0};
	uint64_t ino;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		add(&all, 1 + i * 10, 10, 501 + i * 10);
	assert_int_equal(ino_blocks_invert(&b, all.data, all.len), 0);
	assert_int_equal(b.n, 1);
	assert_int_equal(ino_blocks_map(&b, 501, &ino), 0);
	assert_int_equal(ino, 1);
	assert_int_equal(ino_blocks_map(&b, 10500, &ino), 0);
	assert_int_equal(ino, 10000);
	assert_int_equal(ino_blocks_map(&b, 500, &ino), -ECORRUPT);
	assert_int_equal(ino_blocks_map(&b, 10501, &ino), -ECORRUPT);
	free(b.v);
	buf_free(&all);
}

/* As many as a stream can say; the other way round, so that none goes on where another ends. */
static void test_many(void **state)
{
	struct ino_blocks b = {0};
	struct buf all = {0};
	uint64_t ino;

	(void)state;
	for (uint64_t i = 0; i < MANY; i++)
		add(&all, 1 + i * 3, 2, (MANY - i) * 3);
	assert_int_equal(ino_blocks_invert(&b, all.data, all.len), 0);
	assert_int_equal(b.n, MANY);
	for (uint64_t i = 0; i < MANY; i++) {
		assert_int_equal(ino_blocks_map(&b, (MANY - i) * 3 + 1, &ino), 0);
		assert_int_equal(ino, 2 + i * 3);
		assert_int_equal(ino_blocks_map(&b, (MANY - i) * 3 + 2, &ino), -ECORRUPT);
	}
	free(b.v);
	buf_free(&all);
}

static void refused(const struct buf *all)
{
	struct ino_blocks b = {0};

	assert_int_equal(ino_blocks_invert(&b, all->data, all->len), -ECORRUPT);
	free(b.v);
}

static void test_overlap(void **state)
{
	struct buf all = {0};

	(void)state;
	add(&all, 1, 10, 100);
	add(&all, 50, 10, 109);
	refused(&all);
	buf_reset(&all);
	add(&all, 1, 10, 100);
	add(&all, 10, 10, 200);
	refused(&all);
	buf_reset(&all);
	add(&all, 1, 0, 100);
	refused(&all);
	buf_free(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_history),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
