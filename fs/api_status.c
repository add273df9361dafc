/* Routes about the daemon and the store as a whole. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "fs/api_internal.h"
#include "fs/control.h"
#include "store/base/cleanup.h"
#include "store/maint/check.h"
#include "store/maint/gc.h"

static uint64_t resident_bytes(void)
{
	unsigned long size, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f)
		return 0;
	if (fscanf(f, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	(void)fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static json_t *json_counters(struct store *s)
{
	const struct stats *stats = store_stats(s);
	json_t *o = json_object();
	int bad = 0;

#define X(name, help) bad |= json_object_set_new(o, #name, json_integer((json_int_t)stats_get(&stats->name)));
	STATS_COUNTERS(X)
#undef X
	if (bad) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *json_fuse(const struct session *s)
{
	struct session_info info;
	uint64_t requests = 0;
	unsigned i;

	session_info(s, &info);
	for (i = 0; i < SESSION_OPCODES; i++)
		requests += session_requests(s, i);
	return json_pack("{s:b,s:b,s:b,s:b,s:I}", "writeback", info.writeback, "killpriv_v2", info.killpriv_v2,
			 "inc_epoch", info.inc_epoch, "resend", info.resend, "requests", (json_int_t)requests);
}

/* Whether the mount survives the daemon, and what became of that so far. */
static json_t *json_takeover(const struct handover_state *state)
{
	return json_pack("{s:b,s:i,s:{s:i,s:b,s:s}}", "possible", (int)atomic_load(&state->resend), "count",
			 (int)state->takeovers, "upgrade", "count", (int)state->upgrade.count, "refused",
			 (int)state->upgrade.refused, "message", state->upgrade.text);
}

int api_status(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	struct daemon *d = api->d;
	struct store_space space = {0};
	struct utsname host = {0};
	struct stat ring = {0};
	char uuid[37];
	int bad = store_space(d->store, &space);

	(void)r;
	if (bad)
		return err_set(err, -bad, "the store's space: %s", err_name(-bad));
	(void)uname(&host);
	(void)fstat(store_ring_fd(d->store), &ring);
	store_uuid(d->store, uuid);
	return api_answer(ret,
			  json_pack("{s:s,s:s,s:s,s:s, s:i,s:i,s:I,s:I,s:s,s:o,s:o, s:I,s:I,s:I, s:I,s:I,s:o,s:o}",
				    "version", VARVE_VERSION, "uuid", uuid,
				    "store", d->options.store, "mount", d->options.mount,
				    "pid", (int)getpid(), "supervisor", (int)getppid(), "started", (json_int_t)d->started_ns,
				    "uptime_us", (json_int_t)(daemon_mono_us() - d->started_us),
				    "kernel", host.release, "fuse", json_fuse(d->session),
				    "takeover", json_takeover(d->handover.state),
				    "buffered_bytes", (json_int_t)space.buffered_bytes,
				    "ring_bytes", (json_int_t)ring.st_size,
				    "memory_bytes", (json_int_t)resident_bytes(),
				    "volumes", (json_int_t)space.volumes, "snapshots", (json_int_t)space.snapshots,
				    "counters", json_counters(d->store), "space", api_json_space(&space)),
			  200, err);
}

/* The file that this process was started from, or what has taken its place. */
static int own_program(char ret[PATH_MAX])
{
	static const char deleted[] = " (deleted)";
	ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);

	if (n <= 0)
		return -errno;
	if (n > (ssize_t)sizeof deleted && !memcmp(ret + n - (sizeof deleted - 1), deleted, sizeof deleted - 1))
		n -= (ssize_t)sizeof deleted - 1;
	ret[n] = '\0';
	return 0;
}

/* The supervisor does the rest, and the answer is on its way before it begins. */
int api_upgrade(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	const struct handover *h = &api->d->handover;
	char program[PATH_MAX];
	const char *wanted = "";
	json_int_t count = h->state->upgrade.count;
	int bad = api_unpack(r, err, "{s?s}", "program", &wanted);

	if (bad)
		return bad;
	if (*wanted && *wanted != '/')
		return err_set(err, EINVAL, "the program's path is not absolute: %s", wanted);
	bad = *wanted ? 0 : own_program(program);
	if (!bad)
		bad = control_send(h->control_fd, CONTROL_UPGRADE, *wanted ? wanted : program, -1);
	if (bad)
		return err_set(err, -bad, "the upgrade cannot begin: %s", err_name(-bad));
	return api_answer(ret,
			  json_pack("{s:s,s:s,s:I}", "version", VARVE_VERSION, "program", *wanted ? wanted : program,
				    "count", count),
			  202, err);
}

int api_df(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	struct store_space space = {0};
	int bad = store_space(api->d->store, &space);

	(void)r;
	if (bad)
		return err_set(err, -bad, "the store's space: %s", err_name(-bad));
	return api_answer(ret, api_json_space(&space), 200, err);
}

static void gc_progress(void *arg, double part)
{
	job_progress(arg, part);
}

static bool gc_cancelled(void *arg)
{
	return job_cancelled(arg);
}

static int gc_job(void *arg, struct job *job, json_t **ret, struct err *err)
{
	const struct gc_watch watch = {job, gc_progress, gc_cancelled};
	struct gc_result result = {0};
	int bad = gc_run(*(struct store **)arg, &watch, &result, err);

	if (bad)
		return bad;
	*ret = json_pack("{s:I,s:I,s:I}", "freed_bytes", (json_int_t)result.freed_bytes, "moved_bytes",
			 (json_int_t)result.moved_bytes, "rows", (json_int_t)result.rows);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* Starts a job, and answers with it. */
static int start(struct api *api, const char *kind, job_fn fn, void *arg, struct api_answer *ret, struct err *err)
{
	json_t *job;
	uint64_t id;
	int bad = jobs_start(api->jobs, kind, fn, arg, &id, err);

	if (!bad)
		bad = jobs_get(api->jobs, id, &job, err);
	return bad ? bad : api_answer(ret, json_pack("{s:o}", "job", job), 202, err);
}

int api_gc(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	struct store **arg = malloc(sizeof(struct store *));

	(void)r;
	if (!arg)
		return err_set(err, ENOMEM, "out of memory");
	*arg = api->d->store;
	return start(api, "gc", gc_job, arg, ret, err);
}

struct check_arg {
	struct store *store;
	unsigned flags;
};

static void check_report(void *arg, const char *line)
{
	job_message(arg, line);
}

static void check_progress(void *arg, double part)
{
	job_progress(arg, part);
}

static bool check_cancelled(void *arg)
{
	return job_cancelled(arg);
}

static int check_run(void *arg, struct job *job, json_t **ret, struct err *err)
{
	const struct check_watch watch = {job, check_report, check_progress, check_cancelled};
	const struct check_arg *c = arg;
	struct check_result result = {0};
	int bad = check_store_watched(c->store, c->flags, &watch, &result, err);

	if (bad)
		return bad;
	*ret = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}",
			 "inodes", (json_int_t)result.inodes, "dirents", (json_int_t)result.dirents,
			 "extents", (json_int_t)result.extents, "chunks", (json_int_t)result.chunks,
			 "bytes_verified", (json_int_t)result.bytes_verified, "errors", (json_int_t)result.errors);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

int api_check(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	struct check_arg *arg;
	int bad, data = 0;

	bad = api_unpack(r, err, "{s?b}", "data", &data);
	if (bad)
		return bad;
	arg = malloc(sizeof *arg);
	if (!arg)
		return err_set(err, ENOMEM, "out of memory");
	*arg = (struct check_arg){api->d->store, data ? CHECK_DATA : 0};
	return start(api, "check", check_run, arg, ret, err);
}

static int job_id(const struct api_request *r, uint64_t *ret, struct err *err)
{
	char *end;

	*ret = strtoull(r->args[0], &end, 10);
	return *end ? err_set(err, ENOENT, "there is no job %s", r->args[0]) : 0;
}

int api_job_list(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	json_t *list;
	int bad = jobs_list(api->jobs, &list, err);

	(void)r;
	return bad ? bad : api_answer(ret, json_pack("{s:o}", "jobs", list), 200, err);
}

int api_job(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	json_t *job;
	uint64_t id;
	int bad = job_id(r, &id, err);

	if (!bad)
		bad = jobs_get(api->jobs, id, &job, err);
	return bad ? bad : api_answer(ret, job, 200, err);
}

int api_job_cancel(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	uint64_t id;
	int bad = job_id(r, &id, err);

	if (!bad)
		bad = jobs_cancel(api->jobs, id, err);
	return bad ? bad : api_job(api, r, ret, err);
}
