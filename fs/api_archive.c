/* Export and import: archives as bodies that jobs make and take. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/api_pipe.h"
#include "fs/fence.h"
#include "fs/volumes.h"
#include "store/archive/tar_export.h"
#include "store/archive/tar_import.h"
#include "store/base/cleanup.h"

#define PIECE (128 * KIB)

/* --- export --- */

struct export {
	struct tar_export *tar;
	int to;
};

static int export_pump(struct export *x, struct job *job, struct err *err)
{
	AUTO_FREE uint8_t *piece = malloc(PIECE);
	struct tar_export_state state;
	size_t len = 1;
	int r = piece ? 0 : err_set(err, ENOMEM, "out of memory");

	while (!r && len) {
		if (job_cancelled(job))
			return err_set(err, ECANCELED, "cancelled");
		r = tar_export_read(x->tar, piece, PIECE, &len, err);
		if (!r && outflow_put(x->to, piece, len))
			r = err_set(err, ECANCELED, "whoever asked for the archive went away");
		tar_export_state(x->tar, &state);
		if (state.bytes_total)
			job_progress(job, (double)state.bytes_done / (double)state.bytes_total);
	}
	return r;
}

static int export_run(void *arg, struct job *job, json_t **ret, struct err *err)
{
	struct export *x = arg;
	struct tar_export_state state;
	char line[64];
	int r = export_pump(x, job, err);

	tar_export_state(x->tar, &state);
	tar_export_free(x->tar);
	if (state.sockets) {
		(void)snprintf(line, sizeof line, "%llu socket%s left out", (unsigned long long)state.sockets,
			       state.sockets == 1 ? " is" : "s are");
		job_message(job, line);
	}
	if (!r) {
		*ret = json_pack("{s:I,s:I,s:I}", "entries", (json_int_t)state.entries, "bytes",
				 (json_int_t)state.bytes_done, "sockets", (json_int_t)state.sockets);
		if (!*ret)
			r = err_set(err, ENOMEM, "out of memory");
	}
	(void)close(x->to);
	return r;
}

static int parse_compression(const char *text, enum tar_compression *ret, struct err *err)
{
	static const char *const names[] = {"none", "gzip", "zstd"};
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++)
		if (!strcmp(text, names[i])) {
			*ret = (enum tar_compression)i;
			return 0;
		}
	return err_set(err, EINVAL, "compression is none, gzip or zstd, not '%.40s'", text);
}

/* What programs have written so far is part of what is exported. */
static int fence_volume(struct daemon *d, const char *name, struct err *err)
{
	struct volume_info v;
	uint64_t us;
	int r = volume_get(d->store, name, &v, err);

	return r || v.tmpfs ? r : fence_run(d, &v.id, 1, &us, err);
}

int api_export(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	const char *snapshot = http_query(r->http, "snapshot"), *how = http_query(r->http, "compression");
	enum tar_compression compression = TAR_PLAIN;
	struct outflow *flow = NULL;
	struct export *x = calloc(1, sizeof *x);
	struct tar_export *tar = NULL;
	char subject[JOB_SUBJECT_MAX];
	uint64_t job;
	int to = -1, bad = x ? 0 : err_set(err, ENOMEM, "out of memory");

	snapshot = snapshot ? snapshot : "";
	(void)snprintf(subject, sizeof subject, "%.128s%s%.128s", r->args[0], *snapshot ? "@" : "", snapshot);
	if (!bad && how)
		bad = parse_compression(how, &compression, err);
	if (!bad && !*snapshot)
		bad = fence_volume(api->d, r->args[0], err);
	if (!bad)
		bad = tar_export_open(api->d->store, r->args[0], snapshot, compression, &tar, err);
	if (!bad)
		bad = outflow_new(api, &flow, &to, err);
	if (bad) {
		tar_export_free(tar);
		free(x);
		return bad;
	}
	*x = (struct export){tar, to};
	/* x is the job's from here on, and gone when it did not start */
	bad = jobs_start_for(api->jobs, "export", subject, JOB_MANY, export_run, x, &job, err);
	if (bad) {
		tar_export_free(tar);
		(void)close(to);
		outflow_free(flow);
		return bad;
	}
	outflow_answer(flow, job, ret);
	ret->content_type = compression == TAR_GZIP   ? "application/gzip"
			    : compression == TAR_ZSTD ? "application/zstd"
						      : "application/x-tar";
	return 200;
}

/* --- import --- */

struct import {
	struct daemon *d;
	char volume[VOLUME_NAME_MAX + 1];
	bool merge;
	unsigned strip;
	struct volume_options opts;
	struct job *job;
	struct inflow in; /* the connection's side also frees this, when the job has ended */
};

static int import_read(void *arg, void *buf, size_t len, size_t *ret_len)
{
	struct import *im = arg;

	return inflow_read(&im->in, im->job, buf, len, ret_len);
}

static void import_tell(void *arg, const char *line)
{
	job_message(((struct import *)arg)->job, line);
}

static int import_into(struct import *im, const struct draft *d, json_t **ret, struct err *err)
{
	const struct tar_import_options o = {.read = import_read,
					     .tell = import_tell,
					     .arg = im,
					     .merge = im->merge,
					     .strip = im->strip,
					     .volume = im->volume};
	struct tar_import_result result;
	char saved[VOLUME_NAME_MAX + 1];
	struct volume_info v;
	int r = tar_import(im->d->store, d->root_node, &o, &result, err);

	if (!r)
		r = volumes_publish(im->d, d, saved, &v, err);
	if (r)
		return r;
	*ret = json_pack("{s:o,s:s,s:I,s:I,s:I}", "volume", api_json_volume(im->in.api, &v), "saved_as", saved, "entries",
			 (json_int_t)result.entries, "bytes", (json_int_t)result.bytes, "skipped",
			 (json_int_t)result.skipped);
	return *ret ? 0 : err_set(err, ENOMEM, "the volume is there, but memory ran out");
}

/* What the archive goes into: empty, or what the volume shows. */
static int import_draft(struct import *im, struct draft *ret, struct err *err)
{
	struct err why = {0};
	struct volume_info v;
	int r = im->merge ? volume_get(im->d->store, im->volume, &v, &why) : -ENOENT;

	if (r == -ENOENT)
		return draft_new(im->d->store, im->volume, &im->opts, true, ret, err);
	if (r)
		return err_set(err, -r, "%s", why.text);
	r = fence_volume(im->d, im->volume, err);
	return r ? r : draft_of_view(im->d->store, im->volume, "", ret, err);
}

static int import_run(void *arg, struct job *job, json_t **ret, struct err *err)
{
	struct import *im = *(struct import **)arg;
	struct draft d;
	int r;

	im->job = job;
	r = import_draft(im, &d, err);
	if (r == -EBUSY)
		volumes_name_writers(im->d, im->volume, "stop it first", err);
	if (!r) {
		r = import_into(im, &d, ret, err);
		if (r)
			draft_drop(im->d->store, &d);
	}
	inflow_done(&im->in);
	return r;
}

static int upload_write(void *arg, const void *data, size_t len)
{
	return inflow_write(&((struct import *)arg)->in, data, len);
}

static int upload_end(void *arg, bool complete, struct api_answer *ret, struct err *err)
{
	struct import *im = arg;
	int r = inflow_end(&im->in, complete, ret, err);

	free(im);
	return r;
}

static int parse_import(const struct api_request *r, struct import *im, struct err *err)
{
	const char *merge = http_query(r->http, "merge"), *strip = http_query(r->http, "strip"),
		   *text = http_query(r->http, "options");
	json_t *options = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
	char *end = NULL;
	int bad;

	if (text && !options)
		return err_set(err, EINVAL, "the options are not JSON");
	bad = api_options(options, &im->opts, err);
	json_decref(options);
	if (!bad && (im->opts.set & (VOLUME_SET_FROM | VOLUME_SET_TYPE | VOLUME_SET_SIZE)))
		bad = err_set(err, EINVAL, "from, type and size do not go with an import");
	im->merge = merge && *merge && strcmp(merge, "0") != 0;
	im->strip = strip ? (unsigned)strtoul(strip, &end, 10) : 0;
	if (!bad && strip && (!*strip || *end))
		bad = err_set(err, EINVAL, "strip is a number of leading parts of names");
	if (!bad)
		bad = volume_name_check("volume", r->args[0], err);
	if (!bad)
		(void)snprintf(im->volume, sizeof im->volume, "%s", r->args[0]);
	return bad;
}

int api_import(struct api *api, const struct api_request *r, struct api_upload *ret, struct err *err)
{
	struct import *im = calloc(1, sizeof *im);
	struct import **job_arg = malloc(sizeof *job_arg);
	int bad = im && job_arg ? 0 : err_set(err, ENOMEM, "out of memory");

	if (!bad)
		bad = parse_import(r, im, err);
	if (!bad)
		bad = inflow_open(&im->in, api, err);
	if (bad) {
		free(im);
		free(job_arg);
		return bad;
	}
	im->d = api->d;
	*job_arg = im;
	bad = jobs_start_for(api->jobs, "import", im->volume, 0, import_run, job_arg, &im->in.id, err);
	if (bad) {
		inflow_close(&im->in);
		free(im);
		return bad;
	}
	*ret = (struct api_upload){.write = upload_write, .end = upload_end, .arg = im};
	return 0;
}
