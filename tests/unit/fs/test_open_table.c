/* The opens for writing: each is closed once, and all are found again by the process that comes after. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fs/open_table.h"

#define MAX 64

struct fixture {
	struct open_entries *entries;
	struct open_table *t;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	f->entries = calloc(1, sizeof *f->entries + MAX * sizeof(struct open_entry));
	assert_int_equal(open_table_new(f->entries, MAX, &f->t), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	open_table_free(f->t);
	free(f->entries);
	free(f);
	return 0;
}

static void next_process(struct fixture *f)
{
	open_table_free(f->t);
	assert_int_equal(open_table_new(f->entries, MAX, &f->t), 0);
}

struct seen {
	unsigned n;
	uint64_t nodes;
};

static void see(void *arg, uint64_t node, uint32_t pid)
{
	struct seen *s = arg;

	assert_int_equal(pid, node + 1);
	s->n++;
	s->nodes += node;
}

static void expect(struct fixture *f, unsigned n, uint64_t nodes)
{
	struct seen s = {0};

	open_table_each(f->t, see, &s);
	assert_int_equal(s.n, n);
	assert_int_equal(s.nodes, nodes);
}

static uint64_t add(struct fixture *f, uint64_t node, uint64_t unique)
{
	uint64_t handle = 0;

	assert_int_equal(open_table_add(f->t, node, unique, (uint32_t)node + 1, &handle), 0);
	assert_int_not_equal(handle, 0);
	return handle;
}

static void test_closed_once(void **state)
{
	struct fixture *f = *state;
	uint64_t a = add(f, 10, 2), b = add(f, 10, 4), c;

	assert_true(open_table_remove(f->t, a));
	assert_false(open_table_remove(f->t, a));
	c = add(f, 20, 6); /* in the place of the first */
	assert_int_not_equal(a, c);
	assert_false(open_table_remove(f->t, a));
	expect(f, 2, 30);
	assert_true(open_table_remove(f->t, c));
	assert_true(open_table_remove(f->t, b));
	assert_false(open_table_remove(f->t, 0));
	assert_false(open_table_remove(f->t, UINT64_MAX));
	expect(f, 0, 0);
}

static void test_outlives_the_process(void **state)
{
	struct fixture *f = *state;
	uint64_t a = add(f, 1, 2), b = add(f, 2, 4), c = add(f, 4, 6);

	assert_true(open_table_remove(f->t, b));
	next_process(f);
	expect(f, 2, 5);
	assert_int_equal(open_table_find(f->t, 6), c);
	assert_int_equal(open_table_find(f->t, 4), 0);
	assert_false(open_table_remove(f->t, b));
	add(f, 8, 8); /* takes the free place before a new one */
	assert_int_equal(f->entries->used, 3);
	assert_true(open_table_remove(f->t, a));
	next_process(f);
	expect(f, 2, 12);
}

/* A process that died while it filled an entry has not opened anything. */
static void test_half_made(void **state)
{
	struct fixture *f = *state;

	add(f, 1, 2);
	f->entries->v[1].node = 77;
	f->entries->v[1].pid = 5;
	f->entries->used = 2;
	next_process(f);
	expect(f, 1, 1);
	add(f, 2, 4);
	assert_int_equal(f->entries->used, 2);
	expect(f, 2, 3);
}

static void test_full(void **state)
{
	struct fixture *f = *state;
	uint64_t i, handle, first = 0;

	for (i = 0; i < MAX; i++) {
		handle = add(f, i, 2 * i + 2);
		first = first ? first : handle;
	}
	assert_int_equal(open_table_add(f->t, 1, 1000, 1, &handle), -ENFILE);
	assert_true(open_table_remove(f->t, first));
	add(f, 7, 1002);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_closed_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outlives_the_process, setup, teardown),
		cmocka_unit_test_setup_teardown(test_half_made, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
