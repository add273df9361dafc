/* fsync: what the ring has and the journal has not is appended to the journal, and one fdatasync serves all who wait.
 *
 * Ring records go in without the data of writes, which stays buffered. The data that an fsync is for, and that of files which a
 * rename put in another's place, goes as a RECORD_DATA record behind them; more than FSYNC_INLINE_MAX of it is drained into
 * extents first, whose rows are then among the ring's records. */
#include <string.h>

#include "store/volume/effect.h"
#include "store/volume/store_internal.h"

#define DATA_RANGES_MAX 512

struct data_record {
	struct iovec iov[DATA_RANGES_MAX];
	int n;
	size_t bytes;
};

static int add_ranges(struct buf *effects, struct data_record *dr, const struct file *f, const struct write_buffer *wb)
{
	size_t i;
	int ret;

	for (i = 0; i < wb->n; i++) {
		const struct range *r = &wb->v[i];

		if (r->seq <= f->journaled)
			continue;
		if (dr->n == DATA_RANGES_MAX || dr->bytes + (size_t)r->len > FSYNC_INLINE_MAX)
			return -EAGAIN;
		ret = effect_add(effects, &(struct effect){.kind = EFFECT_WRITE,
							   .branch = f->branch->id,
							   .ino = f->ino,
							   .off = r->off,
							   .len = r->len,
							   .size = f->size,
							   .mtime = f->mtime,
							   .seq = r->seq});
		if (ret)
			return ret;
		dr->iov[dr->n++] = (struct iovec){(void *)r->data, (size_t)r->len};
		dr->bytes += (size_t)r->len;
	}
	return 0;
}

/* The file's buffered data that the journal does not have yet. */
static int append_data(struct store *s, struct file *f)
{
	struct data_record dr = {.n = 0};
	struct record rec = {.seq = ring_head_seq(s->ring) - 1, .head = {.kind = RECORD_DATA}};
	int ret;

	if (f->active.bytes + f->sealed.bytes == 0)
		return 0;
	buf_reset(&s->tx_record);
	ret = buf_add_varint(&s->tx_record, 0); /* no rows */
	if (!ret)
		ret = add_ranges(&s->tx_record, &dr, f, &f->sealed);
	if (!ret)
		ret = add_ranges(&s->tx_record, &dr, f, &f->active);
	if (ret || !dr.n)
		return ret;
	rec.effects = s->tx_record.data;
	rec.effects_len = s->tx_record.len;
	rec.data_len = dr.bytes;
	return journal_append(s->journal, &rec, dr.iov, dr.n);
}

/* Would the file's unjournalled data fit a record? */
static bool fits(const struct file *f)
{
	const struct write_buffer *both[] = {&f->sealed, &f->active};
	size_t bytes = 0, n = 0, i, k;

	for (k = 0; k < 2; k++)
		for (i = 0; i < both[k]->n; i++)
			if (both[k]->v[i].seq > f->journaled) {
				bytes += (size_t)both[k]->v[i].len;
				n++;
			}
	return bytes <= FSYNC_INLINE_MAX && n <= DATA_RANGES_MAX;
}

static bool only_buffer_writes(const struct record *rec)
{
	const void *rows;
	size_t rows_len;
	struct buf_reader r;
	struct effect e;

	if (effects_split(rec->effects, rec->effects_len, &rows, &rows_len, &r) || rows_len)
		return false;
	while (!effect_next(&r, &e))
		if (e.kind != EFFECT_WRITE)
			return false;
	return !r.bad;
}

static int append_records(struct store *s)
{
	struct ring_pos pos = s->journal_pos;
	struct record rec;
	int ret;

	while (!(ret = ring_next(s->ring, &pos, &rec))) {
		if (!only_buffer_writes(&rec)) {
			rec.data = NULL;
			rec.data_len = 0;
			ret = journal_append(s->journal, &rec, NULL, 0);
			if (ret)
				return ret;
		}
		s->journal_pos = pos;
	}
	return ret < 0 ? ret : 0;
}

static void mark_journaled(struct store *s, struct file *f)
{
	uint64_t seq = ring_head_seq(s->ring) - 1;
	struct file *g;

	for (g = s->replaced_files ? s->dirty : NULL; g; g = g->dirty_next)
		if (g->replaced) {
			g->journaled = seq;
			g->replaced = false;
		}
	if (f)
		f->journaled = seq;
	s->replaced_files = false;
}

int journal_catch_up(struct store *s, struct file *f, uint64_t *ret_position, struct branch **ret_branch, uint64_t *ret_ino)
{
	struct file *g, *big = f && !fits(f) ? f : NULL;
	struct ring_pos before = s->journal_pos;
	int ret;

	for (g = s->replaced_files ? s->dirty : NULL; g && !big; g = g->dirty_next)
		if (g->replaced && !fits(g))
			big = g;
	if (big) {
		*ret_branch = big->branch;
		*ret_ino = big->ino;
		return -EAGAIN;
	}
	/* a record that needs data is nothing without them */
	journal_group_begin(s->journal);
	ret = append_records(s);
	if (!ret && f)
		ret = append_data(s, f);
	for (g = s->replaced_files ? s->dirty : NULL; g && !ret; g = g->dirty_next)
		if (g->replaced && g != f)
			ret = append_data(s, g);
	journal_group_end(s->journal, !ret);
	if (ret) {
		s->journal_pos = before;
		return ret;
	}
	mark_journaled(s, f);
	*ret_position = journal_position(s->journal);
	return 0;
}

int sync_records(struct store *s, struct branch *b, uint64_t ino)
{
	struct branch *drain_branch = NULL;
	uint64_t position = 0, drain_ino = 0;
	int ret;

	for (;;) {
		(void)pthread_mutex_lock(&s->lock);
		while (s->rows_unsynced && !s->cut_lost)
			(void)pthread_cond_wait(&s->space_cond, &s->lock);
		if (s->cut_lost) {
			(void)pthread_mutex_unlock(&s->lock);
			return store_commit(s);
		}
		ret = rows_ready(s);
		if (!ret)
			ret = journal_catch_up(s, b ? file_find(s, b, ino) : NULL, &position, &drain_branch, &drain_ino);
		if (!ret && journal_used(s->journal) > journal_segment_size(s->journal) / 2)
			commit_kick(s);
		(void)pthread_mutex_unlock(&s->lock);
		if (ret == -EAGAIN) {
			LOCK_SCOPE(&s->drain_lock);

			ret = drain_file(s, drain_branch, drain_ino);
			if (ret)
				return ret;
			continue;
		}
		if (ret == -ENOSPC)
			return store_commit(s);
		return ret ? ret : journal_sync(s->journal, position);
	}
}

int file_fsync(struct store *s, uint64_t node)
{
	struct resolved r;
	struct branch *b = NULL;
	int ret;

	(void)pthread_mutex_lock(&s->lock);
	ret = node_resolve(s, node, &r);
	if (!ret && !r.mount_root && r.slot->writable)
		b = r.slot->view.branch;
	(void)pthread_mutex_unlock(&s->lock);
	stats_add(&s->stats.fsyncs, 1);
	return ret ? ret : sync_records(s, b, r.ino);
}

int file_sync_meta(struct store *s)
{
	stats_add(&s->stats.fsyncs, 1);
	return sync_records(s, NULL, 0);
}
