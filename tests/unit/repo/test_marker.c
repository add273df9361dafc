/* The marker of a prune: whose counts, and for how long. */
#include "tests/unit/repo/repo_fixture.h"

#include <errno.h>
#include <sys/wait.h>
#include <time.h>

#include "store/repo/marker.h"

static int64_t hours_ago(int n)
{
	return ((int64_t)time(NULL) - n * INT64_C(3600)) * 1000000000;
}

static void put_marker(struct repo *r, int64_t when, const struct marker_owner *owner)
{
	struct buf content = {0};

	assert_int_equal(marker_encode(when, owner, &content), 0);
	assert_int_equal(backend_put(r->be, "prune/0000", content.data, content.len, NULL), 0);
	buf_free(&content);
}

static int count(void *arg, const char *key, uint64_t size)
{
	(void)key;
	(void)size;
	++*(unsigned *)arg;
	return 0;
}

static unsigned markers(struct repo *r)
{
	unsigned n = 0;

	assert_int_equal(backend_list(r->be, "prune/", count, &n, NULL), 0);
	return n;
}

static int try_marker(struct repo *r, struct err *err)
{
	struct marker m = {0};
	int bad = marker_begin(r, &m, err);

	marker_remove(r, &m);
	return bad;
}

static void test_of_this_process(void **state)
{
	struct repo *r = fixture_repo(*state);
	struct marker m = {0};
	struct err err = {0};

	assert_int_equal(marker_begin(r, &m, &err), 0);
	assert_int_equal(try_marker(r, &err), -EBUSY);
	assert_non_null(strstr(err.text, "another prune"));
	assert_int_equal(markers(r), 1);
	marker_remove(r, &m);
	assert_int_equal(markers(r), 0);
	assert_int_equal(try_marker(r, &err), 0);
	repo_free(r);
}

static void test_of_a_process_that_ended(void **state)
{
	struct repo *r = fixture_repo(*state);
	struct marker m = {0};
	struct err err = {0};
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		_exit(marker_begin(r, &m, &err) ? 1 : 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(markers(r), 1);
	assert_int_equal(try_marker(r, &err), 0);
	assert_int_equal(markers(r), 0);
	repo_free(r);
}

/* The number has been given to another process. */
static void test_of_a_process_before_this_one(void **state)
{
	struct repo *r = fixture_repo(*state);
	struct marker m = {0};
	struct err err = {0};

	assert_int_equal(marker_begin(r, &m, &err), 0);
	m.owner.started--;
	put_marker(r, m.put, &m.owner);
	marker_remove(r, &m);
	assert_int_equal(markers(r), 1);
	assert_int_equal(try_marker(r, &err), 0);
	repo_free(r);
}

static void test_of_another_machine(void **state)
{
	const struct marker_owner other = {.host = "another machine", .pid = 1, .started = 1};
	struct repo *r = fixture_repo(*state);
	struct err err = {0};

	put_marker(r, hours_ago(5), &other);
	assert_int_equal(try_marker(r, &err), -EBUSY);
	put_marker(r, hours_ago(7), &other);
	assert_int_equal(try_marker(r, &err), 0);
	assert_int_equal(markers(r), 0);
	repo_free(r);
}

static void test_damaged(void **state)
{
	struct repo *r = fixture_repo(*state);
	struct err err = {0};

	assert_int_equal(backend_put(r->be, "prune/0000", "x", 1, NULL), 0);
	assert_int_equal(try_marker(r, &err), -ECORRUPT);
	assert_non_null(strstr(err.text, "prune/0000"));
	repo_free(r);
}

static void test_renewed(void **state)
{
	struct repo *r = fixture_repo(*state);
	struct marker m = {0};
	struct err err = {0};
	char key[sizeof m.key];

	assert_int_equal(marker_begin(r, &m, &err), 0);
	strcpy(key, m.key);
	assert_int_equal(marker_keep(r, &m, &err), 0);
	assert_string_equal(m.key, key);
	m.put = hours_ago(2);
	assert_int_equal(marker_keep(r, &m, &err), 0);
	assert_string_not_equal(m.key, key);
	assert_int_equal(markers(r), 1);
	assert_int_equal(try_marker(r, &err), -EBUSY);
	marker_remove(r, &m);
	assert_int_equal(markers(r), 0);
	repo_free(r);
}

/* Another prune has removed it while this machine slept. */
static void test_taken_for_dead(void **state)
{
	struct repo *r = fixture_repo(*state);
	struct marker m = {0};
	struct err err = {0};

	assert_int_equal(marker_begin(r, &m, &err), 0);
	m.put = hours_ago(8);
	assert_int_equal(backend_remove(r->be, m.key, &err), 0);
	assert_int_equal(marker_keep(r, &m, &err), -EBUSY);
	assert_int_equal(markers(r), 0);
	repo_free(r);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, repo_fixture_setup, repo_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_of_this_process),
		TEST(test_of_a_process_that_ended),
		TEST(test_of_a_process_before_this_one),
		TEST(test_of_another_machine),
		TEST(test_damaged),
		TEST(test_renewed),
		TEST(test_taken_for_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
