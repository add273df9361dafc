/* The config and its copy: either is enough, both come back, and no interruption of what writes them leaves none. */
#include "tests/unit/repo/repo_fixture.h"

#include <errno.h>
#include <fcntl.h>

#include "store/base/io.h"
#include "store/repo/repo_check.h"
#include "tests/unit/repo/fault_backend.h"

static char findings[1 << 14];

static void collect(void *arg, const char *line)
{
	size_t n = strlen(findings);

	(void)arg;
	(void)snprintf(findings + n, sizeof findings - n, "%s\n", line);
}

static uint64_t check(struct repo_fixture *f, unsigned flags)
{
	struct repo_check_result result = {0};
	struct repo_progress progress = {0};
	struct repo *r = fixture_repo(f);
	struct err err = {0};

	*findings = 0;
	if (repo_check(r, flags, collect, NULL, &progress, &result, &err))
		fail_msg("repo_check: %s", err.text);
	repo_free(r);
	return result.errors;
}

/* --- the two objects --- */

#define CONFIG_MAX 200

struct bytes {
	uint8_t v[CONFIG_MAX];
	ssize_t n; /* -1: none */
};

static void path_of(struct repo_fixture *f, const char *key, char out[600])
{
	(void)snprintf(out, 600, "%s/%s", f->url, key);
}

static struct bytes get(struct repo_fixture *f, const char *key)
{
	struct bytes b = {.n = -1};
	char path[600];
	int fd;

	path_of(f, key, path);
	fd = open(path, O_RDONLY);
	if (fd >= 0) {
		b.n = read(fd, b.v, sizeof b.v);
		assert_int_equal(close(fd), 0);
	}
	return b;
}

static void put(struct repo_fixture *f, const char *key, const struct bytes *b)
{
	char path[600];
	int fd;

	path_of(f, key, path);
	(void)unlink(path);
	if (b->n < 0)
		return;
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, b->v, (size_t)b->n), b->n);
	assert_int_equal(close(fd), 0);
}

static bool same(const struct bytes *a, const struct bytes *b)
{
	return a->n == b->n && (a->n < 0 || !memcmp(a->v, b->v, (size_t)a->n));
}

static void expect_both(struct repo_fixture *f, const struct bytes *good)
{
	struct bytes config = get(f, "config"), copy = get(f, "config2");

	assert_true(same(&config, good));
	assert_true(same(&copy, good));
}

static const struct bytes none = {.n = -1};

static void notice(struct repo_fixture *f, char out[ERR_TEXT_MAX])
{
	struct repo *r = fixture_repo(f);

	strcpy(out, r->notice);
	repo_free(r);
}

static unsigned serial;

/* A push that is none already. */
static void push(struct repo_fixture *f)
{
	char name[32];

	(void)snprintf(name, sizeof name, "s%u", ++serial);
	fixture_snapshot(f->a->s, "v", name);
	(void)fixture_push(f, f->a->s, "v", name);
}

/* --- the tests --- */

static void one_without(struct repo_fixture *f, const char *key, const struct bytes *instead)
{
	bool copy = !strcmp(key, "config2");
	char text[ERR_TEXT_MAX];

	put(f, key, instead);
	notice(f, text);
	assert_int_equal(!*text, copy);
	if (!copy)
		assert_non_null(strstr(text, instead->n < 0 ? "missing" : "damaged"));
	assert_int_equal(check(f, 0), 1);
	assert_ptr_equal(strstr(findings, key), findings);
}

static void test_either_is_enough(void **state)
{
	static const char *const keys[] = {"config", "config2"};
	struct repo_fixture *f = *state;
	struct bytes good = get(f, "config"), bad;

	assert_true(good.n > 0);
	expect_both(f, &good);
	push(f);
	assert_int_equal(check(f, 0), 0);
	for (size_t k = 0; k < 2; k++) {
		for (ssize_t at = 0; at < good.n; at++) {
			bad = good;
			bad.v[at] ^= 4;
			one_without(f, keys[k], &bad);
		}
		bad.n = 0;
		one_without(f, keys[k], &bad);
		push(f);
		expect_both(f, &good);
		one_without(f, keys[k], &none);
		push(f);
		expect_both(f, &good);
		one_without(f, keys[k], &none);
		assert_int_equal(check(f, REPO_CHECK_DATA | REPO_CHECK_REPAIR), 1);
		expect_both(f, &good);
		assert_int_equal(check(f, 0), 0);
	}
}

static void test_neither(void **state)
{
	struct repo_fixture *f = *state;
	struct bytes good = get(f, "config"), bad = good;
	struct err err = {0};
	struct repo *r;

	bad.v[20] ^= 1;
	put(f, "config", &bad);
	put(f, "config2", &bad);
	assert_int_equal(repo_open(f->url, &f->cred, &r, &err), -ECORRUPT);
	assert_non_null(strstr(err.text, "damaged"));
	put(f, "config", &none);
	assert_int_equal(repo_open(f->url, &f->cred, &r, &err), -ECORRUPT);
	put(f, "config", &bad);
	put(f, "config2", &none);
	assert_int_equal(repo_open(f->url, &f->cred, &r, &err), -ECORRUPT);
	put(f, "config", &none);
	assert_int_equal(repo_open(f->url, &f->cred, &r, &err), -ENOENT);
	assert_non_null(strstr(err.hint, "repo init"));
	/* where there is one of both no other repository is made */
	put(f, "config2", &good);
	assert_int_equal(repo_init(f->url, &f->cred, true, "x", &err), -EEXIST);
}

/* Another repository's: nobody says which is right. */
static void test_they_differ(void **state)
{
	struct repo_fixture *f = *state;
	struct bytes good = get(f, "config"), other;
	struct repo_fixture g = *f;
	struct err err = {0};
	char path[600];

	(void)snprintf(g.url, sizeof g.url, "%.400s/another", f->url);
	if (repo_init(g.url, &g.cred, true, "x", &err))
		fail_msg("repo_init: %s", err.text);
	other = get(&g, "config");
	put(f, "config2", &other);
	push(f);
	assert_int_equal(check(f, REPO_CHECK_DATA | REPO_CHECK_REPAIR), 1);
	assert_non_null(strstr(findings, "another repository's"));
	path_of(f, "config2", path);
	assert_int_equal(access(path, F_OK), 0);
	other = get(f, "config");
	assert_true(same(&other, &good));
}

static void test_not_encrypted(void **state)
{
	struct repo_fixture *f = *state;
	struct bytes good;
	struct err err = {0};

	(void)snprintf(f->url + strlen(f->url), sizeof f->url - strlen(f->url), "/plain");
	f->cred.key_file = NULL;
	if (repo_init(f->url, &f->cred, false, "test", &err))
		fail_msg("repo_init: %s", err.text);
	good = get(f, "config");
	expect_both(f, &good);
	push(f);
	put(f, "config", &none);
	assert_int_equal(check(f, REPO_CHECK_DATA), 1);
	push(f);
	expect_both(f, &good);
	*strrchr(f->url, '/') = 0;
}

/* --- interrupted --- */

static const struct repo_credentials fresh_key = {.key_file = "the next key", .key_file_len = 12};

static int new_key(struct repo_fixture *f, struct fault_plan *plan)
{
	struct err err = {0};
	struct repo *r;
	char id[17];
	int bad = repo_open(f->url, &f->cred, &r, &err);

	if (bad)
		fail_msg("repo_open: %s", err.text);
	fault_install(r, plan);
	bad = repo_key_add(r, &fresh_key, "fresh", id, &err);
	repo_free(r);
	return bad;
}

/* A change of keys, and a push, where one of both is missing. */
static void test_mending_interrupted(void **state)
{
	static const char *const keys[] = {"config", "config2"};
	struct repo_fixture *f = *state;
	struct bytes good = get(f, "config");
	struct fault_plan plan = {0};

	for (unsigned turn = 0; turn < 2 * FAULT_KILLED; turn++) {
		plan.hit = true;
		for (unsigned at = 1; plan.hit; at++) {
			put(f, "config", &good);
			put(f, "config2", &good);
			put(f, keys[turn % 2], &none);
			plan = (struct fault_plan){.at = at, .kind = turn / 2};
			/* a copy that cannot be read is written anew */
			if (!new_key(f, &plan))
				assert_true(!plan.hit || plan.hit_op == FAULT_GET);
			(void)check(f, 0);
			push(f);
			expect_both(f, &good);
			assert_int_equal(check(f, 0), 0);
		}
		assert_true(plan.requests >= 2);
	}
}

/* Every request of making one fails: what is there then is a repository, or nothing that is in the way of another try. */
struct nth {
	unsigned left;
	bool hit;
};

static int fail_nth(void *arg, enum io_class cls, enum io_op op, const char *path, int fd, const void *data, size_t *len,
		    off_t off)
{
	struct nth *n = arg;

	(void)op;
	(void)path;
	(void)fd;
	(void)data;
	(void)len;
	(void)off;
	if (cls != IO_SMALL || n->left-- || n->hit)
		return 0;
	n->hit = true;
	return -EIO;
}

static void test_making_interrupted(void **state)
{
	struct repo_fixture *f = *state;
	char first[sizeof f->url], cmd[700];
	struct nth nth = {.hit = true};

	strcpy(first, f->url);
	(void)snprintf(f->url, sizeof f->url, "%.400s/made", first);
	for (unsigned at = 0; nth.hit; at++) {
		struct err err = {0};
		struct repo *r;
		int bad;

		(void)snprintf(cmd, sizeof cmd, "rm -rf %s", f->url);
		assert_int_equal(system(cmd), 0);
		nth = (struct nth){.left = at};
		io_set_hook(fail_nth, &nth);
		bad = repo_init(f->url, &f->cred, true, "test", &err);
		io_set_hook(NULL, NULL);
		if (!nth.hit)
			assert_int_equal(bad, 0);
		if (bad) {
			bad = repo_init(f->url, &f->cred, true, "test", &err);
			assert_true(!bad || bad == -EEXIST);
		}
		if (repo_open(f->url, &f->cred, &r, &err))
			fail_msg("request %u failed, and then: %s", at + 1, err.text);
		repo_free(r);
		push(f);
		assert_int_equal(check(f, 0), 0);
	}
	strcpy(f->url, first);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, repo_fixture_setup, repo_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_either_is_enough), TEST(test_neither),
		TEST(test_they_differ),	     TEST(test_not_encrypted),
		TEST(test_mending_interrupted), TEST(test_making_interrupted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
