/* Bodies that jobs make or take, as archives and streams. The work is a job, in a thread of its own; the connection's
 * thread moves bytes between the socket and a pipe, whose other end the job has. A side that goes away closes its end: the
 * job then ends, and takes what it had begun back. */
#ifndef VARVE_FS_API_PIPE_H
#define VARVE_FS_API_PIPE_H

#include <stdatomic.h>

#include "fs/api_internal.h"

/* --- a body that a job makes --- */

struct outflow;
/* *ret_to is the job's end, which it closes when it is done. Then either outflow_answer or outflow_free. */
int outflow_new(struct api *api, struct outflow **ret, int *ret_to, struct err *err);
void outflow_free(struct outflow *f);
/* The job runs: its body is the answer. */
void outflow_answer(struct outflow *f, uint64_t job, struct api_answer *ret);
/* For the job: all of it. -ECANCELED when nobody reads it any more; what is told then. */
int outflow_put(int to, const void *data, size_t len);

/* --- a body that a job takes --- */

struct inflow {
	struct api *api;
	int from, to;          /* the job's end, the connection's */
	_Atomic bool complete; /* all of the body came */
	uint64_t id;           /* of the job */
	bool refused;          /* the job has ended: the answer waits for the rest of the body */
};
int inflow_open(struct inflow *f, struct api *api, struct err *err);
/* When the job did not start. */
void inflow_close(struct inflow *f);
/* For the job: *ret_len 0 at the end; -ECONNRESET when the client went away, -ECANCELED. */
int inflow_read(struct inflow *f, const struct job *job, void *buf, size_t len, size_t *ret_len);
/* The job has read all it wants. */
void inflow_done(struct inflow *f);
/* For the connection, as api_upload's; the end waits for the job's, and answers its result, with its messages. */
int inflow_write(struct inflow *f, const void *data, size_t len);
int inflow_end(struct inflow *f, bool complete, struct api_answer *ret, struct err *err);

#endif
