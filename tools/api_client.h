/* The daemon's HTTP interface (fs/API.md), as calls that answer JSON. One thread. */
#ifndef VARVE_TOOLS_API_CLIENT_H
#define VARVE_TOOLS_API_CLIENT_H

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/base/err.h"

struct api;

/* Prepares calls to the daemon that listens on `socket`, which must outlive it. Connects nothing. 0 or -ENOMEM. */
int api_new(const char *socket, struct api **ret, struct err *err);
void api_free(struct api *api);

/* A daemon that has a request and says nothing may be busy, or stopped, or its disk may stand still: `say` is called after `first_s`
 * seconds of that, then after three times as many, and so on. */
void api_say_waiting(struct api *api, unsigned first_s, void (*say)(void *arg, unsigned waited_s), void *arg);
/* Questions (GET) are given up after so many seconds, with -ETIMEDOUT; 0, as at the beginning: never. */
void api_within(struct api *api, unsigned most_s);

/* One request. `path` is printf-like, and every %s is percent-encoded, so that names need no care. `body` may be NULL;
 * it is not taken. 0 with *ret to be released by the caller (NULL when not wanted), or -code: the daemon's errors come
 * with its message and hint, an unreachable daemon is -ENOTCONN, or -EACCES when this user may not speak to it. */
int api_call(struct api *api, const char *method, json_t *body, json_t **ret, struct err *err, const char *path, ...)
	__attribute__((format(printf, 6, 7)));

/* A body that is moved as it comes, one way. */
struct api_stream {
	const char *what; /* is moved: "archive" */
	int (*put)(void *arg, const void *data, size_t len);   /* of an answer; -errno ends it */
	/* of a request; 0 at the end, -errno ends it; -EAGAIN: `peer`, the daemon's socket, has something to say first */
	ssize_t (*get)(void *arg, void *buf, size_t len, int peer);
	void (*tick)(void *arg);                               /* now and then */
	void *arg;
	char *ret_job; /* of FORMAT_MAX: the id of the job that makes the answer; may be NULL */
};
/* GET whose answer goes to put. -EPIPE when put failed, -ECONNABORTED when the daemon broke off. */
int api_download(struct api *api, const struct api_stream *s, struct err *err, const char *path, ...)
	__attribute__((format(printf, 4, 5)));
/* PUT of what get gives; *ret as of api_call. -EPIPE when get failed, -ECONNABORTED when the daemon broke off. */
int api_upload(struct api *api, const struct api_stream *s, json_t **ret, struct err *err, const char *path, ...)
	__attribute__((format(printf, 5, 6)));
/* The error that an answer or a failed job says, as -code. */
int api_refuse(const json_t *answer, struct err *err);

/* Fields of an answer; 0 and "" when they are not there. */
int64_t api_int(const json_t *object, const char *key);
const char *api_str(const json_t *object, const char *key);

#endif
