/* When a daemon is started again, and when its ring is set aside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fs/restart.h"

static void test_at_once(void **state)
{
	struct restart r = {0};
	int i;

	(void)state;
	for (i = 0; i < 1000; i++)
		assert_int_equal(restart_delay_ms(&r, RESTART_DIED, true, 2000), 0);
}

static void test_backs_off(void **state)
{
	struct restart r = {0};
	int i, delay, last = 0;

	(void)state;
	assert_int_equal(restart_delay_ms(&r, RESTART_DIED, true, 10), 0);
	for (i = 0; i < 20; i++) {
		delay = restart_delay_ms(&r, RESTART_DIED, true, 10);
		assert_true(delay > 0 && delay >= last);
		last = delay;
	}
	assert_true(last <= 200);
	/* a long life makes good */
	assert_int_equal(restart_delay_ms(&r, RESTART_DIED, true, 5000), 0);
	assert_int_equal(restart_delay_ms(&r, RESTART_DIED, true, 10), 0);
}

static void test_three_deaths_over_one_replay(void **state)
{
	struct restart r = {0};

	(void)state;
	assert_true(restart_delay_ms(&r, RESTART_DIED, false, 10) >= 0);
	assert_true(restart_delay_ms(&r, RESTART_CORRUPT, false, 10) >= 0);
	/* one that gets through begins a new count */
	assert_true(restart_delay_ms(&r, RESTART_DIED, true, 10) >= 0);
	assert_true(restart_delay_ms(&r, RESTART_DIED, false, 10) >= 0);
	assert_true(restart_delay_ms(&r, RESTART_CORRUPT, false, 10) >= 0);
	assert_int_equal(restart_delay_ms(&r, RESTART_DIED, false, 10), -1);
}

/* A full disk is no reason to give up what was acknowledged. */
static void test_failing_goes_on(void **state)
{
	struct restart r = {0};
	int i;

	(void)state;
	for (i = 0; i < 100; i++)
		assert_true(restart_delay_ms(&r, RESTART_FAILED, false, 10) >= 0);
	assert_int_equal(restart_delay_ms(&r, RESTART_FAILED, false, 10), 5000);
}

static void test_three_ends(void **state)
{
	struct restart r = {0};
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_true(restart_end(&r));
		assert_true(restart_end(&r));
		assert_false(restart_end(&r));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_backs_off),
		cmocka_unit_test(test_three_deaths_over_one_replay),
		cmocka_unit_test(test_failing_goes_on),
		cmocka_unit_test(test_three_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
