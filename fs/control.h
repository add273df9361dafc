/* What supervisor and daemon say to each other, over a pair of sockets. Its end is the other's end. */
#ifndef VARVE_FS_CONTROL_H
#define VARVE_FS_CONTROL_H

#include <limits.h>
#include <stdint.h>

enum control_kind {
	CONTROL_RING = 1,  /* daemon: here is the ring (a descriptor) */
	CONTROL_READY,     /* daemon: it serves */
	CONTROL_FAILED,    /* daemon: it cannot start; why */
	CONTROL_UPGRADE,   /* daemon: somebody wants this program to take its place */
	CONTROL_HAND_OVER, /* supervisor: end as soon as nothing is half-done, and leave the mount to the next */
};
struct control_message {
	uint32_t kind;
	char text[PATH_MAX];
};

/* Both ends, closed on exec. -errno. */
int control_pair(int ret_fds[2]);
/* fd -1: none goes with it. -errno. */
int control_send(int control_fd, enum control_kind kind, const char *text, int fd);
/* Waits for a message. *ret_fd is -1, or what came with it. >0 when the other has ended. */
int control_receive(int control_fd, struct control_message *ret, int *ret_fd);

#endif
