#include "tests/crash/trial.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "tests/crash/disk.h"
#include "tests/crash/replaced.h"
#include "tests/model/alloc.h"
#include "tests/model/checkup.h"
#include "tests/model/crash.h"
#include "tests/model/opens.h"

/* The run knows nothing but what may be there. */
static void forget_all(struct run *r)
{
	struct history *h = &r->history;

	opens_drop_all(r);
	while (r->nold_heads)
		mtree_unref(r->old_heads[--r->nold_heads].tree);
	for (size_t i = 0; i < h->n; i++)
		mstate_free(&h->v[i]);
	h->n = 0;
	mstate_free(&r->state);
	r->state = (struct mstate){0};
	r->nnumbers = 0;
	r->nlog = 0;
}

/* The power fails again while the store is being opened. */
static void fail_during_open(struct trial *t)
{
	struct run *r = t->run;
	struct store_options opts = r->store_options;
	struct store *s = NULL;
	struct err err = {0};
	unsigned changes = (unsigned)rng_below(&r->rng, 80);

	opts.ring_fd = -1;
	opts.ring_size = RING_SIZE_MIN;
	run_log(r, "the power fails again after %u changes of opening the store", changes);
	power_cut_after(r->power_cut, changes);
	if (!store_open(r->dir, &opts, &s, &err)) {
		bool more = true;

		while (more && !store_maintain(s, &more))
			;
	}
	power_cut_off(r->power_cut);
	store_abandon(s);
	power_cut_lose(r->power_cut, &r->rng);
	power_cut_on(r->power_cut);
	t->cuts++;
}

/* The store is good for more than being looked at. */
static void go_on(struct trial *t)
{
	struct run *r = t->run;
	unsigned n = 1 + (unsigned)rng_below(&r->rng, 25);

	while (n--)
		workload_step(t->workload, r);
	(void)crash_machine(r);
	t->cuts++;
}

void trial_run(struct trial *t)
{
	struct run *r = t->run;
	struct possible possible;
	struct rng loss;

	forget_all(r);
	r->rng.state = t->seed;
	loss.state = rng_next(&r->rng);
	timeline_window(t->timeline, t->changes, &r->history);
	possible_copy(&possible, &r->history);
	run_log(r, "the power fails after %zu changes; %zu states are possible, the last %zu of them hold all metadata synced", t->changes,
		r->history.n, r->history.n - r->history.meta_floor);
	disk_lose(t->disk, &loss);
	t->cuts++;
	r->power_cut = power_cut_new(r->dir, 1, DISK_KEEP);
	if (rng_one_in(&r->rng, 4))
		fail_during_open(t);
	crash_recover(r);
	replaced_check(r, &possible);
	possible_free(&possible);
	checkup_store(r, true);
	if (rng_one_in(&r->rng, 8))
		go_on(t);
	power_cut_off(r->power_cut);
	store_abandon(r->store);
	power_cut_take_back(r->power_cut);
	power_cut_free(r->power_cut);
	disk_redo(t->disk);
}
