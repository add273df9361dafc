/* The FUSE session: the connection to the kernel, its two workers, and what libfuse does not pass on. */
#ifndef VARVE_FS_SESSION_H
#define VARVE_FS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "store/base/err.h"
#include "store/base/limits.h"

struct daemon;
struct session;

#define SESSION_WORKERS 2
/* The largest READ and WRITE. */
#define SESSION_IO_MAX MIB

/* Of the request that the calling worker is at. */
struct request {
	uint64_t unique;
	bool kill_priv; /* WRITE, SETATTR, OPEN, CREATE: suid, sgid and capabilities go */
};

/* Mounts on the daemon's mount point and answers INIT. Nothing else is answered before session_start. */
int session_new(struct daemon *d, struct session **ret, struct err *err);
int session_start(struct session *s, struct err *err);
/* Ends the workers, once the mount is gone or must go, and closes the connection. */
void session_free(struct session *s);
/* Readable when the kernel has ended the connection (somebody unmounted it). */
int session_ended_fd(const struct session *s);

/* For the worker threads. */
const struct request *session_request(void);
void *session_scratch(void); /* SESSION_IO_MAX bytes */
/* The buffer that the request was read into, for a request that goes on in another thread; -ENOMEM. Give it back when
 * done. */
int session_take_buffer(void **ret);
void session_give_buffer(struct session *s, void *buffer);

#define SESSION_NOTIFY_INC_EPOCH 8 /* newer than the headers of Debian 12 */
/* Sends a notification; iov[0] is left for its header. Never from a worker. 0 or -errno (-ENOENT: the kernel does not
 * know it). */
int session_notify(struct session *s, int code, struct iovec *iov, int n);

/* What the kernel and libfuse agreed on, and what was asked so far. */
struct session_info {
	bool writeback, killpriv_v2, inc_epoch;
	unsigned kernel_minor;
};
void session_info(const struct session *s, struct session_info *ret);
/* Requests so far by opcode, with a name; NULL for those without one. */
#define SESSION_OPCODES 64
uint64_t session_requests(const struct session *s, unsigned opcode);
const char *session_opcode_name(unsigned opcode);

#endif
