/* Two stores, each with no threads, and one repository. */
#ifndef VARVE_TESTS_REPO_FIXTURE_H
#define VARVE_TESTS_REPO_FIXTURE_H

#include "store/repo/pull.h"
#include "store/repo/push.h"
#include "store/repo/repo.h"
#include "tests/lib/scratch.h"
#include "tests/unit/repo/tree.h"

struct repo_fixture {
	struct store_fixture *a, *b;
	char url[512];
	bool elsewhere; /* in VARVE_TEST_REPO, where RANDOM stands for a name of its own */
	struct repo_credentials cred;
	struct repo_progress progress;
};

static inline int repo_fixture_setup(void **state)
{
	struct repo_fixture *f = calloc(1, sizeof *f);
	struct err err = {0};

	assert_non_null(f);
	assert_int_equal(store_fixture_setup((void **)&f->a), 0);
	assert_int_equal(store_fixture_setup((void **)&f->b), 0);
	ns_keep_orphans(f->a->s, false);
	f->elsewhere = getenv("VARVE_TEST_REPO");
	if (f->elsewhere) {
		const char *url = getenv("VARVE_TEST_REPO"), *at = strstr(url, "RANDOM");
		static unsigned serial;

		assert_non_null(at);
		(void)snprintf(f->url, sizeof f->url, "%.*s%d-%u%s", (int)(at - url), url, (int)getpid(), ++serial,
			       at + strlen("RANDOM"));
	} else {
		assert_true(scratch_make("repo", 0, f->url));
	}
	f->cred.access = (struct backend_access){getenv("VARVE_SSH_COMMAND"), getenv("AWS_ACCESS_KEY_ID"),
						 getenv("AWS_SECRET_ACCESS_KEY"), NULL, getenv("AWS_REGION")};
	f->cred.key_file = "a key of many bytes";
	f->cred.key_file_len = 19;
	if (repo_init(f->url, &f->cred, true, "test", &err))
		fail_msg("repo_init: %s", err.text);
	*state = f;
	return 0;
}

static inline int repo_fixture_teardown(void **state)
{
	struct repo_fixture *f = *state;

	(void)store_fixture_teardown((void **)&f->a);
	(void)store_fixture_teardown((void **)&f->b);
	if (!f->elsewhere)
		assert_true(scratch_remove(f->url));
	free(f);
	return 0;
}

static inline struct repo *fixture_repo(struct repo_fixture *f)
{
	struct err err = {0};
	struct repo *r;

	if (repo_open(f->url, &f->cred, &r, &err))
		fail_msg("repo_open: %s", err.text);
	return r;
}

static inline void fixture_snapshot(struct store *s, const char *volume, const char *name)
{
	struct snapshot_name n = {0};
	struct cut_times times;
	struct err err = {0};

	(void)snprintf(n.volume, sizeof n.volume, "%s", volume);
	(void)snprintf(n.snapshot, sizeof n.snapshot, "%s", name);
	if (snapshot_create(s, &n, 1, NULL, &times, &err))
		fail_msg("snapshot_create: %s", err.text);
}

static inline struct push_result fixture_push(struct repo_fixture *f, struct store *s, const char *volume,
					      const char *snapshot)
{
	struct repo *r = fixture_repo(f);
	struct push_result result;
	struct err err = {0};

	memset(&f->progress, 0, sizeof f->progress);
	if (repo_push(s, r, volume, snapshot, &f->progress, &result, &err))
		fail_msg("repo_push: %s", err.text);
	repo_free(r);
	return result;
}

static inline struct pull_result fixture_pull(struct repo_fixture *f, struct store *s, const char *volume,
					      const char *snapshot, const char *new_volume)
{
	struct repo *r = fixture_repo(f);
	struct pull_result result;
	struct err err = {0};

	memset(&f->progress, 0, sizeof f->progress);
	if (repo_pull(s, r, volume, snapshot, new_volume, &f->progress, &result, &err))
		fail_msg("repo_pull: %s", err.text);
	repo_free(r);
	return result;
}

#endif
