#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "docker/volume_driver.h"
#include "fs/api.h"
#include "fs/mount.h"
#include "fs/ready.h"
#include "fs/tmpfs.h"
#include "fs/uses.h"
#include "store/base/cleanup.h"
#include "store/volume/namespace.h"

#define OOM_SCORE_ADJ "-900"

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t daemon_mono_us(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000;
}

static int fail(const struct err *err)
{
	(void)fprintf(stderr, "varved: %s%s%s%s\n", err->text, *err->hint ? " (" : "", err->hint,
		      *err->hint ? ")" : "");
	return 1;
}

/* Memory reclaim may wait for our mount, so it must not wait for us, nor end us first. All of this is help, not need.
 */
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

static void on_interrupt(int sig)
{
	(void)sig; /* ends a worker's read(2) */
}

/* SIGTERM, SIGINT and SIGHUP come through *ret_fd and to no thread. */
static int prepare_signals(int *ret_fd, struct err *err)
{
	const struct sigaction interrupt = {.sa_handler = on_interrupt};
	sigset_t ours;
	int fd;

	(void)sigaction(SIGUSR1, &interrupt, NULL);
	(void)sigemptyset(&ours);
	(void)sigaddset(&ours, SIGTERM);
	(void)sigaddset(&ours, SIGINT);
	(void)sigaddset(&ours, SIGHUP);
	fd = signalfd(-1, &ours, SFD_CLOEXEC);
	(void)sigaddset(&ours, SIGUSR1);
	(void)pthread_sigmask(SIG_BLOCK, &ours, NULL);
	if (fd < 0)
		return err_set(err, errno, "signals: %s", err_name(errno));
	*ret_fd = fd;
	return 0;
}

static int start_parts(struct daemon *d, struct err *err)
{
	int ret;

	if ((ret = node_table_new(&d->nodes)) || (ret = parked_new(&d->parked)) || (ret = fence_new(d, &d->fence)))
		return err_set(err, -ret, "starting: %s", err_name(-ret));
	if ((ret = mount_prepare(d->options.mount, err)) || (ret = session_new(d, &d->session, err)) ||
	    (ret = session_start(d->session, err)))
		return ret;
	mount_set_read_ahead(d->options.mount);
	return fence_start(d->fence, err);
}

/* What the kernel holds is written out while the workers still answer, then the mount goes, then the rest. */
static void stop_parts(struct daemon *d, bool mounted)
{
	struct err err = {0};
	uint64_t us;
	bool busy = false;
	int ret;

	if (d->fence)
		fence_stop(d->fence);
	if (d->session && mounted) {
		if (fence_run(d, NULL, 0, &us, &err))
			log_warn("before unmounting: %s", err.text);
		ret = mount_detach(d->options.mount, &busy);
		if (ret)
			log_error("%s cannot be unmounted: %s", d->options.mount, err_name(-ret));
		if (busy)
			log_warn("%s was still in use when it was unmounted: whoever uses it gets errors from now on",
				 d->options.mount);
	}
	/* Parked requests may still need the workers; the session's buffers outlive them. */
	if (d->parked)
		parked_stop(d->parked);
	session_free(d->session);
	parked_free(d->parked);
	fence_free(d->fence);
	node_table_free(d->nodes);
}

/* Until a signal (true), or until somebody has unmounted us. */
static bool serve(const struct daemon *d, int signal_fd)
{
	struct pollfd fds[2] = {{.fd = signal_fd, .events = POLLIN},
				{.fd = session_ended_fd(d->session), .events = POLLIN}};
	struct signalfd_siginfo info;

	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents) {
			log_info("%s was unmounted", d->options.mount);
			return false;
		}
		if (fds[0].revents && read(signal_fd, &info, sizeof info) == sizeof info && info.ssi_signo != SIGHUP) {
			log_info("ending: %s", strsignal((int)info.ssi_signo));
			return true;
		}
	}
}

static int start_plugin(struct daemon *d, struct volume_driver **ret, struct err *err)
{
	const struct listener_options o = {.path = d->options.docker};
	int r;

	if (!*d->options.docker)
		return 0;
	r = listener_open(&o, &d->docker_listener, err);
	if (r && !d->options.docker_given) {
		log_warn("there is no volume plugin: %s", err->text);
		*err = (struct err){0};
		return 0;
	}
	if (r)
		return r;
	r = volume_driver_start(d, ret, err);
	if (r)
		listener_close(&d->docker_listener);
	return r;
}

static void stop_plugin(struct daemon *d, struct volume_driver *plugin)
{
	listener_close(&d->docker_listener);
	volume_driver_stop(plugin);
}

static int listen_api(struct daemon *d, struct err *err)
{
	const struct listener_options o = {d->options.api, d->options.has_api_group, d->options.api_group};

	return listener_open(&o, &d->api_listener, err);
}

static int run(struct daemon *d, int ready_fd, struct err *err)
{
	const struct store_options options = STORE_OPTIONS_DEFAULT;
	AUTO_CLOSE int signal_fd = -1;
	struct api *api = NULL;
	struct volume_driver *plugin = NULL;
	struct err closing = {0};
	bool mounted = true;
	int ret;

	d->started_ns = (int64_t)clock_ns(CLOCK_REALTIME);
	d->started_us = daemon_mono_us();
	d->api_listener = d->docker_listener = LISTENER_NONE;
	(void)pthread_mutex_init(&d->replace_lock, NULL);
	ret = prepare_signals(&signal_fd, err);
	if (ret)
		return ret;
	/* an engine's questions are answered while the store is being opened */
	ret = start_plugin(d, &plugin, err);
	if (ret)
		return ret;
	ret = store_open(d->options.store, &options, &d->store, err);
	if (ret) {
		stop_plugin(d, plugin);
		return ret;
	}
	ns_keep_orphans(d->store, true);
	ret = uses_open(d->options.store, &d->uses, err);
	if (!ret)
		ret = start_parts(d, err);
	if (!ret)
		tmpfs_ensure_all(d);
	if (!ret)
		ret = listen_api(d, err);
	if (!ret)
		ret = api_start(d, &api, err);
	if (!ret && plugin)
		ret = volume_driver_attach(plugin, err);
	if (!ret)
		ret = ready_tell(ready_fd, &d->options, err);
	if (!ret) {
		log_set_dest(d->options.log_dest, "varved");
		log_info("%s is mounted on %s", d->options.store, d->options.mount);
		mounted = serve(d, signal_fd);
		ready_stopping();
	}
	stop_plugin(d, plugin);
	listener_close(&d->api_listener);
	api_stop(api);
	stop_parts(d, mounted);
	if (store_close(d->store, &closing) && !ret) {
		*err = closing;
		ret = -closing.code;
	}
	uses_free(d->uses);
	ready_gone(&d->options);
	return ret;
}

int main(int argc, char **argv)
{
	static struct daemon d;
	struct err err = {0};
	int ready_fd = -1, ret;

	log_set_dest(LOG_DEST_STDERR, "varved");
	ret = options_parse(argc, argv, &d.options, &err);
	if (ret > 0)
		return 0;
	if (ret < 0) {
		(void)fail(&err);
		return 2;
	}
	log_set_level(d.options.log_level);
	prepare_process();
	if (!d.options.foreground && ready_fork(&ready_fd, &err))
		return fail(&err);
	ret = run(&d, ready_fd, &err);
	if (ret) {
		log_error("%s%s%s%s", err.text, *err.hint ? " (" : "", err.hint, *err.hint ? ")" : "");
		return 1;
	}
	return 0;
}
