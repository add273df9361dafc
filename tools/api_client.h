/* The daemon's HTTP interface (fs/API.md), as calls that answer JSON. One thread. */
#ifndef VARVE_TOOLS_API_CLIENT_H
#define VARVE_TOOLS_API_CLIENT_H

#include <jansson.h>
#include <stdint.h>

#include "store/base/err.h"

struct api;

/* Prepares calls to the daemon that listens on `socket`, which must outlive it. Connects nothing. 0 or -ENOMEM. */
int api_new(const char *socket, struct api **ret, struct err *err);
void api_free(struct api *api);

/* One request. `path` is printf-like, and every %s is percent-encoded, so that names need no care. `body` may be NULL;
 * it is not taken. 0 with *ret to be released by the caller (NULL when not wanted), or -code: the daemon's errors come
 * with its message and hint, an unreachable daemon is -ENOTCONN, or -EACCES when this user may not speak to it. */
int api_call(struct api *api, const char *method, json_t *body, json_t **ret, struct err *err, const char *path, ...)
	__attribute__((format(printf, 6, 7)));

/* Fields of an answer; 0 and "" when they are not there. */
int64_t api_int(const json_t *object, const char *key);
const char *api_str(const json_t *object, const char *key);

#endif
