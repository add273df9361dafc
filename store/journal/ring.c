/* The memfd: a header page, the user's page, then the data area. Offsets into the data area are virtual: they only
 * grow, and the place is the offset modulo the area's size. The first lap begins at offset `size`, so that 0 is never
 * an offset.
 *
 * What a reader may rely on is one `struct ring_state`. There are two slots; the writer fills the one not in use, then
 * makes it current by storing `turn` (its parity names the slot). A process killed between any two instructions
 * therefore leaves the state before or the state after, never a mixture. Everything a state covers was written before
 * it.
 *
 * Invariants, for the current state:
 *   1. tail_off <= head_off <= tail_off + size; both are multiples of RECORD_ALIGN
 *   2. tail_seq <= head_seq; equal exactly when the offsets are
 *   3. from tail_off to head_off lie the records tail_seq ... head_seq - 1, each contiguous, at most one skip marker a
 *      lap
 * An empty ring starts over at the beginning of its area: any record up to the limit fits then, in pages already paid
 * for.
 *
 * Pages are neither touched before they are needed nor given back: fresh memory is dear.
 *
 * `marks` is private to the process: the offset of every MARK_EVERY-th record, so that finding a number or releasing
 * many records does not walk them all. */
#include "store/journal/ring.h"

#include <assert.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/err.h"
#include "store/base/le.h"
#include "store/base/limits.h"

#define RING_MAGIC 0x474e495245565256ULL /* "VRVERING" */
#define RING_VERSION 1
#define RING_HEADER_LEN 4096
#define RING_DATA_OFF (RING_HEADER_LEN + RING_USER_LEN)
#define RING_SIZE_UNIT (2 * MIB)
#define RECORD_ALIGN 64
#define SKIP_MAGIC 0x50494b53u /* "SKIP" */
#define MARK_EVERY 512

struct ring_state {
	uint64_t head_off;
	uint64_t head_seq;
	uint64_t tail_off;
	uint64_t tail_seq;
};

/* Lives in the memfd. Only processes of one machine share it, so it is a plain struct, guarded by the version. */
struct ring_header {
	_Atomic uint64_t magic;
	uint64_t version;
	uint64_t size; /* of the data area */
	_Atomic uint64_t turn;
	struct ring_state state[2];
};

struct ring {
	int fd;
	uint8_t *map;
	size_t map_len;
	struct ring_header *header;
	uint8_t *data;
	size_t size;
	struct ring_state state; /* what is published */
	bool pending;            /* a record is reserved, from state.head_off to pending_off */
	uint64_t pending_off;
	uint64_t *marks; /* [(seq / MARK_EVERY) & mark_mask]: offset of record seq, 0 unknown */
	uint64_t mark_mask;
};

static size_t align_up(size_t n)
{
	return (n + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1);
}

static size_t data_start(size_t effects_len)
{
	return align_up(RECORD_HEADER_LEN + effects_len);
}

size_t ring_record_size(size_t effects_len, size_t data_len)
{
	return data_start(effects_len) + align_up(data_len);
}

static void publish(struct ring *r, const struct ring_state *state)
{
	uint64_t turn = atomic_load_explicit(&r->header->turn, memory_order_relaxed) + 1;

	r->header->state[turn & 1] = *state;
	atomic_store_explicit(&r->header->turn, turn, memory_order_release);
	/* The slot given up may be filled again only after that. */
	atomic_signal_fence(memory_order_seq_cst);
	r->state = *state;
}

static uint64_t to_end(const struct ring *r, uint64_t off)
{
	return r->size - off % r->size;
}

static void mark_set(struct ring *r, uint64_t seq, uint64_t off)
{
	if (seq % MARK_EVERY == 0)
		r->marks[(seq / MARK_EVERY) & r->mark_mask] = off;
}

/* Reads record `seq`, which is at `*off` or behind a skip marker there; moves *off to its end and gives its start. */
static int record_at(const struct ring *r, uint64_t seq, uint64_t *off, struct record *ret, uint64_t *ret_start)
{
	uint64_t at = *off;
	uint64_t left = r->state.head_off - at;
	struct record rec;
	size_t len;
	int err;

	if (left >= RECORD_ALIGN && le32_get(r->data + at % r->size) == SKIP_MAGIC) {
		if (to_end(r, at) >= left)
			return -ECORRUPT;
		left -= to_end(r, at);
		at += to_end(r, at);
	}
	if (left > to_end(r, at))
		left = to_end(r, at);
	err = record_decode(r->data + at % r->size, left, RECORD_SUM_HEAD, &rec, &len);
	if (err)
		return err;
	if (rec.seq != seq || ring_record_size(rec.effects_len, rec.data_len) > left)
		return -ECORRUPT;
	rec.data = r->data + at % r->size + data_start(rec.effects_len);
	*ret = rec;
	*ret_start = at;
	*off = at + ring_record_size(rec.effects_len, rec.data_len);
	return 0;
}

/* Where to look for record `seq` (its start, or a skip marker before it). */
static int find(const struct ring *r, uint64_t seq, uint64_t *ret_off)
{
	uint64_t near = seq / MARK_EVERY * MARK_EVERY;
	uint64_t at = r->state.tail_seq;
	uint64_t off = r->state.tail_off;
	struct record rec;
	uint64_t start;

	if (seq == r->state.head_seq) {
		*ret_off = r->state.head_off;
		return 0;
	}
	if (near > at && r->marks[(near / MARK_EVERY) & r->mark_mask]) {
		at = near;
		off = r->marks[(near / MARK_EVERY) & r->mark_mask];
	}
	for (; at < seq; at++) {
		int ret = record_at(r, at, &off, &rec, &start);

		if (ret)
			return ret;
	}
	*ret_off = off;
	return 0;
}

static int ring_map(struct ring *r, size_t map_len)
{
	uint64_t marks = 1;

	r->map = mmap(NULL, map_len, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (r->map == MAP_FAILED) {
		r->map = NULL;
		return -errno;
	}
	r->map_len = map_len;
	r->header = (struct ring_header *)r->map;
	r->data = r->map + RING_DATA_OFF;
	r->size = map_len - RING_DATA_OFF;
	while (marks < r->size / RECORD_ALIGN / MARK_EVERY + 2)
		marks *= 2;
	r->mark_mask = marks - 1;
	r->marks = calloc(marks, sizeof *r->marks);
	return r->marks ? 0 : -ENOMEM;
}

static int ring_new(struct ring **ret)
{
	struct ring *r = calloc(1, sizeof *r);

	if (!r)
		return -ENOMEM;
	r->fd = -1;
	*ret = r;
	return 0;
}

int ring_create(size_t size, uint64_t first_seq, struct ring **ret)
{
	size_t map_len = (size + RING_SIZE_UNIT - 1) / RING_SIZE_UNIT * RING_SIZE_UNIT;
	struct ring *r;
	int err;

	assert(size > 0);
	assert(first_seq > 0);
	err = ring_new(&r);
	if (err)
		return err;
	r->fd = memfd_create("varve-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (r->fd < 0 || ftruncate(r->fd, (off_t)map_len) ||
	    fcntl(r->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		err = -errno;
		goto fail;
	}
	err = ring_map(r, map_len);
	if (err)
		goto fail;
	r->header->version = RING_VERSION;
	r->header->size = r->size;
	publish(r, &(struct ring_state){r->size, first_seq, r->size, first_seq});
	/* Last, so that a half-made ring is none. */
	atomic_store_explicit(&r->header->magic, RING_MAGIC, memory_order_release);
	*ret = r;
	return 0;
fail:
	ring_free(r);
	return err;
}

/* The header may be anything: invariants 1 and 2, before any offset is used. */
static bool state_plausible(const struct ring *r, const struct ring_state *s)
{
	uint64_t used = s->head_off - s->tail_off;

	return s->tail_off >= r->size && s->head_off >= s->tail_off && used <= r->size && s->tail_seq > 0 &&
	       s->head_seq >= s->tail_seq && s->head_off % RECORD_ALIGN == 0 && s->tail_off % RECORD_ALIGN == 0 &&
	       (s->head_seq == s->tail_seq) == (used == 0) && s->head_seq - s->tail_seq <= used / RECORD_ALIGN;
}

static int records_verify(struct ring *r)
{
	uint64_t off = r->state.tail_off;

	for (uint64_t seq = r->state.tail_seq; seq < r->state.head_seq; seq++) {
		struct record rec;
		uint64_t start;
		int err = record_at(r, seq, &off, &rec, &start);

		if (err)
			return err;
		mark_set(r, seq, start);
	}
	return off == r->state.head_off ? 0 : -ECORRUPT;
}

int ring_attach(int fd, struct ring **ret)
{
	struct ring *r;
	struct stat st;
	int err;

	*ret = NULL;
	err = ring_new(&r);
	if (err)
		return err;
	r->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (r->fd < 0 || fstat(r->fd, &st)) {
		err = -errno;
		goto fail;
	}
	err = -ECORRUPT;
	if (st.st_size <= RING_DATA_OFF || st.st_size % (off_t)RING_SIZE_UNIT)
		goto fail;
	err = ring_map(r, (size_t)st.st_size);
	if (err)
		goto fail;
	r->state = r->header->state[atomic_load_explicit(&r->header->turn, memory_order_acquire) & 1];
	if (r->header->magic != RING_MAGIC || r->header->version != RING_VERSION || r->header->size != r->size ||
	    !state_plausible(r, &r->state)) {
		err = -ECORRUPT;
		goto fail;
	}
	*ret = r;
	return records_verify(r);
fail:
	ring_free(r);
	return err;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	if (r->map)
		(void)munmap(r->map, r->map_len);
	if (r->fd >= 0)
		(void)close(r->fd);
	free(r->marks);
	free(r);
}

int ring_fd(const struct ring *r)
{
	return r->fd;
}

size_t ring_size(const struct ring *r)
{
	return r->size;
}

size_t ring_free_space(const struct ring *r)
{
	uint64_t head = r->pending ? r->pending_off : r->state.head_off;
	uint64_t space = r->size - (head - r->state.tail_off);
	uint64_t end = to_end(r, head);
	uint64_t whole;
	uint64_t sum;

	if (head == r->state.tail_off || space <= end)
		return space;
	/* Both the end and the beginning have room: a single record has the larger. When that takes any record, many can
	 * use both, and at most one record's length is lost to the skip. */
	whole = end > space - end ? end : space - end;
	sum = space - (end < RECORD_SIZE_MAX ? end : RECORD_SIZE_MAX);
	return whole >= RECORD_SIZE_MAX && sum > whole ? sum : whole;
}

uint64_t ring_head_seq(const struct ring *r)
{
	return r->state.head_seq;
}

uint64_t ring_tail_seq(const struct ring *r)
{
	return r->state.tail_seq;
}

/* Finds `size` contiguous bytes; leaves a skip marker when they are not at the head. */
static int place(struct ring *r, size_t size, uint64_t *ret_off)
{
	uint64_t off = r->state.head_off;
	uint64_t space;

	if (off == r->state.tail_off && off % r->size) {
		struct ring_state over = r->state;

		over.head_off = over.tail_off = off + to_end(r, off);
		publish(r, &over);
		off = over.head_off;
	}
	space = r->size - (off - r->state.tail_off);
	if (size > to_end(r, off)) {
		if (space < to_end(r, off) || size > space - to_end(r, off))
			return -ENOSPC;
		le32_put(r->data + off % r->size, SKIP_MAGIC);
		off += to_end(r, off);
	} else if (size > space) {
		return -ENOSPC;
	}
	*ret_off = off;
	return 0;
}

int ring_append(struct ring *r, const struct record_head *head, const void *effects, size_t effects_len,
		const void *data, size_t data_len, uint64_t *ret_seq, void **ret_data)
{
	struct record rec = {r->state.head_seq, *head, effects, effects_len, data, data_len};
	size_t limit = r->size < RECORD_SIZE_MAX ? r->size : RECORD_SIZE_MAX;
	uint64_t off;
	uint8_t *p;
	int err;

	assert(!r->pending);
	if (effects_len > limit || data_len > limit || ring_record_size(effects_len, data_len) > limit)
		return -EMSGSIZE;
	err = place(r, ring_record_size(effects_len, data_len), &off);
	if (err)
		return err;
	p = r->data + off % r->size;
	record_encode(p, &rec, RECORD_SUM_HEAD);
	if (effects_len)
		memcpy(p + RECORD_HEADER_LEN, effects, effects_len);
	if (data && data_len)
		memcpy(p + data_start(effects_len), data, data_len);
	mark_set(r, rec.seq, off);
	r->pending = true;
	r->pending_off = off + ring_record_size(effects_len, data_len);
	if (data || !data_len)
		ring_publish(r);
	if (ret_seq)
		*ret_seq = rec.seq;
	if (ret_data)
		*ret_data = p + data_start(effects_len);
	return 0;
}

void ring_publish(struct ring *r)
{
	struct ring_state next = r->state;

	assert(r->pending);
	next.head_off = r->pending_off;
	next.head_seq++;
	r->pending = false;
	publish(r, &next);
}

int ring_next(struct ring *r, struct ring_pos *pos, struct record *ret)
{
	uint64_t start;
	int err;

	assert(pos->seq >= r->state.tail_seq);
	if (pos->seq >= r->state.head_seq)
		return 1;
	/* An offset from before the tail is stale: the ring was emptied and started over since. */
	if (pos->off < r->state.tail_off) {
		err = find(r, pos->seq, &pos->off);
		if (err)
			return err;
	}
	err = record_at(r, pos->seq, &pos->off, ret, &start);
	if (err)
		return err;
	pos->seq++;
	return 0;
}

void ring_release(struct ring *r, uint64_t seq)
{
	struct ring_state next = r->state;

	assert(seq <= r->state.head_seq);
	if (seq <= r->state.tail_seq)
		return;
	/* Past a record that does not check nothing can be found: keep all, the caller sets such a ring aside. */
	if (find(r, seq, &next.tail_off))
		return;
	next.tail_seq = seq;
	publish(r, &next);
}

void *ring_user(struct ring *r)
{
	return r->map + RING_HEADER_LEN;
}

void ring_check(struct ring *r)
{
	uint64_t turn = atomic_load_explicit(&r->header->turn, memory_order_relaxed);
	uint64_t off = r->state.tail_off;

	assert(r->header->magic == RING_MAGIC);
	assert(r->header->size == r->size);
	assert(memcmp(&r->header->state[turn & 1], &r->state, sizeof r->state) == 0);
	assert(state_plausible(r, &r->state));
	assert(ring_free_space(r) <= r->size);
	if (r->pending)
		assert(r->pending_off > r->state.head_off && r->pending_off - r->state.tail_off <= r->size);
	for (uint64_t seq = r->state.tail_seq; seq < r->state.head_seq; seq++) {
		struct record rec;
		uint64_t start;
		int err = record_at(r, seq, &off, &rec, &start);

		assert(!err);
		if (seq % MARK_EVERY == 0)
			assert(r->marks[(seq / MARK_EVERY) & r->mark_mask] == start);
	}
	assert(off == r->state.head_off);
}
