#include "store/maint/gc.h"

#include "store/volume/store_internal.h"

/* The last round finds nothing; those before it, what died in the one before. Others may go on making garbage for ever. */
#define ROUNDS_MAX 4
#define STEPS_A_SHOW 32
#define OVERTIME 0.9 /* what is not known beforehand comes after this part */

struct gc {
	struct store *s;
	const struct gc_watch *watch;
	uint64_t at_first; /* dead bytes, as far as they are known */
	double shown;
};

static uint64_t dead_bytes(struct store *s)
{
	struct store_space space;

	return store_space(s, &space) ? 0 : space.pending_bytes;
}

static void show(struct gc *gc)
{
	uint64_t left = dead_bytes(gc->s);
	double part = left < gc->at_first ? OVERTIME * (double)(gc->at_first - left) / (double)gc->at_first : 0;

	gc->shown = part > gc->shown ? part : gc->shown;
	gc->watch->progress(gc->watch->arg, gc->shown);
}

static int end_packs(struct store *s)
{
	LOCK_SCOPE(&s->maintain_lock);
	return compact_end_packs(s);
}

/* *ret_any: whether there was anything to do. */
static int run_round(struct gc *gc, bool *ret_any)
{
	bool more = true;
	unsigned step = 0;
	int ret = store_commit(gc->s);

	if (!ret)
		ret = end_packs(gc->s);
	for (*ret_any = false; !ret && more; *ret_any |= more) {
		if (gc->watch->cancelled && gc->watch->cancelled(gc->watch->arg))
			return -ECANCELED;
		ret = store_maintain(gc->s, &more);
		if (gc->watch->progress && step++ % STEPS_A_SHOW == 0)
			show(gc);
	}
	return ret;
}

int gc_run(struct store *s, const struct gc_watch *watch, struct gc_result *ret_result, struct err *err)
{
	struct gc gc = {s, watch, dead_bytes(s), 0};
	const struct stats *stats = store_stats(s);
	uint64_t freed = stats_get(&stats->bytes_punched), moved = stats_get(&stats->bytes_compacted), rows = stats_get(&stats->reaped_rows);
	bool any = true;
	int ret = 0;

	for (int round = 0; round < ROUNDS_MAX && any && !ret; round++)
		ret = run_round(&gc, &any);
	if (ret == -ECANCELED)
		return err_set(err, ECANCELED, "the collection was stopped before its end");
	if (ret)
		return err_set(err, -ret, "collecting: %s", err_name(-ret));
	ret_result->freed_bytes = stats_get(&stats->bytes_punched) - freed;
	ret_result->moved_bytes = stats_get(&stats->bytes_compacted) - moved;
	ret_result->rows = stats_get(&stats->reaped_rows) - rows;
	return 0;
}
