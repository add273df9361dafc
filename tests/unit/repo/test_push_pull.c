/* Random trees and edits pushed and pulled: what comes out is what went in, byte for byte and attribute for attribute;
 * later pushes and pulls move what changed; pins keep what the next push begins from. */
#include "tests/unit/repo/repo_fixture.h"

#include "store/maint/check.h"

static void report(void *arg, const char *line)
{
	(void)arg;
	print_message("%s\n", line);
}

static void check_clean(struct store *s)
{
	struct check_result result = {0};
	struct err err = {0};

	if (check_store(s, 0, report, NULL, &result, &err))
		fail_msg("check_store: %s", err.text);
	assert_int_equal(result.errors, 0);
}

static void test_random_trees(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 1};
	int rounds = getenv("ROUNDS") ? atoi(getenv("ROUNDS")) : 8;
	char name[16];

	print_message("seed %llu\n", (unsigned long long)r.x);
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < (round ? 40 : 150); i++)
			tree_edit(f->a->s, &r, f->a->vol.root_node);
		(void)snprintf(name, sizeof name, "s%d", round);
		fixture_snapshot(f->a->s, "v", name);
		if (round == 5) { /* the history goes on elsewhere */
			char saved[VOLUME_NAME_MAX + 1];
			struct cut_times times;
			struct err err = {0};

			if (snapshot_rollback(f->a->s, "v", "s3", true, saved, &times, &err))
				fail_msg("rollback: %s", err.text);
		}
		assert_int_equal(fixture_push(f, f->a->s, "v", name).incremental, round > 0);
		if (round % 3 == 1) { /* the pin holds what the user has deleted */
			assert_int_equal(snapshot_remove(f->a->s, "v", name, NULL), 0);
			fixture_maintain(f->a);
		} else {
			assert_int_equal(fixture_pull(f, f->b->s, "v", name, round ? NULL : "w").incremental,
					 round > 2);
			tree_same(f->a->s, tree_root(f->a->s, "v", name), f->b->s,
				  tree_root(f->b->s, round ? "v" : "w", name));
		}
		check_clean(f->a->s);
		check_clean(f->b->s);
	}
	fixture_maintain(f->a);
	fixture_maintain(f->b);
	check_clean(f->a->s);
	check_clean(f->b->s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random_trees, repo_fixture_setup, repo_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
