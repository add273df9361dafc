#include "fs/control.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

union ancillary {
	char room[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

int control_pair(int ret_fds[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) ? -errno : 0;
}

int control_send(int control_fd, enum control_kind kind, const char *text, int fd)
{
	struct control_message m = {.kind = kind};
	size_t len = (size_t)snprintf(m.text, sizeof m.text, "%s", text);
	struct iovec iov = {&m, 0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union ancillary a = {0};

	if (len >= sizeof m.text)
		len = sizeof m.text - 1;
	iov.iov_len = offsetof(struct control_message, text) + len + 1;
	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = a.room;
		msg.msg_controllen = sizeof a.room;
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
	}
	return sendmsg(control_fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int control_receive(int control_fd, struct control_message *ret, int *ret_fd)
{
	struct iovec iov = {ret, sizeof *ret};
	union ancillary a = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = a.room, .msg_controllen = sizeof a.room};
	const struct cmsghdr *c;
	ssize_t n;

	*ret_fd = -1;
	do
		n = recvmsg(control_fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != ECONNRESET)
		return -errno;
	if (n < (ssize_t)offsetof(struct control_message, text) + 1)
		return 1;
	((char *)ret)[n - 1] = '\0';
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(c), sizeof *ret_fd);
	return 0;
}
