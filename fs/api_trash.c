/* Routes of the trash, and of the store's settings. */
#include <stdlib.h>

#include "fs/api_internal.h"
#include "fs/volumes.h"
#include "store/base/cleanup.h"
#include "store/volume/trash.h"

static json_t *json_entry(const struct trash_info *t)
{
	return json_pack("{s:s,s:I,s:I,s:I,s:I,s:i,s:I}", "name", t->name, "removed", (json_int_t)t->removed, "expires",
			 (json_int_t)t->expires, "bytes", (json_int_t)t->bytes, "inodes", (json_int_t)t->inodes,
			 "snapshots", (int)t->snapshots, "held_bytes", (json_int_t)t->held_bytes);
}

int api_trash_list(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	AUTO_FREE struct trash_info *t = NULL;
	json_t *list = json_array();
	size_t i, n = 0;
	int bad = trash_list(api->d->store, &t, &n, err), failed = 0;

	(void)r;
	for (i = 0; i < n; i++)
		failed |= json_array_append_new(list, json_entry(&t[i]));
	if (bad || failed) {
		json_decref(list);
		return bad ? bad : api_answer(ret, NULL, 200, err);
	}
	return api_answer(ret, json_pack("{s:o}", "trash", list), 200, err);
}

int api_trash_undelete(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	const char *name = r->args[0];
	struct volume_info v;
	int bad = api_unpack(r, err, "{s?s}", "name", &name);

	if (!bad)
		bad = volumes_undelete(api->d, r->args[0], name, &v, err);
	return bad ? bad : api_answer(ret, api_json_volume(api, &v), 200, err);
}

static int purge(struct api *api, const char *name, struct api_answer *ret, struct err *err)
{
	unsigned n = 0;
	int bad = trash_purge(api->d->store, name, &n, err);

	return bad ? bad : api_answer(ret, json_pack("{s:i}", "purged", (int)n), 200, err);
}

int api_trash_purge(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	return purge(api, r->args[0], ret, err);
}

int api_trash_purge_all(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	(void)r;
	return purge(api, NULL, ret, err);
}

int api_settings(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	(void)r;
	return api_answer(ret, json_pack("{s:i}", "trash-days", trash_days(api->d->store)), 200, err);
}

int api_settings_change(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	int days, bad = api_unpack(r, err, "{s:i}", "trash-days", &days);

	if (!bad)
		bad = trash_set_days(api->d->store, days, err);
	return bad ? bad : api_settings(api, r, ret, err);
}
