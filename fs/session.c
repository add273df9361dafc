/* Two workers read requests and hand them to libfuse, which calls the handlers of ops.h. The loop is our own, because
 * libfuse's hides what is needed here: the request's unique (the name under which the ring remembers its effects), the
 * flags that ask for suid and sgid to be cleared, the INIT reply, and the buffer, which a write that must wait takes
 * along.
 *
 * More workers would be slower: each wakes a halted CPU. So a worker never waits for a disk; see parked.h. */
#define FUSE_USE_VERSION 314
#include "fs/session.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "fs/daemon.h"
#include "fs/mount.h"
#include "fs/ops.h"
#include "store/base/cleanup.h"
#include "store/base/log.h"

#define BUFFER_SIZE (SESSION_IO_MAX + 4096) /* a WRITE and its headers */
#define BUFFERS_SPARE 8

struct worker {
	struct session *s;
	pthread_t thread;
	_Atomic bool running;
	void *buffer, *scratch;
	struct request request;
	_Atomic uint64_t requests[SESSION_OPCODES]; /* written by this worker alone */
};

struct session {
	struct daemon *d;
	struct fuse_session *fuse;
	int fd, ended_fd;
	_Atomic bool stopping;
	uint64_t init_unique;
	struct session_info info;
	struct worker workers[SESSION_WORKERS];
	pthread_mutex_t spare_lock; /* leaf; covers what follows */
	void *spare[BUFFERS_SPARE];
	unsigned spare_n;
};

/* libfuse calls the handlers without any argument of ours but the session's, so the worker is found by its thread. */
static _Thread_local struct worker *current;

const struct request *session_request(void)
{
	return &current->request;
}

void *session_scratch(void)
{
	return current->scratch;
}

static void *buffer_new(void)
{
	return aligned_alloc(4096, BUFFER_SIZE);
}

int session_take_buffer(void **ret)
{
	struct session *s = current->s;
	void *next = NULL;

	(void)pthread_mutex_lock(&s->spare_lock);
	if (s->spare_n)
		next = s->spare[--s->spare_n];
	(void)pthread_mutex_unlock(&s->spare_lock);
	if (!next)
		next = buffer_new();
	if (!next)
		return -ENOMEM;
	*ret = current->buffer;
	current->buffer = next;
	return 0;
}

void session_give_buffer(struct session *s, void *buffer)
{
	(void)pthread_mutex_lock(&s->spare_lock);
	if (s->spare_n < BUFFERS_SPARE) {
		s->spare[s->spare_n++] = buffer;
		buffer = NULL;
	}
	(void)pthread_mutex_unlock(&s->spare_lock);
	free(buffer);
}

/* Every reply and notification passes here; INIT's gets the flag that libfuse 3.14 does not know. */
static ssize_t reply_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct session *s = ((struct daemon *)userdata)->session;
	const struct fuse_out_header *head = iov[0].iov_base;
	struct fuse_init_out out;
	struct iovec patched[2];

	if (!s->init_unique || head->unique != s->init_unique || count != 2 || iov[1].iov_len > sizeof out)
		return writev(fd, iov, count);
	memcpy(&out, iov[1].iov_base, iov[1].iov_len);
	if (s->info.killpriv_v2)
		out.flags |= FUSE_HANDLE_KILLPRIV_V2;
	s->info.writeback = out.flags & FUSE_WRITEBACK_CACHE;
	patched[0] = iov[0];
	patched[1] = (struct iovec){&out, iov[1].iov_len};
	return writev(fd, patched, 2);
}

/* libfuse wants one; the workers read by themselves. */
static ssize_t request_read(int fd, void *buf, size_t len, void *userdata)
{
	(void)userdata;
	return read(fd, buf, len);
}

/* Looks at the request before libfuse takes it apart. */
static void peek(struct worker *w, size_t len)
{
	const struct fuse_in_header *in = w->buffer;
	const void *arg = in + 1;
	size_t arg_len = len - sizeof *in;
	struct request *r = &w->request;

	*r = (struct request){.unique = in->unique};
	if (in->opcode < SESSION_OPCODES)
		(void)atomic_fetch_add_explicit(&w->requests[in->opcode], 1, memory_order_relaxed);
	switch (in->opcode) {
	case FUSE_WRITE:
		r->kill_priv = arg_len >= sizeof(struct fuse_write_in) &&
			       ((const struct fuse_write_in *)arg)->write_flags & FUSE_WRITE_KILL_SUIDGID;
		break;
	case FUSE_SETATTR:
		r->kill_priv = arg_len >= sizeof(struct fuse_setattr_in) &&
			       ((const struct fuse_setattr_in *)arg)->valid & FATTR_KILL_SUIDGID;
		break;
	case FUSE_OPEN:
		r->kill_priv = arg_len >= sizeof(struct fuse_open_in) &&
			       ((const struct fuse_open_in *)arg)->open_flags & FUSE_OPEN_KILL_SUIDGID;
		break;
	case FUSE_CREATE:
		r->kill_priv = arg_len >= sizeof(struct fuse_create_in) &&
			       ((const struct fuse_create_in *)arg)->open_flags & FUSE_OPEN_KILL_SUIDGID;
		break;
	default:
		break;
	}
}

/* One request: 0, or -errno when there will be no more. */
static int serve_one(struct worker *w)
{
	struct session *s = w->s;
	struct fuse_buf buf = {0};
	ssize_t n;

	n = read(s->fd, w->buffer, BUFFER_SIZE);
	if (n < 0) {
		/* ENOENT: the request was interrupted before it could be read */
		if (errno == ENOENT || errno == EAGAIN || errno == EINTR)
			return atomic_load(&s->stopping) ? -ESHUTDOWN : 0;
		return -errno;
	}
	if ((size_t)n < sizeof(struct fuse_in_header))
		return -EIO;
	peek(w, (size_t)n);
	buf.mem = w->buffer;
	buf.size = (size_t)n;
	fuse_session_process_buf(s->fuse, &buf);
	return 0;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	sigset_t set;
	int ret;

	current = w;
	(void)pthread_setname_np(pthread_self(), "fuse");
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	do
		ret = serve_one(w);
	while (!ret);
	if (ret != -ENODEV && ret != -ECONNABORTED && ret != -ESHUTDOWN)
		log_error("reading requests: %s", err_name(-ret));
	atomic_store(&w->running, false);
	(void)eventfd_write(w->s->ended_fd, 1);
	return NULL;
}

/* The first request is INIT: the kernel sends nothing else before its answer. */
static int answer_init(struct session *s, struct err *err)
{
	struct worker *w = &s->workers[0];
	const struct fuse_in_header *in = w->buffer;
	const struct fuse_init_in *init = (const void *)(in + 1);
	struct fuse_buf buf = {0};
	ssize_t n;

	do
		n = read(s->fd, w->buffer, BUFFER_SIZE);
	while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n < 0)
		return err_set(err, errno, "the kernel's first request: %s", err_name(errno));
	if ((size_t)n < sizeof *in + 16 || in->opcode != FUSE_INIT)
		return err_set(err, EPROTO, "the kernel's first request is not INIT");
	s->init_unique = in->unique;
	s->info.kernel_minor = init->minor;
	s->info.killpriv_v2 = init->flags & FUSE_HANDLE_KILLPRIV_V2;
	buf.mem = w->buffer;
	buf.size = (size_t)n;
	current = w;
	fuse_session_process_buf(s->fuse, &buf);
	current = NULL;
	s->init_unique = 0;
	if (fuse_session_exited(s->fuse))
		return err_set(err, EPROTO, "the kernel's FUSE is too old (7.%u)", s->info.kernel_minor);
	return 0;
}

static int session_alloc(struct daemon *d, struct session **ret)
{
	struct session *s = calloc(1, sizeof *s);
	unsigned i;

	if (!s)
		return -ENOMEM;
	s->d = d;
	s->fd = -1;
	(void)pthread_mutex_init(&s->spare_lock, NULL);
	s->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (i = 0; i < SESSION_WORKERS; i++) {
		s->workers[i].s = s;
		s->workers[i].buffer = buffer_new();
		s->workers[i].scratch = aligned_alloc(4096, SESSION_IO_MAX);
		if (!s->workers[i].buffer || !s->workers[i].scratch)
			goto fail;
	}
	if (s->ended_fd < 0)
		goto fail;
	*ret = s;
	return 0;
fail:
	session_free(s);
	return -ENOMEM;
}

int session_new(struct daemon *d, struct session **ret, struct err *err)
{
	static const struct fuse_custom_io io = {.writev = reply_writev, .read = request_read};
	char *argv[] = {(char *)"varved", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct session *s;
	int r, fd = -1;

	r = session_alloc(d, &s);
	if (r)
		return err_set(err, -r, "the FUSE session: %s", err_name(-r));
	d->session = s;
	s->fuse = fuse_session_new(&args, ops_table(), ops_table_size(), d);
	fuse_opt_free_args(&args);
	if (!s->fuse) {
		r = err_set(err, ENOMEM, "the FUSE session cannot be made");
		goto fail;
	}
	r = mount_fuse(d->options.mount, &fd, err);
	if (r)
		goto fail;
	s->fd = fd;
	r = fuse_session_custom_io(s->fuse, &io, fd);
	if (r) {
		r = err_set(err, -r, "the FUSE session: %s", err_name(-r));
		(void)close(fd);
	} else {
		r = answer_init(s, err);
	}
	if (r) {
		bool busy;

		(void)mount_detach(d->options.mount, &busy);
		goto fail;
	}
	*ret = s;
	return 0;
fail:
	d->session = NULL;
	session_free(s);
	return r;
}

int session_start(struct session *s, struct err *err)
{
	struct iovec iov[1];
	unsigned i;
	int ret;

	for (i = 0; i < SESSION_WORKERS; i++) {
		atomic_store(&s->workers[i].running, true);
		ret = pthread_create(&s->workers[i].thread, NULL, worker_main, &s->workers[i]);
		if (ret) {
			atomic_store(&s->workers[i].running, false);
			s->workers[i].thread = 0;
			return err_set(err, ret, "no thread: %s", err_name(ret));
		}
	}
	/* Nothing is cached yet, so this only asks whether the kernel knows it. */
	s->info.inc_epoch = !session_notify(s, SESSION_NOTIFY_INC_EPOCH, iov, 1);
	if (!s->info.inc_epoch)
		log_info("the kernel has no FUSE_NOTIFY_INC_EPOCH (6.16): rollbacks of large volumes take longer");
	return 0;
}

/* A worker that sits in read(2) is interrupted until it has seen that it should stop: the signal may come just before
 * the call. */
static void end_workers(struct session *s)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	unsigned i;

	atomic_store(&s->stopping, true);
	for (i = 0; i < SESSION_WORKERS; i++) {
		struct worker *w = &s->workers[i];

		if (!w->thread)
			continue;
		while (atomic_load(&w->running)) {
			(void)pthread_kill(w->thread, SIGUSR1);
			(void)nanosleep(&pause, NULL);
		}
		(void)pthread_join(w->thread, NULL);
	}
}

void session_free(struct session *s)
{
	unsigned i;

	if (!s)
		return;
	end_workers(s);
	if (s->fuse)
		fuse_session_destroy(s->fuse); /* closes the connection */
	for (i = 0; i < SESSION_WORKERS; i++) {
		free(s->workers[i].buffer);
		free(s->workers[i].scratch);
	}
	while (s->spare_n)
		free(s->spare[--s->spare_n]);
	if (s->ended_fd >= 0)
		(void)close(s->ended_fd);
	(void)pthread_mutex_destroy(&s->spare_lock);
	free(s);
}

int session_ended_fd(const struct session *s)
{
	return s->ended_fd;
}

int session_notify(struct session *s, int code, struct iovec *iov, int n)
{
	struct fuse_out_header head = {.error = code};
	size_t len = sizeof head;
	int i;

	iov[0] = (struct iovec){&head, sizeof head};
	for (i = 1; i < n; i++)
		len += iov[i].iov_len;
	head.len = (uint32_t)len;
	return writev(s->fd, iov, n) < 0 ? -errno : 0;
}

void session_info(const struct session *s, struct session_info *ret)
{
	*ret = s->info;
}

uint64_t session_requests(const struct session *s, unsigned opcode)
{
	uint64_t n = 0;
	unsigned i;

	for (i = 0; i < SESSION_WORKERS; i++)
		n += atomic_load_explicit(&s->workers[i].requests[opcode], memory_order_relaxed);
	return n;
}

const char *session_opcode_name(unsigned opcode)
{
	static const char *const names[SESSION_OPCODES] = {
		[FUSE_LOOKUP] = "lookup",
		[FUSE_FORGET] = "forget",
		[FUSE_GETATTR] = "getattr",
		[FUSE_SETATTR] = "setattr",
		[FUSE_READLINK] = "readlink",
		[FUSE_SYMLINK] = "symlink",
		[FUSE_MKNOD] = "mknod",
		[FUSE_MKDIR] = "mkdir",
		[FUSE_UNLINK] = "unlink",
		[FUSE_RMDIR] = "rmdir",
		[FUSE_RENAME] = "rename",
		[FUSE_LINK] = "link",
		[FUSE_OPEN] = "open",
		[FUSE_READ] = "read",
		[FUSE_WRITE] = "write",
		[FUSE_STATFS] = "statfs",
		[FUSE_RELEASE] = "release",
		[FUSE_FSYNC] = "fsync",
		[FUSE_SETXATTR] = "setxattr",
		[FUSE_GETXATTR] = "getxattr",
		[FUSE_LISTXATTR] = "listxattr",
		[FUSE_REMOVEXATTR] = "removexattr",
		[FUSE_FLUSH] = "flush",
		[FUSE_OPENDIR] = "opendir",
		[FUSE_READDIR] = "readdir",
		[FUSE_RELEASEDIR] = "releasedir",
		[FUSE_FSYNCDIR] = "fsyncdir",
		[FUSE_CREATE] = "create",
		[FUSE_INTERRUPT] = "interrupt",
		[FUSE_IOCTL] = "ioctl",
		[FUSE_BATCH_FORGET] = "batch_forget",
		[FUSE_FALLOCATE] = "fallocate",
		[FUSE_READDIRPLUS] = "readdirplus",
		[FUSE_RENAME2] = "rename2",
		[FUSE_LSEEK] = "lseek",
		[FUSE_COPY_FILE_RANGE] = "copy_file_range",
		[FUSE_TMPFILE] = "tmpfile",
		[52] = "statx", /* newer than the headers of Debian 12 */
	};

	return opcode < SESSION_OPCODES ? names[opcode] : NULL;
}
