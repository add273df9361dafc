#include "fs/sockets.h"

#include <string.h>
#include <sys/socket.h>

#include "store/base/log.h"

/* Where each is, and who may use it beside its owner. The path is "" when it is not wanted. */
static struct listener_options wanted(const struct options *o, enum socket_id id)
{
	switch (id) {
	case SOCKET_API:
		return (struct listener_options){o->api, o->has_api_group, o->api_group};
	case SOCKET_DOCKER:
		return (struct listener_options){.path = o->docker};
	default:
		return (struct listener_options){.path = ""};
	}
}

int sockets_open(const struct options *o, struct sockets *ret, struct err *err)
{
	struct sockets s;
	unsigned i;
	int r = 0;

	for (i = 0; i < SOCKETS; i++)
		s.v[i] = LISTENER_NONE;
	for (i = 0; i < SOCKETS && !r; i++) {
		const struct listener_options lo = wanted(o, (enum socket_id)i);

		if (*lo.path)
			r = listener_open(&lo, &s.v[i], err);
		if (r && i == SOCKET_DOCKER && !o->docker_given) {
			log_warn("there is no volume plugin: %s", err->text);
			*err = (struct err){0};
			r = 0;
		}
	}
	if (r)
		sockets_close(&s);
	else
		*ret = s;
	return r;
}

void sockets_adopt(const struct options *o, const int fds[SOCKETS], const bool inherited[SOCKETS], struct sockets *ret)
{
	unsigned i;

	for (i = 0; i < SOCKETS; i++) {
		struct listener *l = &ret->v[i];

		*l = (struct listener){.fd = fds[i], .inherited = inherited[i], .address = {.sun_family = AF_UNIX}};
		(void)memccpy(l->address.sun_path, wanted(o, (enum socket_id)i).path, '\0', sizeof l->address.sun_path - 1);
	}
}

void sockets_close(struct sockets *s)
{
	unsigned i;

	for (i = 0; i < SOCKETS; i++)
		listener_close(&s->v[i]);
}
