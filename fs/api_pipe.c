#include "fs/api_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/base/limits.h"

#define PIPE_SIZE (1 << 20)

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

/* --- out --- */

struct outflow {
	struct jobs *jobs;
	uint64_t job;
	int from;
};

int outflow_new(struct api *api, struct outflow **ret, int *ret_to, struct err *err)
{
	struct outflow *f = malloc(sizeof *f);
	int fds[2], bad = f ? make_pipe(fds, err) : err_set(err, ENOMEM, "out of memory");

	if (bad) {
		free(f);
		return bad;
	}
	*f = (struct outflow){.jobs = api->jobs, .from = fds[0]};
	*ret = f;
	*ret_to = fds[1];
	return 0;
}

void outflow_free(struct outflow *f)
{
	(void)close(f->from);
	free(f);
}

static ssize_t body_read(void *arg, char *buf, size_t max)
{
	struct outflow *f = arg;
	struct err err = {0};
	ssize_t n = read_some(f->from, buf, max);

	/* the job has closed its end: well or not? */
	return n ? n : jobs_wait(f->jobs, f->job, NULL, &err);
}

static void body_free(void *arg)
{
	outflow_free(arg);
}

void outflow_answer(struct outflow *f, uint64_t job, struct api_answer *ret)
{
	f->job = job;
	ret->body = (struct http_body){.read = body_read, .free = body_free, .arg = f, .job = job};
}

int outflow_put(int to, const void *data, size_t len)
{
	return write_all(to, data, len) ? -ECANCELED : 0;
}

/* --- in --- */

int inflow_open(struct inflow *f, struct api *api, struct err *err)
{
	int fds[2], bad = make_pipe(fds, err);

	if (bad)
		return bad;
	*f = (struct inflow){.api = api, .from = fds[0], .to = fds[1]};
	return 0;
}

void inflow_close(struct inflow *f)
{
	(void)close(f->from);
	(void)close(f->to);
}

int inflow_read(struct inflow *f, const struct job *job, void *buf, size_t len, size_t *ret_len)
{
	ssize_t n;

	if (job_cancelled(job))
		return -ECANCELED;
	n = read_some(f->from, buf, len);
	if (n < 0)
		return (int)n;
	if (!n && !atomic_load(&f->complete))
		return -ECONNRESET;
	*ret_len = (size_t)n;
	return 0;
}

void inflow_done(struct inflow *f)
{
	(void)close(f->from);
}

int inflow_write(struct inflow *f, const void *data, size_t len)
{
	if (!f->refused && write_all(f->to, data, len))
		f->refused = true;
	return f->refused;
}

int inflow_end(struct inflow *f, bool complete, struct api_answer *ret, struct err *err)
{
	json_t *result = NULL, *messages = NULL;
	int r;

	atomic_store(&f->complete, complete);
	(void)close(f->to);
	r = jobs_wait(f->api->jobs, f->id, &result, err);
	if (!r && (jobs_messages(f->api->jobs, f->id, &messages) ||
		   json_object_set_new(result, "messages", messages)))
		r = err_set(err, ENOMEM, "the volume is there, but memory ran out");
	if (!r)
		return api_answer(ret, result, 200, err);
	json_decref(result);
	return r;
}
