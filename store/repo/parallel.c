#include "store/repo/parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

/* So many of the threads are taken to wait for the disk or the network. */
#define WAITING 2

struct run {
	int (*fn)(void *arg, unsigned worker, size_t i, struct err *err);
	void *arg;
	size_t n;
	_Atomic size_t next;
	_Atomic unsigned workers;
	pthread_mutex_t lock; /* what follows */
	int ret;
	struct err err;
};

unsigned parallel_width(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	n = n < 1 ? 1 : n;
	return n + WAITING > PARALLEL_MAX ? PARALLEL_MAX : (unsigned)n + WAITING;
}

static void *work(void *arg)
{
	struct run *run = arg;
	unsigned worker = atomic_fetch_add(&run->workers, 1);
	size_t i;

	while ((i = atomic_fetch_add(&run->next, 1)) < run->n) {
		struct err err = {0};
		int ret = run->fn(run->arg, worker, i, &err);

		if (!ret)
			continue;
		(void)pthread_mutex_lock(&run->lock);
		if (!run->ret) {
			run->ret = ret;
			run->err = err;
		}
		(void)pthread_mutex_unlock(&run->lock);
		atomic_store(&run->next, run->n);
	}
	return NULL;
}

int parallel_run(unsigned width, size_t n, int (*fn)(void *arg, unsigned worker, size_t i, struct err *err), void *arg,
		 struct err *err)
{
	struct run run = {.fn = fn, .arg = arg, .n = n};
	pthread_t threads[PARALLEL_MAX];
	unsigned started = 0;

	(void)pthread_mutex_init(&run.lock, NULL);
	/* this thread is one of them; when no other can be had it does all */
	while (started + 1 < width && started + 1 < n && !pthread_create(&threads[started], NULL, work, &run))
		started++;
	(void)work(&run);
	for (unsigned i = 0; i < started; i++)
		(void)pthread_join(threads[i], NULL);
	(void)pthread_mutex_destroy(&run.lock);
	if (run.ret && err)
		*err = run.err.code ? run.err : (struct err){.code = 0};
	return run.ret && err && !err->code ? err_set(err, -run.ret, "%s", err_name(-run.ret)) : run.ret;
}
