#include "store/repo/ino_blocks.h"

#include <stdlib.h>

#include "store/base/cleanup.h"
#include "store/meta/xattr.h"

/* Half of all numbers that a node id has room for. */
#define INO_LIMIT (UINT64_C(1) << 39)

int ino_blocks_map(const struct ino_blocks *b, uint64_t remote, uint64_t *ret)
{
	if (remote == b->root_remote) {
		*ret = b->root_local;
		return 0;
	}
	for (size_t i = 0; i < b->n; i++)
		if (remote >= b->v[i].first && remote - b->v[i].first < b->v[i].n) {
			*ret = b->v[i].local + (remote - b->v[i].first);
			return 0;
		}
	return -ECORRUPT;
}

static int add(struct ino_blocks *b, const struct ino_block *one)
{
	struct ino_block *more = realloc(b->v, (b->n + 1) * sizeof *more);

	if (!more)
		return -ENOMEM;
	more[b->n++] = *one;
	b->v = more;
	return 0;
}

int ino_blocks_load(struct ino_blocks *b, struct meta *m, const struct meta_view *v)
{
	AUTO_FREE void *value = NULL;
	struct buf_reader r;
	size_t len;
	int bad = xattr_get(m, v, b->root_local, XATTR_ORIGIN, &value, &len);

	if (bad)
		return bad == -ENODATA ? 0 : bad;
	r = buf_reader(value, len);
	while (!bad && buf_reader_left(&r)) {
		struct ino_block one = {.first = buf_get_varint(&r)};

		one.n = buf_get_varint(&r);
		one.local = buf_get_varint(&r);
		bad = r.bad ? -ECORRUPT : add(b, &one);
	}
	return bad;
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

int ino_blocks_extend(struct ino_blocks *b, struct meta *m, uint64_t last_ino)
{
	uint64_t next = 1, n;

	for (size_t i = 0; i < b->n; i++)
		if (b->v[i].first + b->v[i].n > next)
			next = b->v[i].first + b->v[i].n;
	if (last_ino < next)
		return 0;
	n = last_ino - next + 1;
	if (n > INO_LIMIT || meta_last_ino(m) > INO_LIMIT)
		return -EFBIG;
	return add(b, &(struct ino_block){next, n, meta_reserve_inos(m, n)});
}
