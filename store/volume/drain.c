/* Drains: buffered ranges become chunks, then extents.
 *
 * Sealing moves a file's active ranges to `sealed` and remembers a copy of them, whose bytes stay in the ring because the ring is
 * released only by a commit, under the same drain_lock. Chunks are then cut, stored and synced with no other lock held.
 * Extents go in by slices of SLICE_PIECES, each its own transaction: a piece enters only where `sealed` still has it, so what was
 * truncated, punched or removed meanwhile stays away, and what was written meanwhile (in `active`) stays on top. */
#include <string.h>

#include "store/volume/effect.h"
#include "store/volume/store_internal.h"

#define SLICE_PIECES 64
/* Isolated overwrites up to this size become one chunk each and are not looked up by hash. */
#define ISOLATED_MAX (64 * KIB)

struct drain_piece {
	struct chunk_piece p;
	uint64_t id; /* in the chunk table, once it is there */
	bool isolated; /* not to be found by hash */
};

struct drain_file {
	struct file *file;
	struct range *ranges;
	size_t n;
	int64_t size; /* when sealed */
	int level;
	size_t first_piece, n_pieces;
};

struct drain {
	uint64_t through; /* every sealed range's seq is at most this */
	struct drain_file *files;
	size_t n, cap;
	struct drain_piece *pieces;
	size_t n_pieces, cap_pieces;
	bool isolated; /* what is being cut now is an isolated overwrite */
	/* new chunks of this drain by place: the same content twice has one place */
	struct drain_piece **by_place;
	size_t by_place_size;
};

void drain_free(struct store *s, struct drain *d)
{
	size_t i;

	if (!d)
		return;
	for (i = 0; i < d->n; i++) {
		free(d->files[i].ranges);
		d->files[i].file->pins--;
		file_put(s, d->files[i].file);
	}
	free(d->files);
	free(d->pieces);
	free(d->by_place);
	free(d);
}

static int seal_one(struct drain *d, struct file *f)
{
	struct drain_file *df;
	struct write_buffer empty;

	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 16;
		struct drain_file *files = realloc(d->files, cap * sizeof *files);

		if (!files)
			return -ENOMEM;
		d->files = files;
		d->cap = cap;
	}
	df = &d->files[d->n];
	*df = (struct drain_file){.file = f, .size = f->size, .n = f->active.n + f->sealed.n};
	/* what an earlier drain could not store is still in sealed, and older */
	if (f->active.n && write_buffer_merge_under(&f->active, &f->sealed))
		return -ENOMEM;
	if (f->active.n) {
		empty = f->sealed;
		f->sealed = f->active;
		f->active = empty;
	}
	df->n = f->sealed.n;
	df->ranges = malloc(df->n * sizeof *df->ranges);
	if (!df->ranges)
		return -ENOMEM;
	memcpy(df->ranges, f->sealed.v, df->n * sizeof *df->ranges);
	f->pins++;
	d->n++;
	return 0;
}

/* The compression of the volume whose head a branch is; a dropped branch takes the default. */
static int level_of(struct store *s, const struct file *f)
{
	const struct number_slot *slot;

	if (!f->node || number_lookup(s, (uint32_t)(f->node >> NODE_INO_BITS), &slot))
		return 1;
	return slot->compression;
}

int drain_seal(struct store *s, struct file *only, struct drain **ret)
{
	struct drain *d;
	struct file *f;
	int r = 0;

	*ret = NULL;
	if (only ? !file_buffered(only) : !s->dirty)
		return 0;
	d = calloc(1, sizeof *d);
	if (!d)
		return -ENOMEM;
	d->through = ring_head_seq(s->ring) - 1;
	for (f = only ? only : s->dirty; f && !r; f = only ? NULL : f->dirty_next) {
		if (!file_buffered(f))
			continue;
		r = seal_one(d, f);
		if (!r)
			d->files[d->n - 1].level = level_of(s, f);
	}
	if (r) {
		drain_free(s, d);
		return r;
	}
	*ret = d;
	return 0;
}

static int emit_piece(void *arg, const struct chunk_piece *piece)
{
	struct drain *d = arg;

	if (d->n_pieces == d->cap_pieces) {
		size_t cap = d->cap_pieces ? d->cap_pieces * 2 : 256;
		struct drain_piece *pieces = realloc(d->pieces, cap * sizeof *pieces);

		if (!pieces)
			return -ENOMEM;
		d->pieces = pieces;
		d->cap_pieces = cap;
	}
	d->pieces[d->n_pieces++] = (struct drain_piece){*piece, piece->id, d->isolated};
	return 0;
}

/* One run of adjacent ranges. */
static int store_run(struct store *s, struct drain *d, struct drain_file *df, size_t first, size_t n, struct chunk_span *spans)
{
	struct chunk_owner owner = {df->file->branch->id, df->file->ino, (uint64_t)df->ranges[first].off};
	int64_t len = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		spans[i] = (struct chunk_span){df->ranges[first + i].data, (size_t)df->ranges[first + i].len};
		len += df->ranges[first + i].len;
	}
	d->isolated = len <= (int64_t)ISOLATED_MAX && len < df->size;
	return chunk_writer_add(s->writer, &owner, spans, n, d->isolated ? CHUNK_ADD_SINGLE : 0, df->level, emit_piece, d);
}

static int store_chunks(struct store *s, struct drain *d)
{
	AUTO_FREE struct chunk_span *spans = NULL;
	size_t i, j, run, most = 0;
	int ret = 0;

	for (i = 0; i < d->n; i++)
		most = d->files[i].n > most ? d->files[i].n : most;
	spans = malloc((most ? most : 1) * sizeof *spans);
	if (!spans)
		return -ENOMEM;
	for (i = 0; i < d->n && !ret; i++) {
		struct drain_file *df = &d->files[i];

		df->first_piece = d->n_pieces;
		for (j = 0; j < df->n && !ret; j += run) {
			for (run = 1; j + run < df->n; run++)
				if (df->ranges[j + run - 1].off + df->ranges[j + run - 1].len != df->ranges[j + run].off)
					break;
			ret = store_run(s, d, df, j, run, spans);
		}
		df->n_pieces = d->n_pieces - df->first_piece;
	}
	return ret ? ret : chunk_writer_flush(s->writer);
}

static struct drain_piece **place_slot(struct drain *d, const struct chunk_loc *loc)
{
	uint64_t h = ((uint64_t)loc->pack << 32 | loc->off) * 0x9e3779b97f4a7c15ULL;
	size_t i = h >> 20 & (d->by_place_size - 1);

	while (d->by_place[i] && (d->by_place[i]->p.loc.pack != loc->pack || d->by_place[i]->p.loc.off != loc->off))
		i = (i + 1) & (d->by_place_size - 1);
	return &d->by_place[i];
}

/* Gives a newly stored chunk its row; inside a transaction. A row whose transaction fails is given again by the next try. */
static int give_id(struct store *s, struct drain *d, struct drain_piece *dp)
{
	struct drain_piece **known;
	struct chunk_row row;
	int ret;

	if (dp->id)
		return 0;
	known = place_slot(d, &dp->p.loc);
	if (*known && (*known)->id) {
		dp->id = (*known)->id;
		return 0;
	}
	row = (struct chunk_row){
		.pack = dp->p.loc.pack,
		.off = dp->p.loc.off,
		.stored_len = dp->p.loc.stored_len,
		.raw_len = dp->p.loc.raw_len,
		.codec = (uint8_t)dp->p.loc.codec,
		.indexed = !dp->isolated,
		.hash_lo = dp->p.loc.hash.lo,
		.hash_hi = dp->p.loc.hash.hi,
	};
	ret = chunk_add(s->meta, &row);
	if (ret)
		return ret;
	dp->id = row.id;
	*known = dp;
	return 0;
}

/* Extents for the parts of a piece that are still sealed; adjacent ones are written together by the caller's loop. */
static int insert_piece(struct store *s, struct file *f, struct inode *inode, const struct drain_piece *dp)
{
	int64_t from = (int64_t)dp->p.off, end = from + dp->p.len;
	size_t i;
	int ret = 0;

	for (i = write_buffer_seek(&f->sealed, from); i < f->sealed.n && f->sealed.v[i].off < end && !ret;) {
		int64_t a = f->sealed.v[i].off > from ? f->sealed.v[i].off : from, b = a;
		struct extent e;

		for (; i < f->sealed.n && f->sealed.v[i].off <= b && f->sealed.v[i].off < end; i++)
			b = f->sealed.v[i].off + f->sealed.v[i].len;
		b = b < end ? b : end;
		e = (struct extent){.off = a, .len = b - a, .chunk = dp->id, .choff = (uint32_t)(a - from)};
		ret = extent_write(s->meta, f->branch, inode, a, b - a, &e, 1);
	}
	return ret;
}

/* What the row may say of the size once everything sealed below `upto` is in extents. */
static int64_t justified_size(const struct file *f, const struct inode *inode, int64_t upto)
{
	bool last = !f->active.n && write_buffer_end(&f->sealed) <= upto;
	int64_t size = inode->size > upto ? inode->size : upto;

	return last || size > f->size ? f->size : size;
}

static int insert_rows(struct tx *tx, struct drain *d, struct drain_file *df, struct drain_piece *pieces, size_t n)
{
	struct store *s = tx->s;
	struct file *f = df->file;
	struct meta_view head = {f->branch, META_HEAD};
	struct inode inode;
	int64_t end = (int64_t)pieces[n - 1].p.off + pieces[n - 1].p.len;
	size_t i;
	int ret = 0;

	for (i = 0; i < n && !ret; i++)
		ret = give_id(s, d, &pieces[i]);
	if (ret || !f->sealed.n)
		return ret;
	if (!f->branch->head) /* the volume was removed: nothing would ever reap these rows */
		return 0;
	ret = inode_get(s->meta, &head, f->ino, &inode);
	if (ret == -ENOENT)
		return 0;
	for (i = 0; i < n && !ret; i++)
		ret = insert_piece(s, f, &inode, &pieces[i]);
	if (ret)
		return ret;
	ret = inode_resize(s, f->branch, &inode, justified_size(f, &inode, end));
	if (f->mtime)
		inode.mtime = f->mtime;
	if (f->mtime > inode.ctime)
		inode.ctime = f->mtime;
	if (!ret)
		ret = inode_put(s->meta, f->branch, &inode);
	if (!ret)
		ret = effect_add(tx->effects, &(struct effect){.kind = EFFECT_DRAINED,
							      .branch = f->branch->id,
							      .ino = f->ino,
							      .off = (int64_t)pieces[0].p.off,
							      .len = end - (int64_t)pieces[0].p.off,
							      .seq = d->through});
	return ret;
}

static int insert_slice(struct store *s, struct drain *d, struct drain_file *df, size_t first, size_t n, unsigned flags)
{
	struct drain_piece *pieces = &d->pieces[df->first_piece + first];
	int64_t from = (int64_t)pieces[0].p.off, end = (int64_t)pieces[n - 1].p.off + pieces[n - 1].p.len;
	struct file *f = df->file;
	struct tx tx;
	size_t i;
	int ret;

	if (!(flags & TX_LOCKED))
		(void)pthread_mutex_lock(&s->lock);
	ret = write_buffer_reserve(&f->sealed);
	if (!ret)
		ret = tx_begin(s, NULL, flags | TX_LOCKED | TX_DRAIN, 0, &tx);
	if (!ret)
		ret = tx_end_locked(&tx, insert_rows(&tx, d, df, pieces, n), NULL, 0, NULL);
	if (!ret) {
		write_buffer_cut(&f->sealed, from, end);
		file_settled(s, f);
	} else {
		for (i = 0; i < n; i++) /* rows that the failed transaction took back */
			pieces[i].id = pieces[i].p.id;
	}
	if (!(flags & TX_LOCKED))
		(void)pthread_mutex_unlock(&s->lock);
	return ret;
}

static int insert_extents(struct store *s, struct drain *d, unsigned flags)
{
	size_t i, j, n;
	int ret = 0;

	for (d->by_place_size = 64; d->by_place_size < d->n_pieces * 2; d->by_place_size *= 2)
		;
	d->by_place = calloc(d->by_place_size, sizeof(struct drain_piece *));
	if (!d->by_place)
		return -ENOMEM;
	for (i = 0; i < d->n && !ret; i++) {
		struct drain_file *df = &d->files[i];

		for (j = 0; j < df->n_pieces && !ret; j += n) {
			n = df->n_pieces - j < SLICE_PIECES ? df->n_pieces - j : SLICE_PIECES;
			ret = insert_slice(s, d, df, j, n, flags);
		}
	}
	return ret;
}

int drain_run(struct store *s, struct drain *d)
{
	int ret = store_chunks(s, d);

	if (!ret)
		ret = chunk_writer_sync(s->writer);
	if (!ret)
		ret = insert_extents(s, d, 0);
	chunk_writer_batch_end(s->writer);
	(void)pthread_mutex_lock(&s->lock);
	drain_free(s, d);
	(void)pthread_mutex_unlock(&s->lock);
	return ret;
}

int drain_run_held(struct store *s, struct drain *d)
{
	int ret;

	s->find_locked = true;
	ret = store_chunks(s, d);
	s->find_locked = false;
	s->rows_unsynced = true;
	s->cut_drain = d;
	if (!ret)
		ret = insert_extents(s, d, TX_LOCKED);
	chunk_writer_batch_end(s->writer);
	return ret;
}

/* A chunk that was given a row, and its new place. */
struct again {
	struct drain_piece *piece;
	struct chunk_loc loc;
};

static int emit_again(void *arg, const struct chunk_piece *piece)
{
	struct again *a = arg;

	a->loc = piece->loc;
	return 0;
}

/* Stores the bytes of one piece, which lie in the ring as long as no commit has released them. */
static int store_again(struct store *s, const struct drain_file *df, struct again *a, struct chunk_span *spans)
{
	int64_t from = (int64_t)a->piece->p.off, end = from + a->piece->p.len;
	struct chunk_owner owner = {df->file->branch->id, df->file->ino, a->piece->p.off};
	size_t i, n = 0;

	for (i = 0; i < df->n; i++) {
		const struct range *r = &df->ranges[i];
		int64_t lo = r->off > from ? r->off : from, hi = r->off + r->len < end ? r->off + r->len : end;

		if (lo < hi)
			spans[n++] = (struct chunk_span){r->data + (lo - r->off), (size_t)(hi - lo)};
	}
	return chunk_writer_add(s->writer, &owner, spans, n, CHUNK_ADD_SINGLE, df->level, emit_again, a);
}

/* What of the drain has rows and was new; list holds n_pieces. */
static int store_all_again(struct store *s, struct drain *d, struct again *list, size_t *ret_n)
{
	AUTO_FREE struct chunk_span *spans = NULL;
	size_t i, k, most = 1, n = 0;
	int ret = 0;

	for (i = 0; i < d->n; i++)
		most = d->files[i].n > most ? d->files[i].n : most;
	spans = malloc(most * sizeof *spans);
	if (!spans)
		return -ENOMEM;
	for (i = 0; i < d->n; i++)
		for (k = 0; k < d->files[i].n_pieces && !ret; k++) {
			struct drain_piece *dp = &d->pieces[d->files[i].first_piece + k];

			if (!dp->id || dp->p.id || *place_slot(d, &dp->p.loc) != dp)
				continue;
			list[n].piece = dp;
			ret = store_again(s, &d->files[i], &list[n++], spans);
		}
	*ret_n = n;
	return ret ? ret : chunk_writer_sync(s->writer);
}

static int move_rows(struct store *s, const struct again *list, size_t n)
{
	struct tx tx;
	size_t i;
	int ret;

	(void)pthread_mutex_lock(&s->lock);
	ret = tx_begin(s, NULL, TX_LOCKED | TX_DRAIN, 0, &tx);
	for (i = 0; i < n && !ret; i++) {
		const struct chunk_loc *loc = &list[i].loc;
		const struct chunk_row place = {.pack = loc->pack, .off = loc->off, .stored_len = loc->stored_len, .codec = (uint8_t)loc->codec};

		ret = chunk_replace(s->meta, list[i].piece->id, &place);
		if (ret)
			(void)tx_end(&tx, ret);
	}
	if (!ret)
		ret = tx_end(&tx, 0);
	(void)pthread_mutex_unlock(&s->lock);
	return ret;
}

static int run_again(struct store *s, struct drain *d)
{
	AUTO_FREE struct again *list = malloc((d->n_pieces + 1) * sizeof *list);
	size_t n = 0, i, slice;
	int ret = list && d->by_place ? 0 : -ENOMEM;

	if (!d->by_place) /* no rows: it failed before them */
		return 0;
	if (!ret)
		ret = store_all_again(s, d, list, &n);
	chunk_writer_batch_end(s->writer);
	for (i = 0; i < n && !ret; i += slice) {
		slice = n - i < SLICE_PIECES ? n - i : SLICE_PIECES;
		ret = move_rows(s, &list[i], slice);
	}
	return ret;
}

int drain_settle_cut(struct store *s)
{
	struct drain *d = s->cut_drain;
	int ret = 0;

	if (!d)
		return 0;
	if (!s->cut_lost) {
		ret = chunk_writer_sync_or_leave(s->writer);
		if (ret)
			log_error("chunks of a cut could not be written: %s; storing them again", err_name(-ret));
	}
	if (ret || s->cut_lost) {
		(void)pthread_mutex_lock(&s->lock);
		s->cut_lost = true;
		(void)pthread_cond_broadcast(&s->space_cond);
		(void)pthread_mutex_unlock(&s->lock);
		ret = run_again(s, d);
	}
	(void)pthread_mutex_lock(&s->lock);
	if (!ret) {
		s->rows_unsynced = s->cut_lost = false;
		s->cut_drain = NULL;
		drain_free(s, d);
	}
	(void)pthread_cond_broadcast(&s->space_cond);
	(void)pthread_mutex_unlock(&s->lock);
	return ret;
}

int drain_file(struct store *s, struct branch *b, uint64_t ino)
{
	struct drain *d = NULL;
	struct file *f;
	int ret = 0;

	(void)pthread_mutex_lock(&s->lock);
	f = file_find(s, b, ino);
	if (f)
		ret = drain_seal(s, f, &d);
	(void)pthread_mutex_unlock(&s->lock);
	return ret || !d ? ret : drain_run(s, d);
}
