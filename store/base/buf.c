#include "store/base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/le.h"

#define BUF_CAP_MIN 256
#define VARINT_LEN_MAX 10

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

int buf_reserve(struct buf *b, size_t more)
{
	size_t cap = b->cap ? b->cap : BUF_CAP_MIN;
	uint8_t *data;

	if (more <= b->cap - b->len)
		return 0;
	if (more > SIZE_MAX / 2 - b->len)
		return -ENOMEM;
	while (cap - b->len < more)
		cap *= 2;
	data = realloc(b->data, cap);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->cap = cap;
	return 0;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
	int ret = buf_reserve(b, len);

	if (ret)
		return ret;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	return 0;
}

int buf_add_u8(struct buf *b, uint8_t v)
{
	return buf_add(b, &v, sizeof v);
}

int buf_add_le32(struct buf *b, uint32_t v)
{
	uint8_t le[sizeof v];

	le32_put(le, v);
	return buf_add(b, le, sizeof le);
}

int buf_add_le64(struct buf *b, uint64_t v)
{
	uint8_t le[sizeof v];

	le64_put(le, v);
	return buf_add(b, le, sizeof le);
}

int buf_add_varint(struct buf *b, uint64_t v)
{
	uint8_t out[VARINT_LEN_MAX];
	size_t n = 0;

	while (v >= 0x80) {
		out[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	out[n++] = (uint8_t)v;
	return buf_add(b, out, n);
}

int buf_add_svarint(struct buf *b, int64_t v)
{
	return buf_add_varint(b, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0));
}

int buf_add_bytes(struct buf *b, const void *data, size_t len)
{
	int ret = buf_reserve(b, VARINT_LEN_MAX + len); /* both parts are added, or neither */

	if (ret)
		return ret;
	(void)buf_add_varint(b, len);
	return buf_add(b, data, len);
}

const void *buf_get_raw(struct buf_reader *r, size_t len)
{
	const void *p = r->p;

	if (r->bad || len > buf_reader_left(r)) {
		r->bad = true;
		return NULL;
	}
	r->p += len;
	return p;
}

uint8_t buf_get_u8(struct buf_reader *r)
{
	const uint8_t *p = buf_get_raw(r, 1);

	return p ? *p : 0;
}

uint32_t buf_get_le32(struct buf_reader *r)
{
	const void *p = buf_get_raw(r, sizeof(uint32_t));

	return p ? le32_get(p) : 0;
}

uint64_t buf_get_le64(struct buf_reader *r)
{
	const void *p = buf_get_raw(r, sizeof(uint64_t));

	return p ? le64_get(p) : 0;
}

uint64_t buf_get_varint(struct buf_reader *r)
{
	uint64_t v = 0;
	uint8_t byte;

	for (unsigned shift = 0; shift < 7 * VARINT_LEN_MAX; shift += 7) {
		byte = buf_get_u8(r);
		if (r->bad)
			return 0;
		if (shift == 63 && byte > 1)
			break; /* does not fit in 64 bits */
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return v;
	}
	r->bad = true;
	return 0;
}

int64_t buf_get_svarint(struct buf_reader *r)
{
	uint64_t v = buf_get_varint(r);

	return (int64_t)((v >> 1) ^ (v & 1 ? UINT64_MAX : 0));
}

const void *buf_get_bytes(struct buf_reader *r, size_t *ret_len)
{
	uint64_t len = buf_get_varint(r);
	const void *p;

	if (len > buf_reader_left(r))
		r->bad = true;
	p = buf_get_raw(r, (size_t)len);
	if (p)
		*ret_len = (size_t)len;
	return p;
}
