#include "store/journal/record.h"

#include <assert.h>

/* Inlined hashing spares the dispatch for the short inputs that most records are. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "store/base/err.h"
#include "store/base/le.h"

#define RECORD_MAGIC 0x43455256u /* "VREC" */

enum {
	OFF_MAGIC = 0,
	OFF_TOTAL = 4,
	OFF_SEQ = 8,
	OFF_UNIQUE = 16,
	OFF_REPLY_INO = 24,
	OFF_REPLY_VALUE = 32,
	OFF_REPLY_ERROR = 40,
	OFF_KIND = 44,
	OFF_FLAGS = 46,
	OFF_EFFECTS_LEN = 48,
	OFF_DATA_LEN = 52,
	OFF_SUM = 56,
};

static uint64_t sum_parts(const uint8_t *head, const void *effects, size_t effects_len, const struct iovec *data,
			  int iovcnt)
{
	XXH3_state_t state;

	(void)XXH3_64bits_reset(&state);
	(void)XXH3_64bits_update(&state, head, OFF_SUM);
	if (effects_len)
		(void)XXH3_64bits_update(&state, effects, effects_len);
	for (int i = 0; i < iovcnt; i++)
		if (data[i].iov_len)
			(void)XXH3_64bits_update(&state, data[i].iov_base, data[i].iov_len);
	return XXH3_64bits_digest(&state);
}

static void encode(uint8_t *out, const struct record *rec, size_t data_len, const struct iovec *summed, int iovcnt)
{
	assert(rec->effects_len <= UINT32_MAX - RECORD_HEADER_LEN);
	assert(data_len <= UINT32_MAX - RECORD_HEADER_LEN - rec->effects_len);
	le32_put(out + OFF_MAGIC, RECORD_MAGIC);
	le32_put(out + OFF_TOTAL, (uint32_t)(RECORD_HEADER_LEN + rec->effects_len + data_len));
	le64_put(out + OFF_SEQ, rec->seq);
	le64_put(out + OFF_UNIQUE, rec->head.unique);
	le64_put(out + OFF_REPLY_INO, rec->head.reply_ino);
	le64_put(out + OFF_REPLY_VALUE, rec->head.reply_value);
	le32_put(out + OFF_REPLY_ERROR, (uint32_t)rec->head.reply_error);
	le16_put(out + OFF_KIND, rec->head.kind);
	le16_put(out + OFF_FLAGS, rec->head.flags);
	le32_put(out + OFF_EFFECTS_LEN, (uint32_t)rec->effects_len);
	le32_put(out + OFF_DATA_LEN, (uint32_t)data_len);
	le64_put(out + OFF_SUM, sum_parts(out, rec->effects, rec->effects_len, summed, iovcnt));
}

void record_encode(uint8_t out[RECORD_HEADER_LEN], const struct record *rec, enum record_sum sum)
{
	struct iovec data = {(void *)rec->data, rec->data_len};

	encode(out, rec, rec->data_len, &data, sum == RECORD_SUM_ALL ? 1 : 0);
}

void record_encode_iov(uint8_t out[RECORD_HEADER_LEN], const struct record *rec, const struct iovec *data, int iovcnt)
{
	size_t data_len = 0;

	for (int i = 0; i < iovcnt; i++)
		data_len += data[i].iov_len;
	encode(out, rec, data_len, data, iovcnt);
}

int record_decode(const void *p, size_t len, enum record_sum sum, struct record *ret, size_t *ret_len)
{
	const uint8_t *b = p;
	struct iovec data;
	struct record rec;
	uint64_t total;

	if (len < RECORD_HEADER_LEN || le32_get(b + OFF_MAGIC) != RECORD_MAGIC)
		return -ECORRUPT;
	total = le32_get(b + OFF_TOTAL);
	rec.effects_len = le32_get(b + OFF_EFFECTS_LEN);
	rec.data_len = le32_get(b + OFF_DATA_LEN);
	if (total > len || total != (uint64_t)RECORD_HEADER_LEN + rec.effects_len + rec.data_len)
		return -ECORRUPT;
	rec.effects = b + RECORD_HEADER_LEN;
	rec.data = b + RECORD_HEADER_LEN + rec.effects_len;
	data = (struct iovec){(void *)rec.data, rec.data_len};
	if (le64_get(b + OFF_SUM) != sum_parts(b, rec.effects, rec.effects_len, &data, sum == RECORD_SUM_ALL ? 1 : 0))
		return -ECORRUPT;
	rec.seq = le64_get(b + OFF_SEQ);
	rec.head.unique = le64_get(b + OFF_UNIQUE);
	rec.head.reply_ino = le64_get(b + OFF_REPLY_INO);
	rec.head.reply_value = le64_get(b + OFF_REPLY_VALUE);
	rec.head.reply_error = (int32_t)le32_get(b + OFF_REPLY_ERROR);
	rec.head.kind = le16_get(b + OFF_KIND);
	rec.head.flags = le16_get(b + OFF_FLAGS);
	*ret = rec;
	*ret_len = total;
	return 0;
}
