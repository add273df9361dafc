#include "store/repo/ino_blocks.h"

#include <stdlib.h>

#include "store/base/array.h"
#include "store/base/cleanup.h"
#include "store/meta/xattr.h"

/* Half of all numbers that a node id has room for. */
#define INO_LIMIT (UINT64_C(1) << 39)

int ino_blocks_map(const struct ino_blocks *b, uint64_t remote, uint64_t *ret)
{
	size_t low = 0, high = b->n; /* the first block that begins after it */

	if (remote == b->root_remote) {
		*ret = b->root_local;
		return 0;
	}
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (b->v[mid].first <= remote)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low || remote - b->v[low - 1].first >= b->v[low - 1].n)
		return -ECORRUPT;
	*ret = b->v[low - 1].local + (remote - b->v[low - 1].first);
	return *ret == b->root_local ? -ECORRUPT : 0;
}

static int add(struct ino_blocks *b, const struct ino_block *one)
{
	int r = array_grow(&b->v, &b->cap, b->n, sizeof *b->v);

	if (!r)
		b->v[b->n++] = *one;
	return r;
}

static int by_first(const void *a, const void *b)
{
	const struct ino_block *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static int by_local(const void *a, const void *b)
{
	const struct ino_block *x = a, *y = b;

	return x->local < y->local ? -1 : x->local > y->local;
}

/* In order, and as few as they can be: where one history after another comes into a store, one block goes on. */
static void settle(struct ino_blocks *b)
{
	size_t kept = 0;

	if (b->n)
		qsort(b->v, b->n, sizeof *b->v, by_first);
	for (size_t i = 0; i < b->n; i++) {
		struct ino_block *last = kept ? &b->v[kept - 1] : NULL, *one = &b->v[i];

		if (last && last->first + last->n == one->first && last->local + last->n == one->local)
			last->n += one->n;
		else
			b->v[kept++] = *one;
	}
	b->n = kept;
}

static int parse(struct ino_blocks *b, const void *data, size_t len)
{
	struct buf_reader r = buf_reader(data, len);
	int bad = 0;

	while (!bad && buf_reader_left(&r)) {
		struct ino_block one = {.first = buf_get_varint(&r)};

		one.n = buf_get_varint(&r);
		one.local = buf_get_varint(&r);
		bad = r.bad ? -ECORRUPT : add(b, &one);
	}
	return bad;
}

int ino_blocks_load(struct ino_blocks *b, struct meta *m, const struct meta_view *v)
{
	AUTO_FREE void *value = NULL;
	size_t len;
	int bad = xattr_get(m, v, b->root_local, XATTR_ORIGIN, &value, &len);

	if (!bad)
		bad = parse(b, value, len);
	settle(b);
	return bad == -ENODATA ? 0 : bad;
}

int ino_blocks_identity(struct ino_blocks *ret, uint64_t last_ino)
{
	return add(ret, &(struct ino_block){1, last_ino, 1});
}

int ino_blocks_invert(struct ino_blocks *ret, const void *data, size_t len)
{
	int bad = parse(ret, data, len);

	for (size_t i = 0; i < ret->n && !bad; i++) {
		struct ino_block *one = &ret->v[i];

		if (!one->first || !one->n || !one->local || one->first > INO_LIMIT || one->n > INO_LIMIT ||
		    one->local > INO_LIMIT)
			bad = -ECORRUPT;
		*one = (struct ino_block){one->local, one->n, one->first};
	}
	if (bad || !ret->n)
		return bad;
	qsort(ret->v, ret->n, sizeof *ret->v, by_local);
	for (size_t i = 1; i < ret->n && !bad; i++)
		if (ret->v[i - 1].local + ret->v[i - 1].n > ret->v[i].local)
			bad = -ECORRUPT;
	settle(ret);
	for (size_t i = 1; i < ret->n && !bad; i++)
		if (ret->v[i - 1].first + ret->v[i - 1].n > ret->v[i].first)
			bad = -ECORRUPT;
	return bad;
}

int ino_blocks_check(const struct ino_blocks *b, const struct meta *m)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->v[i].local + b->v[i].n - 1 > meta_last_ino(m))
			return -ECORRUPT;
	return 0;
}

int ino_blocks_store(const struct ino_blocks *b, struct meta *m, struct branch *branch)
{
	struct buf value = {0};
	int bad = 0;

	for (size_t i = 0; i < b->n && !bad; i++) {
		bad = buf_add_varint(&value, b->v[i].first);
		if (!bad)
			bad = buf_add_varint(&value, b->v[i].n);
		if (!bad)
			bad = buf_add_varint(&value, b->v[i].local);
	}
	if (!bad)
		bad = xattr_set(m, branch, b->root_local, XATTR_ORIGIN, value.data ? value.data : (const uint8_t *)"",
				value.len, 0);
	buf_free(&value);
	return bad;
}

/* Numbers of the store's own for [first, end). */
static int reserve(struct ino_blocks *b, struct meta *m, uint64_t first, uint64_t end)
{
	uint64_t n = end - first;

	if (n > INO_LIMIT || meta_last_ino(m) > INO_LIMIT)
		return -EFBIG;
	return add(b, &(struct ino_block){first, n, meta_reserve_inos(m, n)});
}

int ino_blocks_extend(struct ino_blocks *b, struct meta *m, uint64_t last_ino)
{
	size_t known = b->n;
	uint64_t next = 1;
	int bad = 0;

	for (size_t i = 0; i < known && !bad; i++) {
		if (b->v[i].first > next && next <= last_ino)
			bad = reserve(b, m, next, b->v[i].first);
		if (b->v[i].first + b->v[i].n > next)
			next = b->v[i].first + b->v[i].n;
	}
	if (!bad && next <= last_ino)
		bad = reserve(b, m, next, last_ino + 1);
	settle(b);
	return bad;
}
