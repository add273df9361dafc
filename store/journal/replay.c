/* What a journal still holds is carried out again, in order, once, before anything is appended.
 *
 * At the first batch that does not check history ends, as a power cut leaves it: the last batch may be torn. Damage is told from that by
 * what lies behind it, since a batch is written when the one before it is durable. Whether anything is lost by damage says the next batch:
 * what it relies on is in the database, or is missing. */
#include "store/journal/journal_internal.h"

#include <assert.h>

#include "store/base/log.h"

struct replay {
	struct journal *j;
	int (*apply)(void *arg, const struct record *rec); /* NULL: nothing is needed */
	void *arg;
	uint64_t have;   /* everything up to this record is in the database or has been replayed */
	bool gap;        /* batches before the next one are missing */
	int bad_index;   /* the segment in which damage was seen first; -1: none was */
	uint64_t bad_off;
	struct err *err;
};

static void note_damage(struct replay *rp, const struct side *s, uint64_t off)
{
	int index = (int)(s - rp->j->side);

	log_warn("journal.%d is damaged at byte %llu", index, (unsigned long long)off);
	rp->gap = true;
	if (rp->bad_index >= 0)
		return;
	rp->bad_index = index;
	rp->bad_off = off;
}

static int missing(const struct replay *rp)
{
	if (rp->bad_index < 0)
		(void)err_set(rp->err, ECORRUPT, "the database is damaged: it ends at record %llu, before what was on disk when the journal was written",
			      (unsigned long long)rp->have);
	else
		(void)err_set(rp->err, ECORRUPT, "journal.%d is damaged at byte %llu: what was on disk after record %llu cannot be brought back whole",
			      rp->bad_index, (unsigned long long)rp->bad_off, (unsigned long long)rp->have);
	err_hint(rp->err, "restore a copy of the store, or move journal.0 and journal.1 out of its folder to go on from the last commit, "
			  "up to some seconds earlier");
	return -ECORRUPT;
}

/* The next batch goes on from a state that has everything up to `after`. */
static bool is_hole(const struct replay *rp, uint64_t after)
{
	return rp->apply && (after > rp->have || (rp->gap && !after));
}

static int batch_apply(struct replay *rp, const uint8_t *p, size_t len)
{
	while (len) {
		struct record rec;
		size_t rec_len;
		int ret = record_decode(p, len, RECORD_SUM_ALL, &rec, &rec_len);

		if (!ret && rp->apply)
			ret = rp->apply(rp->arg, &rec);
		if (ret)
			return ret;
		if (rec.seq > rp->have)
			rp->have = rec.seq;
		rp->j->last_seq = rec.seq;
		p += rec_len;
		len -= rec_len;
	}
	rp->gap = false;
	return 0;
}

/* Behind what does not check: a batch there was written after what was here had become durable. 0: go on with it; >0: this is the end. */
static int skip_damage(struct replay *rp, struct side *s, uint64_t *off, struct batch_id *id)
{
	uint64_t after, at = *off + SEGMENT_BLOCK;
	int ret = segment_find(&s->seg, id->number + 1, &at, id, &after);

	if (ret)
		return ret;
	note_damage(rp, s, *off);
	if (is_hole(rp, after))
		return missing(rp);
	rp->gap = false;
	*off = at;
	return 0;
}

/* Applies the side's batches up to number `end` (0: all there are), and leaves it ready to continue after the last. */
static int side_replay(struct replay *rp, struct side *s, uint64_t end)
{
	struct batch_id id = {s->seg.use.generation, s->seg.use.first_batch, s->seg.use.salt};
	struct buf *buf = &rp->j->spare;
	uint64_t off = SEGMENT_DATA_OFF;
	struct batch_info info;
	int ret = 0;

	while (!ret && id.number != end) {
		ret = segment_read(&s->seg, off, &id, buf, &info);
		if (ret > 0) {
			ret = skip_damage(rp, s, &off, &id);
			continue;
		}
		if (!ret && is_hole(rp, info.after))
			ret = missing(rp);
		if (!ret)
			ret = batch_apply(rp, buf->data + BATCH_HEADER_LEN, info.len);
		if (ret)
			break;
		off += batch_span(info.len);
		id.number++;
		id.chain = info.sum;
	}
	if (ret < 0 && (rp->apply || ret == -ENOMEM))
		return ret;
	if (ret < 0)
		log_warn("reading journal.%d: %s", (int)(s - rp->j->side), err_name(-ret));
	if (end && id.number != end)
		note_damage(rp, s, off);
	s->salt = s->seg.use.salt;
	s->begun = true;
	s->off = off;
	s->chain = id.chain;
	rp->j->next_batch = id.number;
	return 0;
}

int journal_replay(struct journal *j, uint64_t settled, int (*apply)(void *arg, const struct record *rec), void *arg, struct err *err)
{
	struct replay rp = {.j = j, .apply = apply, .arg = arg, .have = settled, .bad_index = -1, .err = err};
	struct side *first;
	struct side *last;
	bool follows;
	int ret = 0;

	assert(!j->ready);
	j->cur = j->side[1].generation > j->side[0].generation;
	first = older(j);
	last = current(j);
	j->generation = last->generation;
	j->next_batch = 1;
	follows = last->generation && last->seg.use.continues;
	first->retired = !follows || !first->generation;
	if (!first->retired)
		ret = side_replay(&rp, first, last->seg.use.first_batch);
	else if (follows)
		note_damage(&rp, first, 0);
	if (!ret)
		ret = last->generation ? side_replay(&rp, last, 0) : journal_side_renew(j, last);
	if (!ret && rp.gap && apply)
		ret = missing(&rp);
	if (ret)
		return ret;
	if (j->spare.cap > BATCH_KEEP_MAX)
		buf_free(&j->spare);
	buf_reset(&j->spare);
	j->ready = true;
	return 0;
}
