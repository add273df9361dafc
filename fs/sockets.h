/* The sockets that varved listens on. They belong to the supervisor: whoever connects while the daemon is away is
 * answered by the next one. */
#ifndef VARVE_FS_SOCKETS_H
#define VARVE_FS_SOCKETS_H

#include "fs/listener.h"
#include "fs/options.h"

enum socket_id {
	SOCKET_API,
	SOCKET_DOCKER,
	SOCKETS
};
struct sockets {
	struct listener v[SOCKETS]; /* fd -1: not wanted */
};

/* Makes or inherits all that the options want. One that is only there by default is done without when it cannot be had.
 */
int sockets_open(const struct options *o, struct sockets *ret, struct err *err);
/* Those with these descriptors, which another process of this program has opened. */
void sockets_adopt(const struct options *o, const int fds[SOCKETS], const bool inherited[SOCKETS], struct sockets *ret);
void sockets_close(struct sockets *s);

#endif
