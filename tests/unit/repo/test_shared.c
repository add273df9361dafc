/* Several stores in one repository: they share content, and push, pull and prune at the same time without harm. */
#include "tests/unit/repo/repo_fixture.h"

#include <errno.h>
#include <pthread.h>

#include "store/repo/prune.h"
#include "store/repo/repo_check.h"

#define PUSHES 6

static void collect(void *arg, const char *line)
{
	(void)arg;
	print_message("%s\n", line);
}

static void expect_clean(struct repo_fixture *f)
{
	struct repo_check_result result = {0};
	struct repo_progress progress = {0};
	struct repo *r = fixture_repo(f);
	struct err err = {0};

	if (repo_check(r, REPO_CHECK_DATA, collect, NULL, &progress, &result, &err))
		fail_msg("repo_check: %s", err.text);
	assert_int_equal(result.errors, 0);
	repo_free(r);
}

static void test_content_is_shared(void **state)
{
	struct repo_fixture *f = *state;

	(void)fixture_file(f->a, f->a->vol.root_node, "same", 1, 3000000);
	(void)fixture_file(f->b, f->b->vol.root_node, "other name", 1, 3000000);
	fixture_snapshot(f->a->s, "v", "s");
	fixture_snapshot(f->b->s, "v", "t");
	(void)fixture_push(f, f->a->s, "v", "s");
	assert_true(atomic_load(&f->progress.fresh) >= 3000000);
	(void)fixture_push(f, f->b->s, "v", "t");
	assert_int_equal(atomic_load(&f->progress.fresh), 0);
	assert_true(atomic_load(&f->progress.sent) < 20000);
	expect_clean(f);
}

struct pusher {
	struct repo_fixture *f;
	struct store_fixture *sf;
	uint64_t seed;
	char what[128]; /* that went wrong */
};

/* cmocka's assertions are for the main thread: edits and snapshots are made before. */
static void *push_all(void *arg)
{
	struct pusher *p = arg;

	for (int i = 0; i < PUSHES && !*p->what; i++) {
		struct repo_progress progress = {0};
		struct push_result result;
		struct repo *r = NULL;
		struct err err = {0};
		char name[16];

		(void)snprintf(name, sizeof name, "%c%d", p->seed == 1 ? 'a' : 'b', i);
		if (repo_open(p->f->url, &p->f->cred, &r, &err) ||
		    repo_push(p->sf->s, r, "v", name, &progress, &result, &err))
			(void)snprintf(p->what, sizeof p->what, "%s: %.100s", name, err.text);
		repo_free(r);
	}
	return NULL;
}

static void test_pushes_and_prunes_at_once(void **state)
{
	struct repo_fixture *f = *state;
	struct pusher pushers[2] = {{.f = f, .sf = f->a, .seed = 1}, {.f = f, .sf = f->b, .seed = 2}};
	pthread_t threads[2];
	char name[16];

	for (size_t p = 0; p < 2; p++) {
		struct tree_rng r = {pushers[p].seed};

		for (int i = 0; i < PUSHES; i++) {
			for (int k = 0; k < 25; k++)
				tree_edit(pushers[p].sf->s, &r, pushers[p].sf->vol.root_node);
			(void)snprintf(name, sizeof name, "%c%d", p ? 'b' : 'a', i);
			fixture_snapshot(pushers[p].sf->s, "v", name);
		}
	}
	for (size_t p = 0; p < 2; p++)
		assert_int_equal(pthread_create(&threads[p], NULL, push_all, &pushers[p]), 0);
	for (int i = 0; i < 8; i++) {
		struct repo_progress progress = {0};
		struct prune_result result;
		struct repo *r = fixture_repo(f);
		struct err err = {0};

		if (repo_prune(r, INT64_C(3600) * 1000000000, false, &progress, &result, &err))
			fail_msg("repo_prune: %s", err.text);
		repo_free(r);
	}
	for (size_t p = 0; p < 2; p++) {
		assert_int_equal(pthread_join(threads[p], NULL), 0);
		assert_string_equal(pushers[p].what, "");
	}
	expect_clean(f);
	for (int i = 0; i < PUSHES; i++) {
		char fresh[16];

		(void)snprintf(name, sizeof name, "a%d", i);
		(void)snprintf(fresh, sizeof fresh, "pulled%d", i);
		(void)fixture_pull(f, f->b->s, "v", name, fresh);
		tree_same(f->a->s, tree_root(f->a->s, "v", name), f->b->s, tree_root(f->b->s, fresh, name));
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, repo_fixture_setup, repo_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_content_is_shared),
		TEST(test_pushes_and_prunes_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
