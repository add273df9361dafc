/* Routes that move snapshots to and from backup repositories. What opens a repository comes with each request and is
 * forgotten after. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/api_internal.h"
#include "fs/invalidate.h"
#include "store/base/cleanup.h"
#include "store/repo/pull.h"
#include "store/repo/push.h"

#define SNAPSHOTS_AT_ONCE_MAX 4096
#define WATCH_MS 50

/* One piece of work; freed with free(), so that what it points to goes when the work has ended. */
struct work {
	struct daemon *d;
	json_t *body; /* owns all strings */
	const char *url;
	struct repo_credentials cred;
	uint8_t *key_bytes;
	struct repo_progress progress;
	json_t *results;
	/* the watcher: tells the job how far it is, and the work that it was cancelled */
	struct job *job;
	pthread_t watcher;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool ended;
};

static int parse_key(const char *hex, uint8_t **ret, size_t *ret_len, struct err *err)
{
	size_t len = strlen(hex) / 2;
	uint8_t *bytes = malloc(len ? len : 1);

	if (!bytes)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < len; i++) {
		unsigned byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1) {
			free(bytes);
			return err_set(err, EINVAL, "the key is not hexadecimal");
		}
		bytes[i] = (uint8_t)byte;
	}
	*ret = bytes;
	*ret_len = len;
	return 0;
}

static int parse_repo(struct work *w, json_t *repo, struct err *err)
{
	const struct api_request one = {.body = repo};
	const char *key = NULL;
	struct backend_access *a = &w->cred.access;
	int bad = api_unpack(&one, err, "{s:s,s?s,s?s,s?s,s?s,s?s,s?s,s?s}", "url", &w->url, "passphrase",
			     &w->cred.passphrase, "key", &key, "ssh_command", &a->ssh_command, "s3_key", &a->s3_key,
			     "s3_secret", &a->s3_secret, "s3_token", &a->s3_token, "s3_region", &a->s3_region);

	if (!bad && !strstr(w->url, "://") && *w->url != '/')
		bad = err_set(err, EINVAL, "'%s' is neither a URL nor a whole path", w->url);
	if (!bad && key) {
		bad = parse_key(key, &w->key_bytes, &w->cred.key_file_len, err);
		w->cred.key_file = w->key_bytes;
	}
	return bad;
}

static void work_end(struct work *w)
{
	json_decref(w->body);
	json_decref(w->results);
	if (w->key_bytes)
		crypt_wipe(w->key_bytes, w->cred.key_file_len);
	free(w->key_bytes);
	w->body = w->results = NULL;
	w->key_bytes = NULL;
}

static void *watch(void *arg)
{
	struct work *w = arg;
	struct timespec until;

	(void)pthread_mutex_lock(&w->lock);
	while (!w->ended) {
		uint64_t total = atomic_load(&w->progress.bytes_total), done = atomic_load(&w->progress.bytes_done);

		job_progress(w->job, total ? (done < total ? (double)done / (double)total : 1) : 0);
		job_bytes(w->job, done);
		if (job_cancelled(w->job))
			atomic_store(&w->progress.cancel, true);
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += WATCH_MS * 1000000L;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000L;
		}
		(void)pthread_cond_timedwait(&w->cond, &w->lock, &until);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void watch_begin(struct work *w, struct job *job)
{
	w->job = job;
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_cond_init(&w->cond, NULL);
	w->ended = false;
	if (pthread_create(&w->watcher, NULL, watch, w))
		w->ended = true;
}

static void watch_end(struct work *w)
{
	bool started;

	(void)pthread_mutex_lock(&w->lock);
	started = !w->ended;
	w->ended = true;
	(void)pthread_cond_signal(&w->cond);
	(void)pthread_mutex_unlock(&w->lock);
	if (started)
		(void)pthread_join(w->watcher, NULL);
	(void)pthread_cond_destroy(&w->cond);
	(void)pthread_mutex_destroy(&w->lock);
}

static void reset_progress(struct repo_progress *p)
{
	atomic_store(&p->bytes_total, 0);
	atomic_store(&p->bytes_done, 0);
	atomic_store(&p->sent, 0);
	atomic_store(&p->deduplicated, 0);
	atomic_store(&p->fresh, 0);
	atomic_store(&p->chunks, 0);
}

static json_t *json_done(struct work *w, const char *volume, const char *snapshot, bool incremental, uint64_t rows,
			 uint64_t us)
{
	struct repo_progress *p = &w->progress;

	return json_pack("{s:s,s:s,s:b,s:I,s:I,s:I,s:I,s:I,s:I}", "volume", volume, "snapshot", snapshot, "incremental",
			 incremental, "rows", (json_int_t)rows, "chunks", (json_int_t)atomic_load(&p->chunks), "sent",
			 (json_int_t)atomic_load(&p->sent), "deduplicated", (json_int_t)atomic_load(&p->deduplicated),
			 "fresh", (json_int_t)atomic_load(&p->fresh), "us", (json_int_t)us);
}

static int push_one(struct work *w, struct repo *r, json_t *item, struct err *err)
{
	const struct api_request one = {.body = item};
	struct push_result result;
	const char *volume, *name;
	uint64_t begun = daemon_mono_us();
	json_t *done;
	int bad = api_unpack(&one, err, "{s:s,s:s}", "volume", &volume, "name", &name);

	reset_progress(&w->progress);
	if (!bad)
		bad = repo_push(w->d->store, r, volume, name, &w->progress, &result, err);
	if (bad)
		return bad;
	done = json_done(w, volume, name, result.incremental, result.rows, daemon_mono_us() - begun);
	if (done) {
		(void)json_object_set_new(done, "already", json_boolean(result.already));
		(void)json_object_set_new(done, "missing_packs", json_integer((json_int_t)result.missing_packs));
		(void)json_object_set_new(done, "sent_again", json_integer((json_int_t)result.sent_again));
	}
	return json_array_append_new(w->results, done) ? err_set(err, ENOMEM, "out of memory") : 0;
}

static int push_run(void *arg, struct job *job, json_t **ret, struct err *err)
{
	struct work *w = arg;
	struct repo *r = NULL;
	json_t *list = json_object_get(w->body, "snapshots"), *item;
	size_t i;
	int bad;

	watch_begin(w, job);
	bad = repo_open(w->url, &w->cred, &r, err);
	json_array_foreach(list, i, item)
	{
		if (!bad)
			bad = push_one(w, r, item, err);
	}
	if (!bad)
		*ret = json_pack("{s:O,s:s*}", "snapshots", w->results, "notice", *r->notice ? r->notice : NULL);
	repo_free(r);
	watch_end(w);
	work_end(w);
	return bad;
}

static int pull_run(void *arg, struct job *job, json_t **ret, struct err *err)
{
	struct work *w = arg;
	const char *volume = json_string_value(json_object_get(w->body, "volume"));
	const char *name = json_string_value(json_object_get(w->body, "name"));
	const char *fresh = json_string_value(json_object_get(w->body, "new"));
	uint64_t begun = daemon_mono_us();
	struct pull_result result = {0};
	struct volume_info info;
	struct repo *r = NULL;
	char notice[sizeof r->notice] = "";
	int bad;

	watch_begin(w, job);
	bad = repo_open(w->url, &w->cred, &r, err);
	if (!bad)
		bad = repo_pull(w->d->store, r, volume, name, fresh, &w->progress, &result, err);
	if (!bad)
		memcpy(notice, r->notice, sizeof notice);
	repo_free(r);
	watch_end(w);
	if (!bad && !volume_get(w->d->store, fresh ? fresh : volume, &info, NULL)) {
		invalidate_name(w->d, NODE_ROOT, info.name);
		invalidate_snapshot(w->d, info.root_node, name);
	}
	if (!bad)
		*ret = json_done(w, fresh ? fresh : volume, name, result.incremental, result.rows,
				 daemon_mono_us() - begun);
	if (!bad && *ret && *notice)
		(void)json_object_set_new(*ret, "notice", json_string(notice));
	work_end(w);
	return bad;
}

/* The job has a copy of the request's body, whose JSON is freed with the request: jansson's counts of references do not order what
 * two threads do with it. */
static int start(struct api *api, const struct api_request *r, const char *kind, job_fn fn, struct api_answer *ret,
		 struct err *err)
{
	struct work *w = calloc(1, sizeof *w);
	json_t *job = NULL;
	uint64_t id = 0;
	int bad = w ? 0 : err_set(err, ENOMEM, "out of memory");

	if (bad)
		return bad;
	w->d = api->d;
	w->body = json_deep_copy(r->body);
	w->results = json_array();
	bad = w->body && w->results ? parse_repo(w, json_object_get(w->body, "repo"), err)
				    : err_set(err, ENOMEM, "out of memory");
	if (bad) {
		work_end(w);
		free(w);
		return bad;
	}
	bad = jobs_start(api->jobs, kind, fn, w, &id, err);
	if (!bad)
		bad = jobs_get(api->jobs, id, &job, err);
	return bad ? bad : api_answer(ret, json_pack("{s:o}", "job", job), 202, err);
}

int api_push(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	json_t *list, *repo, *item;
	size_t i;
	int bad = api_unpack(r, err, "{s:o,s:o}", "snapshots", &list, "repo", &repo);

	if (!bad && (!json_array_size(list) || json_array_size(list) > SNAPSHOTS_AT_ONCE_MAX))
		bad = err_set(err, EINVAL, "snapshots are a list of 1 to %d", SNAPSHOTS_AT_ONCE_MAX);
	json_array_foreach(list, i, item)
	{
		const struct api_request one = {.body = item};
		struct snapshot_info info;
		const char *volume, *name;

		if (!bad)
			bad = api_unpack(&one, err, "{s:s,s:s}", "volume", &volume, "name", &name);
		if (!bad)
			bad = snapshot_get(api->d->store, volume, name, &info, err);
	}
	return bad ? bad : start(api, r, "push", push_run, ret, err);
}

int api_pull(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	const char *volume, *name, *fresh = NULL;
	json_t *repo;
	int bad = api_unpack(r, err, "{s:s,s:s,s?s,s:o}", "volume", &volume, "name", &name, "new", &fresh, "repo",
			     &repo);

	if (!bad)
		bad = volume_name_check("volume", volume, err);
	if (!bad)
		bad = volume_name_check("snapshot", name, err);
	if (!bad && fresh)
		bad = volume_name_check("volume", fresh, err);
	return bad ? bad : start(api, r, "pull", pull_run, ret, err);
}
