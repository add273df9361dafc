/* Record headers of packs. The checksum is keyed, so that a valid header comes from the encoder alone: whatever the bytes say is also put
 * through it, and has to come back as it was or be refused. */
#include <errno.h>
#include <string.h>

#include "store/chunk/pack_format.h"
#include "tests/fuzz/fuzz.h"

static const uint8_t secret[CHUNK_SECRET_LEN] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct pack_record rec, again;
	uint8_t out[CHUNK_RECORD_HEADER_LEN];
	int ret = pack_record_parse(data, len, secret, &rec);

	fuzz_must(len < CHUNK_RECORD_HEADER_LEN ? ret == -ENODATA : ret <= 0);
	if (!ret)
		fuzz_must(pack_loc_valid(&rec.loc));
	if (len < 72)
		return 0;
	memset(&rec, 0, sizeof rec);
	memcpy(&rec.loc.pack, data, 4);
	memcpy(&rec.loc.off, data + 4, 4);
	memcpy(&rec.loc.stored_len, data + 8, 4);
	memcpy(&rec.loc.raw_len, data + 12, 4);
	rec.loc.codec = data[16] & 1 ? CHUNK_ZSTD : CHUNK_RAW;
	memcpy(&rec.loc.hash, data + 17, 16);
	memcpy(&rec.owner, data + 40, 24);
	memcpy(&rec.sequence, data + 64, 8);
	pack_record_encode(&rec, secret, out);
	if (!pack_record_parse(out, sizeof out, secret, &again))
		fuzz_must(again.loc.pack == rec.loc.pack && again.loc.stored_len == rec.loc.stored_len && pack_loc_valid(&again.loc));
	return 0;
}

size_t fuzz_seed(unsigned nth, uint8_t out[FUZZ_LEN_MAX])
{
	struct pack_record rec = {.loc = {.pack = 3, .off = 96, .stored_len = nth ? 900 : 5000, .raw_len = 5000, .codec = nth ? CHUNK_ZSTD : CHUNK_RAW},
				  .owner = {4, 77, 8192},
				  .sequence = 12345};

	if (nth > 1)
		return 0;
	pack_record_encode(&rec, secret, out);
	return CHUNK_RECORD_HEADER_LEN;
}
