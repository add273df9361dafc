/* Unix sockets to listen on: made here, or open already when the program started (socket activation: LISTEN_PID and
 * LISTEN_FDS, as sd_listen_fds(3) describes). An inherited one is recognised by its path, whatever its name or place
 * among the others. */
#ifndef VARVE_FS_LISTENER_H
#define VARVE_FS_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "store/base/err.h"

struct listener {
	int fd; /* -1: none */
	bool inherited; /* whoever made it removes its name */
	struct sockaddr_un address;
};
#define LISTENER_NONE ((struct listener){.fd = -1})

struct listener_options {
	const char *path;
	bool has_group;
	gid_t group;
};
/* The inherited socket of this path, or a new one: mode 0600, or 0660 for the group. A socket that nobody listens on
 * any more is replaced; -EADDRINUSE when somebody does. Its folder is made when its parent is there. Call it once a
 * path, before any thread is started. */
int listener_open(const struct listener_options *o, struct listener *ret, struct err *err);
/* Closes it; the name goes too when it is ours. Requests that nobody has accepted yet are lost then, but for an
 * inherited one. */
void listener_close(struct listener *l);

#endif
