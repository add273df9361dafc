#include "store/chunk/pack_format.h"

#include <xxhash.h>

#include "store/base/le.h"
#include "store/base/limits.h"

#define MAGIC 0x6b684356u /* "VChk" */
#define VERSION 1

enum field {
	F_MAGIC = 0,
	F_VERSION = 4,
	F_CODEC = 6,
	F_ZERO1 = 7,
	F_RAW_LEN = 8,
	F_STORED_LEN = 12,
	F_HASH_LO = 16,
	F_HASH_HI = 24,
	F_BRANCH = 32,
	F_INO = 40,
	F_FILE_OFF = 48,
	F_SEQUENCE = 56,
	F_PACK = 64,
	F_PAYLOAD_OFF = 68,
	F_ZERO2 = 72,
	F_SUM_LO = 80,
	F_SUM_HI = 88,
	F_END = 96,
};
_Static_assert((int)F_END == CHUNK_RECORD_HEADER_LEN, "the header's length is part of the format");
_Static_assert(PACK_SIZE_MAX <= UINT32_MAX, "offsets in a pack have 32 bits");

static XXH128_hash_t checksum(const uint8_t *header, const uint8_t *secret)
{
	return XXH3_128bits_withSecret(header, F_SUM_LO, secret, CHUNK_SECRET_LEN);
}

void pack_record_encode(const struct pack_record *rec, const uint8_t secret[CHUNK_SECRET_LEN],
			uint8_t out[CHUNK_RECORD_HEADER_LEN])
{
	XXH128_hash_t sum;

	le32_put(out + F_MAGIC, MAGIC);
	le16_put(out + F_VERSION, VERSION);
	out[F_CODEC] = (uint8_t)rec->loc.codec;
	out[F_ZERO1] = 0;
	le32_put(out + F_RAW_LEN, rec->loc.raw_len);
	le32_put(out + F_STORED_LEN, rec->loc.stored_len);
	le64_put(out + F_HASH_LO, rec->loc.hash.lo);
	le64_put(out + F_HASH_HI, rec->loc.hash.hi);
	le64_put(out + F_BRANCH, (uint64_t)rec->owner.branch);
	le64_put(out + F_INO, rec->owner.ino);
	le64_put(out + F_FILE_OFF, rec->owner.off);
	le64_put(out + F_SEQUENCE, rec->sequence);
	le32_put(out + F_PACK, rec->loc.pack);
	le32_put(out + F_PAYLOAD_OFF, rec->loc.off);
	le64_put(out + F_ZERO2, 0);
	sum = checksum(out, secret);
	le64_put(out + F_SUM_LO, sum.low64);
	le64_put(out + F_SUM_HI, sum.high64);
}

bool pack_loc_valid(const struct chunk_loc *loc)
{
	if (loc->pack == 0 || loc->raw_len == 0 || loc->raw_len > CHUNK_LEN_MAX)
		return false;
	if (loc->stored_len == 0 || loc->stored_len > loc->raw_len)
		return false;
	if (loc->off < CHUNK_RECORD_HEADER_LEN || (uint64_t)loc->off + loc->stored_len > PACK_SIZE_MAX)
		return false;
	return loc->codec == CHUNK_ZSTD || (loc->codec == CHUNK_RAW && loc->stored_len == loc->raw_len);
}

int pack_record_parse(const void *buf, size_t len, const uint8_t secret[CHUNK_SECRET_LEN], struct pack_record *ret)
{
	const uint8_t *p = buf;
	struct pack_record rec;
	XXH128_hash_t sum;

	if (len < CHUNK_RECORD_HEADER_LEN)
		return -ENODATA;
	if (le32_get(p + F_MAGIC) != MAGIC || le16_get(p + F_VERSION) != VERSION)
		return -ECORRUPT;
	sum = checksum(p, secret);
	if (le64_get(p + F_SUM_LO) != sum.low64 || le64_get(p + F_SUM_HI) != sum.high64)
		return -ECORRUPT;
	if (p[F_ZERO1] || le64_get(p + F_ZERO2) || p[F_CODEC] > CHUNK_ZSTD)
		return -ECORRUPT;
	rec = (struct pack_record){
		.loc = {.pack = le32_get(p + F_PACK),
			.off = le32_get(p + F_PAYLOAD_OFF),
			.stored_len = le32_get(p + F_STORED_LEN),
			.raw_len = le32_get(p + F_RAW_LEN),
			.codec = (enum chunk_codec)p[F_CODEC],
			.hash = {.lo = le64_get(p + F_HASH_LO), .hi = le64_get(p + F_HASH_HI)}},
		.owner = {.branch = (int64_t)le64_get(p + F_BRANCH),
			  .ino = le64_get(p + F_INO),
			  .off = le64_get(p + F_FILE_OFF)},
		.sequence = le64_get(p + F_SEQUENCE),
	};
	if (!pack_loc_valid(&rec.loc))
		return -ECORRUPT;
	*ret = rec;
	return 0;
}
