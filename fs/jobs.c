#include "fs/jobs.h"

#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "fs/api_internal.h"
#include "store/base/cleanup.h"
#include "store/base/log.h"

#define MAPPED_FROM (1 << 20) /* bytes, of an allocation */
#define JOBS_KEPT 32 /* the last ones that ended can still be asked after */
#define MESSAGES_MAX 1000 /* a damaged store could say millions */

enum job_state { JOB_NONE, JOB_RUNNING, JOB_DONE, JOB_FAILED };

struct job {
	struct jobs *jobs;
	uint64_t id;
	const char *kind;
	char subject[JOB_SUBJECT_MAX];
	enum job_state state;
	_Atomic bool cancelled;
	double progress;
	uint64_t bytes;
	json_t *messages;
	json_t *result;
	struct err err;
	job_fn fn;
	void *arg;
	pthread_t thread;
	bool joinable;
};

struct jobs {
	pthread_cond_t ended; /* one has */
	pthread_mutex_t lock; /* covers all jobs but fn, arg and what only their thread uses */
	uint64_t last_id;
	struct job slots[JOBS_KEPT];
};

int jobs_new(struct jobs **ret)
{
	struct jobs *jobs = calloc(1, sizeof *jobs);

	if (!jobs)
		return -ENOMEM;
#ifdef __GLIBC__
	/* what is larger is mapped by itself, and gone when it is freed; the limit would rise with the first pack of a push */
	(void)mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
#endif
	(void)pthread_mutex_init(&jobs->lock, NULL);
	(void)pthread_cond_init(&jobs->ended, NULL);
	*ret = jobs;
	return 0;
}

static void clear(struct job *job)
{
	if (job->joinable)
		(void)pthread_join(job->thread, NULL);
	json_decref(job->messages);
	json_decref(job->result);
	memset(job, 0, sizeof *job);
}

void jobs_free(struct jobs *jobs)
{
	unsigned i;

	if (!jobs)
		return;
	for (i = 0; i < JOBS_KEPT; i++)
		atomic_store(&jobs->slots[i].cancelled, true);
	for (i = 0; i < JOBS_KEPT; i++)
		clear(&jobs->slots[i]);
	(void)pthread_cond_destroy(&jobs->ended);
	(void)pthread_mutex_destroy(&jobs->lock);
	free(jobs);
}

/* What a large job has freed lies in the arenas of threads that have ended: the allocator would keep it. */
static void give_memory_back(void)
{
#ifdef __GLIBC__
	(void)malloc_trim(0);
#endif
}

static void *job_main(void *arg)
{
	struct job *job = arg;
	struct err err = {0};
	json_t *result = NULL;
	int ret = job->fn(job->arg, job, &result, &err);

	free(job->arg);
	give_memory_back();
	if (ret < 0 && ret != -ECANCELED)
		log_error("%s: %s", job->kind, err.text);
	LOCK_SCOPE(&job->jobs->lock);
	job->err = err;
	job->result = result;
	job->progress = ret < 0 ? job->progress : 1;
	job->state = ret < 0 ? JOB_FAILED : JOB_DONE;
	(void)pthread_cond_broadcast(&job->jobs->ended);
	return NULL;
}

/* The slot of the oldest job that has ended, or a free one; -EBUSY when one of the kind runs. */
static int choose(struct jobs *jobs, const char *kind, const char *subject, unsigned flags, struct job **ret)
{
	struct job *best = NULL;
	unsigned i;

	for (i = 0; i < JOBS_KEPT; i++) {
		struct job *job = &jobs->slots[i];

		if (job->state == JOB_RUNNING) {
			if (!(flags & JOB_MANY) && !strcmp(job->kind, kind) && !strcmp(job->subject, subject))
				return -EBUSY;
		} else if (!best || job->id < best->id) {
			best = job;
		}
	}
	if (!best)
		return -EBUSY;
	*ret = best;
	return 0;
}

int jobs_start(struct jobs *jobs, const char *kind, job_fn fn, void *arg, uint64_t *ret_id, struct err *err)
{
	return jobs_start_for(jobs, kind, "", 0, fn, arg, ret_id, err);
}

int jobs_start_for(struct jobs *jobs, const char *kind, const char *subject, unsigned flags, job_fn fn, void *arg,
		   uint64_t *ret_id, struct err *err)
{
	struct job *job;
	int ret;

	LOCK_SCOPE(&jobs->lock);
	ret = choose(jobs, kind, subject, flags, &job);
	if (ret) {
		free(arg);
		if (flags & JOB_MANY)
			return err_set(err, EBUSY, "%d jobs are running already", JOBS_KEPT);
		return err_set(err, EBUSY, "a job '%s%s%s' is running already", kind, *subject ? " " : "", subject);
	}
	clear(job);
	job->jobs = jobs;
	job->id = ++jobs->last_id;
	job->kind = kind;
	(void)snprintf(job->subject, sizeof job->subject, "%s", subject);
	job->state = JOB_RUNNING;
	job->fn = fn;
	job->arg = arg;
	job->messages = json_array();
	/* the caller's: nobody asks for it before it is known */
	*ret_id = job->id;
	ret = job->messages ? pthread_create(&job->thread, NULL, job_main, job) : ENOMEM;
	if (ret) {
		free(arg);
		clear(job);
		return err_set(err, ret, "the %s cannot be started: %s", kind, err_name(ret));
	}
	job->joinable = true;
	return 0;
}

void job_message(struct job *job, const char *line)
{
	LOCK_SCOPE(&job->jobs->lock);
	if (json_array_size(job->messages) < MESSAGES_MAX)
		(void)json_array_append_new(job->messages, json_string(line));
}

void job_progress(struct job *job, double part)
{
	LOCK_SCOPE(&job->jobs->lock);
	job->progress = part;
}

void job_bytes(struct job *job, uint64_t bytes)
{
	LOCK_SCOPE(&job->jobs->lock);
	job->bytes = bytes;
}

bool job_cancelled(const struct job *job)
{
	return atomic_load(&job->cancelled);
}

/* NULL when it is not known (any more). */
static struct job *find(struct jobs *jobs, uint64_t id)
{
	unsigned i;

	for (i = 0; i < JOBS_KEPT; i++)
		if (jobs->slots[i].state != JOB_NONE && jobs->slots[i].id == id)
			return &jobs->slots[i];
	return NULL;
}

static int refuse_unknown(uint64_t id, struct err *err)
{
	return err_set(err, ENOENT, "there is no job %" PRIu64, id);
}

int jobs_cancel(struct jobs *jobs, uint64_t id, struct err *err)
{
	struct job *job;

	LOCK_SCOPE(&jobs->lock);
	job = find(jobs, id);
	if (!job)
		return refuse_unknown(id, err);
	atomic_store(&job->cancelled, true);
	return 0;
}

int jobs_wait(struct jobs *jobs, uint64_t id, json_t **ret, struct err *err)
{
	struct job *job;

	LOCK_SCOPE(&jobs->lock);
	while ((job = find(jobs, id)) && job->state == JOB_RUNNING)
		(void)pthread_cond_wait(&jobs->ended, &jobs->lock);
	if (!job)
		return refuse_unknown(id, err);
	if (job->state == JOB_FAILED) {
		*err = job->err;
		return -err->code;
	}
	if (ret)
		*ret = json_incref(job->result);
	return 0;
}

int jobs_messages(struct jobs *jobs, uint64_t id, json_t **ret)
{
	struct job *job;
	json_t *copy;

	LOCK_SCOPE(&jobs->lock);
	job = find(jobs, id);
	copy = job ? json_copy(job->messages) : json_array();
	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}

/* A copy of the messages: the job goes on adding to them. Lock held. */
static json_t *job_json(const struct job *job)
{
	static const char *const states[] = {"", "running", "done", "failed"};
	json_t *o = json_pack("{s:I,s:s,s:s,s:s,s:f,s:o}", "id", (json_int_t)job->id, "kind", job->kind, "subject",
			      job->subject, "state", states[job->state], "progress", job->progress, "messages",
			      json_copy(job->messages));

	if (o && job->result)
		(void)json_object_set(o, "result", job->result);
	if (o && job->state == JOB_FAILED)
		(void)json_object_set_new(o, "error", api_json_error(&job->err));
	return o;
}

int jobs_get(struct jobs *jobs, uint64_t id, json_t **ret, struct err *err)
{
	struct job *job;
	json_t *o;

	LOCK_SCOPE(&jobs->lock);
	job = find(jobs, id);
	if (!job)
		return refuse_unknown(id, err);
	o = job_json(job);
	if (!o)
		return err_set(err, ENOMEM, "out of memory");
	*ret = o;
	return 0;
}

int jobs_list(struct jobs *jobs, json_t **ret, struct err *err)
{
	json_t *list = json_array();
	uint64_t after = 0;
	struct job *next;
	unsigned i;
	int bad = 0;

	LOCK_SCOPE(&jobs->lock);
	do {
		next = NULL;
		for (i = 0; i < JOBS_KEPT; i++)
			if (jobs->slots[i].state != JOB_NONE && jobs->slots[i].id > after &&
			    (!next || jobs->slots[i].id < next->id))
				next = &jobs->slots[i];
		if (next) {
			bad |= json_array_append_new(list, job_json(next));
			after = next->id;
		}
	} while (next);
	if (bad) {
		json_decref(list);
		return err_set(err, ENOMEM, "out of memory");
	}
	*ret = list;
	return 0;
}
