/* Push, pull, prune, forget and a change of keys, interrupted at each of their requests in each way: the repository is
 * whole, what was complete can be had back, the next call comes to its end, and a push sends nothing twice. With
 * VARVE_TEST_REPO over ssh or to S3 the ways take turns, at every STRIDE-th request. */
#include "tests/unit/repo/repo_fixture.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "store/maint/check.h"
#include "store/repo/prune.h"
#include "store/repo/repo_check.h"
#include "store/volume/volume_internal.h"
#include "tests/unit/repo/fault_backend.h"

#define SMALL_PACK (300 * KIB) /* so that a push has several */

struct scene {
	struct repo_fixture *f;
	struct image image; /* of the repository before */
	struct fault_plan *plan;
	bool killed;
	unsigned turn; /* what takes long is looked at in every fourth */
	struct err err; /* of the interrupted call, when that was in this process */
};

struct work {
	const char *name;
	struct store_fixture *(*store)(struct repo_fixture *f); /* that it changes; NULL: none */
	bool apart;						/* in a process of its own, however it ends */
	void (*ready)(struct scene *sc);
	int (*run)(struct scene *sc, struct repo *r, struct err *err);
	void (*after)(struct scene *sc); /* after an interruption: the next call, and what holds then */
	void (*done)(struct scene *sc);	 /* after one that came to its end; NULL: nothing */
};

static struct store_fixture *store_a(struct repo_fixture *f)
{
	return f->a;
}

static struct store_fixture *store_b(struct repo_fixture *f)
{
	return f->b;
}

static void finding(void *arg, const char *line)
{
	(void)arg;
	print_message("%s\n", line);
}

static const struct repo_credentials fresh_key = {.key_file = "the next key", .key_file_len = 12};

/* With the key that it was made with, or the one of test_key_change. */
static struct repo *either_key(struct repo_fixture *f)
{
	struct repo_credentials fresh = f->cred;
	struct err err = {0};
	struct repo *r;
	int bad = repo_open(f->url, &f->cred, &r, &err);

	fresh.key_file = fresh_key.key_file;
	fresh.key_file_len = fresh_key.key_file_len;
	if (bad == -EKEYREJECTED)
		bad = repo_open(f->url, &fresh, &r, &err);
	if (bad)
		fail_msg("repo_open: %s", err.text);
	return r;
}

static void repository_clean(struct repo_fixture *f)
{
	struct repo_check_result result = {0};
	struct repo_progress progress = {0};
	struct repo *r = either_key(f);
	struct err err = {0};

	if (repo_check(r, REPO_CHECK_DATA, finding, NULL, &progress, &result, &err))
		fail_msg("repo_check: %s", err.text);
	assert_int_equal(result.errors, 0);
	repo_free(r);
}

static void store_clean(struct store *s)
{
	struct check_result result = {0};
	struct err err = {0};

	if (check_store(s, 0, finding, NULL, &result, &err))
		fail_msg("check_store: %s", err.text);
	assert_int_equal(result.errors, 0);
}

/* --- interrupting --- */

static struct backend *place(struct repo_fixture *f)
{
	struct backend *be;
	struct err err = {0};

	if (backend_open(f->url, &f->cred.access, 0, &be, &err))
		fail_msg("backend_open: %s", err.text);
	return be;
}

static void begin_again(struct scene *sc)
{
	struct backend *be = place(sc->f);

	image_restore(be, &sc->image);
	backend_free(be);
}

static int call(struct scene *sc, const struct work *w, struct err *err)
{
	struct repo *r;
	int bad = repo_open(sc->f->url, &sc->f->cred, &r, err);

	if (bad)
		return bad;
	r->pack_target = SMALL_PACK;
	fault_install(r, sc->plan);
	bad = w->run(sc, r, err);
	repo_free(r);
	return bad;
}

/* In a child, which has the store to itself. */
static int call_apart(struct scene *sc, const struct work *w)
{
	struct store_fixture *sf = w->store ? w->store(sc->f) : NULL;
	struct err err = {0};
	int status;
	pid_t pid;

	if (sf && store_close(sf->s, &err))
		fail_msg("store_close: %s", err.text);
	(void)fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (sf)
			store_fixture_open(sf, -1);
		_exit(call(sc, w, &err) ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (sf) {
		store_fixture_open(sf, -1);
		ns_keep_orphans(sf->s, false);
	}
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}

/* False: there are not so many requests. */
static bool interrupt(struct scene *sc, const struct work *w, enum fault_kind kind, unsigned at)
{
	int bad;

	begin_again(sc);
	w->ready(sc);
	*sc->plan = (struct fault_plan){.at = at, .kind = kind};
	sc->err = (struct err){0};
	sc->killed = kind == FAULT_KILLED;
	bad = w->apart || sc->killed ? call_apart(sc, w) : call(sc, w, &sc->err);
	if (!sc->plan->hit) {
		if (bad)
			fail_msg("%s fails: %s", w->name, sc->err.text);
		if (w->done)
			w->done(sc);
		return false;
	}
	/* a marker that stays is no harm, and a copy of the config that cannot be read is written anew */
	if (!bad && !(sc->plan->hit_op == FAULT_REMOVE && !strncmp(sc->plan->hit_key, "prune/", 6)) &&
	    !(sc->plan->hit_op == FAULT_GET && !strcmp(sc->plan->hit_key, "config2")))
		fail_msg("%s, request %u (%s) %s: and it says that all is well", w->name, at, sc->plan->hit_key,
			 fault_names[kind]);
	if (bad && !w->apart && !sc->killed && !*sc->err.text)
		fail_msg("%s, request %u (%s) %s: no word about it", w->name, at, sc->plan->hit_key, fault_names[kind]);
	repository_clean(sc->f);
	*sc->plan = (struct fault_plan){.removed = sc->plan->removed, .hit_op = sc->plan->hit_op};
	w->after(sc);
	repository_clean(sc->f);
	return true;
}

static void interrupt_everywhere(struct repo_fixture *f, const struct work *w)
{
	struct backend *be = place(f);
	struct scene sc = {f, image_take(be), NULL, false, 0, {0}};
	const char *stride = getenv("STRIDE"); /* elsewhere, for what is slow */
	unsigned at = 1;

	backend_free(be);
	sc.plan = mmap(NULL, sizeof *sc.plan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(sc.plan != MAP_FAILED);
	if (f->elsewhere)
		while (interrupt(&sc, w, at % FAULT_KINDS, at))
			at += stride ? (unsigned)atoi(stride) : 1;
	else
		for (enum fault_kind kind = 0; kind < FAULT_KINDS; kind++)
			for (at = 1; interrupt(&sc, w, kind, at); at++)
				;
	print_message("%s: %u requests\n", w->name, at - 1);
	begin_again(&sc);
	image_free(&sc.image);
	assert_int_equal(munmap(sc.plan, sizeof *sc.plan), 0);
}

/* --- push --- */

/* No blob is in two packs. */
static void nothing_twice(struct repo_fixture *f)
{
	struct repo *r = fixture_repo(f);
	struct blob_place place;
	struct repo_blob blob;
	struct err err = {0};
	uint32_t off;

	if (repo_load_index(r, REPO_INDEX_ADOPT, &err))
		fail_msg("repo_load_index: %s", err.text);
	for (size_t i = 0; i < blob_index_packs(r->index); i++)
		for (uint32_t j = 0; j < blob_index_pack(r->index, i)->n; j++) {
			blob_index_at(r->index, blob_index_pack(r->index, i)->first + j, &blob, &off);
			assert_true(blob_index_find(r->index, &blob.name, &place));
			assert_int_equal(place.pack, i);
			assert_int_equal(place.off, off);
		}
	repo_free(r);
}

/* The pins of volume "v": of a push that runs, and of what was pushed. */
static void count_pins(struct store *s, unsigned *ret_running, unsigned *ret_pinned)
{
	struct snapshot_row snap = {0};
	struct volume_row vol;

	*ret_running = *ret_pinned = 0;
	(void)pthread_mutex_lock(&s->lock);
	assert_int_equal(volume_by_name(s->meta, "v", &vol), 0);
	while (!snapshot_next_any(s->meta, vol.id, snap.created, snap.id, &snap))
		if (*snap.name == '@')
			++*(strstr(snap.name, ".running") ? ret_running : ret_pinned);
	volume_row_free(&vol);
	(void)pthread_mutex_unlock(&s->lock);
}

static int run_push(struct scene *sc, struct repo *r, struct err *err)
{
	struct repo_progress progress = {0};
	struct push_result result;

	return repo_push(sc->f->a->s, r, "v", "s2", &progress, &result, err);
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

static const struct work the_push;

static void after_push(struct scene *sc)
{
	struct repo_fixture *f = sc->f;
	unsigned running, pinned;

	count_pins(f->a->s, &running, &pinned);
	assert_int_equal(running, 0);
	if (call(sc, &the_push, &sc->err))
		fail_msg("the push after that: %s", sc->err.text);
	nothing_twice(f);
	count_pins(f->a->s, &running, &pinned);
	assert_int_equal(running, 0);
	assert_int_equal(pinned, 1);
	if (sc->turn++ % 4 == 0)
		comes_back(f, "s2");
}

/* The pin is where the first push left it, or at what the repository has no more. */
static void ready_push(struct scene *sc)
{
	struct repo *r = fixture_repo(sc->f);
	struct repo_entry *list;
	size_t n;

	assert_int_equal(repo_snapshot_list(r, &list, &n, NULL), 0);
	repo_free(r);
	free(list);
	if (n)
		assert_true(fixture_push(sc->f, sc->f->a->s, "v", "s1").already);
}

static const struct work the_push = {"push", store_a, false, ready_push, run_push, after_push, NULL};

static void edit_and_snapshot(struct repo_fixture *f, struct tree_rng *r, int edits, const char *name)
{
	for (int i = 0; i < edits; i++)
		tree_edit(f->a->s, r, f->a->vol.root_node);
	fixture_snapshot(f->a->s, "v", name);
}

static void test_first_push(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {21};

	(void)fixture_file(f->a, f->a->vol.root_node, "large", 1, 1000000);
	edit_and_snapshot(f, &r, 40, "s2");
	interrupt_everywhere(f, &the_push);
}

static void test_later_push(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {22};

	edit_and_snapshot(f, &r, 60, "s1");
	(void)fixture_push(f, f->a->s, "v", "s1");
	(void)fixture_file(f->a, f->a->vol.root_node, "large", 2, 1000000);
	edit_and_snapshot(f, &r, 30, "s2");
	interrupt_everywhere(f, &the_push);
}

/* A pin of a push that runs, as earlier versions had it. */
static void put_old_pin(struct repo_fixture *f, const char *snapshot)
{
	struct store *s = f->a->s;
	struct repo *r = fixture_repo(f);
	struct snapshot_row snap;
	struct volume_row vol;
	char id[2 * REPO_ID_LEN + 1];
	struct tx tx;

	repo_id_hex(r, id);
	repo_free(r);
	assert_int_equal(tx_begin(s, NULL, 0, 0, &tx), 0);
	assert_int_equal(volume_by_name(s->meta, "v", &vol), 0);
	assert_int_equal(snapshot_by_name(s->meta, vol.id, snapshot, &snap), 0);
	snap.id = meta_next_id(s->meta);
	(void)snprintf(snap.name, sizeof snap.name, "@%s.running", id);
	assert_int_equal(tx_end(&tx, snapshot_put(s->meta, &snap)), 0);
	volume_row_free(&vol);
}

/* A killed push holds nothing when the store is opened again; what one of an earlier version held goes with the next push. */
static void test_a_killed_push_holds_nothing(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {23};
	struct scene sc = {.f = f};
	unsigned running, pinned;

	sc.plan = mmap(NULL, sizeof *sc.plan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(sc.plan != MAP_FAILED);
	edit_and_snapshot(f, &r, 40, "s2");
	*sc.plan = (struct fault_plan){.at = 6, .kind = FAULT_KILLED};
	assert_int_equal(call_apart(&sc, &the_push), -EIO);
	count_pins(f->a->s, &running, &pinned);
	assert_int_equal(running, 0);
	assert_int_equal(pinned, 0);
	put_old_pin(f, "s2");
	assert_int_equal(snapshot_remove(f->a->s, "v", "s2", NULL), 0);
	fixture_maintain(f->a);
	count_pins(f->a->s, &running, &pinned);
	assert_int_equal(running, 1);
	edit_and_snapshot(f, &r, 10, "s3");
	(void)fixture_push(f, f->a->s, "v", "s3");
	count_pins(f->a->s, &running, &pinned);
	assert_int_equal(running, 0);
	assert_int_equal(pinned, 1);
	fixture_maintain(f->a);
	store_clean(f->a->s);
	comes_back(f, "s3");
	assert_int_equal(munmap(sc.plan, sizeof *sc.plan), 0);
}

/* --- pull --- */

static void ready_pull(struct scene *sc)
{
	struct store *s = sc->f->b->s;
	struct volume_info info;
	struct err err = {0};

	if (!volume_get(s, "v", &info, NULL) && volume_remove(s, "v", VOLUME_REMOVE_PURGE, &err))
		fail_msg("volume_remove: %s", err.text);
	fixture_maintain(sc->f->b);
}

static void ready_later_pull(struct scene *sc)
{
	ready_pull(sc);
	(void)fixture_pull(sc->f, sc->f->b->s, "v", "s1", NULL);
}

static int run_pull(struct scene *sc, struct repo *r, struct err *err)
{
	struct repo_progress progress = {0};
	struct pull_result result;

	return repo_pull(sc->f->b->s, r, "v", "s2", NULL, &progress, &result, err);
}

static void pulled(struct scene *sc)
{
	struct repo_fixture *f = sc->f;

	tree_same(f->a->s, tree_root(f->a->s, "v", "s2"), f->b->s, tree_root(f->b->s, "v", "s2"));
	fixture_maintain(f->b);
	store_clean(f->b->s);
}

static const struct work first_pull, later_pull;

static void after_pull(struct scene *sc)
{
	store_clean(sc->f->b->s);
	if (call(sc, &first_pull, &sc->err))
		fail_msg("the pull after that: %s", sc->err.text);
	pulled(sc);
}

static void after_later_pull(struct scene *sc)
{
	struct repo_fixture *f = sc->f;

	tree_same(f->a->s, tree_root(f->a->s, "v", "s1"), f->b->s, tree_root(f->b->s, "v", "s1"));
	after_pull(sc);
}

static const struct work first_pull = {"first pull", store_b, false, ready_pull, run_pull, after_pull, pulled};
static const struct work later_pull = {"later pull",	 store_b, false, ready_later_pull, run_pull,
				       after_later_pull, pulled};

static void test_pull(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {24};
	struct err err = {0};

	if (volume_remove(f->b->s, "v", VOLUME_REMOVE_PURGE, &err))
		fail_msg("volume_remove: %s", err.text);
	edit_and_snapshot(f, &r, 40, "s1");
	(void)fixture_push(f, f->a->s, "v", "s1");
	edit_and_snapshot(f, &r, 20, "s2");
	(void)fixture_push(f, f->a->s, "v", "s2");
	interrupt_everywhere(f, &first_pull);
	interrupt_everywhere(f, &later_pull);
}

/* --- prune --- */

static void ready_nothing(struct scene *sc)
{
	(void)sc;
}

static int run_prune(struct scene *sc, struct repo *r, struct err *err)
{
	struct repo_progress progress = {0};
	struct prune_result result;

	(void)sc;
	return repo_prune(r, 0, false, &progress, &result, err);
}

static const struct work the_prune;

static void after_prune(struct scene *sc)
{
	struct repo_fixture *f = sc->f;

	/* what cannot be listed or read ends it before anything goes; the markers' folder is looked at first */
	if (sc->plan->hit_op == FAULT_LIST || sc->plan->hit_op == FAULT_GET)
		assert_int_equal(sc->plan->removed, 0);
	if (call_apart(sc, &the_prune))
		fail_msg("the prune after that fails");
	if (sc->turn++ % 4 == 0)
		comes_back(f, "s2");
}

static const struct work the_prune = {"prune", NULL, true, ready_nothing, run_prune, after_prune, NULL};

static void forget(struct repo_fixture *f, const char *snapshot)
{
	struct repo *r = fixture_repo(f);
	struct repo_entry e;
	struct err err = {0};

	if (repo_snapshot_find(r, "v", snapshot, &e, &err) || repo_snapshot_remove(r, &e.id, &err))
		fail_msg("forget: %s", err.text);
	repo_free(r);
}

/* Both halves: one that sets packs aside, and copies from some, and one that deletes. */
static void test_prune(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {25};
	struct scene sc = {.f = f};

	sc.plan = mmap(NULL, sizeof *sc.plan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(sc.plan != MAP_FAILED);
	edit_and_snapshot(f, &r, 60, "s1");
	(void)fixture_push(f, f->a->s, "v", "s1");
	edit_and_snapshot(f, &r, 60, "s2");
	(void)fixture_push(f, f->a->s, "v", "s2");
	forget(f, "s1");
	interrupt_everywhere(f, &the_prune);
	*sc.plan = (struct fault_plan){0};
	assert_int_equal(call_apart(&sc, &the_prune), 0);
	interrupt_everywhere(f, &the_prune);
	assert_int_equal(munmap(sc.plan, sizeof *sc.plan), 0);
}

/* --- forget --- */

static int run_forget(struct scene *sc, struct repo *r, struct err *err)
{
	struct repo_entry e;
	int bad = repo_snapshot_find(r, "v", "s1", &e, err);

	(void)sc;
	return bad ? bad : repo_snapshot_remove(r, &e.id, err);
}

static const struct work the_forget;

static void after_forget(struct scene *sc)
{
	int bad = call(sc, &the_forget, &sc->err);

	/* it may have come to pass */
	assert_true(!bad || bad == -ENOENT);
	comes_back(sc->f, "s2");
}

static const struct work the_forget = {"forget", NULL, false, ready_nothing, run_forget, after_forget, NULL};

static void test_forget(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {26};

	edit_and_snapshot(f, &r, 30, "s1");
	(void)fixture_push(f, f->a->s, "v", "s1");
	edit_and_snapshot(f, &r, 10, "s2");
	(void)fixture_push(f, f->a->s, "v", "s2");
	interrupt_everywhere(f, &the_forget);
}

/* --- keys --- */

/* A new key, then the old one away. */
static int run_key_change(struct scene *sc, struct repo *r, struct err *err)
{
	AUTO_FREE struct repo_key *keys = NULL;
	char id[17];
	size_t n;
	int bad = repo_key_list(r, &keys, &n, err);

	(void)sc;
	if (!bad)
		bad = repo_key_add(r, &fresh_key, "fresh", id, err);
	return bad ? bad : repo_key_remove(r, keys[0].id, err);
}

/* One of both keys opens it, always. */
static void after_key_change(struct scene *sc)
{
	struct repo *r = either_key(sc->f);

	*sc->plan = (struct fault_plan){0};
	if (run_key_change(sc, r, &sc->err))
		fail_msg("the change after that: %s", sc->err.text);
	repo_free(r);
}

static const struct work key_change = {"key change", NULL, false, ready_nothing, run_key_change, after_key_change, NULL};

static void test_key_change(void **state)
{
	struct repo_fixture *f = *state;
	struct tree_rng r = {27};

	edit_and_snapshot(f, &r, 10, "s2");
	(void)fixture_push(f, f->a->s, "v", "s2");
	interrupt_everywhere(f, &key_change);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, repo_fixture_setup, repo_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_push), TEST(test_later_push), TEST(test_a_killed_push_holds_nothing),
		TEST(test_pull),       TEST(test_prune),      TEST(test_forget),
		TEST(test_key_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
