#include "tools/cmd_repo_work.h"

#include <pthread.h>
#include <time.h>

#include "tools/progress.h"

#define POLL_MS 100

struct work {
	int (*fn)(void *arg, struct err *err);
	void *arg;
	struct err *err;
	int rc;
	_Atomic bool ended;
};

static void *run(void *arg)
{
	struct work *w = arg;

	w->rc = w->fn(w->arg, w->err);
	atomic_store(&w->ended, true);
	return NULL;
}

int repo_work(struct cli *cli, const char *label, struct repo_progress *p, int (*fn)(void *arg, struct err *err),
	      void *arg, struct err *err)
{
	struct work w = {.fn = fn, .arg = arg, .err = err};
	struct progress bar;
	pthread_t thread;

	progress_begin(&bar, cli, label);
	if (bar.shown == -2 || pthread_create(&thread, NULL, run, &w))
		return fn(arg, err); /* there is nothing to show */
	while (!atomic_load(&w.ended)) {
		uint64_t total = atomic_load(&p->bytes_total), done = atomic_load(&p->bytes_done);

		progress_moved(&bar, total ? (double)done / (double)total : -1, (int64_t)done);
		(void)nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
	}
	(void)pthread_join(thread, NULL);
	progress_clear(&bar);
	return w.rc;
}
