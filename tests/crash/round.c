#include "tests/crash/round.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/crash/disk.h"
#include "tests/crash/repeatable.h"
#include "tests/crash/trial.h"
#include "tests/model/alloc.h"
#include "tests/model/crash.h"

#define COMMIT_MS_MAX 40 /* with threads: commits meet everything */

static void set_options(struct run *r, const struct round *rd, struct rng *rng)
{
	r->store_options = (struct store_options){
		.flags = STORE_NO_THREADS,
		.journal_size = (256 * KIB) << rng_below(rng, 3),
		.pack_size = (256 * KIB) << rng_below(rng, 4),
		.compact_min = 4096,
		.compact_percent = 2,
		.wal_size = (256 * KIB) << rng_below(rng, 5),
	};
	r->verbose = rd->verbose;
	pattern_prefer_unique(r->pattern);
}

static void shell(const char *command, const char *a, const char *b)
{
	char text[600];

	(void)snprintf(text, sizeof text, "%s '%s' '%s'", command, a, b);
	if (system(text))
		abort();
}

/* A store with a volume or two, closed. */
static void make_store(struct run *r)
{
	struct err err = {0};

	run_want_err(r, "store_init", store_init(r->dir, &err), 0, &err);
	crash_open(r, -1);
	run_want_err(r, "store_close", store_close(r->store, &err), 0, &err);
}

struct syncer {
	struct store *store;
	atomic_bool stop;
	pthread_t thread;
};

/* Another program's fsyncs: they make more durable than the run knows of, at any moment of what it does. */
static void *sync_all_the_time(void *arg)
{
	struct syncer *s = arg;
	const struct timespec pause = {0, 50000};

	while (!atomic_load(&s->stop)) {
		if (file_sync_meta(s->store))
			abort();
		(void)nanosleep(&pause, NULL);
	}
	return NULL;
}

static void work(struct run *r, const struct workload *w, const struct round *rd)
{
	struct syncer syncer = {.store = r->store};

	if (rd->threads && pthread_create(&syncer.thread, NULL, sync_all_the_time, &syncer))
		abort();
	while (r->op < rd->ops)
		workload_step(w, r);
	atomic_store(&syncer.stop, true);
	if (rd->threads)
		(void)pthread_join(syncer.thread, NULL);
}

static struct timeline *record_work(struct run *r, const struct workload *w, struct round *rd, struct record_log *record)
{
	struct timeline *t = timeline_start(r, record);

	if (rd->threads) {
		r->store_options.flags = 0;
		r->store_options.commit_interval_ms = 1 + (unsigned)rng_below(&r->rng, COMMIT_MS_MAX);
	}
	crash_open(r, -1);
	work(r, w, rd);
	rd->punched = stats_get(&store_stats(r->store)->bytes_punched);
	rd->compacted = stats_get(&store_stats(r->store)->bytes_compacted);
	record_cut(record);
	store_abandon(r->store);
	record_stop(record);
	return t;
}

static uint64_t add_checksum(uint64_t sum, const struct disk_event *ev)
{
	const uint64_t parts[] = {(uint64_t)ev->op, (uint64_t)ev->file, (uint64_t)ev->off, ev->len};

	for (size_t i = 0; i < 4; i++)
		sum = (sum ^ parts[i]) * UINT64_C(0x100000001b3);
	return sum;
}

/* How many trials before and after which changes: all syncs, and random places for what is left of points_max. */
static uint8_t *choose_points(struct round *rd, struct record_log *record)
{
	size_t n = record_count(record), syncs = 0, chosen = 0;
	uint8_t *points = must_zalloc(n + 1);
	struct rng rng = {rd->seed ^ 1};

	for (size_t i = 0; i < n; i++) {
		rd->checksum = add_checksum(rd->checksum, record_event(record, i));
		syncs += record_event(record, i)->op == DISK_SYNCED;
	}
	for (size_t i = 0; i < n; i++)
		if (record_event(record, i)->op == DISK_SYNCED && rng_below(&rng, syncs) < rd->points_max) {
			points[i + 1]++;
			chosen++;
		}
	for (; chosen < rd->points_max; chosen++)
		points[rng_below(&rng, n + 1)]++;
	rd->changes = n;
	rd->syncs = syncs;
	return points;
}

static void do_again(struct round *rd, struct record_log *record, struct trial *trial)
{
	uint8_t *points = choose_points(rd, record);
	struct rng rng = {rd->seed ^ 2};

	for (size_t i = 0; i <= record_count(record); i++) {
		for (; points[i]; points[i]--) {
			trial->changes = i;
			trial->seed = rng_next(&rng);
			if (rd->one_point && rd->point != i)
				continue;
			trial_run(trial);
			rd->points++;
		}
		if (i == record_count(record))
			break;
		disk_event(trial->disk, record_event(record, i));
		disk_do(trial->disk, record_event(record, i));
	}
	rd->cuts = trial->cuts;
	free(points);
}

void round_run(struct round *rd)
{
	char live[200], copy[200];
	struct run work, after;
	struct workload workload;
	struct record_log *record;
	struct timeline *timeline;
	struct rng rng = {rd->seed};
	struct trial trial;

	repeatable_begin(rd->seed);
	(void)snprintf(live, sizeof live, "%s/live", rd->dir);
	(void)snprintf(copy, sizeof copy, "%s/after", rd->dir);
	workload_init(&workload, &rng);
	run_init(&work, rd->seed, "v");
	work.dir = live;
	set_options(&work, rd, &rng);
	make_store(&work);
	shell("cp -a", live, copy);
	record = record_start(live);
	timeline = record_work(&work, &workload, rd, record);
	shell("rm -rf", live, "");

	run_init(&after, rd->seed, "v");
	after.dir = copy;
	after.store_options = work.store_options;
	after.store_options.flags = STORE_NO_THREADS;
	after.verbose = rd->verbose;
	after.last_id = work.last_id; /* names of snapshots are not to come again */
	pattern_prefer_unique(after.pattern);
	trial = (struct trial){.disk = disk_new(copy, 0, 0), .timeline = timeline, .workload = &workload, .run = &after};
	do_again(rd, record, &trial);
	disk_free(trial.disk);
	run_free(&after);
	timeline_free(timeline);
	record_free(record);
	run_free(&work);
	shell("rm -rf", copy, "");
}
