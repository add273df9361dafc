#include "tests/model/data.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "tests/model/alloc.h"
#include "tests/model/attribute.h"

#define COMPARE_STEP (256 * 1024)
#define HOLE_STEPS_MAX 4000

static const struct minode *pick_file(struct run *r, int *ret_vi)
{
	*ret_vi = run_volume(r);
	if (*ret_vi < 0)
		return NULL;
	return run_pick(r, r->state.v[*ret_vi]->tree, PICK_FILE | (rng_one_in(&r->rng, 8) ? PICK_ORPHAN : 0));
}

static struct minode *edit(struct run *r, int vi, uint64_t ino)
{
	return mtree_edit(&mstate_edit(&r->state, (size_t)vi)->tree, ino);
}

/* Whether a volume has room for more pages in the model. */
static bool has_room(struct run *r, int vi, size_t bytes)
{
	return mtree_pages(r->state.v[vi]->tree) + bytes / CONTENT_PAGE < RUN_PAGES_MAX;
}

static size_t random_len(struct run *r)
{
	switch (rng_below(&r->rng, 16)) {
	case 0:
		return rng_below(&r->rng, RUN_IO_MAX / 4) + 1;
	case 1:
	case 2:
		return rng_below(&r->rng, 65536) + 1;
	case 3:
	case 4:
	case 5:
		return CONTENT_PAGE * (rng_below(&r->rng, 4) + 1);
	default:
		return rng_below(&r->rng, 5000) + 1;
	}
}

/* In or a little beyond what a file holds near its beginning; often where pages begin. */
static int64_t random_off(struct run *r, const struct minode *m)
{
	uint64_t size = (uint64_t)m->size;
	int64_t off = (int64_t)rng_below(&r->rng, (size < 2 * MIB ? size : 2 * MIB) + (rng_one_in(&r->rng, 5) ? 20000 : 1));

	return rng_one_in(&r->rng, 3) ? off / CONTENT_PAGE * CONTENT_PAGE : off;
}

void data_write_at(struct run *r, int vi, uint64_t ino, int64_t off, size_t len, unsigned flags)
{
	struct minode *m = edit(r, vi, ino);
	uint64_t node = run_node(r, vi, m);
	struct op op = run_op(r);
	int64_t since = run_now();

	if (flags & FILE_WRITE_APPEND)
		off = m->size;
	pattern_fill(r->pattern, &r->rng, r->want, len);
	run_log(r, "write %s inode %" PRIu64 " off %" PRId64 " len %zu flags %u (size %" PRId64 ")", r->state.v[vi]->name, ino, off,
		len, flags, m->size);
	run_want(r, "file_write",
		 file_write(r->store, &op, node, r->want, len, flags & FILE_WRITE_APPEND ? 0 : off, flags, false), 0);
	content_write(&m->content, off, r->want, len);
	if (m->size < off + (int64_t)len)
		m->size = off + (int64_t)len;
	if (flags & FILE_WRITE_KILL_PRIV)
		attribute_kill_priv(m);
	run_adopt(r, vi, ino, flags & FILE_WRITE_KEEP_TIMES ? 0 : TIME_M | TIME_C, since);
	run_step(r);
}

bool data_write(struct run *r)
{
	int vi;
	const struct minode *m = pick_file(r, &vi);
	size_t len = random_len(r);
	unsigned flags = rng_one_in(&r->rng, 12) ? FILE_WRITE_KILL_PRIV : rng_one_in(&r->rng, 4) ? FILE_WRITE_KEEP_TIMES : 0;

	if (!m || !has_room(r, vi, len))
		return false;
	data_write_at(r, vi, m->ino, random_off(r, m), len, flags);
	return true;
}

bool data_append(struct run *r)
{
	int vi;
	const struct minode *m = pick_file(r, &vi);
	size_t len = random_len(r);

	if (!m || !has_room(r, vi, len) || m->size > (int64_t)(FILE_SIZE_MAX - RUN_IO_MAX))
		return false;
	data_write_at(r, vi, m->ino, 0, len, FILE_WRITE_APPEND);
	return true;
}

bool data_write_big(struct run *r)
{
	int vi;
	const struct minode *m = pick_file(r, &vi);
	size_t pieces = 2 + rng_below(&r->rng, 6), len = (rng_below(&r->rng, 40) + 8) * CONTENT_PAGE;
	bool swapped = rng_one_in(&r->rng, 2);
	int64_t off;
	uint64_t ino;

	if (!m || !has_room(r, vi, pieces * len))
		return false;
	ino = m->ino;
	off = rng_one_in(&r->rng, 2) ? 0 : random_off(r, m);
	for (size_t i = 0; i < pieces; i++) {
		/* the kernel's writeback delivers neighbours out of order */
		size_t at = swapped && (i ^ 1) < pieces ? i ^ 1 : i;

		data_write_at(r, vi, ino, off + (int64_t)(at * len), len, 0);
	}
	return true;
}

bool data_write_sparse(struct run *r)
{
	int vi;
	const struct minode *m = pick_file(r, &vi);
	size_t len = rng_below(&r->rng, 9000) + 1;
	struct op op = run_op(r);
	int64_t off;

	if (!m || !has_room(r, vi, len))
		return false;
	if (rng_one_in(&r->rng, 10)) {
		off = (int64_t)(FILE_SIZE_MAX - len) + 1 + (int64_t)rng_below(&r->rng, 100);
		run_log(r, "write beyond the largest size");
		run_want(r, "file_write", file_write(r->store, &op, run_node(r, vi, m), r->want, len, off, 0, false), -EFBIG);
		return true;
	}
	off = rng_one_in(&r->rng, 3) ? (int64_t)rng_below(&r->rng, 16 * TIB) : (int64_t)rng_below(&r->rng, 64 * MIB);
	if (rng_one_in(&r->rng, 20))
		off = (int64_t)(FILE_SIZE_MAX - len);
	data_write_at(r, vi, m->ino, off, len, 0);
	return true;
}

static size_t read_call(struct run *r, uint64_t node, int64_t off, size_t len)
{
	size_t got = 0;
	int ret = file_read(r->store, node, r->got, len, off, false, &got);

	if (ret)
		run_fail(r, "file_read of node %#" PRIx64 " at %" PRId64 " gave %d (%s)", node, off, ret, err_name(-ret));
	return got;
}

void data_compare_range(struct run *r, uint64_t node, const struct minode *m, int64_t off, size_t len)
{
	size_t got = read_call(r, node, off, len), want = 0;

	if (off < m->size)
		want = (int64_t)len < m->size - off ? len : (size_t)(m->size - off);
	if (got != want)
		run_fail(r, "node %#" PRIx64 ": reading %zu bytes at %" PRId64 " of %" PRId64 " gave %zu, expected %zu", node, len, off,
			 m->size, got, want);
	content_read(m->content, off, r->want, want);
	if (!memcmp(r->got, r->want, want))
		return;
	for (size_t i = 0; i < want; i++)
		if (r->got[i] != r->want[i]) {
			size_t end = want;

			while (r->got[end - 1] == r->want[end - 1])
				end--;
			run_fail(r, "node %#" PRIx64 ": bytes differ from offset %" PRId64 " to %" PRId64 " (size %" PRId64
				    "); the first is %#x, expected %#x",
				 node, off + (int64_t)i, off + (int64_t)end, m->size, r->got[i], r->want[i]);
		}
}

void data_compare(struct run *r, uint64_t node, const struct minode *m)
{
	int64_t at = 0;

	if (m->size <= COMPARE_STEP) {
		data_compare_range(r, node, m, 0, COMPARE_STEP);
		return;
	}
	while (at < m->size) {
		int64_t page = content_next(m->content, at), data = m->size;
		int ret = file_lseek(r->store, node, at, SEEK_DATA, &data);

		if (ret && ret != -ENXIO)
			run_fail(r, "file_lseek of node %#" PRIx64 " gave %d (%s)", node, ret, err_name(-ret));
		if (page >= 0 && page < data)
			data = page > at ? page : at;
		if (data >= m->size)
			break;
		data_compare_range(r, node, m, data, COMPARE_STEP);
		at = data + COMPARE_STEP;
	}
	data_compare_range(r, node, m, m->size - 1, 2);
}

void data_compare_holes(struct run *r, uint64_t node, const struct minode *m)
{
	int64_t at = 0, next;

	for (int steps = 0; steps < HOLE_STEPS_MAX; steps++) {
		int ret = file_lseek(r->store, node, at, SEEK_DATA, &next);

		if (ret && ret != -ENXIO)
			run_fail(r, "SEEK_DATA of node %#" PRIx64 " gave %d (%s)", node, ret, err_name(-ret));
		if (ret)
			next = m->size;
		if (next < at || next > m->size)
			run_fail(r, "SEEK_DATA at %" PRId64 " of node %#" PRIx64 " (size %" PRId64 ") gave %" PRId64, at, node, m->size,
				 next);
		if (!content_is_zero(m->content, at, next))
			run_fail(r, "node %#" PRIx64 ": SEEK_DATA calls [%" PRId64 ", %" PRId64 ") a hole, which has data", node, at, next);
		if (next == m->size)
			return;
		run_want(r, "SEEK_HOLE", file_lseek(r->store, node, next, SEEK_HOLE, &at), 0);
		if (at <= next || at > m->size)
			run_fail(r, "SEEK_HOLE at %" PRId64 " of node %#" PRIx64 " (size %" PRId64 ") gave %" PRId64, next, node, m->size,
				 at);
		if (at == m->size)
			return;
	}
}

bool data_read(struct run *r)
{
	int vi;
	const struct minode *m = pick_file(r, &vi);
	size_t len = random_len(r);
	int64_t off;

	if (!m)
		return false;
	off = rng_one_in(&r->rng, 8) ? (int64_t)rng_below(&r->rng, (uint64_t)m->size + 10) : random_off(r, m);
	run_log(r, "read %s inode %" PRIu64 " off %" PRId64 " len %zu", r->state.v[vi]->name, m->ino, off, len);
	data_compare_range(r, run_node(r, vi, m), m, off, len);
	return true;
}

bool data_seek(struct run *r)
{
	int vi;
	const struct minode *m = pick_file(r, &vi);
	uint64_t node;
	int64_t pos;

	if (!m)
		return false;
	node = run_node(r, vi, m);
	run_log(r, "seek %s inode %" PRIu64, r->state.v[vi]->name, m->ino);
	run_want(r, "SEEK_DATA at the end", file_lseek(r->store, node, m->size, SEEK_DATA, &pos), -ENXIO);
	run_want(r, "SEEK_HOLE beyond the end", file_lseek(r->store, node, m->size + 1, SEEK_HOLE, &pos), -ENXIO);
	if (m->size)
		data_compare_holes(r, node, m);
	return true;
}

bool data_fallocate(struct run *r)
{
	static const int modes[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
				    FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
	int mode = modes[rng_below(&r->rng, 6)], vi;
	const struct minode *old = pick_file(r, &vi);
	int64_t len = (int64_t)random_len(r) * (rng_one_in(&r->rng, 6) ? 20 : 1), since = run_now(), off;
	struct op op = run_op(r);
	struct minode *m;

	if (!old)
		return false;
	m = edit(r, vi, old->ino);
	off = random_off(r, m);
	run_log(r, "fallocate %s inode %" PRIu64 " mode %#x off %" PRId64 " len %" PRId64 " (size %" PRId64 ")", r->state.v[vi]->name,
		m->ino, (unsigned)mode, off, len, m->size);
	run_want(r, "file_fallocate", file_fallocate(r->store, &op, run_node(r, vi, m), mode, off, len), 0);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		content_zero(&m->content, off, off + len);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && off + len > m->size)
		m->size = off + len;
	run_adopt(r, vi, m->ino, TIME_M | TIME_C, since);
	run_step(r);
	return true;
}

/* The model's side of a copy, in pieces: source and destination may be 16 TiB of nothing. */
static void copy_in_model(struct minode *to, int64_t to_off, const struct content *from, int64_t from_off, int64_t len)
{
	uint8_t page[CONTENT_PAGE];
	int64_t end = from_off + len;

	content_zero(&to->content, to_off, to_off + len);
	for (int64_t at = content_next(from, from_off); at >= 0 && at < end; at = content_next(from, at + CONTENT_PAGE)) {
		int64_t first = at < from_off ? from_off : at, last = at + CONTENT_PAGE < end ? at + CONTENT_PAGE : end;

		content_read(from, first, page, (size_t)(last - first));
		content_write(&to->content, to_off + first - from_off, page, (size_t)(last - first));
	}
	if (to->size < to_off + len)
		to->size = to_off + len;
}

bool data_copy(struct run *r)
{
	int from_vi, to_vi;
	const struct minode *from = pick_file(r, &from_vi), *to = rng_one_in(&r->rng, 4) ? from : NULL;
	struct op op = run_op(r);
	int64_t len = (int64_t)random_len(r), from_off, to_off, want, copied = -1, since = run_now();
	struct content *source;
	struct minode *m;

	to_vi = from_vi;
	if (!to)
		to = pick_file(r, &to_vi);
	if (!from || !to || !has_room(r, to_vi, (size_t)len))
		return false;
	from_off = random_off(r, from);
	to_off = random_off(r, to);
	want = from_off >= from->size ? 0 : len < from->size - from_off ? len : from->size - from_off;
	if (from_vi == to_vi && from->ino == to->ino && from_off < to_off + len && to_off < from_off + len)
		return false;
	run_log(r, "copy %s inode %" PRIu64 " off %" PRId64 " to %s inode %" PRIu64 " off %" PRId64 " len %" PRId64 " (sizes %" PRId64
		   ", %" PRId64 ")",
		r->state.v[from_vi]->name, from->ino, from_off, r->state.v[to_vi]->name, to->ino, to_off, len, from->size, to->size);
	run_want(r, "file_copy_range",
		 file_copy_range(r->store, &op, run_node(r, from_vi, from), from_off, run_node(r, to_vi, to), to_off, len, &copied), 0);
	if (copied > want || (want && copied <= 0) || copied < 0)
		run_fail(r, "file_copy_range copied %" PRId64 " bytes, expected %" PRId64, copied, want);
	if (!copied)
		return true;
	source = content_ref(from->content);
	m = edit(r, to_vi, to->ino);
	copy_in_model(m, to_off, source, from_off, copied);
	content_unref(source);
	run_adopt(r, to_vi, m->ino, TIME_M | TIME_C, since);
	data_compare_range(r, run_node(r, to_vi, m), m, to_off, (size_t)copied);
	run_step(r);
	return true;
}

void data_fsync_of(struct run *r, int vi, uint64_t ino)
{
	const struct mvolume *v = r->state.v[vi];

	run_log(r, "fsync %s inode %" PRIu64, v->name, ino);
	run_want(r, "file_fsync", file_fsync(r->store, run_node(r, vi, mtree_get(v->tree, ino))), 0);
	run_synced_file(r, v->id, ino);
}

bool data_fsync(struct run *r)
{
	int vi;
	const struct minode *m = pick_file(r, &vi);

	if (!m)
		return false;
	data_fsync_of(r, vi, m->ino);
	return true;
}
