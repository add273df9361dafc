/* Compaction: what lives in a pack with much dead space that cannot be punched (parts of blocks, or all of it where the host filesystem
 * has no holes) moves to another pack, so that the old one can go.
 *
 * A chunk's way (DESIGN section 5): its record is read, proved and appended to the mover's pack with no lock held; a slice of such
 * copies is flushed; then one transaction points their rows to the new places and puts the old ones on the free list. From there on they go
 * the way of dead chunks (maintain.c): freed once that transaction is durable and no read that began before is left. A drain that found a
 * chunk by hash refers to it by id, so that it may move meanwhile; the old place is punched under drain_lock, as the drain compares
 * under it.
 *
 * A record that is damaged or cannot be read stays where it is, and its pack is left alone until the store is opened again.
 *
 * The mover is a writer of its own: nobody's fsync waits for what it has written, and what has lived long is kept apart from what is new.
 * All of this is under maintain_lock. */
#include <string.h>

#include "store/volume/store_internal.h"

#define SLICE_CHUNKS 256
#define SLICE_BYTES (4 * MIB)

struct copy {
	uint64_t id;
	struct chunk_loc from, to;
};

bool pack_is_busy(const struct store *s, uint32_t pack)
{
	return pack == chunk_writer_pack(s->writer) || (s->compaction.mover && pack == chunk_writer_pack(s->compaction.mover));
}

static bool is_left_alone(const struct store *s, uint32_t pack)
{
	for (size_t i = 0; i < s->compaction.n_left_alone; i++)
		if (s->compaction.left_alone[i] == pack)
			return true;
	return false;
}

static int leave_alone(struct store *s, uint32_t pack)
{
	struct compaction *c = &s->compaction;
	uint32_t *more = realloc(c->left_alone, (c->n_left_alone + 1) * sizeof *more);

	if (!more)
		return -ENOMEM;
	c->left_alone = more;
	c->left_alone[c->n_left_alone++] = pack;
	return 0;
}

/* --- which pack --- */

struct choice {
	struct store *s;
	uint32_t pack; /* 0: none */
	double dead;   /* its dead part */
};

/* A pack of before the store was opened that no row knows: a crash left it. (Of a newer one the rows may be on their way.) */
static int remove_unknown(struct store *s, uint32_t pack)
{
	struct pack_usage usage;
	struct free_row row;
	int ret;

	LOCK_SCOPE(&s->drain_lock);
	if (pack_is_busy(s, pack))
		return 0;
	{
		LOCK_SCOPE(&s->lock);
		ret = pack_usage(s->meta, pack, &usage);
		if (!ret && !usage.live_chunks)
			ret = free_next(s->meta, pack - 1, UINT32_MAX, &row);
	}
	if (ret < 0 || usage.live_chunks || (!ret && row.pack == pack))
		return ret < 0 ? ret : 0;
	return chunk_store_remove_pack(s->chunks, pack);
}

static int consider(void *arg, uint32_t pack, uint64_t bytes)
{
	struct choice *choice = arg;
	struct store *s = choice->s;
	struct pack_usage usage;
	uint64_t dead;
	int ret;

	if (pack_is_busy(s, pack) || is_left_alone(s, pack))
		return 0;
	{
		LOCK_SCOPE(&s->lock);
		ret = pack_usage(s->meta, pack, &usage);
	}
	if (ret)
		return ret;
	if (!usage.live_chunks)
		return pack <= s->compaction.last_old ? remove_unknown(s, pack) : 0;
	dead = bytes > usage.live_bytes ? bytes - usage.live_bytes : 0;
	if (dead < s->compaction.dead_min || dead * 100 <= bytes * s->compaction.dead_percent || (double)dead / (double)bytes <= choice->dead)
		return 0;
	choice->pack = pack;
	choice->dead = (double)dead / (double)bytes;
	return 0;
}

static int choose(struct store *s)
{
	struct choice choice = {.s = s};
	int ret = chunk_store_each_pack(s->chunks, consider, &choice);

	s->compaction.look = false;
	s->compaction.pack = ret ? 0 : choice.pack;
	s->compaction.off = 0;
	return ret;
}

/* --- moving --- */

/* The next chunks of the pack, at most a slice. */
static int next_slice(struct store *s, struct copy *copies, size_t *ret_n, bool *ret_last)
{
	AUTO_FREE struct chunk_row *rows = malloc(SLICE_CHUNKS * sizeof *rows);
	uint64_t bytes = 0;
	size_t n = 0, i;
	int ret;

	if (!rows)
		return -ENOMEM;
	{
		LOCK_SCOPE(&s->lock);
		ret = chunk_by_pack(s->meta, s->compaction.pack, s->compaction.off, rows, SLICE_CHUNKS, &n);
	}
	for (i = 0; !ret && i < n && bytes < SLICE_BYTES; i++) {
		copies[i] = (struct copy){.id = rows[i].id, .from = chunk_row_loc(&rows[i])};
		bytes += rows[i].stored_len;
	}
	*ret_n = i;
	*ret_last = i == n && n < SLICE_CHUNKS;
	return ret;
}

static int damaged(struct store *s, const struct copy *c)
{
	if (is_left_alone(s, c->from.pack))
		return 0;
	log_error("chunk %llu in pack %08x at %u cannot be read or is damaged: it stays there, like any other such chunk of the pack",
		  (unsigned long long)c->id, c->from.pack, c->from.off);
	return leave_alone(s, c->from.pack);
}

/* Copies what is whole; what is not drops out of the list. */
static int copy_slice(struct store *s, struct copy *copies, size_t *n)
{
	size_t kept = 0;
	int ret = 0;

	for (size_t i = 0; i < *n && ret >= 0; i++) {
		ret = chunk_writer_copy(s->compaction.mover, &copies[i].from, &copies[i].to);
		if (ret > 0) {
			ret = damaged(s, &copies[i]);
		} else if (!ret) {
			copies[kept++] = copies[i];
		}
	}
	*n = kept;
	return ret < 0 ? ret : chunk_writer_sync(s->compaction.mover);
}

/* Inside a transaction. The rows are all there: only the collector removes any, which is background work, too. */
static int move_rows(struct store *s, const struct copy *copies, size_t n)
{
	int ret = 0;

	for (size_t i = 0; i < n && !ret; i++)
		ret = chunk_move(s->meta, copies[i].id, copies[i].to.pack, copies[i].to.off);
	return ret;
}

static int move_slice(struct store *s, const struct copy *copies, size_t n)
{
	struct tx tx;
	int ret;

	if (!n)
		return 0;
	LOCK_SCOPE(&s->drain_lock);
	ret = tx_begin(s, NULL, TX_DRAIN, 0, &tx);
	if (ret)
		return ret;
	ret = tx_end_locked(&tx, move_rows(s, copies, n), NULL, 0, NULL);
	for (size_t i = 0; i < n && !ret; i++)
		stats_add(&s->stats.bytes_compacted, copies[i].from.stored_len);
	if (!ret)
		s->collected_seq = ring_head_seq(s->ring) - 1;
	(void)pthread_mutex_unlock(&s->lock);
	return ret;
}

static int slice(struct store *s)
{
	AUTO_FREE struct copy *copies = malloc(SLICE_CHUNKS * sizeof *copies);
	bool last = false;
	size_t n = 0;
	int ret = copies ? next_slice(s, copies, &n, &last) : -ENOMEM;

	if (!ret && n)
		s->compaction.off = copies[n - 1].from.off;
	if (!ret)
		ret = copy_slice(s, copies, &n);
	if (!ret)
		ret = move_slice(s, copies, n);
	if (!ret && last) {
		chunk_writer_trim(s->compaction.mover);
		s->compaction.pack = 0;
		s->compaction.look = true;
	}
	return ret;
}

static int begin(struct store *s)
{
	struct store_space space;
	int ret = host_space(s, &space);

	/* what is full gets its space back by punching first */
	if (ret || space.host_free < HOST_MARGIN + 2 * SLICE_BYTES)
		return ret ? ret : 1;
	return s->compaction.mover ? 0 : store_writer_new(s, &s->compaction.mover);
}

int compact_step(struct store *s, bool *ret_more)
{
	int ret;

	if (!s->compaction.pack && s->compaction.look) {
		ret = choose(s);
		if (ret)
			return ret;
	}
	if (!s->compaction.pack)
		return 0;
	ret = begin(s);
	if (!ret) {
		*ret_more = true;
		ret = slice(s);
	}
	if (ret) { /* another time: when something more has died */
		s->compaction.pack = 0;
		return ret < 0 ? ret : 0;
	}
	return 0;
}

void compact_free(struct store *s)
{
	chunk_writer_free(s->compaction.mover);
	free(s->compaction.left_alone);
}

/* Dead records of a pack that is being appended to wait for its end: begins new packs where that is worth while. maintain_lock held. */
int compact_end_packs(struct store *s)
{
	struct chunk_writer *writers[] = {s->writer, s->compaction.mover};
	int ret = 0;

	LOCK_SCOPE(&s->drain_lock);
	for (size_t i = 0; i < 2 && !ret; i++) {
		uint32_t pack = writers[i] ? chunk_writer_pack(writers[i]) : 0;
		struct pack_usage usage = {0};

		if (!pack)
			continue;
		{
			LOCK_SCOPE(&s->lock);
			ret = pack_usage(s->meta, pack, &usage);
		}
		if (!ret && chunk_writer_end(writers[i]) >= usage.live_bytes + s->compaction.dead_min)
			ret = chunk_writer_end_pack(writers[i]);
	}
	s->compaction.look = true;
	return ret;
}
