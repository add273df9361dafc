/* The daemon proper. Its supervisor has opened what outlives it; whether a mount is taken over or made anew is seen
 * from that.
 *
 * It may be killed at any instant. What it has acknowledged is in the ring, what the kernel knows of nodes and opens in
 * the handover's memory, and what it has not answered the kernel sends again to the next one. */
#include "fs/daemon.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "docker/volume_driver.h"
#include "fs/api.h"
#include "fs/control.h"
#include "fs/mount.h"
#include "fs/ready.h"
#include "fs/tmpfs.h"
#include "fs/uses.h"
#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/volume/claim.h"
#include "store/volume/file_io.h"
#include "store/volume/namespace.h"

/* A daemon that was killed lets go of the store's files a moment after its end is seen, and of the claim on it. */
#define LOCK_TRIES 500
#define LOCK_TRY_NS 10000000L
#define PARKED_THREADS 8 /* enough for a few disk reads in flight beside a few waiting flushes */
#define DELIVER_THREADS 4

enum ending { END_STOP, END_UNMOUNTED, END_HAND_OVER };

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
	(void)pthread_sigmask(SIG_SETMASK, &ours, NULL);
	if (fd < 0)
		return err_set(err, errno, "signals: %s", err_name(errno));
	*ret_fd = fd;
	return 0;
}

/* What answers on sockets. */
struct servers {
	struct daemon *d;
	struct api *api;
	struct volume_driver *plugin;
};

static int on_recovered(void *arg, struct store *store, struct err *err)
{
	const struct servers *servers = arg;
	int ret = store ? uses_open(servers->d->options.store, &servers->d->uses, err) : 0;

	return !ret && servers->plugin ? volume_driver_open(servers->plugin, store, err) : ret;
}

static int open_store(struct daemon *d, struct servers *servers, struct err *err)
{
	const struct timespec pause = {.tv_nsec = LOCK_TRY_NS};
	struct store_options options = STORE_OPTIONS_DEFAULT;
	int tries, ret;

	options.ring_fd = d->handover.ring_fd;
	options.done = d->handover.state->done;
	options.done_n = HANDOVER_DONE_MAX;
	options.recovered = on_recovered;
	options.recovered_arg = servers;
	options.flags = STORE_CLAIMED | (d->take_over ? STORE_KEEP_ORPHANS : 0);
	for (tries = 0;; tries++) {
		*err = (struct err){0};
		ret = store_open(d->options.store, &options, &d->store, err);
		if (ret != -EBUSY || tries == LOCK_TRIES)
			break;
		(void)nanosleep(&pause, NULL);
	}
	if (ret)
		return ret;
	ns_keep_orphans(d->store, true);
	ret = control_send(d->handover.control_fd, CONTROL_RING, "", store_ring_fd(d->store));
	if (ret)
		return err_set(err, -ret, "the supervisor: %s", err_name(-ret));
	return 0;
}

/* The kernel has this file open for writing since before this daemon's time. One that a rollback has replaced cannot be
 * opened so any more, nor need it. */
static void reopen(void *arg, uint64_t node, uint32_t pid)
{
	struct daemon *d = arg;

	if (!file_open(d->store, NULL, node, FILE_OPEN_WRITE, pid))
		node_table_writer(d->nodes, node, 1);
}

static int start_tables(struct daemon *d, struct err *err)
{
	int ret;

	if ((ret = node_table_new(handover_nodes(&d->handover), NODES_MAX, &d->nodes)) ||
	    (ret = open_table_new(handover_opens(&d->handover), OPENS_MAX, &d->opens)) ||
	    (ret = parked_new(PARKED_THREADS, &d->parked)) || (ret = parked_new(DELIVER_THREADS, &d->parked_deliver)) ||
	    (ret = fence_new(d, &d->fence)))
		return err_set(err, -ret, "starting: %s", err_name(-ret));
	open_table_each(d->opens, reopen, d);
	return 0;
}

static int start_mount(struct daemon *d, struct err *err)
{
	dev_t device = (dev_t)d->handover.state->device;
	int ret = d->take_over ? 0 : mount_prepare(d->options.mount, err);

	if (!ret)
		ret = session_new(d, &d->session, err);
	if (!ret)
		ret = session_start(d->session, err);
	if (ret)
		return ret;
	if (!d->take_over) {
		ret = mount_device(d->options.mount, &device);
		if (ret)
			return err_set(err, -ret, "the mount does not answer: %s", err_name(-ret));
		d->handover.state->device = device;
		mount_set_read_ahead(device);
	}
	return fence_start(d->fence, device, err);
}

static void unmount(struct daemon *d)
{
	struct err err = {0};
	uint64_t us;
	bool busy = false;
	int ret;

	if (fence_run(d, NULL, 0, &us, &err))
		log_warn("before unmounting: %s", err.text);
	ret = mount_detach(d->options.mount, &busy);
	if (ret)
		log_error("%s cannot be unmounted: %s", d->options.mount, err_name(-ret));
	if (busy)
		log_warn("%s was still in use when it was unmounted: whoever uses it gets errors from now on",
			 d->options.mount);
}

/* What the kernel holds is written out while the workers still answer, then the mount goes, then the rest. */
static void stop_parts(struct daemon *d, bool mounted)
{
	if (d->fence)
		fence_stop(d->fence);
	if (d->session && mounted)
		unmount(d);
	atomic_store(&d->handover.state->unmounted, true);
	/* Parked requests may still need the workers, and those of the one kind the other; the session's buffers outlive them. */
	if (d->parked_deliver)
		parked_stop(d->parked_deliver);
	if (d->parked)
		parked_stop(d->parked);
	session_free(d->session);
	parked_free(d->parked_deliver);
	parked_free(d->parked);
	fence_free(d->fence);
	open_table_free(d->opens);
	node_table_free(d->nodes);
}

/* True when it is a reason to end. */
static bool look_at_signal(int signal_fd, enum ending *ret)
{
	struct signalfd_siginfo info;

	if (read(signal_fd, &info, sizeof info) != sizeof info || info.ssi_signo == SIGHUP)
		return false;
	log_info("ending: %s", strsignal((int)info.ssi_signo));
	*ret = END_STOP;
	return true;
}

static bool look_at_control(int control_fd, enum ending *ret)
{
	struct control_message m;
	int fd, bad = control_receive(control_fd, &m, &fd);

	if (fd >= 0)
		(void)close(fd);
	if (bad) {
		log_error("the supervisor has ended: ending too");
		*ret = END_STOP;
		return true;
	}
	*ret = END_HAND_OVER;
	return m.kind == CONTROL_HAND_OVER;
}

static enum ending serve(const struct daemon *d, int signal_fd)
{
	struct pollfd fds[3] = {{.fd = signal_fd, .events = POLLIN},
				{.fd = session_ended_fd(d->session), .events = POLLIN},
				{.fd = d->handover.control_fd, .events = POLLIN}};
	enum ending why;

	for (;;) {
		if (poll(fds, 3, -1) < 0)
			continue;
		if (fds[1].revents) {
			log_info("%s was unmounted", d->options.mount);
			return END_UNMOUNTED;
		}
		if (fds[0].revents && look_at_signal(signal_fd, &why))
			return why;
		if (fds[2].revents && look_at_control(d->handover.control_fd, &why))
			return why;
	}
}

/* Ends between two requests of the API, with little in the ring. For what the kernel has asked it is as if the daemon had
 * been killed: the next one is asked again. */
static enum daemon_exit hand_over(struct daemon *d, struct servers *servers)
{
	/* what takes its time comes first, while the container engine is still answered */
	api_quiesce(servers->api);
	fence_stop(d->fence);
	if (store_commit(d->store))
		log_warn("handing over with what is not committed");
	volume_driver_stop(servers->plugin);
	log_info("handing over");
	return DAEMON_HANDED_OVER;
}

static int start(struct daemon *d, struct servers *servers, struct err *err)
{
	int ret = 0;

	/* an engine's questions are answered while the store is being opened */
	if (d->handover.sockets.v[SOCKET_DOCKER].fd >= 0)
		ret = volume_driver_start(d, &servers->plugin, err);
	if (!ret)
		ret = open_store(d, servers, err);
	if (ret)
		return ret;
	atomic_store(&d->handover.state->recovered, true);
	ret = start_tables(d, err);
	if (!ret)
		ret = start_mount(d, err);
	if (!ret)
		tmpfs_ensure_all(d);
	if (!ret && d->take_over)
		intent_redo(d);
	if (!ret)
		ret = api_start(d, &servers->api, err);
	if (!ret && servers->plugin)
		volume_driver_attach(servers->plugin);
	if (!ret && control_send(d->handover.control_fd, CONTROL_READY, "", -1))
		ret = err_set(err, EPIPE, "the supervisor has ended");
	return ret;
}

/* A daemon that cannot take over leaves all as it is: another one may. */
static enum daemon_exit fail(struct daemon *d, int code, const struct err *err)
{
	log_error("%s%s%s%s", err->text, *err->hint ? " (" : "", err->hint, *err->hint ? ")" : "");
	(void)control_send(d->handover.control_fd, CONTROL_FAILED, err->text, -1);
	return code == -ECORRUPT ? DAEMON_CORRUPT : DAEMON_FAILED;
}

/* The last daemon has unmounted, and did not live to close the store. */
static enum daemon_exit close_only(struct daemon *d)
{
	struct servers servers = {.d = d};
	struct err err = {0};
	int ret = open_store(d, &servers, &err);

	if (!ret) {
		atomic_store(&d->handover.state->recovered, true);
		ret = store_close(d->store, &err);
	}
	uses_free(d->uses);
	if (ret)
		return fail(d, ret, &err);
	log_info("what the last daemon left is in the store");
	return DAEMON_ENDED;
}

static enum daemon_exit run(struct daemon *d, int signal_fd)
{
	struct servers servers = {.d = d};
	struct err err = {0}, closing = {0};
	enum ending why = END_STOP;
	int ret = start(d, &servers, &err);

	if (ret && d->take_over)
		return fail(d, ret, &err);
	if (!ret) {
		log_set_dest(d->options.log_dest, "varved");
		ready_detach(&d->options);
		log_info("%s is %s on %s", d->options.store, d->take_over ? "served again" : "mounted", d->options.mount);
		why = serve(d, signal_fd);
	}
	if (why == END_HAND_OVER)
		return hand_over(d, &servers);
	claim_end(d->handover.claim_fd);
	api_stop(servers.api);
	volume_driver_detach(servers.plugin);
	stop_parts(d, why != END_UNMOUNTED);
	if (d->store && store_close(d->store, &closing) && !ret) {
		err = closing;
		ret = -closing.code;
	}
	/* to the last moment: the next daemon is not there before this one has ended */
	volume_driver_stop(servers.plugin);
	uses_free(d->uses);
	return ret ? fail(d, ret, &err) : DAEMON_ENDED;
}

enum daemon_exit daemon_run(const struct options *o, const struct handover *h)
{
	static struct daemon d;
	AUTO_CLOSE int signal_fd = -1;
	struct err err = {0};
	int ret;

	d.options = *o;
	d.handover = *h;
	(void)pthread_mutex_init(&d.replace_lock, NULL);
	d.started_ns = (int64_t)clock_ns(CLOCK_REALTIME);
	d.started_us = daemon_mono_us();
	ret = handover_map(&d.handover, HANDOVER_SIZE);
	if (ret)
		(void)err_set(&err, -ret, "what was handed over is not understood: %s", err_name(-ret));
	else
		ret = prepare_signals(&signal_fd, &err);
	if (ret)
		return fail(&d, ret, &err);
	if (atomic_load(&d.handover.state->unmounted))
		return close_only(&d);
	d.take_over = handover_can_take_over(&d.handover);
	return run(&d, signal_fd);
}
