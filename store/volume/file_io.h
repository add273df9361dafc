/* Contents of regular files. Node rules as in namespace.h. */
#ifndef VARVE_VOLUME_FILE_IO_H
#define VARVE_VOLUME_FILE_IO_H

#include <sys/uio.h>

#include "store/volume/namespace.h"

/* Counts an open of the node; opens for writing are listed by file_open_list and fenced by snapshots. truncate: as O_TRUNC. */
enum { FILE_OPEN_WRITE = 1, FILE_OPEN_TRUNC = 2, FILE_OPEN_KILL_PRIV = 4 };
int file_open(struct store *s, const struct op *op, uint64_t node, unsigned flags, uint32_t pid);
void file_release(struct store *s, uint64_t node, unsigned flags);
/* Regular files of the volume (0: of all) that are open for writing. Caller frees the array. */
struct open_file {
	uint64_t node;
	uint32_t pid;     /* of the last opener */
	uint32_t writers; /* opens */
};
int file_open_list(struct store *s, int64_t volume_id, struct open_file **ret, size_t *ret_n);

/* Reads up to len bytes at off into buf; *ret_len is short only at the end of the file. With nowait, -EAGAIN when the disk would have to be
 * waited for: call again without it from a thread that may wait. */
int file_read(struct store *s, uint64_t node, void *buf, size_t len, int64_t off, bool nowait, size_t *ret_len);

/* KEEP_TIMES: the kernel delivers what it cached, and the time of it by ns_setattr. */
enum { FILE_WRITE_KILL_PRIV = 1, FILE_WRITE_APPEND = 2, FILE_WRITE_KEEP_TIMES = 4 };
/* Accepts the bytes into the write buffer. With nowait, -EAGAIN when the ring is full: call again without it from a thread that may
 * wait. At most 1 MiB a call. -EFBIG, -ENOSPC, -EDQUOT. */
int file_write(struct store *s, const struct op *op, uint64_t node, const void *buf, size_t len, int64_t off, unsigned flags, bool nowait);

/* Contract 1 of DESIGN section 6. Waits. */
int file_fsync(struct store *s, uint64_t node);
/* Namespace changes so far are durable (fsyncdir). Waits. */
int file_sync_meta(struct store *s);

/* mode: 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE|KEEP_SIZE, FALLOC_FL_ZERO_RANGE[|KEEP_SIZE]. May wait. */
int file_fallocate(struct store *s, const struct op *op, uint64_t node, int mode, int64_t off, int64_t len);
/* whence SEEK_DATA or SEEK_HOLE. -ENXIO. */
int file_lseek(struct store *s, uint64_t node, int64_t off, int whence, int64_t *ret_off);
/* Shares chunks instead of copying, also between volumes; flushes the source's buffered range first. May wait. */
int file_copy_range(struct store *s, const struct op *op, uint64_t src, int64_t src_off, uint64_t dst, int64_t dst_off, int64_t len,
		    int64_t *ret_copied);

#endif
