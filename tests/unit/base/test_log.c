#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/base/log.h"

#define LINES_MAX 8192

static int pipe_fds[2], saved_stderr;
static time_t seconds;

/* The log's clock is this test's. */
int clock_gettime(clockid_t clock, struct timespec *ret)
{
	(void)clock;
	*ret = (struct timespec){.tv_sec = seconds};
	return 0;
}

static int capture(void **state)
{
	(void)state;
	if (pipe(pipe_fds) < 0)
		return -1;
	saved_stderr = dup(STDERR_FILENO);
	return dup2(pipe_fds[1], STDERR_FILENO) < 0;
}

static int release(void **state)
{
	(void)state;
	(void)dup2(saved_stderr, STDERR_FILENO);
	(void)close(saved_stderr);
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
	return 0;
}

/* What was logged since the last call: a mark, written last, tells where it ends. */
static void logged(char out[LINES_MAX])
{
	ssize_t n;

	assert_int_equal(write(pipe_fds[1], "#", 1), 1);
	n = read(pipe_fds[0], out, LINES_MAX);
	assert_true(n > 0);
	assert_int_equal(out[n - 1], '#');
	out[n - 1] = '\0';
}

static void level_selects(void **state)
{
	char out[LINES_MAX];

	(void)state;
	log_set_dest(LOG_DEST_STDERR, "tester");
	log_set_level(LOG_LEVEL_WARN);
	log_info("not %s", "shown");
	log_warn("count %d", 3);
	log_error("bad");
	logged(out);
	assert_string_equal(out, "tester: warning: count 3\ntester: error: bad\n");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("fine");
	logged(out);
	assert_string_equal(out, "tester: debug: fine\n");
}

static void long_lines_are_cut(void **state)
{
	char big[LINES_MAX / 2], out[LINES_MAX];

	(void)state;
	memset(big, 'x', sizeof big);
	big[sizeof big - 1] = '\0';
	log_error("%s", big);
	logged(out);
	assert_true(strlen(out) < sizeof big);
	assert_int_equal(out[strlen(out) - 1], '\n');
	assert_int_equal(out[strlen(out) - 2], 'x');
}

static void repetitions_are_left_out(void **state)
{
	char out[LINES_MAX];

	(void)state;
	log_set_dest(LOG_DEST_STDERR, "tester");
	log_set_level(LOG_LEVEL_INFO);
	for (int i = 0; i < 1000; i++) {
		log_error("page %d is bad", i % 2);
		log_warn("work stopped");
	}
	logged(out);
	assert_string_equal(out, "tester: error: page 0 is bad\ntester: warning: work stopped\ntester: error: page 1 is bad\n");
	log_info("a volume");
	log_info("a volume");
	logged(out);
	assert_string_equal(out, "tester: info: a volume\ntester: info: a volume\n");
	seconds += LOG_REPEAT_S;
	log_warn("work stopped");
	log_warn("work stopped");
	logged(out);
	assert_string_equal(out, "tester: warning: work stopped (and 999 times since that was last said)\n");
	seconds += LOG_REPEAT_S;
	log_warn("other work stopped");
	log_warn("work stopped");
	logged(out);
	assert_string_equal(out, "tester: warning: other work stopped\n"
				 "tester: warning: work stopped (and 1 times since that was last said)\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(level_selects, capture, release),
		cmocka_unit_test_setup_teardown(long_lines_are_cut, capture, release),
		cmocka_unit_test_setup_teardown(repetitions_are_left_out, capture, release),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
