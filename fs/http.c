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

#define CONNECTIONS_MAX 1024 /* a thread each; some of a container engine's wait for a minute */
#define ANSWER_MS_MAX 60000

#define BODY_PIECE (256 * 1024)
#define DROPPED_MAX (16 * 1024 * 1024) /* of an upload that is not wanted */

struct http_server {
	struct http_options o;
	_Atomic unsigned requests; /* begun, and their answers not yet sent */
	struct MHD_Daemon *mhd;
};

/* One request while its body arrives. */
struct arriving {
	struct buf body;
	bool too_long;
	bool counted;              /* in `requests` */
	struct http_upload upload; /* in place of body */
	size_t dropped;
};

const char *http_query(const struct http_request *r, const char *key)
{
	return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, key);
}

static ssize_t body_piece(void *arg, uint64_t pos, char *buf, size_t max)
{
	const struct http_body *b = arg;
	ssize_t n = b->read(b->arg, buf, max);

	(void)pos;
	return n > 0 ? n : n ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
}

static void body_free(void *arg)
{
	struct http_body *b = arg;

	b->free(b->arg);
	free(b);
}

static enum MHD_Result send_body(struct MHD_Connection *c, const struct http_reply *reply)
{
	struct http_body *b = malloc(sizeof *b);
	struct MHD_Response *response = NULL;
	enum MHD_Result ok;
	char job[24];

	if (b) {
		*b = reply->body;
		response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BODY_PIECE, body_piece, b, body_free);
	}
	if (!response) {
		reply->body.free(reply->body.arg);
		free(b);
		return MHD_NO;
	}
	/* whoever reads it may take as long as he likes */
	(void)MHD_set_connection_option(c, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
	(void)snprintf(job, sizeof job, "%llu", (unsigned long long)reply->body.job);
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
	(void)MHD_add_response_header(response, "Varve-Job", job);
	ok = MHD_queue_response(c, reply->status, response);
	MHD_destroy_response(response);
	return ok;
}

static enum MHD_Result send_reply(struct MHD_Connection *c, const struct http_reply *reply)
{
	struct MHD_Response *response;
	enum MHD_Result ok;

	if (reply->body.read)
		return send_body(c, reply);

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

/* The head has come. */
static enum MHD_Result begin(struct http_server *h, struct MHD_Connection *c, const char *url, const char *method,
			     void **state)
{
	struct http_request r = {.method = method, .body = "", .connection = c};
	struct arriving *a = calloc(1, sizeof *a);
	AUTO_FREE char *path = strdup(url);

	if (!a || !path) {
		free(a);
		return MHD_NO;
	}
	*state = a;
	split_path(path, &r);
	if (h->o.upload && h->o.upload(h->o.arg, &r, &a->upload)) {
		(void)MHD_set_connection_option(c, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
	} else {
		a->counted = true;
		(void)atomic_fetch_add(&h->requests, 1);
	}
	return MHD_YES;
}

static enum MHD_Result take_piece(struct arriving *a, const char *data, size_t len)
{
	if (a->upload.write) {
		if (!a->upload.write(a->upload.arg, data, len))
			return MHD_YES;
		a->dropped += len;
		return a->dropped > DROPPED_MAX ? MHD_NO : MHD_YES;
	}
	if (a->body.len + len > HTTP_BODY_MAX)
		a->too_long = true;
	else if (buf_add(&a->body, data, len))
		return MHD_NO;
	return MHD_YES;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url, const char *method,
				  const char *version, const char *data, size_t *data_len, void **state)
{
	struct http_server *h = arg;
	struct arriving *a = *state;
	struct http_reply reply = {0};
	AUTO_FREE char *path = NULL;

	(void)version;
	if (!a)
		return begin(h, c, url, method, state);
	if (*data_len) {
		enum MHD_Result ok = take_piece(a, data, *data_len);

		*data_len = 0;
		return ok;
	}
	if (a->upload.write) {
		struct http_upload upload = a->upload;

		a->upload.write = NULL;
		upload.end(upload.arg, &reply);
		return send_reply(c, &reply);
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
	/* an end is not put off until somebody has read all of an archive */
	if (reply.body.read) {
		a->counted = false;
		(void)atomic_fetch_sub(&h->requests, 1);
	}
	return send_reply(c, &reply);
}

static void on_completed(void *arg, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode how)
{
	struct http_server *h = arg;
	struct arriving *a = *state;

	(void)c;
	(void)how;
	if (a) {
		if (a->counted)
			(void)atomic_fetch_sub(&h->requests, 1);
		if (a->upload.write)
			a->upload.end(a->upload.arg, NULL);
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
	/* It would also cut off answers that are on their way. A client that does not take its answer is not waited
	 * for. */
	while (atomic_load(&h->requests) && waited_ms++ < ANSWER_MS_MAX)
		(void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	MHD_stop_daemon(h->mhd);
	if (fd >= 0)
		(void)close(fd);
	free(h);
}
