#include "fs/set_aside.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/err.h"
#include "store/base/log.h"
#include "store/journal/ring.h"

/* Only what was ever used is memory; the rest stays a hole. */
static int copy(int from, int to)
{
	off_t size = lseek(from, 0, SEEK_END), at = lseek(from, 0, SEEK_DATA), end;

	if (size < 0 || ftruncate(to, size))
		return -errno;
	for (; at >= 0 && at < size; at = lseek(from, end, SEEK_DATA)) {
		end = lseek(from, at, SEEK_HOLE);
		if (end < 0 || lseek(to, at, SEEK_SET) < 0)
			return -errno;
		while (at < end)
			if (sendfile(to, from, &at, (size_t)(end - at)) <= 0)
				return errno ? -errno : -EIO;
	}
	return fsync(to) ? -errno : 0;
}

static bool empty(int ring_fd)
{
	struct ring *ring = NULL;
	bool is = !ring_attach(ring_fd, &ring) && ring_tail_seq(ring) == ring_head_seq(ring);

	ring_free(ring);
	return is;
}

void set_aside(int ring_fd, const char *folder)
{
	char path[PATH_MAX], stamp[32];
	AUTO_CLOSE int fd = -1;
	time_t now = time(NULL);
	struct tm tm;
	int ret;

	if (ring_fd < 0 || empty(ring_fd))
		return;
	(void)strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
	(void)snprintf(path, sizeof path, "%.*s/ring-%s", PATH_MAX - 40, folder, stamp);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ret = fd < 0 ? -errno : copy(ring_fd, fd);
	/* a part would be of no use, and take space where perhaps there is none */
	if (ret && fd >= 0)
		(void)unlink(path);
	if (ret)
		log_error("what was written last is not in the store, and cannot be kept in %s: %s", path, err_name(-ret));
	else
		log_error("what was written last is not in the store: it is kept in %s; "
			  "varved, started again, goes on from the last commit and all that was fsynced", path);
}
