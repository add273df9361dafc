/* Preloaded into what runs under valgrind. An assertion of valgrind 3.19's fails where it carries out a system call by itself that it has
 * said may block: close_range(2), and, with --sim-hints=fuse-compatible, readlink(2). The first is missing as in an old kernel, which
 * the caller goes on without; without the second the holders of a file are named by process alone. */
#include <errno.h>
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
	(void)path;
	(void)buf;
	(void)size;
	errno = ENOSYS;
	return -1;
}
