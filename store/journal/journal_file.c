/* Each of the two segments is one `side`. Records collect in the current side's batch; a flush takes the whole batch
 * and writes it at the next block boundary. All that order and recovery rest on:
 *
 *   1. There is one leader at a time. It flushes the older side before the current one, and the current one only while
 *      the older has no error. So what is on disk is always a prefix of what was appended.
 *   2. Batches have store-wide consecutive numbers. A side's header tells the first of its use, and whether the other
 *      side's batches come before it (`continues`). At replay both must fit, or history stops there.
 *   3. A side's new header is durable before the first batch of that use overwrites batches of the use before.
 *   4. Within a use the checksums are chained, so a batch that follows one rewritten after a replay cannot be taken for
 *      its successor.
 *   5. A group is in one batch: nobody becomes the leader while one is open.
 *   6. A write or fdatasync that failed is never tried again on that use: the kernel may have dropped the pages. The
 *      side keeps its error until it is retired.
 *   7. Each batch says up to which record it relies on what came before, be it in batches or in a durable commit. At
 *      replay that must be there, so that neither damage nor a database that lost a commit makes a hole in history.
 *
 * A side is *begun* when the header of its present use is durable, and *retired* when a commit has made it unnecessary.
 * What a retired side still holds in memory is dropped. Retiring does no I/O: records of a retired side may be replayed
 * after a crash, in their place in the order, and the caller skips them by their numbers.
 *
 * `lock` protects every field but these, which only the leader (or replay) touches: side.seg, and the batch it took. No
 * I/O happens under it. The caller's lock is taken before it, never after. */
#include "store/journal/journal_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/log.h"

/* A batch taken by the leader. */
struct flush {
	struct side *side;
	struct batch_id id;
	struct segment_use use;
	bool begin;
	struct buf batch;
	uint32_t count;
	uint64_t off;
	uint64_t end_pos;
	uint64_t after;
	uint64_t sum;
};

static pthread_mutex_t *lock_of(const struct journal *j)
{
	return (pthread_mutex_t *)&j->lock;
}

static size_t body_len(const struct side *s)
{
	return s->batch.len ? s->batch.len - BATCH_HEADER_LEN : 0;
}

static void side_drop_batch(struct side *s)
{
	buf_reset(&s->batch);
	s->count = 0;
}

int journal_side_renew(struct journal *j, struct side *s)
{
	uint64_t salt;
	int ret = io_random(&salt, sizeof salt);

	if (ret)
		return ret;
	side_drop_batch(s);
	s->generation = ++j->generation;
	s->salt = salt;
	s->chain = salt;
	s->begun = false;
	s->retired = false;
	s->error = 0;
	s->off = SEGMENT_DATA_OFF;
	s->end_pos = j->appended;
	return 0;
}

int journal_open(int dirfd, const uint8_t store_id[16], uint64_t segment_size, struct stats *stats,
		 struct journal **ret, struct err *err)
{
	struct journal *j;
	int r;

	segment_size = (segment_size + SEGMENT_BLOCK - 1) / SEGMENT_BLOCK * SEGMENT_BLOCK;
	if (segment_size < SEGMENT_SIZE_MIN || segment_size > SEGMENT_SIZE_MAX)
		return err_set(err, EINVAL, "a journal segment cannot have %llu bytes", (unsigned long long)segment_size);
	j = calloc(1, sizeof *j);
	if (!j)
		return err_set(err, ENOMEM, "%s", err_name(ENOMEM));
	(void)pthread_mutex_init(&j->lock, NULL);
	(void)pthread_cond_init(&j->flushed, NULL);
	j->stats = stats;
	j->side[0].seg.fd = j->side[1].seg.fd = -1;
	for (int i = 0; i < 2; i++) {
		r = segment_open(dirfd, i, store_id, segment_size, &j->side[i].seg, err);
		if (r)
			goto fail;
		j->side[i].generation = j->side[i].seg.use.generation;
	}
	*ret = j;
	return 0;
fail:
	journal_free(j);
	return r;
}

void journal_free(struct journal *j)
{
	if (!j)
		return;
	for (int i = 0; i < 2; i++) {
		segment_close(&j->side[i].seg);
		buf_free(&j->side[i].batch);
	}
	buf_free(&j->spare);
	(void)pthread_cond_destroy(&j->flushed);
	(void)pthread_mutex_destroy(&j->lock);
	free(j);
}

int journal_append(struct journal *j, const struct record *rec, const struct iovec *data, int iovcnt)
{
	uint8_t head[RECORD_HEADER_LEN];
	struct iovec own = {(void *)rec->data, rec->data_len};
	size_t len = RECORD_HEADER_LEN + rec->effects_len;
	struct side *s;
	int ret;

	if (!iovcnt) {
		data = &own;
		iovcnt = 1;
	}
	for (int i = 0; i < iovcnt; i++)
		len += data[i].iov_len;
	if (SEGMENT_DATA_OFF + batch_span(len) > journal_segment_size(j))
		return -EMSGSIZE;
	record_encode_iov(head, rec, data, iovcnt);

	LOCK_SCOPE(&j->lock);
	assert(j->ready);
	s = current(j);
	if (s->off + batch_span(body_len(s) + len) > s->seg.size)
		return -ENOSPC;
	/* The last block's padding is reserved here, so that a flush needs no memory. */
	ret = buf_reserve(&s->batch, BATCH_HEADER_LEN + len + SEGMENT_BLOCK);
	if (ret)
		return ret;
	if (!s->batch.len) {
		s->batch.len = BATCH_HEADER_LEN;
		s->after = j->last_seq;
	}
	(void)buf_add(&s->batch, head, sizeof head);
	(void)buf_add(&s->batch, rec->effects, rec->effects_len);
	for (int i = 0; i < iovcnt; i++)
		(void)buf_add(&s->batch, data[i].iov_base, data[i].iov_len);
	s->count++;
	s->end_pos = ++j->appended;
	j->last_seq = rec->seq;
	return 0;
}

void journal_group_begin(struct journal *j)
{
	LOCK_SCOPE(&j->lock);
	const struct side *s = current(j);

	assert(!j->group.open);
	j->group = (struct group){true, s->batch.len, s->count, s->end_pos, j->appended, j->last_seq};
}

void journal_group_end(struct journal *j, bool keep)
{
	LOCK_SCOPE(&j->lock);
	struct side *s = current(j);

	assert(j->group.open);
	if (!keep) {
		s->batch.len = j->group.batch_len;
		s->count = j->group.count;
		s->end_pos = j->group.end_pos;
		j->appended = j->group.appended;
		j->last_seq = j->group.last_seq;
	}
	j->group.open = false;
	(void)pthread_cond_broadcast(&j->flushed);
}

uint64_t journal_position(const struct journal *j)
{
	LOCK_SCOPE(lock_of(j));
	return j->appended;
}

static void spare_return(struct journal *j, struct buf *batch)
{
	buf_reset(batch);
	if (j->spare.data || batch->cap > BATCH_KEEP_MAX)
		buf_free(batch);
	else
		j->spare = *batch;
	*batch = (struct buf){0};
}

/* The side whose turn it is: rule 1. */
static void flush_take(struct journal *j, struct flush *f)
{
	struct side *old = older(j);
	struct side *s = !old->retired && old->count ? old : current(j);
	struct side *other = s == old ? current(j) : old;

	assert(s->count);
	f->side = s;
	f->id = (struct batch_id){s->generation, j->next_batch++, s->chain};
	f->begin = !s->begun;
	f->use = (struct segment_use){s->generation, s->salt, f->id.number, s != old && other->begun && !other->retired};
	f->batch = s->batch;
	f->count = s->count;
	f->off = s->off;
	f->end_pos = s->end_pos;
	f->after = s->after > j->settled ? s->after : j->settled;
	s->off += batch_span(body_len(s));
	s->batch = j->spare;
	s->count = 0;
	j->spare = (struct buf){0};
}

static int flush_write(struct flush *f)
{
	size_t len = f->batch.len - BATCH_HEADER_LEN;
	uint64_t span = batch_span(len);
	int ret;

	assert(f->batch.cap >= span);
	f->sum = batch_seal(f->batch.data, len, f->count, &f->id, f->use.salt, f->after);
	memset(f->batch.data + f->batch.len, 0, span - f->batch.len);
	if (f->begin) {
		ret = segment_begin(&f->side->seg, &f->use);
		if (ret)
			return ret;
	}
	return segment_write(&f->side->seg, f->off, f->batch.data, span);
}

/* Writes one side's batch. Called with the lock, which it gives up meanwhile. */
static void flush_one(struct journal *j)
{
	struct flush f;
	struct side *s;
	int ret;

	flush_take(j, &f);
	j->flushing = true;
	(void)pthread_mutex_unlock(&j->lock);
	ret = flush_write(&f);
	(void)pthread_mutex_lock(&j->lock);
	j->flushing = false;
	s = f.side;
	/* Retired meanwhile, nobody depends on this write any more, whatever became of it. */
	if (!s->retired && s->generation == f.id.generation) {
		s->begun = s->begun || !ret;
		s->chain = f.sum;
		s->error = ret;
		if (!ret && f.end_pos > j->synced)
			j->synced = f.end_pos;
	}
	if (ret)
		log_error("writing the journal: %s", err_name(-ret));
	if (j->stats && !ret) {
		stats_add(&j->stats->journal_flushes, f.begin ? 2 : 1);
		stats_add(&j->stats->journal_bytes, batch_span(f.batch.len - BATCH_HEADER_LEN));
	}
	spare_return(j, &f.batch);
	(void)pthread_cond_broadcast(&j->flushed);
}

int journal_sync(struct journal *j, uint64_t position)
{
	LOCK_SCOPE(&j->lock);
	assert(position <= j->appended);
	while (position > j->synced) {
		if (!older(j)->retired && older(j)->error)
			return older(j)->error;
		if (current(j)->error && (older(j)->retired || position > older(j)->end_pos))
			return current(j)->error;
		if (j->flushing || j->group.open)
			(void)pthread_cond_wait(&j->flushed, &j->lock);
		else
			flush_one(j);
	}
	return 0;
}

uint64_t journal_used(const struct journal *j)
{
	LOCK_SCOPE(lock_of(j));
	const struct side *s = &j->side[j->cur];

	return s->off + (s->count ? batch_span(body_len(s)) : 0);
}

uint64_t journal_segment_size(const struct journal *j)
{
	LOCK_SCOPE(lock_of(j));
	return j->side[j->cur].seg.size;
}

bool journal_can_rotate(const struct journal *j)
{
	LOCK_SCOPE(lock_of(j));
	return j->side[1 - j->cur].retired;
}

int journal_rotate(struct journal *j)
{
	int ret;

	LOCK_SCOPE(&j->lock);
	assert(j->ready);
	if (!older(j)->retired)
		return -EBUSY;
	ret = journal_side_renew(j, older(j));
	if (ret)
		return ret;
	current(j)->end_pos = j->appended;
	j->cur = 1 - j->cur;
	return 0;
}

void journal_retire(struct journal *j, uint64_t through)
{
	LOCK_SCOPE(&j->lock);
	struct side *s = older(j);

	assert(j->ready);
	if (through > j->settled)
		j->settled = through;
	if (s->retired)
		return;
	s->retired = true;
	s->error = 0;
	side_drop_batch(s);
	if (s->end_pos > j->synced)
		j->synced = s->end_pos;
	(void)pthread_cond_broadcast(&j->flushed);
}

void journal_check(struct journal *j)
{
	LOCK_SCOPE(&j->lock);
	assert(j->synced <= j->appended);
	if (!j->ready)
		return;
	assert(!current(j)->retired);
	assert(current(j)->generation == j->generation);
	assert(older(j)->generation < j->generation);
	assert(older(j)->end_pos <= current(j)->end_pos || older(j)->retired);
	assert(current(j)->end_pos == j->appended || !current(j)->count);
	for (int i = 0; i < 2; i++) {
		struct side *s = &j->side[i];
		const uint8_t *p = s->batch.data + BATCH_HEADER_LEN;
		size_t left = body_len(s);
		uint32_t count = 0;

		if (s->retired) {
			assert(!s->count && !s->error);
			continue;
		}
		assert(s->off >= SEGMENT_DATA_OFF && s->off % SEGMENT_BLOCK == 0);
		assert(s->off + (s->count ? batch_span(left) : 0) <= s->seg.size);
		for (; left; count++) {
			struct record rec;
			size_t len;
			int ret = record_decode(p, left, RECORD_SUM_ALL, &rec, &len);

			assert(!ret);
			p += len;
			left -= len;
		}
		assert(count == s->count);
	}
}
