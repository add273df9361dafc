/* Requests that have to wait for something: taken off the FUSE workers and carried out by a few threads of their own.
 */
#ifndef VARVE_FS_PARKED_H
#define VARVE_FS_PARKED_H

#include <stddef.h>

#define PARKED_THREADS_MAX 8

/* The first member of whatever a request needs; `run` owns it from then on. `scratch` is SESSION_IO_MAX bytes of the
 * thread. */
struct parked_job {
	struct parked_job *next;
	void (*run)(struct parked_job *job, void *scratch);
};

struct parked;

int parked_new(unsigned threads, struct parked **ret); /* at most PARKED_THREADS_MAX */
/* Carries out what is queued, which may need the workers, then ends the threads. Later jobs are refused. */
void parked_stop(struct parked *p);
void parked_free(struct parked *p);
/* First come, first served. Any thread. -ESHUTDOWN after parked_stop: the job stays the caller's. */
int parked_add(struct parked *p, struct parked_job *job);

#endif
