/* What a push and a pull read stays for as long as they run, whatever other pushes and pulls of the volume come to their
 * end meanwhile, whatever snapshots are removed and what is pruned: a second piece of work runs in the middle of the
 * first. */
#include "tests/unit/repo/repo_fixture.h"

#include <stdatomic.h>

#include "store/maint/check.h"
#include "store/repo/prune.h"
#include "store/repo/repo_check.h"
#include "store/repo/source.h"
#include "store/volume/volume_internal.h"
#include "tests/unit/repo/fault_backend.h"

#define MANY 480 /* files */

/* --- a back end that does something else before one request --- */

struct between {
	struct backend b;
	struct backend *real;
	_Atomic unsigned at; /* before which request; 0: none */
	bool not_put; /* not before the snapshot is put: what a prune without grace does then is its user's risk */
	_Atomic unsigned indexes, gone; /* index objects that were read, and packs that were not there */
	void (*fn)(void *arg);
	void *arg;
};

static struct backend *step(struct backend *b)
{
	struct between *t = (struct between *)b;
	unsigned at = t->at;

	while (at && !atomic_compare_exchange_weak(&t->at, &at, at - 1))
		;
	if (at == 1)
		t->fn(t->arg);
	return t->real;
}

static bool is_last(struct backend *b, const char *key)
{
	return ((struct between *)b)->not_put && !strncmp(key, "snapshots/", 10);
}

static int between_get(struct backend *b, const char *key, uint64_t off, size_t len, struct buf *ret, struct err *err)
{
	struct between *t = (struct between *)b;
	int bad = backend_get(step(b), key, off, len, ret, err);

	t->indexes += !strncmp(key, "index/", 6);
	t->gone += bad == -ENOENT && !strncmp(key, "packs/", 6);
	return bad;
}

static int between_put(struct backend *b, const char *key, const void *data, size_t len, struct err *err)
{
	return backend_put(is_last(b, key) ? ((struct between *)b)->real : step(b), key, data, len, err);
}

static int between_list(struct backend *b, const char *prefix, int (*fn)(void *arg, const char *key, uint64_t size),
			void *arg, struct err *err)
{
	return backend_list(step(b), prefix, fn, arg, err);
}

static int between_remove(struct backend *b, const char *key, struct err *err)
{
	return backend_remove(step(b), key, err);
}

static void between_free(struct backend *b)
{
	backend_free(((struct between *)b)->real);
	free(b);
}

static struct between *between_install(struct repo *r, unsigned at, void (*fn)(void *arg), void *arg)
{
	static const struct backend_ops ops = {between_get, between_put, between_list, between_remove, between_free};
	struct between *t = calloc(1, sizeof *t);

	assert_non_null(t);
	*t = (struct between){{&ops, strdup(r->be->where), false}, r->be, at, false, 0, 0, fn, arg};
	r->be = &t->b;
	return t;
}

/* --- the scene --- */

struct scene {
	struct repo_fixture *f;
	struct repo_fixture other; /* a second repository, of the same store */
	bool elsewhere;		   /* the second push goes there */
	bool pull;		   /* a pull, not a push */
	bool ran;
};

static void finding(void *arg, const char *line)
{
	(void)arg;
	print_message("%s\n", line);
}

static void store_clean(struct store *s)
{
	struct check_result result = {0};
	struct err err = {0};

	if (check_store(s, 0, finding, NULL, &result, &err))
		fail_msg("check_store: %s", err.text);
	assert_int_equal(result.errors, 0);
}

static void edit_and_snapshot(struct repo_fixture *f, struct tree_rng *r, const char *name)
{
	static uint32_t n;

	for (int i = 0; i < 8; i++)
		tree_edit(f->a->s, r, f->a->vol.root_node);
	/* something that is in no other */
	(void)ns_unlink(f->a->s, &fixture_op, f->a->vol.root_node, "own");
	(void)fixture_file(f->a, f->a->vol.root_node, "own", ++n, 20000);
	fixture_snapshot(f->a->s, "v", name);
}

static void remove_snapshot(struct store *s, const char *name)
{
	struct err err = {0};

	if (snapshot_remove(s, "v", name, &err))
		fail_msg("snapshot_remove: %s", err.text);
}

/* Another push of the volume, or a pull into it; then all that the first one reads loses its name. */
static void meanwhile(void *arg)
{
	struct scene *sc = arg;
	struct repo_fixture *f = sc->f;

	sc->ran = true;
	if (sc->pull)
		(void)fixture_pull(f, f->a->s, "v", "s0", NULL);
	else
		(void)fixture_push(sc->elsewhere ? &sc->other : f, f->a->s, "v", "s4");
	remove_snapshot(f->a->s, "s2");
	fixture_maintain(f->a);
	store_clean(f->a->s); /* with all that is held */
}

static unsigned pins(struct store *s)
{
	struct snapshot_row snap = {0};
	struct volume_row vol;
	unsigned n = 0;

	(void)pthread_mutex_lock(&s->lock);
	assert_int_equal(volume_by_name(s->meta, "v", &vol), 0);
	while (!snapshot_next_any(s->meta, vol.id, snap.created, snap.id, &snap))
		n += *snap.name == '@';
	volume_row_free(&vol);
	(void)pthread_mutex_unlock(&s->lock);
	return n;
}

static void pull_as(struct repo_fixture *f, const char *snapshot, const char *name)
{
	(void)fixture_pull(f, f->b->s, "v", snapshot, name);
}

static void gone(struct store *s, const char *volume)
{
	struct err err = {0};

	if (volume_remove(s, volume, VOLUME_REMOVE_PURGE, &err))
		fail_msg("volume_remove: %s", err.text);
}

/* A push of s2, upon s1, with the other work before its request `at`. False: there are not so many. */
static bool one_push(struct scene *sc, struct tree_rng *r, unsigned at)
{
	struct repo_fixture *f = sc->f;
	struct repo_progress progress = {0};
	struct push_result result;
	struct repo *repo;
	struct err err = {0};
	bool ran;

	edit_and_snapshot(f, r, "s0");
	(void)fixture_push(f, f->a->s, "v", "s0");
	edit_and_snapshot(f, r, "s1");
	(void)fixture_push(f, f->a->s, "v", "s1");
	remove_snapshot(f->a->s, "s0");
	remove_snapshot(f->a->s, "s1");
	edit_and_snapshot(f, r, "s2");
	edit_and_snapshot(f, r, "s3");
	edit_and_snapshot(f, r, "s4");
	(void)fixture_push(&sc->other, f->a->s, "v", "s2"); /* what it is */
	(void)fixture_push(&sc->other, f->a->s, "v", "s3"); /* which is pinned then */
	sc->ran = false;
	repo = fixture_repo(f);
	(void)between_install(repo, at, meanwhile, sc);
	if (repo_push(f->a->s, repo, "v", "s2", &progress, &result, &err))
		fail_msg("request %u: repo_push: %s", at, err.text);
	repo_free(repo);
	pull_as(f, "s2", "got");
	pull_as(&sc->other, "s2", "want");
	tree_same(f->b->s, tree_root(f->b->s, "want", "s2"), f->b->s, tree_root(f->b->s, "got", "s2"));
	gone(f->b->s, "got");
	gone(f->b->s, "want");
	ran = sc->ran;
	if (!ran)
		meanwhile(sc);
	assert_int_equal(pins(f->a->s), 2); /* one for each repository */
	fixture_maintain(f->a);
	fixture_maintain(f->b);
	store_clean(f->a->s);
	return ran;
}

/* As it was made: so that the number of requests does not grow. */
static void empty(struct repo_fixture *f)
{
	struct repo *r = fixture_repo(f);
	struct image_keys keys = image_list(r->be);

	for (size_t i = 0; i < keys.n; i++)
		if (strncmp(keys.v[i], "keys/", 5) != 0)
			assert_int_equal(backend_remove(r->be, keys.v[i], NULL), 0);
	free(keys.v);
	repo_free(r);
}

static void every_request(struct repo_fixture *f, bool pull, bool elsewhere, unsigned stride)
{
	struct scene sc = {.f = f, .other = *f, .elsewhere = elsewhere, .pull = pull};
	struct tree_rng r = {61};
	struct err err = {0};
	bool more = true;

	(void)snprintf(sc.other.url, sizeof sc.other.url, "%.400s/other", f->url);
	if (repo_init(sc.other.url, &sc.other.cred, true, "x", &err))
		fail_msg("repo_init: %s", err.text);
	for (unsigned at = 1; more; at += stride) {
		more = one_push(&sc, &r, at);
		remove_snapshot(f->a->s, "s3");
		remove_snapshot(f->a->s, "s4");
		if (pull)
			remove_snapshot(f->a->s, "s0");
		empty(f);
		empty(&sc.other);
	}
}

static void test_two_pushes(void **state)
{
	every_request(*state, false, false, 3);
}

static void test_to_two_repositories(void **state)
{
	every_request(*state, false, true, 8);
}

static void test_push_and_pull(void **state)
{
	every_request(*state, true, false, 4);
}

/* The one that ends last is of the older snapshot: the next push begins from the newer. */
static void push_s3(void *arg)
{
	struct repo_fixture *f = arg;

	(void)fixture_push(f, f->a->s, "v", "s3");
}

static void test_the_newest_stays_pinned(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {62};
	struct repo_progress progress = {0};
	struct push_result result;
	struct source_view pinned;
	struct repo_name id;
	struct repo *repo;
	struct err err = {0};
	char repo_id[2 * REPO_ID_LEN + 1];

	edit_and_snapshot(f, &r, "s2");
	edit_and_snapshot(f, &r, "s3");
	repo = fixture_repo(f);
	repo_id_hex(repo, repo_id);
	(void)between_install(repo, 6, push_s3, f);
	if (repo_push(f->a->s, repo, "v", "s2", &progress, &result, &err))
		fail_msg("repo_push: %s", err.text);
	repo_free(repo);
	assert_int_equal(source_pin_find(f->a->s, "v", repo_id, &pinned, &id), 0);
	assert_memory_not_equal(id.b, result.id.b, REPO_NAME_LEN);
	assert_int_equal(pins(f->a->s), 1);
}

static void purge(void *arg)
{
	struct repo_fixture *f = arg;

	gone(f->a->s, "v");
	fixture_maintain(f->a);
}

static void test_the_volume_goes(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {63};
	struct repo_progress progress = {0};
	struct push_result result;
	struct repo *repo;
	struct err err = {0};

	edit_and_snapshot(f, &r, "s1");
	repo = fixture_repo(f);
	(void)between_install(repo, 6, purge, f);
	if (repo_push(f->a->s, repo, "v", "s1", &progress, &result, &err))
		fail_msg("repo_push: %s", err.text);
	repo_free(repo);
	pull_as(f, "s1", "got");
	fixture_maintain(f->a);
	store_clean(f->a->s);
}

/* --- prunes without grace --- */

static void forget_and_prune(void *arg)
{
	struct scene *sc = arg;
	struct repo_progress progress = {0};
	struct prune_result result;
	struct err err = {0};
	struct repo_entry e;

	sc->ran = true;
	for (int i = 0; i < 2; i++) {
		struct repo *r = fixture_repo(sc->f);

		if (!i && (repo_snapshot_find(r, "v", "s1", &e, &err) || repo_snapshot_remove(r, &e.id, &err)))
			fail_msg("forget: %s", err.text);
		if (repo_prune(r, 0, false, &progress, &result, &err))
			fail_msg("repo_prune: %s", err.text);
		repo_free(r);
	}
}

static void repository_clean(struct repo_fixture *f)
{
	struct repo_check_result result = {0};
	struct repo_progress progress = {0};
	struct repo *r = fixture_repo(f);
	struct err err = {0};

	if (repo_check(r, REPO_CHECK_DATA, finding, NULL, &progress, &result, &err))
		fail_msg("repo_check: %s", err.text);
	assert_int_equal(result.errors, 0);
	repo_free(r);
}

/* A pull of s2 while s1 goes, which it shares packs with. */
static void test_pull_while_pruned(void **state)
{
	struct repo_fixture *f = *state;
	struct scene sc = {.f = f, .ran = true};
	struct tree_rng r = {64};

	for (unsigned i = 0; i < 6; i++)
		(void)fixture_file(f->a, f->a->vol.root_node, (char[]){(char)('a' + i), 0}, i, 100000);
	edit_and_snapshot(f, &r, "s1");
	for (unsigned i = 0; i < 3; i++)
		(void)ns_unlink(f->a->s, &fixture_op, f->a->vol.root_node, (char[]){(char)('a' + i), 0});
	edit_and_snapshot(f, &r, "s2");
	for (unsigned at = 1; sc.ran; at++) {
		struct repo_progress progress = {0};
		struct pull_result result;
		struct repo *repo;
		struct err err = {0};

		empty(f);
		(void)fixture_push(f, f->a->s, "v", "s1");
		(void)fixture_push(f, f->a->s, "v", "s2");
		repo = fixture_repo(f);
		sc.ran = false;
		(void)between_install(repo, at, forget_and_prune, &sc);
		if (repo_pull(f->b->s, repo, "v", "s2", "got", &progress, &result, &err))
			fail_msg("request %u: repo_pull: %s", at, err.text);
		repo_free(repo);
		tree_same(f->a->s, tree_root(f->a->s, "v", "s2"), f->b->s, tree_root(f->b->s, "got", "s2"));
		gone(f->b->s, "got");
		fixture_maintain(f->b);
	}
}

/* Many packs are gone: that is found out once a pack and not once a piece, and each new index object is read once. */
static void test_pull_of_many_pruned_packs(void **state)
{
	struct repo_fixture *f = *state;
	struct scene sc = {.f = f};
	struct repo_progress progress = {0};
	struct pull_result result;
	struct push_result pushed;
	struct between *between;
	struct repo *repo;
	struct err err = {0};
	char name[16];

	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof name, "%u", i);
		(void)fixture_file(f->a, f->a->vol.root_node, name, i, 5000);
	}
	fixture_snapshot(f->a->s, "v", "s1");
	for (unsigned i = 0; i < MANY; i += 2) {
		(void)snprintf(name, sizeof name, "%u", i);
		assert_int_equal(ns_unlink(f->a->s, &fixture_op, f->a->vol.root_node, name), 0);
	}
	fixture_snapshot(f->a->s, "v", "s2");
	repo = fixture_repo(f);
	repo->pack_target = 200000;
	if (repo_push(f->a->s, repo, "v", "s1", &progress, &pushed, &err))
		fail_msg("repo_push: %s", err.text);
	repo_free(repo);
	(void)fixture_push(f, f->a->s, "v", "s2");
	repo = fixture_repo(f);
	between = between_install(repo, 10, forget_and_prune, &sc);
	if (repo_pull(f->b->s, repo, "v", "s2", "got", &progress, &result, &err))
		fail_msg("repo_pull: %s", err.text);
	assert_true(sc.ran);
	if (between->indexes > 6 || between->gone > MANY / 4)
		fail_msg("%u index objects were read, %u times a pack was gone", between->indexes, between->gone);
	repo_free(repo);
	tree_same(f->a->s, tree_root(f->a->s, "v", "s2"), f->b->s, tree_root(f->b->s, "got", "s2"));
}

/* A push of s2 upon s1, which goes. */
static void test_push_while_its_base_is_pruned(void **state)
{
	struct repo_fixture *f = *state;
	struct scene sc = {.f = f, .ran = true};
	struct tree_rng r = {65};

	edit_and_snapshot(f, &r, "s1");
	edit_and_snapshot(f, &r, "s2");
	for (unsigned at = 1; sc.ran; at++) {
		struct repo_progress progress = {0};
		struct push_result result;
		struct repo *repo;
		struct err err = {0};

		empty(f);
		(void)fixture_push(f, f->a->s, "v", "s1");
		repo = fixture_repo(f);
		sc.ran = false;
		between_install(repo, at, forget_and_prune, &sc)->not_put = true;
		if (repo_push(f->a->s, repo, "v", "s2", &progress, &result, &err))
			fail_msg("request %u: repo_push: %s", at, err.text);
		repo_free(repo);
		repository_clean(f);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, repo_fixture_setup, repo_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_two_pushes),
		TEST(test_to_two_repositories),
		TEST(test_push_and_pull),
		TEST(test_the_newest_stays_pinned),
		TEST(test_the_volume_goes),
		TEST(test_pull_while_pruned),
		TEST(test_pull_of_many_pruned_packs),
		TEST(test_push_while_its_base_is_pruned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
