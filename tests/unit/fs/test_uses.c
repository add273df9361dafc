/* The record of mounts: a multiset that outlives the process, but not the machine's start, nor damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/uses.h"
#include "store/base/io.h"

#define HANGS_AFTER_S 30 /* a look that waits never ends: the alarm ends the test */

struct fixture {
	char dir[64], path[128];
	struct uses *u;
	unsigned seen;
};

static void reopen(struct fixture *f)
{
	struct err err = {0};

	uses_free(f->u);
	f->u = NULL;
	if (uses_open(f->dir, &f->u, &err))
		fail_msg("%s", err.text);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	strcpy(f->dir, "/var/tmp/varve-unit-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof f->path, "%s/uses.json", f->dir);
	reopen(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	io_set_hook(NULL, NULL);
	uses_free(f->u);
	(void)snprintf(command, sizeof command, "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void put_file(struct fixture *f, const char *text)
{
	FILE *file = fopen(f->path, "w");

	assert_non_null(file);
	(void)fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void test_multiset(void **state)
{
	struct fixture *f = *state;
	struct use *list;
	size_t n;

	assert_int_equal(uses_add(f->u, 7, "a"), 0);
	assert_int_equal(uses_add(f->u, 7, "a"), 0);
	assert_int_equal(uses_add(f->u, 7, "b"), 0);
	assert_int_equal(uses_add(f->u, 8, "a"), 0);
	reopen(f);
	assert_int_equal(uses_count(f->u, 7), 3);
	assert_int_equal(uses_list(f->u, 7, &list, &n), 0);
	assert_int_equal(n, 2);
	free(list);
	assert_int_equal(uses_drop(f->u, 7, "a"), 0);
	reopen(f);
	assert_int_equal(uses_count(f->u, 7), 2);
	assert_int_equal(uses_drop(f->u, 7, "a"), 0);
	assert_int_equal(uses_drop(f->u, 7, "a"), -ENOENT);
	assert_int_equal(uses_drop(f->u, 9, "a"), -ENOENT);
	uses_forget(f->u, 7);
	reopen(f);
	assert_int_equal(uses_count(f->u, 7), 0);
	assert_int_equal(uses_count(f->u, 8), 1);
}

static void test_ids(void **state)
{
	struct fixture *f = *state;
	char id[USE_ID_MAX + 2];

	memset(id, 'x', sizeof id);
	id[USE_ID_MAX + 1] = '\0';
	assert_int_equal(uses_add(f->u, 7, id), -EINVAL);
	assert_int_equal(uses_add(f->u, 7, ""), -EINVAL);
	id[USE_ID_MAX] = '\0';
	assert_int_equal(uses_add(f->u, 7, id), 0);
	assert_int_equal(uses_add(f->u, 7, "\"\\\n{}"), 0);
	reopen(f);
	assert_int_equal(uses_count(f->u, 7), 2);
}

static void test_not_of_this_start(void **state)
{
	struct fixture *f = *state;

	put_file(f, "{\"boot\":\"00000000-0000-0000-0000-000000000000\",\"uses\":[{\"volume\":7,\"id\":\"a\",\"count\":1}]}");
	reopen(f);
	assert_int_equal(uses_count(f->u, 7), 0);
}

static void test_damage(void **state)
{
	static const char *const bad[] = {"", "{", "[]", "{\"boot\":1,\"uses\":[]}", "{\"boot\":\"x\"}", "\xff\xfe"};
	struct fixture *f = *state;
	char set_aside[160];
	size_t i;

	(void)snprintf(set_aside, sizeof set_aside, "%s.bad", f->path);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		put_file(f, bad[i]);
		(void)unlink(set_aside);
		reopen(f);
		assert_int_equal(uses_count(f->u, 0), 0);
		assert_int_equal(access(set_aside, F_OK), 0);
		assert_int_equal(uses_add(f->u, 7, "a"), 0);
	}
}

static int refuse(void *arg, enum io_class cls, enum io_op op, const char *path, int fd, const void *data, size_t *len,
		  off_t off)
{
	(void)arg;
	(void)cls;
	(void)path;
	(void)fd;
	(void)data;
	(void)off;
	if (op != IO_WRITE)
		return 0;
	*len = 0;
	return -ENOSPC;
}

/* A full disk keeps no container from starting, and what was written before stays. */
static void test_full_disk(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(uses_add(f->u, 7, "a"), 0);
	io_set_hook(refuse, NULL);
	assert_int_equal(uses_add(f->u, 7, "b"), 0);
	assert_int_equal(uses_count(f->u, 7), 2);
	io_set_hook(NULL, NULL);
	reopen(f);
	assert_int_equal(uses_count(f->u, 7), 1);
}

static int look(void *arg, enum io_class cls, enum io_op op, const char *path, int fd, const void *data, size_t *len, off_t off)
{
	struct fixture *f = arg;

	(void)cls;
	(void)op;
	(void)path;
	(void)fd;
	(void)data;
	(void)len;
	(void)off;
	f->seen = uses_count(f->u, 7);
	return 0;
}

/* However long the disk takes to write it down. */
static void test_a_look_does_not_wait(void **state)
{
	struct fixture *f = *state;

	(void)alarm(HANGS_AFTER_S);
	io_set_hook(look, f);
	assert_int_equal(uses_add(f->u, 7, "a"), 0);
	assert_int_equal(f->seen, 1);
	assert_int_equal(uses_drop(f->u, 7, "a"), 0);
	assert_int_equal(f->seen, 0);
	(void)alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_multiset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_of_this_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_look_does_not_wait, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
