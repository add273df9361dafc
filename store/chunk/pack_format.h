/* The record header in pack files. A pack is nothing but records, one after the other from offset 0:
 *
 *   header (CHUNK_RECORD_HEADER_LEN bytes), then the payload (stored length bytes), then the next record.
 *
 * Integers are little-endian.
 *
 *   offset  size  field
 *        0     4  magic "VChk"
 *        4     2  version, 1
 *        6     1  codec: 0 raw, 1 one zstd frame
 *        7     1  zero
 *        8     4  raw length: bytes of content, 1..CHUNK_LEN_MAX
 *       12     4  stored length: bytes of payload, 1..raw length; equal to it when raw
 *       16     8  content hash, low half:  XXH3-128 of the content, with the store's secret
 *       24     8  content hash, high half
 *       32     8  branch (signed)   \
 *       40     8  inode number       > whose content it was when it was stored
 *       48     8  offset in the file/
 *       56     8  sequence: grows from record to record of a store, across packs
 *       64     4  pack id
 *       68     4  offset of the payload in the pack file
 *       72     8  zero
 *       80    16  checksum, low half first: XXH3-128 of bytes 0..79, with the store's secret
 *
 * A header is valid when everything above holds. The checksum is keyed because payloads are whatever users write: a
 * file could otherwise contain records. Reading a chunk does not look at its header (the chunk table says where the
 * payload is and what it hashes to); headers serve to salvage contents when the database is lost, and holes may take
 * their place. */
#ifndef VARVE_CHUNK_PACK_FORMAT_H
#define VARVE_CHUNK_PACK_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "store/chunk/chunk_store.h"

struct pack_record {
	struct chunk_loc loc;
	struct chunk_owner owner;
	uint64_t sequence;
};

void pack_record_encode(const struct pack_record *rec, const uint8_t secret[CHUNK_SECRET_LEN],
			uint8_t out[CHUNK_RECORD_HEADER_LEN]);
/* -ENODATA when `len` is less than a header, -ECORRUPT when it is not a valid header. Pure; any input. */
int pack_record_parse(const void *buf, size_t len, const uint8_t secret[CHUNK_SECRET_LEN], struct pack_record *ret);

/* Whether a location can be one of a chunk: lengths, codec and place within bounds. */
bool pack_loc_valid(const struct chunk_loc *loc);

#endif
