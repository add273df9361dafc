/* Background work, in slices that let others have the lock: rows of removed files and dropped views, deep lineages, dead chunks, packs
 * that are worth compacting (compact.c).
 *
 * A dead chunk's way out (DESIGN section 5): collect moves it to the free list, under drain_lock, so that no drain that found it by
 * hash is still on its way to refer to it; once the transaction that did so is durable and every read begun before has ended, its
 * record is punched, or the whole pack removed when nothing in it lives; then the free row goes. */
#include <time.h>

#include "store/volume/store_internal.h"

#define PUNCH_ROWS 256
#define IDLE_MS 1000

_Static_assert(CHUNK_RECORD_HEADER_LEN == PACK_RECORD_HEADER_LEN, "store/meta counts record headers");

/* The statements of reaping and flattening see the tables only, so that all changed rows go there first: not all at once. */
static int settle_for(struct store *s, bool is_wanted)
{
	return is_wanted ? rows_settle(s) : 0;
}

static bool has_reap_task(struct store *s)
{
	struct reap_task task;

	LOCK_SCOPE(&s->lock);
	return reap_first(s->meta, &task) == 0;
}

static int purge_step(struct store *s, bool *ret_more)
{
	struct reap_task task;
	unsigned rows = 0;
	struct tx tx;
	int ret = settle_for(s, has_reap_task(s));

	if (!ret)
		ret = tx_begin(s, NULL, 0, 0, &tx);
	if (ret)
		return ret;
	ret = extent_purge_slice(s->meta, SLICE_ROWS, &rows);
	if (!ret && !rows) {
		ret = reap_first(s->meta, &task);
		if (ret > 0) {
			ret = 0;
		} else if (!ret) {
			ret = reap_slice(s->meta, &task, SLICE_ROWS, &rows);
			*ret_more = true;
		}
	}
	if (rows)
		*ret_more = true;
	stats_add(&s->stats.reaped_rows, rows);
	return tx_end(&tx, ret);
}

static int find_deep(void *arg, struct branch *b)
{
	struct branch **found = arg;

	/* the shallowest of the deep: what descends from it gets shallower with it */
	if (branch_depth(b) >= LINEAGE_FLATTEN_DEPTH && (!*found || branch_depth(b) < branch_depth(*found)))
		*found = b;
	return 0;
}

static int flatten_step(struct store *s, bool *ret_more)
{
	struct branch *b = NULL;
	bool done = false;
	struct tx tx;
	int ret = settle_for(s, s->flatten_branch != 0);

	if (!ret)
		ret = tx_begin(s, NULL, 0, 0, &tx);
	if (ret)
		return ret;
	if (s->flatten_branch)
		b = branch_get(s->meta, s->flatten_branch);
	if (!b || b->dead || !b->parent) {
		b = NULL;
		s->flatten_cursor = (struct flatten_cursor){0};
		ret = branch_each(s->meta, find_deep, &b);
		s->flatten_branch = b ? b->id : 0;
	}
	if (!ret && b) {
		*ret_more = true;
		ret = flatten_slice(s->meta, b, &s->flatten_cursor, SLICE_ROWS, &done);
	}
	ret = tx_end(&tx, ret);
	if (done || ret)
		s->flatten_branch = 0;
	return ret;
}

/* drain_lock held. */
static int collect_step(struct store *s, bool *ret_more)
{
	unsigned n = 0;
	struct tx tx;
	int ret = tx_begin(s, NULL, TX_DRAIN, 0, &tx);

	if (ret)
		return ret;
	ret = chunk_collect(s->meta, INT64_MAX, SLICE_ROWS, &n);
	ret = tx_end_locked(&tx, ret, NULL, 0, NULL);
	if (!ret && n) {
		s->collected_seq = ring_head_seq(s->ring) - 1;
		*ret_more = true;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return ret;
}

/* Waits until every read begun before has ended. */
static void wait_for_readers(struct store *s)
{
	const struct timespec nap = {0, 500000};
	unsigned old;

	(void)pthread_mutex_lock(&s->lock);
	old = atomic_load(&s->gate);
	atomic_store(&s->gate, 1 - old);
	(void)pthread_mutex_unlock(&s->lock);
	while (atomic_load(&s->gate_readers[old]))
		(void)nanosleep(&nap, NULL);
}

struct free_list {
	struct free_row v[PUNCH_ROWS];
	size_t n;
	bool whole_pack; /* nothing lives in that pack, and every free row of it is here */
};

/* The next free rows of one pack after `pack`:`off` that is not being appended to. */
static int next_free(struct store *s, uint32_t pack, uint32_t off, struct free_list *list)
{
	struct free_row row = {.pack = pack, .off = off};
	struct pack_usage usage;
	int ret;

	list->n = 0;
	LOCK_SCOPE(&s->lock);
	while (!(ret = free_next(s->meta, row.pack, row.off, &row))) {
		if (pack_is_busy(s, row.pack)) {
			row.off = UINT32_MAX;
			continue;
		}
		if (list->n && (row.pack != list->v[0].pack || list->n == PUNCH_ROWS))
			break;
		list->v[list->n++] = row;
	}
	if (ret < 0 || !list->n)
		return ret < 0 ? ret : 0;
	ret = pack_usage(s->meta, list->v[0].pack, &usage);
	list->whole_pack = !usage.live_chunks && list->v[0].pack != pack && !(list->n == PUNCH_ROWS && row.pack == list->v[0].pack);
	return ret;
}

/* Everything dead around the rows from *i on that are adjacent: what died before may share a block with what died now. drain_lock held. */
static int dead_range(struct store *s, const struct free_list *list, size_t *i, uint64_t *ret_off, uint64_t *ret_end)
{
	uint32_t pack = list->v[0].pack;
	uint64_t off = list->v[*i].off, end = off + list->v[*i].len;
	int ret;

	{
		LOCK_SCOPE(&s->lock);
		ret = pack_widen(s->meta, pack, &off, &end);
	}
	while (++*i < list->n && list->v[*i].off < end)
		;
	*ret_off = off;
	*ret_end = end;
	return ret;
}

static int punch_rows(struct store *s, const struct free_list *list)
{
	uint32_t pack = list->v[0].pack;
	uint64_t off, end;
	int ret = 0;

	if (list->whole_pack)
		return chunk_store_remove_pack(s->chunks, pack);
	for (size_t i = 0; i < list->n && !ret;) {
		ret = dead_range(s, list, &i, &off, &end);
		if (ret == -ECORRUPT) {
			log_error("metadata: a record on the free list of pack %08x is not free", pack);
			ret = 0;
		} else if (!ret) {
			ret = chunk_store_punch(s->chunks, pack, off, end);
		}
		if (ret == -EOPNOTSUPP)
			ret = 0; /* the space comes back when the pack is compacted */
	}
	return ret;
}

static int delete_rows(struct store *s, const struct free_list *list)
{
	struct tx tx;
	size_t i;
	int ret = tx_begin(s, NULL, TX_DRAIN, 0, &tx);

	if (ret)
		return ret;
	for (i = 0; i < list->n && !ret; i++)
		ret = free_delete(s->meta, list->v[i].pack, list->v[i].off);
	return tx_end(&tx, ret);
}

/* drain_lock held. */
static int punch_step(struct store *s, bool *ret_more)
{
	AUTO_FREE struct free_list *list = malloc(sizeof *list);
	uint32_t pack = 0;
	int ret;

	if (!list)
		return -ENOMEM;
	ret = next_free(s, 0, 0, list);
	if (ret || !list->n)
		return ret;
	if (s->rows_durable < s->collected_seq) {
		ret = commit_with_drain_lock(s);
		/* on a full disk rows alone may have been committed: enough for this, which makes room */
		if (ret && s->rows_durable < s->collected_seq)
			return ret;
	}
	wait_for_readers(s);
	s->compaction.look = true;
	while (list->n && !ret) {
		pack = list->v[0].pack;
		ret = punch_rows(s, list);
		if (!ret)
			ret = delete_rows(s, list);
		if (!ret && pack == list->v[0].pack)
			ret = next_free(s, 0, 0, list);
		*ret_more = true;
	}
	return ret;
}

static int dead_chunks_step(struct store *s, bool *ret_more)
{
	LOCK_SCOPE(&s->drain_lock);
	int ret = collect_step(s, ret_more);

	/* punch when there is nothing more to collect, so that neighbours go as one range */
	return ret || *ret_more ? ret : punch_step(s, ret_more);
}

static int checkpoint_step(struct store *s)
{
	if (meta_wal_size(s->meta) <= s->wal_size_max / 4)
		return 0;
	LOCK_SCOPE(&s->drain_lock); /* commits checkpoint too, and only one may at a time */
	return meta_checkpoint(s->meta);
}

int store_maintain(struct store *s, bool *ret_more)
{
	bool more = false;
	int ret;

	if (s->flags & STORE_READONLY) {
		*ret_more = false;
		return 0;
	}
	LOCK_SCOPE(&s->maintain_lock);
	ret = purge_step(s, &more);
	if (!ret && !more)
		ret = flatten_step(s, &more);
	/* what a pack's chunks leave behind goes when they all have moved */
	if (!ret && !more && !s->compaction.pack)
		ret = dead_chunks_step(s, &more);
	if (!ret && !more)
		ret = compact_step(s, &more);
	if (!ret && !more)
		ret = checkpoint_step(s);
	if (!ret && !more)
		ret = trash_step(s, &more);
	*ret_more = more;
	return ret;
}

void maintain_kick(struct store *s)
{
	LOCK_SCOPE(&s->thread_lock);

	s->maintain_wanted = true;
	(void)pthread_cond_signal(&s->maintain_cond);
}

static void work_until_done(struct store *s)
{
	const struct timespec pause = {0, 1000000};
	bool more = true, stop = false;
	int ret = 0;

	while (more && !ret && !stop) {
		ret = store_maintain(s, &more);
		/* others first: this is never urgent */
		(void)nanosleep(&pause, NULL);
		(void)pthread_mutex_lock(&s->thread_lock);
		stop = s->stopping;
		(void)pthread_mutex_unlock(&s->thread_lock);
	}
	if (ret)
		log_warn("background work stopped for now: %s", err_name(-ret));
}

void *maintain_main(void *arg)
{
	struct store *s = arg;

	(void)pthread_mutex_lock(&s->thread_lock);
	while (!s->stopping) {
		struct timespec until;

		(void)clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += IDLE_MS / 1000;
		while (!s->maintain_wanted && !s->stopping)
			if (pthread_cond_timedwait(&s->maintain_cond, &s->thread_lock, &until))
				break;
		s->maintain_wanted = false;
		(void)pthread_mutex_unlock(&s->thread_lock);
		work_until_done(s);
		(void)pthread_mutex_lock(&s->thread_lock);
	}
	(void)pthread_mutex_unlock(&s->thread_lock);
	return NULL;
}
