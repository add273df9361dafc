/* A small HTTP server on a unix socket; knows nothing of what is served. One thread a connection, so that a long
 * request delays no other. */
#ifndef VARVE_FS_HTTP_H
#define VARVE_FS_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
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

/* A body that is made while it is sent. */
struct http_body {
	/* At most max bytes; 0 at the end, <0: the connection is cut, so that nobody takes it for whole. May wait. */
	ssize_t (*read)(void *arg, char *buf, size_t max);
	void (*free)(void *arg); /* all is sent, or the client is gone */
	void *arg;
	uint64_t job; /* is sent as the header Varve-Job */
};

struct http_reply {
	unsigned status;
	const char *content_type;
	char *text; /* malloc'ed; the server frees it */
	size_t len;
	struct http_body body; /* with `read` set: in place of text */
};

/* A request's body that is taken as it comes. */
struct http_upload {
	/* A piece of it; may wait. Non-zero: the rest is not wanted. Some more of it is read, so that a client that is
	 * nearly through gets its answer; then the connection is cut. */
	int (*write)(void *arg, const void *data, size_t len);
	/* Its end. reply NULL: the client is gone. Frees arg. */
	void (*end)(void *arg, struct http_reply *reply);
	void *arg;
};

struct http_server;
struct http_options {
	const struct listener *listener; /* stays the caller's; used until http_stop */
	unsigned idle_timeout_s; /* after which a connection without requests is closed; 0: never */
	/* Any thread. Fills the reply; with a NULL text there is none and the connection is closed. */
	void (*handle)(void *arg, const struct http_request *r, struct http_reply *reply);
	/* Asked when a request's head has come; may be NULL. True: its body goes into *ret; such a request is not
	 * handled. */
	bool (*upload)(void *arg, const struct http_request *r, struct http_upload *ret);
	void *arg;
};
/* Answers what connects to the listener. */
int http_start(const struct http_options *o, struct http_server **ret, struct err *err);
/* Finishes the requests that are running. */
void http_stop(struct http_server *h);

#endif
