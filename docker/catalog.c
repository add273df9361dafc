/* A copy of the volumes' names. It is current when it has the store's generation (volume_generation), and good enough
 * for whoever began to ask before it was read: then an absent name is absent. Otherwise the thread `names` reads them
 * again, and whoever needs certainty waits for it; whoever finds its name need not wait long. Before the store is open
 * the copy is what STORE/catalog.json says, and never certain; once sealed it is the last word.
 *
 * The threads read the store with no lock of ours held: `lock` is only ever held for a look. `names` also reads the
 * state of volumes that were asked for; `sizes` counts what these take, which can last, at most every SIZES_AGE_NS. */
#include "docker/catalog.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"

#define FILE_NAME "catalog.json"
#define FILE_MAX (256 * 1024 * 1024)
#define NS_PER_S INT64_C(1000000000)
#define FRESH_WAIT_NS (NS_PER_S / 4)      /* for the newest state, when an older one is there */
#define CERTAIN_WAIT_NS (50 * NS_PER_S)   /* for certainty; the engine gives up after 60 s */
#define POLL_NS (NS_PER_S / 5)
#define AGAIN_NS NS_PER_S /* between tries to read names that cannot be read */
#define SIZES_AGE_NS (60 * NS_PER_S)
#define SIZES_EFFORT 20 /* at most 1/20 of the time is spent on counting one volume */

struct entry {
	struct catalog_entry public;
	bool state_wanted, sizes_wanted;
	int64_t sizes_next; /* CLOCK_MONOTONIC: not before */
};

struct catalog {
	pthread_mutex_t lock; /* covers all that follows but dirfd */
	pthread_cond_t changed; /* CLOCK_MONOTONIC; anything changed that somebody may wait for */
	int dirfd;
	struct store *store; /* NULL: not open, or not any more */
	uint64_t generation; /* that the names are of; 0: of no store that is open */
	int64_t read_begun;  /* CLOCK_MONOTONIC: the names are as they were at some time after this */
	int64_t read_next;   /* CLOCK_MONOTONIC: not before; 0 when the last reading succeeded */
	struct entry *v;     /* by name */
	size_t n;
	_Atomic bool stopping; /* the threads end */
	bool sealed, ended;    /* nothing changes any more; nobody waits any more */
	bool names_running, sizes_running;
	pthread_t names_thread, sizes_thread;
};

static int64_t now(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void wait_until(struct catalog *c, int64_t mono_ns)
{
	const struct timespec t = {.tv_sec = mono_ns / NS_PER_S, .tv_nsec = mono_ns % NS_PER_S};

	(void)pthread_cond_timedwait(&c->changed, &c->lock, &t);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->public.volume.name, ((const struct entry *)b)->public.volume.name);
}

static struct entry *find(struct catalog *c, const char *name)
{
	size_t low = 0, high = c->n;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = strcmp(name, c->v[mid].public.volume.name);

		if (!order)
			return &c->v[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

/* --- the file --- */

static int parse(struct catalog *c, const char *text, size_t len)
{
	json_auto_t *list = json_loadb(text, len, 0, NULL);
	json_t *one;
	size_t i;

	if (!json_is_array(list))
		return -ECORRUPT;
	c->v = calloc(json_array_size(list) + 1, sizeof *c->v);
	if (!c->v)
		return -ENOMEM;
	json_array_foreach(list, i, one) {
		struct volume_brief *v = &c->v[c->n].public.volume;
		const char *name;
		json_int_t id, created;
		int tmpfs;

		if (json_unpack(one, "{s:I,s:s,s:I,s:b}", "id", &id, "name", &name, "created", &created, "tmpfs",
				&tmpfs) ||
		    volume_name_check("volume", name, NULL))
			return -ECORRUPT;
		*v = (struct volume_brief){.id = id, .created = created, .tmpfs = tmpfs};
		(void)snprintf(v->name, sizeof v->name, "%s", name);
		c->n++;
	}
	qsort(c->v, c->n, sizeof *c->v, by_name);
	return 0;
}

/* What cannot be read is as good as absent: nothing is lost but quick answers. */
static void load(struct catalog *c)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	int r = io_read_file(c->dirfd, FILE_NAME, FILE_MAX, &text, &len);

	if (!r)
		r = parse(c, text, len);
	if (r && r != -ENOENT)
		log_warn("%s is left alone until the store is open: %s", FILE_NAME, err_name(-r));
	if (r)
		c->n = 0;
}

static void save(struct catalog *c, const struct volume_brief *v, size_t n)
{
	json_auto_t *list = json_array();
	AUTO_FREE char *text = NULL;
	size_t i;
	int r = list ? 0 : -ENOMEM;

	for (i = 0; i < n && !r; i++)
		r = json_array_append_new(list, json_pack("{s:I,s:s,s:I,s:b}", "id", (json_int_t)v[i].id, "name",
							  v[i].name, "created", (json_int_t)v[i].created, "tmpfs", v[i].tmpfs));
	text = r ? NULL : json_dumps(list, JSON_COMPACT);
	r = text ? io_replace_file(c->dirfd, FILE_NAME, text, strlen(text), 0600) : -ENOMEM;
	if (r)
		log_warn("%s cannot be written: %s", FILE_NAME, err_name(-r));
}

/* --- the threads --- */

/* The new names, with what was known of those that stay. */
static int take_names(struct catalog *c, const struct volume_brief *list, size_t n, uint64_t generation, int64_t begun)
{
	struct entry *v = calloc(n + 1, sizeof *v);
	size_t i;

	if (!v)
		return -ENOMEM;
	LOCK_SCOPE(&c->lock);
	for (i = 0; i < n; i++) {
		const struct entry *old = find(c, list[i].name);

		if (old && old->public.volume.id == list[i].id)
			v[i] = *old;
		v[i].public.volume = list[i];
	}
	qsort(v, n, sizeof *v, by_name);
	free(c->v);
	c->v = v;
	c->n = n;
	c->generation = generation;
	c->read_begun = begun;
	c->read_next = 0;
	(void)pthread_cond_broadcast(&c->changed);
	return 0;
}

static bool same_names(struct catalog *c, const struct volume_brief *list, size_t n)
{
	size_t i;

	LOCK_SCOPE(&c->lock);
	if (n != c->n)
		return false;
	for (i = 0; i < n; i++) {
		const struct entry *e = find(c, list[i].name);

		if (!e || e->public.volume.id != list[i].id)
			return false;
	}
	return true;
}

/* Said once, not with each try. */
static void note_failure(struct catalog *c, const char *why)
{
	LOCK_SCOPE(&c->lock);
	if (!c->read_next)
		log_begins(LOG_LEVEL_WARN, "%s", why);
	c->read_next = now(CLOCK_MONOTONIC) + AGAIN_NS;
}

static void read_names(struct catalog *c)
{
	AUTO_FREE struct volume_brief *list = NULL;
	uint64_t generation = volume_generation(c->store);
	int64_t begun = now(CLOCK_MONOTONIC);
	struct err err = {0};
	bool same;
	size_t n = 0;

	if (volume_briefs(c->store, &list, &n, &err)) {
		note_failure(c, err.text);
		return;
	}
	same = same_names(c, list, n);
	if (!take_names(c, list, n, generation, begun) && !same)
		save(c, list, n);
}

/* A name whose state is wanted; false when there is none. */
static bool next_state(struct catalog *c, char name[VOLUME_NAME_MAX + 1])
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		if (!c->v[i].state_wanted)
			continue;
		c->v[i].state_wanted = false;
		(void)snprintf(name, VOLUME_NAME_MAX + 1, "%s", c->v[i].public.volume.name);
		return true;
	}
	return false;
}

static void read_state(struct catalog *c, const char *name)
{
	int64_t at = now(CLOCK_REALTIME);
	struct volume_info info;
	struct entry *e;

	if (volume_get(c->store, name, &info, NULL))
		return; /* gone, which its absence from the names will say */
	LOCK_SCOPE(&c->lock);
	e = find(c, name);
	if (!e || e->public.volume.id != info.id)
		return;
	e->public.info = info;
	e->public.info_at = at;
	(void)pthread_cond_broadcast(&c->changed);
}

static void *names_main(void *arg)
{
	struct catalog *c = arg;
	char name[VOLUME_NAME_MAX + 1];

	(void)pthread_mutex_lock(&c->lock);
	while (!c->stopping) {
		bool stale = c->generation != volume_generation(c->store) && c->read_next <= now(CLOCK_MONOTONIC);
		bool wanted = !stale && next_state(c, name);

		if (!stale && !wanted) {
			wait_until(c, now(CLOCK_MONOTONIC) + POLL_NS);
			continue;
		}
		(void)pthread_mutex_unlock(&c->lock);
		if (stale)
			read_names(c);
		else
			read_state(c, name);
		(void)pthread_mutex_lock(&c->lock);
	}
	(void)pthread_mutex_unlock(&c->lock);
	return NULL;
}

static int64_t next_sizes(struct catalog *c)
{
	int64_t mono = now(CLOCK_MONOTONIC);
	size_t i;

	for (i = 0; i < c->n; i++) {
		if (!c->v[i].sizes_wanted || c->v[i].sizes_next > mono)
			continue;
		c->v[i].sizes_wanted = false;
		return c->v[i].public.volume.id;
	}
	return 0;
}

static void read_sizes(struct catalog *c, int64_t volume)
{
	int64_t begun = now(CLOCK_MONOTONIC), took;
	struct volume_sizes sizes;
	int r = volume_sizes(c->store, volume, &c->stopping, &sizes);
	size_t i;

	took = now(CLOCK_MONOTONIC) - begun;
	LOCK_SCOPE(&c->lock);
	for (i = 0; i < c->n && c->v[i].public.volume.id != volume; i++)
		;
	if (i == c->n)
		return;
	c->v[i].sizes_next = begun + took * SIZES_EFFORT;
	if (r == -EAGAIN) {
		c->v[i].sizes_wanted = true;
	} else if (!r) {
		c->v[i].sizes_next += SIZES_AGE_NS;
		c->v[i].public.sizes = sizes;
		c->v[i].public.sizes_at = now(CLOCK_REALTIME);
	}
}

static void *sizes_main(void *arg)
{
	struct catalog *c = arg;
	int64_t volume;

	(void)pthread_mutex_lock(&c->lock);
	while (!c->stopping) {
		volume = next_sizes(c);
		if (!volume) {
			wait_until(c, now(CLOCK_MONOTONIC) + NS_PER_S);
			continue;
		}
		(void)pthread_mutex_unlock(&c->lock);
		read_sizes(c, volume);
		(void)pthread_mutex_lock(&c->lock);
	}
	(void)pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* --- what others call --- */

int catalog_new(const char *store_dir, struct catalog **ret, struct err *err)
{
	struct catalog *c = calloc(1, sizeof *c);
	pthread_condattr_t attributes;

	if (!c)
		return err_set(err, ENOMEM, "out of memory");
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&c->changed, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	c->dirfd = open(store_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->dirfd >= 0)
		load(c); /* what is wrong with the folder is the store's to say */
	*ret = c;
	return 0;
}

int catalog_attach(struct catalog *c, struct store *store, struct err *err)
{
	int r;

	{
		LOCK_SCOPE(&c->lock);
		c->store = store;
	}
	r = pthread_create(&c->names_thread, NULL, names_main, c);
	c->names_running = !r;
	if (!r) {
		r = pthread_create(&c->sizes_thread, NULL, sizes_main, c);
		c->sizes_running = !r;
	}
	return r ? err_set(err, r, "the volume plugin: no thread: %s", err_name(r)) : 0;
}

static void stop_threads(struct catalog *c)
{
	{
		LOCK_SCOPE(&c->lock);
		c->stopping = true;
		(void)pthread_cond_broadcast(&c->changed);
	}
	if (c->names_running)
		(void)pthread_join(c->names_thread, NULL);
	if (c->sizes_running)
		(void)pthread_join(c->sizes_thread, NULL);
	c->names_running = c->sizes_running = false;
}

void catalog_seal(struct catalog *c)
{
	stop_threads(c);
	if (!c->store)
		return;
	read_names(c);
	LOCK_SCOPE(&c->lock);
	c->sealed = c->generation == volume_generation(c->store);
	c->store = NULL;
	(void)pthread_cond_broadcast(&c->changed);
}

void catalog_stop(struct catalog *c)
{
	{
		LOCK_SCOPE(&c->lock);
		c->ended = true;
	}
	stop_threads(c);
	LOCK_SCOPE(&c->lock);
	c->store = NULL;
}

void catalog_free(struct catalog *c)
{
	if (!c)
		return;
	catalog_stop(c);
	if (c->dirfd >= 0)
		(void)close(c->dirfd);
	(void)pthread_cond_destroy(&c->changed);
	(void)pthread_mutex_destroy(&c->lock);
	free(c->v);
	free(c);
}

/* For whoever began to ask at `begun`. */
static bool is_current(const struct catalog *c, int64_t begun)
{
	return c->sealed || (c->store && (c->read_begun >= begun || c->generation == volume_generation(c->store)));
}

/* Waits for the names to be current: until then (CLOCK_MONOTONIC), or only as long as the name is not among them. */
static void wait_current(struct catalog *c, const char *name, int64_t begun)
{
	while (!is_current(c, begun) && !c->ended) {
		/* before the store is open nothing will change soon */
		int64_t most = !find(c, name) ? CERTAIN_WAIT_NS : c->store ? FRESH_WAIT_NS : 0;

		if (now(CLOCK_MONOTONIC) >= begun + most)
			return;
		(void)pthread_cond_broadcast(&c->changed); /* wakes `names` */
		wait_until(c, begun + most);
	}
}

int catalog_get(struct catalog *c, const char *name, bool want_state, struct catalog_entry *ret)
{
	int64_t begun = now(CLOCK_MONOTONIC), asked_at = now(CLOCK_REALTIME);
	struct entry *e;

	LOCK_SCOPE(&c->lock);
	wait_current(c, name, begun);
	e = find(c, name);
	if (!e)
		return is_current(c, begun) ? -ENOENT : -EAGAIN;
	if (want_state && c->store) {
		e->state_wanted = e->sizes_wanted = true;
		(void)pthread_cond_broadcast(&c->changed);
		while (e && e->public.info_at < asked_at && c->store && !c->ended &&
		       now(CLOCK_MONOTONIC) < begun + 2 * FRESH_WAIT_NS) {
			wait_until(c, begun + 2 * FRESH_WAIT_NS);
			e = find(c, name);
		}
	}
	if (!e)
		return -ENOENT;
	*ret = e->public;
	return 0;
}

int catalog_list(struct catalog *c, struct volume_brief **ret, size_t *ret_n)
{
	int64_t begun = now(CLOCK_MONOTONIC);
	struct volume_brief *list;
	size_t i;

	LOCK_SCOPE(&c->lock);
	while (c->store && !is_current(c, begun) && !c->ended && now(CLOCK_MONOTONIC) < begun + FRESH_WAIT_NS) {
		(void)pthread_cond_broadcast(&c->changed);
		wait_until(c, begun + FRESH_WAIT_NS);
	}
	list = calloc(c->n + 1, sizeof *list);
	if (!list)
		return -ENOMEM;
	for (i = 0; i < c->n; i++)
		list[i] = c->v[i].public.volume;
	*ret = list;
	*ret_n = c->n;
	return 0;
}
