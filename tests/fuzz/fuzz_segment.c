/* Segments of the journal: a header slot, then a batch. A batch is also sealed anew, so that its length fields meet a checksum that fits. */
#include <string.h>

#include "store/journal/segment.h"
#include "tests/fuzz/fuzz.h"

static const uint8_t store_id[16] = "sixteen bytes..";
static const struct batch_id id = {3, 17, 0x1234567890abcdef};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct segment_use use;
	struct batch_info info;
	uint64_t size;

	if (!segment_head_decode(data, len, store_id, &use, &size))
		fuzz_must(len >= SEGMENT_HEAD_LEN && size >= SEGMENT_SIZE_MIN && size <= SEGMENT_SIZE_MAX && use.generation > 0);
	if (!batch_parse(data, len, &id, &info))
		fuzz_must(info.len + BATCH_HEADER_LEN <= len);
	if (len > BATCH_HEADER_LEN) {
		uint8_t *copy = malloc(len);

		fuzz_must(copy != NULL);
		memcpy(copy, data, len);
		(void)batch_seal(copy, len - BATCH_HEADER_LEN, 1, &id, 5, 6);
		fuzz_must(!batch_parse(copy, len, &id, &info) && info.len == len - BATCH_HEADER_LEN);
		fuzz_must(batch_parse(copy, len - 1, &id, &info) != 0);
		free(copy);
	}
	return 0;
}

size_t fuzz_seed(unsigned nth, uint8_t out[FUZZ_LEN_MAX])
{
	struct segment seg = {.size = SEGMENT_SIZE_MIN};
	struct segment_use use = {3, 5, 17, nth == 1};

	memcpy(seg.store_id, store_id, sizeof store_id);
	if (nth < 2) {
		segment_head_encode(out, &seg, &use);
		return SEGMENT_HEAD_LEN;
	}
	if (nth > 2)
		return 0;
	memset(out + BATCH_HEADER_LEN, 'r', 300);
	(void)batch_seal(out, 300, 4, &id, 5, 6);
	return BATCH_HEADER_LEN + 300;
}
