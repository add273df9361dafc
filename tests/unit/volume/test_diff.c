/* Differences between views: what each kind of change is called, and that nothing else is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "store/volume/diff.h"
#include "store/volume/file_io.h"
#include "store/volume/store_internal.h"

struct fixture {
	char dir[64];
	struct store *s;
	struct volume_info vol;
	char text[8192];
};

static const struct op op = {.umask = 022};

static uint64_t make(struct fixture *f, uint64_t parent, const char *name, uint32_t mode, const char *content)
{
	struct attr attr;

	assert_int_equal(ns_create(f->s, &op, parent, name, mode, 0, NULL, &attr), 0);
	if (*content)
		assert_int_equal(file_write(f->s, &op, attr.node, content, strlen(content), 0, 0, false), 0);
	return attr.node;
}

static uint64_t node(struct fixture *f, uint64_t parent, const char *name)
{
	struct attr attr;

	assert_int_equal(ns_lookup(f->s, parent, name, &attr), 0);
	return attr.node;
}

static void write_at(struct fixture *f, uint64_t file, const char *text, int64_t off)
{
	assert_int_equal(file_write(f->s, &op, file, text, strlen(text), off, 0, false), 0);
}

static void snapshot(struct fixture *f, const char *volume, const char *name)
{
	struct snapshot_name n;
	struct cut_times times;
	struct err err = {0};

	(void)snprintf(n.volume, sizeof n.volume, "%s", volume);
	(void)snprintf(n.snapshot, sizeof n.snapshot, "%s", name);
	if (snapshot_create(f->s, &n, 1, NULL, &times, &err))
		fail_msg("snapshot_create: %s", err.text);
}

static struct volume_info clone_of(struct fixture *f, const char *from, const char *name)
{
	struct volume_options none = {0};
	struct volume_info info;
	struct cut_times times;
	struct err err = {0};

	if (snapshot_clone(f->s, "v", from, name, &none, &info, &times, &err))
		fail_msg("snapshot_clone: %s", err.text);
	return info;
}

static int setup(void **state)
{
	struct store_options opts = {.flags = STORE_NO_THREADS, .ring_size = 8 * MIB, .ring_fd = -1};
	struct fixture *f = calloc(1, sizeof *f);
	struct err err = {0};
	uint64_t sub;

	assert_non_null(f);
	strcpy(f->dir, "/var/tmp/varve-unit-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	if (store_init(f->dir, &err) || store_open(f->dir, &opts, &f->s, &err))
		fail_msg("making the store: %s", err.text);
	if (volume_create(f->s, "v", NULL, &f->vol, &err))
		fail_msg("volume_create: %s", err.text);
	sub = make(f, f->vol.root_node, "sub", S_IFDIR | 0755, "");
	(void)make(f, sub, "one", S_IFREG | 0644, "one");
	(void)make(f, sub, "two", S_IFREG | 0644, "two");
	(void)make(f, f->vol.root_node, "three", S_IFREG | 0644, "three");
	snapshot(f, "v", "a");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char cmd[128];
	struct err err = {0};

	if (store_close(f->s, &err))
		fail_msg("store_close: %s", err.text);
	(void)snprintf(cmd, sizeof cmd, "rm -rf %s", f->dir);
	assert_int_equal(system(cmd), 0);
	free(f);
	return 0;
}

/* A line each: kind, what, path. */
static int take(void *arg, const struct diff_entry *e)
{
	struct fixture *f = arg;
	size_t n = strlen(f->text);

	(void)snprintf(f->text + n, sizeof f->text - n, "%c%s%s%s %s%s%s\n", e->kind, e->what & DIFF_CONTENT ? "c" : "",
		       e->what & DIFF_ATTR ? "a" : "", e->what & DIFF_XATTR ? "x" : "", e->path, e->new_path ? " -> " : "",
		       e->new_path ? e->new_path : "");
	return 0;
}

static void assert_diff(struct fixture *f, const char *va, const char *sa, const char *vb, const char *sb, const char *want)
{
	struct err err = {0};

	f->text[0] = 0;
	if (diff_views(f->s, va, sa, vb, sb, take, f, &err))
		fail_msg("diff_views: %s", err.text);
	assert_string_equal(f->text, want);
}

static void test_nothing(void **state)
{
	struct fixture *f = *state;

	assert_diff(f, "v", "a", "v", "", "");
	snapshot(f, "v", "b");
	assert_diff(f, "v", "a", "v", "b", "");
	assert_diff(f, "v", "b", "v", "b", "");
}

static void test_added_and_removed(void **state)
{
	struct fixture *f = *state;
	uint64_t root = f->vol.root_node, sub = node(f, root, "sub");
	uint64_t dir = make(f, root, "dir", S_IFDIR | 0755, "");

	(void)make(f, dir, "new", S_IFREG | 0644, "new");
	assert_int_equal(ns_unlink(f->s, &op, sub, "one"), 0);
	/* comes and goes between the two */
	(void)make(f, sub, "brief", S_IFREG | 0644, "brief");
	assert_int_equal(ns_unlink(f->s, &op, sub, "brief"), 0);
	assert_diff(f, "v", "a", "v", "", "+ /dir\n+ /dir/new\n- /sub/one\n");
	snapshot(f, "v", "b");
	assert_diff(f, "v", "a", "v", "b", "+ /dir\n+ /dir/new\n- /sub/one\n");
	assert_diff(f, "v", "b", "v", "a", "- /dir\n- /dir/new\n+ /sub/one\n");
}

static void test_contents(void **state)
{
	struct fixture *f = *state;
	uint64_t three = node(f, f->vol.root_node, "three");
	struct attr want = {.size = 2};

	write_at(f, three, "THREE", 0);
	assert_diff(f, "v", "a", "v", "", "Mca /three\n"); /* still in the write buffer until the diff drains it */
	snapshot(f, "v", "b");
	assert_int_equal(ns_setattr(f->s, &op, three, &want, NS_SET_SIZE, &want), 0);
	assert_diff(f, "v", "b", "v", "", "Mca /three\n");
}

static void test_attributes(void **state)
{
	struct fixture *f = *state;
	uint64_t root = f->vol.root_node, sub = node(f, root, "sub"), one = node(f, sub, "one");
	struct attr mode = {.mode = 0600}, back = {.mode = 0644};

	assert_int_equal(ns_setattr(f->s, &op, one, &mode, NS_SET_MODE, &mode), 0);
	assert_int_equal(ns_setxattr(f->s, &op, sub, "user.k", "v", 1, 0), 0);
	assert_diff(f, "v", "a", "v", "", "Mx /sub\nMa /sub/one\n");
	snapshot(f, "v", "b");
	assert_int_equal(ns_setattr(f->s, &op, one, &back, NS_SET_MODE, &back), 0);
	assert_int_equal(ns_removexattr(f->s, &op, sub, "user.k"), 0);
	assert_diff(f, "v", "b", "v", "", "Mx /sub\nMa /sub/one\n");
	/* changed and changed back: only the rows of attributes tell that something went on */
	assert_diff(f, "v", "a", "v", "", "Mx /sub\n");
}

static void test_renamed(void **state)
{
	struct fixture *f = *state;
	uint64_t root = f->vol.root_node, sub = node(f, root, "sub"), two = node(f, sub, "two");

	assert_int_equal(ns_rename(f->s, &op, sub, "one", root, "uno", 0), 0);
	assert_diff(f, "v", "a", "v", "", "R /sub/one -> /uno\n");
	/* over another, and changed as well */
	assert_int_equal(ns_rename(f->s, &op, sub, "two", root, "three", 0), 0);
	write_at(f, two, "more", 3);
	assert_diff(f, "v", "a", "v", "", "R /sub/one -> /uno\nR /sub/two -> /three\n- /three\nMca /three\n");
	/* what is in a renamed folder is not renamed itself */
	snapshot(f, "v", "b");
	(void)make(f, sub, "four", S_IFREG | 0644, "");
	snapshot(f, "v", "c");
	assert_int_equal(ns_rename(f->s, &op, root, "sub", root, "dir", 0), 0);
	assert_diff(f, "v", "c", "v", "", "R /sub -> /dir\n");
}

/* Another folder in the place of the first, with the same files: of those nothing has changed. */
static void test_folder_replaced(void **state)
{
	struct fixture *f = *state;
	uint64_t root = f->vol.root_node, sub = node(f, root, "sub"), two = node(f, sub, "two");
	struct attr attr;

	assert_int_equal(ns_create(f->s, &op, root, "new", S_IFDIR | 0755, 0, NULL, &attr), 0);
	assert_int_equal(ns_rename(f->s, &op, sub, "one", attr.node, "one", 0), 0);
	assert_int_equal(ns_rename(f->s, &op, sub, "two", attr.node, "two", 0), 0);
	assert_int_equal(ns_rmdir(f->s, &op, root, "sub"), 0);
	assert_int_equal(ns_rename(f->s, &op, root, "new", root, "sub", 0), 0);
	assert_diff(f, "v", "a", "v", "", "+ /sub\n- /sub\n");
	write_at(f, two, "more", 3);
	assert_diff(f, "v", "a", "v", "", "+ /sub\n- /sub\nMca /sub/two\n");
}

static void test_links(void **state)
{
	struct fixture *f = *state;
	uint64_t root = f->vol.root_node;
	struct attr attr;

	assert_int_equal(ns_link(f->s, &op, node(f, root, "three"), root, "drei", &attr), 0);
	assert_diff(f, "v", "a", "v", "", "+ /drei\n");
	snapshot(f, "v", "b");
	assert_int_equal(ns_unlink(f->s, &op, root, "three"), 0);
	assert_diff(f, "v", "b", "v", "", "- /three\n");
	assert_diff(f, "v", "a", "v", "", "R /three -> /drei\n");
}

/* More names than are looked for at first, in folders so deep that a path is longer than PATH_MAX. */
static void test_many_links_and_long_paths(void **state)
{
	struct fixture *f = *state;
	uint64_t dir = f->vol.root_node;
	char name[201], link[16];
	struct attr attr;

	memset(name, 'd', sizeof name - 1);
	name[sizeof name - 1] = 0;
	for (int i = 0; i < 30; i++)
		dir = make(f, dir, name, S_IFDIR | 0755, "");
	for (int i = 0; i < 100; i++) {
		(void)snprintf(link, sizeof link, "l%d", i);
		assert_int_equal(ns_link(f->s, &op, node(f, f->vol.root_node, "three"), dir, link, &attr), 0);
	}
	snapshot(f, "v", "b");
	assert_int_equal(ns_rename(f->s, &op, dir, "l99", f->vol.root_node, "last", 0), 0);
	f->text[0] = 0;
	assert_int_equal(diff_views(f->s, "v", "b", "v", "", take, f, NULL), 0);
	assert_int_equal(strlen(f->text), strlen("R ") + 30 * 201 + strlen("/l99 -> /last\n"));
	assert_string_equal(f->text + strlen(f->text) - strlen("/l99 -> /last\n"), "/l99 -> /last\n");
}

/* Both sides of a fork, and the other way. */
static void test_clones(void **state)
{
	struct fixture *f = *state;
	struct volume_info c = clone_of(f, "a", "c");
	uint64_t root = f->vol.root_node;

	(void)make(f, root, "ours", S_IFREG | 0644, "ours");
	(void)make(f, c.root_node, "theirs", S_IFREG | 0644, "theirs");
	assert_int_equal(ns_unlink(f->s, &op, c.root_node, "three"), 0);
	assert_diff(f, "v", "a", "c", "", "+ /theirs\n- /three\n");
	assert_diff(f, "v", "", "c", "", "- /ours\n+ /theirs\n- /three\n");
	assert_diff(f, "c", "", "v", "", "+ /ours\n- /theirs\n+ /three\n");
}

static void test_rollback(void **state)
{
	struct fixture *f = *state;
	char saved[VOLUME_NAME_MAX + 1];
	struct cut_times times;
	struct err err = {0};

	write_at(f, node(f, f->vol.root_node, "three"), "THREE", 0);
	(void)make(f, f->vol.root_node, "late", S_IFREG | 0644, "late");
	if (snapshot_rollback(f->s, "v", "a", true, saved, &times, &err))
		fail_msg("snapshot_rollback: %s", err.text);
	assert_diff(f, "v", "a", "v", "", "");
	assert_diff(f, "v", "a", "v", saved, "+ /late\nMca /three\n");
	assert_diff(f, "v", saved, "v", "", "- /late\nMca /three\n");
}

static int stop(void *arg, const struct diff_entry *e)
{
	(void)e;
	++*(int *)arg;
	return 7;
}

static void test_errors(void **state)
{
	struct fixture *f = *state;
	struct volume_info other;
	struct err err = {0};
	int calls = 0;

	assert_int_equal(volume_create(f->s, "other", NULL, &other, &err), 0);
	assert_int_equal(diff_views(f->s, "v", "a", "other", "", take, f, &err), -EXDEV);
	assert_non_null(strstr(err.text, "no common history"));
	assert_int_equal(diff_views(f->s, "v", "nope", "v", "", take, f, &err), -ENOENT);
	assert_int_equal(diff_views(f->s, "nope", "", "v", "", take, f, &err), -ENOENT);
	(void)make(f, f->vol.root_node, "x", S_IFREG | 0644, "");
	(void)make(f, f->vol.root_node, "y", S_IFREG | 0644, "");
	assert_int_equal(diff_views(f->s, "v", "a", "v", "", stop, &calls, &err), 7);
	assert_int_equal(calls, 1);
}

/* The folder "sub" is named in one below it, and nowhere else: no way leads from it to the root. */
static void make_circle(struct fixture *f)
{
	uint64_t sub = node(f, f->vol.root_node, "sub"), in = make(f, sub, "in", S_IFDIR | 0755, "");
	struct meta *m = f->s->meta;
	struct volume_row vol;
	struct dirent_row row;
	struct meta_view v;
	struct tx tx;

	assert_int_equal(tx_begin(f->s, NULL, 0, 0, &tx), 0);
	assert_int_equal(volume_by_name(m, "v", &vol), 0);
	v = (struct meta_view){branch_get(m, vol.branch), META_HEAD};
	assert_int_equal(dirent_get(m, &v, vol.root_ino, "sub", 3, &row), 0);
	assert_int_equal(dirent_delete(m, v.branch, &row), 0);
	row = (struct dirent_row){
		.parent = in & ((UINT64_C(1) << NODE_INO_BITS) - 1),
		.ino = row.ino,
		.type = row.type,
		.hash = row.hash,
		.name = "sub",
		.name_len = 3,
	};
	assert_int_equal(dirent_put(m, v.branch, &row), 0);
	assert_int_equal(tx_end(&tx, 0), 0);
	volume_row_free(&vol);
}

static void test_circle(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};

	write_at(f, node(f, node(f, f->vol.root_node, "sub"), "one"), "changed", 0);
	make_circle(f);
	assert_int_equal(diff_views(f->s, "v", "a", "v", "", take, f, &err), -ECORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_added_and_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_contents, setup, teardown),
		cmocka_unit_test_setup_teardown(test_attributes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_renamed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folder_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_links_and_long_paths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clones, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rollback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_circle, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
