/* One segment file of the journal: its bytes. What batches mean to whom is journal_file's business.
 *
 * A segment is used again and again; each use has a generation, written into the header before the first batch of that
 * use. The header has two slots, of which a new use takes the other, so that a torn header write leaves the old one.
 * Batches follow each other at block boundaries: a flush never rewrites a block that an earlier flush made durable.
 *
 * Threading: none of its own. Functions return 0 or -errno unless they say otherwise. */
#ifndef VARVE_JOURNAL_SEGMENT_H
#define VARVE_JOURNAL_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/err.h"

#define SEGMENT_BLOCK 4096
#define SEGMENT_DATA_OFF (2 * SEGMENT_BLOCK)
#define SEGMENT_SIZE_MIN (64 * 1024)
#define SEGMENT_SIZE_MAX (1024 * 1024 * 1024)
#define SEGMENT_HEAD_LEN 72
#define BATCH_HEADER_LEN 64

/* One use of a segment. */
struct segment_use {
	uint64_t generation; /* 0: never used */
	uint64_t salt;       /* random: where the chain of checksums begins */
	uint64_t first_batch;
	bool continues; /* the other segment's batches come before these, and were needed when this use began */
};

struct segment {
	int fd;
	int slot; /* of the header in force */
	uint64_t size;
	uint8_t store_id[16];
	struct segment_use use; /* as on disk */
};

/* What names a batch: without the right three nothing reads as one. */
struct batch_id {
	uint64_t generation;
	uint64_t number;
	uint64_t chain; /* the checksum of the batch before, or the salt */
};

/* What a batch that checks tells of itself. */
struct batch_info {
	size_t len;     /* bytes of its records */
	uint64_t sum;   /* its checksum: what the next one continues */
	uint64_t after; /* it goes on from a state that has everything up to this record; 0: it does not say */
};

/* Opens or creates journal.`index` in `dirfd`; a segment that exists keeps its size. `seg` is filled even on failure,
 * as far as segment_close needs it. */
int segment_open(int dirfd, int index, const uint8_t store_id[16], uint64_t size, struct segment *seg, struct err *err);
void segment_close(struct segment *seg);
/* Makes a new use durable: its header is on stable storage when this returns, and no batch of it may be before. */
int segment_begin(struct segment *seg, const struct segment_use *use);

/* Bytes that a batch with so many bytes of records takes in the file. */
uint64_t batch_span(uint64_t len);
/* Fills the header of a batch: `p` has room for it, then `len` bytes of records, `count` of them. Returns its
 * checksum. */
uint64_t batch_seal(uint8_t *p, size_t len, uint32_t count, const struct batch_id *id, uint64_t salt, uint64_t after);
/* Pure parser of a whole batch, bounds first: 0 or -ECORRUPT. */
int batch_parse(const void *p, size_t len, const struct batch_id *id, struct batch_info *ret);

/* Writes a sealed batch (header, records, padding: batch_span bytes) and waits until it is on stable storage. */
int segment_write(struct segment *seg, uint64_t off, const uint8_t *p, uint64_t span);
/* Reads the batch at `off` into `buf`: 0, >0 when there is none, or -errno. */
int segment_read(struct segment *seg, uint64_t off, const struct batch_id *id, struct buf *buf, struct batch_info *ret);
/* Looks for the next header of a batch of this use, from `*off` on, with a number of at least `number`. A batch is written when the
 * one before it is durable, so whatever lies in front of what is found was on the disk once. 0: *off and *ret name it, *ret_after is what
 * it goes on from; >0: there is none; or -errno. */
int segment_find(struct segment *seg, uint64_t number, uint64_t *off, struct batch_id *ret, uint64_t *ret_after);

/* Pure parsers and encoders of a header slot. */
void segment_head_encode(uint8_t out[SEGMENT_HEAD_LEN], const struct segment *seg, const struct segment_use *use);
int segment_head_decode(const void *p, size_t len, const uint8_t store_id[16], struct segment_use *ret,
			uint64_t *ret_size);

#endif
