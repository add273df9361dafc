/* What volumes take for themselves and together, and which options go together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "store/base/io.h"
#include "store/volume/file_io.h"
#include "store/volume/snapshot.h"

#define LEN 50000 /* random: stored as it is, in one chunk or a few */

struct fixture {
	char dir[64];
	struct store *s;
};

static const struct op op = {.umask = 022};

static int setup(void **state)
{
	struct store_options o = STORE_OPTIONS_DEFAULT;
	struct fixture *f = calloc(1, sizeof *f);
	struct err err = {0};

	o.flags = STORE_NO_THREADS;
	(void)snprintf(f->dir, sizeof f->dir, "/var/tmp/varve-size.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(store_init(f->dir, &err), 0);
	assert_int_equal(store_open(f->dir, &o, &f->s, &err), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];
	struct err err = {0};

	assert_int_equal(store_close(f->s, &err), 0);
	(void)snprintf(command, sizeof command, "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static struct volume_info create(struct fixture *f, const char *name)
{
	struct volume_info v;
	struct err err = {0};

	if (volume_create(f->s, name, NULL, &v, &err))
		fail_msg("%s", err.text);
	return v;
}

static void put(struct fixture *f, uint64_t root, const char *name, const void *data)
{
	struct attr attr;

	assert_int_equal(ns_create(f->s, &op, root, name, S_IFREG | 0644, 0, NULL, &attr), 0);
	assert_int_equal(file_write(f->s, &op, attr.node, data, LEN, 0, 0, false), 0);
}

static struct volume_sizes sizes(struct fixture *f, int64_t volume)
{
	struct volume_sizes ret = {-1, -1};
	bool more = true;

	while (more)
		assert_int_equal(store_maintain(f->s, &more), 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(volume_sizes(f->s, volume, NULL, &ret), 0);
	return ret;
}

static void clone(struct fixture *f, const char *from, const char *snapshot, const char *name, struct volume_info *ret)
{
	struct cut_times times;
	struct err err = {0};

	if (snapshot_clone(f->s, from, snapshot, name, NULL, ret, &times, &err))
		fail_msg("%s", err.text);
}

static void assert_sizes(struct fixture *f, int64_t volume, int64_t unique, int64_t shared)
{
	struct volume_sizes is = sizes(f, volume);

	assert_int_equal(is.unique_bytes, unique);
	assert_int_equal(is.shared_bytes, shared);
}

static void test_unique_and_shared(void **state)
{
	static uint8_t a[LEN], b[LEN], c[LEN];
	struct fixture *f = *state;
	struct volume_info one = create(f, "one"), two, copy;
	struct err err = {0};

	assert_int_equal(io_random(a, LEN), 0);
	assert_int_equal(io_random(b, LEN), 0);
	assert_int_equal(io_random(c, LEN), 0);
	assert_sizes(f, one.id, 0, 0);
	put(f, one.root_node, "a", a);
	assert_sizes(f, one.id, LEN, 0);
	/* twice in one volume is still its own, and stored once */
	put(f, one.root_node, "again", a);
	assert_sizes(f, one.id, LEN, 0);

	two = create(f, "two");
	put(f, two.root_node, "b", b);
	put(f, two.root_node, "a", a);
	assert_sizes(f, one.id, 0, LEN);
	assert_sizes(f, two.id, LEN, LEN);
	assert_int_equal(volume_remove(f->s, "two", VOLUME_REMOVE_FORCE | VOLUME_REMOVE_PURGE, &err), 0);

	/* a clone shares all that it began with */
	clone(f, "one", "", "copy", &copy);
	put(f, copy.root_node, "c", c);
	assert_sizes(f, copy.id, LEN, LEN);
	assert_int_equal(volume_remove(f->s, "one", VOLUME_REMOVE_FORCE | VOLUME_REMOVE_PURGE, &err), 0);
	assert_sizes(f, copy.id, 2 * LEN, 0);
}

static void test_history_is_its_own(void **state)
{
	static uint8_t a[LEN], b[LEN];
	struct snapshot_name name = {"v", "s"};
	struct fixture *f = *state;
	struct volume_info v = create(f, "v");
	char saved[VOLUME_NAME_MAX + 1];
	struct cut_times times;
	struct err err = {0};

	assert_int_equal(io_random(a, LEN), 0);
	assert_int_equal(io_random(b, LEN), 0);
	put(f, v.root_node, "a", a);
	assert_int_equal(snapshot_create(f->s, &name, 1, NULL, &times, &err), 0);
	assert_int_equal(ns_unlink(f->s, &op, v.root_node, "a"), 0);
	put(f, v.root_node, "b", b);
	assert_sizes(f, v.id, 2 * LEN, 0);
	assert_int_equal(snapshot_rollback(f->s, "v", "s", true, saved, &times, &err), 0);
	assert_sizes(f, v.id, 2 * LEN, 0);
}

static int parse(struct volume_options *o, const char *key, const char *value, struct err *err)
{
	*err = (struct err){0};
	return volume_option_parse(o, key, value, err);
}

static void test_options(void **state)
{
	static const char *const bad[][2] = {{"nonsense", "1"}, {"type", "nfs"},  {"size", "0"}, {"size", "much"}, {"quota", "-1"},
					     {"uid", "root"},	 {"mode", "999"}, {"from", "a@b@c"}, {"compression", "lz4"}, {"", ""}};
	struct fixture *f = *state;
	struct volume_options o = {0};
	struct volume_info v;
	struct err err;
	size_t i;

	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(parse(&o, bad[i][0], bad[i][1], &err), -EINVAL);
		assert_non_null(strstr(err.hint, "quota=10G"));
		assert_non_null(strstr(err.hint, "size=64M"));
		assert_int_equal(o.set, 0);
	}
	assert_int_equal(parse(&o, "size", "1M", &err), 0);
	assert_int_equal(volume_create(f->s, "t", &o, &v, &err), -EINVAL); /* no type */
	assert_int_equal(parse(&o, "type", "tmpfs", &err), 0);
	assert_int_equal(volume_create(f->s, "t", &o, &v, &err), 0);
	assert_true(v.tmpfs);
	assert_int_equal(v.quota_bytes, 1 << 20);
	err = (struct err){0};
	o = (struct volume_options){.set = VOLUME_SET_QUOTA, .quota_bytes = 1};
	assert_int_equal(volume_set(f->s, "t", &o, &err), -EINVAL);
	o = (struct volume_options){.set = VOLUME_SET_SIZE, .quota_bytes = 2 << 20};
	err = (struct err){0};
	assert_int_equal(volume_set(f->s, "t", &o, &err), 0);
	assert_int_equal(volume_get(f->s, "t", &v, &err), 0);
	assert_int_equal(v.quota_bytes, 2 << 20);
	(void)create(f, "plain");
	assert_int_equal(volume_set(f->s, "plain", &o, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unique_and_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_history_is_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_options, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
