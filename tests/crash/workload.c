#include "tests/crash/workload.h"

#include <sys/stat.h>

#include "tests/model/attribute.h"
#include "tests/model/checkup.h"
#include "tests/model/data.h"
#include "tests/model/namespace.h"
#include "tests/model/opens.h"
#include "tests/model/snapshots.h"
#include "tests/model/volumes.h"

#define DB_SIZE (256 * KIB)
#define DB_PAGE (8 * KIB)
#define WAL_SIZE (160 * KIB)
#define CONFIGS 5 /* files that are replaced by rename: "01" and the following */

static uint64_t root_of(const struct run *r, int vi)
{
	return r->state.v[vi]->tree->root;
}

/* The file of that name in a volume's root, made if there is none. 0: something else has the name. */
static uint64_t file_named(struct run *r, int vi, const char *name)
{
	unsigned word = (unsigned)words_name_index(name);
	const struct mdent *e = minode_entry(mtree_get(r->state.v[vi]->tree, root_of(r, vi)), word);

	if (!e) {
		namespace_create_at(r, vi, root_of(r, vi), word, S_IFREG);
		e = minode_entry(mtree_get(r->state.v[vi]->tree, root_of(r, vi)), word);
	}
	return S_ISREG(mtree_get(r->state.v[vi]->tree, e->ino)->mode) ? e->ino : 0;
}

/* A database: pages anywhere in a file are written over, and synced. */
static bool database(struct run *r)
{
	int vi = run_volume(r);
	unsigned n = 1 + (unsigned)rng_below(&r->rng, 4);
	uint64_t ino = file_named(r, vi, "data.db");

	if (!ino)
		return false;
	while (n--) {
		size_t len = DB_PAGE * (1 + rng_below(&r->rng, 2));

		data_write_at(r, vi, ino, (int64_t)(rng_below(&r->rng, DB_SIZE / DB_PAGE) * DB_PAGE), len, 0);
	}
	if (!rng_one_in(&r->rng, 4))
		data_fsync_of(r, vi, ino);
	return true;
}

/* Its log: appended to and synced, begun anew when it is long. */
static bool log_appended(struct run *r)
{
	int vi = run_volume(r);
	uint64_t ino = file_named(r, vi, "data.db-wal");

	if (!ino)
		return false;
	data_write_at(r, vi, ino, 0, 1 + rng_below(&r->rng, 24 * KIB), FILE_WRITE_APPEND);
	if (!rng_one_in(&r->rng, 4))
		data_fsync_of(r, vi, ino);
	if (mtree_get(r->state.v[vi]->tree, ino)->size > (int64_t)WAL_SIZE)
		namespace_remove_at(r, vi, root_of(r, vi), (unsigned)words_name_index("data.db-wal"));
	return true;
}

/* A program saves a file: written under another name, perhaps synced, renamed over the old one, perhaps the folder synced. */
static bool replace(struct run *r)
{
	int vi = run_volume(r);
	unsigned target = (unsigned)words_name_index("01") + (unsigned)rng_below(&r->rng, CONFIGS);
	unsigned pieces = 1 + (unsigned)rng_below(&r->rng, 3);
	uint64_t ino = file_named(r, vi, "z");

	if (!ino)
		return false;
	while (pieces--)
		data_write_at(r, vi, ino, 0, 1 + rng_below(&r->rng, rng_one_in(&r->rng, 6) ? 100 * KIB : 12 * KIB), FILE_WRITE_APPEND);
	if (rng_one_in(&r->rng, 2))
		data_fsync_of(r, vi, ino);
	namespace_rename_at(r, vi, root_of(r, vi), (unsigned)words_name_index("z"), target);
	if (rng_one_in(&r->rng, 3)) {
		run_log(r, "sync of metadata");
		run_want(r, "file_sync_meta", file_sync_meta(r->store), 0);
		run_synced_file(r, 0, 0);
	}
	return true;
}

static bool small_files(struct run *r)
{
	int vi = run_volume(r);
	unsigned n = 1 + (unsigned)rng_below(&r->rng, 8);

	while (n--) {
		const struct mtree *t = r->state.v[vi]->tree;
		const struct minode *dir = run_pick(r, t, PICK_DIR);
		unsigned name = run_name(r);

		if (t->n >= RUN_INODES_MAX / 2)
			return false;
		if (minode_entry(dir, name))
			continue;
		namespace_create_at(r, vi, dir->ino, name, S_IFREG);
		data_write_at(r, vi, r->last_ino, 0, 1 + rng_below(&r->rng, 3000), 0);
	}
	return true;
}

static bool commit(struct run *r)
{
	run_log(r, "commit");
	run_want(r, "store_commit", store_commit(r->store), 0);
	run_synced(r);
	return true;
}

static bool maintain(struct run *r)
{
	if (rng_one_in(&r->rng, 3))
		checkup_maintain_all(r);
	return checkup_maintain(r);
}

static const struct kind {
	bool (*fn)(struct run *r);
	unsigned weight;
} kinds[WORKLOAD_KINDS] = {
	{database, 80},	       {log_appended, 50},     {replace, 60},	       {small_files, 20},
	{maintain, 40},	       {commit, 12},	       {namespace_unlink, 24}, {namespace_rename, 12},
	{namespace_create, 8}, {namespace_rmdir, 4},   {namespace_link, 4},    {attribute_set, 4},
	{attribute_truncate, 8}, {attribute_xattr_set, 4}, {data_write, 12},    {data_fallocate, 6},
	{data_copy, 6},	       {data_fsync, 12},       {opens_forget, 12},     {snapshots_create, 10},
	{snapshots_remove, 10}, {snapshots_rollback, 3}, {volumes_clone, 3},   {volumes_remove, 2},
};

void workload_init(struct workload *w, struct rng *rng)
{
	w->sum = 0;
	for (int i = 0; i < WORKLOAD_KINDS; i++) {
		w->weights[i] = kinds[i].weight << rng_below(rng, 3);
		w->sum += w->weights[i];
	}
}

void workload_step(const struct workload *w, struct run *r)
{
	bool done = false;

	r->op++;
	while (!done) {
		unsigned pick = (unsigned)rng_below(&r->rng, w->sum);
		int i = 0;

		while (!r->state.n)
			(void)volumes_create(r);
		for (; pick >= w->weights[i]; i++)
			pick -= w->weights[i];
		done = kinds[i].fn(r);
	}
}
