/* The power-loss test: see README.md. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/base/limits.h"
#include "store/base/log.h"
#include "tests/crash/round.h"
#include "tests/lib/scratch.h"
#include "tests/model/rng.h"

#define MEMORY_FREE_MIN (1 * GIB)
#define JOBS_MAX 64

struct settings {
	uint64_t seed, points, first_round;
	unsigned ops, points_per_round, jobs;
	const char *dir;
	bool one_round, one_point, threads, repeatable, verbose;
	size_t point;
};

struct job {
	pid_t pid;
	int fd;
	uint64_t round;
};

struct totals {
	uint64_t rounds, changes, syncs, points, cuts, punched, compacted;
};

static int usage(FILE *to)
{
	(void)fprintf(to, "usage: crash [OPTION]…\n"
			  "  --points N     how many moments the power fails at (1000)\n"
			  "  --seed S       replays a run; by default the time\n"
			  "  --ops N        how many operations each round records (400)\n"
			  "  --per-round N  how many moments of each record (250)\n"
			  "  --jobs N       so many rounds at once (one a processor)\n"
			  "  --round R      only this round\n"
			  "  --point C      of it only the moments after C changes\n"
			  "  --threads      every round with the store's own threads (else every fourth)\n"
			  "  --repeatable   no round with them: the same seed does exactly the same\n"
			  "  --dir D        where the stores are made (in memory)\n"
			  "  --verbose      say each operation\n");
	return to == stdout ? 0 : 2;
}

static int parse(int argc, char **argv, struct settings *set)
{
	static const struct option options[] = {
		{"points", required_argument, NULL, 'n'},    {"seed", required_argument, NULL, 's'},
		{"ops", required_argument, NULL, 'o'},	     {"per-round", required_argument, NULL, 'q'},
		{"jobs", required_argument, NULL, 'j'},	     {"round", required_argument, NULL, 'r'},
		{"point", required_argument, NULL, 'p'},     {"threads", no_argument, NULL, 't'},
		{"repeatable", no_argument, NULL, 'e'},	     {"dir", required_argument, NULL, 'd'},
		{"verbose", no_argument, NULL, 'v'},	     {"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'n':
			set->points = strtoull(optarg, NULL, 0);
			break;
		case 's':
			set->seed = strtoull(optarg, NULL, 0);
			break;
		case 'o':
			set->ops = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'q':
			set->points_per_round = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'j':
			set->jobs = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'r':
			set->one_round = true;
			set->first_round = strtoull(optarg, NULL, 0);
			break;
		case 'p':
			set->one_point = true;
			set->point = strtoul(optarg, NULL, 0);
			break;
		case 't':
			set->threads = true;
			break;
		case 'e':
			set->repeatable = true;
			break;
		case 'd':
			set->dir = optarg;
			break;
		case 'v':
			set->verbose = true;
			break;
		case 'h':
			(void)usage(stdout);
			return 1;
		default:
			return usage(stderr);
		}
	}
	return optind < argc || !set->jobs || set->jobs > JOBS_MAX || !set->points_per_round || (set->one_point && !set->one_round)
		       ? usage(stderr)
		       : 0;
}

/* The child's side of a round: its results go through the pipe. */
static void child(const struct settings *set, uint64_t number, int fd)
{
	char dir[160];
	struct rng rng = {set->seed + number};
	struct round rd = {
		.seed = rng_next(&rng),
		.dir = dir,
		.ops = set->ops,
		.points_max = set->points_per_round,
		.threads = set->threads || (!set->repeatable && number % 4 == 3),
		.one_point = set->one_point,
		.point = set->point,
		.verbose = set->verbose,
	};

	(void)snprintf(dir, sizeof dir, "%s/%" PRIu64, set->dir, number);
	if (mkdir(dir, 0700) && errno != EEXIST)
		_Exit(1);
	round_run(&rd);
	(void)rmdir(dir);
	if (set->verbose || set->one_round)
		(void)printf("round %" PRIu64 "%s: %" PRIu64 " changes, %" PRIu64 " syncs, %" PRIu64 " moments; record %016" PRIx64 "\n", number,
			     rd.threads ? " (threads)" : "", rd.changes, rd.syncs, rd.points, rd.checksum);
	(void)fflush(stdout);
	_Exit(write(fd, &rd, sizeof rd) == sizeof rd ? 0 : 1);
}

static bool start(const struct settings *set, struct job *job, uint64_t number)
{
	int fds[2];

	if (pipe(fds))
		return false;
	job->round = number;
	job->fd = fds[0];
	job->pid = fork();
	if (!job->pid)
		child(set, number, fds[1]);
	(void)close(fds[1]);
	return job->pid > 0;
}

/* 0, or the status to end with. */
static int finish(const struct settings *set, struct job *job, int status, struct totals *sum)
{
	struct round rd;
	bool ok = read(job->fd, &rd, sizeof rd) == sizeof rd;

	(void)close(job->fd);
	job->pid = 0;
	if (ok && WIFEXITED(status) && !WEXITSTATUS(status)) {
		sum->rounds++;
		sum->changes += rd.changes;
		sum->syncs += rd.syncs;
		sum->points += rd.points;
		sum->cuts += rd.cuts;
		sum->punched += rd.punched;
		sum->compacted += rd.compacted;
		return 0;
	}
	if (WIFSIGNALED(status))
		(void)printf("round %" PRIu64 " was ended by signal %d (%s)\n", job->round, WTERMSIG(status), strsignal(WTERMSIG(status)));
	(void)printf("not ok - round %" PRIu64 " of seed %" PRIu64 "; again with: crash --seed %" PRIu64 " --ops %u --per-round %u --round %" PRIu64
		     "\n",
		     job->round, set->seed, set->seed, set->ops, set->points_per_round, job->round);
	return 1;
}

static int run_rounds(const struct settings *set, struct totals *sum)
{
	struct job jobs[JOBS_MAX] = {0};
	uint64_t next = set->first_round, end = set->one_round ? next + 1 : (set->points + set->points_per_round - 1) / set->points_per_round;
	unsigned running = 0;
	int ret = 0;

	while (running || (next < end && !ret)) {
		int status;
		pid_t pid;

		for (unsigned i = 0; i < set->jobs && next < end && !ret; i++)
			if (!jobs[i].pid) {
				if (!start(set, &jobs[i], next++))
					return 1;
				running++;
			}
		pid = wait(&status);
		for (unsigned i = 0; i < set->jobs; i++)
			if (jobs[i].pid == pid) {
				ret = finish(set, &jobs[i], status, sum) ?: ret;
				running--;
			}
	}
	return ret;
}

int main(int argc, char **argv)
{
	struct settings set = {.seed = (uint64_t)time(NULL), .points = 1000, .ops = 400, .points_per_round = 250};
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	struct totals sum = {0};
	char temporary[SCRATCH_LEN] = "";
	int ret;

	set.jobs = processors > 0 && processors < JOBS_MAX ? (unsigned)processors : 1;
	ret = parse(argc, argv, &set);
	if (ret)
		return ret == 1 ? 0 : ret;
	log_set_level(set.verbose ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR);
	if (!set.dir && !scratch_make("crash", MEMORY_FREE_MIN, temporary)) {
		(void)fprintf(stderr, "crash: no temporary folder: %s\n", strerror(errno));
		return 1;
	}
	if (!set.dir)
		set.dir = temporary;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)printf("crash: %" PRIu64 " moments, %u operations a record, seed %" PRIu64 ", in %s\n", set.points, set.ops, set.seed, set.dir);
	ret = run_rounds(&set, &sum);
	if (ret)
		return ret;
	if (*temporary)
		(void)rmdir(temporary);
	(void)printf("ok - %" PRIu64 " moments of %" PRIu64 " records (%" PRIu64 " changes, %" PRIu64 " syncs, %" PRIu64 " KiB punched, %" PRIu64
		     " KiB compacted), %" PRIu64 " power cuts, seed %" PRIu64 "\n",
		     sum.points, sum.rounds, sum.changes, sum.syncs, (uint64_t)(sum.punched / KIB), (uint64_t)(sum.compacted / KIB), sum.cuts,
		     set.seed);
	return 0;
}
