/* The table of nodes: against a plain array, through growth and shrinking, and read again by the next process. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fs/node_table.h"
#include "store/base/limits.h"

#define MAX 20000

struct fixture {
	struct node_entries *entries;
	struct node_table *t;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	f->entries = calloc(1, sizeof *f->entries + MAX * sizeof(struct node_entry));
	assert_int_equal(node_table_new(f->entries, MAX, &f->t), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	node_table_free(f->t);
	free(f->entries);
	free(f);
	return 0;
}

static void next_process(struct fixture *f)
{
	node_table_free(f->t);
	assert_int_equal(node_table_new(f->entries, MAX, &f->t), 0);
}

static uint64_t node_of(unsigned i)
{
	return (uint64_t)(1 + i % 7) << NODE_INO_BITS | (100 + i);
}

/* Random references and forgettings of nodes, compared with counts in an array. */
static void test_against_counts(void **state)
{
	static unsigned counts[MAX / 2];
	struct fixture *f = *state;
	unsigned step, i, known = 0;

	srandom(7);
	for (step = 0; step < 300000; step++) {
		bool growing = step / 50000 % 2 == 0;

		i = (unsigned)random() % (MAX / 2);
		if (random() % 10 < (growing ? 7 : 2)) {
			assert_int_equal(node_table_ref(f->t, node_of(i)), 0);
			known += !counts[i]++;
		} else if (counts[i]) {
			unsigned n = 1 + (unsigned)random() % counts[i];

			counts[i] -= n;
			assert_int_equal(node_table_forget(f->t, node_of(i), n), !counts[i]);
			known -= !counts[i];
		} else {
			assert_true(node_table_forget(f->t, node_of(i), 1));
		}
		if (step % 20000 == 0)
			next_process(f);
	}
	assert_int_equal(node_table_count(f->t), known);
	for (i = 0; i < MAX / 2; i++)
		assert_int_equal(node_table_known(f->t, node_of(i)), counts[i] != 0);
}

static void test_writers(void **state)
{
	struct fixture *f = *state;

	node_table_writer(f->t, 5, 1); /* unknown: nothing */
	assert_int_equal(node_table_writers(f->t, 5), 0);
	assert_int_equal(node_table_ref(f->t, 5), 0);
	node_table_told(f->t, 5);
	assert_false(node_table_take_told(f->t, 5));
	node_table_writer(f->t, 5, 1);
	node_table_writer(f->t, 5, 1);
	node_table_told(f->t, 5);
	assert_int_equal(node_table_writers(f->t, 5), 2);
	next_process(f);
	assert_int_equal(node_table_writers(f->t, 5), 0);
	assert_true(node_table_known(f->t, 5));
	assert_true(node_table_take_told(f->t, 5));
	assert_false(node_table_take_told(f->t, 5));
}

static void test_list(void **state)
{
	struct fixture *f = *state;
	uint64_t *list;
	unsigned i;
	size_t n;

	for (i = 0; i < 70; i++)
		assert_int_equal(node_table_ref(f->t, node_of(i)), 0);
	assert_int_equal(node_table_list(f->t, 3, &list, &n), 0);
	assert_int_equal(n, 10);
	free(list);
	assert_int_equal(node_table_list(f->t, 0, &list, &n), 0);
	assert_int_equal(n, 70);
	free(list);
}

static void test_full(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	for (i = 0; i < MAX; i++)
		assert_int_equal(node_table_ref(f->t, node_of(i)), 0);
	assert_int_equal(node_table_ref(f->t, node_of(i)), -ENOMEM);
	assert_true(node_table_forget(f->t, node_of(3), 1));
	assert_int_equal(node_table_ref(f->t, node_of(i)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_against_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_writers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
