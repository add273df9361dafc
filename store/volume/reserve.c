#include "store/volume/reserve.h"

#include <fcntl.h>

#define RESERVE_NAME "reserve"

void reserve_take(struct store *s)
{
	struct store_space space;
	int fd, ret;

	if (s->reserved || (s->flags & STORE_READONLY))
		return;
	if (host_space(s, &space) || space.host_free < HOST_MARGIN + RESERVE_SIZE)
		return;
	ret = io_open(IO_SMALL, s->dirfd, RESERVE_NAME, O_WRONLY | O_CREAT, 0600, &fd);
	if (ret)
		return;
	ret = io_fallocate_keep(IO_SMALL, fd, 0, RESERVE_SIZE);
	(void)io_close(IO_SMALL, fd);
	if (ret)
		(void)io_unlinkat(IO_SMALL, s->dirfd, RESERVE_NAME);
	s->reserved = !ret;
}

bool reserve_give(struct store *s)
{
	bool had = s->reserved;

	s->reserved = false;
	return !io_unlinkat(IO_SMALL, s->dirfd, RESERVE_NAME) && had;
}
