/* A repository on another host: `ssh HOST varve serve --stdio PATH`, one request at a time over its stdin and stdout. A
 * connection that breaks is made again, once for each request: requests may be carried out twice without harm. What ssh
 * says on stderr is what the error says. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/repo/wire.h"

#define COMPLAINT_MAX 400
#define END_WAIT_MS 3000
/* The far side writes and syncs a pack meanwhile. */
#define ANSWER_WAIT_MS 120000

extern char **environ;

struct ssh_backend {
	struct backend b;
	char *command;              /* "ssh", or what stands for it, for sh */
	char *host, *port, *remote; /* remote: what the far side runs */
	unsigned flags;
	pthread_mutex_t lock; /* what follows */
	pid_t pid;            /* 0: not connected; -1: ssh has ended */
	int in, out, complaints;
	struct buf request, reply;
};

static struct ssh_backend *self(struct backend *b)
{
	return (struct ssh_backend *)b;
}

/* Waits for ssh to end, at most so long. */
static void reap(struct ssh_backend *s, unsigned wait_ms)
{
	for (unsigned ms = 0; s->pid > 0 && waitpid(s->pid, NULL, WNOHANG) == 0; ms += 10) {
		if (ms >= wait_ms) {
			(void)kill(s->pid, SIGKILL);
			(void)waitpid(s->pid, NULL, 0);
			break;
		}
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	s->pid = -1;
}

/* With its stdin closed ssh ends by itself, unless it hangs. */
static void hang_up(struct ssh_backend *s)
{
	if (!s->pid)
		return;
	(void)close(s->in);
	(void)close(s->out);
	if (s->pid > 0)
		reap(s, END_WAIT_MS);
	s->pid = 0;
}

/* The last line that ssh said. */
static void complaint(const struct ssh_backend *s, char out[COMPLAINT_MAX])
{
	off_t end = lseek(s->complaints, 0, SEEK_END), from = end > COMPLAINT_MAX - 1 ? end - (COMPLAINT_MAX - 1) : 0;
	ssize_t n = pread(s->complaints, out, (size_t)(end - from), from);
	char *line;

	out[n > 0 ? n : 0] = 0;
	while (n > 0 && (out[n - 1] == '\n' || out[n - 1] == '\r'))
		out[--n] = 0;
	line = strrchr(out, '\n');
	if (line)
		memmove(out, line + 1, strlen(line + 1) + 1);
}

static int broken(struct ssh_backend *s, int ret, struct err *err)
{
	char said[COMPLAINT_MAX];

	/* let it finish what it has to say */
	(void)shutdown(s->in, SHUT_WR);
	reap(s, END_WAIT_MS);
	complaint(s, said);
	(void)err_set(err, ret == -EPIPE ? ECONNRESET : -ret, "the connection to %s broke: %s", s->b.where,
		      *said ? said : err_name(-ret));
	err_hint(err, "'ssh %s varve version' should print a version there", s->host);
	return err ? -err->code : ret;
}

static int spawn_ssh(struct ssh_backend *s)
{
	int to[2], from[2], bad;
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none;
	char *script = NULL;
	char *const argv[] = {"sh", "-c", NULL, "ssh", "-p", s->port, s->host, s->remote, NULL};
	char *all[9];

	if (asprintf(&script, "exec %s \"$@\"", s->command) < 0)
		return -ENOMEM;
	memcpy(all, argv, sizeof argv);
	all[2] = script;
	/* a socket, so that writing to an ssh that has gone is no signal */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, to) < 0) {
		free(script);
		return -errno;
	}
	if (pipe2(from, O_CLOEXEC) < 0) {
		bad = -errno;
		(void)close(to[0]);
		(void)close(to[1]);
		free(script);
		return bad;
	}
	bad = ftruncate(s->complaints, 0);
	(void)lseek(s->complaints, 0, SEEK_SET);
	(void)sigemptyset(&none);
	(void)posix_spawn_file_actions_init(&fa);
	(void)posix_spawn_file_actions_adddup2(&fa, to[0], 0);
	(void)posix_spawn_file_actions_adddup2(&fa, from[1], 1);
	(void)posix_spawn_file_actions_adddup2(&fa, s->complaints, 2);
	(void)posix_spawnattr_init(&attr);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	bad = -posix_spawnp(&s->pid, "sh", &fa, &attr, all, environ);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&fa);
	free(script);
	(void)close(to[0]);
	(void)close(from[1]);
	s->in = to[1];
	s->out = from[0];
	if (bad) {
		(void)close(s->in);
		(void)close(s->out);
		s->pid = 0;
	}
	return bad;
}

/* One reply, or -ETIMEDOUT when nothing comes. */
static int next_reply(struct ssh_backend *s, enum wire_status *ret_status)
{
	struct pollfd p = {.fd = s->out, .events = POLLIN};
	int n = poll(&p, 1, ANSWER_WAIT_MS), bad;

	if (n <= 0)
		return n ? -errno : -ETIMEDOUT;
	bad = wire_read(s->out, &s->reply);
	if (!bad)
		*ret_status = s->reply.data[0];
	return bad;
}

/* Sends what s->request has, reads one reply; 0 with its status in *ret_status and the payload in s->reply from byte 1
 * on. */
static int exchange(struct ssh_backend *s, enum wire_status *ret_status)
{
	int bad = wire_write(s->in, &s->request);

	return bad ? bad : next_reply(s, ret_status);
}

static int far_error(struct ssh_backend *s, struct err *err)
{
	struct err why = {0};
	int bad = wire_error_parse(s->reply.data + 1, s->reply.len - 1, &why);

	if (bad)
		return err_set(err, EPROTO, "%s answers what varve does not understand", s->b.where);
	if (err)
		*err = why;
	return -why.code;
}

static int connect_ssh(struct ssh_backend *s, struct err *err)
{
	const struct wire_request q = {.op = WIRE_HELLO, .off = WIRE_VERSION, .len = s->flags};
	struct buf saved = s->request;
	enum wire_status status = WIRE_OK;
	int bad;

	if (s->pid)
		return 0;
	bad = spawn_ssh(s);
	if (bad)
		return err_set(err, -bad, "ssh cannot be started: %s", err_name(-bad));
	s->request = (struct buf){0};
	bad = wire_request_encode(&q, &s->request);
	if (!bad)
		bad = exchange(s, &status);
	buf_free(&s->request);
	s->request = saved;
	if (bad)
		bad = broken(s, bad, err);
	else if (status != WIRE_OK)
		bad = far_error(s, err);
	if (bad)
		hang_up(s);
	return bad;
}

struct listing {
	int (*fn)(void *arg, const char *key, uint64_t size);
	void *arg;
	bool begun;
};

/* One request, again on a new connection when this one breaks. Lock held. */
static int call(struct ssh_backend *s, const struct wire_request *q, struct listing *l, struct err *err)
{
	enum wire_status status = WIRE_OK;
	int bad = wire_request_encode(q, &s->request);

	for (int attempt = 0; !bad && attempt < 2; attempt++) {
		bool again = s->pid != 0;

		bad = connect_ssh(s, err);
		if (bad)
			return bad;
		bad = exchange(s, &status);
		while (!bad && status == WIRE_ITEMS && l) {
			l->begun = true;
			bad = wire_items_parse(s->reply.data + 1, s->reply.len - 1, l->fn, l->arg);
			if (bad) {
				hang_up(s); /* the rest of the listing is on its way */
				return bad == -ECORRUPT ? err_set(err, EPROTO,
								  "%s lists what varve does not understand", s->b.where)
							: bad;
			}
			bad = next_reply(s, &status);
		}
		if (!bad)
			return status == WIRE_OK ? 0 : far_error(s, err);
		bad = broken(s, bad, err);
		hang_up(s);
		if (!again || (l && l->begun))
			return bad;
		if (err)
			*err = (struct err){0};
		bad = 0;
	}
	return bad ? err_set(err, -bad, "asking %s: %s", s->b.where, err_name(-bad)) : 0;
}

static void key_of(struct wire_request *q, const char *key)
{
	(void)snprintf(q->key, sizeof q->key, "%s", key);
}

static int ssh_get(struct backend *b, const char *key, uint64_t off, size_t len, struct buf *ret, struct err *err)
{
	struct wire_request q = {.op = WIRE_GET, .off = off, .len = len == SIZE_MAX ? UINT64_MAX : len};
	struct ssh_backend *s = self(b);
	int bad;

	LOCK_SCOPE(&s->lock);
	key_of(&q, key);
	bad = call(s, &q, NULL, err);
	if (bad)
		return bad;
	if (len != SIZE_MAX && s->reply.len - 1 != len)
		return err_set(err, ECORRUPT, "%s gave %zu bytes of %s, not %zu", b->where, s->reply.len - 1, key, len);
	return buf_add(ret, s->reply.data + 1, s->reply.len - 1) ? err_set(err, ENOMEM, "out of memory") : 0;
}

static int ssh_put(struct backend *b, const char *key, const void *data, size_t len, struct err *err)
{
	struct wire_request q = {.op = WIRE_PUT, .data = data, .data_len = len};

	LOCK_SCOPE(&self(b)->lock);
	key_of(&q, key);
	return call(self(b), &q, NULL, err);
}

static int ssh_remove(struct backend *b, const char *key, struct err *err)
{
	struct wire_request q = {.op = WIRE_REMOVE};

	LOCK_SCOPE(&self(b)->lock);
	key_of(&q, key);
	return call(self(b), &q, NULL, err);
}

/* What a listing's caller does may ask for objects: the names are collected first. */
struct collected {
	struct buf items;
};

static int collect(void *arg, const char *key, uint64_t size)
{
	return wire_item_add(&((struct collected *)arg)->items, key, size);
}

static int ssh_list(struct backend *b, const char *prefix, int (*fn)(void *arg, const char *key, uint64_t size),
		    void *arg, struct err *err)
{
	struct wire_request q = {.op = WIRE_LIST};
	struct collected c = {{0}};
	struct listing l = {collect, &c, false};
	int bad;

	key_of(&q, prefix);
	(void)pthread_mutex_lock(&self(b)->lock);
	bad = call(self(b), &q, &l, err);
	(void)pthread_mutex_unlock(&self(b)->lock);
	if (!bad)
		bad = wire_items_parse(c.items.data, c.items.len, fn, arg);
	buf_free(&c.items);
	return bad;
}

static void ssh_free(struct backend *b)
{
	struct ssh_backend *s = self(b);

	hang_up(s);
	if (s->complaints >= 0)
		(void)close(s->complaints);
	buf_free(&s->request);
	buf_free(&s->reply);
	free(s->command);
	free(s->host);
	free(s->port);
	free(s->remote);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

static const struct backend_ops ssh_ops = {ssh_get, ssh_put, ssh_list, ssh_remove, ssh_free};

/* 'it'"'"'s' for the far side's shell. */
static char *quote(const char *text)
{
	char *out = malloc(4 * strlen(text) + 3), *p = out;

	if (!out)
		return NULL;
	*p++ = '\'';
	for (; *text; text++) {
		if (*text == '\'') {
			memcpy(p, "'\\''", 4);
			p += 4;
		} else {
			*p++ = *text;
		}
	}
	*p++ = '\'';
	*p = 0;
	return out;
}

/* ssh://[user@]host[:port]/path[?command=VARVE] */
static int parse_url(struct ssh_backend *s, const char *url, struct err *err)
{
	const char *host = url + strlen("ssh://"), *slash = strchr(host, '/'),
		   *query = slash ? strchr(slash, '?') : NULL;
	AUTO_FREE char *path = slash ? strndup(slash, query ? (size_t)(query - slash) : strlen(slash)) : NULL;
	AUTO_FREE char *quoted = path ? quote(path) : NULL;
	const char *varve = query && !strncmp(query, "?command=", 9) ? query + 9 : "varve";
	char *colon;

	if (!slash || slash == host || *host == '-' || (query && strncmp(query, "?command=", 9) != 0)) {
		(void)err_set(err, EINVAL, "'%s' is not an address of a repository", url);
		err_hint(err, "ssh://[user@]host[:port]/path");
		return -EINVAL;
	}
	s->host = strndup(host, (size_t)(slash - host));
	colon = s->host ? strrchr(s->host, ':') : NULL;
	s->port = strdup(colon && strspn(colon + 1, "0123456789") == strlen(colon + 1) && colon[1] ? colon + 1 : "22");
	if (colon)
		*colon = 0;
	if (!quoted || asprintf(&s->remote, "%s serve --stdio %s", varve, quoted) < 0)
		s->remote = NULL;
	return s->host && s->port && s->remote ? 0 : err_set(err, ENOMEM, "out of memory");
}

int backend_ssh_open(const char *url, const struct backend_access *access, unsigned flags, struct backend **ret,
		     struct err *err)
{
	struct ssh_backend *s = calloc(1, sizeof *s);
	int bad;

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->b.ops = &ssh_ops;
	s->b.slow = true;
	s->b.where = strdup(url);
	s->flags = flags;
	s->command = strdup(access->ssh_command ? access->ssh_command : "ssh");
	s->complaints = memfd_create("ssh", MFD_CLOEXEC);
	(void)pthread_mutex_init(&s->lock, NULL);
	bad = s->b.where && s->command && s->complaints >= 0 ? parse_url(s, url, err)
							     : err_set(err, ENOMEM, "out of memory");
	if (!bad)
		bad = connect_ssh(s, err);
	if (bad) {
		backend_free(&s->b);
		return bad;
	}
	*ret = &s->b;
	return 0;
}
