#include "store/volume/effect.h"

#include <errno.h>

#include "store/base/err.h"

int effect_add(struct buf *b, const struct effect *e)
{
	int ret = buf_add_u8(b, e->kind);

	if (!ret)
		ret = buf_add_svarint(b, e->branch);
	if (!ret)
		ret = buf_add_varint(b, e->ino);
	if (e->kind != EFFECT_TIMES) {
		if (!ret)
			ret = buf_add_svarint(b, e->off);
		if (!ret)
			ret = buf_add_svarint(b, e->len);
	}
	if ((e->kind == EFFECT_WRITE || e->kind == EFFECT_TRIM) && !ret)
		ret = buf_add_svarint(b, e->size);
	if (e->kind == EFFECT_WRITE && !ret)
		ret = buf_add_svarint(b, e->mtime);
	if ((e->kind == EFFECT_WRITE || e->kind == EFFECT_DRAINED) && !ret)
		ret = buf_add_varint(b, e->seq);
	return ret;
}

int effect_next(struct buf_reader *r, struct effect *ret)
{
	struct effect e = {0};

	if (!buf_reader_left(r))
		return 1;
	e.kind = buf_get_u8(r);
	e.branch = buf_get_svarint(r);
	e.ino = buf_get_varint(r);
	if (e.kind < EFFECT_WRITE || e.kind > EFFECT_TIMES)
		return -ECORRUPT;
	if (e.kind != EFFECT_TIMES) {
		e.off = buf_get_svarint(r);
		e.len = buf_get_svarint(r);
	}
	if (e.kind == EFFECT_WRITE || e.kind == EFFECT_TRIM)
		e.size = buf_get_svarint(r);
	if (e.kind == EFFECT_WRITE)
		e.mtime = buf_get_svarint(r);
	if (e.kind == EFFECT_WRITE || e.kind == EFFECT_DRAINED)
		e.seq = buf_get_varint(r);
	if (r->bad || e.off < 0 || e.len < 0)
		return -ECORRUPT;
	*ret = e;
	return 0;
}

int effects_split(const void *effects, size_t len, const void **ret_rows, size_t *ret_rows_len, struct buf_reader *ret_buffers)
{
	struct buf_reader r = buf_reader(effects, len);
	size_t rows_len = 0;
	const void *rows;

	if (!len) {
		*ret_rows = NULL;
		*ret_rows_len = 0;
		*ret_buffers = r;
		return 0;
	}
	rows = buf_get_bytes(&r, &rows_len);
	if (r.bad)
		return -ECORRUPT;
	*ret_rows = rows;
	*ret_rows_len = rows_len;
	*ret_buffers = r;
	return 0;
}
