/* A writer gathers records in memory and appends them to its pack in large writes.
 *
 * Where a record is, from the moment its piece is emitted:
 *   gathered   pack == loc.pack and loc.off >= pack->end: in `gather`, at loc.off - pack->end
 *   written    in the file of `pack`, or of a pack in `left`, below its end
 *   durable    below pack->synced, or in a pack that is in neither
 *
 * Gathered records always belong to `pack`; it is written out before it is left. A failure of any step throws away
 * all that is not durable, files cut back accordingly, so that there is never a torn place with something good
 * behind it, and a full disk gets its space back. What the caller emitted since its last sync is void then; it still
 * has the content. */
#include "store/chunk/chunk_store.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/limits.h"
#include "store/chunk/chunk_batch.h"
#include "store/chunk/chunk_internal.h"
#include "store/chunk/pack.h"
#include "store/chunk/pack_format.h"

#define GATHER_LEN (4 * MIB)
#define CANDIDATES_MAX 8 /* chunks of one hash that are looked at: collisions by chance do not happen once */

struct chunk_writer {
	struct chunk_store *cs;
	struct chunk_writer_ops ops;
	struct compress_ctx *ctx;
	struct chunk_batch *batch;
	struct pack *pack; /* being appended to, or NULL */
	struct pack *left; /* full, not yet synced */
	_Atomic uint32_t pack_id;
	uint8_t *blocks; /* what `gather` lies in: as far from a multiple of PACK_BLOCK as its place in the pack is */
	uint8_t *gather;
	size_t gathered;
	uint8_t *joined;    /* CHUNK_LEN_MAX: a chunk that lies across spans */
	uint8_t *candidate; /* CHUNK_LEN_MAX: stored bytes to compare with */
	uint8_t *copied;    /* a record on its way from another pack; made when first wanted */
};

/* What one call of chunk_writer_add is about. */
struct add {
	const struct chunk_span *span; /* the current one, */
	size_t pos;                    /* and the place in it */
	size_t left;                   /* bytes from there to the end of all spans */
	struct chunk_owner owner;      /* off moves on */
	unsigned flags;
	int level;
};

int chunk_writer_new(struct chunk_store *cs, const struct chunk_writer_ops *ops, struct chunk_writer **ret)
{
	struct chunk_writer *w = calloc(1, sizeof *w);

	if (!w)
		return -ENOMEM;
	w->cs = cs;
	w->ops = *ops;
	w->blocks = aligned_alloc(PACK_BLOCK, GATHER_LEN + PACK_BLOCK);
	w->gather = w->blocks;
	w->joined = malloc(CHUNK_LEN_MAX);
	w->candidate = malloc(CHUNK_LEN_MAX);
	if (!w->blocks || !w->joined || !w->candidate || chunk_batch_new(&w->batch) ||
	    compress_pool_get(cs->pool, &w->ctx)) {
		chunk_writer_free(w);
		return -ENOMEM;
	}
	*ret = w;
	return 0;
}

static struct pack *pop_left(struct chunk_writer *w)
{
	struct pack *p = w->left;

	if (p)
		w->left = p->next;
	return p;
}

void chunk_writer_free(struct chunk_writer *w)
{
	struct pack *p;

	if (!w)
		return;
	while ((p = pop_left(w)))
		pack_free(p);
	pack_free(w->pack);
	compress_pool_put(w->cs->pool, w->ctx);
	chunk_batch_free(w->batch);
	free(w->blocks);
	free(w->joined);
	free(w->candidate);
	free(w->copied);
	free(w);
}

static void set_pack(struct chunk_writer *w, struct pack *p)
{
	w->pack = p;
	w->gather = w->blocks;
	atomic_store(&w->pack_id, p ? p->id : 0);
}

/* Throws away what is not durable; see above. */
static void writer_abandon(struct chunk_writer *w)
{
	struct pack *p = w->pack;

	set_pack(w, NULL);
	w->gathered = 0;
	chunk_batch_clear(w->batch);
	while (p || (p = pop_left(w))) {
		pack_cache_forget(w->cs->packs, p->id);
		pack_abandon(p);
		p = NULL;
	}
}

static int write_out(struct chunk_writer *w)
{
	int ret;

	if (w->gathered == 0)
		return 0;
	ret = pack_append(w->pack, w->gather, w->gathered);
	if (ret)
		return ret;
	w->gather = w->blocks + w->pack->end % PACK_BLOCK;
	w->gathered = 0;
	return 0;
}

static int leave_pack(struct chunk_writer *w)
{
	int ret = write_out(w);

	if (ret)
		return ret;
	w->pack->next = w->left;
	w->left = w->pack;
	set_pack(w, NULL);
	return 0;
}

static int begin_pack(struct chunk_writer *w)
{
	struct pack *p;
	uint32_t id;
	int ret;

	ret = w->ops.next_pack(w->ops.arg, &id);
	if (!ret)
		ret = pack_create(w->cs->packs_fd, id, &p);
	if (!ret)
		set_pack(w, p);
	return ret;
}

/* Makes room for a record of up to `len` bytes at gather + gathered. */
static int make_room(struct chunk_writer *w, size_t len)
{
	int ret = 0;

	if (w->pack && w->pack->end + w->gathered + len > w->cs->pack_size_max)
		ret = leave_pack(w);
	if (!ret && !w->pack)
		ret = begin_pack(w);
	if (!ret && w->gathered + len > GATHER_LEN)
		ret = write_out(w);
	return ret;
}

static int append_record(struct chunk_writer *w, const struct add *a, struct chunk_hash hash, const void *data,
			 uint32_t len, struct chunk_loc *ret_loc)
{
	struct pack_record rec = {.owner = a->owner};
	uint8_t *header, *payload;
	size_t stored;
	int ret;

	ret = make_room(w, CHUNK_RECORD_HEADER_LEN + len);
	if (ret)
		return ret;
	header = w->gather + w->gathered;
	payload = header + CHUNK_RECORD_HEADER_LEN;
	stored = a->level ? compress_chunk(w->ctx, a->level, data, len, payload) : 0;
	rec.loc = (struct chunk_loc){
		.pack = w->pack->id,
		.off = (uint32_t)(w->pack->end + w->gathered + CHUNK_RECORD_HEADER_LEN),
		.stored_len = stored ? (uint32_t)stored : len,
		.raw_len = len,
		.codec = stored ? CHUNK_ZSTD : CHUNK_RAW,
		.hash = hash,
	};
	if (!stored)
		memcpy(payload, data, len);
	rec.sequence = atomic_fetch_add_explicit(&w->cs->sequence, 1, memory_order_relaxed);
	pack_record_encode(&rec, w->cs->secret, header);
	w->gathered += CHUNK_RECORD_HEADER_LEN + rec.loc.stored_len;
	stats_add(&w->cs->stats->chunks_new, 1);
	stats_add(&w->cs->stats->chunk_bytes_raw, len);
	stats_add(&w->cs->stats->chunk_bytes_stored, rec.loc.stored_len);
	*ret_loc = rec.loc;
	return 0;
}

/* Whether the chunk at loc holds these bytes. One that cannot be read, or is damaged, does not. */
static bool same_bytes(struct chunk_writer *w, const struct chunk_loc *loc, const void *data)
{
	const uint8_t *gathered;

	if (!w->pack || loc->pack != w->pack->id || loc->off < w->pack->end)
		return chunk_store_read_with(w->cs, w->ctx, loc, w->candidate, false) == 0 &&
		       memcmp(w->candidate, data, loc->raw_len) == 0;
	gathered = w->gather + (loc->off - w->pack->end);
	if (loc->codec == CHUNK_RAW)
		return memcmp(gathered, data, loc->raw_len) == 0;
	return compress_expand(w->ctx, gathered, loc->stored_len, w->candidate, loc->raw_len) == 0 &&
	       memcmp(w->candidate, data, loc->raw_len) == 0;
}

/* Looks for the content among what is stored. 0 found (piece's id and loc are set), >0 not, or -errno from `find`. */
static int find_same(struct chunk_writer *w, struct chunk_hash hash, const void *data, struct chunk_piece *piece)
{
	const struct chunk_loc *known;
	struct chunk_loc loc;
	unsigned iter = 0;
	uint64_t id;
	int ret;

	while ((known = chunk_batch_next(w->batch, hash, piece->len, &iter))) {
		if (same_bytes(w, known, data)) {
			piece->id = 0;
			piece->loc = *known;
			return 0;
		}
	}
	for (int nth = 0; nth < CANDIDATES_MAX; nth++) {
		ret = w->ops.find(w->ops.arg, hash, piece->len, nth, &id, &loc);
		if (ret)
			return ret;
		if (loc.raw_len == piece->len && same_bytes(w, &loc, data)) {
			piece->id = id;
			piece->loc = loc;
			return 0;
		}
	}
	return 1;
}

/* Stores or shares one chunk. */
static int place_chunk(struct chunk_writer *w, const struct add *a, const void *data, struct chunk_piece *piece)
{
	struct chunk_hash hash = chunk_store_hash(w->cs, data, piece->len);
	int ret = 1;

	if (!(a->flags & CHUNK_ADD_SINGLE))
		ret = find_same(w, hash, data, piece);
	if (ret < 0)
		return ret;
	if (ret == 0) {
		stats_add(&w->cs->stats->chunks_dedup, 1);
		stats_add(&w->cs->stats->chunk_bytes_dedup, piece->len);
		return 0;
	}
	ret = append_record(w, a, hash, data, piece->len, &piece->loc);
	if (!ret && !(a->flags & CHUNK_ADD_SINGLE))
		chunk_batch_add(w->batch, &piece->loc);
	return ret;
}

/* How many bytes from here on are the next chunk. */
static size_t next_cut(const struct chunk_writer *w, const struct add *a)
{
	struct chunker c = chunker_start(&w->cs->gear);
	const struct chunk_span *span = a->span;
	size_t pos = a->pos;
	bool cut = false;

	if (a->flags & CHUNK_ADD_SINGLE)
		return a->left;
	while (!cut && c.len < a->left) {
		(void)chunker_feed(&c, (const uint8_t *)span->data + pos, span->len - pos, &cut);
		span++;
		pos = 0;
	}
	return c.len;
}

/* Takes the next len bytes: where they lie when that is one piece of memory, else a copy in `joined`. */
static const void *take_bytes(struct chunk_writer *w, struct add *a, size_t len)
{
	const uint8_t *data = NULL;
	size_t done = 0, n;

	while (done < len) {
		n = a->span->len - a->pos;
		if (n == 0) {
			a->span++;
			a->pos = 0;
			continue;
		}
		n = n < len - done ? n : len - done;
		if (n == len)
			data = (const uint8_t *)a->span->data + a->pos;
		else
			memcpy(w->joined + done, (const uint8_t *)a->span->data + a->pos, n);
		a->pos += n;
		a->left -= n;
		done += n;
	}
	return data ? data : w->joined;
}

int chunk_writer_add(struct chunk_writer *w, const struct chunk_owner *owner, const struct chunk_span *spans,
		     size_t nspans, unsigned flags, int level, int (*emit)(void *arg, const struct chunk_piece *piece), void *arg)
{
	struct add a = {.span = spans, .owner = *owner, .flags = flags, .level = level};
	const void *data;
	int ret = 0;

	for (size_t i = 0; i < nspans; i++)
		a.left += spans[i].len;
	assert(!(flags & CHUNK_ADD_SINGLE) || a.left <= CHUNK_LEN_MAX);
	while (!ret && a.left > 0) {
		struct chunk_piece piece = {.off = a.owner.off, .len = (uint32_t)next_cut(w, &a)};

		data = take_bytes(w, &a, piece.len);
		ret = place_chunk(w, &a, data, &piece);
		if (!ret)
			ret = emit(arg, &piece);
		a.owner.off += piece.len;
	}
	if (ret)
		writer_abandon(w);
	return ret;
}

/* Reads a record, header and all, and proves its content. */
static int read_record(struct chunk_writer *w, const struct chunk_loc *loc)
{
	const uint8_t *payload = w->copied + CHUNK_RECORD_HEADER_LEN;
	const void *content = payload;
	struct chunk_hash hash;
	int ret = pack_loc_valid(loc) ? chunk_store_read_record(w->cs, loc, w->copied) : -ECORRUPT;

	if (!ret && loc->codec == CHUNK_ZSTD) {
		ret = compress_expand(w->ctx, payload, loc->stored_len, w->candidate, loc->raw_len);
		content = w->candidate;
	}
	if (ret)
		return ret;
	hash = chunk_store_hash(w->cs, content, loc->raw_len);
	return hash.lo == loc->hash.lo && hash.hi == loc->hash.hi ? 0 : -ECORRUPT;
}

int chunk_writer_copy(struct chunk_writer *w, const struct chunk_loc *from, struct chunk_loc *ret_loc)
{
	size_t len = CHUNK_RECORD_HEADER_LEN + from->stored_len;
	struct pack_record rec = {0};
	int ret;

	if (!w->copied)
		w->copied = malloc(CHUNK_RECORD_HEADER_LEN + CHUNK_LEN_MAX);
	if (!w->copied)
		return -ENOMEM;
	ret = read_record(w, from);
	if (ret == -ECORRUPT)
		stats_add(&w->cs->stats->chunks_corrupt, 1);
	if (ret)
		return ret == -ENOMEM ? ret : 1;
	ret = make_room(w, len);
	if (ret) {
		writer_abandon(w);
		return ret;
	}
	/* whose it was, and when: a header that does not say is no reason to leave the chunk behind */
	if (pack_record_parse(w->copied, CHUNK_RECORD_HEADER_LEN, w->cs->secret, &rec))
		rec = (struct pack_record){0};
	rec.loc = *from;
	rec.loc.pack = w->pack->id;
	rec.loc.off = (uint32_t)(w->pack->end + w->gathered + CHUNK_RECORD_HEADER_LEN);
	pack_record_encode(&rec, w->cs->secret, w->gather + w->gathered);
	memcpy(w->gather + w->gathered + CHUNK_RECORD_HEADER_LEN, w->copied + CHUNK_RECORD_HEADER_LEN, from->stored_len);
	w->gathered += len;
	*ret_loc = rec.loc;
	return 0;
}

int chunk_writer_flush(struct chunk_writer *w)
{
	int ret = write_out(w);

	if (ret)
		writer_abandon(w);
	return ret;
}

static int sync_all(struct chunk_writer *w)
{
	int ret = write_out(w);
	struct pack *p;

	while (!ret && (p = w->left)) {
		pack_trim(p);
		ret = pack_sync(p);
		if (!ret) {
			w->left = p->next;
			pack_free(p);
		}
	}
	if (!ret && w->pack)
		ret = pack_sync(w->pack);
	return ret;
}

int chunk_writer_sync(struct chunk_writer *w)
{
	int ret = sync_all(w);

	if (ret)
		writer_abandon(w);
	return ret;
}

int chunk_writer_sync_or_leave(struct chunk_writer *w)
{
	int ret = sync_all(w);
	struct pack *p;

	if (!ret)
		return 0;
	assert(!w->gathered);
	pack_free(w->pack);
	set_pack(w, NULL);
	while ((p = pop_left(w)))
		pack_free(p);
	return ret;
}

int chunk_writer_end_pack(struct chunk_writer *w)
{
	int ret = chunk_writer_sync(w);

	if (ret || !w->pack)
		return ret;
	pack_free(w->pack);
	set_pack(w, NULL);
	return 0;
}

void chunk_writer_trim(struct chunk_writer *w)
{
	if (w->pack)
		pack_trim(w->pack);
}

void chunk_writer_batch_end(struct chunk_writer *w)
{
	chunk_batch_clear(w->batch);
}

bool chunk_writer_dirty(const struct chunk_writer *w)
{
	return w->gathered > 0 || w->left || (w->pack && pack_dirty(w->pack));
}

uint32_t chunk_writer_pack(const struct chunk_writer *w)
{
	return atomic_load(&w->pack_id);
}

uint64_t chunk_writer_end(const struct chunk_writer *w)
{
	return w->pack ? w->pack->end + w->gathered : 0;
}
