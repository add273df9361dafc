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
struct op_done;
struct session;

#define SESSION_WORKERS 2
/* The largest READ and WRITE. */
#define SESSION_IO_MAX MIB

/* Of the request that the calling worker is at. */
struct request {
	uint64_t unique;
	bool resent; /* an earlier daemon was asked this already, and may have carried it out */
	bool kill_priv; /* WRITE, SETATTR, OPEN, CREATE: suid, sgid and capabilities go */
};

/* Mounts on the daemon's mount point and answers INIT, or takes over what an earlier daemon has mounted. Nothing else is
 * answered before session_start. */
int session_new(struct daemon *d, struct session **ret, struct err *err);
/* When taking over: what the earlier daemon has not answered is asked again, before anything else. */
int session_start(struct session *s, struct err *err);
/* Ends the workers, once the mount is gone or must go, and closes the connection. */
void session_free(struct session *s);
/* Readable when the kernel has ended the connection (somebody unmounted it). */
int session_ended_fd(const struct session *s);
int session_fd(const struct session *s);

/* For the worker threads. */
const struct request *session_request(void);
void *session_scratch(void); /* SESSION_IO_MAX bytes */
/* For an operation that must not be carried out twice: true when an earlier daemon has, with the node that it made. Else
 * *ret_done is where the engine notes it (struct op). */
bool session_done(uint64_t *ret_node, struct op_done **ret_done);
/* The buffer that the request was read into, for a request that goes on in another thread; -ENOMEM. Give it back when
 * done. */
int session_take_buffer(void **ret);
void session_give_buffer(struct session *s, void *buffer);

/* newer than the headers of Debian 12 */
#define SESSION_NOTIFY_RESEND 7
#define SESSION_NOTIFY_INC_EPOCH 8
/* Sends a notification; iov[0] is left for its header. fd -1: through the session's own descriptor, which is for those
 * for which the kernel takes no lock of an inode. All others are for a visiting thread (visit.h) with a copy of
 * session_fd. 0 or -errno (-ENOENT: the kernel does not know it). */
int session_notify(struct session *s, int fd, int code, struct iovec *iov, int n);

/* What the kernel and libfuse agreed on, and what was asked so far. */
struct session_info {
	bool writeback, killpriv_v2, inc_epoch, resend;
	unsigned kernel_minor;
};
void session_info(const struct session *s, struct session_info *ret);
/* Requests so far by opcode, with a name; NULL for those without one. */
#define SESSION_OPCODES 64
uint64_t session_requests(const struct session *s, unsigned opcode);
const char *session_opcode_name(unsigned opcode);

#endif
