/* One record of the ring or the journal: what one mutating operation did.
 *
 * Byte layout, little-endian, as in store/journal/README.md:
 *   0  u32 magic        4  u32 total length (header, effects, data)    8  u64 seq       16 u64 unique
 *   24 u64 reply ino    32 u64 reply value     40 i32 reply error      44 u16 kind      46 u16 flags
 *   48 u32 effects len  52 u32 data len        56 u64 checksum (XXH3-64 of everything but this field)
 *   64 effects, then data
 * In the ring the data begins at the next multiple of 64, and the checksum covers header and effects only (data lives
 * in memory that a dying process cannot tear, since publishing comes last); in the journal it covers everything. */
#ifndef VARVE_JOURNAL_RECORD_H
#define VARVE_JOURNAL_RECORD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define RECORD_HEADER_LEN 64

enum record_kind {
	RECORD_OP = 1,   /* an operation's effects; in the ring it may carry the data of a write */
	RECORD_DATA = 2, /* journal only: buffered data that an fsync made durable */
};

struct record_head {
	uint64_t unique;      /* the request's identity for a resend; 0 when it has none */
	uint64_t reply_ino;   /* what the reply named */
	uint64_t reply_value; /* or how much it counted */
	int32_t reply_error;  /* 0 or -errno */
	uint16_t kind;
	uint16_t flags;
};

struct record {
	uint64_t seq;
	struct record_head head;
	const void *effects;
	size_t effects_len;
	const void *data;
	size_t data_len;
};

enum record_sum { RECORD_SUM_HEAD, RECORD_SUM_ALL };

/* Writes the 64 header bytes, checksum included. */
void record_encode(uint8_t out[RECORD_HEADER_LEN], const struct record *rec, enum record_sum sum);
/* The same with RECORD_SUM_ALL over data that is scattered: rec->data and rec->data_len are not looked at. */
void record_encode_iov(uint8_t out[RECORD_HEADER_LEN], const struct record *rec, const struct iovec *data, int iovcnt);
/* Pure parser: bounds first, then the checksum. 0 and *ret (pointing into p) and *ret_len, or -ECORRUPT. */
int record_decode(const void *p, size_t len, enum record_sum sum, struct record *ret, size_t *ret_len);

#endif
