/* Records of ring and journal, with the checksum as it is, and made to fit so that what is behind it is reached. */
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "store/base/le.h"
#include "store/journal/record.h"
#include "tests/fuzz/fuzz.h"

static void decode(const uint8_t *p, size_t len, enum record_sum sum)
{
	struct record rec;
	size_t used;

	if (record_decode(p, len, sum, &rec, &used))
		return;
	fuzz_must(used <= len && used >= RECORD_HEADER_LEN);
	fuzz_must((const uint8_t *)rec.effects >= p && (const uint8_t *)rec.effects + rec.effects_len <= p + len);
	fuzz_must(!rec.data_len || (const uint8_t *)rec.data + rec.data_len <= p + len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *copy;

	decode(data, len, RECORD_SUM_ALL);
	decode(data, len, RECORD_SUM_HEAD);
	if (len < RECORD_HEADER_LEN)
		return 0;
	copy = malloc(len);
	fuzz_must(copy != NULL);
	memcpy(copy, data, len);
	for (int all = 0; all < 2; all++) {
		uint64_t end = RECORD_HEADER_LEN + (uint64_t)le32_get(copy + 48) + (all ? le32_get(copy + 52) : 0);
		XXH3_state_t *st = XXH3_createState();

		fuzz_must(st != NULL);
		(void)XXH3_64bits_reset(st);
		(void)XXH3_64bits_update(st, copy, 56);
		if (end <= len)
			(void)XXH3_64bits_update(st, copy + RECORD_HEADER_LEN, (size_t)end - RECORD_HEADER_LEN);
		le64_put(copy + 56, XXH3_64bits_digest(st));
		(void)XXH3_freeState(st);
		decode(copy, len, all ? RECORD_SUM_ALL : RECORD_SUM_HEAD);
	}
	free(copy);
	return 0;
}

size_t fuzz_seed(unsigned nth, uint8_t out[FUZZ_LEN_MAX])
{
	static const char text[] = "what an operation did, and the bytes of a write that came with it";
	struct record rec = {.seq = 7 + nth,
			     .head = {.unique = 12, .reply_ino = 99, .kind = nth == 2 ? RECORD_DATA : RECORD_OP},
			     .effects = text,
			     .effects_len = nth ? 20 : 0,
			     .data = text + 20,
			     .data_len = nth > 1 ? 40 : 0};

	if (nth > 2)
		return 0;
	record_encode(out, &rec, RECORD_SUM_ALL);
	memcpy(out + RECORD_HEADER_LEN, rec.effects, rec.effects_len);
	memcpy(out + RECORD_HEADER_LEN + rec.effects_len, rec.data, rec.data_len);
	return RECORD_HEADER_LEN + rec.effects_len + rec.data_len;
}
