#include "fs/api_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"

#define IDLE_TIMEOUT_S 60

static const struct route {
	const char *method;
	const char *path; /* a part '*' is an argument */
	api_route fn;
	/* in place of fn: its body is taken as it comes */
	int (*upload)(struct api *api, const struct api_request *r, struct api_upload *ret, struct err *err);
} routes[] = {
	{"GET", "v1/status", api_status, NULL},
	{"GET", "v1/df", api_df, NULL},
	{"GET", "v1/volumes", api_volume_list, NULL},
	{"POST", "v1/volumes", api_volume_create, NULL},
	{"GET", "v1/volumes/*", api_volume_get, NULL},
	{"DELETE", "v1/volumes/*", api_volume_remove, NULL},
	{"POST", "v1/volumes/*/rename", api_volume_rename, NULL},
	{"POST", "v1/volumes/*/set", api_volume_set, NULL},
	{"POST", "v1/volumes/*/rollback", api_rollback, NULL},
	{"POST", "v1/volumes/*/clone", api_clone, NULL},
	{"GET", "v1/volumes/*/open", api_volume_open, NULL},
	{"GET", "v1/volumes/*/export", api_export, NULL},
	{"PUT", "v1/volumes/*/import", NULL, api_import},
	{"GET", "v1/trash", api_trash_list, NULL},
	{"DELETE", "v1/trash", api_trash_purge_all, NULL},
	{"DELETE", "v1/trash/*", api_trash_purge, NULL},
	{"POST", "v1/trash/*/undelete", api_trash_undelete, NULL},
	{"GET", "v1/settings", api_settings, NULL},
	{"POST", "v1/settings", api_settings_change, NULL},
	{"GET", "v1/snapshots", api_snapshot_list, NULL},
	{"POST", "v1/snapshots", api_snapshot_create, NULL},
	{"GET", "v1/snapshots/*/*", api_snapshot_get, NULL},
	{"DELETE", "v1/snapshots/*/*", api_snapshot_remove, NULL},
	{"POST", "v1/snapshots/*/*/hold", api_snapshot_hold, NULL},
	{"POST", "v1/snapshots/*/*/release", api_snapshot_release, NULL},
	{"GET", "v1/snapshots/*/*/send", api_send, NULL},
	{"PUT", "v1/receive", NULL, api_receive},
	{"GET", "v1/diff", api_diff, NULL},
	{"POST", "v1/push", api_push, NULL},
	{"POST", "v1/pull", api_pull, NULL},
	{"POST", "v1/gc", api_gc, NULL},
	{"POST", "v1/upgrade", api_upgrade, NULL},
	{"POST", "v1/check", api_check, NULL},
	{"GET", "v1/jobs", api_job_list, NULL},
	{"GET", "v1/jobs/*", api_job, NULL},
	{"DELETE", "v1/jobs/*", api_job_cancel, NULL},
	{"GET", "metrics", api_metrics, NULL},
};

/* Whether the request's path is the route's; its arguments then. */
static bool path_matches(const struct http_request *h, const char *pattern, const char *args[2])
{
	size_t i, n = 0, len;

	for (i = 0; i < h->parts_n; i++) {
		len = strcspn(pattern, "/");
		if (!len)
			return false;
		if (len == 1 && *pattern == '*')
			args[n++] = h->parts[i];
		else if (strlen(h->parts[i]) != len || memcmp(h->parts[i], pattern, len) != 0)
			return false;
		pattern += len;
		if (*pattern == '/')
			pattern++;
	}
	return !*pattern && h->parts_n;
}

/* 0 with *ret, or the HTTP status that says why not. */
static unsigned find_route(const struct http_request *h, const struct route **ret, const char *args[2])
{
	unsigned status = 404;
	size_t i;

	for (i = 0; i < sizeof routes / sizeof routes[0]; i++) {
		if (!path_matches(h, routes[i].path, args))
			continue;
		if (!strcmp(h->method, routes[i].method)) {
			*ret = &routes[i];
			return 0;
		}
		status = 405;
	}
	return status;
}

static unsigned status_of(int code)
{
	switch (code) {
	case ENOENT:
		return 404;
	case EEXIST:
	case EBUSY:
		return 409;
	case EMSGSIZE:
		return 413;
	case ENOSPC:
	case EDQUOT:
		return 507;
	case EINVAL:
	case ENAMETOOLONG:
	case ERANGE:
	case E2BIG:
	case EXDEV:
	case EPERM:
	case EROFS:
	case EOPNOTSUPP:
		return 400;
	default:
		return 500;
	}
}

static int parse_body(const struct http_request *h, json_t **ret, struct err *err)
{
	json_error_t why;
	json_t *body;

	if (h->body_too_long)
		return err_set(err, EMSGSIZE, "the request is longer than %d bytes", HTTP_BODY_MAX);
	body = h->body_len ? json_loadb(h->body, h->body_len, JSON_REJECT_DUPLICATES, &why) : json_object();
	if (!body && h->body_len)
		return err_set(err, EINVAL, "the request is not JSON: %s (line %d)", why.text, why.line);
	if (!body)
		return err_set(err, ENOMEM, "out of memory");
	if (!json_is_object(body)) {
		json_decref(body);
		return err_set(err, EINVAL, "the request is not a JSON object");
	}
	*ret = body;
	return 0;
}

static void fill_reply(const struct http_request *h, unsigned status, struct api_answer *a, const struct err *err,
		       struct http_reply *reply)
{
	if (status >= 400) {
		json_t *inner = api_json_error(err);

		a->json = inner ? json_pack("{s:o}", "error", inner) : NULL;
		if (status >= 500)
			log_warn("%s /%s/%s: %s", h->method, h->parts_n > 0 ? h->parts[0] : "",
				 h->parts_n > 1 ? h->parts[1] : "", err->text);
	}
	reply->status = status;
	reply->body = a->body;
	reply->content_type = a->text ? a->content_type : "application/json";
	reply->text = a->text ? a->text : a->json ? json_dumps(a->json, JSON_COMPACT) : NULL;
	reply->len = reply->text ? strlen(reply->text) : 0;
}

/* A route has ended with `ret`. */
static void finish(const struct http_request *h, int ret, struct api_answer *answer, struct err *err,
		   struct http_reply *reply)
{
	unsigned status;

	if (ret < 0 && !err->code)
		(void)err_set(err, -ret, "%s", err_name(-ret));
	status = ret < 0 ? status_of(err->code) : ret > 0 ? (unsigned)ret : 200;
	fill_reply(h, status, answer, err, reply);
	json_decref(answer->json);
}

static void handle(void *arg, const struct http_request *h, struct http_reply *reply)
{
	struct api *api = arg;
	struct api_request r = {.http = h};
	struct api_answer answer = {0};
	const struct route *route = NULL;
	struct err err = {0};
	unsigned status;
	int ret;

	status = find_route(h, &route, r.args);
	if (status) {
		if (status == 404)
			(void)err_set(&err, ENOENT, "there is no such request");
		else
			(void)err_set(&err, EINVAL, "%s is not possible there", h->method);
		fill_reply(h, status, &answer, &err, reply);
		json_decref(answer.json);
		return;
	}
	ret = parse_body(h, &r.body, &err);
	if (!ret)
		ret = route->fn(api, &r, &answer, &err);
	finish(h, ret, &answer, &err, reply);
	json_decref(r.body);
}

/* --- requests whose body is taken as it comes --- */

struct upload {
	struct api_upload u;
	struct err refused; /* it could not begin: why */
};

static int upload_write(void *arg, const void *data, size_t len)
{
	struct upload *u = arg;

	return u->refused.code ? -1 : u->u.write(u->u.arg, data, len);
}

static void upload_end(void *arg, struct http_reply *reply)
{
	static const struct http_request none = {.method = "PUT", .parts = {"v1", "…"}, .parts_n = 2};
	struct upload *u = arg;
	struct api_answer answer = {0};
	struct err err = u->refused;
	int ret = err.code ? -err.code : u->u.end(u->u.arg, reply != NULL, &answer, &err);

	if (reply)
		finish(&none, ret, &answer, &err, reply);
	else
		json_decref(answer.json);
	free(u);
}

static bool begin_upload(void *arg, const struct http_request *h, struct http_upload *ret)
{
	struct api_request r = {.http = h};
	const struct route *route;
	struct upload *u;

	if (find_route(h, &route, r.args) || !route->upload)
		return false;
	u = calloc(1, sizeof *u);
	if (u && route->upload(arg, &r, &u->u, &u->refused) && !u->refused.code)
		(void)err_set(&u->refused, EIO, "it could not begin");
	*ret = (struct http_upload){.write = upload_write, .end = upload_end, .arg = u};
	return u;
}

int api_start(struct daemon *d, struct api **ret, struct err *err)
{
	struct api *api = calloc(1, sizeof *api);
	const struct http_options o = {
		.listener = &d->handover.sockets.v[SOCKET_API],
		.idle_timeout_s = IDLE_TIMEOUT_S,
		.handle = handle,
		.upload = begin_upload,
		.arg = api,
	};
	int r;

	if (!api)
		return err_set(err, ENOMEM, "out of memory");
	api->d = d;
	r = jobs_new(&api->jobs);
	if (r)
		(void)err_set(err, -r, "the API: %s", err_name(-r));
	else
		r = http_start(&o, &api->http, err);
	if (r) {
		api_stop(api);
		return r;
	}
	*ret = api;
	return 0;
}

void api_quiesce(struct api *api)
{
	http_stop(api->http);
	api->http = NULL;
}

void api_stop(struct api *api)
{
	if (!api)
		return;
	api_quiesce(api);
	jobs_free(api->jobs);
	free(api);
}
