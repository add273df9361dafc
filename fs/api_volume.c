/* Routes of volumes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/api_internal.h"
#include "fs/holders.h"
#include "fs/volumes.h"
#include "store/base/cleanup.h"
#include "store/volume/file_io.h"
#include "store/volume/trash.h"


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

int api_volume_create(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	struct volume_options opts = {0};
	struct volumes_made made;
	const char *name;
	json_t *options = NULL, *json;
	int bad;

	bad = api_unpack(r, err, "{s:s,s?o}", "name", &name, "options", &options);
	if (!bad)
		bad = api_options(options, &opts, err);
	if (!bad)
		bad = volumes_create(api->d, name, &opts, &made, err);
	if (bad)
		return bad;
	json = api_json_volume(api, &made.volume);
	if (json && made.cloned &&
	    (json_object_set_new(json, "cut", api_json_cut(&made.times)) ||
	     json_object_set_new(json, "fence_us", json_integer((json_int_t)made.fence_us)))) {
		json_decref(json);
		json = NULL;
	}
	return api_answer(ret, json, 201, err);
}

int api_volume_remove(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	const char *force = http_query(r->http, "force");
	const char *purge = http_query(r->http, "purge");
	unsigned flags = 0;
	struct volume_info v;
	int64_t until;
	int bad;

	if (force && *force && strcmp(force, "0") != 0)
		flags |= VOLUMES_FORCE;
	if (purge && *purge && strcmp(purge, "0") != 0)
		flags |= VOLUMES_PURGE;
	bad = volumes_remove(api->d, r->args[0], flags, &v, err);
	if (bad)
		return bad;
	until = trash_until(api->d->store, v.id);
	return api_answer(ret,
			  json_pack("{s:s,s:i,s:I,s:I}", "removed", v.name, "snapshots", (int)v.snapshots, "bytes",
				    (json_int_t)v.bytes, "trash_until", (json_int_t)until),
			  200, err);
}

int api_volume_rename(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	const char *name;
	int bad;

	bad = api_unpack(r, err, "{s:s}", "name", &name);
	if (!bad)
		bad = volumes_rename(api->d, r->args[0], name, err);
	return bad ? bad : answer_volume(api, name, ret, err);
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
		bad = volumes_set(api->d, r->args[0], &opts, &v, err);
	return bad ? bad : api_answer(ret, api_json_volume(api, &v), 200, err);
}

/* --- who writes --- */

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
		AUTO_FREE char *volume = NULL;
		AUTO_FREE char *path = NULL;
		char command[HOLDER_COMMAND_MAX];
		int pid;

		holders_process(files[i].pid, command, &pid);
		if (ns_path(api->d->store, files[i].node, &volume, &path))
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
