/* Fault loops over the engine: the workload of work.c is run again and again; each time the nth allocation, SQLite call or I/O of a kind
 * fails, once or from then on, until a run passes in which there is no nth.
 *
 * When a step fails, its error must be the right one. Then the fault is gone, and one of three things happens:
 *   go on    the step is done again, the rest follows, and at the end the store shows what it does without faults, also after a power cut
 *   restart  the daemon dies; the next one gets the ring: nothing acknowledged is lost
 *   power    the power fails; whatever was durable when the step began is there
 * The check finds nothing in any of them, and no descriptor is leaked; leaks of memory are the sanitizer's business.
 *
 * Each run is a process of its own, so that a crash costs one run. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/base/log.h"
#include "store/volume/file_io.h"
#include "store/volume/volume.h"
#include "tests/faults/fault.h"
#include "tests/faults/fault_wrap.h"
#include "tests/faults/work.h"
#include "tests/model/alloc.h"

#define TRIES_UNDER_FAULT 3
#define BAD_MAX 8 /* runs of one plan that may fail before it is left */
#define NEVER_STRUCK 3 /* a run's exit status: there was no nth */

enum ending { GO_ON, RESTART, POWER, ENDINGS };
static const char *const ending_names[] = {"go-on", "restart", "power"};

struct run {
	struct work w;
	char base[SCRATCH_LEN];      /* holds template/ and store/ */
	struct buf *golden; /* golden[i]: what the store shows after i steps; while it is closed, what it did before */
	struct fault_plan plan;
	enum ending ending;
	unsigned at; /* the step */
	int ring_fd; /* of the store that `close` took */
};

static void fail(const struct run *r, const char *what, const char *detail)
{
	fprintf(stderr, "faults: %s, then %s: step '%s': %s%s%s\n", fault_describe(&r->plan), ending_names[r->ending],
		r->at < work_steps_n ? work_steps[r->at].name : "(all done)", what, detail ? ": " : "", detail ? detail : "");
	_exit(1);
}

/* --- the store on disk --- */

/* A new store, to be copied for each run. */
static void make_template(struct run *r)
{
	(void)snprintf(r->w.dir, sizeof r->w.dir, "%s/template", r->base);
	if (store_init(r->w.dir, NULL) || work_open(&r->w, -1) || store_close(r->w.s, NULL))
		abort();
	r->w.s = NULL;
	(void)snprintf(r->w.dir, sizeof r->w.dir, "%s/store", r->base);
}

static void fresh_store(struct run *r)
{
	char command[SCRATCH_LEN + 80];

	(void)snprintf(command, sizeof command, "cd '%s' && rm -rf store && cp -r --sparse=always template store", r->base);
	if (system(command))
		abort();
}

/* --- one step --- */

static void drop_ring(struct run *r)
{
	if (r->ring_fd >= 0)
		(void)close(r->ring_fd);
	r->ring_fd = -1;
}

static int do_step(struct run *r)
{
	const struct step *step = &work_steps[r->at];
	int ret;

	/* what holds the ring when the store is closed and that fails */
	if (step->sync == SYNC_ALL && r->w.s)
		r->ring_fd = dup(store_ring_fd(r->w.s));
	fault_enter();
	ret = step->fn(&r->w);
	fault_leave();
	if (!ret || r->w.s)
		drop_ring(r);
	return ret;
}

static void first_difference(const char *want, const char *got)
{
	while (*want && *got) {
		size_t a = strcspn(want, "\n"), b = strcspn(got, "\n");

		if (a != b || memcmp(want, got, a))
			break;
		want += a + 1;
		got += b + 1;
	}
	fprintf(stderr, "  wanted: %.*s\n  got:    %.*s\n", (int)strcspn(want, "\n"), want, (int)strcspn(got, "\n"), got);
}

static bool shows(struct run *r, struct buf *now, unsigned after)
{
	return !strcmp((char *)r->golden[after].data, (char *)now->data);
}

static bool right_error(const struct fault_plan *p, int ret)
{
	switch (p->kind) {
	case FAULT_ALLOC:
	case FAULT_SQL_ALLOC:
		return ret == -ENOMEM || (p->for_good && ret == -EIO);
	case FAULT_SQL:
		return ret == -EIO;
	default:
		return ret == (p->how == FAULT_EIO ? -EIO : -ENOSPC);
	}
}

/* Goes through the steps until one fails. */
static int until_failure(struct run *r)
{
	int ret = 0;

	for (; r->at < work_steps_n; r->at++) {
		ret = do_step(r);
		if (ret)
			break;
	}
	if (ret && !fault_struck())
		fail(r, "failed by itself", err_name(-ret));
	if (ret && !right_error(&r->plan, ret))
		fail(r, "wrong error", strerrorname_np(-ret) ? strerrorname_np(-ret) : "ECORRUPT");
	return ret;
}

/* --- endings --- */

static void expect_clean(struct run *r)
{
	if (work_check(&r->w))
		fail(r, "the check found something", NULL);
}

static void expect_usable(struct run *r)
{
	static const struct op op = {.umask = 022};
	struct volume_info info;
	struct attr at;
	char got[8];
	size_t n;

	if (volume_create(r->w.s, "usable", NULL, &info, NULL) ||
	    ns_create(r->w.s, &op, info.root_node, "f", S_IFREG | 0644, 0, NULL, &at) ||
	    file_write(r->w.s, &op, at.node, "content", 8, 0, 0, false) || file_fsync(r->w.s, at.node) || store_commit(r->w.s) ||
	    file_read(r->w.s, at.node, got, sizeof got, 0, false, &n) || n != 8 || memcmp(got, "content", 8))
		fail(r, "the store is not usable afterwards", NULL);
}

static void open_again(struct run *r, int ring_fd)
{
	int ret = work_open(&r->w, ring_fd);

	if (ret)
		fail(r, "cannot be opened afterwards", err_name(-ret));
}

static void close_now(struct run *r)
{
	struct store *s = r->w.s;
	struct err err = {0};

	r->w.s = NULL;
	if (store_close(s, &err))
		fail(r, "closing afterwards", err.text);
}

/* The failed step was done, or was not: nothing between. */
static bool step_was_done(struct run *r)
{
	struct buf now = {0};
	bool was_not, was;

	work_manifest(&r->w, &now);
	was_not = shows(r, &now, r->at);
	was = r->at < work_steps_n && shows(r, &now, r->at + 1);
	if (!was && !was_not) {
		first_difference((char *)r->golden[r->at].data, (char *)now.data);
		fail(r, "the step was done in part, or something is lost", NULL);
	}
	/* what makes itself durable may be there and not be durable; anything else that failed is not there */
	if (!was_not && work_steps[r->at].sync == SYNC_NOTHING)
		fail(r, "the step failed, but was done", NULL);
	buf_free(&now);
	return !was_not;
}

static void kill_store(struct run *r)
{
	disk_off();
	store_abandon(r->w.s);
	r->w.s = NULL;
}

static void expect_end(struct run *r)
{
	struct buf now = {0};

	work_manifest(&r->w, &now);
	if (!shows(r, &now, work_steps_n)) {
		first_difference((char *)r->golden[work_steps_n].data, (char *)now.data);
		fail(r, "shows something else at the end", NULL);
	}
	buf_free(&now);
	expect_clean(r);
}

static void go_on(struct run *r)
{
	int ret = 0;

	if (!r->w.s && r->ring_fd >= 0) {
		open_again(r, r->ring_fd);
		drop_ring(r);
	}
	if (r->w.s) {
		ret = store_commit(r->w.s);
		if (ret)
			fail(r, "committing after the fault", err_name(-ret));
		if (step_was_done(r))
			r->at++;
	}
	for (; r->at < work_steps_n; r->at++) {
		ret = do_step(r);
		if (ret && ret != work_steps[r->at].done)
			fail(r, "failed without a fault", err_name(-ret));
	}
	expect_end(r);
	/* the close before the last opening made all durable, whatever had failed earlier */
	kill_store(r);
	disk_lose();
	open_again(r, -1);
	expect_end(r);
	expect_usable(r);
	close_now(r);
}

static void restart(struct run *r)
{
	int fd = r->ring_fd;

	if (r->w.s) {
		fd = dup(store_ring_fd(r->w.s));
		kill_store(r);
	}
	disk_forget();
	open_again(r, fd);
	(void)close(fd);
	r->ring_fd = -1;
	if (r->at < work_steps_n)
		(void)step_was_done(r);
	expect_clean(r);
	expect_usable(r);
	close_now(r);
}

static bool has_line(const struct buf *b, const char *line, size_t len)
{
	for (const char *p = (char *)b->data; *p; p += strcspn(p, "\n") + 1)
		if (!strncmp(p, line, len + 1))
			return true;
	return false;
}

/* Whether step `k` made this line durable. */
static bool covers(const struct step *k, const char *line)
{
	const char *mode = strchr(line, ' ');

	if (k->sync != SYNC_RECORDS)
		return k->sync == SYNC_ALL;
	if (mode[1] != '1' || mode[2] != '0') /* no regular file: nothing but rows */
		return true;
	return strlen(k->file) == (size_t)(mode - line) && !memcmp(k->file, line, (size_t)(mode - line));
}

static void power(struct run *r)
{
	struct buf now = {0};
	const char *line;
	size_t len;

	if (r->w.s)
		kill_store(r);
	drop_ring(r);
	disk_lose();
	open_again(r, -1);
	work_manifest(&r->w, &now);
	for (line = (char *)r->golden[r->at].data; *line; line += len + 1) {
		bool durable = false;
		unsigned k = r->at;

		len = strcspn(line, "\n");
		/* the step that failed may have been done */
		if (r->at < work_steps_n && !has_line(&r->golden[r->at + 1], line, len))
			continue;
		for (; k-- > 0 && !durable && has_line(&r->golden[k + 1], line, len);)
			durable = covers(&work_steps[k], line);
		if (durable && !has_line(&now, line, len)) {
			fprintf(stderr, "  lost: %.*s\n  now:\n%s", (int)len, line, (char *)now.data);
			fail(r, "something durable is lost", NULL);
		}
	}
	buf_free(&now);
	expect_clean(r);
	expect_usable(r);
	close_now(r);
}

/* --- one run --- */

/* How many; `say` names them too. */
static unsigned descriptors(bool say)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	unsigned n = 0;

	while ((e = readdir(d))) {
		char target[256];
		ssize_t len = say ? readlinkat(dirfd(d), e->d_name, target, sizeof target) : 0;

		n++;
		if (len > 0)
			fprintf(stderr, "  descriptor %s: %.*s\n", e->d_name, (int)len, target);
	}
	(void)closedir(d);
	return n;
}

/* In a process of its own; its exit status. */
static int run_one(struct run *r)
{
	static const struct fault_plan none = {0};
	unsigned fds = descriptors(false);
	bool struck;

	fresh_store(r);
	disk_watch();
	fault_set(&r->plan);
	fault_enter();
	if (work_open(&r->w, -1) == 0) {
		fault_leave();
		if (until_failure(r))
			for (int i = 1; r->plan.for_good && r->w.s && i < TRIES_UNDER_FAULT; i++) {
				int ret = do_step(r);

				if (ret && ret != work_steps[r->at].done && !right_error(&r->plan, ret))
					fail(r, "wrong error when tried again", err_name(-ret));
			}
	} else {
		fault_leave();
	}
	struck = fault_struck();
	fault_end();
	if (!r->w.s && r->at == 0)
		open_again(r, -1);
	if (r->ending == GO_ON || !struck)
		go_on(r);
	else if (r->ending == RESTART)
		restart(r);
	else
		power(r);
	disk_forget();
	if (descriptors(false) != fds && descriptors(true))
		fail(r, "descriptors are left open", NULL);
	fault_set(&none);
	return struck ? 0 : NEVER_STRUCK;
}

static int run_process(struct run *r)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		abort();
	if (pid == 0)
		exit(run_one(r));
	if (waitpid(pid, &status, 0) != pid)
		abort();
	if (WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == NEVER_STRUCK))
		return WEXITSTATUS(status);
	if (WIFSIGNALED(status))
		fprintf(stderr, "faults: %s, then %s: killed by signal %d\n", fault_describe(&r->plan), ending_names[r->ending],
			WTERMSIG(status));
	printf("not ok - %s, then %s\n", fault_describe(&r->plan), ending_names[r->ending]);
	(void)fflush(stdout);
	return 1;
}

/* Without faults: what the store shows after each step. */
static void record_golden(struct run *r)
{
	r->golden = must_zalloc((work_steps_n + 1) * sizeof *r->golden);
	fresh_store(r);
	open_again(r, -1);
	work_manifest(&r->w, &r->golden[0]);
	for (; r->at < work_steps_n; r->at++) {
		int ret = do_step(r);

		if (ret)
			fail(r, "failed without any fault", err_name(-ret));
		if (r->w.s)
			work_manifest(&r->w, &r->golden[r->at + 1]);
		else if (buf_add(&r->golden[r->at + 1], r->golden[r->at].data, r->golden[r->at].len))
			abort();
	}
	if (work_check(&r->w))
		fail(r, "the check found something without any fault", NULL);
	close_now(r);
	r->at = 0;
}

/* --- the loop --- */

struct options {
	unsigned long stride, nth;
	unsigned long part, parts; /* of the runs, the part-th, when processes share them */
	int kind, ending;
	struct fault_plan plan;
	bool all_endings;
};

/* Every nth of one plan. Returns how many runs failed. */
static unsigned long loop(struct run *r, const struct options *o, unsigned long *ret_runs)
{
	unsigned long bad = 0, runs = 0, first = o->nth ? o->nth : o->stride > 1 ? 1 + (unsigned long)r->plan.how % o->stride : 1;
	int ret = 0;

	for (unsigned long i = o->part - 1; ret != NEVER_STRUCK && bad < BAD_MAX; i += o->parts) {
		r->plan.nth = first + i * o->stride;
		for (int e = 0; e < ENDINGS && ret != NEVER_STRUCK; e++) {
			if (!o->all_endings && (unsigned long)e != i % ENDINGS)
				continue;
			r->ending = (enum ending)e;
			ret = run_process(r);
			bad += ret == 1;
			if (!o->all_endings)
				break;
		}
		runs++;
	}
	*ret_runs += runs;
	return bad;
}

static unsigned long all_loops(struct run *r, const struct options *o)
{
	/* with a stride; there are thousands of these, in the same few places */
	static const unsigned long density[FAULT_KIND_COUNT] = {1, 24, 6, 1, 1, 1};
	unsigned long bad = 0;

	for (int kind = 0; kind < FAULT_KIND_COUNT; kind++)
		for (int how = 0; how < (kind >= FAULT_PACK ? FAULT_HOW_COUNT : 1); how++)
			for (int good = 0; good < 2; good++) {
				struct options now = *o;
				unsigned long runs = 0, failed;

				if (o->kind >= 0 && kind != o->kind)
					continue;
				now.stride = o->stride > 1 ? o->stride * density[kind] : 1;
				r->plan = (struct fault_plan){(enum fault_kind)kind, (enum fault_how)how, good, 0};
				failed = loop(r, &now, &runs);
				bad += failed;
				r->plan.nth = now.stride;
				if (!failed)
					printf("ok - every %s: %lu runs\n", fault_describe(&r->plan), runs);
				(void)fflush(stdout);
			}
	return bad;
}

static _Noreturn void usage(void)
{
	fprintf(stderr, "usage: faults [--stride N] [--nth FIRST] [--part I/N] [--all-endings] [--kind K]\n"
		"       faults --kind K [--how H] [--for-good] --nth N --ending E\n"
			"  K 0 allocation, 1 SQLite allocation, 2 SQLite call, 3 pack, 4 journal, 5 database I/O;\n"
			"  H 0 EIO, 1 ENOSPC, 2 short; E 0 go on, 1 restart, 2 power\n");
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{"stride", required_argument, NULL, 's'}, {"nth", required_argument, NULL, 'n'}, {"kind", required_argument, NULL, 'k'},
		{"how", required_argument, NULL, 'h'},	  {"for-good", no_argument, NULL, 'g'},	 {"ending", required_argument, NULL, 'e'},
		{"all-endings", no_argument, NULL, 'a'},  {"part", required_argument, NULL, 'p'},
		{NULL, 0, NULL, 0}};
	struct options o = {.stride = 1, .part = 1, .parts = 1, .kind = -1, .ending = -1};
	struct run r = {.ring_fd = -1};
	unsigned long bad;
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		unsigned long v = optarg ? strtoul(optarg, NULL, 10) : 0;

		if (c == 's')
			o.stride = v ? v : 1;
		else if (c == 'n')
			o.nth = v;
		else if (c == 'k')
			o.kind = (int)(v % FAULT_KIND_COUNT);
		else if (c == 'h')
			o.plan.how = (enum fault_how)(v % FAULT_HOW_COUNT);
		else if (c == 'g')
			o.plan.for_good = true;
		else if (c == 'e')
			o.ending = (int)(v % ENDINGS);
		else if (c == 'a')
			o.all_endings = true;
		else if (c != 'p' || sscanf(optarg, "%lu/%lu", &o.part, &o.parts) != 2)
			usage();
	}
	if ((o.ending >= 0 && (o.kind < 0 || !o.nth)) || !o.part || o.part > o.parts)
		usage();
	fault_sqlite_memory();
	fault_init();
	log_set_level(o.ending >= 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	if (!scratch_make("faults", 0, r.base))
		abort();
	make_template(&r);
	record_golden(&r);
	if (o.ending >= 0) {
		r.plan = o.plan;
		r.plan.kind = (enum fault_kind)o.kind;
		r.plan.nth = o.nth;
		r.ending = (enum ending)o.ending;
		bad = run_one(&r) == 1; /* in this process: for a debugger; one that fails leaves its store */
	} else {
		bad = all_loops(&r, &o);
	}
	for (unsigned i = 0; i <= work_steps_n; i++)
		buf_free(&r.golden[i]);
	free(r.golden);
	(void)scratch_remove(r.base);
	return bad != 0;
}
