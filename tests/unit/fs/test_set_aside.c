/* What is kept of a ring: all of it, when there is something in it, or nothing. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/set_aside.h"
#include "store/base/limits.h"
#include "store/journal/ring.h"

struct fixture {
	char dir[64];
	struct ring *ring;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	strcpy(f->dir, "/var/tmp/varve-unit-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(ring_create(2 * MIB, 1, &f->ring), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	ring_free(f->ring);
	(void)snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* How many files there are, and the path of one. */
static int files(const struct fixture *f, char path[400])
{
	DIR *d = opendir(f->dir);
	struct dirent *e;
	int n = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (*e->d_name == '.')
			continue;
		(void)snprintf(path, 400, "%s/%s", f->dir, e->d_name);
		n++;
	}
	(void)closedir(d);
	return n;
}

static void append(struct fixture *f)
{
	static const char effects[] = "effects", data[] = "what was written";
	const struct record_head head = {.kind = RECORD_OP};
	uint64_t seq;
	void *at;

	assert_int_equal(ring_append(f->ring, &head, effects, sizeof effects, data, sizeof data, &seq, &at), 0);
}

static void test_all_of_it(void **state)
{
	struct fixture *f = *state;
	struct ring_pos pos = {.seq = 1};
	struct record record;
	struct ring *copy;
	char path[400];
	FILE *file;

	append(f);
	set_aside(ring_fd(f->ring), f->dir);
	assert_int_equal(files(f, path), 1);
	file = fopen(path, "r+e");
	assert_non_null(file);
	assert_int_equal(ring_attach(fileno(file), &copy), 0);
	assert_int_equal(ring_next(copy, &pos, &record), 0);
	assert_string_equal(record.data, "what was written");
	ring_free(copy);
	(void)fclose(file);
}

static void test_nothing_of_nothing(void **state)
{
	struct fixture *f = *state;
	char path[400];

	set_aside(-1, f->dir);
	set_aside(ring_fd(f->ring), f->dir);
	append(f);
	ring_release(f->ring, ring_head_seq(f->ring));
	set_aside(ring_fd(f->ring), f->dir);
	assert_int_equal(files(f, path), 0);
}

static void test_no_part_of_it(void **state)
{
	struct fixture *f = *state;
	struct rlimit limit, small;
	char path[400];

	append(f);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = 4096;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	set_aside(ring_fd(f->ring), f->dir);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(files(f, path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_of_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_of_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_part_of_it, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
