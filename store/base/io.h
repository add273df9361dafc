/* All durable I/O of the engine goes through here: packs, the journal, SQLite's files (through the VFS shim) and small
 * files. That makes this module the place where tests fail, shorten, or record I/O. Any thread.
 *
 * Functions return 0 or -errno; reads and writes are complete or an error (a short read at end of file is -ENODATA). */
#ifndef VARVE_BASE_IO_H
#define VARVE_BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Which kind of file an operation is for: fault plans select by it. */
enum io_class { IO_PACK, IO_JOURNAL, IO_DB, IO_SMALL, IO_CLASS_COUNT };
enum io_op {
	IO_OPEN,
	IO_READ,
	IO_WRITE,
	IO_SYNC,
	IO_TRUNCATE,
	IO_PUNCH,
	IO_RENAME,
	IO_UNLINK,
	IO_ALLOCATE,
	IO_MKDIR,
	IO_OP_COUNT
};

/* Called before each operation when set; a non-zero return (-errno) is given to the caller instead of doing it. For a
 * write, *len may be shortened first: that much is written, then the returned error is given. A pwritev is shown as
 * one write for each piece; a rename's `data` is the new name; a truncation's `off` is the new length; an open's `off` holds its flags
 * (of SQLite's only O_CREAT and O_TRUNC). Closing and io_push are not shown. Tests only; set it while no other thread does I/O. Where
 * none is set the cost is one branch beside a system call, so that what is tested is what is shipped. */
typedef int (*io_hook)(void *arg, enum io_class cls, enum io_op op, const char *path_or_null, int fd, const void *data,
		       size_t *len, off_t off);
void io_set_hook(io_hook hook, void *arg);
/* Asks the hook on behalf of I/O that is done elsewhere (SQLite's, below the VFS shim): 0, or what the operation must fail with. For a
 * write, *len is what must be written nevertheless. */
int io_check(enum io_class cls, enum io_op op, const char *path, const void *data, size_t *len, off_t off);

/* Called after each sync that succeeded, when set: what was written before the hook saw the sync is durable from here on, and not
 * earlier. `path` or `fd` as for the hook. Tests only. */
typedef void (*io_witness)(void *arg, const char *path_or_null, int fd);
void io_set_witness(io_witness witness, void *arg);
/* Tells the witness of a sync that was done elsewhere. */
void io_synced(const char *path);

int io_open(enum io_class cls, int dirfd, const char *name, int flags, mode_t mode, int *ret_fd);
int io_close(enum io_class cls, int fd);
int io_pread(enum io_class cls, int fd, void *buf, size_t len, off_t off);
/* Like io_pread, but answers -EAGAIN rather than wait for the disk (RWF_NOWAIT); falls back to waiting nowhere. */
int io_pread_nowait(enum io_class cls, int fd, void *buf, size_t len, off_t off);
int io_pwrite(enum io_class cls, int fd, const void *buf, size_t len, off_t off);
int io_pwritev(enum io_class cls, int fd, const struct iovec *iov, int iovcnt, off_t off);
int io_fdatasync(enum io_class cls, int fd);
int io_fsync_dir(enum io_class cls, int dirfd);
int io_ftruncate(enum io_class cls, int fd, off_t len);
int io_fallocate_keep(enum io_class cls, int fd, off_t off, off_t len); /* preallocates; -EOPNOTSUPP is returned as is */
int io_punch(enum io_class cls, int fd, off_t off, off_t len);
int io_renameat(enum io_class cls, int dirfd, const char *from, const char *to);
int io_unlinkat(enum io_class cls, int dirfd, const char *name);
int io_mkdirat(enum io_class cls, int dirfd, const char *name, mode_t mode);
/* Starts writeback of a range without waiting (sync_file_range); errors do not matter. */
void io_push(int fd, off_t off, off_t len);
/* Replaces a small file durably: write to NAME.tmp, fsync, rename, fsync of the directory. */
int io_replace_file(int dirfd, const char *name, const void *buf, size_t len, mode_t mode);
/* Reads a whole small file, at most `max` bytes (-EFBIG beyond). Caller frees; a NUL is added after the data. */
int io_read_file(int dirfd, const char *name, size_t max, char **ret_buf, size_t *ret_len);
/* Fills with random bytes from the kernel. */
int io_random(void *buf, size_t len);

#endif
