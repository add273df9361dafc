/* Export and import. The work is a job, in a thread of its own; the connection's thread moves the archive's bytes
 * between the socket and a pipe, whose other end the job has. A side that goes away closes its end: the job then ends,
 * and takes what it had begun back. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/api_internal.h"
#include "fs/fence.h"
#include "fs/volumes.h"
#include "store/archive/tar_export.h"
#include "store/archive/tar_import.h"
#include "store/base/cleanup.h"

#define PIPE_SIZE (1 << 20)
#define PIECE (128 * KIB)

static int make_pipe(int fds[2], struct err *err)
{
	if (pipe2(fds, O_CLOEXEC))
		return err_set(err, errno, "a pipe: %s", err_name(errno));
	/* fewer changes of thread; how many bytes it takes does not matter */
	(void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE);
	return 0;
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static ssize_t read_some(int fd, void *buf, size_t len)
{
	ssize_t n;

	do
		n = read(fd, buf, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

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
		if (!r && write_all(x->to, piece, len))
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

/* The connection's side. */
struct export_body {
	struct jobs *jobs;
	uint64_t job;
	int from;
};

static ssize_t body_read(void *arg, char *buf, size_t max)
{
	struct export_body *b = arg;
	struct err err = {0};
	ssize_t n = read_some(b->from, buf, max);

	/* the job has closed its end: well or not? */
	return n ? n : jobs_wait(b->jobs, b->job, NULL, &err);
}

static void body_free(void *arg)
{
	struct export_body *b = arg;

	(void)close(b->from);
	free(b);
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
	struct export_body *body = calloc(1, sizeof *body);
	struct export *x = calloc(1, sizeof *x);
	char subject[JOB_SUBJECT_MAX];
	int fds[2] = {-1, -1}, bad = body && x ? 0 : err_set(err, ENOMEM, "out of memory");

	snapshot = snapshot ? snapshot : "";
	(void)snprintf(subject, sizeof subject, "%.128s%s%.128s", r->args[0], *snapshot ? "@" : "", snapshot);
	if (!bad && how)
		bad = parse_compression(how, &compression, err);
	if (!bad && !*snapshot)
		bad = fence_volume(api->d, r->args[0], err);
	if (!bad)
		bad = tar_export_open(api->d->store, r->args[0], snapshot, compression, &x->tar, err);
	if (!bad)
		bad = make_pipe(fds, err);
	if (bad) {
		tar_export_free(x ? x->tar : NULL);
		free(x);
		free(body);
		return bad;
	}
	struct tar_export *tar = x->tar;

	x->to = fds[1];
	*body = (struct export_body){.jobs = api->jobs, .from = fds[0]};
	/* x is the job's from here on, and gone when it did not start */
	bad = jobs_start_for(api->jobs, "export", subject, JOB_MANY, export_run, x, &body->job, err);
	if (bad) {
		tar_export_free(tar);
		(void)close(fds[1]);
		body_free(body);
		return bad;
	}
	ret->body = (struct http_body){.read = body_read, .free = body_free, .arg = body, .job = body->job};
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
	int from;
	_Atomic bool complete; /* all of the body came */
	struct job *job;
	/* the connection's side, which also frees this when the job has ended */
	struct api *api;
	uint64_t id;
	int to;
	bool refused;
};

static int import_read(void *arg, void *buf, size_t len, size_t *ret_len)
{
	struct import *im = arg;
	ssize_t n;

	if (job_cancelled(im->job))
		return -ECANCELED;
	n = read_some(im->from, buf, len);
	if (n < 0)
		return (int)n;
	if (!n && !atomic_load(&im->complete))
		return -ECONNRESET;
	*ret_len = (size_t)n;
	return 0;
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
	*ret = json_pack("{s:o,s:s,s:I,s:I,s:I}", "volume", api_json_volume(im->api, &v), "saved_as", saved, "entries",
			 (json_int_t)result.entries, "bytes", (json_int_t)result.bytes, "skipped",
			 (json_int_t)result.skipped);
	return *ret ? 0 : err_set(err, ENOMEM, "the volume is there, but memory ran out");
}

static int import_run(void *arg, struct job *job, json_t **ret, struct err *err)
{
	struct import *im = *(struct import **)arg;
	struct volume_info v;
	struct draft d;
	int r;

	im->job = job;
	if (im->merge && !volume_get(im->d->store, im->volume, &v, NULL)) {
		r = fence_volume(im->d, im->volume, err);
		if (!r)
			r = draft_of_view(im->d->store, im->volume, "", &d, err);
	} else {
		r = draft_new(im->d->store, im->volume, &im->opts, true, &d, err);
	}
	if (r == -EBUSY)
		volumes_name_writers(im->d, im->volume, "stop it first", err);
	if (!r) {
		r = import_into(im, &d, ret, err);
		if (r)
			draft_drop(im->d->store, &d);
	}
	(void)close(im->from);
	return r;
}

static int upload_write(void *arg, const void *data, size_t len)
{
	struct import *im = arg;

	/* the job has ended: the answer waits for the rest of the body */
	if (!im->refused && write_all(im->to, data, len))
		im->refused = true;
	return im->refused;
}

static int upload_end(void *arg, bool complete, struct api_answer *ret, struct err *err)
{
	struct import *im = arg;
	json_t *result = NULL, *messages = NULL;
	int r;

	atomic_store(&im->complete, complete);
	(void)close(im->to);
	r = jobs_wait(im->api->jobs, im->id, &result, err);
	if (!r && jobs_messages(im->api->jobs, im->id, &messages))
		r = err_set(err, ENOMEM, "the volume is there, but memory ran out");
	if (!r && json_object_set_new(result, "messages", messages))
		r = err_set(err, ENOMEM, "the volume is there, but memory ran out");
	free(im);
	if (!r)
		return api_answer(ret, result, 200, err);
	json_decref(result);
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
	int fds[2] = {-1, -1}, bad = im && job_arg ? 0 : err_set(err, ENOMEM, "out of memory");

	if (!bad)
		bad = parse_import(r, im, err);
	if (!bad)
		bad = make_pipe(fds, err);
	if (bad) {
		free(im);
		free(job_arg);
		return bad;
	}
	im->d = api->d;
	im->api = api;
	im->from = fds[0];
	im->to = fds[1];
	*job_arg = im;
	bad = jobs_start_for(api->jobs, "import", im->volume, 0, import_run, job_arg, &im->id, err);
	if (bad) {
		(void)close(fds[0]);
		(void)close(fds[1]);
		free(im);
		return bad;
	}
	*ret = (struct api_upload){.write = upload_write, .end = upload_end, .arg = im};
	return 0;
}
