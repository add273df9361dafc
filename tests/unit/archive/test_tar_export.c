/* What goes out comes back: a volume of everything, exported, imported and exported again, is the same archive. */
#include "tests/unit/archive/archive_fixture.h"

#include <sys/sysmacros.h>

#include "store/meta/catalog.h"
#include "store/volume/store_internal.h"

static uint64_t make(struct store_fixture *f, uint64_t parent, const char *name, uint32_t mode, uint64_t rdev,
		     const char *target)
{
	struct attr attr;

	assert_int_equal(ns_create(f->s, &fixture_op, parent, name, mode, rdev, target, &attr), 0);
	return attr.node;
}

static void set(struct store_fixture *f, uint64_t node, const struct attr *want, unsigned mask)
{
	struct attr got;

	assert_int_equal(ns_setattr(f->s, &fixture_op, node, want, mask, &got), 0);
}

static void set_xattr(struct store_fixture *f, uint64_t node, const char *name, const void *value, size_t len)
{
	assert_int_equal(ns_setxattr(f->s, &fixture_op, node, name, value, len, 0), 0);
}

/* version 2; user::rw-, user:99:r--, group::r--, mask::r--, other::--- */
static const uint8_t acl[] = {2, 0,  0,	  0,   1,   0,	 6,  0, 255, 255, 255, 255, 2,	 0,  4,
			      0, 99, 0,	  0,   0,   4,	 0,  4, 0,   255, 255, 255, 255, 16, 0,
			      4, 0,  255, 255, 255, 255, 32, 0, 0,   0,	  255, 255, 255, 255};

static void fill_volume(struct store_fixture *f, uint64_t root)
{
	const struct attr old = {
		.uid = 3000000000U, .gid = 4000000000U, .mode = 06751, .mtime = -1500000001, .atime = -7};
	const struct attr ns = {.mtime = 1234567890123456789, .atime = 987654321};
	struct attr size = {.size = INT64_C(9) << 40}, attr;
	char target[3000], name[256];
	uint64_t dir, file;
	size_t i;

	dir = make(f, root, "dir", S_IFDIR | 01777, 0, NULL);
	file = fixture_file(f, dir, "file", 1, 300000);
	set(f, file, &old, NS_SET_UID | NS_SET_GID | NS_SET_MODE | NS_SET_MTIME | NS_SET_ATIME);
	assert_int_equal(ns_link(f->s, &fixture_op, file, root, "link", &attr), 0);
	assert_int_equal(ns_link(f->s, &fixture_op, file, dir, "link 2", &attr), 0);
	memset(target, 'x', sizeof target - 1);
	target[sizeof target - 1] = 0;
	make(f, root, "symlink", S_IFLNK | 0777, 0, target);
	make(f, root, "absolute", S_IFLNK | 0777, 0, "/etc/passwd");
	make(f, root, "fifo", S_IFIFO | 0600, 0, NULL);
	make(f, root, "chr", S_IFCHR | 0666, makedev(1, 3), NULL);
	make(f, root, "blk", S_IFBLK | 0660, makedev(259, 70000), NULL);
	make(f, root, "sock", S_IFSOCK | 0660, 0, NULL);
	fixture_file(f, root, "\xff\x01 not utf-8\n", 2, 10);
	fixture_file(f, root, "gr\xc3\xbc\xc3\x9f", 3, 10);
	memset(name, 'n', 255);
	name[255] = 0;
	for (i = 0; i < 6; i++)
		dir = make(f, dir, name, S_IFDIR | 0700, 0, NULL);
	file = fixture_file(f, dir, "deep", 4, 0);
	set_xattr(f, file, "user.a=b%3D", "\0\n=", 3);
	set_xattr(f, file, "trusted.t", "", 0);
	set_xattr(f, file, "security.capability", "cap", 3);
	set_xattr(f, file, "system.posix_acl_access", acl, sizeof acl);
	set_xattr(f, root, "system.posix_acl_default", acl, sizeof acl);
	set_xattr(f, root, "user.top", "x", 1);
	/* holes: in front, between, at the end; and nothing else */
	file = fixture_file(f, root, "sparse", 5, 0);
	assert_int_equal(file_write(f->s, &fixture_op, file, "data", 4, 1 << 20, 0, false), 0);
	assert_int_equal(file_write(f->s, &fixture_op, file, "data", 4, INT64_C(1) << 33, 0, false), 0);
	size.size = (INT64_C(1) << 33) + 100000;
	set(f, file, &size, NS_SET_SIZE);
	file = fixture_file(f, root, "hole", 6, 0);
	size.size = 1 << 20;
	set(f, file, &size, NS_SET_SIZE);
	for (i = 0; i < 700; i++) {
		(void)snprintf(name, sizeof name, "many%zu", i);
		file = fixture_file(f, root, name, 7, i);
	}
	set(f, file, &ns, NS_SET_MTIME | NS_SET_ATIME);
	set(f, root, &ns, NS_SET_MTIME | NS_SET_ATIME);
}

static void test_round_trip(void **state)
{
	struct store_fixture *f = *state;
	struct buf one = {0}, two = {0};
	struct volume_info info;
	struct attr attr;
	struct err err;

	fill_volume(f, f->vol.root_node);
	export_volume(f, "v", "", TAR_PLAIN, &one);
	/* the file of 8 GiB takes its few bytes */
	assert_in_range(one.len, 1000000, 3000000);
	if (import_into(f, "w", one.data, one.len, 0, &err))
		fail_msg("import: %s", err.text);
	assert_int_equal(volume_get(f->s, "w", &info, &err), 0);
	assert_int_equal(ns_lookup(f->s, info.root_node, "sock", &attr), -ENOENT);
	assert_int_equal(ns_unlink(f->s, &fixture_op, f->vol.root_node, "sock"), 0);
	set(f, f->vol.root_node, &(struct attr){.mtime = 1234567890123456789}, NS_SET_MTIME);
	export_volume(f, "v", "", TAR_PLAIN, &one);
	export_volume(f, "w", "", TAR_PLAIN, &two);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.data, two.data, one.len);
	/* times that are before 1970 are what they were */
	assert_int_equal(ns_lookup(f->s, info.root_node, "link", &attr), 0);
	assert_true(attr.mtime == -1500000001);
	assert_int_equal(attr.nlink, 3);
	assert_int_equal(attr.uid, 3000000000U);
	assert_int_equal(attr.mode, S_IFREG | 06751);
	buf_free(&one);
	buf_free(&two);
}

static void test_compressed(void **state)
{
	struct store_fixture *f = *state;
	static const enum tar_compression how[] = {TAR_GZIP, TAR_ZSTD};
	struct buf plain = {0}, packed = {0};
	struct err err;

	fixture_file(f, f->vol.root_node, "a", 1, 500000);
	export_volume(f, "v", "", TAR_PLAIN, &plain);
	for (int i = 0; i < 2; i++) {
		export_volume(f, "v", "", how[i], &packed);
		if (import_into(f, "w", packed.data, packed.len, 0, &err))
			fail_msg("import: %s", err.text);
		/* cut anywhere it is refused */
		for (size_t cut = 1; cut < packed.len; cut += packed.len / 5)
			assert_true(import_into(f, "x", packed.data, cut, 0, &err) < 0);
		export_volume(f, "w", "", TAR_PLAIN, &packed);
		assert_int_equal(packed.len, plain.len);
		assert_memory_equal(packed.data, plain.data, plain.len);
	}
	buf_free(&plain);
	buf_free(&packed);
}

/* What is exported is what was there at the beginning; contents come back without being stored again. */
static void test_point_in_time(void **state)
{
	struct store_fixture *f = *state;
	uint64_t node = fixture_file(f, f->vol.root_node, "a", 1, 2000000);
	struct snapshot_name snap = {"v", "s"};
	struct store_space before, after;
	struct buf tar = {0};
	struct tar_export *x;
	struct err err = {0};
	uint8_t piece[1000];
	struct volume_info info;
	size_t n = 0;

	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(store_space(f->s, &before), 0);
	assert_int_equal(tar_export_open(f->s, "v", "", TAR_PLAIN, &x, &err), 0);
	assert_int_equal(tar_export_read(x, piece, sizeof piece, &n, &err), 0);
	assert_int_equal(buf_add(&tar, piece, n), 0);
	assert_int_equal(file_write(f->s, &fixture_op, node, "changed", 7, 1000, 0, false), 0);
	fixture_file(f, f->vol.root_node, "new", 2, 10);
	assert_int_equal(volume_remove(f->s, "v", VOLUME_REMOVE_PURGE, &err), 0);
	while (n) {
		assert_int_equal(tar_export_read(x, piece, sizeof piece, &n, &err), 0);
		assert_int_equal(buf_add(&tar, piece, n), 0);
	}
	if (import_into(f, "w", tar.data, tar.len, 0, &err))
		fail_msg("import: %s", err.text);
	tar_export_free(x);
	assert_int_equal(volume_get(f->s, "w", &info, &err), 0);
	fixture_expect(f, info.root_node, "a", 1, 2000000);
	fixture_maintain(f);
	assert_int_equal(store_space(f->s, &after), 0);
	assert_true(after.unique_bytes <= before.unique_bytes);
	assert_int_equal(tar_export_open(f->s, "w", "none", TAR_PLAIN, &x, &err), -ENOENT);
	(void)snprintf(snap.volume, sizeof snap.volume, "w");
	assert_int_equal(snapshot_create(f->s, &snap, 1, NULL, NULL, &err), 0);
	export_volume(f, "w", "s", TAR_PLAIN, &tar);
	buf_free(&tar);
}

/* Given up in the middle: nothing of it is left. */
static void test_given_up(void **state)
{
	struct store_fixture *f = *state;
	struct tar_export *x;
	struct volume_row row;
	struct err err = {0};
	uint8_t piece[1000];
	size_t n;

	fixture_file(f, f->vol.root_node, "a", 1, 2000000);
	assert_int_equal(tar_export_open(f->s, "v", "", TAR_ZSTD, &x, &err), 0);
	assert_int_equal(tar_export_read(x, piece, sizeof piece, &n, &err), 0);
	tar_export_free(x);
	assert_true(volume_next_hidden(f->s->meta, NULL, &row) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_compressed, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_point_in_time, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_given_up, store_fixture_setup, store_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
