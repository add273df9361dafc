#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/options.h"
#include "fs/ready.h"
#include "fs/supervisor.h"

#define OOM_SCORE_ADJ "-900"

static int fail(const struct err *err)
{
	(void)fprintf(stderr, "varved: %s%s%s%s\n", err->text, *err->hint ? " (" : "", err->hint,
		      *err->hint ? ")" : "");
	return 1;
}

/* Memory reclaim may wait for our mount, so it must not wait for us, nor end us first. All of this is help, not need,
 * and goes over to what is forked. */
static void prepare_process(void)
{
	struct rlimit files;
	FILE *f;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(022);
	(void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	f = fopen("/proc/self/oom_score_adj", "we");
	if (f) {
		(void)fputs(OOM_SCORE_ADJ, f);
		(void)fclose(f);
	}
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

int main(int argc, char **argv)
{
	static struct options o;
	static char start_dir[PATH_MAX];
	struct err err = {0};
	int ready_fd = -1, ret, status;

	log_set_dest(LOG_DEST_STDERR, "varved");
	if (!getcwd(start_dir, sizeof start_dir))
		(void)snprintf(start_dir, sizeof start_dir, "/");
	ret = options_parse(argc, argv, &o, &err);
	if (ret > 0)
		return 0;
	if (ret < 0) {
		(void)fail(&err);
		return 2;
	}
	log_set_level(o.log_level);
	prepare_process();
	if (supervisor_resume(&o, argv, start_dir, &status))
		return status;
	if (!o.foreground && ready_fork(&ready_fd, &err))
		return fail(&err);
	return supervisor_run(&o, argv, start_dir, ready_fd);
}
