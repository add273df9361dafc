/* A growable byte buffer, and a bounds-checked reader for parsers. */
#ifndef VARVE_BASE_BUF_H
#define VARVE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data;
	size_t len;
	size_t cap;
};

/* All-zero is an empty buffer. */
void buf_free(struct buf *b);
static inline void buf_reset(struct buf *b)
{
	b->len = 0;
}
/* Makes room for `more` bytes after len. 0 or -ENOMEM. */
int buf_reserve(struct buf *b, size_t more);
int buf_add(struct buf *b, const void *data, size_t len);
int buf_add_u8(struct buf *b, uint8_t v);
int buf_add_le32(struct buf *b, uint32_t v);
int buf_add_le64(struct buf *b, uint64_t v);
int buf_add_varint(struct buf *b, uint64_t v);  /* LEB128 */
int buf_add_svarint(struct buf *b, int64_t v);  /* zigzag, then LEB128 */
int buf_add_bytes(struct buf *b, const void *data, size_t len); /* varint length, then the bytes */

/* A reader never passes its end: after any failed get `bad` is set and every later get fails. */
struct buf_reader {
	const uint8_t *p;
	const uint8_t *end;
	bool bad;
};

static inline struct buf_reader buf_reader(const void *data, size_t len)
{
	return (struct buf_reader){data, (const uint8_t *)data + len, false};
}
static inline size_t buf_reader_left(const struct buf_reader *r)
{
	return (size_t)(r->end - r->p);
}
uint8_t buf_get_u8(struct buf_reader *r);
uint32_t buf_get_le32(struct buf_reader *r);
uint64_t buf_get_le64(struct buf_reader *r);
uint64_t buf_get_varint(struct buf_reader *r);
int64_t buf_get_svarint(struct buf_reader *r);
/* A pointer into the buffer, or NULL. */
const void *buf_get_bytes(struct buf_reader *r, size_t *ret_len);
const void *buf_get_raw(struct buf_reader *r, size_t len);

#endif
