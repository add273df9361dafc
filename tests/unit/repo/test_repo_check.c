/* What happens to a repository when its bytes rot, when requests fail, and when it is pruned while others push. */
#include "tests/unit/repo/repo_fixture.h"
#include "tests/unit/repo/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>

#include "store/base/io.h"
#include "store/repo/forget.h"
#include "store/repo/prune.h"
#include "store/repo/repo_check.h"

static char findings[1 << 16];

static void collect(void *arg, const char *line)
{
	size_t n = strlen(findings);

	(void)arg;
	(void)snprintf(findings + n, sizeof findings - n, "%s\n", line);
}

/* All that a check says, an error that ends it included. */
static uint64_t check_all(struct repo_fixture *f)
{
	struct repo_check_result result = {0};
	struct repo_progress progress = {0};
	struct err err = {0};
	struct repo *r;

	*findings = 0;
	if (repo_open(f->url, &f->cred, &r, &err)) {
		collect(NULL, err.text);
		return 1;
	}
	if (repo_check(r, REPO_CHECK_DATA, collect, NULL, &progress, &result, &err))
		collect(NULL, err.text);
	repo_free(r);
	return result.errors + (err.code != 0);
}

static void expect_clean(struct repo_fixture *f)
{
	if (check_all(f))
		fail_msg("the check says:\n%s", findings);
}

static struct prune_result prune(struct repo_fixture *f)
{
	struct repo_progress progress = {0};
	struct prune_result result;
	struct repo *r = fixture_repo(f);
	struct err err = {0};

	if (repo_prune(r, 0, false, &progress, &result, &err))
		fail_msg("repo_prune: %s", err.text);
	repo_free(r);
	return result;
}

static void forget(struct repo_fixture *f, const char *volume, const char *snapshot)
{
	struct repo *r = fixture_repo(f);
	struct repo_entry e;
	struct err err = {0};

	if (repo_snapshot_find(r, volume, snapshot, &e, &err) || repo_snapshot_remove(r, &e.id, &err))
		fail_msg("forget: %s", err.text);
	repo_free(r);
}

static void edit_and_snapshot(struct repo_fixture *f, struct tree_rng *r, int edits, const char *name)
{
	for (int i = 0; i < edits; i++)
		tree_edit(f->a->s, r, f->a->vol.root_node);
	fixture_snapshot(f->a->s, "v", name);
}

/* --- rot --- */

static void test_every_object_rots(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {7};
	size_t skip = strlen(f->url) + 1;

	edit_and_snapshot(f, &r, 60, "s1");
	(void)fixture_push(f, f->a->s, "v", "s1");
	edit_and_snapshot(f, &r, 20, "s2");
	(void)fixture_push(f, f->a->s, "v", "s2");
	forget(f, "v", "s1");
	(void)prune(f); /* so that there is a quarantine */
	expect_clean(f);
	objects_find(f);
	assert_true(n_objects >= 6);
	for (size_t i = 0; i < n_objects; i++) {
		struct stat st;

		assert_int_equal(stat(object_paths[i], &st), 0);
		for (unsigned k = 0; k < 6; k++) {
			off_t at = k == 0   ? 0
				   : k == 1 ? st.st_size - 1
				   : k == 2 ? st.st_size / 2
					    : (off_t)rng(&r, (uint32_t)st.st_size);

			object_flip(object_paths[i], at);
			if (!check_all(f))
				fail_msg("byte %lld of %s was changed, and the check found nothing", (long long)at,
					 object_paths[i] + skip);
			if (!strstr(findings, object_paths[i] + skip))
				fail_msg("byte %lld of %s was changed, and the check says\n%s", (long long)at,
					 object_paths[i] + skip, findings);
			object_flip(object_paths[i], at);
		}
	}
	expect_clean(f);
}

static void test_what_is_missing_is_named(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {8};
	char away[600];

	edit_and_snapshot(f, &r, 60, "s1");
	(void)fixture_push(f, f->a->s, "v", "s1");
	objects_find(f);
	for (size_t i = 0; i < n_objects; i++) {
		if (!strstr(object_paths[i], "/packs/"))
			continue;
		(void)snprintf(away, sizeof away, "%s.away", f->url);
		assert_int_equal(rename(object_paths[i], away), 0);
		assert_true(check_all(f) > 0);
		assert_non_null(strstr(findings, object_paths[i] + strlen(f->url) + 1));
		assert_int_equal(rename(away, object_paths[i]), 0);
	}
	expect_clean(f);
}

/* --- failing requests --- */

struct fault {
	unsigned left; /* this many succeed */
	bool hit;
};

static int fail_nth(void *arg, enum io_class cls, enum io_op op, const char *path, int fd, const void *data,
		    size_t *len, off_t off)
{
	struct fault *fault = arg;

	(void)op;
	(void)path;
	(void)fd;
	(void)data;
	(void)len;
	(void)off;
	if (cls != IO_SMALL)
		return 0;
	if (fault->left) {
		fault->left--;
		return 0;
	}
	fault->hit = true;
	return -EIO;
}

static void copy_repo(struct repo_fixture *f, const char *to)
{
	char cmd[1200];

	(void)snprintf(cmd, sizeof cmd, "rm -rf %s && cp -r %s %s", to, f->url, to);
	assert_int_equal(system(cmd), 0);
}

static void test_every_request_of_a_push_fails(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {9};
	char first[sizeof f->url], mine[sizeof f->url];
	struct fault fault;
	unsigned n = 0;
	bool hit = true;

	edit_and_snapshot(f, &r, 50, "s1");
	(void)fixture_push(f, f->a->s, "v", "s1");
	edit_and_snapshot(f, &r, 20, "s2");
	strcpy(first, f->url);
	strcpy(mine, first);
	strcat(mine, ".copy");
	for (; hit; n++) {
		struct repo_progress progress = {0};
		struct push_result result;
		struct err err = {0};
		struct repo *repo;
		int bad;

		copy_repo(f, mine);
		strcpy(f->url, mine);
		fault = (struct fault){.left = n};
		io_set_hook(fail_nth, &fault);
		bad = repo_open(f->url, &f->cred, &repo, &err);
		if (!bad) {
			bad = repo_push(f->a->s, repo, "v", "s2", &progress, &result, &err);
			repo_free(repo);
		}
		io_set_hook(NULL, NULL);
		hit = fault.hit;
		if (bad)
			assert_true(*err.text);
		else if (hit)
			print_message("request %u failed, and the push succeeded\n", n);
		expect_clean(f);
		/* the next one brings it to its end */
		(void)fixture_push(f, f->a->s, "v", "s2");
		expect_clean(f);
		strcpy(f->url, first);
		/* back to where the first push left the pin */
		assert_true(fixture_push(f, f->a->s, "v", "s1").already);
	}
	print_message("%u requests\n", n);
	copy_repo(f, mine);
	(void)snprintf(findings, sizeof findings, "rm -rf %s", mine);
	assert_int_equal(system(findings), 0);
}

static void test_an_interrupted_push_is_not_sent_again(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {10};
	struct repo_progress progress = {0};
	struct push_result result;
	struct repo *repo;
	struct err err = {0};
	char cmd[1200];

	for (unsigned i = 0; i < 3; i++)
		(void)fixture_file(f->a, f->a->vol.root_node, (char[]){(char)('a' + i), 0}, i, 3000000);
	edit_and_snapshot(f, &r, 1, "s1");
	(void)fixture_push(f, f->a->s, "v", "s1");
	/* as if it had been cut off before the index and the snapshot were written */
	(void)snprintf(cmd, sizeof cmd, "rm -rf %s/index %s/snapshots", f->url, f->url);
	assert_int_equal(system(cmd), 0);
	repo = fixture_repo(f);
	if (repo_push(f->a->s, repo, "v", "s1", &progress, &result, &err))
		fail_msg("%s", err.text);
	repo_free(repo);
	assert_false(result.already);
	assert_int_equal(atomic_load(&progress.sent), 0);
	expect_clean(f);
	(void)fixture_pull(f, f->b->s, "v", "s1", "w");
	tree_same(f->a->s, tree_root(f->a->s, "v", "s1"), f->b->s, tree_root(f->b->s, "w", "s1"));
}

/* --- pruning --- */

static void test_prune_keeps_what_is_needed(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {11};
	struct prune_result first, second;
	char name[16];

	for (int i = 0; i < 5; i++) {
		(void)snprintf(name, sizeof name, "s%d", i);
		edit_and_snapshot(f, &r, 60, name);
		(void)fixture_push(f, f->a->s, "v", name);
	}
	for (int i = 0; i < 4; i++) {
		(void)snprintf(name, sizeof name, "s%d", i);
		forget(f, "v", name);
	}
	first = prune(f);
	assert_int_equal(first.deleted_packs, 0);
	assert_true(first.quarantined_packs > 0);
	expect_clean(f);
	second = prune(f);
	assert_int_equal(second.deleted_packs, first.quarantined_packs);
	expect_clean(f);
	(void)fixture_pull(f, f->b->s, "v", "s4", "w");
	tree_same(f->a->s, tree_root(f->a->s, "v", "s4"), f->b->s, tree_root(f->b->s, "w", "s4"));
	/* nothing is left to do */
	assert_int_equal(prune(f).quarantined_packs, 0);
	/* and the next push goes on from s4 */
	edit_and_snapshot(f, &r, 10, "s5");
	assert_true(fixture_push(f, f->a->s, "v", "s5").incremental);
	expect_clean(f);
}

/* A push that loaded its index before the packs were set aside, and ends after. */
static void test_prune_gives_back_what_a_push_needed(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {12};
	struct repo_entry e;
	struct repo *repo;
	struct prune_result result;

	edit_and_snapshot(f, &r, 80, "s1");
	(void)fixture_push(f, f->a->s, "v", "s1");
	repo = fixture_repo(f);
	assert_int_equal(repo_snapshot_find(repo, "v", "s1", &e, NULL), 0);
	forget(f, "v", "s1");
	assert_true(prune(f).quarantined_packs > 0);
	assert_int_equal(repo_snapshot_put(repo, &e.s, &e.id, NULL), 0);
	repo_free(repo);
	result = prune(f);
	assert_int_equal(result.deleted_packs, 0);
	assert_true(result.rescued_packs > 0);
	expect_clean(f);
	(void)fixture_pull(f, f->b->s, "v", "s1", "w");
	tree_same(f->a->s, tree_root(f->a->s, "v", "s1"), f->b->s, tree_root(f->b->s, "w", "s1"));
}

static void test_prune_stops_at_what_is_missing(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {13};
	struct repo_progress progress = {0};
	struct prune_result result;
	struct repo *repo;
	struct err err = {0};
	char cmd[1200];

	edit_and_snapshot(f, &r, 60, "s1");
	(void)fixture_push(f, f->a->s, "v", "s1");
	edit_and_snapshot(f, &r, 60, "s2");
	(void)fixture_push(f, f->a->s, "v", "s2");
	forget(f, "v", "s1");
	(void)prune(f);
	(void)snprintf(cmd, sizeof cmd, "rm -rf %s/index", f->url);
	assert_int_equal(system(cmd), 0);
	objects_find(f);
	repo = fixture_repo(f);
	assert_int_equal(repo_prune(repo, 0, false, &progress, &result, &err), -ECORRUPT);
	repo_free(repo);
	for (size_t i = 0; i < n_objects; i++)
		assert_int_equal(access(object_paths[i], F_OK), 0);
}

/* --- forgetting --- */

static void test_policies(void **state)
{
	static const int64_t day = INT64_C(86400) * 1000000000;
	struct repo_entry list[40] = {0};
	bool keep[40];
	unsigned kept = 0;
	const struct forget_policy policy = {.last = 2, .each = {[FORGET_DAILY] = 3, [FORGET_YEARLY] = 1}};

	(void)state;
	for (int i = 0; i < 40; i++) {
		(void)snprintf(list[i].s.volume, sizeof list[i].s.volume, "%s", i % 2 ? "odd" : "even");
		list[i].s.created = 20000 * day + i * day / 4;
	}
	forget_select(&policy, list, 40, keep);
	for (int i = 0; i < 40; i++)
		kept += keep[i];
	/* of each volume: two a day; the newest two, and the newest of two more days */
	assert_int_equal(kept, 2 * 4);
	assert_true(keep[39] && keep[38] && keep[37] && keep[36] && !keep[0]);
}

/* --- keys --- */

static void test_keys(void **state)
{
	struct repo_fixture *f = *state;
	struct repo_credentials second = {.passphrase = "another way"}, wrong = {.passphrase = "a guess"}, none = {0};
	struct repo *r = fixture_repo(f);
	struct repo_key *keys;
	struct err err = {0};
	char id[17], first[17];
	size_t n;

	assert_int_equal(repo_key_list(r, &keys, &n, &err), 0);
	assert_int_equal(n, 1);
	strcpy(first, keys[0].id);
	free(keys);
	assert_int_equal(repo_key_remove(r, first, &err), -EBUSY);
	assert_int_equal(repo_key_add(r, &second, "two", id, &err), 0);
	assert_int_equal(repo_key_remove(r, first, &err), 0);
	repo_free(r);
	err = (struct err){0};
	assert_int_equal(repo_open(f->url, &f->cred, &r, &err), -EKEYREJECTED);
	assert_int_equal(repo_open(f->url, &none, &r, &err), -EKEYREJECTED);
	assert_int_equal(repo_open(f->url, &wrong, &r, &err), -EKEYREJECTED);
	assert_non_null(strstr(err.text, "does not open"));
	assert_int_equal(repo_open(f->url, &second, &r, &err), 0);
	repo_free(r);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, repo_fixture_setup, repo_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_object_rots),
		TEST(test_what_is_missing_is_named),
		TEST(test_every_request_of_a_push_fails),
		TEST(test_an_interrupted_push_is_not_sent_again),
		TEST(test_prune_keeps_what_is_needed),
		TEST(test_prune_gives_back_what_a_push_needed),
		TEST(test_prune_stops_at_what_is_missing),
		cmocka_unit_test(test_policies),
		TEST(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
