/* The cut: an instant that divides what was written before from what comes after (DESIGN section 6, item 5).
 *
 * Drain in the open until little is buffered; then take the store lock and keep it, which holds every operation back, while the
 * rest is drained without a flush and `fn` ends the epoch; then let go, flush the chunks of that rest, and commit. Between letting go
 * and that flush no fsync may journal the new rows: rows_unsynced makes them wait. When that flush fails, the chunks are stored again,
 * if need be at the next commit: their bytes are in the ring until then. */
#include "store/volume/store_internal.h"

#define CUT_BUFFERED_MAX (128 * KIB)
#define CUT_ROUNDS 6

/* drain_lock held. */
static int drain_open(struct store *s)
{
	struct drain *d;
	int round, ret = 0;

	for (round = 0; round < CUT_ROUNDS && !ret; round++) {
		(void)pthread_mutex_lock(&s->lock);
		d = NULL;
		if (buffered_bytes(s) > (int64_t)CUT_BUFFERED_MAX)
			ret = drain_seal(s, NULL, &d);
		(void)pthread_mutex_unlock(&s->lock);
		if (!d)
			break;
		ret = drain_run(s, d);
	}
	return ret;
}

static int cut(struct store *s, int (*fn)(struct tx *tx, void *arg), void *arg)
{
	struct drain *d = NULL;
	struct tx tx;
	int ret = drain_seal(s, NULL, &d);

	if (!ret && d)
		ret = drain_run_held(s, d);
	if (!ret)
		ret = tx_begin(s, NULL, TX_LOCKED, 0, &tx);
	if (!ret)
		ret = tx_end(&tx, fn(&tx, arg));
	numbers_changed(s);
	return ret;
}

/* TX_DRAIN: nothing may wait for a commit under drain_lock. */
static void after_cut(struct store *s, int (*after)(struct tx *tx, void *arg), void *arg)
{
	struct tx tx;
	int ret;

	(void)pthread_mutex_lock(&s->lock);
	ret = tx_begin(s, NULL, TX_LOCKED | TX_DRAIN, 0, &tx);
	if (!ret)
		ret = tx_end(&tx, after(&tx, arg));
	numbers_changed(s);
	(void)pthread_mutex_unlock(&s->lock);
	if (ret)
		log_warn("old automatic snapshots stay until the next one is made: %s", err_name(-ret));
}

int instant_run(struct store *s, int (*fn)(struct tx *tx, void *arg), int (*after)(struct tx *tx, void *arg), void *arg,
		struct cut_times *times)
{
	uint64_t start = mono_us(), held, let_go;
	int ret, sync_ret = 0;

	LOCK_SCOPE(&s->instant_lock);
	LOCK_SCOPE(&s->drain_lock);
	if (s->flags & STORE_READONLY)
		return -EROFS;
	ret = drain_settle_cut(s);
	if (!ret)
		ret = drain_open(s);
	if (ret)
		return ret;
	(void)pthread_mutex_lock(&s->lock);
	held = mono_us();
	ret = cut(s, fn, arg);
	let_go = mono_us();
	(void)pthread_mutex_unlock(&s->lock);

	sync_ret = drain_settle_cut(s);
	if (!ret && !sync_ret && after)
		after_cut(s, after, arg);
	if (!ret)
		ret = sync_ret ? sync_ret : commit_with_drain_lock(s);
	*times = (struct cut_times){held - start, let_go - held, mono_us() - let_go};
	return ret;
}
