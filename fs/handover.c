#include "fs/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/base/err.h"

#define HANDOVER_MAGIC 0x5245564f45565256ULL /* "VRVEOVER" */
#define TEXT_MAX 256

_Static_assert(sizeof(struct handover_state) <= HANDOVER_OPENS_OFF, "the opens begin after the state");
_Static_assert(HANDOVER_OPENS_OFF + sizeof(struct open_entries) + OPENS_MAX * sizeof(struct open_entry) <=
		       HANDOVER_NODES_OFF,
	       "the nodes begin after the opens");

int handover_map(struct handover *h, size_t len)
{
	struct handover_state *s;

	s = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, h->state_fd, 0);
	if (s == MAP_FAILED)
		return -errno;
	/* a gigabyte of mostly nothing, which no core dump needs */
	(void)madvise(s, len, MADV_DONTDUMP);
	if (s->magic != HANDOVER_MAGIC || s->version != HANDOVER_VERSION || s->size != sizeof *s) {
		(void)munmap(s, len);
		return -EPROTO;
	}
	h->state = s;
	return 0;
}

int handover_create(struct handover *h)
{
	struct handover_state head = {
		.magic = HANDOVER_MAGIC, .version = HANDOVER_VERSION, .size = sizeof(struct handover_state)};
	int ret;

	h->state_fd = memfd_create("varve-handover", MFD_CLOEXEC);
	if (h->state_fd < 0)
		return -errno;
	if (ftruncate(h->state_fd, (off_t)HANDOVER_SIZE) ||
	    pwrite(h->state_fd, &head, sizeof head, 0) != (ssize_t)sizeof head)
		return -errno;
	ret = handover_map(h, sizeof(struct handover_state));
	return ret;
}

int handover_reset(struct handover *h)
{
	struct upgrade_result upgrade = h->state->upgrade;
	int ret;

	(void)munmap(h->state, sizeof *h->state);
	(void)close(h->state_fd);
	h->state = NULL;
	ret = handover_create(h);
	if (!ret)
		h->state->upgrade = upgrade;
	return ret;
}

bool handover_can_take_over(const struct handover *h)
{
	return h->fuse_fd >= 0 && atomic_load(&h->state->serving) && atomic_load(&h->state->resend);
}

struct node_entries *handover_nodes(const struct handover *h)
{
	return (void *)((char *)h->state + HANDOVER_NODES_OFF);
}

struct open_entries *handover_opens(const struct handover *h)
{
	return (void *)((char *)h->state + HANDOVER_OPENS_OFF);
}

static int keep_open(int fd)
{
	return fd < 0 || fcntl(fd, F_SETFD, 0) == 0 ? 0 : -errno;
}

int handover_export(const struct handover *h, const char *variable, pid_t child)
{
	const int fds[] = {h->fuse_fd, h->state_fd, h->ring_fd, h->control_fd, h->claim_fd};
	char text[TEXT_MAX];
	unsigned i;
	int n, ret = 0;

	for (i = 0; !ret && i < sizeof fds / sizeof fds[0]; i++)
		ret = keep_open(fds[i]);
	n = snprintf(text, sizeof text, "%d %d %d %d %d %d %d", HANDOVER_VERSION, (int)child, fds[0], fds[1], fds[2], fds[3], fds[4]);
	for (i = 0; !ret && i < SOCKETS; i++) {
		ret = keep_open(h->sockets.v[i].fd);
		n += snprintf(text + n, sizeof text - (size_t)n, " %d %d", h->sockets.v[i].fd, h->sockets.v[i].inherited);
	}
	if (!ret && setenv(variable, text, 1))
		ret = -errno;
	return ret;
}

static int close_on_exec(int fd)
{
	return fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? 0 : -EPROTO;
}

void handover_unexport(const struct handover *h, const char *variable)
{
	const int fds[] = {h->fuse_fd, h->state_fd, h->ring_fd, h->control_fd, h->claim_fd};
	unsigned i;

	for (i = 0; i < sizeof fds / sizeof fds[0]; i++)
		(void)close_on_exec(fds[i]);
	for (i = 0; i < SOCKETS; i++)
		(void)close_on_exec(h->sockets.v[i].fd);
	(void)unsetenv(variable);
}

/* The sockets' part of the text. */
static int import_sockets(const char *text, const struct options *o, struct sockets *ret)
{
	bool inherited[SOCKETS];
	int fds[SOCKETS], flag, n, bad = 0;
	unsigned i;

	for (i = 0; !bad && i < SOCKETS; i++, text += n) {
		if (sscanf(text, "%d %d%n", &fds[i], &flag, &n) != 2)
			return -EPROTO;
		inherited[i] = flag;
		bad = close_on_exec(fds[i]);
	}
	if (!bad)
		sockets_adopt(o, fds, inherited, ret);
	return bad;
}

int handover_import(const char *variable, const struct options *o, struct handover *h, pid_t *ret_child)
{
	int version = 0, child = 0, at = 0, ret;
	const char *text = getenv(variable);

	if (!text)
		return 0;
	*h = (struct handover){0};
	if (sscanf(text, "%d %d %d %d %d %d %d%n", &version, &child, &h->fuse_fd, &h->state_fd, &h->ring_fd, &h->control_fd,
		   &h->claim_fd, &at) != 7 ||
	    version != HANDOVER_VERSION)
		return -EPROTO;
	ret = close_on_exec(h->fuse_fd) ?: close_on_exec(h->state_fd) ?: close_on_exec(h->ring_fd) ?:
	      close_on_exec(h->control_fd) ?: close_on_exec(h->claim_fd);
	if (!ret)
		ret = import_sockets(text + at, o, &h->sockets);
	(void)unsetenv(variable);
	*ret_child = child;
	return ret ? ret : 1;
}
