#include "store/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"

#define IOV_CHUNK 64 /* pieces copied at a time, so that a short writev can go on inside a piece */

static io_hook hook_fn;
static void *hook_arg;
static io_witness witness_fn;
static void *witness_arg;

void io_set_hook(io_hook hook, void *arg)
{
	hook_fn = hook;
	hook_arg = arg;
}

void io_set_witness(io_witness witness, void *arg)
{
	witness_fn = witness;
	witness_arg = arg;
}

static void witness_call(const char *path, int fd)
{
	if (witness_fn)
		witness_fn(witness_arg, path, fd);
}

void io_synced(const char *path)
{
	witness_call(path, -1);
}

static int hook_call(enum io_class cls, enum io_op op, const char *path, int fd, const void *data, size_t len,
		     off_t off)
{
	return hook_fn ? hook_fn(hook_arg, cls, op, path, fd, data, &len, off) : 0;
}

int io_check(enum io_class cls, enum io_op op, const char *path, const void *data, size_t *len, off_t off)
{
	return hook_fn ? hook_fn(hook_arg, cls, op, path, -1, data, len, off) : 0;
}

int io_open(enum io_class cls, int dirfd, const char *name, int flags, mode_t mode, int *ret_fd)
{
	int ret = hook_call(cls, IO_OPEN, name, dirfd, NULL, 0, flags);
	int fd;

	if (ret)
		return ret;
	do
		fd = openat(dirfd, name, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int io_close(enum io_class cls, int fd)
{
	(void)cls;
	/* After EINTR the descriptor is gone on Linux: trying again could close another thread's. */
	if (close(fd) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

int io_pread(enum io_class cls, int fd, void *buf, size_t len, off_t off)
{
	int ret = hook_call(cls, IO_READ, NULL, fd, NULL, len, off);
	uint8_t *p = buf;
	ssize_t n;

	if (ret)
		return ret;
	while (len > 0) {
		n = pread(fd, p, len, off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		p += n;
		len -= (size_t)n;
		off += n;
	}
	return 0;
}

int io_pread_nowait(enum io_class cls, int fd, void *buf, size_t len, off_t off)
{
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	int ret = hook_call(cls, IO_READ, NULL, fd, NULL, len, off);
	ssize_t n;

	if (ret)
		return ret;
	n = preadv2(fd, &iov, 1, off, RWF_NOWAIT);
	if (n >= 0)
		return (size_t)n == len ? 0 : -EAGAIN;
	/* EOPNOTSUPP: a filesystem without RWF_NOWAIT; the caller's waiting path serves it. */
	return errno == EINTR || errno == EOPNOTSUPP ? -EAGAIN : -errno;
}

static int write_all(int fd, const uint8_t *p, size_t len, off_t off)
{
	ssize_t n;

	while (len > 0) {
		n = pwrite(fd, p, len, off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		len -= (size_t)n;
		off += n;
	}
	return 0;
}

int io_pwrite(enum io_class cls, int fd, const void *buf, size_t len, off_t off)
{
	size_t allowed = len;
	int ret = hook_fn ? hook_fn(hook_arg, cls, IO_WRITE, NULL, fd, buf, &allowed, off) : 0;

	if (!ret)
		return write_all(fd, buf, len, off);
	if (allowed < len)
		(void)write_all(fd, buf, allowed, off);
	return ret;
}

/* Writes up to IOV_CHUNK pieces, whose array it uses up. */
static int writev_all(int fd, struct iovec *iov, int iovcnt, off_t off)
{
	ssize_t n;

	while (iovcnt > 0) {
		if (iov->iov_len == 0) {
			iov++;
			iovcnt--;
			continue;
		}
		n = pwritev(fd, iov, iovcnt, off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		off += n;
		while (n > 0) {
			size_t part = (size_t)n < iov->iov_len ? (size_t)n : iov->iov_len;

			iov->iov_base = (uint8_t *)iov->iov_base + part;
			iov->iov_len -= part;
			n -= (ssize_t)part;
			if (iov->iov_len == 0) {
				iov++;
				iovcnt--;
			}
		}
	}
	return 0;
}

int io_pwritev(enum io_class cls, int fd, const struct iovec *iov, int iovcnt, off_t off)
{
	struct iovec part[IOV_CHUNK];
	int ret, n;

	for (int i = 0; hook_fn && i < iovcnt; i++) {
		ret = io_pwrite(cls, fd, iov[i].iov_base, iov[i].iov_len, off);
		if (ret)
			return ret;
		off += (off_t)iov[i].iov_len;
	}
	if (hook_fn)
		return 0;
	for (; iovcnt > 0; iov += n, iovcnt -= n) {
		off_t len = 0;

		n = iovcnt < IOV_CHUNK ? iovcnt : IOV_CHUNK;
		for (int i = 0; i < n; i++) {
			part[i] = iov[i];
			len += (off_t)iov[i].iov_len;
		}
		ret = writev_all(fd, part, n, off);
		if (ret)
			return ret;
		off += len;
	}
	return 0;
}

int io_fdatasync(enum io_class cls, int fd)
{
	int ret = hook_call(cls, IO_SYNC, NULL, fd, NULL, 0, 0);

	if (ret)
		return ret;
	/* Never tried again after an error: the kernel has dropped the dirty pages, a second call would lie. */
	while (fdatasync(fd) < 0)
		if (errno != EINTR)
			return -errno;
	witness_call(NULL, fd);
	return 0;
}

static int sync_whole(enum io_class cls, int fd)
{
	int ret = hook_call(cls, IO_SYNC, NULL, fd, NULL, 0, 0);

	if (ret)
		return ret;
	while (fsync(fd) < 0)
		if (errno != EINTR)
			return -errno;
	witness_call(NULL, fd);
	return 0;
}

int io_fsync_dir(enum io_class cls, int dirfd)
{
	return sync_whole(cls, dirfd);
}

int io_ftruncate(enum io_class cls, int fd, off_t len)
{
	int ret = hook_call(cls, IO_TRUNCATE, NULL, fd, NULL, 0, len);

	if (ret)
		return ret;
	while (ftruncate(fd, len) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int allocate(enum io_class cls, enum io_op op, int fd, int mode, off_t off, off_t len)
{
	int ret = hook_call(cls, op, NULL, fd, NULL, (size_t)len, off);

	if (ret)
		return ret;
	while (fallocate(fd, mode, off, len) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int io_fallocate_keep(enum io_class cls, int fd, off_t off, off_t len)
{
	return allocate(cls, IO_ALLOCATE, fd, FALLOC_FL_KEEP_SIZE, off, len);
}

int io_punch(enum io_class cls, int fd, off_t off, off_t len)
{
	return allocate(cls, IO_PUNCH, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);
}

int io_renameat(enum io_class cls, int dirfd, const char *from, const char *to)
{
	int ret = hook_call(cls, IO_RENAME, from, dirfd, to, strlen(to), 0);

	if (ret)
		return ret;
	return renameat(dirfd, from, dirfd, to) < 0 ? -errno : 0;
}

int io_unlinkat(enum io_class cls, int dirfd, const char *name)
{
	int ret = hook_call(cls, IO_UNLINK, name, dirfd, NULL, 0, 0);

	if (ret)
		return ret;
	return unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
}

int io_mkdirat(enum io_class cls, int dirfd, const char *name, mode_t mode)
{
	int ret = hook_call(cls, IO_MKDIR, name, dirfd, NULL, 0, 0);

	if (ret)
		return ret;
	return mkdirat(dirfd, name, mode) < 0 ? -errno : 0;
}

void io_push(int fd, off_t off, off_t len)
{
	(void)sync_file_range(fd, off, len, SYNC_FILE_RANGE_WRITE);
}

static int write_synced(int dirfd, const char *name, const void *buf, size_t len, mode_t mode)
{
	int ret, closed, fd;

	ret = io_open(IO_SMALL, dirfd, name, O_WRONLY | O_CREAT | O_TRUNC, mode, &fd);
	if (ret)
		return ret;
	ret = io_pwrite(IO_SMALL, fd, buf, len, 0);
	if (!ret)
		ret = sync_whole(IO_SMALL, fd);
	closed = io_close(IO_SMALL, fd);
	return ret ? ret : closed;
}

int io_replace_file(int dirfd, const char *name, const void *buf, size_t len, mode_t mode)
{
	char tmp[NAME_MAX + 1];
	int ret;

	ret = snprintf(tmp, sizeof tmp, "%s.tmp", name);
	if (ret < 0 || (size_t)ret >= sizeof tmp)
		return -ENAMETOOLONG;
	ret = write_synced(dirfd, tmp, buf, len, mode);
	if (!ret)
		ret = io_renameat(IO_SMALL, dirfd, tmp, name);
	if (ret) {
		(void)io_unlinkat(IO_SMALL, dirfd, tmp);
		return ret;
	}
	return io_fsync_dir(IO_SMALL, dirfd);
}

int io_read_file(int dirfd, const char *name, size_t max, char **ret_buf, size_t *ret_len)
{
	AUTO_FREE char *buf = NULL;
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int ret;

	ret = io_open(IO_SMALL, dirfd, name, O_RDONLY, 0, &fd);
	if (ret)
		return ret;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	buf = malloc((size_t)st.st_size + 1);
	if (!buf)
		return -ENOMEM;
	ret = io_pread(IO_SMALL, fd, buf, (size_t)st.st_size, 0);
	if (ret)
		return ret;
	buf[st.st_size] = '\0';
	*ret_len = (size_t)st.st_size;
	*ret_buf = steal(&buf);
	return 0;
}

int io_random(void *buf, size_t len)
{
	uint8_t *p = buf;
	ssize_t n;

	while (len > 0) {
		n = getrandom(p, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}
