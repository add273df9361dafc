/* Transactions: one operation is one savepoint in SQLite and one record in the ring.
 *
 * Room in the ring is checked before anything is done. Ordinary operations leave the last eighth to drains, whose own
 * records are what empties it; writes leave another eighth to operations without data, so that a stream that outruns the disk
 * does not hold up everybody's stat and create. */
#include <assert.h>
#include <time.h>

#include "store/volume/effect.h"
#include "store/volume/store_internal.h"

#define TX_RECORD_ROOM (256 * KIB)
#define TIGHT_MIN (MIB) /* less in the ring than this fits into what is kept free anyway */
#define REAPPLY_PAUSE_US 100000 /* between tries to bring rows back, which cost as much as there is in the ring */

int64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

uint64_t mono_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static bool ring_has_room(const struct store *s, unsigned flags, size_t data_len)
{
	size_t size = ring_size(s->ring);
	size_t keep = (flags & TX_DRAIN) ? 0 : size / 8;

	if (data_len)
		keep += size / 8 + data_len;
	return ring_free_space(s->ring) >= keep + ((flags & TX_DRAIN) ? 0 : TX_RECORD_ROOM);
}

/* Lock held on entry and return; it is given up while waiting. */
static int wait_for_room(struct store *s)
{
	int ret;

	stats_add(&s->stats.write_stalls, 1);
	if (s->flags & STORE_NO_THREADS) {
		(void)pthread_mutex_unlock(&s->lock);
		ret = store_commit(s);
		(void)pthread_mutex_lock(&s->lock);
		return ret;
	}
	if (s->commit_error)
		return s->commit_error;
	commit_kick(s);
	(void)pthread_cond_wait(&s->space_cond, &s->lock);
	return 0;
}

/* What was accepted and is not in packs yet has not taken its room on the host: together they would find none, and then nothing
 * could be committed, not even what a purge frees. So near the end of the host filesystem what is buffered goes first. */
static bool host_is_tight(struct store *s, int64_t more_bytes)
{
	int64_t pending = (int64_t)(ring_size(s->ring) - ring_free_space(s->ring));

	if (pending < (int64_t)TIGHT_MIN || !host_is_low(s, pending + more_bytes))
		return false;
	s->host_free_at = 0; /* what was accepted since it was asked for is in both */
	return host_is_low(s, pending + more_bytes);
}

/* 1: there is room. 0: there may be, after what was waited for. -EAGAIN: with TX_NOWAIT. Lock held; given up while waiting. */
static int look_for_room(struct store *s, unsigned flags, size_t data_len)
{
	/* the room of the last volume is only there when making it has ended */
	bool trash = s->trash.oldest || s->trash.making_room;
	bool low = (flags & TX_GROWS) && trash && host_is_low(s, (int64_t)data_len);

	if (!low && ring_has_room(s, flags, data_len) && (!data_len || !host_is_tight(s, (int64_t)data_len)))
		return 1;
	if (flags & TX_NOWAIT) {
		if (!low)
			commit_kick(s);
		return -EAGAIN;
	}
	if (!low)
		return wait_for_room(s);
	trash_make_room(s, (int64_t)data_len);
	return 0;
}

int tx_begin(struct store *s, const struct op *op, unsigned flags, size_t data_len, struct tx *tx)
{
	bool locked = flags & TX_LOCKED;
	int ret = 0;

	if (!locked)
		(void)pthread_mutex_lock(&s->lock);
	while (!locked && !(flags & TX_DRAIN)) {
		if (s->held) {
			(void)pthread_cond_wait(&s->space_cond, &s->lock);
			continue;
		}
		ret = look_for_room(s, flags, data_len);
		if (ret < 0)
			goto fail;
		if (ret > 0)
			break;
	}
	ret = (s->flags & STORE_READONLY) && !s->recovering ? -EROFS : rows_ready(s);
	if (ret)
		goto fail;
	if (!(flags & TX_NO_META)) {
		ret = meta_op_begin(s->meta);
		if (ret)
			goto fail;
	}
	buf_reset(&s->tx_effects);
	*tx = (struct tx){.s = s, .flags = flags, .effects = &s->tx_effects, .now = now_ns()};
	if (op) {
		tx->unique = op->unique;
		tx->done = op->done;
	}
	return 0;
fail:
	if (!locked)
		(void)pthread_mutex_unlock(&s->lock);
	return ret;
}

/* Rolls back to the last commit and applies the records since. */
static int reapply(struct store *s)
{
	struct ring_pos pos = {0};
	struct record rec;
	uint64_t rows_seq, data_seq;
	int ret = meta_rollback(s->meta);

	numbers_changed(s);
	if (ret)
		return ret;
	meta_committed(s->meta, &rows_seq, &data_seq);
	pos.seq = ring_tail_seq(s->ring);
	while (!ret) {
		const void *rows;
		size_t rows_len;
		struct buf_reader buffers;

		ret = ring_next(s->ring, &pos, &rec);
		if (ret)
			break;
		if (rec.seq <= rows_seq)
			continue;
		ret = effects_split(rec.effects, rec.effects_len, &rows, &rows_len, &buffers);
		if (ret || !rows_len)
			continue;
		ret = meta_op_begin(s->meta);
		if (ret)
			break;
		ret = meta_apply(s->meta, rows, rows_len);
		if (ret)
			meta_op_abort(s->meta);
		else
			ret = meta_op_end(s->meta);
	}
	return ret < 0 ? ret : 0;
}

int tx_reapply(struct store *s)
{
	int ret = reapply(s);

	if (ret && !s->rows_error)
		log_begins(LOG_LEVEL_ERROR,
			   "metadata could not be brought back after a failed transaction: %s; nothing is shown or changed until it can",
			   err_name(-ret));
	if (ret)
		meta_refuse(s->meta, ret);
	if (!ret && s->rows_error)
		log_info("metadata is back after a failed transaction");
	s->rows_error = ret;
	s->reapply_at = mono_us() + REAPPLY_PAUSE_US;
	return ret;
}

int rows_ready(struct store *s)
{
	if (!s->rows_error && !meta_lost(s->meta))
		return 0;
	if (meta_in_op(s->meta)) /* its end will see to it */
		return s->rows_error ? s->rows_error : -EIO;
	if (s->rows_error && mono_us() < s->reapply_at)
		return s->rows_error;
	return tx_reapply(s);
}

/* Before the record: a process that dies between the two leaves a note of a record that is not there. */
static void note_done(const struct tx *tx)
{
	atomic_store(&tx->done->unique, 0);
	tx->done->seq = ring_head_seq(tx->s->ring);
	tx->done->node = tx->reply_node;
	atomic_store(&tx->done->unique, tx->unique);
}

static int append_record(struct tx *tx, const void *data, size_t len, const uint8_t **ret_data)
{
	static const struct buf no_rows;
	struct store *s = tx->s;
	const struct buf *rows = (tx->flags & TX_NO_META) ? &no_rows : meta_effects(s->meta);
	struct record_head head = {.unique = tx->unique,
				   .reply_ino = tx->reply_node,
				   .reply_value = tx->reply_value,
				   .kind = RECORD_OP};
	void *at = NULL;
	int ret;

	if (!rows->len && !tx->effects->len)
		return 0;
	buf_reset(&s->tx_record);
	ret = buf_add_bytes(&s->tx_record, rows->data, rows->len);
	if (!ret)
		ret = buf_add(&s->tx_record, tx->effects->data, tx->effects->len);
	if (!ret && tx->done)
		note_done(tx);
	if (!ret)
		ret = ring_append(s->ring, &head, s->tx_record.data, s->tx_record.len, data, len, &tx->seq, &at);
	if (ret && tx->done)
		atomic_store(&tx->done->unique, 0);
	if (ret)
		return ret;
	if (ret_data)
		*ret_data = at;
	stats_add(&s->stats.ops_mutating, 1);
	return 0;
}

int tx_end_locked(struct tx *tx, int ret, const void *data, size_t len, const uint8_t **ret_data)
{
	struct store *s = tx->s;

	if (!ret)
		ret = append_record(tx, data, len, ret_data);
	if (tx->flags & TX_NO_META)
		return ret;
	if (!ret) {
		ret = meta_op_end(s->meta);
		/* The record stands, so the operation is done. Applying it again is what carries it out, be it later. */
		if (ret)
			(void)tx_reapply(s);
		return 0;
	}
	meta_op_abort(s->meta);
	if (meta_lost(s->meta))
		(void)tx_reapply(s);
	return ret;
}

int tx_end(struct tx *tx, int ret)
{
	bool locked = tx->flags & TX_LOCKED;
	struct store *s = tx->s;

	ret = tx_end_locked(tx, ret, NULL, 0, NULL);
	if (!locked)
		(void)pthread_mutex_unlock(&s->lock);
	return ret;
}
