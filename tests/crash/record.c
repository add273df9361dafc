#include "tests/crash/record.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "tests/model/alloc.h"

struct record_log {
	pthread_mutex_t lock;
	struct tree tree;
	struct io_watch *watch;
	bool cut;
	size_t n, cap;
	struct disk_event *v;
};

static int on_change(void *arg, const struct disk_event *ev)
{
	struct record_log *l = arg;
	void *data = NULL;

	LOCK_SCOPE(&l->lock);
	if (l->cut)
		return -EIO;
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 4096;
		l->v = must_realloc(l->v, l->cap * sizeof *l->v);
	}
	if (ev->op == IO_WRITE) {
		data = must_alloc(ev->len);
		memcpy(data, ev->data, ev->len);
	}
	tree_follow(&l->tree, ev);
	l->v[l->n] = *ev;
	l->v[l->n++].data = data;
	return 0;
}

struct record_log *record_start(const char *dir)
{
	struct record_log *l = must_zalloc(sizeof *l);

	(void)pthread_mutex_init(&l->lock, NULL);
	tree_scan(&l->tree, dir);
	l->watch = io_watch_new(&l->tree, on_change, l);
	return l;
}

void record_cut(struct record_log *l)
{
	LOCK_SCOPE(&l->lock);

	l->cut = true;
}

void record_stop(struct record_log *l)
{
	io_watch_free(l->watch);
	l->watch = NULL;
}

void record_free(struct record_log *l)
{
	for (size_t i = 0; i < l->n; i++)
		free((void *)l->v[i].data);
	free(l->v);
	tree_free(&l->tree);
	(void)pthread_mutex_destroy(&l->lock);
	free(l);
}

size_t record_count(struct record_log *l)
{
	LOCK_SCOPE(&l->lock);

	return l->n;
}

const struct disk_event *record_event(const struct record_log *l, size_t i)
{
	return &l->v[i];
}
