/* Long work that a request starts and others ask after. Any thread. */
#ifndef VARVE_FS_JOBS_H
#define VARVE_FS_JOBS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/base/err.h"

struct jobs;
struct job;

/* Does the work in the job's own thread; *ret is its result. Asks job_cancelled often, and ends with -ECANCELED then.
 */
typedef int (*job_fn)(void *arg, struct job *job, json_t **ret, struct err *err);

int jobs_new(struct jobs **ret);
/* Cancels those that run and waits for their ends. */
void jobs_free(struct jobs *jobs);
/* Starts one; `arg` is freed with free() when it has ended, or when it could not be started. -EBUSY when one of this
 * kind runs already. */
int jobs_start(struct jobs *jobs, const char *kind, job_fn fn, void *arg, uint64_t *ret_id, struct err *err);
/* The same of something (a volume's name): -EBUSY when one of this kind runs for that already, unless JOB_MANY. */
enum { JOB_MANY = 1 };
#define JOB_SUBJECT_MAX 280
int jobs_start_for(struct jobs *jobs, const char *kind, const char *subject, unsigned flags, job_fn fn, void *arg,
		   uint64_t *ret_id, struct err *err);
/* Waits for its end. 0 with a new reference to its result (ret may be NULL), or its error. */
int jobs_wait(struct jobs *jobs, uint64_t id, json_t **ret, struct err *err);
/* A new reference to a copy of what it said. */
int jobs_messages(struct jobs *jobs, uint64_t id, json_t **ret);
/* All that are known, oldest first, as jobs_get has them: an array. */
int jobs_list(struct jobs *jobs, json_t **ret, struct err *err);
/* As JSON, see API.md; a new reference. -ENOENT. */
int jobs_get(struct jobs *jobs, uint64_t id, json_t **ret, struct err *err);

/* Asks a job to end before its time; one that has ended stays as it is. -ENOENT. */
int jobs_cancel(struct jobs *jobs, uint64_t id, struct err *err);

/* For the job itself. */
void job_message(struct job *job, const char *line);
void job_progress(struct job *job, double part); /* 0 to 1 */
void job_bytes(struct job *job, uint64_t bytes); /* done so far, where work is counted so */
bool job_cancelled(const struct job *job);

#endif
