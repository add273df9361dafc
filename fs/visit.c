#include "fs/visit.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stddef.h>
#include <unistd.h>

#define FD_KEPT 3

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE 2
#endif

/* The descriptor kept as the thread's own, everything else closed there. False: they are all still shared. */
static bool leave_descriptors(int keep_fd)
{
	if (keep_fd < 0)
		return !close_range(FD_KEPT, UINT_MAX, CLOSE_RANGE_UNSHARE);
	if (unshare(CLONE_FILES))
		return false;
	if (keep_fd != FD_KEPT)
		(void)dup3(keep_fd, FD_KEPT, O_CLOEXEC);
	(void)close_range(FD_KEPT + 1, UINT_MAX, 0);
	return true;
}

static void *visit_main(void *arg)
{
	struct visit *v = arg;
	int fd = v->keep_fd;

	if (leave_descriptors(fd) && fd >= 0)
		fd = FD_KEPT;
	v->fn(v->arg, fd);
	return NULL;
}

void visit_start(struct visit *v)
{
	v->running = !pthread_create(&v->thread, NULL, visit_main, v);
	if (!v->running)
		v->fn(v->arg, v->keep_fd);
}

void visit_join(struct visit *v)
{
	if (v->running)
		(void)pthread_join(v->thread, NULL);
	v->running = false;
}

void visit(void (*fn)(void *arg, int fd), void *arg, int keep_fd)
{
	struct visit v = {.fn = fn, .arg = arg, .keep_fd = keep_fd};

	visit_start(&v);
	visit_join(&v);
}
