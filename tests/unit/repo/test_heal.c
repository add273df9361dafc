/* Packs that are lost or damaged: pushes send again what they had, so that older snapshots are whole again, too; a
 * repair takes a damaged pack out of use and keeps what of it can be read; and an interruption makes nothing worse. */
#include "tests/unit/repo/repo_fixture.h"

#include <errno.h>

#include "store/repo/prune.h"
#include "store/repo/repo_check.h"
#include "tests/unit/repo/fault_backend.h"
#include "tests/unit/repo/objects.h"

#define SMALL_PACK (200 * KIB)

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

static struct push_result push(struct repo_fixture *f, struct store *s, const char *snapshot)
{
	struct push_result result;
	struct repo *r = open_small(f);
	struct err err = {0};

	memset(&f->progress, 0, sizeof f->progress);
	if (repo_push(s, r, "v", snapshot, &f->progress, &result, &err))
		fail_msg("repo_push: %s", err.text);
	repo_free(r);
	return result;
}

static struct repo_check_result check(struct repo_fixture *f, unsigned flags)
{
	struct repo_check_result result = {0};
	struct repo_progress progress = {0};
	struct repo *r = open_small(f);
	struct err err = {0};

	*findings = 0;
	if (repo_check(r, flags, collect, NULL, &progress, &result, &err))
		fail_msg("repo_check: %s", err.text);
	repo_free(r);
	return result;
}

static void expect_clean(struct repo_fixture *f)
{
	if (check(f, REPO_CHECK_DATA).errors)
		fail_msg("the check says:\n%s", findings);
}

static int prune(struct repo_fixture *f, struct prune_result *ret, struct err *err)
{
	struct repo_progress progress = {0};
	struct repo *r = open_small(f);
	int bad = repo_prune(r, 0, false, &progress, ret, err);

	repo_free(r);
	return bad;
}

static void comes_back(struct repo_fixture *f, const char *snapshot)
{
	struct err err = {0};

	(void)fixture_pull(f, f->b->s, "v", snapshot, "w");
	tree_same(f->a->s, tree_root(f->a->s, "v", snapshot), f->b->s, tree_root(f->b->s, "w", snapshot));
	if (volume_remove(f->b->s, "w", VOLUME_REMOVE_PURGE, &err))
		fail_msg("volume_remove: %s", err.text);
	fixture_maintain(f->b);
}

static void edit_and_snapshot(struct repo_fixture *f, struct tree_rng *r, int edits, const char *name)
{
	for (int i = 0; i < edits; i++)
		tree_edit(f->a->s, r, f->a->vol.root_node);
	fixture_snapshot(f->a->s, "v", name);
}

/* --- packs --- */

static char packs[128][sizeof *object_paths];
static size_t n_packs;

static int by_path(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void list_packs(struct repo_fixture *f)
{
	n_packs = 0;
	objects_find(f);
	for (size_t i = 0; i < n_objects; i++)
		if (strstr(object_paths[i], "/packs/")) {
			assert_true(n_packs < sizeof packs / sizeof *packs);
			strcpy(packs[n_packs++], object_paths[i]);
		}
	assert_true(n_packs > 0);
	qsort(packs, n_packs, sizeof *packs, by_path);
}

static off_t size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

/* Those that were not there at the last list_packs. */
static void unlink_new_packs(struct repo_fixture *f)
{
	static char old[sizeof packs / sizeof *packs][sizeof *packs];
	size_t n_old = n_packs;

	memcpy(old, packs, sizeof old);
	list_packs(f);
	for (size_t i = 0; i < n_packs; i++)
		if (!bsearch(packs[i], old, n_old, sizeof *old, by_path))
			assert_int_equal(unlink(packs[i]), 0);
}

/* Two snapshots, the second from the first; several packs. */
static void two_snapshots(struct repo_fixture *f, struct tree_rng *r)
{
	(void)fixture_file(f->a, f->a->vol.root_node, "one", 1, 300000);
	edit_and_snapshot(f, r, 40, "s1");
	(void)push(f, f->a->s, "s1");
	(void)fixture_file(f->a, f->a->vol.root_node, "two", 2, 300000);
	edit_and_snapshot(f, r, 15, "s2");
	(void)push(f, f->a->s, "s2");
	expect_clean(f);
}

/* --- lost --- */

static void test_each_pack_is_lost(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {41};
	struct push_result result;
	uint64_t again;
	char name[32];
	size_t had;

	two_snapshots(f, &r);
	list_packs(f);
	had = n_packs;
	for (size_t i = 0; i < had; i++) {
		assert_int_equal(unlink(packs[i]), 0);
		assert_true(check(f, 0).errors > 0);
		(void)snprintf(name, sizeof name, "t%zu", i);
		edit_and_snapshot(f, &r, 5, name);
		result = push(f, f->a->s, name);
		assert_int_equal(result.missing_packs, 1);
		again = result.sent_again;
		comes_back(f, name);
		/* what only they had: a manifest's nodes */
		again += push(f, f->a->s, "s1").sent_again;
		again += push(f, f->a->s, "s2").sent_again;
		assert_true(again > 0);
		for (size_t j = 0; j < i; j++) {
			(void)snprintf(name, sizeof name, "t%zu", j);
			(void)push(f, f->a->s, name);
		}
		expect_clean(f);
		comes_back(f, "s1");
		/* and the next one has nothing to say */
		(void)snprintf(name, sizeof name, "u%zu", i);
		edit_and_snapshot(f, &r, 2, name);
		result = push(f, f->a->s, name);
		assert_int_equal(result.missing_packs, 0);
		assert_true(result.incremental);
	}
}

/* A push of the snapshot that the loss has hit: the repository has it, and not all of it. */
static void test_the_same_snapshot_again(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {42};
	struct push_result result;
	struct repo_entry *list;
	struct repo *repo;
	size_t had, n;

	edit_and_snapshot(f, &r, 60, "s1");
	(void)push(f, f->a->s, "s1");
	list_packs(f);
	had = n_packs;
	for (size_t i = 0; i < had; i++) {
		assert_int_equal(unlink(packs[i]), 0);
		result = push(f, f->a->s, "s1");
		assert_false(result.already);
		assert_int_equal(result.missing_packs, 1);
		expect_clean(f);
		assert_true(push(f, f->a->s, "s1").already);
	}
	comes_back(f, "s1");
	repo = open_small(f);
	assert_int_equal(repo_snapshot_list(repo, &list, &n, NULL), 0);
	assert_int_equal(n, 1);
	free(list);
	repo_free(repo);
}

/* Two stores share content. One's push does not hide the loss from the other, which builds upon what it had pushed. */
static void test_each_store_heals_its_own(void **state)
{
	struct repo_fixture *f = *state;
	struct push_result result;

	(void)fixture_file(f->a, f->a->vol.root_node, "same", 1, 500000);
	(void)fixture_file(f->b, f->b->vol.root_node, "same", 1, 500000);
	(void)fixture_file(f->b, f->b->vol.root_node, "own", 2, 500000);
	fixture_snapshot(f->a->s, "v", "a1");
	fixture_snapshot(f->b->s, "v", "b1");
	(void)push(f, f->a->s, "a1");
	(void)push(f, f->b->s, "b1");
	list_packs(f);
	for (size_t i = 0; i < n_packs; i++)
		if (size_of(packs[i]) > 50000) /* content, of both */
			assert_int_equal(unlink(packs[i]), 0);
	(void)fixture_file(f->a, f->a->vol.root_node, "more", 3, 1000);
	fixture_snapshot(f->a->s, "v", "a2");
	assert_true(push(f, f->a->s, "a2").sent_again > 0);
	(void)fixture_file(f->b, f->b->vol.root_node, "more", 4, 1000);
	fixture_snapshot(f->b->s, "v", "b2");
	result = push(f, f->b->s, "b2");
	assert_true(result.sent_again > 0);
	assert_false(result.incremental);
	expect_clean(f);
	/* and a base that is whole is built upon, whatever else is lost */
	list_packs(f);
	(void)fixture_file(f->a, f->a->vol.root_node, "lost later", 5, 500000);
	fixture_snapshot(f->a->s, "v", "a3");
	(void)push(f, f->a->s, "a3");
	unlink_new_packs(f);
	(void)fixture_file(f->b, f->b->vol.root_node, "even more", 6, 1000);
	fixture_snapshot(f->b->s, "v", "b3");
	result = push(f, f->b->s, "b3");
	assert_true(result.incremental);
	assert_true(result.missing_packs > 0);
	assert_int_equal(result.sent_again, 0);
	assert_true(check(f, 0).affected > 0);
	assert_null(strstr(findings, "v@b3"));
}

/* What is needed and lost ends a prune; when it is there again, prunes take the pack out of the index. */
static void test_prune_and_losses(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {43};
	struct prune_result result;
	struct err err = {0};
	size_t largest = 0;
	struct repo *repo;

	two_snapshots(f, &r);
	list_packs(f);
	for (size_t i = 1; i < n_packs; i++)
		if (size_of(packs[i]) > size_of(packs[largest]))
			largest = i;
	assert_int_equal(unlink(packs[largest]), 0);
	assert_int_equal(prune(f, &result, &err), -ECORRUPT);
	assert_non_null(strstr(err.text, "missing"));
	assert_non_null(strstr(err.hint, "repo check"));
	edit_and_snapshot(f, &r, 5, "s3");
	assert_int_equal(push(f, f->a->s, "s3").missing_packs, 1);
	for (int i = 0; i < 3; i++)
		if (prune(f, &result, &err))
			fail_msg("prune: %s", err.text);
	expect_clean(f);
	repo = open_small(f);
	assert_int_equal(repo_load_index(repo, REPO_INDEX_LIST, &err), 0);
	for (size_t i = 0; i < blob_index_packs(repo->index); i++)
		assert_int_equal(blob_index_pack(repo->index, i)->flags, 0);
	repo_free(repo);
	comes_back(f, "s1");
	comes_back(f, "s3");
}

/* --- damaged --- */

static void test_repair(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {44};
	struct repo_check_result result;
	struct push_result pushed;
	char name[32], aside[600];
	size_t had;

	two_snapshots(f, &r);
	list_packs(f);
	had = n_packs;
	for (size_t i = 0; i < had; i++) {
		off_t size = size_of(packs[i]);
		/* in the header, a blob, the table; or the end is lost */
		off_t at = i % 4 == 0 ? 0 : i % 4 == 1 ? size / 2 : size - 20;

		if (i % 4 == 3)
			assert_int_equal(truncate(packs[i], size / 2), 0);
		else
			object_flip(packs[i], at);
		result = check(f, REPO_CHECK_REPAIR | REPO_CHECK_DATA);
		assert_true(result.errors > 0);
		assert_int_equal(result.set_aside, 1);
		assert_int_equal(access(packs[i], F_OK), -1);
		(void)snprintf(aside, sizeof aside, "%s/damaged%s", f->url, strrchr(packs[i], '/'));
		assert_int_equal(access(aside, F_OK), 0);
		/* of one flipped byte nothing is lost but the blob that it is in */
		if (i % 4 == 0 || i % 4 == 2) {
			expect_clean(f);
			comes_back(f, "s1");
		}
		(void)snprintf(name, sizeof name, "t%zu", i);
		edit_and_snapshot(f, &r, 5, name);
		pushed = push(f, f->a->s, name);
		if (i % 4 == 1)
			assert_true(pushed.sent_again <= 2);
		(void)push(f, f->a->s, "s1");
		(void)push(f, f->a->s, "s2");
		for (size_t j = 0; j < i; j++) {
			(void)snprintf(name, sizeof name, "t%zu", j);
			(void)push(f, f->a->s, name);
		}
		expect_clean(f);
		comes_back(f, "s2");
	}
}

static int first_of(const char *folder, char *out)
{
	char cmd[700];
	FILE *p;
	int got;

	(void)snprintf(cmd, sizeof cmd, "ls %s/* | head -n 1", folder);
	p = popen(cmd, "r");
	assert_non_null(p);
	got = fscanf(p, "%599s", out);
	assert_int_equal(pclose(p), 0);
	return got;
}

/* An index object: the packs say what it said. */
static void test_repair_of_an_index(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {45};
	char folder[600], path[600];

	two_snapshots(f, &r);
	(void)snprintf(folder, sizeof folder, "%s/index", f->url);
	assert_int_equal(first_of(folder, path), 1);
	object_flip(path, 100);
	assert_int_equal(check(f, REPO_CHECK_REPAIR | REPO_CHECK_DATA).set_aside, 1);
	expect_clean(f);
	edit_and_snapshot(f, &r, 5, "s3");
	assert_true(push(f, f->a->s, "s3").incremental);
	expect_clean(f);
}

/* --- interrupted --- */

#define BASE_LEN 100000

/* The file as it was made, with a few bytes changed: its chunks go as deltas upon those that they replace. */
static void much_alike(struct repo_fixture *f, uint64_t node, unsigned salt)
{
	static uint8_t data[BASE_LEN];

	fixture_bytes(data, sizeof data, 1);
	for (unsigned i = 0; i < salt; i++)
		data[1000 * i] ^= 0x55;
	assert_int_equal(file_write(f->a->s, &fixture_op, node, data, sizeof data, 0, 0, false), 0);
}

static int take_marker(void *arg, const char *key, uint64_t size)
{
	(void)size;
	return backend_remove(arg, key, NULL);
}

static int try(struct repo_fixture *f, struct fault_plan *plan, bool repair, const char *snapshot)
{
	struct repo_check_result result;
	struct repo_progress progress = {0};
	struct push_result pushed;
	struct repo *r = open_small(f);
	struct err err = {0};
	int bad;

	fault_install(r, plan);
	*findings = 0;
	bad = repair ? repo_check(r, REPO_CHECK_REPAIR | REPO_CHECK_DATA, collect, NULL, &progress, &result, &err)
		     : repo_push(f->a->s, r, "v", snapshot, &progress, &pushed, &err);
	repo_free(r);
	return bad;
}

static void heal_interrupted(struct repo_fixture *f, bool repair)
{
	struct tree_rng r = {46};
	struct fault_plan plan = {.at = 0};
	struct backend *be;
	struct image image;
	struct err err = {0};
	uint64_t affected;

	(void)fixture_file(f->a, f->a->vol.root_node, "one", 1, 300000);
	edit_and_snapshot(f, &r, 20, "s1");
	(void)push(f, f->a->s, "s1");
	list_packs(f);
	for (size_t i = 0; i < n_packs; i++)
		if (size_of(packs[i]) > 150000) {
			if (repair)
				object_flip(packs[i], 1000);
			else
				assert_int_equal(unlink(packs[i]), 0);
			break;
		}
	edit_and_snapshot(f, &r, 3, "s2");
	affected = check(f, REPO_CHECK_DATA).affected;
	assert_true(affected > 0);
	assert_int_equal(backend_open(f->url, &f->cred.access, 0, &be, &err), 0);
	image = image_take(be);
	for (enum fault_kind kind = 0; kind < FAULT_KILLED; kind++) {
		plan.hit = true;
		for (unsigned at = 1; plan.hit; at++) {
			image_restore(be, &image);
			plan = (struct fault_plan){.at = at, .kind = kind};
			(void)try(f, &plan, repair, "s2");
			/* as if its process had ended */
			assert_int_equal(backend_list(be, "prune/", take_marker, be, &err), 0);
			if (check(f, REPO_CHECK_DATA).affected > affected)
				fail_msg("request %u (%s) %s made it worse:\n%s", at, plan.hit_key, fault_names[kind],
					 findings);
			if (repair)
				(void)check(f, REPO_CHECK_REPAIR | REPO_CHECK_DATA);
			(void)push(f, f->a->s, "s2");
			(void)push(f, f->a->s, "s1");
			if (check(f, REPO_CHECK_DATA).errors)
				fail_msg("request %u (%s) %s, and then:\n%s", at, plan.hit_key, fault_names[kind], findings);
		}
	}
	comes_back(f, "s1");
	comes_back(f, "s2");
	image_free(&image);
	backend_free(be);
}

static void test_healing_interrupted(void **state)
{
	heal_interrupted(*state, false);
}

static void test_repair_interrupted(void **state)
{
	heal_interrupted(*state, true);
}

/* Deltas upon what is lost, in packs that a push left when it was killed: they go again in full, and what else is in
 * those packs is where it was. */
static void test_deltas_that_no_index_has(void **state)
{
	struct repo_fixture *f = *state;
	struct fault_plan plan = {.at = 1, .kind = FAULT_DEAD};
	uint64_t node = fixture_file(f->a, f->a->vol.root_node, "one", 1, BASE_LEN);
	size_t had;

	fixture_snapshot(f->a->s, "v", "s1");
	(void)push(f, f->a->s, "s1");
	list_packs(f);
	had = n_packs;
	much_alike(f, node, 1);
	(void)fixture_file(f->a, f->a->vol.root_node, "two", 2, BASE_LEN);
	fixture_snapshot(f->a->s, "v", "s2");
	while (n_packs < had + 2) {
		assert_true(try(f, &plan, false, "s2") < 0);
		plan = (struct fault_plan){.at = plan.at + 1, .kind = FAULT_DEAD};
		objects_find(f);
		n_packs = 0;
		for (size_t i = 0; i < n_objects; i++)
			n_packs += strstr(object_paths[i], "/packs/") != NULL;
	}
	for (size_t i = 0; i < had; i++)
		if (size_of(packs[i]) > 50000)
			assert_int_equal(unlink(packs[i]), 0);
	assert_true(push(f, f->a->s, "s2").sent_again > 0);
	comes_back(f, "s2");
	(void)push(f, f->a->s, "s1");
	expect_clean(f);
}

static unsigned requests_of_a_failed_pull(struct repo_fixture *f, const char *snapshot)
{
	struct fault_plan plan = {.at = 0};
	struct pull_result result;
	struct repo *r = open_small(f);
	struct err err = {0};

	fault_install(r, &plan);
	assert_true(repo_pull(f->b->s, r, "v", snapshot, "w", &f->progress, &result, &err) < 0);
	repo_free(r);
	return plan.requests;
}

/* A long chain of deltas whose first base is lost: that is found out soon. */
static void test_a_chain_that_is_lost(void **state)
{
	struct repo_fixture *f = *state;
	uint64_t node = fixture_file(f->a, f->a->vol.root_node, "one", 1, BASE_LEN);
	unsigned requests;
	char name[16];

	fixture_snapshot(f->a->s, "v", "s0");
	(void)push(f, f->a->s, "s0");
	list_packs(f);
	for (unsigned i = 1; i <= 5; i++) {
		much_alike(f, node, i);
		(void)snprintf(name, sizeof name, "s%u", i);
		fixture_snapshot(f->a->s, "v", name);
		(void)push(f, f->a->s, name);
	}
	for (size_t i = 0; i < n_packs; i++)
		if (size_of(packs[i]) > 50000)
			assert_int_equal(unlink(packs[i]), 0);
	requests = requests_of_a_failed_pull(f, "s5");
	if (requests > 500)
		fail_msg("%u requests", requests);
}

/* What looking for missing packs costs. */
static void test_requests(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {47};
	struct fault_plan plan = {.at = 0};

	two_snapshots(f, &r);
	assert_int_equal(try(f, &plan, false, "s2"), 0);
	print_message("there already: %u requests\n", plan.requests);
	edit_and_snapshot(f, &r, 5, "s3");
	plan.requests = 0;
	assert_int_equal(try(f, &plan, false, "s3"), 0);
	print_message("a later push: %u requests\n", plan.requests);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, repo_fixture_setup, repo_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_pack_is_lost),
		TEST(test_the_same_snapshot_again),
		TEST(test_each_store_heals_its_own),
		TEST(test_prune_and_losses),
		TEST(test_repair),
		TEST(test_repair_of_an_index),
		TEST(test_healing_interrupted),
		TEST(test_repair_interrupted),
		TEST(test_deltas_that_no_index_has),
		TEST(test_a_chain_that_is_lost),
		TEST(test_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
