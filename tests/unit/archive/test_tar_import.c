/* Archives that mean harm, or are damaged: refused with a line that names the entry, and nothing of them is left. */
#include "tests/unit/archive/archive_fixture.h"

#include "store/meta/catalog.h"
#include "store/volume/store_internal.h"

struct entry {
	const char *name;
	char type; /* of ustar: 0 file, 1 link, 2 symlink, 3 and 4 device, 5 folder, 6 fifo */
	const char *link;
};

static void build(struct buf *tar, const struct entry *v, size_t n)
{
	buf_reset(tar);
	for (size_t i = 0; i < n; i++)
		tar_add(tar, v[i].name, v[i].type, v[i].link, "x", v[i].type == '0');
	tar_end(tar);
}

/* Nothing of an import is there: no volume, no draft. */
static void expect_nothing(struct store_fixture *f)
{
	struct volume_info info;
	struct volume_row row;
	struct err err;

	assert_int_equal(volume_get(f->s, "w", &info, &err), -ENOENT);
	assert_true(volume_next_hidden(f->s->meta, NULL, &row) > 0);
}

static void refused(struct store_fixture *f, const struct entry *v, size_t n, const char *why)
{
	struct buf tar = {0};
	struct err err;

	build(&tar, v, n);
	assert_true(import_into(f, "w", tar.data, tar.len, 0, &err) < 0);
	if (!strstr(err.text, why))
		fail_msg("'%s' does not say '%s'", err.text, why);
	expect_nothing(f);
	buf_free(&tar);
}
#define REFUSED(why, ...)                                                                                              \
	refused(f, (const struct entry[]){__VA_ARGS__},                                                                \
		sizeof((const struct entry[]){__VA_ARGS__}) / sizeof(struct entry), why)

static void test_hostile(void **state)
{
	struct store_fixture *f = *state;

	REFUSED("'../x' in the archive leads out", {"../x", '0', NULL});
	REFUSED("'a/../../x' in the archive leads out", {"a/../../x", '0', NULL});
	REFUSED("leads out", {"a/..", '5', NULL});
	REFUSED("'/etc/passwd' in the archive is an absolute name", {"/etc/passwd", '0', NULL});
	REFUSED("behind the symbolic link 'out'", {"out", '2', "/tmp"}, {"out/x", '0', NULL});
	REFUSED("behind the symbolic link 'out'", {"d/out", '2', ".."}, {"d/out/x/y", '0', NULL});
	REFUSED("links to '../../etc/passwd', which is not in the volume", {"x", '1', "../../etc/passwd"});
	REFUSED("links to '/etc/passwd', which is not in the volume", {"x", '1', "/etc/passwd"});
	REFUSED("behind the symbolic link 'out'", {"out", '2', "/etc"}, {"x", '1', "out/passwd"});
	REFUSED("which has not come before it", {"x", '1', "y"});
	REFUSED("links to a folder", {"d", '5', NULL}, {"x", '1', "d"});
	REFUSED("lies in 'f', which is no folder", {"f", '0', NULL}, {"f/x", '0', NULL});
	REFUSED("there is one of that name with files in it", {"d/x", '0', NULL}, {"d", '0', NULL});
	REFUSED("take the place of the volume itself", {".", '2', "/"});
	REFUSED(".snapshots", {".snapshots", '5', NULL});
	REFUSED(".snapshots", {".snapshots/s/x", '0', NULL});
	REFUSED("a?b", {"../a\nb", '0', NULL});
}

static void test_damaged(void **state)
{
	struct store_fixture *f = *state;
	struct buf tar = {0};
	char big[3000] = "";
	struct err err;

	tar_add(&tar, "a", '0', NULL, big, sizeof big);
	tar_add(&tar, "b", '0', NULL, big, sizeof big);
	tar_end(&tar);
	/* cut between entries, in a header, in contents: only whole it is one */
	for (size_t cut = 0; cut < tar.len - BLOCK; cut += BLOCK / 2) {
		assert_true(import_into(f, "w", tar.data, cut, 0, &err) < 0);
		assert_true(*err.text);
		expect_nothing(f);
	}
	tar.data[7 * BLOCK + 10] ^= 1; /* in the second header */
	assert_int_equal(import_into(f, "w", tar.data, tar.len, 0, &err), -EINVAL);
	if (!strstr(err.text, "damaged or cut short after 'a'"))
		fail_msg("%s", err.text);
	expect_nothing(f);
	assert_int_equal(import_into(f, "w", "no archive at all", 17, 0, &err), -EINVAL);
	assert_non_null(strstr(err.text, "no tar archive"));
	buf_free(&tar);
}

/* The reader's failure (a client that went away) is the import's. */
static void test_source_fails(void **state)
{
	struct store_fixture *f = *state;
	struct buf tar = {0};
	struct tar_import_result result;
	struct err err = {0};
	struct draft d;

	tar_add(&tar, "a", '0', NULL, "x", 1);
	struct source src = {.data = tar.data, .len = tar.len, .error = -ECONNRESET};
	const struct tar_import_options o = {.read = source_read, .arg = &src, .volume = "w"};

	assert_int_equal(draft_new(f->s, "w", NULL, true, &d, &err), 0);
	assert_int_equal(tar_import(f->s, d.root_node, &o, &result, &err), -ECONNRESET);
	draft_drop(f->s, &d);
	expect_nothing(f);
	buf_free(&tar);
}

/* More than the quota holds, by size or by number, however little of it is in the archive. */
static void test_bomb(void **state)
{
	struct store_fixture *f = *state;
	struct volume_options opts = {
		.set = VOLUME_SET_QUOTA | VOLUME_SET_QUOTA_INODES, .quota_bytes = 100000, .quota_inodes = 20};
	struct buf tar = {0};
	char zeros[60000] = "", name[20];
	struct err err;

	assert_int_equal(volume_set(f->s, "v", &opts, &err), 0);
	fixture_file(f, f->vol.root_node, "old", 1, 1000);
	tar_add(&tar, "a", '0', NULL, zeros, sizeof zeros);
	tar_add(&tar, "b", '0', NULL, zeros, sizeof zeros);
	tar_end(&tar);
	assert_int_equal(import_into(f, "v", tar.data, tar.len, 0, &err), -EDQUOT);
	buf_reset(&tar);
	for (int i = 0; i < 30; i++) {
		(void)snprintf(name, sizeof name, "%d", i);
		tar_add(&tar, name, '5', NULL, NULL, 0);
	}
	tar_end(&tar);
	assert_int_equal(import_into(f, "v", tar.data, tar.len, 0, &err), -EDQUOT);
	assert_non_null(strstr(err.text, "quota"));
	expect_nothing(f);
	fixture_expect(f, f->vol.root_node, "old", 1, 1000);
	buf_free(&tar);
}

/* Later entries of a name take the place of earlier ones; links are not written through. */
static void test_again(void **state)
{
	struct store_fixture *f = *state;
	static const struct entry v[] = {
		{"a", '0', NULL},   {"b", '1', "./a"},	{"a", '2', "b"}, {"a", '0', NULL},	 {"d/e", '5', NULL},
		{"d/e", '0', NULL}, {"d/e", '5', NULL}, {"b", '1', "b"}, {"./d//f/", '6', NULL},
	};
	struct buf tar = {0};
	struct volume_info info;
	struct attr attr;
	struct err err;
	uint64_t d;

	build(&tar, v, sizeof v / sizeof *v);
	if (import_into(f, "w", tar.data, tar.len, 0, &err))
		fail_msg("%s", err.text);
	assert_int_equal(volume_get(f->s, "w", &info, &err), 0);
	assert_int_equal(ns_lookup(f->s, info.root_node, "a", &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0644);
	assert_int_equal(attr.nlink, 1);
	assert_true(attr.mtime == INT64_C(1000000000000000000));
	assert_int_equal(ns_lookup(f->s, info.root_node, "b", &attr), 0);
	assert_int_equal(attr.nlink, 1);
	assert_int_equal(ns_lookup(f->s, info.root_node, "d", &attr), 0);
	d = attr.node;
	assert_int_equal(ns_lookup(f->s, d, "e", &attr), 0);
	assert_int_equal(attr.mode, S_IFDIR | 0755);
	assert_int_equal(ns_lookup(f->s, d, "f", &attr), 0);
	assert_int_equal(attr.mode, S_IFIFO | 0644);
	buf_free(&tar);
}

static void test_strip(void **state)
{
	struct store_fixture *f = *state;
	static const struct entry v[] = {
		{"data", '5', NULL}, {"data/a", '0', NULL}, {"data/b", '1', "data/a"}, {"other", '0', NULL}};
	struct buf tar = {0};
	struct volume_info info;
	struct attr attr;
	struct err err;

	build(&tar, v, sizeof v / sizeof *v);
	if (import_into(f, "w", tar.data, tar.len, 1, &err))
		fail_msg("%s", err.text);
	assert_int_equal(volume_get(f->s, "w", &info, &err), 0);
	assert_int_equal(ns_lookup(f->s, info.root_node, "b", &attr), 0);
	assert_int_equal(attr.nlink, 2);
	assert_int_equal(ns_lookup(f->s, info.root_node, "other", &attr), -ENOENT);
	assert_int_equal(ns_lookup(f->s, info.root_node, "data", &attr), -ENOENT);
	buf_free(&tar);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_hostile, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_damaged, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_source_fails, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_bomb, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_again, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_strip, store_fixture_setup, store_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
