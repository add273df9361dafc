/* The ring: numbered, checksummed records of what was acknowledged, with the data of writes, in a memfd that outlives
 * the daemon when somebody else holds it. The write buffers are the data parts of these records: a buffered range
 * points at its bytes in the ring, and nothing is copied again.
 *
 * A record is appended in one step: ring_append copies header, effects and data and only then moves the head, so a
 * reader of the memfd after kill -9 sees whole records only. Records are contiguous (a record that does not fit before
 * the end leaves a skip marker and starts at the beginning), so a record's bytes are one span.
 *
 * Sequence numbers begin at 1 and increase by 1 for each record, over the life of the store (the caller gives the first
 * one at creation). Threading: the caller serialises everything but ring_data, which needs only that the record is not
 * yet released. */
#ifndef VARVE_JOURNAL_RING_H
#define VARVE_JOURNAL_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/journal/record.h"

struct ring;

/* Makes a memfd of `size` bytes (rounded up to 2 MiB) whose first record will be `first_seq`. */
int ring_create(size_t size, uint64_t first_seq, struct ring **ret);
/* Maps an existing ring; the descriptor is duplicated. -ECORRUPT when a record in it does not check (those before that
 * are still readable by ring_next: *ret is set even then, and must be freed) or when it is no ring at all (*ret is
 * NULL). */
int ring_attach(int fd, struct ring **ret);
void ring_free(struct ring *r);
int ring_fd(const struct ring *r); /* the ring's own descriptor: dup it to hand it over */

/* Space that ring_append could take now, and the whole, in bytes. A record of at most ring_free_space bytes fits; what
 * would be skipped at the end of the ring does not count as free. */
size_t ring_free_space(const struct ring *r);
size_t ring_size(const struct ring *r);
/* Bytes that a record with these parts takes in the ring. */
size_t ring_record_size(size_t effects_len, size_t data_len);

uint64_t ring_head_seq(const struct ring *r); /* the next record's number */
uint64_t ring_tail_seq(const struct ring *r); /* the oldest record kept; == head when empty */

/* Appends a record; returns its number. Data may be NULL with data_len > 0: the space is reserved and *ret_data points
 * at it (otherwise at the copy), and the caller fills it, then calls ring_publish; no other append may happen before.
 * With data given (or data_len 0) the record is published at once. -ENOSPC when it does not fit now,
 * -EMSGSIZE when it never could: ring_record_size beyond RECORD_SIZE_MAX. */
int ring_append(struct ring *r, const struct record_head *head, const void *effects, size_t effects_len,
		const void *data, size_t data_len, uint64_t *ret_seq, void **ret_data);
void ring_publish(struct ring *r);

/* Walks records from `seq` (>= tail): fills *ret, whose pointers go into the ring. >0 at the head, -ECORRUPT when a
 * record does not check. Start with pos = {.seq = seq}. */
struct ring_pos {
	uint64_t seq;
	uint64_t off; /* private; 0 to look the sequence number up from the tail */
};
int ring_next(struct ring *r, struct ring_pos *pos, struct record *ret);

/* Drops the records before `seq` (at most the head). */
void ring_release(struct ring *r, uint64_t seq);

/* A small area beside the records for the caller's own state that must outlive the daemon (replay attempts and the
 * like). */
#define RING_USER_LEN 4096
void *ring_user(struct ring *r);

/* Walks all structures and asserts the invariants. Tests and debug builds. */
void ring_check(struct ring *r);

#endif
