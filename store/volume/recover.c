/* Recovery: rows of records that the database does not include are carried out again; buffered data that the journal (or a
 * ring handed over) has is buffered again; then a commit makes all of it durable. Needs as long as the seconds since the last
 * commit, not as the store is large.
 *
 * From the ring: its records are the whole truth since the last durable commit, and stay where they are. From the journal:
 * they are appended to a new ring as they are applied, under new numbers, above every number that the journal can hold: every
 * opening ends with a durable commit that says where its ring begins, be there anything else to commit or not, and only then is
 * anything journalled; so the journal's numbers lie within SEQ_GAP of the last commit, and the next ring begins beyond. */
#include "store/volume/effect.h"
#include "store/volume/store_internal.h"

/* More records than fit a ring: an older run's numbers end below this distance from the last commit. */
#define SEQ_GAP (UINT64_C(1) << 32)

static int apply_write(struct store *s, struct branch *b, const struct effect *e, uint64_t seq, const uint8_t *data)
{
	struct range r = {.off = e->off, .len = e->len, .seq = seq, .data = data};
	struct file *f;
	int ret = file_obtain(s, b, e->ino, &f);

	if (!ret)
		ret = file_reserve(f);
	if (ret)
		return ret;
	write_buffer_insert(&f->active, &r);
	f->size = e->size;
	f->mtime = e->mtime;
	file_mark_dirty(s, f);
	return 0;
}

static int apply_removal(struct store *s, struct file *f, const struct effect *e)
{
	int ret = file_reserve(f);

	if (ret)
		return ret;
	if (e->kind == EFFECT_TRIM) {
		file_trim(s, f, e->off, e->off + e->len, e->size);
	} else if (e->kind == EFFECT_TIMES) {
		f->mtime = 0;
	} else {
		ret = write_buffer_cut_through(&f->active, e->off, e->off + e->len, e->seq);
		file_settled(s, f);
	}
	file_put(s, f);
	return ret;
}

int effects_apply_buffers(struct store *s, uint64_t seq, struct buf_reader effects, const uint8_t *data, size_t data_len)
{
	struct effect e;
	size_t used = 0;
	int ret;

	while (!(ret = effect_next(&effects, &e))) {
		struct branch *b = branch_get(s->meta, e.branch);
		struct file *f = b ? file_find(s, b, e.ino) : NULL;

		if (e.kind == EFFECT_WRITE) {
			if (data && (uint64_t)e.len > data_len - used)
				return -ECORRUPT;
			if (data && b && e.len)
				ret = apply_write(s, b, &e, e.seq ? e.seq : seq, data + used);
			used += (size_t)e.len;
		} else if (f) {
			ret = apply_removal(s, f, &e);
		}
		if (ret)
			return ret;
	}
	return ret < 0 ? ret : 0;
}

struct replay {
	struct store *s;
	uint64_t rows_seq, data_seq;
	uint64_t records;
};

/* Buffered data of an fsync goes into the new ring, as the write that it was, with its old number as part of the effect. */
static int replay_data(struct replay *rp, const struct record *rec, struct buf_reader effects)
{
	struct store *s = rp->s;
	const uint8_t *data = rec->data, *at;
	size_t left = rec->data_len;
	struct effect e;
	int ret;

	while (!(ret = effect_next(&effects, &e))) {
		struct tx tx;

		if (e.kind != EFFECT_WRITE || (uint64_t)e.len > left)
			return -ECORRUPT;
		if (e.seq > rp->data_seq && e.len) {
			struct branch *b = branch_get(s->meta, e.branch);

			ret = tx_begin(s, NULL, TX_LOCKED | TX_NO_META, (size_t)e.len, &tx);
			if (!ret)
				ret = effect_add(tx.effects, &e);
			if (!ret)
				ret = tx_end_locked(&tx, ret, data, (size_t)e.len, &at);
			if (!ret && b)
				ret = apply_write(s, b, &e, e.seq, at);
			rp->records++;
			if (ret)
				return ret;
		}
		data += e.len;
		left -= (size_t)e.len;
	}
	return ret < 0 ? ret : 0;
}

static int replay_op(struct replay *rp, const struct record *rec, const void *rows, size_t rows_len, struct buf_reader effects)
{
	struct store *s = rp->s;
	struct tx tx;
	int ret;

	if (rec->seq > rp->rows_seq) {
		rp->records++;
		ret = tx_begin(s, NULL, TX_LOCKED, 0, &tx);
		if (ret)
			return ret;
		if (rows_len)
			ret = meta_apply(s->meta, rows, rows_len);
		if (!ret)
			ret = buf_add(tx.effects, effects.p, buf_reader_left(&effects));
		ret = tx_end(&tx, ret);
		if (ret)
			return ret;
	}
	return effects_apply_buffers(s, rec->seq, effects, NULL, 0);
}

static int replay_record(void *arg, const struct record *rec)
{
	struct replay *rp = arg;
	struct buf_reader effects;
	const void *rows;
	size_t rows_len;
	int ret = effects_split(rec->effects, rec->effects_len, &rows, &rows_len, &effects);

	if (ret)
		return ret;
	if (rec->head.kind == RECORD_DATA)
		return replay_data(rp, rec, effects);
	return replay_op(rp, rec, rows, rows_len, effects);
}

static int replay_ring(struct store *s, uint64_t rows_seq, uint64_t *ret_records)
{
	struct ring_pos pos = {.seq = ring_tail_seq(s->ring)};
	struct record rec;
	int ret;

	while (!(ret = ring_next(s->ring, &pos, &rec))) {
		struct buf_reader effects;
		const void *rows;
		size_t rows_len;

		ret = effects_split(rec.effects, rec.effects_len, &rows, &rows_len, &effects);
		if (!ret && rec.seq > rows_seq && rows_len) {
			ret = meta_op_begin(s->meta);
			if (!ret)
				ret = meta_apply(s->meta, rows, rows_len);
			if (!ret)
				ret = meta_op_end(s->meta);
			else
				meta_op_abort(s->meta);
		}
		if (!ret)
			ret = effects_apply_buffers(s, rec.seq, effects, rec.data, rec.data_len);
		if (ret)
			return ret;
		*ret_records += rec.seq > rows_seq;
	}
	return ret < 0 ? ret : 0;
}

static int next_new_chunk(struct store *s, uint64_t after, struct chunk_row *ret, size_t *ret_n)
{
	LOCK_SCOPE(&s->lock);
	return chunk_scan(s->meta, after, ret, 1, ret_n);
}

/* The ring may tell of chunks of a cut whose sync the daemon did not live to see, or that failed. */
int recover_chunks(struct store *s)
{
	struct chunk_row row;
	uint64_t id = s->chunks_before_ring;
	uint32_t unsynced = 0; /* a pack */
	size_t n;
	int ret;

	if (!s->from_ring)
		return 0;
	while (!(ret = next_new_chunk(s, id, &row, &n)) && n) {
		const struct chunk_loc loc = {row.pack, row.off, row.stored_len, row.raw_len, row.codec, {row.hash_lo, row.hash_hi}};

		if (unsynced && unsynced != row.pack)
			ret = chunk_store_sync_pack(s->chunks, unsynced);
		if (!ret)
			ret = chunk_store_write_again(s->chunks, &loc);
		if (ret == -ECORRUPT)
			log_error("chunk %llu, in pack %08x at %u, was lost with the last daemon", (unsigned long long)row.id, row.pack, row.off);
		else if (ret)
			return ret;
		else
			unsynced = row.pack;
		id = row.id;
	}
	return !ret && unsynced ? chunk_store_sync_pack(s->chunks, unsynced) : ret;
}

int recover(struct store *s, const struct store_options *opts, struct err *err)
{
	struct replay rp = {.s = s};
	uint64_t base, settled;
	size_t i;
	int ret;

	for (i = 0; s->ring && i < opts->done_n; i++)
		if (opts->done[i].seq >= ring_head_seq(s->ring))
			atomic_store(&opts->done[i].unique, 0);
	meta_committed(s->meta, &rp.rows_seq, &rp.data_seq);
	base = rp.rows_seq > rp.data_seq ? rp.rows_seq : rp.data_seq;
	settled = rp.rows_seq < rp.data_seq ? rp.rows_seq : rp.data_seq;
	if (s->ring && ring_tail_seq(s->ring) > rp.data_seq + 1)
		return err_set(err, ECORRUPT, "the database is damaged: it ends at record %llu, and had everything before %llu when the last daemon ran",
			       (unsigned long long)rp.data_seq, (unsigned long long)ring_tail_seq(s->ring));
	if (s->ring && base >= ring_head_seq(s->ring))
		return err_set(err, ECORRUPT, "the store was changed since the last daemon ran: it ends at record %llu, and the ring at %llu",
			       (unsigned long long)base, (unsigned long long)ring_head_seq(s->ring));
	if (s->ring) {
		s->from_ring = true;
		s->chunks_before_ring = meta_last_chunk(s->meta);
		ret = replay_ring(s, rp.rows_seq, &rp.records);
		if (!ret)
			ret = journal_replay(s->journal, 0, NULL, NULL, err);
	} else {
		ret = ring_create(opts->ring_size ? opts->ring_size : RING_SIZE_DEFAULT, base + SEQ_GAP, &s->ring);
		if (!ret)
			ret = journal_replay(s->journal, settled, replay_record, &rp, err);
	}
	if (ret && err && err->code)
		return ret;
	if (ret)
		return err_set(err, -ret, "replaying what was acknowledged before the last stop failed: %s", err_name(-ret));
	/* these records go into the database by the commit below, and never again into the journal */
	s->journal_pos = (struct ring_pos){.seq = ring_head_seq(s->ring)};
	if (rp.records)
		log_info("recovered %llu records", (unsigned long long)rp.records);
	return 0;
}
