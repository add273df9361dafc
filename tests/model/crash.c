#include "tests/model/crash.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "tests/model/checkup.h"
#include "tests/model/compare.h"
#include "tests/model/lists.h"
#include "tests/model/opens.h"
#include "tests/model/survive.h"

void crash_open(struct run *r, int ring_fd)
{
	static const size_t ring_sizes[] = {RING_SIZE_MIN, RING_SIZE_MIN, 16 * MIB, 0};
	struct store_options opts = r->store_options;
	struct err err = {0};

	opts.flags |= ring_fd >= 0 ? STORE_KEEP_ORPHANS : 0;
	opts.ring_fd = ring_fd;
	opts.ring_size = ring_sizes[rng_below(&r->rng, 4)];
	run_want_err(r, "store_open", store_open(r->dir, &opts, &r->store, &err), 0, &err);
}

/* Live volumes whole, snapshots one in eight. */
static void compare_after(struct run *r)
{
	r->checks++;
	lists_compare(r);
	for (size_t i = 0; i < r->state.n; i++) {
		compare_volume(r, (int)i, COMPARE_ALL);
		compare_orphans(r, (int)i);
		for (size_t j = 0; j < r->state.v[i]->nsnaps; j++)
			if (rng_one_in(&r->rng, 8))
				compare_snapshot(r, (int)i, j, COMPARE_ALL);
	}
	checkup_store(r, rng_one_in(&r->rng, 4));
}

void crash_forget(struct run *r, bool orphans)
{
	opens_drop_all(r);
	if (!orphans)
		return;
	for (size_t i = r->nold_heads; i-- > 0;)
		opens_drop_heads(r, r->old_heads[i].volume, r->old_heads[i].saved);
	for (size_t i = 0; i < r->state.n; i++)
		mtree_drop_orphans(&mstate_edit(&r->state, i)->tree);
}

bool crash_daemon(struct run *r)
{
	int fd = fcntl(store_ring_fd(r->store), F_DUPFD_CLOEXEC, 0);

	run_log(r, "the daemon dies; the next one gets the ring");
	if (fd < 0)
		run_fail(r, "the ring's descriptor cannot be duplicated");
	power_cut_off(r->power_cut);
	store_abandon(r->store);
	power_cut_on(r->power_cut);
	crash_open(r, fd);
	(void)close(fd);
	crash_forget(r, false);
	compare_after(r);
	return true;
}

/* Node id numbers that were given out but not yet durable may come again. */
static void relearn_numbers(struct run *r)
{
	r->nnumbers = 0;
	r->last_ino = 0;
	for (size_t i = 0; i < r->state.n; i++) {
		struct mvolume *v = r->state.v[i];

		run_number_new(r, v->number);
		if (v->head_number)
			run_number_new(r, v->head_number);
		if (v->tree->n && v->tree->v[v->tree->n - 1]->ino > r->last_ino)
			r->last_ino = v->tree->v[v->tree->n - 1]->ino;
		for (size_t j = 0; j < v->nsnaps; j++) {
			const struct mtree *t = v->snaps[j]->tree;

			v->snaps[j]->number = 0;
			if (t->v[t->n - 1]->ino > r->last_ino)
				r->last_ino = t->v[t->n - 1]->ino;
		}
	}
}

void crash_recover(struct run *r)
{
	crash_open(r, -1);
	survive_match(r);
	crash_forget(r, true);
	relearn_numbers(r);
	compare_after(r);
}

/* Some way of having everything on stable storage, or nothing of the kind. */
static void maybe_sync(struct run *r)
{
	switch (rng_below(&r->rng, 4)) {
	case 0:
		run_log(r, "commit");
		run_want(r, "store_commit", store_commit(r->store), 0);
		run_synced(r);
		break;
	case 1:
		run_log(r, "fsync everything");
		for (size_t i = 0; i < r->state.n; i++) {
			const struct mtree *t = r->state.v[i]->tree;

			for (size_t j = 0; j < t->n; j++) {
				if (!t->v[j]->nlink || !S_ISREG(t->v[j]->mode))
					continue;
				run_want(r, "file_fsync", file_fsync(r->store, run_node(r, (int)i, t->v[j])), 0);
				run_synced_file(r, r->state.v[i]->id, t->v[j]->ino);
			}
		}
		run_want(r, "file_sync_meta", file_sync_meta(r->store), 0);
		run_synced_file(r, 0, 0);
		break;
	default:
		break;
	}
}

bool crash_machine(struct run *r)
{
	maybe_sync(r);
	run_log(r, "the power fails");
	power_cut_off(r->power_cut);
	store_abandon(r->store);
	power_cut_lose(r->power_cut, &r->rng);
	power_cut_on(r->power_cut);
	crash_recover(r);
	return true;
}

bool crash_none(struct run *r)
{
	struct err err = {0};
	int ret;

	run_log(r, "close and open");
	ret = store_close(r->store, &err);
	r->store = NULL;
	run_want_err(r, "store_close", ret, 0, &err);
	crash_open(r, -1);
	crash_forget(r, true);
	run_synced(r);
	compare_after(r);
	return true;
}
