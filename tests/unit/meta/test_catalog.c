#include "tests/unit/meta/fixture.h"

#include "store/meta/catalog.h"

static void begin(struct fixture *f)
{
	fixture_open(f);
	(void)fixture_root_branch(f->m);
	assert_int_equal(meta_op_begin(f->m), 0);
}

static void end(struct fixture *f)
{
	assert_int_equal(meta_op_end(f->m), 0);
	fixture_close(f);
}

static struct volume_row volume(int64_t id, const char *name)
{
	struct volume_row v = {.id = id, .branch = 1, .root_ino = 16, .number = 4000000000U, .head_number = 8, .created = -1,
			       .quota_bytes = INT64_MAX, .quota_inodes = 3, .compression = -7, .flags = 0x80000001U};

	(void)snprintf(v.name, sizeof v.name, "%s", name);
	return v;
}

static void test_volume(void **state)
{
	struct fixture f;
	struct volume_row v = volume(5, "data"), got = {0};
	char options[] = "{\"uid\":3}";

	(void)state;
	begin(&f);
	v.options = options;
	assert_int_equal(volume_put(f.m, &v), 0);
	assert_int_equal(volume_by_name(f.m, "Data", &got), -ENOENT);
	assert_int_equal(volume_by_id(f.m, 6, &got), -ENOENT);
	assert_int_equal(volume_by_name(f.m, "data", &got), 0);
	assert_string_equal(got.options, options);
	assert_ptr_not_equal(got.options, options);
	volume_row_free(&got);
	v.options = NULL;
	(void)snprintf(v.name, sizeof v.name, "%0*d", VOLUME_NAME_MAX, 7);
	assert_int_equal(volume_put(f.m, &v), 0);
	assert_int_equal(volume_by_name(f.m, "data", &got), -ENOENT);
	assert_int_equal(volume_by_id(f.m, 5, &got), 0);
	assert_string_equal(got.name, v.name);
	assert_null(got.options);
	assert_int_equal(got.branch, 1);
	assert_int_equal(got.root_ino, 16);
	assert_int_equal(got.number, v.number);
	assert_int_equal(got.head_number, 8);
	assert_int_equal(got.created, -1);
	assert_true(got.quota_bytes == INT64_MAX);
	assert_int_equal(got.quota_inodes, 3);
	assert_int_equal(got.compression, -7);
	assert_int_equal(got.flags, v.flags);
	assert_int_equal(volume_delete(f.m, 5), 0);
	assert_int_equal(volume_by_id(f.m, 5, &got), -ENOENT);
	end(&f);
}

static void test_volume_order(void **state)
{
	static const char *const sorted[] = {"A", "a", "ab", "b", "z0"};
	static const int order[] = {3, 0, 4, 2, 1};
	struct fixture f;
	struct volume_row got = {.name = ""};

	(void)state;
	begin(&f);
	for (int i = 0; i < 5; i++) {
		struct volume_row v = volume(10 + i, sorted[order[i]]);

		assert_int_equal(volume_put(f.m, &v), 0);
	}
	for (int i = 0; i < 5; i++) {
		char after[VOLUME_NAME_MAX + 1];

		memcpy(after, got.name, sizeof after);
		assert_int_equal(volume_next(f.m, after, &got), 0);
		assert_string_equal(got.name, sorted[i]);
	}
	assert_true(volume_next(f.m, got.name, &got) > 0);
	end(&f);
}

/* Hidden volumes: by time, apart from the others, their names free. */
static void test_volume_hidden(void **state)
{
	static const int64_t hidden[] = {INT64_MAX, 2, 1000000000000, 2};
	static const char *const names[] = {"a", "zz", "a", "b"};
	static const int64_t in_order[] = {13, 11, 12, 10};
	struct fixture f;
	struct volume_row got = {0}, v;

	(void)state;
	begin(&f);
	for (int i = 0; i < 4; i++) {
		v = volume(10 + i, names[i]);
		v.hidden = hidden[i];
		assert_int_equal(volume_put(f.m, &v), 0);
	}
	assert_int_equal(volume_by_name(f.m, "a", &got), -ENOENT);
	assert_int_equal(volume_by_name(f.m, "/0000000000000000002/b", &got), -ENOENT);
	assert_true(volume_next(f.m, "", &got) > 0);
	v = volume(20, "a");
	assert_int_equal(volume_put(f.m, &v), 0);
	assert_int_equal(volume_next(f.m, "", &got), 0);
	assert_int_equal(got.id, 20);
	assert_int_equal(got.hidden, 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(volume_next_hidden(f.m, i ? &got : NULL, &got), 0);
		assert_int_equal(got.id, in_order[i]);
		assert_string_equal(got.name, names[got.id - 10]);
		assert_int_equal(got.hidden, hidden[got.id - 10]);
	}
	assert_true(volume_next_hidden(f.m, &got, &got) > 0);
	/* and back again */
	assert_int_equal(volume_by_id(f.m, 11, &got), 0);
	got.hidden = 0;
	assert_int_equal(volume_put(f.m, &got), 0);
	assert_int_equal(volume_by_name(f.m, "zz", &got), 0);
	assert_int_equal(got.id, 11);
	end(&f);
}

static void put_snapshot(struct fixture *f, int64_t id, int64_t vol, const char *name, int64_t created, int want)
{
	struct snapshot_row s = {.id = id, .volume = vol, .branch = 1, .epoch = id, .created = created, .bytes = 1, .inodes = 2,
				 .root_ino = 3, .number = 4, .flags = SNAPSHOT_HELD};

	(void)snprintf(s.name, sizeof s.name, "%s", name);
	assert_int_equal(snapshot_put(f->m, &s), want);
}

static void test_snapshot(void **state)
{
	static const int64_t in_order[] = {12, 10, 11, 13};
	struct fixture f;
	struct snapshot_row got = {0};

	(void)state;
	begin(&f);
	put_snapshot(&f, 11, 1, "b", 200, 0);
	put_snapshot(&f, 10, 1, "a", 200, 0);
	put_snapshot(&f, 12, 1, "c", 100, 0);
	put_snapshot(&f, 13, 1, "d", 300, 0);
	put_snapshot(&f, 14, 2, "a", 50, 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(snapshot_next(f.m, 1, got.created, got.id, &got), 0);
		assert_int_equal(got.id, in_order[i]);
	}
	assert_true(snapshot_next(f.m, 1, got.created, got.id, &got) > 0);
	assert_int_equal(snapshot_by_name(f.m, 2, "a", &got), 0);
	assert_int_equal(got.id, 14);
	assert_int_equal(got.epoch, 14);
	assert_int_equal(got.bytes, 1);
	assert_int_equal(got.inodes, 2);
	assert_int_equal(got.root_ino, 3);
	assert_int_equal(got.number, 4);
	assert_int_equal(got.flags, SNAPSHOT_HELD);
	assert_int_equal(snapshot_by_name(f.m, 2, "b", &got), -ENOENT);
	/* Renamed by putting it again */
	put_snapshot(&f, 14, 2, "z", 50, 0);
	assert_int_equal(snapshot_by_name(f.m, 2, "z", &got), 0);
	assert_int_equal(branch_get(f.m, 1)->pinned, 14);
	assert_int_equal(snapshot_delete(f.m, 14), 0);
	assert_int_equal(branch_get(f.m, 1)->pinned, 13);
	assert_int_equal(snapshot_by_id(f.m, 14, &got), -ENOENT);
	end(&f);
}

static void test_snapshot_name_taken(void **state)
{
	struct fixture f;
	struct snapshot_row got;

	(void)state;
	begin(&f);
	put_snapshot(&f, 10, 1, "a", 1, 0);
	put_snapshot(&f, 11, 1, "a", 1, -EEXIST);
	assert_int_equal(snapshot_by_id(f.m, 10, &got), 0);
	assert_int_equal(snapshot_by_id(f.m, 11, &got), -ENOENT);
	meta_op_abort(f.m);
	fixture_close(&f);
}

static void put_automatic(struct fixture *f, int64_t id, const char *name, int64_t created, uint32_t flags)
{
	struct snapshot_row s = {.id = id, .volume = 1, .branch = 1, .epoch = id, .created = created, .flags = flags};

	(void)snprintf(s.name, sizeof s.name, "%s", name);
	assert_int_equal(snapshot_put(f->m, &s), 0);
}

/* What is asked of a volume's snapshots as a whole; pins never count. */
static void test_snapshots_of_volume(void **state)
{
	struct fixture f;
	struct snapshot_row got;
	unsigned n = 9;

	(void)state;
	begin(&f);
	assert_int_equal(snapshot_newest(f.m, 1, &n, &got), 0);
	assert_int_equal(n, 0);
	assert_int_equal(snapshot_surplus(f.m, 1, 0, &got), -ENOENT);
	put_snapshot(&f, 10, 1, "mine", 100, 0);
	put_automatic(&f, 11, "pre-x", 300, SNAPSHOT_AUTO);
	put_automatic(&f, 12, "pre-x-2", 200, SNAPSHOT_AUTO | SNAPSHOT_HELD);
	put_automatic(&f, 13, "pre-x-3", 200, SNAPSHOT_AUTO);
	put_automatic(&f, 14, "@pin", 1, SNAPSHOT_AUTO);
	put_automatic(&f, 15, "@late", 900, 0);
	assert_int_equal(snapshot_newest(f.m, 1, &n, &got), 0);
	assert_int_equal(n, 4);
	assert_int_equal(got.id, 11);
	assert_int_equal(snapshot_surplus(f.m, 1, 1, &got), 0);
	assert_int_equal(got.id, 13);
	assert_int_equal(snapshot_surplus(f.m, 1, 2, &got), -ENOENT);
	assert_int_equal(snapshot_named(f.m, 1, "pre-x", &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(snapshot_named(f.m, 1, "pre", &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(snapshot_named(f.m, 1, "min", &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(snapshot_of_view(f.m, 1, 12, &got), 0);
	assert_string_equal(got.name, "pre-x-2");
	assert_int_equal(snapshot_of_view(f.m, 1, 14, &got), -ENOENT);
	assert_int_equal(snapshot_of_view(f.m, 2, 12, &got), -ENOENT);
	end(&f);
}

static void test_clones(void **state)
{
	struct fixture f;
	struct meta_view view = {.epoch = 1};
	struct branch *b;
	int64_t epoch;
	unsigned n;

	(void)state;
	begin(&f);
	view.branch = branch_get(f.m, 1);
	assert_int_equal(meta_epoch_advance(f.m, &epoch), 0);
	assert_int_equal(snapshot_clones(f.m, 1, 1, &n), 0);
	assert_int_equal(n, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(branch_create(f.m, &view, 0, 0, &b), 0);
	assert_int_equal(snapshot_clones(f.m, 1, 1, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(snapshot_clones(f.m, 1, 2, &n), 0);
	assert_int_equal(n, 0);
	end(&f);
}

struct walk {
	struct meta *m;
	uint32_t sum;
	unsigned n;
};

static int visit(void *arg, const struct number_row *n)
{
	struct walk *w = arg;

	w->sum += n->number;
	w->n++;
	return number_delete(w->m, n->number);
}

static void test_number(void **state)
{
	struct fixture f;
	struct walk w = {0};
	struct number_row got, n = {.kind = NUMBER_HEAD, .volume = 9, .branch = 1, .epoch = META_HEAD};

	(void)state;
	begin(&f);
	w.m = f.m;
	for (int i = 0; i < 10; i++) {
		n.number = meta_next_number(f.m);
		assert_int_equal(number_put(f.m, &n), 0);
	}
	assert_int_equal(number_get(f.m, 11, &got), -ENOENT);
	assert_int_equal(number_get(f.m, 10, &got), 0);
	assert_int_equal(got.kind, NUMBER_HEAD);
	assert_int_equal(got.volume, 9);
	assert_int_equal(got.branch, 1);
	assert_true(got.epoch == META_HEAD);
	/* The one visited may go while the walk goes on. */
	assert_int_equal(number_each(f.m, visit, &w), 0);
	assert_int_equal(w.n, 10);
	assert_int_equal(w.sum, 55);
	assert_int_equal(number_get(f.m, 10, &got), -ENOENT);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_volume),		  cmocka_unit_test(test_volume_order), cmocka_unit_test(test_volume_hidden), cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_snapshot_name_taken), cmocka_unit_test(test_snapshots_of_volume), cmocka_unit_test(test_clones),     cmocka_unit_test(test_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
