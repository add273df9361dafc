/* What the files of routes (api_*.c) share. */
#ifndef VARVE_FS_API_INTERNAL_H
#define VARVE_FS_API_INTERNAL_H

#include <jansson.h>

#include "fs/api.h"
#include "fs/http.h"
#include "fs/jobs.h"
#include "store/volume/snapshot.h"

struct api {
	struct daemon *d;
	struct http_server *http;
	struct jobs *jobs;
};

/* One request: what the path's '*' stood for, and the body, an object (an empty one when none was sent). */
struct api_request {
	const struct http_request *http;
	const char *args[2];
	json_t *body;
};

/* Routes: 0 is 200, >0 is that status, <0 an error. *ret is the answer, which the caller frees; a route that answers no
 * JSON puts its text into *ret_text instead. */
struct api_answer {
	json_t *json;
	char *text;
	const char *content_type;
	struct http_body body; /* with `read` set: the answer */
};
typedef int (*api_route)(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);

int api_status(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_df(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_upgrade(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_gc(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_check(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_job_cancel(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_job(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_metrics(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);

int api_volume_list(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_volume_create(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_volume_get(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_volume_remove(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_volume_rename(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_volume_set(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_volume_open(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);

int api_export(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
/* Begins to take a request's body; *ret's reply is an api_answer's. */
struct api_upload {
	int (*write)(void *arg, const void *data, size_t len);
	/* The body is complete, or the client is gone; frees arg. As a route's answer. */
	int (*end)(void *arg, bool complete, struct api_answer *ret, struct err *err);
	void *arg;
};
int api_import(struct api *api, const struct api_request *r, struct api_upload *ret, struct err *err);
int api_send(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_receive(struct api *api, const struct api_request *r, struct api_upload *ret, struct err *err);
int api_trash_list(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_trash_undelete(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_trash_purge(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_trash_purge_all(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_settings(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_settings_change(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_job_list(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);

int api_rollback(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_clone(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_snapshot_list(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_snapshot_create(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_snapshot_get(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_snapshot_remove(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_snapshot_hold(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_snapshot_release(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_diff(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);

int api_push(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);
int api_pull(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err);

/* --- api_json.c --- */
/* Unpacks the request's body strictly, as json_unpack does: what is unknown or missing is -EINVAL. */
int api_unpack(const struct api_request *r, struct err *err, const char *fmt, ...);
json_t *api_json_space(const struct store_space *s);
json_t *api_json_volume(struct api *api, const struct volume_info *v);
json_t *api_json_snapshot(const struct snapshot_info *s);
json_t *api_json_cut(const struct cut_times *t);
json_t *api_json_error(const struct err *err);
/* Bytes of any kind as a string: what is no UTF-8 becomes \\xNN, and a backslash \\\\ then. */
json_t *api_json_text(const char *bytes);
/* {"key":"value"...} into volume options; numbers are taken too. */
int api_options(json_t *object_or_null, struct volume_options *ret, struct err *err);
/* The answer, or -ENOMEM when it could not be made; `status` otherwise. Takes the reference. */
int api_answer(struct api_answer *ret, json_t *json_or_null, int status, struct err *err);

#endif
