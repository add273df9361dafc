/* Commits: ring and journal folded into packs and database (DESIGN section 4).
 *
 * Seal everything buffered at record N and turn the journal to its other segment; store, sync and insert what was sealed; take
 * along the data of files that a rename put in another's place meanwhile; COMMIT with (rows up to M, data up to N); flush SQLite's
 * WAL; only then release the ring up to N and retire the journal's old segment. Rows between N and M are in the database
 * and in the ring: replay skips them by number. */
#include <assert.h>
#include <time.h>

#include "store/volume/reserve.h"
#include "store/volume/store_internal.h"

#define LATE_ROUNDS 3
#define SETTLE_ROWS 256

/* A file that a rename put in another's place and whose data is neither in extents nor in the journal. Lock held. */
static struct file *late_file(struct store *s)
{
	struct file *f;

	for (f = s->dirty; f; f = f->dirty_next)
		if (f->replaced && file_buffered(f))
			return f;
	return NULL;
}

/* A drain of data newer than the commit's seal: its records must be in the journal before the COMMIT that contains its
 * extents, or replay would put older journalled data over them. Lock held; given up meanwhile. */
static int journal_late(struct store *s)
{
	uint64_t position, ino;
	struct branch *b;
	int ret = journal_catch_up(s, NULL, &position, &b, &ino);

	if (ret)
		return ret;
	(void)pthread_mutex_unlock(&s->lock);
	ret = journal_sync(s->journal, position);
	(void)pthread_mutex_lock(&s->lock);
	return ret;
}

/* Lock held on entry and return, given up in between. When it returns 0 no late file is left. Sets held after some rounds, so
 * that it ends. */
static int drain_late(struct store *s)
{
	struct drain *d;
	struct file *f;
	int round, ret = 0;

	for (round = 0; !ret && (f = late_file(s)); round++) {
		if (round == LATE_ROUNDS)
			s->held = true;
		ret = drain_seal(s, f, &d);
		(void)pthread_mutex_unlock(&s->lock);
		if (!ret && d)
			ret = drain_run(s, d);
		(void)pthread_mutex_lock(&s->lock);
		if (ret)
			break;
		ret = journal_late(s);
		/* what does not fit there is drained by the rounds to come */
		if (ret == -EAGAIN || ret == -ENOSPC)
			ret = 0;
	}
	return ret;
}

int rows_settle(struct store *s)
{
	const struct timespec pause = {0, 50000};
	int64_t budget = INT64_MAX, left;
	int ret = 0;

	do {
		(void)pthread_mutex_lock(&s->lock);
		left = (int64_t)meta_unsettled(s->meta);
		if (budget == INT64_MAX)
			budget = left;
		if (left > SETTLE_ROWS)
			ret = meta_settle(s->meta, SETTLE_ROWS);
		if (ret && meta_lost(s->meta))
			(void)tx_reapply(s);
		(void)pthread_mutex_unlock(&s->lock);
		budget -= SETTLE_ROWS;
		/* a mutex goes to whoever asks first, and that would be this thread again */
		if (!ret && left > SETTLE_ROWS && budget > 0)
			(void)nanosleep(&pause, NULL);
	} while (!ret && left > SETTLE_ROWS && budget > 0);
	return ret;
}

/* *reset_wal is false afterwards when a reader held the WAL: it starts over another time. */
static int commit_rows(struct store *s, uint64_t through, bool *reset_wal)
{
	uint64_t start = mono_us();
	int ret = rows_ready(s);

	if (!ret)
		ret = meta_commit(s->meta, ring_head_seq(s->ring) - 1, through);
	if (!ret && *reset_wal) {
		ret = meta_reset_wal(s->meta);
		if (ret == -EBUSY) {
			*reset_wal = false;
			ret = 0;
		}
	}
	if (ret && meta_lost(s->meta))
		(void)tx_reapply(s);
	stats_add(&s->stats.commit_locked_usec, mono_us() - start);
	return ret;
}

/* There is no room for what is buffered: it stays in the ring. Rows can be committed nevertheless, and what was removed by them gives its
 * space back. Their records have to be in the journal first, as in journal_late. Lock held; given up meanwhile. */
static int rows_alone(struct store *s, uint64_t *through, bool *ret_full)
{
	uint64_t rows_seq;
	int ret = journal_late(s);

	if (ret)
		return ret == -EAGAIN ? -ENOSPC : ret;
	meta_committed(s->meta, &rows_seq, through);
	*ret_full = true;
	return 0;
}

static int commit_once(struct store *s, bool reset_wal)
{
	struct drain *d = NULL;
	uint64_t through, rows, rows_seq, data_seq, start = mono_us();
	bool full = false;
	int ret;

	ret = drain_settle_cut(s);
	if (!ret)
		ret = meta_settle_wal(s->meta);
	(void)pthread_mutex_lock(&s->lock);
	s->reapply_at = 0;
	if (!ret)
		ret = rows_ready(s);
	through = ring_head_seq(s->ring) - 1;
	meta_committed(s->meta, &rows_seq, &data_seq);
	if (!ret && ring_tail_seq(s->ring) > through && !meta_dirty(s->meta) && data_seq >= through) {
		(void)pthread_mutex_unlock(&s->lock);
		return 0;
	}
	if (!ret)
		ret = drain_seal(s, NULL, &d);
	if (!ret && journal_can_rotate(s->journal))
		ret = journal_rotate(s->journal);
	(void)pthread_mutex_unlock(&s->lock);
	if (d)
		ret = drain_run(s, d) ?: ret;
	if (!ret)
		ret = rows_settle(s);

	(void)pthread_mutex_lock(&s->lock);
	if (ret == -ENOSPC)
		ret = rows_alone(s, &through, &full);
	else if (!ret)
		ret = drain_late(s);
	if (!ret)
		ret = commit_rows(s, through, &reset_wal);
	rows = ring_head_seq(s->ring) - 1;
	s->held = false;
	(void)pthread_cond_broadcast(&s->space_cond);
	(void)pthread_mutex_unlock(&s->lock);
	if (!ret && !reset_wal)
		ret = meta_sync_wal(s->meta);
	if (!ret)
		s->rows_durable = rows;
	if (!ret && full)
		ret = -ENOSPC;

	(void)pthread_mutex_lock(&s->lock);
	if (!ret) {
		if (s->journal_pos.seq <= through)
			s->journal_pos = (struct ring_pos){.seq = through + 1};
		ring_release(s->ring, through + 1);
		journal_retire(s->journal, through);
		stats_add(&s->stats.commits, 1);
		stats_add(&s->stats.commit_usec, mono_us() - start);
	}
	s->commit_error = ret;
	(void)pthread_cond_broadcast(&s->space_cond);
	(void)pthread_mutex_unlock(&s->lock);
	if (ret)
		log_error("commit failed: %s", err_name(-ret));
	return ret;
}

int commit_with_drain_lock(struct store *s)
{
	bool reset = meta_wal_size(s->meta) > s->wal_size_max;
	int ret = commit_once(s, false);

	if (ret == -ENOSPC && reserve_give(s)) {
		log_warn("the host filesystem is full: using the space that was kept for this");
		ret = commit_once(s, false);
	}
	if (!ret)
		reserve_take(s);
	if (ret || !reset)
		return ret;
	/* move what is in the WAL into the database unlocked, so that the reset under the lock has little left to do */
	ret = meta_checkpoint(s->meta);
	return ret ? ret : commit_once(s, true);
}

int store_commit(struct store *s)
{
	LOCK_SCOPE(&s->drain_lock);

	return commit_with_drain_lock(s);
}

void commit_kick(struct store *s)
{
	LOCK_SCOPE(&s->thread_lock);

	if (s->commit_wanted)
		return;
	s->commit_wanted = true;
	(void)pthread_cond_signal(&s->commit_cond);
}

void *commit_main(void *arg)
{
	struct store *s = arg;

	(void)pthread_mutex_lock(&s->thread_lock);
	while (!s->stopping) {
		struct timespec until;

		(void)clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += s->commit_interval_ms / 1000;
		until.tv_nsec += s->commit_interval_ms % 1000 * 1000000L;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_nsec -= 1000000000L;
			until.tv_sec++;
		}
		while (!s->commit_wanted && !s->stopping)
			if (pthread_cond_timedwait(&s->commit_cond, &s->thread_lock, &until))
				break;
		s->commit_wanted = false;
		(void)pthread_mutex_unlock(&s->thread_lock);
		/* a failure is kept in commit_error and logged; a full disk may have room again by the next try */
		if (store_commit(s))
			(void)usleep(200000);
		(void)pthread_mutex_lock(&s->thread_lock);
	}
	(void)pthread_mutex_unlock(&s->thread_lock);
	return NULL;
}
