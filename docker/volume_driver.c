/* What dockerd makes of an answer decides how to fail. An Err from Get means "there is no such volume" to it: it
 * forgets whose the volume is, and a container that names it gets an empty local one. So Get says that only when it
 * is certain; otherwise it waits, and at last closes the connection, which dockerd takes for a passing fault. A
 * connection closed without an answer is tried again with an empty body: nothing is ever done for one. */
#include "docker/volume_driver.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "docker/catalog.h"
#include "fs/http.h"
#include "fs/tmpfs.h"
#include "fs/uses.h"
#include "fs/volumes.h"
#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/volume/namespace.h"

#define CONTENT_TYPE "application/vnd.docker.plugins.v1.2+json"
#define NS_PER_S 1000000000
#define IDLE_WAIT_S 5 /* for a moment in which nothing is being changed */

struct volume_driver {
	struct daemon *d;
	struct http_server *http;
	struct catalog *catalog;
	pthread_mutex_t lock; /* covers what follows */
	pthread_cond_t changed;
	bool attached, detached, stopping;
	unsigned changing; /* requests that change something, at work */
};

/* One request: the fields that there are; others are NULL. */
struct plugin_request {
	const char *name, *id;
	json_t *opts;
};

/* 0 with *ret_answer; or -code and *err, an Err for the engine; or -EAGAIN without *err: the connection is closed. */
typedef int (*endpoint_fn)(struct volume_driver *v, const struct plugin_request *r, json_t **ret_answer,
			   struct err *err);

/* Waits until something may be changed; -EAGAIN without *err when that will not be. */
static int begin_change(struct volume_driver *v, struct err *err)
{
	LOCK_SCOPE(&v->lock);
	while (!v->attached && !v->detached && !v->stopping)
		(void)pthread_cond_wait(&v->changed, &v->lock);
	if (v->stopping)
		return -EAGAIN;
	if (v->detached)
		return err_set(err, ESHUTDOWN, "varved is ending: try again when it runs");
	v->changing++;
	return 0;
}

static void end_change(struct volume_driver *v)
{
	LOCK_SCOPE(&v->lock);
	if (!--v->changing)
		(void)pthread_cond_broadcast(&v->changed);
}

static char *time_text(int64_t ns, char out[32])
{
	time_t seconds = (time_t)(ns / NS_PER_S);
	struct tm tm;

	(void)gmtime_r(&seconds, &tm);
	(void)strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

static json_t *mountpoint_answer(const struct volume_driver *v, const char *name, bool tmpfs)
{
	char path[PATH_MAX];

	volumes_mountpoint(v->d, name, tmpfs, path);
	return json_pack("{s:s,s:s}", "Mountpoint", path, "Err", "");
}

/* --- endpoints that only tell --- */

static int activate(struct volume_driver *v, const struct plugin_request *r, json_t **ret, struct err *err)
{
	(void)v;
	(void)r;
	(void)err;
	*ret = json_pack("{s:[s]}", "Implements", "VolumeDriver");
	return 0;
}

static int capabilities(struct volume_driver *v, const struct plugin_request *r, json_t **ret, struct err *err)
{
	(void)v;
	(void)r;
	(void)err;
	*ret = json_pack("{s:{s:s}}", "Capabilities", "Scope", "local");
	return 0;
}

/* For Status: numbers as numbers; what has never been counted is left out. */
static json_t *status_json(struct volume_driver *v, const struct catalog_entry *e)
{
	const struct volume_info *i = &e->info;
	int64_t bytes = i->bytes, inodes = i->inodes;
	json_t *s = json_object();
	char at[32];
	int bad;

	if (!e->info_at)
		return s;
	if (i->tmpfs)
		(void)tmpfs_usage(v->d, i->name, &bytes, &inodes);
	bad = json_object_set_new(s, "type", json_string(i->tmpfs ? "tmpfs" : "store"));
	bad |= json_object_set_new(s, "logical_bytes", json_integer(bytes));
	bad |= json_object_set_new(s, "inodes", json_integer(inodes));
	bad |= json_object_set_new(s, i->tmpfs ? "size" : "quota", json_integer(i->quota_bytes));
	bad |= json_object_set_new(s, "quota_inodes", json_integer(i->quota_inodes));
	bad |= json_object_set_new(s, "snapshots", json_integer(i->snapshots));
	bad |= json_object_set_new(s, "newest_snapshot", json_string(i->newest_snapshot));
	bad |= json_object_set_new(s, "lineage", json_pack("{s:s,s:i}", "origin", i->origin, "depth", (int)i->depth));
	bad |= json_object_set_new(s, "as_of", json_string(time_text(e->info_at, at)));
	bad |= json_object_set_new(s, "mounts", json_integer(uses_count(v->d->uses, i->id)));
	if (e->sizes_at) {
		bad |= json_object_set_new(s, "unique_bytes", json_integer(e->sizes.unique_bytes));
		bad |= json_object_set_new(s, "shared_bytes", json_integer(e->sizes.shared_bytes));
		bad |= json_object_set_new(s, "sizes_as_of", json_string(time_text(e->sizes_at, at)));
	}
	if (bad)
		log_warn("the status of %s lacks something: out of memory", i->name);
	return s;
}

static int look_up(struct volume_driver *v, const struct plugin_request *r, bool want_state, struct catalog_entry *ret,
		   struct err *err)
{
	int bad = volume_name_check("volume", r->name, err);

	if (!bad)
		bad = catalog_get(v->catalog, r->name, want_state, ret);
	if (bad == -ENOENT)
		(void)err_set(err, ENOENT, "there is no volume '%s'", r->name);
	return bad;
}

static int get(struct volume_driver *v, const struct plugin_request *r, json_t **ret, struct err *err)
{
	struct catalog_entry e;
	char path[PATH_MAX], created[32];
	int bad = look_up(v, r, true, &e, err);

	if (bad)
		return bad;
	volumes_mountpoint(v->d, e.volume.name, e.volume.tmpfs, path);
	*ret = json_pack("{s:{s:s,s:s,s:s,s:o},s:s}", "Volume", "Name", e.volume.name, "Mountpoint", path, "CreatedAt",
			 time_text(e.volume.created, created), "Status", status_json(v, &e), "Err", "");
	return 0;
}

static int path(struct volume_driver *v, const struct plugin_request *r, json_t **ret, struct err *err)
{
	struct catalog_entry e;
	int bad = look_up(v, r, false, &e, err);

	if (!bad)
		*ret = mountpoint_answer(v, e.volume.name, e.volume.tmpfs);
	return bad;
}

static int list(struct volume_driver *v, const struct plugin_request *r, json_t **ret, struct err *err)
{
	AUTO_FREE struct volume_brief *volumes = NULL;
	json_t *out = json_array();
	size_t i, n = 0;
	int bad = catalog_list(v->catalog, &volumes, &n);

	(void)r;
	for (i = 0; i < n && !bad; i++) {
		char at[PATH_MAX], created[32];

		volumes_mountpoint(v->d, volumes[i].name, volumes[i].tmpfs, at);
		bad = json_array_append_new(out, json_pack("{s:s,s:s,s:s}", "Name", volumes[i].name, "Mountpoint", at,
							   "CreatedAt", time_text(volumes[i].created, created)));
	}
	if (bad) {
		json_decref(out);
		return err_set(err, ENOMEM, "out of memory");
	}
	*ret = json_pack("{s:o,s:s}", "Volumes", out, "Err", "");
	return 0;
}

/* --- endpoints that change something; the store is open --- */

/* One with a NUL in it is as good as empty: neither is a name or an id. */
static const char *text_value(const json_t *string)
{
	const char *text = json_string_value(string);

	return text && strlen(text) != json_string_length(string) ? "" : text;
}

static int parse_opts(json_t *opts, struct volume_options *ret, struct err *err)
{
	const char *key;
	json_t *value;
	int bad = 0;

	if (opts && !json_is_object(opts) && !json_is_null(opts))
		return err_set(err, EINVAL, "the options are not understood");
	json_object_foreach(opts, key, value) {
		if (!json_is_string(value))
			return err_set(err, EINVAL, "the value of option %.60s is not a string", key);
		bad = volume_option_parse(ret, key, text_value(value), err);
		if (bad)
			return bad;
	}
	return 0;
}

/* Whether a volume that is there already is what was asked for: then asking again changes nothing. */
static bool is_as_asked(struct volume_driver *v, const struct volume_info *is, const struct volume_options *o)
{
	struct attr root;

	if (ns_getattr(v->d->store, is->root_node, &root))
		return false;
	return (!(o->set & (VOLUME_SET_QUOTA | VOLUME_SET_SIZE)) || o->quota_bytes == is->quota_bytes) &&
	       (!(o->set & VOLUME_SET_QUOTA_INODES) || o->quota_inodes == is->quota_inodes) &&
	       (!(o->set & VOLUME_SET_COMPRESSION) || o->compression == is->compression) &&
	       (!(o->set & VOLUME_SET_UID) || o->uid == root.uid) &&
	       (!(o->set & VOLUME_SET_GID) || o->gid == root.gid) &&
	       (!(o->set & VOLUME_SET_MODE) || o->mode == (root.mode & 07777)) &&
	       (!(o->set & VOLUME_SET_FROM) || !strcmp(o->from, is->origin)) && o->tmpfs == is->tmpfs;
}

static int create(struct volume_driver *v, const struct plugin_request *r, json_t **ret, struct err *err)
{
	struct volume_options opts = {0};
	struct volumes_made made;
	struct volume_info is;
	int bad = volume_name_check("volume", r->name, err);

	if (!bad)
		bad = parse_opts(r->opts, &opts, err);
	if (!bad)
		bad = volumes_create(v->d, r->name, &opts, &made, err);
	if (bad == -EEXIST && !volume_get(v->d->store, r->name, &is, NULL)) {
		bad = is_as_asked(v, &is, &opts) ? 0 : bad;
		err_hint(err, "its options are not those that were asked for");
	}
	if (bad)
		return bad;
	log_info("docker: volume %s is there", r->name);
	*ret = json_pack("{s:s}", "Err", "");
	return 0;
}

static int remove_volume(struct volume_driver *v, const struct plugin_request *r, json_t **ret, struct err *err)
{
	struct volume_info gone;
	int bad = volumes_remove(v->d, r->name, VOLUMES_IGNORE_USES, &gone, err);

	if (bad)
		return bad;
	log_info("docker: volume %s was removed", r->name);
	*ret = json_pack("{s:s}", "Err", "");
	return 0;
}

static int mount_volume(struct volume_driver *v, const struct plugin_request *r, json_t **ret, struct err *err)
{
	struct volume_info is;
	int bad = volume_get(v->d->store, r->name, &is, err);

	if (bad)
		return bad;
	if (is.tmpfs)
		bad = tmpfs_ensure(v->d, &is, err);
	if (bad)
		return bad;
	bad = uses_add(v->d->uses, is.id, r->id);
	if (bad)
		return err_set(err, -bad, "mounting %s under id '%.20s…': %s", r->name, r->id, err_name(-bad));
	/* Removed in between, it must not be left with a use. */
	bad = volume_get(v->d->store, r->name, &is, err);
	if (bad) {
		uses_forget(v->d->uses, is.id);
		return bad;
	}
	*ret = mountpoint_answer(v, r->name, is.tmpfs);
	return 0;
}

/* An id that is not known is no fault: the engine may have been told so before, and lost it. */
static int unmount_volume(struct volume_driver *v, const struct plugin_request *r, json_t **ret, struct err *err)
{
	struct volume_info is;

	(void)err;
	if (volume_get(v->d->store, r->name, &is, NULL) || uses_drop(v->d->uses, is.id, r->id))
		log_info("docker: unmount of %.128s under an id that it was not mounted under", r->name);
	*ret = json_pack("{s:s}", "Err", "");
	return 0;
}

/* --- requests --- */

enum endpoint_needs { NEEDS_NAME = 1, NEEDS_ID = 2, NEEDS_STORE = 4, NO_ERR_ON_FAULT = 8 };
static const struct endpoint {
	const char *path;
	unsigned needs;
	endpoint_fn fn;
} endpoints[] = {
	{"Plugin.Activate", 0, activate},
	{"VolumeDriver.Capabilities", 0, capabilities},
	{"VolumeDriver.Get", NEEDS_NAME | NO_ERR_ON_FAULT, get},
	{"VolumeDriver.List", 0, list},
	{"VolumeDriver.Path", NEEDS_NAME | NO_ERR_ON_FAULT, path},
	{"VolumeDriver.Create", NEEDS_NAME | NEEDS_STORE, create},
	{"VolumeDriver.Remove", NEEDS_NAME | NEEDS_STORE, remove_volume},
	{"VolumeDriver.Mount", NEEDS_NAME | NEEDS_ID | NEEDS_STORE, mount_volume},
	{"VolumeDriver.Unmount", NEEDS_NAME | NEEDS_ID | NEEDS_STORE, unmount_volume},
};

static const struct endpoint *find_endpoint(const struct http_request *h)
{
	size_t i;

	for (i = 0; h->parts_n == 1 && i < sizeof endpoints / sizeof endpoints[0]; i++)
		if (!strcmp(h->method, "POST") && !strcmp(h->parts[0], endpoints[i].path))
			return &endpoints[i];
	return NULL;
}

/* *body keeps the strings alive. */
static int parse_request(const struct http_request *h, const struct endpoint *e, json_t **body,
			 struct plugin_request *r, struct err *err)
{
	if (!e->needs)
		return 0;
	if (!h->body_len)
		return err_set(err, EINVAL, "the request came without its body: the connection was lost; try again");
	*body = h->body_too_long ? NULL
				 : json_loadb(h->body, h->body_len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	if (!json_is_object(*body))
		return err_set(err, EINVAL, "the request is not understood");
	r->name = text_value(json_object_get(*body, "Name"));
	r->id = text_value(json_object_get(*body, "ID"));
	r->opts = json_object_get(*body, "Opts");
	if (!r->name || (e->needs & NEEDS_ID && !r->id))
		return err_set(err, EINVAL, "the request lacks its %s", r->name ? "ID" : "Name");
	return 0;
}

static json_t *error_answer(const struct err *err)
{
	char text[2 * ERR_TEXT_MAX + 8];
	json_t *answer;

	(void)snprintf(text, sizeof text, "%s%s%s%s", err->text, *err->hint ? " (" : "", err->hint,
		       *err->hint ? ")" : "");
	answer = json_pack("{s:s}", "Err", text);
	/* what was asked with may be cut in the middle of a letter */
	return answer ? answer : json_pack("{s:s}", "Err", "the request cannot be carried out");
}

static int carry_out(struct volume_driver *v, const struct endpoint *e, const struct plugin_request *r, json_t **ret,
		     struct err *err)
{
	int bad = e->needs & NEEDS_STORE ? begin_change(v, err) : 0;

	if (bad)
		return bad;
	bad = e->fn(v, r, ret, err);
	if (e->needs & NEEDS_STORE)
		end_change(v);
	return bad;
}

static void handle(void *arg, const struct http_request *h, struct http_reply *reply)
{
	struct volume_driver *v = arg;
	const struct endpoint *e = find_endpoint(h);
	json_auto_t *body = NULL;
	json_auto_t *answer = NULL;
	struct plugin_request r = {0};
	struct err err = {0};
	bool certain = false;
	int bad;

	reply->status = e ? 200 : 404;
	reply->content_type = CONTENT_TYPE;
	bad = e ? parse_request(h, e, &body, &r, &err) : err_set(&err, ENOENT, "there is no such request");
	if (!bad) {
		bad = carry_out(v, e, &r, &answer, &err);
		certain = bad == -ENOENT || bad == -EINVAL || bad == -ENAMETOOLONG;
	}
	if (bad == -EAGAIN || (bad && e && e->needs & NO_ERR_ON_FAULT && !certain))
		return;
	if (bad && e && !(e->needs & NO_ERR_ON_FAULT))
		log_warn("docker: %s: %s", e->path, err.text);
	if (bad)
		answer = error_answer(&err);
	reply->text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
	reply->len = reply->text ? strlen(reply->text) : 0;
}

int volume_driver_start(struct daemon *d, struct volume_driver **ret, struct err *err)
{
	struct volume_driver *v = calloc(1, sizeof *v);
	/* dockerd keeps its connection open, and a request sent into one that is being closed comes again without
	 * body */
	const struct http_options o = {
		.listener = &d->handover.sockets.v[SOCKET_DOCKER], .idle_timeout_s = 0, .handle = handle, .arg = v};
	int r;

	if (!v)
		return err_set(err, ENOMEM, "out of memory");
	v->d = d;
	(void)pthread_mutex_init(&v->lock, NULL);
	(void)pthread_cond_init(&v->changed, NULL);
	r = catalog_new(d->options.store, &v->catalog, err);
	if (!r)
		r = http_start(&o, &v->http, err);
	if (r) {
		volume_driver_stop(v);
		return r;
	}
	*ret = v;
	return 0;
}

int volume_driver_open(struct volume_driver *v, struct store *store, struct err *err)
{
	if (store)
		return catalog_attach(v->catalog, store, err);
	catalog_stop(v->catalog);
	return 0;
}

void volume_driver_attach(struct volume_driver *v)
{
	LOCK_SCOPE(&v->lock);
	v->attached = true;
	(void)pthread_cond_broadcast(&v->changed);
}

void volume_driver_detach(struct volume_driver *v)
{
	if (!v)
		return;
	{
		LOCK_SCOPE(&v->lock);
		v->detached = true;
		(void)pthread_cond_broadcast(&v->changed);
		while (v->changing)
			(void)pthread_cond_wait(&v->changed, &v->lock);
	}
	catalog_seal(v->catalog);
}

/* A connection that comes from now on waits for the next daemon. It waits shortest when no change is at work, so that
 * such a moment is waited for; that there is none for long is no fault. */
static void wait_idle(struct volume_driver *v)
{
	struct timespec until;
	int ret = 0;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += IDLE_WAIT_S;
	LOCK_SCOPE(&v->lock);
	while (v->changing && ret != ETIMEDOUT)
		ret = pthread_cond_timedwait(&v->changed, &v->lock, &until);
}

void volume_driver_stop(struct volume_driver *v)
{
	if (!v)
		return;
	wait_idle(v);
	{
		LOCK_SCOPE(&v->lock);
		v->stopping = true;
		(void)pthread_cond_broadcast(&v->changed);
	}
	if (v->catalog)
		catalog_stop(v->catalog);
	http_stop(v->http);
	catalog_free(v->catalog);
	(void)pthread_cond_destroy(&v->changed);
	(void)pthread_mutex_destroy(&v->lock);
	free(v);
}
