/* A flipped byte in each object of a repository, with encryption and without: the check names the object and the files that it costs,
 * those cannot be restored and one line says why, and all others can. */
#include "tests/unit/repo/repo_fixture.h"
#include "tests/unit/repo/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>

#include "store/repo/prune.h"
#include "store/repo/repo_check.h"
#include "store/repo/restore.h"

#define SMALL_PACK (200 * KIB)
#define PLACES 5 /* in each object */

static const char *const files[] = {"one", "dir/two", "dir/below/three"};
#define FILES (sizeof files / sizeof *files)

static char findings[1 << 16];

static void collect(void *arg, const char *line)
{
	size_t n = strlen(findings);

	(void)arg;
	(void)snprintf(findings + n, sizeof findings - n, "%s\n", line);
}

static struct repo *open_small(struct repo_fixture *f)
{
	struct repo *r = fixture_repo(f);

	r->pack_target = SMALL_PACK;
	return r;
}

static void push(struct repo_fixture *f, const char *snapshot)
{
	struct repo_progress progress = {0};
	struct push_result result;
	struct repo *r = open_small(f);
	struct err err = {0};

	if (repo_push(f->a->s, r, "v", snapshot, &progress, &result, &err))
		fail_msg("repo_push: %s", err.text);
	repo_free(r);
}

static uint64_t check(struct repo_fixture *f, uint64_t *ret_affected)
{
	struct repo_check_result result = {0};
	struct repo_progress progress = {0};
	struct err err = {0};
	struct repo *r;

	*findings = 0;
	*ret_affected = 0;
	if (repo_open(f->url, &f->cred, &r, &err)) {
		collect(NULL, err.text);
		return 1;
	}
	if (repo_check(r, REPO_CHECK_DATA, collect, NULL, &progress, &result, &err))
		fail_msg("repo_check: %s", err.text);
	repo_free(r);
	*ret_affected = result.affected;
	return result.errors;
}

static int restore(struct repo_fixture *f, const char *path, struct err *err)
{
	struct repo_progress progress = {0};
	struct restore_result result;
	char dest[600], cmd[700];
	struct repo *r;
	int bad = repo_open(f->url, &f->cred, &r, err);

	if (bad)
		return bad;
	(void)snprintf(dest, sizeof dest, "%s.restored", f->url);
	bad = repo_restore(r, "v", "s2", path, dest, &progress, &result, err);
	repo_free(r);
	(void)snprintf(cmd, sizeof cmd, "rm -rf %s", dest);
	assert_int_equal(system(cmd), 0);
	return bad;
}

/* --- the objects --- */

static bool is(const char *object, const char *folder)
{
	return !strncmp(object, folder, strlen(folder));
}

/* What is said of a file in s2. */
static bool said_lost(const char *file)
{
	char line[300];

	(void)snprintf(line, sizeof line, "v@s2: '%s' cannot be restored", file);
	return strstr(findings, line);
}

static void one_damage(struct repo_fixture *f, const char *object, off_t at)
{
	uint64_t affected;
	bool part_lost;

	if (!check(f, &affected) || !strstr(findings, object))
		fail_msg("byte %lld of %s was changed, and the check says:\n%s", (long long)at, object, findings);
	part_lost = strstr(findings, "v@s2: part of its manifest");
	if (!is(object, "packs/"))
		assert_int_equal(affected, 0);
	for (size_t i = 0; i < FILES; i++) {
		struct err err = {0};
		int bad = restore(f, files[i], &err);
		bool all = is(object, "config") || is(object, "keys/") || is(object, "snapshots/");

		if (bad && (strchr(err.text, '\n') || (!is(object, "snapshots/") && !strstr(err.text, object))))
			fail_msg("%s, byte %lld: restoring '%s' says: %s", object, (long long)at, files[i], err.text);
		if (!bad && said_lost(files[i]))
			fail_msg("%s, byte %lld: '%s' can be restored, and the check says:\n%s", object, (long long)at, files[i],
				 findings);
		if (bad && !all && !part_lost && !said_lost(files[i]))
			fail_msg("%s, byte %lld: %s; and the check says:\n%s", object, (long long)at, err.text, findings);
		if (bad && is(object, "snapshots/"))
			assert_non_null(strstr(err.hint, "repo check"));
	}
}

static void damage_everything(struct repo_fixture *f)
{
	struct repo_progress progress = {0};
	struct prune_result pruned;
	struct repo_entry e;
	struct repo *r;
	struct attr dir, below;
	struct err err = {0};
	uint64_t root = f->a->vol.root_node, affected;
	size_t skip = strlen(f->url) + 1;
	bool seen[3] = {false};

	assert_int_equal(ns_create(f->a->s, &fixture_op, root, "dir", S_IFDIR | 0755, 0, NULL, &dir), 0);
	assert_int_equal(ns_create(f->a->s, &fixture_op, dir.node, "below", S_IFDIR | 0755, 0, NULL, &below), 0);
	(void)fixture_file(f->a, root, "gone", 9, 300000);
	fixture_snapshot(f->a->s, "v", "s1");
	push(f, "s1");
	assert_int_equal(ns_unlink(f->a->s, &fixture_op, root, "gone"), 0);
	(void)fixture_file(f->a, root, "one", 1, 400000);
	(void)fixture_file(f->a, dir.node, "two", 2, 400000);
	(void)fixture_file(f->a, below.node, "three", 3, 400000);
	fixture_snapshot(f->a->s, "v", "s2");
	push(f, "s2");
	r = open_small(f);
	assert_int_equal(repo_snapshot_find(r, "v", "s1", &e, &err), 0);
	assert_int_equal(repo_snapshot_remove(r, &e.id, &err), 0);
	assert_int_equal(repo_prune(r, 0, false, &progress, &pruned, &err), 0);
	repo_free(r);
	assert_true(pruned.quarantined_packs > 0);
	if (check(f, &affected))
		fail_msg("before any damage:\n%s", findings);
	objects_find(f);
	for (size_t i = 0; i < n_objects; i++) {
		const char *object = object_paths[i] + skip;
		struct stat st;

		assert_int_equal(stat(object_paths[i], &st), 0);
		for (off_t k = 0; k < PLACES; k++) {
			off_t at = k * (st.st_size - 1) / (PLACES - 1);

			object_flip(object_paths[i], at);
			one_damage(f, object, at);
			object_flip(object_paths[i], at);
			for (size_t j = 0; j < FILES; j++)
				seen[j] |= said_lost(files[j]);
		}
	}
	assert_true(seen[0] && seen[1] && seen[2]);
	assert_int_equal(check(f, &affected), 0);
}

static void test_encrypted(void **state)
{
	damage_everything(*state);
}

static void test_not_encrypted(void **state)
{
	struct repo_fixture *f = *state;
	struct err err = {0};

	(void)snprintf(f->url + strlen(f->url), sizeof f->url - strlen(f->url), "/plain");
	f->cred.key_file = NULL;
	if (repo_init(f->url, &f->cred, false, "test", &err))
		fail_msg("repo_init: %s", err.text);
	damage_everything(f);
	*strrchr(f->url, '/') = 0;
}

/* With two keys, damage to one leaves the other. */
static void test_other_key(void **state)
{
	const struct repo_credentials second = {.key_file = "another", .key_file_len = 7};
	struct repo_fixture *f = *state;
	struct repo *r = fixture_repo(f);
	struct repo_key *keys;
	struct err err = {0};
	char path[600], id[17];
	uint64_t affected;
	size_t n;

	assert_int_equal(repo_key_list(r, &keys, &n, &err), 0);
	(void)snprintf(path, sizeof path, "%s/keys/%s", f->url, keys[0].id);
	free(keys);
	assert_int_equal(repo_key_add(r, &second, "second", id, &err), 0);
	repo_free(r);
	object_flip(path, 20);
	assert_int_equal(repo_open(f->url, &f->cred, &r, &err), -ECORRUPT);
	assert_non_null(strstr(err.text, path + strlen(f->url) + 1));
	f->cred = second;
	assert_int_equal(check(f, &affected), 1);
	assert_non_null(strstr(findings, path + strlen(f->url) + 1));
}

/* A missing pack is one line, whatever it had. */
static void test_missing_pack(void **state)
{
	struct repo_fixture *f = *state;
	uint64_t affected;
	char away[600];

	(void)fixture_file(f->a, f->a->vol.root_node, "one", 1, 900000);
	(void)fixture_file(f->a, f->a->vol.root_node, "other", 2, 1);
	fixture_snapshot(f->a->s, "v", "s2");
	push(f, "s2");
	objects_find(f);
	(void)snprintf(away, sizeof away, "%s.away", f->url);
	for (size_t i = 0; i < n_objects; i++) {
		struct stat st;

		if (!strstr(object_paths[i], "/packs/") || stat(object_paths[i], &st) || st.st_size < 100000)
			continue;
		assert_int_equal(rename(object_paths[i], away), 0);
		assert_int_equal(check(f, &affected), 1);
		assert_true(said_lost("one"));
		assert_int_equal(affected, 1 + said_lost("other"));
		assert_int_equal(rename(away, object_paths[i]), 0);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, repo_fixture_setup, repo_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_encrypted),
		TEST(test_not_encrypted),
		TEST(test_other_key),
		TEST(test_missing_pack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
