/* Snapshots as streams: bodies that jobs make and take. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/api_pipe.h"
#include "fs/invalidate.h"
#include "store/repo/receive.h"
#include "store/repo/send.h"

static void show(struct job *job, const struct repo_progress *p)
{
	uint64_t total = atomic_load(&p->bytes_total), done = atomic_load(&p->bytes_done);

	job_progress(job, total ? (done < total ? (double)done / (double)total : 1) : 0);
	job_bytes(job, atomic_load(&p->sent));
}

/* --- send --- */

struct sending {
	struct send *send;
	int to;
	struct job *job;
	struct repo_progress progress;
	char volume[VOLUME_NAME_MAX + 1], snapshot[VOLUME_NAME_MAX + 1];
};

static int send_put(void *arg, const void *data, size_t len)
{
	struct sending *x = arg;

	show(x->job, &x->progress);
	if (job_cancelled(x->job))
		return -ECANCELED;
	return outflow_put(x->to, data, len);
}

static int send_job(void *arg, struct job *job, json_t **ret, struct err *err)
{
	struct sending *x = arg;
	uint64_t begun = daemon_mono_us();
	struct send_result result = {0};
	int r;

	x->job = job;
	r = send_run(x->send, send_put, x, &x->progress, &result, err);
	send_free(x->send);
	if (r == -ECANCELED)
		(void)err_set(err, ECANCELED, "cancelled, or whoever asked for the stream went away");
	if (!r) {
		*ret = json_pack("{s:s,s:s,s:b,s:I,s:I,s:I,s:I,s:I}", "volume", x->volume, "snapshot", x->snapshot,
				 "incremental", result.incremental, "rows", (json_int_t)result.rows, "chunks",
				 (json_int_t)result.chunks, "content_bytes", (json_int_t)result.content, "bytes",
				 (json_int_t)result.bytes, "us", (json_int_t)(daemon_mono_us() - begun));
		if (!*ret)
			r = err_set(err, ENOMEM, "out of memory");
	}
	(void)close(x->to);
	return r;
}

int api_send(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	const char *from = http_query(r->http, "from");
	struct sending *x = calloc(1, sizeof *x);
	struct outflow *flow = NULL;
	struct send *send = NULL;
	char subject[JOB_SUBJECT_MAX];
	uint64_t job;
	int to = -1, bad = x ? 0 : err_set(err, ENOMEM, "out of memory");

	if (!bad)
		bad = send_open(api->d->store, r->args[0], r->args[1], from ? from : "", &send, err);
	if (!bad)
		bad = outflow_new(api, &flow, &to, err);
	if (bad) {
		send_free(send);
		free(x);
		return bad;
	}
	x->send = send;
	x->to = to;
	(void)snprintf(x->volume, sizeof x->volume, "%s", r->args[0]);
	(void)snprintf(x->snapshot, sizeof x->snapshot, "%s", r->args[1]);
	(void)snprintf(subject, sizeof subject, "%.128s@%.128s", r->args[0], r->args[1]);
	/* x is the job's from here on, and gone when it did not start */
	bad = jobs_start_for(api->jobs, "send", subject, JOB_MANY, send_job, x, &job, err);
	if (bad) {
		send_free(send);
		(void)close(to);
		outflow_free(flow);
		return bad;
	}
	outflow_answer(flow, job, ret);
	ret->content_type = "application/octet-stream";
	return 200;
}

/* --- receive --- */

struct receiving {
	struct daemon *d;
	bool given; /* a volume's name is */
	char volume[VOLUME_NAME_MAX + 1];
	struct job *job;
	struct repo_progress progress;
	struct inflow in; /* the connection's side also frees this, when the job has ended */
};

static int receive_get(void *arg, void *buf, size_t len, size_t *ret_len)
{
	struct receiving *x = arg;

	show(x->job, &x->progress);
	return inflow_read(&x->in, x->job, buf, len, ret_len);
}

static int receive_job(void *arg, struct job *job, json_t **ret, struct err *err)
{
	struct receiving *x = *(struct receiving **)arg;
	uint64_t begun = daemon_mono_us();
	struct receive_result result;
	struct volume_info info;
	int r;

	x->job = job;
	r = repo_receive(x->d->store, x->given ? x->volume : NULL, receive_get, x, &x->progress, &result, err);
	inflow_done(&x->in);
	if (r)
		return r;
	if (!volume_get(x->d->store, result.volume, &info, NULL)) {
		invalidate_name(x->d, NODE_ROOT, info.name);
		invalidate_snapshot(x->d, info.root_node, result.snapshot);
	}
	*ret = json_pack("{s:s,s:s,s:b,s:b,s:I,s:I,s:I,s:I,s:I}", "volume", result.volume, "snapshot", result.snapshot,
			 "incremental", result.incremental, "made", result.made, "rows", (json_int_t)result.rows,
			 "chunks", (json_int_t)result.chunks, "content_bytes", (json_int_t)result.content, "bytes",
			 (json_int_t)result.bytes, "us", (json_int_t)(daemon_mono_us() - begun));
	return *ret ? 0 : err_set(err, ENOMEM, "the snapshot is there, but memory ran out");
}

static int upload_write(void *arg, const void *data, size_t len)
{
	return inflow_write(&((struct receiving *)arg)->in, data, len);
}

static int upload_end(void *arg, bool complete, struct api_answer *ret, struct err *err)
{
	struct receiving *x = arg;
	int r = inflow_end(&x->in, complete, ret, err);

	free(x);
	return r;
}

int api_receive(struct api *api, const struct api_request *r, struct api_upload *ret, struct err *err)
{
	const char *volume = http_query(r->http, "volume"), *tag = http_query(r->http, "tag");
	struct receiving *x = calloc(1, sizeof *x);
	struct receiving **job_arg = malloc(sizeof *job_arg);
	char subject[JOB_SUBJECT_MAX];
	int bad = x && job_arg ? 0 : err_set(err, ENOMEM, "out of memory");

	if (!bad && volume)
		bad = volume_name_check("volume", volume, err);
	if (!bad)
		bad = inflow_open(&x->in, api, err);
	if (bad) {
		free(x);
		free(job_arg);
		return bad;
	}
	x->d = api->d;
	x->given = volume;
	(void)snprintf(x->volume, sizeof x->volume, "%s", volume ? volume : "");
	(void)snprintf(subject, sizeof subject, "%.128s", tag ? tag : x->volume);
	*job_arg = x;
	bad = jobs_start_for(api->jobs, "receive", subject, JOB_MANY, receive_job, job_arg, &x->in.id, err);
	if (bad) {
		inflow_close(&x->in);
		free(x);
		return bad;
	}
	*ret = (struct api_upload){.write = upload_write, .end = upload_end, .arg = x};
	return 0;
}
