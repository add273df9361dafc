/* A daemon that listens and does not answer: whoever waits says so, and a question with a limit is given up. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/api_client.h"

#define HANGS_AFTER_S 30

struct fixture {
	char path[64];
	int listener;
	struct api *api;
	unsigned said, last_s;
};

static time_t hurry; /* seconds between one look at the clock and the next */

time_t time(time_t *ret)
{
	static time_t ahead;
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	ahead += hurry;
	now.tv_sec += ahead;
	if (ret)
		*ret = now.tv_sec;
	return now.tv_sec;
}

static int setup(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct fixture *f = calloc(1, sizeof *f);
	struct err err = {0};

	(void)alarm(HANGS_AFTER_S);
	(void)snprintf(f->path, sizeof f->path, "/var/tmp/varve-unit-%d.sock", (int)getpid());
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", f->path);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(f->listener, 8), 0);
	assert_int_equal(api_new(f->path, &f->api, &err), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	api_free(f->api);
	(void)close(f->listener);
	(void)unlink(f->path);
	free(f);
	(void)alarm(0);
	return 0;
}

static void say(void *arg, unsigned waited_s)
{
	struct fixture *f = arg;

	f->said++;
	f->last_s = waited_s;
}

static void test_question(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};

	api_say_waiting(f->api, 1, say, f);
	api_within(f->api, 3);
	assert_int_equal(api_call(f->api, "GET", NULL, NULL, &err, "/v1/status"), -ETIMEDOUT);
	assert_string_equal(err.text, "varved has not answered within 3 s");
	assert_true(f->said >= 1);
	assert_true(f->last_s >= 1);
}

/* What changes something is not given up: this ends when the daemon does, later than a question would. */
static void test_change(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)sleep(2);
		(void)close(accept(f->listener, NULL, NULL));
		_exit(0);
	}
	api_within(f->api, 1);
	assert_int_equal(api_call(f->api, "POST", NULL, NULL, &err, "/v1/gc"), -ECONNRESET);
	assert_int_equal(f->said, 0);
}

/* A supervisor that has no daemon turns everybody away, which is not the same as that nothing runs. */
static void test_turned_away(void **state)
{
	struct fixture *f = *state;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0; pid == 0; i++) {
		int fd = accept(f->listener, NULL, NULL);

		/* sooner or later than it is looked at */
		for (volatile unsigned k = 0; k < i % 50 * 1000; k++)
			;
		(void)close(fd);
	}
	for (unsigned i = 0; i < 300; i++) {
		struct err err = {0};

		if (api_call(f->api, "POST", NULL, NULL, &err, "/v1/gc") != -ECONNRESET)
			fail_msg("%s", err.text);
	}
	/* a question is asked again for a while, also by one who does not want to know why there is no answer */
	hurry = 60;
	assert_int_equal(api_call(f->api, "GET", NULL, NULL, NULL, "/v1/jobs"), -ECONNRESET);
	hurry = 0;
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void no_tick(void *arg)
{
	(void)arg;
}

static ssize_t get_slowly(void *arg, void *buf, size_t len, int peer)
{
	unsigned *left = arg;

	(void)peer;
	if (!*left || !len)
		return 0;
	(void)sleep(1);
	memset(buf, 'x', 1);
	return (*left)--, 1;
}

/* A stream that stands still; what its own source takes is not the daemon's. */
static void test_stream(void **state)
{
	struct fixture *f = *state;
	unsigned left = 2;
	const struct api_stream s = {.what = "archive", .get = get_slowly, .tick = no_tick, .arg = &left};
	struct err err = {0};
	json_t *answer = NULL;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = accept(f->listener, NULL, NULL);

		(void)sleep(5);
		(void)close(fd);
		_exit(0);
	}
	api_say_waiting(f->api, 2, say, f);
	assert_int_equal(api_upload(f->api, &s, &answer, &err, "/v1/receive"), -ECONNABORTED);
	assert_int_equal(left, 0);
	assert_true(f->said >= 1);
	assert_true(f->last_s >= 2);
}

/* Nothing ever comes to be sent. */
static ssize_t get_nothing(void *arg, void *buf, size_t len, int peer)
{
	struct pollfd p = {peer, POLLIN | POLLRDHUP, 0};

	(void)buf;
	(void)len;
	assert_int_equal(poll(&p, 1, -1), 1);
	++*(unsigned *)arg;
	return -EAGAIN;
}

/* The daemon dies while the source stalls. */
static void test_stalled_source(void **state)
{
	struct fixture *f = *state;
	unsigned asked = 0;
	const struct api_stream s = {.what = "archive", .get = get_nothing, .tick = no_tick, .arg = &asked};
	struct err err = {0};
	json_t *answer = NULL;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = accept(f->listener, NULL, NULL);

		/* a second is what curl waits for leave to send */
		(void)sleep(2);
		(void)close(fd);
		_exit(0);
	}
	assert_int_equal(api_upload(f->api, &s, &answer, &err, "/v1/receive"), -ECONNABORTED);
	assert_true(asked >= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_question, setup, teardown),
		cmocka_unit_test_setup_teardown(test_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_turned_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stalled_source, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
