/* The API's objects as JSON, and its requests from JSON. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/api_internal.h"
#include "fs/tmpfs.h"
#include "fs/uses.h"
#include "fs/volumes.h"

int api_unpack(const struct api_request *r, struct err *err, const char *fmt, ...)
{
	json_error_t why;
	va_list ap;
	int bad;

	va_start(ap, fmt);
	bad = json_vunpack_ex(r->body, &why, JSON_STRICT, fmt, ap);
	va_end(ap);
	return bad ? err_set(err, EINVAL, "the request is not understood: %s", why.text) : 0;
}

int api_answer(struct api_answer *ret, json_t *json_or_null, int status, struct err *err)
{
	if (!json_or_null)
		return err_set(err, ENOMEM, "out of memory");
	ret->json = json_or_null;
	return status;
}

static json_int_t num(uint64_t v)
{
	return v > INT64_MAX ? INT64_MAX : (json_int_t)v;
}

json_t *api_json_space(const struct store_space *s)
{
	const struct {
		const char *key;
		uint64_t value;
	} fields[] = {
		{"logical_bytes", s->logical_bytes},
		{"snapshot_bytes", s->snapshot_bytes},
		{"referenced_bytes", s->referenced_bytes},
		{"unique_bytes", s->unique_bytes},
		{"stored_bytes", s->stored_bytes},
		{"disk_bytes", s->disk_bytes},
		{"meta_bytes", s->meta_bytes},
		{"chunks", s->chunks},
		{"pending_bytes", s->pending_bytes},
		{"host_total", s->host_total},
		{"host_free", s->host_free},
		{"volumes", s->volumes},
		{"snapshots", s->snapshots},
		{"inodes", s->inodes},
		{"buffered_bytes", s->buffered_bytes},
		{"reap_tasks", s->reap_tasks},
		{"trash_volumes", s->trash_volumes},
		{"trash_bytes", s->trash_bytes},
	};
	json_t *o = json_object();
	size_t i;
	int bad = 0;

	for (i = 0; i < sizeof fields / sizeof fields[0]; i++)
		bad |= json_object_set_new(o, fields[i].key, json_integer(num(fields[i].value)));
	if (bad) {
		json_decref(o);
		return NULL;
	}
	return o;
}

json_t *api_json_volume(struct api *api, const struct volume_info *v)
{
	int64_t bytes = v->bytes, inodes = v->inodes;
	char compression[16] = "none", mountpoint[PATH_MAX];

	if (v->compression)
		(void)snprintf(compression, sizeof compression, "zstd:%" PRId32, v->compression);
	volumes_mountpoint(api->d, v->name, v->tmpfs, mountpoint);
	if (v->tmpfs)
		(void)tmpfs_usage(api->d, v->name, &bytes, &inodes);
	return json_pack("{s:s,s:I,s:s,s:s, s:I,s:I, s:I,s:I, s:s,s:i, s:i,s:s, s:s,s:i,s:i}",
			 "name", v->name, "created", (json_int_t)v->created, "mountpoint", mountpoint,
			 "type", v->tmpfs ? "tmpfs" : "store",
			 "bytes", (json_int_t)bytes, "inodes", (json_int_t)inodes,
			 "quota", (json_int_t)v->quota_bytes, "quota_inodes", (json_int_t)v->quota_inodes,
			 "compression", compression, "depth", (int)v->depth,
			 "snapshots", (int)v->snapshots, "newest_snapshot", v->newest_snapshot,
			 "origin", v->origin, "open_writers", (int)v->open_writers,
			 "mounts", (int)uses_count(api->d->uses, v->id));
}

json_t *api_json_snapshot(const struct snapshot_info *s)
{
	return json_pack("{s:s,s:s,s:I,s:I,s:I,s:b,s:b,s:i}", "volume", s->volume, "name", s->name, "created",
			 (json_int_t)s->created, "bytes", (json_int_t)s->bytes, "inodes", (json_int_t)s->inodes,
			 "automatic", s->automatic, "held", s->held, "clones", (int)s->clones);
}

json_t *api_json_cut(const struct cut_times *t)
{
	return json_pack("{s:I,s:I,s:I}", "drain_us", num(t->drain_us), "cut_us", num(t->cut_us), "sync_us",
			 num(t->sync_us));
}

json_t *api_json_text(const char *bytes)
{
	json_t *text = json_string(bytes);
	size_t i, n = strlen(bytes), at = 0;
	char *escaped;

	if (text)
		return text;
	/* jansson refuses what is no UTF-8 */
	escaped = malloc(4 * n + 1);
	if (!escaped)
		return NULL;
	for (i = 0; i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '\\')
			at += (size_t)sprintf(escaped + at, "\\\\");
		else if (c >= 0x80)
			at += (size_t)sprintf(escaped + at, "\\x%02x", c);
		else
			escaped[at++] = (char)c;
	}
	text = json_stringn(escaped, at);
	free(escaped);
	return text;
}

json_t *api_json_error(const struct err *err)
{
	char number[16];
	const char *code = strerrorname_np(err->code);

	if (err->code == ECORRUPT)
		code = "ECORRUPT";
	else if (err->code == ETOONEW)
		code = "ETOONEW";
	if (!code) {
		(void)snprintf(number, sizeof number, "%d", err->code);
		code = number;
	}
	return json_pack("{s:s,s:o,s:o}", "code", code, "message", api_json_text(err->text), "hint",
			 api_json_text(err->hint));
}

int api_options(json_t *object_or_null, struct volume_options *ret, struct err *err)
{
	struct volume_options opts = {0};
	const char *key;
	json_t *value;
	int r;

	if (object_or_null && !json_is_object(object_or_null))
		return err_set(err, EINVAL, "options are an object: {\"key\":\"value\"}");
	json_object_foreach(object_or_null, key, value) {
		char number[32];

		if (json_is_integer(value))
			(void)snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		else if (!json_is_string(value))
			return err_set(err, EINVAL, "the value of option %s is neither a string nor a number", key);
		r = volume_option_parse(&opts, key, json_is_string(value) ? json_string_value(value) : number, err);
		if (r)
			return r;
	}
	*ret = opts;
	return 0;
}
