/* Routes of volumes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/api_internal.h"
#include "fs/invalidate.h"
#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/volume/file_io.h"

#define WRITERS_NAMED_MAX 3
#define COMMAND_MAX 64

int api_volume_list(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	AUTO_FREE struct volume_info *v = NULL;
	json_t *list;
	size_t i, n = 0;
	int bad = volume_list(api->d->store, &v, &n, err);

	(void)r;
	if (bad)
		return bad;
	list = json_array();
	for (i = 0; i < n; i++)
		bad |= json_array_append_new(list, api_json_volume(api, &v[i]));
	if (bad) {
		json_decref(list);
		list = NULL;
	}
	return api_answer(ret, list ? json_pack("{s:o}", "volumes", list) : NULL, 200, err);
}

static int answer_volume(struct api *api, const char *name, struct api_answer *ret, struct err *err)
{
	struct volume_info v;
	int bad = volume_get(api->d->store, name, &v, err);

	return bad ? bad : api_answer(ret, api_json_volume(api, &v), 200, err);
}

int api_volume_get(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	return answer_volume(api, r->args[0], ret, err);
}

/* The first two lines say where from; the volume's JSON gets how long the cut took. */
static int create_clone(struct api *api, const char *name, struct volume_options *opts, struct api_answer *ret,
			struct err *err)
{
	struct snapshot_name from;
	struct volume_info v;
	struct cut_times times = {0};
	uint64_t fence_us = 0;
	json_t *json;
	int bad = snapshot_name_parse(opts->from, &from, err);

	if (bad)
		return bad;
	opts->set &= ~(unsigned)VOLUME_SET_FROM;
	bad = api_clone_volume(api, from.volume, from.snapshot, name, opts, &v, &fence_us, &times, err);
	if (bad)
		return bad;
	json = api_json_volume(api, &v);
	if (json && (json_object_set_new(json, "cut", api_json_cut(&times)) ||
		     json_object_set_new(json, "fence_us", json_integer((json_int_t)fence_us)))) {
		json_decref(json);
		json = NULL;
	}
	return api_answer(ret, json, 201, err);
}

int api_volume_create(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	struct volume_options opts = {0};
	struct volume_info v;
	const char *name;
	json_t *options = NULL;
	int bad;

	bad = api_unpack(r, err, "{s:s,s?o}", "name", &name, "options", &options);
	if (!bad)
		bad = api_options(options, &opts, err);
	if (bad)
		return bad;
	if (opts.set & VOLUME_SET_FROM)
		return create_clone(api, name, &opts, ret, err);
	bad = volume_create(api->d->store, name, &opts, &v, err);
	if (bad)
		return bad;
	invalidate_name(api->d, NODE_ROOT, name);
	return api_answer(ret, api_json_volume(api, &v), 201, err);
}

int api_volume_remove(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	struct daemon *d = api->d;
	const char *name = r->args[0], *force = http_query(r->http, "force");
	bool forced = force && *force && strcmp(force, "0") != 0;
	struct volume_info v;
	int bad;

	LOCK_SCOPE(&api->replace_lock);
	bad = volume_get(d->store, name, &v, err);
	if (bad)
		return bad;
	bad = volume_remove(d->store, name, forced, err);
	if (bad == -EBUSY && v.open_writers && !forced)
		api_name_writers(api, name, v.id, "stop it, or remove with --force", err);
	if (bad)
		return bad;
	/* all below it goes with it */
	invalidate_name(d, NODE_ROOT, name);
	return api_answer(ret,
			  json_pack("{s:s,s:i,s:I}", "removed", v.name, "snapshots", (int)v.snapshots, "bytes",
				    (json_int_t)v.bytes),
			  200, err);
}

int api_volume_rename(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	const char *name;
	int bad;

	bad = api_unpack(r, err, "{s:s}", "name", &name);
	if (bad)
		return bad;
	bad = volume_rename(api->d->store, r->args[0], name, err);
	if (bad)
		return bad;
	invalidate_name(api->d, NODE_ROOT, r->args[0]);
	invalidate_name(api->d, NODE_ROOT, name);
	return answer_volume(api, name, ret, err);
}

int api_volume_set(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	struct volume_options opts = {0};
	struct volume_info v;
	json_t *options = NULL;
	int bad;

	bad = api_unpack(r, err, "{s:o}", "options", &options);
	if (!bad)
		bad = api_options(options, &opts, err);
	if (!bad)
		bad = volume_set(api->d->store, r->args[0], &opts, err);
	if (!bad)
		bad = volume_get(api->d->store, r->args[0], &v, err);
	if (bad)
		return bad;
	/* uid, gid and mode are the root folder's */
	invalidate_name(api->d, NODE_ROOT, v.name);
	invalidate_name(api->d, v.root_node, ".snapshots");
	return api_answer(ret, api_json_volume(api, &v), 200, err);
}

/* --- who writes --- */

/* The name of the process that a thread belongs to, and its id; "" when it is gone. */
static void name_process(uint32_t tid, char command[COMMAND_MAX], int *ret_pid)
{
	char path[64], line[256];
	FILE *f;

	*command = '\0';
	*ret_pid = (int)tid;
	(void)snprintf(path, sizeof path, "/proc/%u/status", tid);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "Name:\t", 6))
			(void)snprintf(command, COMMAND_MAX, "%.*s", COMMAND_MAX - 1, line + 6);
		else if (sscanf(line, "Tgid:\t%d", ret_pid) == 1)
			break;
	}
	(void)fclose(f);
}

static int path_of(struct store *s, uint64_t node, char **ret)
{
	AUTO_FREE char *volume = NULL;

	return ns_path(s, node, &volume, ret);
}

void api_name_writers(struct api *api, const char *volume, int64_t volume_id, const char *what_to_do, struct err *err)
{
	AUTO_FREE struct open_file *files = NULL;
	char who[ERR_TEXT_MAX] = "";
	size_t i, n = 0, at = 0;

	if (file_open_list(api->d->store, volume_id, &files, &n) || !n)
		return;
	for (i = 0; i < n && i < WRITERS_NAMED_MAX; i++) {
		AUTO_FREE char *path = NULL;
		char command[COMMAND_MAX];
		int pid;

		name_process(files[i].pid, command, &pid);
		if (path_of(api->d->store, files[i].node, &path))
			continue;
		at += (size_t)snprintf(who + at, sizeof who - at, "%s%s (process %d%s%s)", at ? ", " : "", path, pid,
				       *command ? ", " : "", command);
		if (at >= sizeof who)
			break;
	}
	(void)err_set(err, EBUSY, "files of %s are open for writing: %s%s", volume, who,
		      n > WRITERS_NAMED_MAX ? ", and others" : "");
	err_hint(err, "%s", what_to_do);
}

int api_volume_open(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	AUTO_FREE struct open_file *files = NULL;
	struct volume_info v;
	json_t *list;
	size_t i, n = 0;
	int bad = volume_get(api->d->store, r->args[0], &v, err);

	if (bad)
		return bad;
	bad = file_open_list(api->d->store, v.id, &files, &n);
	if (bad)
		return err_set(err, -bad, "the open files of %s: %s", v.name, err_name(-bad));
	list = json_array();
	for (i = 0; i < n; i++) {
		AUTO_FREE char *path = NULL;
		char command[COMMAND_MAX];
		int pid;

		name_process(files[i].pid, command, &pid);
		if (path_of(api->d->store, files[i].node, &path))
			continue; /* closed and gone meanwhile */
		/* a name can be bytes that are no text */
		bad |= json_array_append_new(list, json_pack("{s:o,s:I,s:i,s:i,s:s}", "path", api_json_text(path),
							     "node", (json_int_t)files[i].node, "writers",
							     (int)files[i].writers, "pid", pid, "command", command));
	}
	if (bad) {
		json_decref(list);
		list = NULL;
	}
	return api_answer(ret, list ? json_pack("{s:o}", "files", list) : NULL, 200, err);
}
