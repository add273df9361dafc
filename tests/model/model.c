/* The model test: long random sequences of every operation on a store, compared with a plain in-memory model. See README.md. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "store/base/io.h"
#include "store/base/log.h"
#include "tests/lib/scratch.h"
#include "tests/model/alloc.h"
#include "tests/model/attribute.h"
#include "tests/model/changes.h"
#include "tests/model/checkup.h"
#include "tests/model/compare.h"
#include "tests/model/crash.h"
#include "tests/model/data.h"
#include "tests/model/listing.h"
#include "tests/model/namespace.h"
#include "tests/model/opens.h"
#include "tests/model/quotas.h"
#include "tests/model/snapshots.h"
#include "tests/model/volumes.h"

#define PARALLEL_MAX 16
#define MEMORY_FREE_MIN (4 * GIB)

static bool sync_meta(struct run *r)
{
	run_log(r, "sync of metadata");
	run_want(r, "file_sync_meta", file_sync_meta(r->store), 0);
	run_synced_file(r, 0, 0);
	return true;
}

static bool commit(struct run *r)
{
	run_log(r, "commit");
	run_want(r, "store_commit", store_commit(r->store), 0);
	run_synced(r);
	return true;
}

/* How often each operation is tried, of the sum of all. `alone`: not while others work on the store. */
static const struct operation {
	bool (*fn)(struct run *r);
	unsigned weight;
	bool alone;
} operations[] = {
	{namespace_create, 2400, false},
	{namespace_unlink, 1400, false},
	{namespace_rmdir, 500, false},
	{namespace_rename, 1500, false},
	{namespace_link, 500, false},
	{namespace_lookup, 500, false},
	{attribute_set, 1200, false},
	{attribute_truncate, 900, false},
	{attribute_xattr_set, 700, false},
	{attribute_xattr_remove, 250, false},
	{attribute_acl_set, 250, false},
	{data_write, 3500, false},
	{data_append, 900, false},
	{data_write_big, 120, false},
	{data_write_sparse, 350, false},
	{data_read, 1500, false},
	{data_fallocate, 800, false},
	{data_seek, 300, false},
	{data_copy, 800, false},
	{data_fsync, 350, false},
	{sync_meta, 60, false},
	{commit, 100, false},
	{opens_open, 400, false},
	{opens_release, 380, false},
	{opens_forget, 700, false},
	{opens_old_heads, 60, false},
	{listing_resume, 150, false},
	{volumes_create, 25, false},
	{volumes_remove, 25, false},
	{volumes_undelete, 20, false},
	{volumes_rename, 25, false},
	{volumes_set, 25, false},
	{volumes_clone, 50, false},
	{volumes_statfs, 40, false},
	{quotas_inodes, 15, false},
	{quotas_bytes, 15, false},
	{snapshots_create, 160, false},
	{snapshots_remove, 190, false},
	{snapshots_hold, 50, false},
	{snapshots_rollback, 70, false},
	{snapshots_deepen, 6, false},
	{changes_compare, 100, false},
	{compare_some, 80, false},
	{compare_refusals, 40, false},
	{checkup_maintain, 400, false},
	{checkup_collect, 15, false},
	{crash_daemon, 8, true},
	{crash_machine, 8, true},
	{crash_none, 4, true},
};

struct settings {
	uint64_t ops, seed, check_every;
	const char *dir;
	unsigned parallel;
	bool threads, verbose;
};

static void one_operation(struct run *r)
{
	unsigned sum = 0, pick;

	r->op++;
	for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
		sum += operations[i].weight;
	for (int tries = 0; tries < 20; tries++) {
		const struct operation *o = operations;

		pick = (unsigned)rng_below(&r->rng, sum);
		for (; pick >= o->weight; o++)
			pick -= o->weight;
		while (!r->state.n)
			(void)volumes_create(r);
		if ((!o->alone || r->alone) && o->fn(r))
			return;
	}
}

static void full_check(struct run *r)
{
	run_log(r, "compare everything");
	compare_everything(r);
	checkup_store(r, rng_one_in(&r->rng, 4));
}

/* Small packs, compacted for little, so that some end, and chunks move. */
static struct store_options options_of(const struct settings *set)
{
	return (struct store_options){
		.flags = set->threads ? 0 : STORE_NO_THREADS,
		.pack_size = 768 * KIB,
		.compact_min = 4096,
		.compact_percent = 2,
	};
}

/* One run that has the store for itself. */
static void run_alone(const struct settings *set, const char *dir)
{
	struct run r;

	run_init(&r, set->seed, "v");
	r.dir = dir;
	r.verbose = set->verbose;
	r.store_options = options_of(set);
	r.power_cut = power_cut_new(dir, 0, DISK_PUNCHED);
	crash_open(&r, -1);
	while (r.op < set->ops) {
		one_operation(&r);
		if (r.op % set->check_every == 0)
			full_check(&r);
	}
	full_check(&r);
	(void)crash_none(&r);
	checkup_maintain_all(&r);
	full_check(&r);
	run_want(&r, "store_close", store_close(r.store, NULL), 0);
	power_cut_free(r.power_cut);
	(void)printf("model: %" PRIu64 " operations, %" PRIu64 " checks, %" PRIu64 " views compared, seed %" PRIu64 ": ok\n", r.op, r.checks,
		     r.views, r.seed);
	run_free(&r);
}

struct worker {
	struct run run;
	pthread_t thread;
	uint64_t ops;
	char prefix[16];
};

static void *work(void *arg)
{
	struct worker *w = arg;

	for (uint64_t i = 0; i < w->ops; i++)
		one_operation(&w->run);
	return NULL;
}

/* What several runs did at once, compared while nothing goes on; then the store ends in some way and is opened again. */
static void end_round(struct worker *workers, unsigned n, const struct settings *set)
{
	struct run *first = &workers[0].run;
	bool daemon_dies = rng_one_in(&first->rng, 2);
	int fd = -1;

	for (unsigned i = 0; i < n; i++)
		compare_everything(&workers[i].run);
	checkup_store(first, true);
	if (daemon_dies) {
		fd = dup(store_ring_fd(first->store));
		store_abandon(first->store);
	} else {
		run_want(first, "store_close", store_close(first->store, NULL), 0);
	}
	first->store_options = options_of(set);
	crash_open(first, fd);
	if (fd >= 0)
		(void)close(fd);
	for (unsigned i = 0; i < n; i++) {
		struct run *r = &workers[i].run;

		r->store = first->store;
		crash_forget(r, !daemon_dies);
		run_synced(r);
		compare_everything(r);
	}
	checkup_store(first, false);
}

static void run_parallel(const struct settings *set, const char *dir)
{
	struct worker *workers = must_zalloc(set->parallel * sizeof *workers);
	uint64_t done = 0, views = 0, round = set->check_every;

	for (unsigned i = 0; i < set->parallel; i++) {
		struct worker *w = &workers[i];

		(void)snprintf(w->prefix, sizeof w->prefix, "p%u-", i);
		run_init(&w->run, set->seed + i, w->prefix);
		w->run.dir = dir;
		w->run.alone = false;
		w->run.verbose = set->verbose;
	}
	workers[0].run.store_options = options_of(set);
	crash_open(&workers[0].run, -1);
	for (; done < set->ops; done += round * set->parallel) {
		for (unsigned i = 0; i < set->parallel; i++) {
			workers[i].run.store = workers[0].run.store;
			workers[i].ops = round;
			if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
				abort();
		}
		for (unsigned i = 0; i < set->parallel; i++)
			(void)pthread_join(workers[i].thread, NULL);
		end_round(workers, set->parallel, set);
	}
	run_want(&workers[0].run, "store_close", store_close(workers[0].run.store, NULL), 0);
	for (unsigned i = 0; i < set->parallel; i++) {
		views += workers[i].run.views;
		run_free(&workers[i].run);
	}
	(void)printf("model: %" PRIu64 " operations in %u runs at once, %" PRIu64 " views compared, seed %" PRIu64 ": ok\n", done,
		     set->parallel, views, set->seed);
	free(workers);
}

static int usage(FILE *to)
{
	(void)fprintf(to, "usage: model [--ops N] [--seed S] [--check-every N] [--dir D] [--threads] [--parallel N] [--verbose]\n"
			  "  --ops N          how many operations (20000)\n"
			  "  --seed S         replays a run; by default the time\n"
			  "  --check-every N  compare every view and check the store after so many (1000 to 5000, as the run is long)\n"
			  "  --dir D          where to make the store: an empty or missing folder, kept afterwards\n"
			  "  --threads        with the store's own threads; not exactly replayable\n"
			  "  --parallel N     so many runs at once on one store, on volumes of their own\n"
			  "  --verbose        say each operation\n");
	return to == stdout ? 0 : 2;
}

static int parse(int argc, char **argv, struct settings *set)
{
	static const struct option options[] = {
		{"ops", required_argument, NULL, 'o'},	    {"seed", required_argument, NULL, 's'},
		{"check-every", required_argument, NULL, 'c'}, {"dir", required_argument, NULL, 'd'},
		{"threads", no_argument, NULL, 't'},	    {"parallel", required_argument, NULL, 'p'},
		{"verbose", no_argument, NULL, 'v'},	    {"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'o':
			set->ops = strtoull(optarg, NULL, 0);
			break;
		case 's':
			set->seed = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			set->check_every = strtoull(optarg, NULL, 0);
			break;
		case 'd':
			set->dir = optarg;
			break;
		case 't':
			set->threads = true;
			break;
		case 'p':
			set->parallel = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'v':
			set->verbose = true;
			break;
		case 'h':
			(void)usage(stdout);
			return 1;
		default:
			return usage(stderr);
		}
	}
	if (!set->check_every)
		set->check_every = set->ops < 200000 ? 1000 : set->ops < 1000000 ? set->ops / 200 : 5000;
	if (optind < argc || set->parallel > PARALLEL_MAX)
		return usage(stderr);
	return 0;
}

int main(int argc, char **argv)
{
	struct settings set = {.ops = 20000, .seed = (uint64_t)time(NULL)};
	char temporary[SCRATCH_LEN] = "";
	struct err err = {0};
	int ret = parse(argc, argv, &set);

	if (ret)
		return ret == 1 ? 0 : ret;
	log_set_level(LOG_LEVEL_WARN);
	if (!set.dir && !scratch_make("model", MEMORY_FREE_MIN, temporary)) {
		(void)fprintf(stderr, "model: no temporary folder: %s\n", strerror(errno));
		return 1;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)printf("model: %" PRIu64 " operations, seed %" PRIu64 ", store %s\n", set.ops, set.seed, set.dir ? set.dir : temporary);
	if (store_init(set.dir ? set.dir : temporary, &err)) {
		(void)fprintf(stderr, "model: %s\n", err.text);
		return 1;
	}
	if (set.parallel > 1)
		run_parallel(&set, set.dir ? set.dir : temporary);
	else
		run_alone(&set, set.dir ? set.dir : temporary);
	if (!set.dir && !scratch_remove(temporary))
		(void)fprintf(stderr, "model: %s could not be removed\n", temporary);
	return 0;
}
