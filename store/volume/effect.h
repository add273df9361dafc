/* What a record says of write buffers, beside the row effects that store/meta encodes. A record's effects are
 *
 *   varint length of the row effects, the row effects, then buffer effects until the end
 *
 * and a buffer effect is a kind byte, then as signed varints: branch, ino, and the fields that its kind has. */
#ifndef VARVE_VOLUME_EFFECT_H
#define VARVE_VOLUME_EFFECT_H

#include "store/base/buf.h"

enum effect_kind {
	EFFECT_WRITE = 1,   /* off len size mtime seq: the next `len` bytes of the record's data; seq 0: the record's own number */
	EFFECT_TRIM = 2,    /* off len size: that range is no longer buffered; size is the file's, if anything still is */
	EFFECT_DRAINED = 3, /* off len seq: in that range, what records up to seq wrote is in extents */
	EFFECT_TIMES = 4,   /* the buffered mtime no longer counts */
};

struct effect {
	enum effect_kind kind;
	int64_t branch;
	uint64_t ino;
	int64_t off, len, size, mtime;
	uint64_t seq;
};

int effect_add(struct buf *b, const struct effect *e);
/* >0 at the end, -ECORRUPT when it does not parse. */
int effect_next(struct buf_reader *r, struct effect *ret);
/* Splits a record's effects; -ECORRUPT. */
int effects_split(const void *effects, size_t len, const void **ret_rows, size_t *ret_rows_len, struct buf_reader *ret_buffers);

#endif
