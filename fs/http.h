/* A small HTTP server on a unix socket; knows nothing of what is served. One thread a connection, so that a long
 * request delays no other. */
#ifndef VARVE_FS_HTTP_H
#define VARVE_FS_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "fs/listener.h"

#define HTTP_PARTS_MAX 8
#define HTTP_BODY_MAX (1024 * 1024)

struct http_request {
	const char *method;
	const char *parts[HTTP_PARTS_MAX]; /* of the path, decoded */
	size_t parts_n;
	const char *body; /* NUL-terminated; "" when there is none */
	size_t body_len;
	bool body_too_long; /* it was dropped */
	void *connection;
};
/* A parameter of the query, or NULL. */
const char *http_query(const struct http_request *r, const char *key);

struct http_reply {
	unsigned status;
	const char *content_type;
	char *text; /* malloc'ed; the server frees it */
	size_t len;
};

struct http_server;
struct http_options {
	const struct listener *listener; /* stays the caller's; used until http_stop */
	unsigned idle_timeout_s; /* after which a connection without requests is closed; 0: never */
	/* Any thread. Fills the reply; with a NULL text there is none and the connection is closed. */
	void (*handle)(void *arg, const struct http_request *r, struct http_reply *reply);
	void *arg;
};
/* Answers what connects to the listener. */
int http_start(const struct http_options *o, struct http_server **ret, struct err *err);
/* Finishes the requests that are running. */
void http_stop(struct http_server *h);

#endif
