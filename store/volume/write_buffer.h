/* A file's buffered ranges: sorted by offset, never overlapping, each pointing at its bytes in the ring.
 * Threading: the store lock. */
#ifndef VARVE_VOLUME_WRITE_BUFFER_H
#define VARVE_VOLUME_WRITE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
	int64_t off, len;
	uint64_t seq; /* of the record that holds the bytes */
	const uint8_t *data;
};

/* All-zero is empty. */
struct write_buffer {
	struct range *v;
	size_t n, cap;
	int64_t bytes;
};

void write_buffer_free(struct write_buffer *wb);
/* Makes room for one more insertion (which may split a range), so that the next insert or cut cannot fail. */
int write_buffer_reserve(struct write_buffer *wb);
/* Puts a range in, over whatever overlaps. Room must have been reserved. */
void write_buffer_insert(struct write_buffer *wb, const struct range *r);
/* Takes [from, end) out. Room must have been reserved when a range could be split. */
void write_buffer_cut(struct write_buffer *wb, int64_t from, int64_t end);
/* The index of the first range that ends after `off` (n when none). */
size_t write_buffer_seek(const struct write_buffer *wb, int64_t off);
/* Takes out of [from, end) what belongs to records up to and including seq. -ENOMEM changes nothing. */
int write_buffer_cut_through(struct write_buffer *wb, int64_t from, int64_t end, uint64_t seq);
/* Puts all of `from` below what `to` has: newer ranges of `to` win. `from` is empty after. -ENOMEM changes nothing. */
int write_buffer_merge_under(struct write_buffer *to, struct write_buffer *from);
/* End of the last range, 0 when empty. */
int64_t write_buffer_end(const struct write_buffer *wb);
void write_buffer_check(const struct write_buffer *wb);

#endif
