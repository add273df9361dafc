/* Reading SQLite's write-ahead log beside SQLite: which frames its recovery would accept. The format is that of sqlite.org/fileformat2.html,
 * section 4; it has been frozen since 2010. */
#ifndef VARVE_META_WAL_H
#define VARVE_META_WAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define WAL_HEADER_LEN 32
#define WAL_FRAME_HEADER_LEN 24
#define WAL_FRAME_LEN (WAL_FRAME_HEADER_LEN + 4096) /* of META_PAGE_SIZE */

/* Whether a page fits the checksum of its frame, which goes on from that of the frame before, or of the header for the first one (before
 * NULL). */
bool wal_frame_holds(const uint8_t head[WAL_HEADER_LEN], const uint8_t *before, const uint8_t own[WAL_FRAME_HEADER_LEN], const uint8_t *page);

/* Calls fn for the header (page 0) and each frame, with all its bytes, as long as salts and the chained checksums fit. *ret_end is where that
 * ended. A non-zero return of fn ends it and is returned. */
int wal_each(int fd, int (*fn)(void *arg, uint32_t page, const uint8_t *bytes, size_t len, off_t off), void *arg, uint64_t *ret_end);
/* What a WAL holds that is to be recovered. */
struct wal_state {
	uint64_t end;        /* behind the last frame of the last whole transaction; 0: there is none */
	uint64_t damaged_at; /* where a transaction is damaged that had been on the disk; UINT64_MAX: none is */
};

/* SQLite takes the first frame that does not check for the end. Where a power cut tore the last transaction it is; but a later transaction
 * behind it shows that it had been on the disk, since varve begins a transaction's frames only when those of the one before are there. */
int wal_look(int fd, struct wal_state *ret);
/* Writes what a failed fdatasync was for once more: the kernel takes pages that it could not write for clean, so that another fdatasync
 * alone would succeed without them being on the disk. -EIO when up to `end` not all of it is to be read any more. Then syncs. */
int wal_write_again(int fd, uint64_t end);

#endif
