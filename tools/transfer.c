#include "tools/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/api_client.h"

#define POLL_MS 500

int transfer_put(void *transfer, const void *data, size_t len)
{
	struct transfer *t = transfer;
	const char *p = data;

	while (len) {
		ssize_t n = write(t->fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
		t->moved += n;
	}
	return 0;
}

ssize_t transfer_get(void *transfer, void *buf, size_t len, int peer)
{
	struct transfer *t = transfer;
	struct pollfd both[] = {{t->fd, POLLIN, 0}, {peer, POLLIN | POLLRDHUP, 0}};
	ssize_t n;

	do
		n = poll(both, 2, -1);
	while (n < 0 && errno == EINTR);
	if (n > 0 && !both[0].revents)
		return -EAGAIN;
	do
		n = read(t->fd, buf, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	t->moved += n;
	return n;
}

void transfer_tick(void *transfer)
{
	struct transfer *t = transfer;
	json_auto_t *job = NULL;

	if (!progress_due(&t->bar, POLL_MS))
		return;
	if (t->total)
		t->part = (double)t->moved / (double)t->total;
	else if (t->job && *t->job && t->ask && !api_call(t->ask, "GET", NULL, &job, NULL, "/v1/jobs/%s", t->job))
		t->part = json_number_value(json_object_get(job, "progress"));
	progress_moved(&t->bar, t->part, t->moved);
}

int transfer_output(struct transfer *t, const char *what, const char *path_or_null, const char *usage, struct err *err)
{
	const char *path = path_or_null;

	if (!path && isatty(STDOUT_FILENO)) {
		err_set(err, EUSAGE, "the %s is nothing for a terminal", what);
		err_hint(err, "redirect it, as in '%s', or use -o FILE", usage);
		return -EUSAGE;
	}
	/* what is in a volume may be for few eyes */
	t->fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : dup(STDOUT_FILENO);
	return t->fd < 0 ? err_set(err, errno, "%s: %s", path ? path : "standard output", err_name(errno)) : 0;
}

int transfer_output_end(struct transfer *t, const char *what, const char *path_or_null, int rc, struct err *err)
{
	const char *path = path_or_null;

	if (rc == 0 && path && fsync(t->fd) < 0 && errno != EINVAL)
		rc = err_set(err, errno, "%s: %s", path, err_name(errno));
	if (close(t->fd) < 0 && rc == 0)
		rc = err_set(err, errno, "writing the %s failed: %s", what, err_name(errno));
	/* half of it is none */
	if (rc < 0 && path)
		(void)unlink(path);
	return rc;
}

int transfer_input(struct transfer *t, const char *what, const char *path_or_null, const char *usage, struct err *err)
{
	const char *path = path_or_null;
	struct stat st;

	if (!path && isatty(STDIN_FILENO)) {
		err_set(err, EUSAGE, "the %s does not come from a terminal", what);
		err_hint(err, "redirect it, as in '%s', or use -i FILE", usage);
		return -EUSAGE;
	}
	t->fd = path ? open(path, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
	if (t->fd < 0 || fstat(t->fd, &st))
		return err_set(err, errno, "%s: %s", path ? path : "standard input", err_name(errno));
	if (S_ISDIR(st.st_mode))
		return err_set(err, EISDIR, "%s is a folder, no %s", path ? path : "standard input", what);
	t->total = S_ISREG(st.st_mode) ? st.st_size : 0;
	return 0;
}
