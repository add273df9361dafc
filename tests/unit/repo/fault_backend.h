/* A back end that fails: it stands before the real one of an open repository, counts requests, and lets one of them, or
 * all from one on, go wrong. What it has seen outlives it. */
#ifndef VARVE_TESTS_FAULT_BACKEND_H
#define VARVE_TESTS_FAULT_BACKEND_H

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "store/repo/repo.h"

enum fault_kind {
	FAULT_REFUSED, /* that request is not carried out */
	FAULT_UNHEARD, /* it is, and its answer is lost */
	FAULT_DEAD,    /* nothing is carried out from then on */
	FAULT_KILLED,  /* the process is killed before it; a child of the test */
	FAULT_KINDS,
};
static const char *const fault_names[] = {"refused", "unheard", "dead from", "killed before"};

enum fault_op { FAULT_GET = 1, FAULT_PUT, FAULT_LIST, FAULT_REMOVE };

struct fault_plan {
	unsigned at; /* which request, from 1; 0: none */
	enum fault_kind kind;
	pthread_mutex_t lock; /* what follows */
	unsigned requests;
	bool hit;
	enum fault_op hit_op;
	char hit_key[BACKEND_KEY_MAX + 1];
	unsigned removed; /* objects that are not markers of a prune */
	uint64_t sent;    /* bytes that were put */
};

struct fault_backend {
	struct backend b;
	struct backend *real;
	struct fault_plan *plan;
};

/* -EIO: not to be carried out. *ret_lost: the answer is to be lost. */
static inline int fault_step(struct backend *b, enum fault_op op, const char *key, bool *ret_lost, struct err *err)
{
	struct fault_plan *p = ((struct fault_backend *)b)->plan;
	unsigned n;
	bool hit;

	(void)pthread_mutex_lock(&p->lock);
	n = ++p->requests;
	hit = p->at && (p->kind == FAULT_DEAD ? n >= p->at : n == p->at);
	if (hit && !p->hit) {
		p->hit = true;
		p->hit_op = op;
		(void)snprintf(p->hit_key, sizeof p->hit_key, "%s", key);
	}
	(void)pthread_mutex_unlock(&p->lock);
	*ret_lost = false;
	if (!hit)
		return 0;
	if (p->kind == FAULT_KILLED)
		(void)kill(getpid(), SIGKILL);
	*ret_lost = p->kind == FAULT_UNHEARD;
	return *ret_lost ? 0 : err_set(err, EIO, "request %u, of %s, was refused", n, key);
}

static inline int fault_answer(bool lost, int ret, struct err *err)
{
	if (!lost)
		return ret;
	if (err)
		*err = (struct err){0};
	return err_set(err, EIO, "the answer was lost");
}

static inline int fault_get(struct backend *b, const char *key, uint64_t off, size_t len, struct buf *ret,
			    struct err *err)
{
	size_t had = ret->len;
	bool lost;
	int bad = fault_step(b, FAULT_GET, key, &lost, err);

	if (!bad)
		bad = fault_answer(lost, backend_get(((struct fault_backend *)b)->real, key, off, len, ret, err),
				   err);
	if (bad)
		ret->len = had;
	return bad;
}

static inline int fault_put(struct backend *b, const char *key, const void *data, size_t len, struct err *err)
{
	struct fault_plan *p = ((struct fault_backend *)b)->plan;
	bool lost;
	int bad = fault_step(b, FAULT_PUT, key, &lost, err);

	if (bad)
		return bad;
	bad = backend_put(((struct fault_backend *)b)->real, key, data, len, err);
	if (!bad) {
		(void)pthread_mutex_lock(&p->lock);
		p->sent += len;
		(void)pthread_mutex_unlock(&p->lock);
	}
	return fault_answer(lost, bad, err);
}

static inline int fault_list(struct backend *b, const char *prefix, int (*fn)(void *arg, const char *key, uint64_t size),
			     void *arg, struct err *err)
{
	bool lost;
	int bad = fault_step(b, FAULT_LIST, prefix, &lost, err);

	/* a listing that breaks off has given what it had before */
	return bad ? bad
		   : fault_answer(lost, backend_list(((struct fault_backend *)b)->real, prefix, fn, arg, err), err);
}

static inline int fault_remove(struct backend *b, const char *key, struct err *err)
{
	struct fault_plan *p = ((struct fault_backend *)b)->plan;
	bool lost;
	int bad = fault_step(b, FAULT_REMOVE, key, &lost, err);

	if (bad)
		return bad;
	bad = backend_remove(((struct fault_backend *)b)->real, key, err);
	if (!bad && strncmp(key, "prune/", 6) != 0)
		p->removed++;
	return fault_answer(lost, bad, err);
}

static inline void fault_free(struct backend *b)
{
	backend_free(((struct fault_backend *)b)->real);
	free(b);
}

/* Puts itself before the repository's back end, until the repository is closed. */
static inline void fault_install(struct repo *r, struct fault_plan *plan)
{
	static const struct backend_ops ops = {fault_get, fault_put, fault_list, fault_remove, fault_free};
	struct fault_backend *f = calloc(1, sizeof *f);

	assert_non_null(f);
	(void)pthread_mutex_init(&plan->lock, NULL);
	*f = (struct fault_backend){{&ops, strdup(r->be->where), r->be->slow}, r->be, plan};
	r->be = &f->b;
}

/* --- a copy of a whole repository, to begin again from --- */

struct image {
	struct image_object {
		char key[BACKEND_KEY_MAX + 1];
		struct buf bytes;
	} *v;
	size_t n;
};

struct image_keys {
	char (*v)[BACKEND_KEY_MAX + 1];
	size_t n;
};

static inline int image_take_key(void *arg, const char *key, uint64_t size)
{
	struct image_keys *keys = arg;

	(void)size;
	keys->v = realloc(keys->v, (keys->n + 1) * sizeof *keys->v);
	assert_non_null(keys->v);
	strcpy(keys->v[keys->n++], key);
	return 0;
}

static inline struct image_keys image_list(struct backend *be)
{
	static const char *const folders[] = {"keys/",	     "packs/", "index/",  "snapshots/",
					      "quarantine/", "prune/", "damaged/"};
	struct image_keys keys = {0};
	struct err err = {0};

	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
		if (backend_list(be, folders[i], image_take_key, &keys, &err))
			fail_msg("listing %s: %s", folders[i], err.text);
	return keys;
}

static inline struct image image_take(struct backend *be)
{
	struct image_keys keys = image_list(be);
	struct image image = {calloc(keys.n + 1, sizeof *image.v), keys.n};
	struct err err = {0};

	assert_non_null(image.v);
	for (size_t i = 0; i < keys.n; i++) {
		strcpy(image.v[i].key, keys.v[i]);
		if (backend_get(be, keys.v[i], 0, SIZE_MAX, &image.v[i].bytes, &err))
			fail_msg("reading %s: %s", keys.v[i], err.text);
	}
	free(keys.v);
	return image;
}

static inline bool image_has(const struct image_keys *keys, const char *key)
{
	for (size_t i = 0; i < keys->n; i++)
		if (!strcmp(keys->v[i], key))
			return true;
	return false;
}

/* The repository is as it was; objects never change. */
static inline void image_restore(struct backend *be, const struct image *image)
{
	struct image_keys keys = image_list(be);
	struct err err = {0};

	for (size_t i = 0; i < keys.n; i++) {
		size_t j = 0;

		while (j < image->n && strcmp(image->v[j].key, keys.v[i]) != 0)
			j++;
		if (j == image->n && backend_remove(be, keys.v[i], &err))
			fail_msg("removing %s: %s", keys.v[i], err.text);
	}
	for (size_t i = 0; i < image->n; i++)
		if (!image_has(&keys, image->v[i].key) &&
		    backend_put(be, image->v[i].key, image->v[i].bytes.data, image->v[i].bytes.len, &err))
			fail_msg("writing %s: %s", image->v[i].key, err.text);
	free(keys.v);
}

static inline void image_free(struct image *image)
{
	for (size_t i = 0; i < image->n; i++)
		buf_free(&image->v[i].bytes);
	free(image->v);
}

#endif
