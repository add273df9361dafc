/* The catalog answers with the store's lock held by somebody else, knows what is absent, and begins with what it knew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "docker/catalog.h"
#include "store/volume/store_internal.h"

#define HANGS_AFTER_S 30 /* an answer that waits for the lock never comes: the alarm ends the test */

struct fixture {
	char dir[64];
	struct store *store;
	struct catalog *c;
	_Atomic bool enough;
};

static void create(struct fixture *f, const char *name)
{
	struct volume_info v;
	struct err err = {0};

	if (volume_create(f->store, name, NULL, &v, &err))
		fail_msg("%s", err.text);
}

static void begin_catalog(struct fixture *f)
{
	struct err err = {0};

	assert_int_equal(catalog_new(f->dir, &f->c, &err), 0);
}

static void attach(struct fixture *f)
{
	struct err err = {0};

	assert_int_equal(catalog_attach(f->c, f->store, &err), 0);
}

static int setup(void **state)
{
	struct store_options o = STORE_OPTIONS_DEFAULT;
	struct fixture *f = calloc(1, sizeof *f);
	struct err err = {0};

	(void)alarm(HANGS_AFTER_S);
	o.flags = STORE_NO_THREADS;
	o.ring_size = 8 * MIB;
	strcpy(f->dir, "/var/tmp/varve-unit-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	if (store_init(f->dir, &err) || store_open(f->dir, &o, &f->store, &err))
		fail_msg("%s", err.text);
	begin_catalog(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];
	struct err err = {0};

	catalog_free(f->c);
	assert_int_equal(store_close(f->store, &err), 0);
	(void)snprintf(command, sizeof command, "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	(void)alarm(0);
	return 0;
}

static void test_names(void **state)
{
	struct fixture *f = *state;
	struct catalog_entry e;
	struct err err = {0};

	create(f, "one");
	attach(f);
	assert_int_equal(catalog_get(f->c, "one", true, &e), 0);
	assert_string_equal(e.volume.name, "one");
	assert_int_equal(catalog_get(f->c, "two", false, &e), -ENOENT);
	create(f, "two");
	assert_int_equal(catalog_get(f->c, "two", false, &e), 0);
	assert_int_equal(volume_rename(f->store, "two", "three", &err), 0);
	assert_int_equal(catalog_get(f->c, "two", false, &e), -ENOENT);
	assert_int_equal(catalog_get(f->c, "three", false, &e), 0);
	assert_int_equal(volume_remove(f->store, "three", 0, &err), 0);
	assert_int_equal(catalog_get(f->c, "three", false, &e), -ENOENT);
}

static void test_busy_store(void **state)
{
	struct fixture *f = *state;
	struct volume_brief *list;
	struct catalog_entry e;
	size_t n;

	create(f, "one");
	attach(f);
	assert_int_equal(catalog_get(f->c, "one", true, &e), 0);
	LOCK_SCOPE(&f->store->lock);
	assert_int_equal(catalog_get(f->c, "one", true, &e), 0);
	assert_int_equal(catalog_get(f->c, "two", false, &e), -ENOENT);
	assert_int_equal(catalog_list(f->c, &list, &n), 0);
	assert_int_equal(n, 1);
	free(list);
	/* Something is changing the volumes while it has the lock: what is known stays known. */
	numbers_changed(f->store);
	assert_int_equal(catalog_get(f->c, "one", true, &e), 0);
}

static void test_before_the_store_is_open(void **state)
{
	struct fixture *f = *state;
	struct volume_brief *list;
	struct catalog_entry e;
	char path[128];
	size_t n;

	create(f, "one");
	attach(f);
	assert_int_equal(catalog_get(f->c, "one", false, &e), 0);
	(void)snprintf(path, sizeof path, "%s/catalog.json", f->dir);
	while (access(path, F_OK))
		(void)usleep(1000);
	catalog_free(f->c);
	begin_catalog(f);
	assert_int_equal(catalog_get(f->c, "one", true, &e), 0);
	assert_int_equal(e.info_at, 0);
	assert_int_equal(catalog_list(f->c, &list, &n), 0);
	assert_int_equal(n, 1);
	free(list);
	/* What it does not know may be there all the same: it does not say that it is not. */
	catalog_stop(f->c);
	assert_int_equal(catalog_get(f->c, "two", false, &e), -EAGAIN);
}

static void *change_all_the_time(void *arg)
{
	struct fixture *f = arg;

	while (!f->enough) {
		LOCK_SCOPE(&f->store->lock);
		numbers_changed(f->store);
	}
	return NULL;
}

/* What was read since it was asked for is good enough, though the volumes have changed again. */
static void test_absent_while_others_change(void **state)
{
	struct fixture *f = *state;
	struct catalog_entry e;
	pthread_t thread;
	int i;

	attach(f);
	assert_int_equal(pthread_create(&thread, NULL, change_all_the_time, f), 0);
	for (i = 0; i < 10; i++)
		assert_int_equal(catalog_get(f->c, "none", false, &e), -ENOENT);
	f->enough = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static unsigned lines(int fd)
{
	char text[65536];
	ssize_t len = pread(fd, text, sizeof text, 0), i;
	unsigned n = 0;

	for (i = 0; i < len; i++)
		n += text[i] == '\n';
	return n;
}

static void refuse_names(struct fixture *f)
{
	LOCK_SCOPE(&f->store->lock);
	meta_refuse(f->store->meta, -ECORRUPT);
	numbers_changed(f->store);
}

static void allow_names(struct fixture *f)
{
	LOCK_SCOPE(&f->store->lock);
	assert_int_equal(tx_reapply(f->store), 0);
}

/* Names that cannot be read are tried again without haste, and said to be unreadable once each time that begins. */
static void test_unreadable(void **state)
{
	struct fixture *f = *state;
	struct catalog_entry e;
	FILE *log = tmpfile();
	int saved = dup(STDERR_FILENO);
	unsigned said, again;

	assert_non_null(log);
	attach(f);
	create(f, "one");
	assert_int_equal(catalog_get(f->c, "one", false, &e), 0);
	assert_true(saved >= 0 && dup2(fileno(log), STDERR_FILENO) >= 0);
	refuse_names(f);
	(void)usleep(1500000);
	said = lines(fileno(log));
	allow_names(f);
	create(f, "two");
	assert_int_equal(catalog_get(f->c, "two", false, &e), 0);
	refuse_names(f);
	(void)usleep(500000);
	again = lines(fileno(log));
	allow_names(f);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	(void)close(saved);
	(void)fclose(log);
	assert_int_equal(said, 1);
	assert_int_equal(again, 2);
	create(f, "three");
	assert_int_equal(catalog_get(f->c, "three", false, &e), 0);
}

static void test_sealed(void **state)
{
	struct fixture *f = *state;
	struct volume_brief *list;
	struct catalog_entry e;
	size_t n;

	attach(f);
	create(f, "one");
	catalog_seal(f->c);
	LOCK_SCOPE(&f->store->lock);
	assert_int_equal(catalog_get(f->c, "one", true, &e), 0);
	assert_int_equal(catalog_get(f->c, "two", true, &e), -ENOENT);
	assert_int_equal(catalog_list(f->c, &list, &n), 0);
	assert_int_equal(n, 1);
	free(list);
}

static void test_damaged_file(void **state)
{
	static const char *const bad[] = {"", "[", "{}", "[1]", "[{\"id\":1}]",
					  "[{\"id\":1,\"name\":\"../x\",\"created\":1,\"tmpfs\":false}]"};
	struct fixture *f = *state;
	struct catalog_entry e;
	char path[128];
	size_t i;

	(void)snprintf(path, sizeof path, "%s/catalog.json", f->dir);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		FILE *file = fopen(path, "w");

		assert_non_null(file);
		(void)fputs(bad[i], file);
		assert_int_equal(fclose(file), 0);
		catalog_free(f->c);
		begin_catalog(f);
		catalog_stop(f->c);
		assert_int_equal(catalog_get(f->c, "x", false, &e), -EAGAIN);
		assert_int_equal(catalog_get(f->c, "../x", false, &e), -EAGAIN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_busy_store, setup, teardown),
		cmocka_unit_test_setup_teardown(test_before_the_store_is_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_absent_while_others_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sealed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_file, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
