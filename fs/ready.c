#include "fs/ready.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "store/base/cleanup.h"

int ready_fork(int *ret_fd, struct err *err)
{
	int fds[2];
	pid_t pid;
	char c;

	if (pipe2(fds, O_CLOEXEC))
		return err_set(err, errno, "no pipe: %s", err_name(errno));
	pid = fork();
	if (pid < 0) {
		int code = errno;

		(void)close(fds[0]);
		(void)close(fds[1]);
		return err_set(err, code, "no process: %s", err_name(code));
	}
	if (pid > 0) {
		ssize_t n;

		(void)close(fds[1]);
		do
			n = read(fds[0], &c, 1);
		while (n < 0 && errno == EINTR);
		_exit(n == 1 ? 0 : 1);
	}
	(void)close(fds[0]);
	(void)setsid();
	*ret_fd = fds[1];
	return 0;
}

/* One datagram to systemd's socket, when there is one. It is advice: nothing depends on its arrival. */
static void notify_systemd(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	AUTO_CLOSE int fd = -1;
	size_t len;

	if (!path || (*path != '/' && *path != '@'))
		return;
	len = strlen(path);
	if (len >= sizeof to.sun_path)
		return;
	memcpy(to.sun_path, path, len);
	if (*path == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

static int write_pidfile(const char *path, struct err *err)
{
	FILE *f = fopen(path, "we");
	int bad;

	if (!f)
		return err_set(err, errno, "the pidfile %s cannot be written: %s", path, err_name(errno));
	bad = fprintf(f, "%d\n", (int)getpid()) < 0;
	bad |= fclose(f);
	return bad ? err_set(err, EIO, "the pidfile %s cannot be written", path) : 0;
}

int ready_tell(int fd, const struct options *o, struct err *err)
{
	char state[64];
	int ret;

	if (*o->pidfile) {
		ret = write_pidfile(o->pidfile, err);
		if (ret)
			return ret;
	}
	(void)snprintf(state, sizeof state, "READY=1\nMAINPID=%d", (int)getpid());
	notify_systemd(state);
	ready_detach(o);
	if (fd >= 0) {
		/* A parent that is gone already waits for nothing. */
		(void)!write(fd, "R", 1);
		(void)close(fd);
	}
	return 0;
}

void ready_detach(const struct options *o)
{
	AUTO_CLOSE int null = -1;

	if (o->foreground)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
		if (o->log_dest != LOG_DEST_STDERR)
			(void)dup2(null, STDERR_FILENO);
	}
	(void)!chdir("/");
}

void ready_stopping(void)
{
	notify_systemd("STOPPING=1");
}

void ready_gone(const struct options *o)
{
	if (*o->pidfile)
		(void)unlink(o->pidfile);
}
