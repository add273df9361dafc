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
/* of `unique`: the request was sent before */
#define UNIQUE_RESENT (UINT64_C(1) << 63)
/* of fuse_init_in.flags2 (bit 39 of all): FUSE_HAS_RESEND, newer than the headers of Debian 12 */
#define HAS_RESEND (1U << 7)

struct worker {
	struct session *s;
	pthread_t thread;
	_Atomic bool running;
	void *buffer, *scratch;
	struct request request;
	struct op_done *done; /* what this worker has carried out and not answered; in the handover's memory */
	_Atomic bool past_resent; /* it has seen a request that was not sent before */
	_Atomic uint64_t requests[SESSION_OPCODES]; /* written by this worker alone */
};

struct session {
	struct daemon *d;
	struct fuse_session *fuse;
	int fd, ended_fd;
	_Atomic bool stopping;
	uint64_t init_unique;
	struct session_info info;
	/* by earlier daemons, to answer what is asked again; constant */
	struct carried {
		uint64_t unique, node;
		struct op_done *slot;
	} carried[HANDOVER_DONE_MAX];
	unsigned carried_n;
	_Atomic bool carried_kept; /* their slots are not free yet */
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

/* Touched at once: when the daemon is killed while the kernel copies into a page that is not there yet, the request
 * would end with an error. */
static void *pages_new(size_t size)
{
	void *p = aligned_alloc(4096, size);

	if (p)
		memset(p, 0, size);
	return p;
}

static void *buffer_new(void)
{
	return pages_new(BUFFER_SIZE);
}

bool session_done(uint64_t *ret_node, struct op_done **ret_done)
{
	const struct session *s = current->s;
	unsigned i;

	*ret_done = current->done;
	for (i = 0; current->request.resent && i < s->carried_n; i++)
		if (s->carried[i].unique == current->request.unique) {
			*ret_node = s->carried[i].node;
			return true;
		}
	return false;
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

/* The kernel may not hear our answer to INIT twice. It must be the same as then: what it allows cannot be changed. */
static ssize_t check_init_out(const struct session *s, const struct fuse_init_out *out, size_t len)
{
	const struct handover_state *state = s->d->handover.state;

	if (len != state->init_out_len || memcmp(out, state->init_out, len) != 0) {
		errno = EPROTO;
		return -1;
	}
	return (ssize_t)(sizeof(struct fuse_out_header) + len);
}

static ssize_t answer_init_out(struct session *s, int fd, struct iovec *iov)
{
	struct handover_state *state = s->d->handover.state;
	struct fuse_init_out out = {0};
	size_t len = iov[1].iov_len;
	struct iovec patched[2] = {iov[0], {&out, len}};
	ssize_t n;

	memcpy(&out, iov[1].iov_base, len);
	if (s->info.killpriv_v2)
		out.flags |= FUSE_HANDLE_KILLPRIV_V2;
	s->info.writeback = out.flags & FUSE_WRITEBACK_CACHE;
	if (s->d->take_over)
		return check_init_out(s, &out, len);
	memcpy(state->init_out, &out, len);
	state->init_out_len = (uint32_t)len;
	n = writev(fd, patched, 2);
	if (n >= 0)
		atomic_store(&state->serving, true);
	return n;
}

/* Every reply passes here; INIT's gets the flag that libfuse 3.14 does not know. */
static ssize_t reply_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct session *s = ((struct daemon *)userdata)->session;
	const struct fuse_out_header *head = iov[0].iov_base;

	if (!s->init_unique || head->unique != s->init_unique || count != 2 ||
	    iov[1].iov_len > sizeof(struct fuse_init_out))
		return writev(fd, iov, count);
	return answer_init_out(s, fd, iov);
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

	*r = (struct request){.unique = in->unique & ~UNIQUE_RESENT, .resent = in->unique & UNIQUE_RESENT};
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

/* The kernel sends first what it sends again. Once each worker is beyond that, what earlier daemons have noted is of no
 * use any more. */
static void note_past_resent(struct worker *w, uint32_t opcode)
{
	struct session *s = w->s;
	unsigned i;

	if (w->request.resent || opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_INTERRUPT)
		return;
	atomic_store(&w->past_resent, true);
	for (i = 0; i < SESSION_WORKERS; i++)
		if (!atomic_load(&s->workers[i].past_resent))
			return;
	if (!atomic_exchange(&s->carried_kept, false))
		return;
	for (i = 0; i < s->carried_n; i++)
		atomic_store(&s->carried[i].slot->unique, 0);
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
	if (atomic_load_explicit(&s->carried_kept, memory_order_relaxed))
		note_past_resent(w, ((const struct fuse_in_header *)w->buffer)->opcode);
	buf.mem = w->buffer;
	buf.size = (size_t)n;
	fuse_session_process_buf(s->fuse, &buf);
	atomic_store_explicit(&w->done->unique, 0, memory_order_relaxed); /* answered */
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

/* The first request is INIT: the kernel sends nothing else before its answer. It is kept for the daemons to come, which
 * will not see it. */
static int read_init(struct session *s, struct err *err)
{
	struct handover_state *state = s->d->handover.state;
	const struct fuse_in_header *in = s->workers[0].buffer;
	ssize_t n;

	do
		n = read(s->fd, s->workers[0].buffer, BUFFER_SIZE);
	while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n < 0)
		return err_set(err, errno, "the kernel's first request: %s", err_name(errno));
	if ((size_t)n < sizeof *in + 16 || in->opcode != FUSE_INIT || (size_t)n > sizeof state->init)
		return err_set(err, EPROTO, "the kernel's first request is not INIT");
	memcpy(state->init, in, (size_t)n);
	state->init_len = (uint32_t)n;
	return 0;
}

static int answer_init(struct session *s, struct err *err)
{
	struct handover_state *state = s->d->handover.state;
	struct worker *w = &s->workers[0];
	struct fuse_init_in init = {0};
	const struct fuse_in_header *in = w->buffer;
	struct fuse_buf buf = {.mem = w->buffer, .size = state->init_len};
	size_t arg_len = state->init_len - sizeof *in;

	memcpy(w->buffer, state->init, state->init_len);
	memcpy(&init, in + 1, arg_len < sizeof init ? arg_len : sizeof init);
	s->init_unique = in->unique;
	s->info.kernel_minor = init.minor;
	s->info.killpriv_v2 = init.flags & FUSE_HANDLE_KILLPRIV_V2;
	s->info.resend = (init.flags & FUSE_INIT_EXT) && (init.flags2 & HAS_RESEND);
	current = w;
	fuse_session_process_buf(s->fuse, &buf);
	current = NULL;
	s->init_unique = 0;
	if (fuse_session_exited(s->fuse))
		return s->d->take_over
			       ? err_set(err, EPROTO, "this version wants another kind of connection than the mount has")
			       : err_set(err, EPROTO, "the kernel's FUSE is too old (7.%u)", s->info.kernel_minor);
	atomic_store(&state->resend, s->info.resend && !s->d->options.no_takeover);
	return 0;
}

/* What earlier daemons have noted, and a free place for each worker. */
static int find_places(struct session *s)
{
	struct op_done *done = s->d->handover.state->done;
	unsigned i, next = 0;

	for (i = 0; i < HANDOVER_DONE_MAX; i++) {
		if (done[i].unique)
			s->carried[s->carried_n++] = (struct carried){done[i].unique, done[i].node, &done[i]};
		else if (next < SESSION_WORKERS)
			s->workers[next++].done = &done[i];
	}
	s->carried_kept = s->d->take_over;
	return next == SESSION_WORKERS ? 0 : -EBUSY;
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
		s->workers[i].scratch = pages_new(SESSION_IO_MAX);
		if (!s->workers[i].buffer || !s->workers[i].scratch)
			goto fail;
	}
	if (s->ended_fd < 0 || find_places(s))
		goto fail;
	*ret = s;
	return 0;
fail:
	session_free(s);
	return -ENOMEM;
}

static int mount_and_answer(struct session *s, struct err *err)
{
	const struct daemon *d = s->d;
	int r = mount_fuse(d->options.mount, d->handover.fuse_fd, err);
	bool busy;

	if (r)
		return r;
	r = read_init(s, err);
	if (!r)
		r = answer_init(s, err);
	if (r)
		(void)mount_detach(d->options.mount, &busy);
	return r;
}

int session_new(struct daemon *d, struct session **ret, struct err *err)
{
	static const struct fuse_custom_io io = {.writev = reply_writev, .read = request_read};
	char *argv[] = {(char *)"varved", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct session *s;
	int r;

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
	s->fd = fcntl(d->handover.fuse_fd, F_DUPFD_CLOEXEC, 0);
	if (s->fd < 0) {
		r = err_set(err, errno, "the FUSE session: %s", err_name(errno));
		goto fail;
	}
	r = fuse_session_custom_io(s->fuse, &io, s->fd);
	if (r) {
		(void)close(s->fd);
		r = err_set(err, -r, "the FUSE session: %s", err_name(-r));
		goto fail;
	}
	r = d->take_over ? answer_init(s, err) : mount_and_answer(s, err);
	if (r)
		goto fail;
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

	if (s->d->take_over) {
		ret = session_notify(s, -1, SESSION_NOTIFY_RESEND, iov, 1);
		if (ret)
			return err_set(err, -ret, "the kernel does not send again what was not answered: %s",
				       err_name(-ret));
		s->d->handover.state->takeovers++;
	}
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
	if (!s->d->take_over)
		s->d->handover.state->inc_epoch = !session_notify(s, -1, SESSION_NOTIFY_INC_EPOCH, iov, 1);
	s->info.inc_epoch = s->d->handover.state->inc_epoch;
	if (!s->info.inc_epoch && !s->d->take_over)
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

int session_fd(const struct session *s)
{
	return s->fd;
}

int session_notify(struct session *s, int fd, int code, struct iovec *iov, int n)
{
	struct fuse_out_header head = {.error = code};
	size_t len = sizeof head;
	int i;

	iov[0] = (struct iovec){&head, sizeof head};
	for (i = 1; i < n; i++)
		len += iov[i].iov_len;
	head.len = (uint32_t)len;
	return writev(fd < 0 ? s->fd : fd, iov, n) < 0 ? -errno : 0;
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
