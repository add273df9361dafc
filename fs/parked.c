/* A semaphore, since with several waiters pthread_cond_signal may wake none (glibc before 2.41, bug 25847), and a job that
 * nobody takes is a program that waits for ever. */
#include "fs/parked.h"

#include <assert.h>
#include <errno.h>
#include <semaphore.h>
#include <stdbool.h>

#include "fs/session.h"
#include "store/base/cleanup.h"

struct parked {
	sem_t wanted; /* one for each job in the queue, and at the end one for each thread */
	pthread_mutex_t lock; /* covers head, tail, stopping */
	struct parked_job *head, *tail;
	bool stopping;
	unsigned running;
	pthread_t threads[PARKED_THREADS_MAX];
	void *scratch[PARKED_THREADS_MAX];
};

struct parked_thread {
	struct parked *p;
	void *scratch;
};

static struct parked_job *next_job(struct parked *p)
{
	struct parked_job *job;

	while (sem_wait(&p->wanted))
		; /* a signal */
	LOCK_SCOPE(&p->lock);
	job = p->head;
	if (job) {
		p->head = job->next;
		if (!p->head)
			p->tail = NULL;
	}
	return job;
}

static void *thread_main(void *arg)
{
	struct parked_thread *t = arg;
	struct parked *p = t->p;
	void *scratch = t->scratch;
	struct parked_job *job;

	free(t);
	(void)pthread_setname_np(pthread_self(), "parked");
	while ((job = next_job(p)))
		job->run(job, scratch);
	return NULL;
}

static int start_thread(struct parked *p)
{
	struct parked_thread *t = malloc(sizeof *t);
	void *scratch = aligned_alloc(4096, SESSION_IO_MAX);
	int ret;

	if (!t || !scratch) {
		free(t);
		free(scratch);
		return -ENOMEM;
	}
	*t = (struct parked_thread){p, scratch};
	ret = pthread_create(&p->threads[p->running], NULL, thread_main, t);
	if (ret) {
		free(t);
		free(scratch);
		return -ret;
	}
	p->scratch[p->running++] = scratch;
	return 0;
}

int parked_new(unsigned threads, struct parked **ret)
{
	struct parked *p = calloc(1, sizeof *p);
	int r;

	assert(threads <= PARKED_THREADS_MAX);
	if (!p)
		return -ENOMEM;
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)sem_init(&p->wanted, 0, 0);
	while (p->running < threads) {
		r = start_thread(p);
		if (r) {
			parked_free(p);
			return r;
		}
	}
	*ret = p;
	return 0;
}

void parked_stop(struct parked *p)
{
	unsigned i;

	(void)pthread_mutex_lock(&p->lock);
	p->stopping = true;
	(void)pthread_mutex_unlock(&p->lock);
	for (i = 0; i < p->running; i++)
		(void)sem_post(&p->wanted);
	for (i = 0; i < p->running; i++) {
		(void)pthread_join(p->threads[i], NULL);
		free(p->scratch[i]);
	}
	p->running = 0;
}

void parked_free(struct parked *p)
{
	if (!p)
		return;
	parked_stop(p);
	(void)sem_destroy(&p->wanted);
	(void)pthread_mutex_destroy(&p->lock);
	free(p);
}

int parked_add(struct parked *p, struct parked_job *job)
{
	LOCK_SCOPE(&p->lock);
	if (p->stopping)
		return -ESHUTDOWN;
	job->next = NULL;
	if (p->tail)
		p->tail->next = job;
	else
		p->head = job;
	p->tail = job;
	(void)sem_post(&p->wanted);
	return 0;
}
