#include "store/volume/write_buffer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void write_buffer_free(struct write_buffer *wb)
{
	free(wb->v);
	*wb = (struct write_buffer){0};
}

static int grow(struct write_buffer *wb, size_t want)
{
	size_t cap = wb->cap ? wb->cap : 8;
	struct range *v;

	if (want <= wb->cap)
		return 0;
	while (cap < want)
		cap *= 2;
	v = realloc(wb->v, cap * sizeof *v);
	if (!v)
		return -ENOMEM;
	wb->v = v;
	wb->cap = cap;
	return 0;
}

int write_buffer_reserve(struct write_buffer *wb)
{
	return grow(wb, wb->n + 2);
}

size_t write_buffer_seek(const struct write_buffer *wb, int64_t off)
{
	size_t lo = 0, hi = wb->n;

	/* appends are the common case */
	if (hi && wb->v[hi - 1].off + wb->v[hi - 1].len <= off)
		return hi;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (wb->v[mid].off + wb->v[mid].len <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void open_gap(struct write_buffer *wb, size_t at)
{
	assert(wb->n < wb->cap);
	if (at < wb->n)
		memmove(&wb->v[at + 1], &wb->v[at], (wb->n - at) * sizeof *wb->v);
	wb->n++;
}

void write_buffer_cut(struct write_buffer *wb, int64_t from, int64_t end)
{
	size_t i = write_buffer_seek(wb, from), last;

	if (i == wb->n)
		return;
	if (wb->v[i].off < from && wb->v[i].off + wb->v[i].len > end) {
		struct range right = wb->v[i];

		right.data += end - right.off;
		right.len -= end - right.off;
		right.off = end;
		wb->v[i].len = from - wb->v[i].off;
		open_gap(wb, i + 1);
		wb->v[i + 1] = right;
		wb->bytes -= end - from;
		return;
	}
	if (wb->v[i].off < from) {
		wb->bytes -= wb->v[i].off + wb->v[i].len - from;
		wb->v[i].len = from - wb->v[i].off;
		i++;
	}
	for (last = i; last < wb->n && wb->v[last].off + wb->v[last].len <= end; last++)
		wb->bytes -= wb->v[last].len;
	if (last < wb->n && wb->v[last].off < end) {
		int64_t gone = end - wb->v[last].off;

		wb->v[last].off += gone;
		wb->v[last].data += gone;
		wb->v[last].len -= gone;
		wb->bytes -= gone;
	}
	if (last < wb->n)
		memmove(&wb->v[i], &wb->v[last], (wb->n - last) * sizeof *wb->v);
	wb->n -= last - i;
}

void write_buffer_insert(struct write_buffer *wb, const struct range *r)
{
	size_t i = write_buffer_seek(wb, r->off);

	if (i < wb->n && wb->v[i].off < r->off + r->len) {
		write_buffer_cut(wb, r->off, r->off + r->len);
		i = write_buffer_seek(wb, r->off);
	}
	open_gap(wb, i);
	wb->v[i] = *r;
	wb->bytes += r->len;
}

int write_buffer_cut_through(struct write_buffer *wb, int64_t from, int64_t end, uint64_t seq)
{
	size_t i;

	if (write_buffer_reserve(wb))
		return -ENOMEM;
	for (i = write_buffer_seek(wb, from); i < wb->n && wb->v[i].off < end;) {
		struct range r = wb->v[i];
		int64_t cut_end = r.off + r.len < end ? r.off + r.len : end;

		if (r.seq > seq) {
			i++;
			continue;
		}
		/* at most the first and the last range keep a piece, and only a range that covers all of it is split */
		write_buffer_cut(wb, r.off > from ? r.off : from, cut_end);
		i = write_buffer_seek(wb, cut_end);
	}
	return 0;
}

int write_buffer_merge_under(struct write_buffer *to, struct write_buffer *from)
{
	struct write_buffer newer;
	size_t i;

	if (!to->n) {
		newer = *to;
		*to = *from;
		*from = newer;
		return 0;
	}
	/* each range put over the older ones may split one of them */
	if (grow(from, from->n + 2 * to->n + 2))
		return -ENOMEM;
	for (i = 0; i < to->n; i++)
		write_buffer_insert(from, &to->v[i]);
	newer = *to;
	*to = *from;
	newer.n = 0;
	newer.bytes = 0;
	*from = newer;
	return 0;
}

int64_t write_buffer_end(const struct write_buffer *wb)
{
	return wb->n ? wb->v[wb->n - 1].off + wb->v[wb->n - 1].len : 0;
}

void write_buffer_check(const struct write_buffer *wb)
{
	int64_t bytes = 0, end = 0;
	size_t i;

	for (i = 0; i < wb->n; i++) {
		assert(wb->v[i].len > 0);
		assert(wb->v[i].off >= end);
		end = wb->v[i].off + wb->v[i].len;
		bytes += wb->v[i].len;
	}
	assert(bytes == wb->bytes);
}
