/* Routes of snapshots, clones, rollback and diff. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/api_internal.h"
#include "fs/holders.h"
#include "fs/invalidate.h"
#include "fs/tmpfs.h"
#include "fs/volumes.h"
#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/volume/diff.h"

#define SNAPSHOTS_AT_ONCE_MAX 1024

int api_snapshot_list(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	AUTO_FREE struct snapshot_info *s = NULL;
	const char *volume = http_query(r->http, "volume");
	json_t *list;
	size_t i, n = 0;
	int bad = snapshot_list(api->d->store, volume && *volume ? volume : NULL, &s, &n, err);

	if (bad)
		return bad;
	list = json_array();
	for (i = 0; i < n; i++)
		bad |= json_array_append_new(list, api_json_snapshot(&s[i]));
	if (bad) {
		json_decref(list);
		list = NULL;
	}
	return api_answer(ret, list ? json_pack("{s:o}", "snapshots", list) : NULL, 200, err);
}

/* --- create --- */

struct creation {
	struct snapshot_name *names;
	struct snapshot_info *made;
	int64_t *volumes;
	uint64_t *roots;
	bool *in_memory; /* a tmpfs: its files are copied first */
	size_t n;
};

static void creation_free(struct creation *c)
{
	free(c->names);
	free(c->made);
	free(c->volumes);
	free(c->roots);
	free(c->in_memory);
}

static int parse_creation(struct api *api, const struct api_request *r, struct creation *c, struct err *err)
{
	struct volume_info v;
	json_t *list, *item;
	size_t i;
	int bad = api_unpack(r, err, "{s:o}", "snapshots", &list);

	if (bad)
		return bad;
	c->n = json_array_size(list);
	if (!c->n || c->n > SNAPSHOTS_AT_ONCE_MAX)
		return err_set(err, EINVAL, "snapshots are a list of 1 to %d", SNAPSHOTS_AT_ONCE_MAX);
	c->names = calloc(c->n, sizeof *c->names);
	c->made = calloc(c->n, sizeof *c->made);
	c->volumes = calloc(c->n, sizeof *c->volumes);
	c->roots = calloc(c->n, sizeof *c->roots);
	c->in_memory = calloc(c->n, sizeof *c->in_memory);
	if (!c->names || !c->made || !c->volumes || !c->roots || !c->in_memory)
		return err_set(err, ENOMEM, "out of memory");
	json_array_foreach(list, i, item) {
		const struct api_request one = {.body = item};
		const char *volume, *name = "";

		bad = api_unpack(&one, err, "{s:s,s?s}", "volume", &volume, "name", &name);
		if (!bad)
			bad = volume_get(api->d->store, volume, &v, err);
		if (!bad && *name)
			bad = volume_name_check("snapshot", name, err);
		if (bad)
			return bad;
		(void)snprintf(c->names[i].volume, sizeof c->names[i].volume, "%s", volume);
		(void)snprintf(c->names[i].snapshot, sizeof c->names[i].snapshot, "%s", name);
		c->volumes[i] = v.id;
		c->roots[i] = v.root_node;
		c->in_memory[i] = v.tmpfs;
	}
	return 0;
}

static json_t *json_creation(const struct creation *c, uint64_t fence_us, const struct cut_times *times)
{
	json_t *list = json_array(), *copied = json_array();
	size_t i;
	int bad = 0;

	for (i = 0; i < c->n; i++) {
		bad |= json_array_append_new(list, api_json_snapshot(&c->made[i]));
		if (c->in_memory[i])
			bad |= json_array_append_new(copied, json_string(c->names[i].volume));
	}
	if (bad) {
		json_decref(list);
		json_decref(copied);
		return NULL;
	}
	return json_pack("{s:o,s:o,s:I,s:o}", "snapshots", list, "copied", copied, "fence_us", (json_int_t)fence_us,
			 "cut", api_json_cut(times));
}

/* What lives in memory comes into the store: not at one instant, unlike all that is in the store already. */
static int save_tmpfs(struct daemon *d, const struct creation *c, struct err *err)
{
	struct snapshot_info s;
	struct volume_info v;
	struct err ignored;
	size_t i;
	int bad = 0;

	for (i = 0; i < c->n && !bad; i++) {
		if (!c->in_memory[i])
			continue;
		LOCK_SCOPE(&d->replace_lock);
		/* a name that is taken is refused by snapshot_create, before anything is copied for it */
		if (*c->names[i].snapshot &&
		    !snapshot_get(d->store, c->names[i].volume, c->names[i].snapshot, &s, &ignored))
			return 0;
		bad = volume_get(d->store, c->names[i].volume, &v, err);
		if (!bad)
			bad = tmpfs_save(d, &v, err);
	}
	return bad;
}

int api_snapshot_create(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	struct creation c = {0};
	struct cut_times times = {0};
	uint64_t fence_us = 0;
	size_t i;
	int bad;

	bad = parse_creation(api, r, &c, err);
	AUTO_INTENT intent = bad ? NULL : intent_begin(api->d, INTENT_SNAPSHOT, c.n == 1 ? c.roots[0] : 0, "");

	if (!bad)
		bad = save_tmpfs(api->d, &c, err);
	if (!bad)
		bad = fence_run(api->d, c.volumes, c.n, &fence_us, err);
	if (!bad)
		bad = snapshot_create(api->d->store, c.names, c.n, c.made, &times, err);
	if (!bad) {
		for (i = 0; i < c.n; i++)
			invalidate_snapshot(api->d, c.roots[i], c.made[i].name);
		bad = api_answer(ret, json_creation(&c, fence_us, &times), 201, err);
	}
	creation_free(&c);
	return bad;
}

/* --- one snapshot --- */

int api_snapshot_get(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	struct snapshot_info s;
	int64_t unique = 0;
	json_t *json;
	int bad = snapshot_get(api->d->store, r->args[0], r->args[1], &s, err);

	if (!bad)
		bad = snapshot_unique_bytes(api->d->store, s.volume, s.name, &unique, err);
	if (bad)
		return bad;
	json = api_json_snapshot(&s);
	if (json && json_object_set_new(json, "unique_bytes", json_integer((json_int_t)unique))) {
		json_decref(json);
		json = NULL;
	}
	return api_answer(ret, json, 200, err);
}

int api_snapshot_remove(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	struct volume_info v;
	int64_t unique = 0;
	int bad = volume_get(api->d->store, r->args[0], &v, err);
	AUTO_INTENT intent = bad ? NULL : intent_begin(api->d, INTENT_SNAPSHOT, v.root_node, r->args[1]);

	if (!bad)
		bad = snapshot_unique_bytes(api->d->store, r->args[0], r->args[1], &unique, err);
	if (!bad)
		bad = snapshot_remove(api->d->store, r->args[0], r->args[1], err);
	if (bad)
		return bad;
	invalidate_snapshot(api->d, v.root_node, r->args[1]);
	return api_answer(ret,
			  json_pack("{s:s+++,s:I}", "removed", r->args[0], "@", r->args[1], "", "unique_bytes",
				    (json_int_t)unique),
			  200, err);
}

static int set_hold(struct api *api, const struct api_request *r, bool hold, struct api_answer *ret, struct err *err)
{
	struct snapshot_info s;
	int bad = snapshot_hold(api->d->store, r->args[0], r->args[1], hold, err);

	if (!bad)
		bad = snapshot_get(api->d->store, r->args[0], r->args[1], &s, err);
	return bad ? bad : api_answer(ret, api_json_snapshot(&s), 200, err);
}

int api_snapshot_hold(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	return set_hold(api, r, true, ret, err);
}

int api_snapshot_release(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	return set_hold(api, r, false, ret, err);
}

/* --- rollback and clone --- */

/* What is dirty in the kernel belongs to the state that is kept as a snapshot. That some of it cannot be written (a
 * full disk) must not keep anybody from going back. */
static uint64_t fence_before_rollback(struct daemon *d, const struct volume_info *v)
{
	struct err why = {0};
	uint64_t us = 0;

	if (fence_run(d, &v->id, 1, &us, &why))
		log_warn("rollback of %s: the state before it lacks something: %s", v->name, why.text);
	return us;
}

/* A tmpfs goes back by way of the store: what it holds becomes the state there that the rollback keeps. */
static int save_before_rollback(struct daemon *d, const struct volume_info *v, bool live, struct err *err)
{
	char folder[PATH_MAX], who[ERR_TEXT_MAX / 2] = "";

	tmpfs_path(d, v->name, folder);
	if (!live)
		holders_of_files(folder, who, sizeof who);
	if (!*who)
		return tmpfs_save(d, v, err);
	(void)err_set(err, EBUSY, "files of %s are open: %s", v->name, who);
	err_hint(err, "stop it, or roll back under it with --live");
	return -EBUSY;
}

int api_rollback(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	struct daemon *d = api->d;
	const char *volume = r->args[0], *snapshot;
	char saved[VOLUME_NAME_MAX + 1] = "";
	struct cut_times times = {0};
	struct volume_info v;
	struct snapshot_info s;
	uint64_t fence_us;
	int bad, live = 0;

	bad = api_unpack(r, err, "{s:s,s?b}", "snapshot", &snapshot, "live", &live);
	if (bad)
		return bad;
	LOCK_SCOPE(&d->replace_lock);
	bad = volume_get(d->store, volume, &v, err);
	if (!bad)
		bad = snapshot_get(d->store, volume, snapshot, &s, err);
	if (!bad && v.tmpfs)
		bad = save_before_rollback(d, &v, live, err);
	if (bad)
		return bad;
	AUTO_INTENT intent = intent_begin(d, INTENT_ROLLBACK, v.root_node, "");

	fence_us = fence_before_rollback(d, &v);
	bad = snapshot_rollback(d->store, volume, snapshot, live, saved, &times, err);
	if (bad == -EBUSY && !live)
		holders_name_writers(d, volume, v.id, "stop it, or roll back under it with --live", err);
	if (bad)
		return bad;
	invalidate_rollback(d, v.root_node, saved);
	invalidate_snapshot(d, v.root_node, saved);
	bad = v.tmpfs ? tmpfs_load(d, &v, err) : 0;
	if (bad) {
		err_hint(err, "what it held is in the snapshot %s@%s", volume, saved);
		return bad;
	}
	return api_answer(ret,
			  json_pack("{s:s,s:s,s:s,s:I,s:o}", "volume", volume, "snapshot", snapshot, "saved_as", saved,
				    "fence_us", (json_int_t)fence_us, "cut", api_json_cut(&times)),
			  200, err);
}

int api_clone(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	struct volume_options opts = {0};
	struct volumes_made made;
	const char *name, *snapshot = "";
	json_t *options = NULL;
	int bad;

	bad = api_unpack(r, err, "{s:s,s?s,s?o}", "name", &name, "snapshot", &snapshot, "options", &options);
	if (!bad)
		bad = api_options(options, &opts, err);
	if (!bad && (opts.set & VOLUME_SET_FROM))
		bad = err_set(err, EINVAL, "a clone's origin is not an option here");
	if (!bad)
		bad = volumes_clone(api->d, r->args[0], snapshot, name, &opts, &made, err);
	if (bad)
		return bad;
	return api_answer(ret,
			  json_pack("{s:o,s:I,s:o}", "volume", api_json_volume(api, &made.volume), "fence_us",
				    (json_int_t)made.fence_us, "cut", api_json_cut(&made.times)),
			  201, err);
}

/* --- diff --- */

static const char *type_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symlink";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	case S_IFCHR:
		return "char";
	default:
		return "block";
	}
}

/* Text from the start: a million changes as JSON objects would take a gigabyte. */
static int put_change(void *arg, const struct diff_entry *e)
{
	static const struct {
		unsigned bit;
		const char *name;
	} kinds[] = {{DIFF_CONTENT, "content"}, {DIFF_ATTR, "attributes"}, {DIFF_XATTR, "xattrs"}};
	struct buf *out = arg;
	const char kind[2] = {(char)e->kind, '\0'};
	AUTO_FREE char *text = NULL;
	json_t *what = json_array(), *o;
	size_t i;
	int ret;

	for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (e->what & kinds[i].bit)
			(void)json_array_append_new(what, json_string(kinds[i].name));
	o = json_pack("{s:s,s:o,s:o,s:o,s:s}", "kind", kind, "path", api_json_text(e->path), "new_path",
		      api_json_text(e->new_path ? e->new_path : ""), "what", what, "type", type_name(e->mode));
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	if (!text)
		return -ENOMEM;
	ret = buf_add(out, ",", out->len && out->data[out->len - 1] == '}');
	return ret ? ret : buf_add(out, text, strlen(text));
}

int api_diff(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	const char *from = http_query(r->http, "from"), *to = http_query(r->http, "to");
	struct snapshot_name a, b;
	struct buf out = {0};
	int bad;

	if (!from || !to)
		return err_set(err, EINVAL, "a diff is from=VOLUME@SNAPSHOT to=VOLUME@SNAPSHOT or to=VOLUME");
	bad = snapshot_name_parse(from, &a, err);
	if (!bad)
		bad = snapshot_name_parse(to, &b, err);
	if (!bad)
		bad = buf_add(&out, "{\"changes\":[", 12);
	if (!bad)
		bad = diff_views(api->d->store, a.volume, a.snapshot, b.volume, b.snapshot, put_change, &out, err);
	if (!bad)
		bad = buf_add(&out, "]}", 3);
	if (bad) {
		buf_free(&out);
		return bad;
	}
	ret->text = (char *)out.data;
	ret->content_type = "application/json";
	return 200;
}
