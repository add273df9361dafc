#include "fs/http.h"

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "store/base/log.h"

#define CONNECTIONS_MAX 64
#define ANSWER_MS_MAX 60000

struct http_server {
	struct http_options o;
	_Atomic unsigned requests; /* begun, and their answers not yet sent */
	struct MHD_Daemon *mhd;
};

/* One request while its body arrives. */
struct arriving {
	struct buf body;
	bool too_long;
};

const char *http_query(const struct http_request *r, const char *key)
{
	return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, key);
}

static enum MHD_Result send_reply(struct MHD_Connection *c, const struct http_reply *reply)
{
	struct MHD_Response *response;
	enum MHD_Result ok;

	if (!reply->text)
		return MHD_NO;
	response = MHD_create_response_from_buffer(reply->len, reply->text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(reply->text);
		return MHD_NO;
	}
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
	ok = MHD_queue_response(c, reply->status, response);
	MHD_destroy_response(response);
	return ok;
}

/* Splits the path, which libmicrohttpd has decoded, in place. */
static void split_path(char *path, struct http_request *r)
{
	char *save = NULL, *part;

	for (part = strtok_r(path, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
		if (r->parts_n == HTTP_PARTS_MAX) {
			r->parts_n = 0; /* too deep to be anything */
			return;
		}
		r->parts[r->parts_n++] = part;
	}
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url, const char *method,
				  const char *version, const char *data, size_t *data_len, void **state)
{
	struct http_server *h = arg;
	struct arriving *a = *state;
	struct http_reply reply = {0};
	AUTO_FREE char *path = NULL;

	(void)version;
	if (!a) {
		*state = calloc(1, sizeof *a);
		if (!*state)
			return MHD_NO;
		(void)atomic_fetch_add(&h->requests, 1);
		return MHD_YES;
	}
	if (*data_len) {
		if (a->body.len + *data_len > HTTP_BODY_MAX)
			a->too_long = true;
		else if (buf_add(&a->body, data, *data_len))
			return MHD_NO;
		*data_len = 0;
		return MHD_YES;
	}
	path = strdup(url);
	if (!path || buf_add_u8(&a->body, 0))
		return MHD_NO;
	struct http_request r = {
		.method = method,
		.body = (const char *)a->body.data,
		.body_len = a->body.len - 1,
		.body_too_long = a->too_long,
		.connection = c,
	};
	split_path(path, &r);
	h->o.handle(h->o.arg, &r, &reply);
	return send_reply(c, &reply);
}

static void on_completed(void *arg, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode how)
{
	struct http_server *h = arg;
	struct arriving *a = *state;

	(void)c;
	(void)how;
	if (a) {
		(void)atomic_fetch_sub(&h->requests, 1);
		buf_free(&a->body);
		free(a);
	}
	*state = NULL;
}

static void on_log(void *arg, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_log(void *arg, const char *fmt, va_list ap)
{
	char line[256];

	(void)arg;
	(void)vsnprintf(line, sizeof line, fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_debug("http: %s", line);
}

int http_start(const struct http_options *o, struct http_server **ret, struct err *err)
{
	struct http_server *h = calloc(1, sizeof *h);
	int fd = dup(o->listener->fd);

	if (!h || fd < 0) {
		free(h);
		if (fd >= 0)
			(void)close(fd);
		return err_set(err, ENOMEM, "the HTTP server: out of memory or descriptors");
	}
	h->o = *o;
	h->mhd = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
					  MHD_USE_ERROR_LOG | MHD_USE_ITC,
				  0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
				  MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
				  MHD_OPTION_CONNECTION_TIMEOUT, o->idle_timeout_s, MHD_OPTION_NOTIFY_COMPLETED,
				  on_completed, h, MHD_OPTION_END);
	if (!h->mhd) {
		(void)close(fd);
		free(h);
		return err_set(err, EIO, "the HTTP server on %s cannot be started", o->listener->address.sun_path);
	}
	*ret = h;
	return 0;
}

void http_stop(struct http_server *h)
{
	unsigned waited_ms = 0;
	int fd;

	if (!h)
		return;
	/* The socket may be another process's too: it is left as it is, not shut down. */
	fd = MHD_quiesce_daemon(h->mhd);
	/* It would also cut off answers that are on their way. A client that does not take its answer is not waited for. */
	while (atomic_load(&h->requests) && waited_ms++ < ANSWER_MS_MAX)
		(void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	MHD_stop_daemon(h->mhd);
	if (fd >= 0)
		(void)close(fd);
	free(h);
}
