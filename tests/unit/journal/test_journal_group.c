/* Many threads: group commit, and rotation under a flush. */
#include "tests/unit/journal/journal_fixture.h"

#include <errno.h>
#include <pthread.h>

/* Holds the first flush at its fdatasync until it is let go. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool reached;
	bool open;
};

static int gate_hook(void *arg, enum io_class cls, enum io_op op, const char *path, int fd, const void *data,
		     size_t *len, off_t off)
{
	struct gate *g = arg;

	(void)path;
	(void)fd;
	(void)data;
	(void)len;
	(void)off;
	if (cls != IO_JOURNAL || op != IO_SYNC)
		return 0;
	(void)pthread_mutex_lock(&g->lock);
	g->reached = true;
	(void)pthread_cond_broadcast(&g->moved);
	while (!g->open)
		(void)pthread_cond_wait(&g->moved, &g->lock);
	(void)pthread_mutex_unlock(&g->lock);
	return 0;
}

struct waiter {
	pthread_t thread;
	struct journal *j;
	uint64_t position;
	int ret;
};

static void *wait_for_position(void *arg)
{
	struct waiter *w = arg;

	w->ret = journal_sync(w->j, w->position);
	return NULL;
}

static void waiter_start(struct waiter *w, struct journal *j)
{
	w->j = j;
	w->position = journal_position(j);
	assert_int_equal(pthread_create(&w->thread, NULL, wait_for_position, w), 0);
}

static void gate_wait(struct gate *g)
{
	(void)pthread_mutex_lock(&g->lock);
	while (!g->reached)
		(void)pthread_cond_wait(&g->moved, &g->lock);
	(void)pthread_mutex_unlock(&g->lock);
}

static void gate_open(struct gate *g)
{
	(void)pthread_mutex_lock(&g->lock);
	g->open = true;
	(void)pthread_cond_broadcast(&g->moved);
	(void)pthread_mutex_unlock(&g->lock);
}

/* While one flush is under way, whatever arrives is served by one more. */
static void test_group_commit(void **state)
{
	struct gate g = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false};
	struct stats stats = {0};
	struct waiter w[4] = {0};
	struct scratch s;
	struct delivered d = {0, 0};
	struct journal *j;

	(void)state;
	scratch_make(&s);
	j = open_journal(&s, &stats);
	assert_int_equal(journal_replay(j, 0, deliver, &d, NULL), 0);
	assert_int_equal(append(j, 1, 10, 10), 0);
	assert_int_equal(sync_all(j), 0);
	assert_int_equal(stats_get(&stats.journal_flushes), 2);
	io_set_hook(gate_hook, &g);
	assert_int_equal(append(j, 2, 10, 10), 0);
	waiter_start(&w[0], j);
	gate_wait(&g);
	for (int i = 1; i < 4; i++) {
		assert_int_equal(append(j, 2 + (uint64_t)i, 10, 10), 0);
		waiter_start(&w[i], j);
	}
	gate_open(&g);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(w[i].thread, NULL), 0);
		assert_int_equal(w[i].ret, 0);
	}
	io_set_hook(NULL, NULL);
	assert_int_equal(stats_get(&stats.journal_flushes), 4);
	journal_free(j);
	assert_delivered(contents(&s), 1, 5);
	scratch_remove(&s);
}

/* No flush takes part of a group, however long it stays open. */
static void test_group_in_one_batch(void **state)
{
	struct stats stats = {0};
	struct waiter w = {0};
	struct scratch s;
	struct delivered d = {0, 0};
	struct journal *j;

	(void)state;
	scratch_make(&s);
	j = open_journal(&s, &stats);
	assert_int_equal(journal_replay(j, 0, deliver, &d, NULL), 0);
	assert_int_equal(append(j, 1, 10, 10), 0);
	journal_group_begin(j);
	assert_int_equal(append(j, 2, 10, 10), 0);
	waiter_start(&w, j);
	(void)usleep(20000); /* in which it would flush if it could */
	assert_int_equal(append(j, 3, 10, 10), 0);
	journal_group_end(j, true);
	assert_int_equal(pthread_join(w.thread, NULL), 0);
	assert_int_equal(w.ret, 0);
	assert_int_equal(stats_get(&stats.journal_flushes), 2); /* a header and one batch */
	journal_check(j);
	journal_free(j);
	assert_delivered(contents(&s), 1, 3);
	scratch_remove(&s);
}

static void test_group_taken_back(void **state)
{
	struct scratch s;
	struct delivered d;
	struct journal *j;
	uint64_t position;

	(void)state;
	scratch_make(&s);
	j = replayed(&s, &d);
	for (int times = 0; times < 2; times++) { /* behind nothing, and behind a record */
		position = journal_position(j);
		journal_group_begin(j);
		assert_int_equal(append(j, 8, 10, 10), 0);
		assert_int_equal(append(j, 9, 10, 5000), 0);
		journal_group_end(j, false);
		assert_int_equal(journal_position(j), position);
		journal_check(j);
		assert_int_equal(append(j, 1 + (uint64_t)times, 10, 10), 0);
	}
	assert_int_equal(sync_all(j), 0);
	journal_check(j);
	journal_free(j);
	assert_delivered(contents(&s), 1, 2);
	scratch_remove(&s);
}

/* Rotation, retirement and a second rotation while a flush of the old segment is still under way. */
static void test_rotate_under_flush(void **state)
{
	struct gate g = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false};
	struct waiter w = {0};
	struct scratch s;
	struct delivered d;
	struct journal *j;

	(void)state;
	scratch_make(&s);
	j = replayed(&s, &d);
	assert_int_equal(append(j, 1, 10, 10), 0);
	assert_int_equal(sync_all(j), 0);
	assert_int_equal(append(j, 2, 10, 10), 0);
	io_set_hook(gate_hook, &g);
	waiter_start(&w, j);
	gate_wait(&g);
	assert_int_equal(journal_rotate(j), 0);
	assert_int_equal(append(j, 3, 10, 10), 0);
	commit_through(&s, j, 2);
	assert_int_equal(journal_rotate(j), 0);
	assert_int_equal(append(j, 4, 10, 10), 0);
	journal_check(j);
	gate_open(&g);
	assert_int_equal(pthread_join(w.thread, NULL), 0);
	assert_int_equal(w.ret, 0);
	io_set_hook(NULL, NULL);
	assert_int_equal(sync_all(j), 0);
	journal_check(j);
	journal_free(j);
	assert_delivered(contents(&s), 3, 4);
	scratch_remove(&s);
}

struct crowd {
	struct journal *j;
	pthread_mutex_t lock; /* the caller's, which serialises appends and rotation */
	uint64_t next;
	uint64_t cut; /* the last record before the rotation */
	int commits;
};

static void *crowd_member(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < 300; i++) {
		uint64_t position;
		int ret;

		(void)pthread_mutex_lock(&c->lock);
		while ((ret = append(c->j, c->next, 40, (size_t)i * 13 % 6000)) == -ENOSPC) {
			if (journal_can_rotate(c->j)) {
				c->cut = c->next - 1;
				assert_int_equal(journal_rotate(c->j), 0);
			} else {
				journal_retire(c->j, c->cut);
			}
			c->commits++;
		}
		assert_int_equal(ret, 0);
		c->next++;
		position = journal_position(c->j);
		(void)pthread_mutex_unlock(&c->lock);
		assert_int_equal(journal_sync(c->j, position), 0);
		journal_check(c->j);
	}
	return NULL;
}

static void test_crowd(void **state)
{
	struct crowd c = {NULL, PTHREAD_MUTEX_INITIALIZER, 1, 0, 0};
	pthread_t threads[4];
	struct scratch s;
	struct delivered d;

	(void)state;
	scratch_make(&s);
	c.j = replayed(&s, &d);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, crowd_member, &c), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(c.commits > 10);
	journal_free(c.j);
	s.settled = c.cut;
	d = contents(&s);
	assert_int_equal(d.last, 1200);
	scratch_remove(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_group_commit),
		cmocka_unit_test(test_group_in_one_batch),
		cmocka_unit_test(test_group_taken_back),
		cmocka_unit_test(test_rotate_under_flush),
		cmocka_unit_test(test_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
