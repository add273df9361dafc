/* The claim on a store: whose it is, how long it lasts, and that it goes with its holder. */
#include <signal.h>
#include <sys/wait.h>

#include "store/base/cleanup.h"
#include "store/volume/claim.h"
#include "tests/unit/volume/store_fixture.h"

static int setup(void **state)
{
	struct store_fixture *f = calloc(1, sizeof *f);
	struct err err = {0};

	assert_non_null(f);
	strcpy(f->dir, "/var/tmp/varve-unit-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(store_init(f->dir, &err), 0);
	*state = f;
	return 0;
}

static void test_one_at_a_time(void **state)
{
	struct store_fixture *f = *state;
	struct err err = {0};
	char text[32];
	int fd, other = -1;

	assert_int_equal(claim_look(f->dir), CLAIM_FREE);
	assert_int_equal(claim_take(f->dir, CLAIM_PASSING, &fd, &err), 0);
	assert_int_equal(claim_look(f->dir), CLAIM_PASSES);
	assert_int_equal(claim_take(f->dir, CLAIM_LASTING, &other, &err), -EBUSY);
	assert_int_equal(other, -1);
	(void)snprintf(text, sizeof text, "process %d (test_claim)", (int)getpid());
	assert_non_null(strstr(err.text, text));
	assert_non_null(strstr(err.hint, "wait"));
	assert_int_equal(store_open(f->dir, &STORE_OPTIONS_DEFAULT, &f->s, &err), -EBUSY);
	(void)close(fd);
	assert_int_equal(claim_look(f->dir), CLAIM_FREE);
}

static void test_lasts_until_the_end(void **state)
{
	struct store_fixture *f = *state;
	struct err err = {0};
	int fd, copy;

	assert_int_equal(claim_take(f->dir, CLAIM_LASTING, &fd, &err), 0);
	assert_int_equal(claim_look(f->dir), CLAIM_LASTS);
	assert_int_equal(claim_take(f->dir, CLAIM_LASTING, &copy, &err), -EBUSY);
	assert_non_null(strstr(err.hint, "running varved"));
	claim_end(fd);
	assert_int_equal(claim_look(f->dir), CLAIM_PASSES);
	copy = dup(fd);
	(void)close(fd);
	assert_int_equal(claim_look(f->dir), CLAIM_PASSES);
	(void)close(copy);
	assert_int_equal(claim_look(f->dir), CLAIM_FREE);
}

/* The store opens under a claim that somebody else holds, and closes without letting it go. */
static void test_of_the_caller(void **state)
{
	struct store_fixture *f = *state;
	struct store_options opts = STORE_OPTIONS_DEFAULT;
	struct err err = {0};
	int fd;

	assert_int_equal(claim_take(f->dir, CLAIM_LASTING, &fd, &err), 0);
	opts.flags = STORE_NO_THREADS | STORE_CLAIMED;
	assert_int_equal(store_open(f->dir, &opts, &f->s, &err), 0);
	assert_int_equal(store_open(f->dir, &opts, &(struct store *){NULL}, &err), -EBUSY);
	assert_int_equal(store_close(steal(&f->s), &err), 0);
	assert_int_equal(claim_look(f->dir), CLAIM_LASTS);
	(void)close(fd);
}

/* A store that is another user's is one all the same. */
static void test_of_another_user(void **state)
{
	struct store_fixture *f = *state;
	pid_t pid = fork();
	struct err err = {0};
	int status, fd;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (geteuid() ? chmod(f->dir, 0) : seteuid(65534))
			_exit(2);
		_exit(claim_take(f->dir, CLAIM_PASSING, &fd, &err) != -EACCES || strstr(err.hint, "init"));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)chmod(f->dir, 0700);
	assert_int_equal(status, 0);
}

/* A copy that another process has keeps it; whose it was is seen to be dead, also before anybody waits for it. */
static void test_dead_holder(void **state)
{
	struct store_fixture *f = *state;
	int fds[2], go[2];
	pid_t holder, keeper;
	char c;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pipe(go), 0);
	holder = fork();
	if (holder == 0) {
		int fd;

		if (claim_take(f->dir, CLAIM_LASTING, &fd, NULL))
			_exit(1);
		keeper = fork();
		if (keeper == 0) {
			(void)close(go[1]);
			(void)!write(fds[1], "x", 1);
			(void)!read(go[0], &c, 1);
		} else {
			(void)pause();
		}
		_exit(0);
	}
	(void)close(go[0]);
	assert_int_equal(read(fds[0], &c, 1), 1);
	assert_int_equal(claim_look(f->dir), CLAIM_LASTS);
	(void)kill(holder, SIGKILL);
	while (claim_look(f->dir) == CLAIM_LASTS)
		(void)usleep(1000);
	assert_int_equal(claim_look(f->dir), CLAIM_ORPHANED);
	assert_int_equal(waitpid(holder, NULL, 0), holder);
	assert_int_equal(claim_look(f->dir), CLAIM_ORPHANED);
	(void)close(go[1]);
	(void)close(fds[1]);
	while (claim_look(f->dir) != CLAIM_FREE)
		(void)usleep(1000);
	(void)close(fds[0]);
}

static void test_no_store(void **state)
{
	struct err err = {0};
	int fd;

	(void)state;
	assert_int_equal(claim_take("/var/tmp", CLAIM_PASSING, &fd, &err), -ENOENT);
	assert_non_null(strstr(err.hint, "varve init"));
	assert_int_equal(claim_look("/var/tmp"), -ENOENT);
	assert_int_not_equal(access("/var/tmp/lock", F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_at_a_time, setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_lasts_until_the_end, setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_of_the_caller, setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_of_another_user, setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_dead_holder, setup, store_fixture_teardown),
		cmocka_unit_test(test_no_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
