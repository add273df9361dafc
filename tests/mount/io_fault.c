/* Loaded before libc into a daemon by failing_disk.sh: syncs of certain files fail or take long, or reading, syncing or closing one kills the
 * process.
 *
 * IO_FAULT names a file; while it has a line "sync NAME", "wait NAME", "die NAME", "die-sync NAME" or "die-close NAME", that is done to files
 * whose path has NAME in it. A sync that fails makes nothing durable; one that waits does so as long as the line stands. IO_FAULT_LOG, if
 * set, gets a line for each write and sync of such a file. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Of the calling thread: some have descriptors of their own. */
static void file_of(int fd, char path[PATH_MAX])
{
	char link[64];
	ssize_t n;

	(void)snprintf(link, sizeof link, "/proc/thread-self/fd/%d", fd);
	n = readlink(link, path, PATH_MAX - 1);
	path[n > 0 ? n : 0] = 0;
}

/* Whether the order given now has this verb for the file. */
static bool ordered(const char *verb, int fd)
{
	const char *control = getenv("IO_FAULT");
	char order[256] = "", path[PATH_MAX];
	int file = control ? open(control, O_RDONLY | O_CLOEXEC) : -1, saved = errno;
	ssize_t n;

	if (file < 0)
		return false;
	n = syscall(SYS_pread64, file, order, sizeof order - 1, 0L);
	(void)syscall(SYS_close, file);
	errno = saved;
	order[n > 0 ? n : 0] = 0;
	order[strcspn(order, "\n")] = 0;
	if (strncmp(order, verb, strlen(verb)) != 0 || order[strlen(verb)] != ' ')
		return false;
	file_of(fd, path);
	return strstr(path, order + strlen(verb) + 1) != NULL;
}

static void die_if(const char *verb, int fd)
{
	if (ordered(verb, fd))
		abort();
}

static void note(const char *what, int fd)
{
	const char *log = getenv("IO_FAULT_LOG");
	int file = log ? open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
	char path[PATH_MAX], line[PATH_MAX + 32];
	const char *name;

	if (file < 0)
		return;
	file_of(fd, path);
	name = strrchr(path, '/');
	(void)snprintf(line, sizeof line, "%s %s\n", what, name ? name + 1 : path);
	if (write(file, line, strlen(line)) < 0)
		abort();
	(void)syscall(SYS_close, file);
}

static int sync_or_fail(long call, int fd)
{
	int ret;

	die_if("die-sync", fd);
	if (ordered("sync", fd)) {
		note("failed", fd);
		errno = EIO;
		return -1;
	}
	while (ordered("wait", fd))
		(void)usleep(10000);
	ret = (int)syscall(call, fd);
	note("sync", fd);
	return ret;
}

int fdatasync(int fd)
{
	return sync_or_fail(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	return sync_or_fail(SYS_fsync, fd);
}

ssize_t pread64(int fd, void *buf, size_t len, off64_t off)
{
	die_if("die", fd);
	return syscall(SYS_pread64, fd, buf, len, off);
}

ssize_t pread(int fd, void *buf, size_t len, off_t off)
{
	return pread64(fd, buf, len, off);
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t off)
{
	note("write", fd);
	return syscall(SYS_pwrite64, fd, buf, len, off);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t off)
{
	return pwrite64(fd, buf, len, off);
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	note("write", fd);
	return syscall(SYS_pwritev, fd, iov, n, off, 0L);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t off)
{
	return pwritev(fd, iov, n, off);
}

int close(int fd)
{
	die_if("die-close", fd);
	return (int)syscall(SYS_close, fd);
}
