/* Random trees and edits sent and received: what comes out is what went in, byte for byte and attribute for attribute; a
 * stream from an earlier snapshot holds what changed; volumes go to another store, are changed there, and come back. */
#include "tests/unit/repo/stream_fixture.h"

static void edit(struct store_fixture *f, struct tree_rng *r, const char *volume, int n)
{
	struct volume_info vol;

	assert_int_equal(volume_get(f->s, volume, &vol, NULL), 0);
	for (int i = 0; i < n; i++)
		tree_edit(f->s, r, vol.root_node);
}

static void same(struct stream_fixture *f, const char *va, const char *vb, const char *snapshot)
{
	tree_same(f->a->s, tree_root(f->a->s, va, snapshot), f->b->s, tree_root(f->b->s, vb, snapshot));
}

static struct tree_rng seeded(void)
{
	struct tree_rng r = {getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 1};

	print_message("seed %llu\n", (unsigned long long)r.x);
	return r;
}

static void test_random_trees(void **state)
{
	struct stream_fixture *f = *state;
	struct tree_rng r = seeded();
	int rounds = getenv("ROUNDS") ? atoi(getenv("ROUNDS")) : 11;
	char name[16], last[16] = "";
	struct buf stream = {0};

	for (int round = 0; round < rounds; round++) {
		struct send_result sent;

		edit(f->a, &r, "v", round ? 40 : 150);
		(void)snprintf(name, sizeof name, "s%d", round);
		stream_snapshot(f->a->s, "v", name);
		sent = stream_send_ok(f->a->s, "v", name, last, &stream);
		assert_int_equal(sent.incremental, round > 0);
		assert_int_equal(stream_receive_ok(f->b->s, round ? NULL : "v2", &stream).made, round == 0);
		if (!round) { /* from here on the volume has the stream's name */
			assert_int_equal(volume_remove(f->b->s, "v", VOLUME_REMOVE_PURGE, NULL), 0);
			assert_int_equal(volume_rename(f->b->s, "v2", "v", NULL), 0);
		}
		same(f, "v", "v", name);
		if (round % 3 == 2) { /* the history goes on from an earlier state */
			(void)snprintf(name, sizeof name, "s%d", round - 1);
			stream_rollback(f->a->s, "v", name);
		}
		if (round % 4 == 3)
			fixture_maintain(f->a);
		(void)snprintf(last, sizeof last, "s%d", round);
		stream_check_clean(f->b->s);
	}
	fixture_maintain(f->a);
	fixture_maintain(f->b);
	stream_check_clean(f->a->s);
	stream_check_clean(f->b->s);
	buf_free(&stream);
}

/* Between any two snapshots, in either direction. */
static void test_any_two(void **state)
{
	struct stream_fixture *f = *state;
	struct tree_rng r = seeded();
	struct buf stream = {0};
	char name[16], from[16], copy[32];

	for (int i = 0; i < 4; i++) {
		edit(f->a, &r, "v", 60);
		(void)snprintf(name, sizeof name, "s%d", i);
		stream_snapshot(f->a->s, "v", name);
		if (i == 1)
			stream_rollback(f->a->s, "v", "s0");
		(void)snprintf(copy, sizeof copy, "copy%d", i);
		(void)stream_send_ok(f->a->s, "v", name, "", &stream);
		(void)stream_receive_ok(f->b->s, copy, &stream);
	}
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 4; k++) {
			if (i == k)
				continue;
			(void)snprintf(name, sizeof name, "s%d", k);
			(void)snprintf(from, sizeof from, "s%d", i);
			(void)snprintf(copy, sizeof copy, "from%dto%d", i, k);
			(void)stream_send_ok(f->a->s, "v", name, from, &stream);
			assert_true(stream_receive_ok(f->b->s, copy, &stream).incremental);
			same(f, "v", copy, name);
		}
	stream_check_clean(f->b->s);
	buf_free(&stream);
}

/* Deep lineages are flattened, and what is flattened does not tell when its rows came. */
static void test_flattened(void **state)
{
	struct stream_fixture *f = *state;
	struct tree_rng r = seeded();
	struct buf stream = {0};
	char name[16], last[16] = "";

	for (int i = 0; i < 20; i++) {
		edit(f->a, &r, "v", 15);
		(void)snprintf(name, sizeof name, "s%d", i);
		stream_snapshot(f->a->s, "v", name);
		if (i % 5 == 4) {
			(void)stream_send_ok(f->a->s, "v", name, last, &stream);
			(void)stream_receive_ok(f->b->s, "copy", &stream);
			same(f, "v", "copy", name);
			(void)snprintf(last, sizeof last, "s%d", i);
		}
		stream_rollback(f->a->s, "v", name);
		fixture_maintain(f->a);
	}
	stream_check_clean(f->b->s);
	buf_free(&stream);
}

/* To the other store, changed there, and back by the difference; and there again. */
static void test_there_and_back(void **state)
{
	struct stream_fixture *f = *state;
	struct tree_rng r = seeded();
	struct buf stream = {0};
	uint64_t whole;

	edit(f->a, &r, "v", 200);
	(void)fixture_file(f->a, f->a->vol.root_node, "large", 5, 3000000);
	stream_snapshot(f->a->s, "v", "one");
	whole = stream_send_ok(f->a->s, "v", "one", "", &stream).bytes;
	(void)stream_receive_ok(f->b->s, "moved", &stream);
	edit(f->b, &r, "moved", 40);
	stream_snapshot(f->b->s, "moved", "two");

	assert_true(stream_send_ok(f->b->s, "moved", "two", "one", &stream).bytes < whole / 2);
	(void)stream_receive_ok(f->a->s, "v", &stream);
	same(f, "v", "moved", "two");
	stream_rollback(f->a->s, "v", "two");
	edit(f->a, &r, "v", 40);
	stream_snapshot(f->a->s, "v", "three");
	assert_true(stream_send_ok(f->a->s, "v", "three", "two", &stream).bytes < whole / 2);
	(void)stream_receive_ok(f->b->s, "moved", &stream);
	same(f, "v", "moved", "three");
	stream_rollback(f->b->s, "moved", "three");
	edit(f->b, &r, "moved", 40);
	stream_snapshot(f->b->s, "moved", "four");
	(void)stream_send_ok(f->b->s, "moved", "four", "three", &stream);
	(void)stream_receive_ok(f->a->s, "v", &stream);
	same(f, "v", "moved", "four");
	fixture_maintain(f->a);
	fixture_maintain(f->b);
	stream_check_clean(f->a->s);
	stream_check_clean(f->b->s);
	buf_free(&stream);
}

/* Into the store that it came from. */
static void test_same_store(void **state)
{
	struct stream_fixture *f = *state;
	struct tree_rng r = seeded();
	struct buf stream = {0};
	struct store *s = f->a->s;

	edit(f->a, &r, "v", 100);
	stream_snapshot(s, "v", "one");
	edit(f->a, &r, "v", 40);
	stream_snapshot(s, "v", "two");
	(void)stream_send_ok(s, "v", "two", "one", &stream);
	(void)stream_receive_ok(s, "second", &stream);
	tree_same(s, tree_root(s, "v", "two"), s, tree_root(s, "second", "two"));
	(void)stream_send_ok(s, "v", "one", "", &stream);
	(void)stream_receive_ok(s, "first", &stream);
	(void)stream_send_ok(s, "v", "two", "one", &stream);
	(void)stream_receive_ok(s, "first", &stream);
	tree_same(s, tree_root(s, "v", "two"), s, tree_root(s, "first", "two"));
	fixture_maintain(f->a);
	stream_check_clean(s);
	buf_free(&stream);
}

static void overwrite(struct store_fixture *f, const char *name, int64_t off, unsigned seed, size_t len)
{
	uint8_t data[16384];
	struct attr attr;

	assert_true(len <= sizeof data);
	fixture_bytes(data, len, seed);
	assert_int_equal(ns_lookup(f->s, f->vol.root_node, name, &attr), 0);
	assert_int_equal(file_write(f->s, &fixture_op, attr.node, data, len, off, 0, false), 0);
}

/* How large a difference is follows the change: in place, shifted under a new name, none. */
static void test_sizes(void **state)
{
	struct stream_fixture *f = *state;
	struct store_fixture *a = f->a;
	struct buf stream = {0};
	uint8_t *data = malloc(4000100);
	struct attr attr;
	uint64_t bytes;

	assert_non_null(data);
	for (int i = 0; i < 200; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "f%d", i);
		(void)fixture_file(a, a->vol.root_node, name, 100 + (unsigned)i, 5000);
	}
	fixture_bytes(data, 4000000, 7);
	assert_int_equal(ns_create(a->s, &fixture_op, a->vol.root_node, "dump", S_IFREG | 0644, 0, NULL, &attr), 0);
	for (size_t at = 0; at < 4000000; at += 100000)
		assert_int_equal(file_write(a->s, &fixture_op, attr.node, data + at, 100000, (int64_t)at, 0, false), 0);
	stream_snapshot(a->s, "v", "one");
	bytes = stream_send_ok(a->s, "v", "one", "", &stream).bytes;
	assert_true(bytes > 5000000 && bytes < 5300000);
	(void)stream_receive_ok(f->b->s, "w", &stream);

	overwrite(a, "dump", 1000000, 9, 10);
	stream_snapshot(a->s, "v", "two");
	assert_true(stream_send_ok(a->s, "v", "two", "one", &stream).bytes < 2000);
	(void)stream_receive_ok(f->b->s, "w", &stream);
	same(f, "v", "w", "two");

	/* as a dump is replaced: a new file, with a few bytes more at the beginning */
	memmove(data + 100, data, 4000000);
	assert_int_equal(ns_create(a->s, &fixture_op, a->vol.root_node, "new", S_IFREG | 0644, 0, NULL, &attr), 0);
	for (size_t at = 0, n; at < 4000100; at += n) {
		n = 4000100 - at < 100000 ? 4000100 - at : 100000;
		assert_int_equal(file_write(a->s, &fixture_op, attr.node, data + at, n, (int64_t)at, 0, false), 0);
	}
	assert_int_equal(ns_rename(a->s, &fixture_op, a->vol.root_node, "new", a->vol.root_node, "dump", 0), 0);
	stream_snapshot(a->s, "v", "three");
	bytes = stream_send_ok(a->s, "v", "three", "two", &stream).bytes;
	print_message("a shifted dump of 4,000,000 bytes: %llu\n", (unsigned long long)bytes);
	assert_true(bytes < 400000);
	(void)stream_receive_ok(f->b->s, "w", &stream);
	same(f, "v", "w", "three");

	stream_snapshot(a->s, "v", "four");
	assert_true(stream_send_ok(a->s, "v", "four", "three", &stream).bytes < 1000);
	(void)stream_receive_ok(f->b->s, "w", &stream);
	same(f, "v", "w", "four");
	stream_check_clean(f->b->s);
	free(data);
	buf_free(&stream);
}

/* What is sent stays, whatever happens to its names meanwhile. */
static void test_held_while_sent(void **state)
{
	struct stream_fixture *f = *state;
	struct tree_rng r = seeded();
	struct repo_progress progress = {0};
	struct send_result result;
	struct buf stream = {0};
	struct err err = {0};
	struct send *x;

	edit(f->a, &r, "v", 100);
	stream_snapshot(f->a->s, "v", "one");
	(void)stream_send_ok(f->a->s, "v", "one", "", &stream);
	(void)stream_receive_ok(f->b->s, "w", &stream);
	edit(f->a, &r, "v", 60);
	stream_snapshot(f->a->s, "v", "two");
	assert_int_equal(snapshot_clone(f->a->s, "v", "two", "kept", NULL, &f->a->vol, &(struct cut_times){0}, &err), 0);
	stream_snapshot(f->a->s, "kept", "two");
	if (send_open(f->a->s, "v", "two", "one", &x, &err))
		fail_msg("send_open: %s", err.text);
	assert_int_equal(snapshot_remove(f->a->s, "v", "one", NULL), 0);
	assert_int_equal(snapshot_remove(f->a->s, "v", "two", NULL), 0);
	assert_int_equal(volume_remove(f->a->s, "v", VOLUME_REMOVE_PURGE, NULL), 0);
	fixture_maintain(f->a);
	buf_reset(&stream);
	if (send_run(x, stream_put, &stream, &progress, &result, &err))
		fail_msg("send_run: %s", err.text);
	send_free(x);
	(void)stream_receive_ok(f->b->s, "w", &stream);
	tree_same(f->a->s, tree_root(f->a->s, "kept", "two"), f->b->s, tree_root(f->b->s, "w", "two"));
	fixture_maintain(f->a);
	stream_check_clean(f->a->s);
	buf_free(&stream);
}

struct collecting {
	struct stream_source src;
	struct store_fixture *f;
	int calls;
};

static int get_and_maintain(void *arg, void *buf, size_t len, size_t *ret_len)
{
	struct collecting *c = arg;

	if (!(++c->calls % 20))
		fixture_maintain(c->f);
	return stream_get(&c->src, buf, len, ret_len);
}

/* The receiver's collector runs while it receives, and what has come and is in no file yet stays. */
static void test_collector_beside(void **state)
{
	struct stream_fixture *f = *state;
	struct collecting c = {.f = f->b};
	struct repo_progress progress = {0};
	struct receive_result result;
	struct buf stream = {0};
	struct err err = {0};

	(void)fixture_file(f->a, f->a->vol.root_node, "large", 3, 50000000);
	for (int i = 0; i < 3000; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "f%d", i);
		(void)fixture_file(f->a, f->a->vol.root_node, name, 100 + (unsigned)i, 20);
	}
	stream_snapshot(f->a->s, "v", "one");
	(void)stream_send_ok(f->a->s, "v", "one", "", &stream);
	c.src = (struct stream_source){stream.data, stream.len, 0};
	if (repo_receive(f->b->s, "w", get_and_maintain, &c, &progress, &result, &err))
		fail_msg("receive: %s", err.text);
	tree_same(f->a->s, tree_root(f->a->s, "v", "one"), f->b->s, tree_root(f->b->s, "w", "one"));
	fixture_maintain(f->b);
	stream_check_clean(f->b->s);
	buf_free(&stream);
}

/* Small overwrites are not deduplicated by the store; in a stream each content comes once. */
static void test_alike(void **state)
{
	struct stream_fixture *f = *state;
	struct buf stream = {0};
	uint8_t page[16384];
	struct attr attr;

	fixture_bytes(page, sizeof page, 3);
	assert_int_equal(ns_create(f->a->s, &fixture_op, f->a->vol.root_node, "pages", S_IFREG | 0644, 0, NULL, &attr), 0);
	for (int64_t i = 0; i < 6000; i++) {
		assert_int_equal(file_write(f->a->s, &fixture_op, attr.node, page, sizeof page, i * 32768, 0, false), 0);
		if (i % 200 == 199)
			assert_int_equal(store_commit(f->a->s), 0);
	}
	stream_snapshot(f->a->s, "v", "one");
	assert_int_equal(stream_send_ok(f->a->s, "v", "one", "", &stream).chunks, 1);
	(void)stream_receive_ok(f->b->s, "w", &stream);
	same(f, "v", "w", "one");
	buf_free(&stream);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, stream_fixture_setup, stream_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_random_trees), TEST(test_any_two), TEST(test_flattened), TEST(test_there_and_back),
		TEST(test_same_store),	 TEST(test_sizes),   TEST(test_held_while_sent),
		TEST(test_collector_beside), TEST(test_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
