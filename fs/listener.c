#include "fs/listener.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/base/cleanup.h"

#define INHERITED_FIRST 3 /* SD_LISTEN_FDS_START */
#define INHERITED_MAX 64
#define LISTENS_TRIES 5
#define LISTENS_TRY_NS 200000000L

/* How many descriptors were passed to this very process. */
static int inherited_count(void)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	long count;

	if (!pid || !n || strtol(pid, NULL, 10) != (long)getpid())
		return 0;
	count = strtol(n, NULL, 10);
	return count < 0 ? 0 : count > INHERITED_MAX ? INHERITED_MAX : (int)count;
}

/* The passed socket that listens on this address, or -1. */
static int find_inherited(const struct sockaddr_un *address)
{
	int i, n = inherited_count();

	for (i = INHERITED_FIRST; i < INHERITED_FIRST + n; i++) {
		struct sockaddr_un its = {0};
		socklen_t len = sizeof its, int_len = sizeof(int);
		int listens = 0;

		if (getsockname(i, (struct sockaddr *)&its, &len) || its.sun_family != AF_UNIX ||
		    getsockopt(i, SOL_SOCKET, SO_ACCEPTCONN, &listens, &int_len) || !listens)
			continue;
		if (!strncmp(its.sun_path, address->sun_path, sizeof its.sun_path))
			return i;
	}
	return -1;
}

/* Which process it is, as far as it is known. */
static bool somebody_listens(const struct sockaddr_un *address, int *ret_pid)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct ucred peer = {0};
	socklen_t len = sizeof peer;

	if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address))
		return false;
	(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	*ret_pid = (int)peer.pid;
	return true;
}

/* Makes way for our socket: removes one that a dead daemon left. One whose owner was killed just now is there for a moment more. */
static int clear_address(const struct sockaddr_un *address, struct err *err)
{
	const struct timespec pause = {.tv_nsec = LISTENS_TRY_NS};
	struct stat st;
	int tries, pid;

	for (tries = 0;; tries++) {
		if (lstat(address->sun_path, &st))
			return errno == ENOENT ? 0 : err_set(err, errno, "the socket %s: %s", address->sun_path, err_name(errno));
		if (!S_ISSOCK(st.st_mode))
			return err_set(err, EEXIST, "%s is there and is no socket", address->sun_path);
		if (!somebody_listens(address, &pid))
			break;
		if (tries == LISTENS_TRIES)
			return err_set(err, EADDRINUSE, "another program (process %d) listens on %s", pid, address->sun_path);
		(void)nanosleep(&pause, NULL);
	}
	if (unlink(address->sun_path) && errno != ENOENT)
		return err_set(err, errno, "the old socket %s: %s", address->sun_path, err_name(errno));
	return 0;
}

/* The folder, and the one above it: /run/docker/plugins is missing where Docker has never run. */
static int make_folder(const char *path, struct err *err)
{
	AUTO_FREE char *folder = strdup(path);
	char *slash, *upper;

	if (!folder)
		return err_set(err, ENOMEM, "out of memory");
	slash = strrchr(folder, '/');
	*slash = '\0';
	upper = strrchr(folder, '/');
	if (upper && upper != folder) {
		*upper = '\0';
		(void)mkdir(folder, 0755);
		*upper = '/';
	}
	if (*folder && mkdir(folder, 0755) && errno != EEXIST)
		return err_set(err, errno, "the folder of the socket %s: %s", path, err_name(errno));
	return 0;
}

static int listen_on(const struct listener_options *o, const struct sockaddr_un *address, int *ret_fd, struct err *err)
{
	AUTO_CLOSE int fd = -1;
	mode_t old;
	int ret = make_folder(address->sun_path, err);

	if (!ret)
		ret = clear_address(address, err);
	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Nobody else may connect before the mode is right. */
	old = umask(0177);
	ret = fd < 0 || bind(fd, (const struct sockaddr *)address, sizeof *address) ? -errno : 0;
	(void)umask(old);
	if (!ret && o->has_group && (chown(address->sun_path, (uid_t)-1, o->group) || chmod(address->sun_path, 0660)))
		ret = -errno;
	if (!ret && listen(fd, SOMAXCONN))
		ret = -errno;
	if (ret)
		return err_set(err, -ret, "listening on %s: %s", address->sun_path, err_name(-ret));
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int listener_open(const struct listener_options *o, struct listener *ret, struct err *err)
{
	struct listener l = {.fd = -1, .address = {.sun_family = AF_UNIX}};
	int r = 0;

	(void)snprintf(l.address.sun_path, sizeof l.address.sun_path, "%s", o->path);
	l.fd = find_inherited(&l.address);
	l.inherited = l.fd >= 0;
	if (l.inherited) {
		(void)fcntl(l.fd, F_SETFD, FD_CLOEXEC);
		(void)fcntl(l.fd, F_SETFL, fcntl(l.fd, F_GETFL) | O_NONBLOCK);
	} else {
		r = listen_on(o, &l.address, &l.fd, err);
	}
	if (!r)
		*ret = l;
	return r;
}

void listener_close(struct listener *l)
{
	if (l->fd < 0)
		return;
	/* First the name, so that nobody new comes. */
	if (!l->inherited)
		(void)unlink(l->address.sun_path);
	(void)close(l->fd);
	l->fd = -1;
}
