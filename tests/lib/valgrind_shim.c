/* Preloaded into what runs under valgrind. An assertion of valgrind 3.19's fails when it answers a system call by itself that it has
 * said may block, which are two here: close_range(2), and, with --sim-hints=fuse-compatible, a readlink(2) of the program's own
 * /proc/PID/exe. The first is missing as in an old kernel, which the caller goes on without; the second finds nothing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int close_range(unsigned first, unsigned last, int flags);

int close_range(unsigned first, unsigned last, int flags)
{
	(void)first;
	(void)last;
	(void)flags;
	errno = ENOSYS;
	return -1;
}

ssize_t readlink(const char *restrict path, char *restrict buf, size_t size)
{
	char own[64];

	(void)snprintf(own, sizeof own, "/proc/%d/exe", (int)getpid());
	if (!strcmp(path, own)) {
		errno = ENOENT;
		return -1;
	}
	return syscall(SYS_readlink, path, buf, size);
}
