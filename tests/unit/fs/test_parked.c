/* Parked jobs: each is carried out, whoever adds it and whenever, and those in the queue when it ends, too. */
#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>

#include "fs/parked.h"

#define ADDERS 3
#define ROUNDS 2000
#define BURST_MAX 12
#define HANGS_AFTER_S 60 /* a job that is never carried out */

struct one {
	struct parked_job job; /* first */
	sem_t done;
};

static void done(struct parked_job *job, void *scratch)
{
	struct one *one = (struct one *)job;

	*(char *)scratch = 1;
	(void)sem_post(&one->done);
}

/* More and fewer at once than there are threads. */
static void *add_and_wait(void *arg)
{
	struct one jobs[BURST_MAX];
	unsigned round, i, n;

	for (i = 0; i < BURST_MAX; i++) {
		jobs[i].job.run = done;
		(void)sem_init(&jobs[i].done, 0, 0);
	}
	for (round = 0; round < ROUNDS; round++) {
		n = 1 + round % BURST_MAX;
		for (i = 0; i < n; i++)
			if (parked_add(arg, &jobs[i].job))
				return arg;
		for (i = 0; i < n; i++)
			while (sem_wait(&jobs[i].done))
				;
	}
	return NULL;
}

static void test_each_is_done(void **state)
{
	pthread_t threads[ADDERS];
	struct parked *p;
	void *failed;
	unsigned i;

	(void)state;
	assert_int_equal(parked_new(PARKED_THREADS_MAX, &p), 0);
	for (i = 0; i < ADDERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_and_wait, p), 0);
	for (i = 0; i < ADDERS; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	parked_free(p);
}

struct slow {
	struct parked_job job; /* first */
	sem_t *gate;
	unsigned *count;
};

static void count_behind_gate(struct parked_job *job, void *scratch)
{
	struct slow *slow = (struct slow *)job;

	(void)scratch;
	(void)sem_wait(slow->gate);
	(*slow->count)++;
}

static void *open_gate(void *arg)
{
	unsigned i;

	(void)usleep(20000);
	for (i = 0; i < BURST_MAX; i++)
		(void)sem_post(arg);
	return NULL;
}

static void test_end(void **state)
{
	struct slow jobs[BURST_MAX];
	unsigned i, count = 0;
	pthread_t opener;
	struct parked *p;
	sem_t gate;

	(void)state;
	(void)sem_init(&gate, 0, 0);
	assert_int_equal(parked_new(1, &p), 0);
	for (i = 0; i < BURST_MAX; i++) {
		jobs[i] = (struct slow){{.run = count_behind_gate}, &gate, &count};
		assert_int_equal(parked_add(p, &jobs[i].job), 0);
	}
	assert_int_equal(pthread_create(&opener, NULL, open_gate, &gate), 0);
	parked_stop(p);
	assert_int_equal(count, BURST_MAX);
	assert_int_equal(parked_add(p, &jobs[0].job), -ESHUTDOWN);
	assert_int_equal(pthread_join(opener, NULL), 0);
	parked_free(p);
	parked_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_is_done),
		cmocka_unit_test(test_end),
	};

	(void)alarm(HANGS_AFTER_S);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
