/* One daemon at a time, a child of this process, forked with no thread beside this one. It is this program's own code,
 * so that a new program on disk changes nothing until somebody says `upgrade`.
 *
 * The daemon's end is seen by the end of its control socket, not by wait(2): a thread of it that waits for an answer from
 * its own mount goes only when the next daemon gives that answer (visit.h). Whatever the reason, what the kernel has
 * asked stays with the connection, whose descriptor is here, and the next daemon has it sent again. Where the kernel
 * cannot do that (before 6.9), the mount ends with the daemon, in the open, and is made anew; the ring, and so all that
 * was acknowledged, goes on in both cases.
 *
 * An end that goes wrong is tried again too, but not for ever: with the mount first, then without, by daemons that only put into
 * the store what the ring has.
 *
 * The claim on the store is this process's from its start on, and goes with it.
 *
 * States: `child` is 0 while no daemon runs (from start_at on there may be one), `ready` once it serves. `stopping`: the
 * end was asked for, and is reached when a daemon has ended in order. `trying`: the daemon is the new program of an
 * upgrade; if it does not get ready, the old one is started again, else this process becomes the new program too. */
#include "fs/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/control.h"
#include "fs/daemon.h"
#include "fs/ready.h"
#include "fs/restart.h"
#include "fs/set_aside.h"
#include "fs/turn.h"
#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/volume/claim.h"

#define ENV_SUPERVISOR "VARVED_SUPERVISOR"
#define ENV_DAEMON "VARVED_DAEMON"
#define TRY_MS_MAX 60000 /* for a new program to get ready */
#define AWAY_MS 2000
#define REAP_TRIES 200
#define REAP_TRIES_SERVING 20 /* whoever asks something waits meanwhile */
#define REAP_TRY_NS 5000000L
#define NOT_REAPED (-1)

struct supervisor {
	const struct options *o;
	char **argv;
	const char *start_dir;
	int ready_fd; /* -1: nobody waits (any more) */
	int signal_fd;
	struct handover h;
	struct restart restart;
	pid_t child;
	bool ready, stopping, handing_over, trying;
	bool served; /* some daemon was ready */
	uint64_t started_ms, start_at_ms;
	char program[PATH_MAX]; /* of the upgrade */
	char refusal[sizeof((struct upgrade_result *)0)->text];
	bool done;
	int status; /* the first that is not DAEMON_ENDED */
};

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void finish(struct supervisor *s, int status)
{
	s->done = true;
	if (!s->status)
		s->status = status;
}

static void fail(struct supervisor *s, const char *what, int code)
{
	log_error("%s: %s", what, err_name(code));
	finish(s, DAEMON_FAILED);
}

/* --- the connection --- */

static int open_connection(struct supervisor *s)
{
	if (s->h.fuse_fd >= 0)
		return 0;
	s->h.fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (s->h.fuse_fd >= 0)
		return 0;
	if (errno == ENOENT)
		log_error("/dev/fuse: %s (load the kernel's fuse module: modprobe fuse)", err_name(errno));
	else
		log_error("/dev/fuse: %s", err_name(errno));
	return -errno;
}

/* Whoever waits for an answer gets ENOTCONN now, and so does whoever still uses the mount later. */
static void end_connection(struct supervisor *s)
{
	if (s->h.fuse_fd >= 0)
		(void)close(s->h.fuse_fd);
	s->h.fuse_fd = -1;
	if (s->h.state && atomic_load(&s->h.state->serving) && !atomic_load(&s->h.state->unmounted))
		(void)umount2(s->o->mount, UMOUNT_NOFOLLOW | MNT_DETACH);
}

/* What was acknowledged, and no daemon could put into the store, is kept. */
static void give_up(struct supervisor *s)
{
	end_connection(s);
	set_aside(s->h.ring_fd, s->o->store);
	finish(s, DAEMON_FAILED);
}

/* --- the daemon --- */

static void unblock_signals(void)
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void execute(const struct supervisor *s, const char *variable, pid_t child)
{
	int ret = handover_export(&s->h, variable, child);

	/* relative paths among the arguments mean what they meant at the start */
	if (!ret && !chdir(s->start_dir))
		(void)execv(s->program, s->argv);
	log_error("%s cannot be executed: %s", s->program, err_name(ret ? -ret : errno));
	handover_unexport(&s->h, variable);
}

static void child_main(struct supervisor *s)
{
	enum daemon_exit status;

	(void)close(s->signal_fd);
	if (s->ready_fd >= 0)
		(void)close(s->ready_fd);
	unblock_signals();
	if (s->trying) {
		execute(s, ENV_DAEMON, getppid());
		(void)control_send(s->h.control_fd, CONTROL_FAILED, "it cannot be executed", -1);
		_exit(DAEMON_FAILED);
	}
	status = daemon_run(s->o, &s->h);
	/* one that has not ended in order has threads at work */
	if (status == DAEMON_ENDED)
		exit(status);
	_exit(status);
}

static void note_upgrade(struct supervisor *s, const char *refusal)
{
	struct upgrade_result *u = &s->h.state->upgrade;

	u->refused = *refusal;
	(void)snprintf(u->text, sizeof u->text, "%s", refusal);
	u->count++;
	s->trying = false;
}

/* Too little memory, too many processes or descriptors: once something is served, that is waited out. */
static void start_failed(struct supervisor *s, const char *what, int code)
{
	if (!s->served) {
		fail(s, what, code);
		return;
	}
	log_error("%s: %s", what, err_name(code));
	if (s->trying)
		note_upgrade(s, err_name(code));
	if (s->stopping)
		give_up(s);
	s->start_at_ms = now_ms() + (uint64_t)restart_delay_ms(&s->restart, RESTART_FAILED, false, 0);
}

static void start(struct supervisor *s)
{
	int fds[2], ret = open_connection(s);
	pid_t pid;

	if (!ret)
		ret = control_pair(fds);
	if (ret) {
		start_failed(s, "starting the daemon", -ret);
		return;
	}
	atomic_store(&s->h.state->recovered, false);
	s->ready = s->handing_over = false;
	*s->refusal = '\0';
	s->started_ms = now_ms();
	(void)fflush(NULL);
	pid = fork();
	ret = errno;
	s->h.control_fd = fds[pid == 0];
	(void)close(fds[pid != 0]);
	if (pid == 0)
		child_main(s);
	if (pid < 0) {
		(void)close(s->h.control_fd);
		s->h.control_fd = -1;
		start_failed(s, "no process for the daemon", ret);
		return;
	}
	s->child = pid;
}

static const char *when(const struct supervisor *s, bool was_ready)
{
	if (atomic_load(&s->h.state->unmounted))
		return " as it closed the store";
	return was_ready ? "" : " before it was ready";
}

/* Its exit status as waitpid gives it, NOT_REAPED when a thread still waits for the mount. */
static int reap(const struct supervisor *s)
{
	const struct timespec pause = {.tv_nsec = REAP_TRY_NS};
	bool serving = s->ready && !s->handing_over && !atomic_load(&s->h.state->unmounted);
	int status, tries, most = serving ? REAP_TRIES_SERVING : REAP_TRIES;

	for (tries = 0; tries < most; tries++) {
		pid_t pid = waitpid(s->child, &status, WNOHANG);

		if (pid == s->child)
			return status;
		if (pid < 0)
			return NOT_REAPED;
		(void)nanosleep(&pause, NULL);
	}
	return NOT_REAPED;
}

static const char *describe(int status, char *text, size_t size)
{
	if (status == NOT_REAPED)
		(void)snprintf(text, size, "was killed");
	else if (WIFSIGNALED(status))
		(void)snprintf(text, size, "died: %s", strsignal(WTERMSIG(status)));
	else
		(void)snprintf(text, size, "ended with status %d", WEXITSTATUS(status));
	return text;
}

static enum restart_death how_it_died(int status)
{
	if (status == NOT_REAPED || !WIFEXITED(status))
		return RESTART_DIED;
	return WEXITSTATUS(status) == DAEMON_CORRUPT  ? RESTART_CORRUPT
	       : WEXITSTATUS(status) == DAEMON_FAILED ? RESTART_FAILED
						      : RESTART_DIED;
}

/* A daemon that was about to end and did not do it in order. */
static void plan_end(struct supervisor *s, int status)
{
	bool mounted = !atomic_load(&s->h.state->unmounted);

	s->start_at_ms = now_ms();
	if (how_it_died(status) == RESTART_FAILED) {
		give_up(s);
	} else if (!restart_end(&s->restart) && !mounted) {
		log_error("giving up: %d daemons in a row died as they closed the store %s", RESTART_ENDS_MAX, s->o->store);
		give_up(s);
	} else if (mounted && (!s->restart.ends_failed || !handover_can_take_over(&s->h))) {
		log_error("%s ends without having been written out", s->o->mount);
		s->status = DAEMON_FAILED;
		end_connection(s);
		atomic_store(&s->h.state->unmounted, true);
		s->restart.ends_failed = 0;
	}
}

/* A daemon that had to take over and could not, or that died serving. */
static void plan_restart(struct supervisor *s, int status)
{
	bool take_over = handover_can_take_over(&s->h);
	int delay;

	delay = restart_delay_ms(&s->restart, how_it_died(status), atomic_load(&s->h.state->recovered), now_ms() - s->started_ms);
	if (delay < 0) {
		give_up(s);
		return;
	}
	if (!take_over) {
		log_warn("%s ends with its daemon and is mounted anew", s->o->mount);
		end_connection(s);
		if (handover_reset(&s->h)) {
			log_error("starting afresh: %s", err_name(ENOMEM));
			give_up(s);
			return;
		}
	}
	s->start_at_ms = now_ms() + (uint64_t)delay;
}

/* The new program will not do. */
static void refuse_upgrade(struct supervisor *s, int status)
{
	char text[64];

	note_upgrade(s, *s->refusal ? s->refusal : describe(status, text, sizeof text));
	log_error("%s does not take over: %s; going on as before", s->program, s->h.state->upgrade.text);
	s->start_at_ms = now_ms();
}

static void child_gone(struct supervisor *s)
{
	bool was_ready = s->ready, exited;
	pid_t child = s->child;
	char text[64];
	int status;

	/* what is left of it can do nothing any more */
	(void)kill(child, SIGKILL);
	status = reap(s);
	exited = status != NOT_REAPED && WIFEXITED(status);
	s->child = 0;
	s->ready = false;
	(void)close(s->h.control_fd);
	s->h.control_fd = -1;
	if (s->handing_over && !atomic_load(&s->h.state->unmounted)) {
		/* a death does as well, and a program that dies over this has to be replaced all the more */
		if (status != NOT_REAPED && !(exited && WEXITSTATUS(status) == DAEMON_HANDED_OVER))
			log_error("the daemon (process %d) %s as it handed over", (int)child, describe(status, text, sizeof text));
		s->trying = true;
		s->start_at_ms = now_ms();
	} else if (s->trying) {
		refuse_upgrade(s, status);
	} else if (exited && (!s->served || (WEXITSTATUS(status) == DAEMON_ENDED && atomic_load(&s->h.state->unmounted)))) {
		finish(s, WEXITSTATUS(status));
	} else if (!s->served) {
		log_error("the daemon %s before it served anything", describe(status, text, sizeof text));
		finish(s, DAEMON_FAILED);
	} else {
		log_error("the daemon (process %d) %s%s", (int)child, describe(status, text, sizeof text),
			  when(s, was_ready));
		if (s->stopping || atomic_load(&s->h.state->unmounted))
			plan_end(s, status);
		else
			plan_restart(s, status);
	}
}

/* --- messages and signals --- */

static void stop_child(const struct supervisor *s)
{
	if (s->child && s->ready)
		(void)kill(s->child, SIGTERM);
}

static void child_ready(struct supervisor *s)
{
	struct err err = {0};

	s->ready = true;
	if (!s->served) {
		s->served = true;
		log_set_dest(s->o->log_dest, "varved");
		if (ready_tell(s->ready_fd, s->o, &err)) {
			log_error("%s", err.text);
			s->stopping = true;
			s->status = DAEMON_FAILED;
		}
		s->ready_fd = -1;
	}
	if (s->trying && s->stopping) {
		note_upgrade(s, ""); /* the one that it would become knows nothing of the stop */
	} else if (s->trying) {
		log_info("%s serves; the supervisor becomes it too", s->program);
		execute(s, ENV_SUPERVISOR, s->child);
		note_upgrade(s, ""); /* that failed: the daemon is the new one all the same */
	}
	if (s->stopping)
		stop_child(s);
}

static void begin_upgrade(struct supervisor *s, const char *program)
{
	(void)snprintf(s->program, sizeof s->program, "%s", program);
	if (!handover_can_take_over(&s->h)) {
		note_upgrade(s, "the kernel cannot hand a mount over (6.9): stop varved and start it");
	} else if (access(program, X_OK)) {
		note_upgrade(s, err_name(errno));
	} else {
		log_info("upgrading to %s", program);
		s->handing_over = true;
		(void)control_send(s->h.control_fd, CONTROL_HAND_OVER, "", -1);
	}
}

static void look_at_control(struct supervisor *s)
{
	struct control_message m;
	int fd;

	if (control_receive(s->h.control_fd, &m, &fd)) {
		child_gone(s);
		return;
	}
	if (m.kind == CONTROL_RING && fd >= 0) {
		if (s->h.ring_fd >= 0)
			(void)close(s->h.ring_fd);
		s->h.ring_fd = fd;
		return;
	}
	if (fd >= 0)
		(void)close(fd);
	if (m.kind == CONTROL_READY)
		child_ready(s);
	else if (m.kind == CONTROL_FAILED)
		(void)snprintf(s->refusal, sizeof s->refusal, "%.*s", (int)sizeof s->refusal - 1, m.text);
	else if (m.kind == CONTROL_UPGRADE && s->ready && !s->handing_over)
		begin_upgrade(s, m.text);
}

/* Daemons that have gone before; the present one is seen by its socket, where it may have a last word. */
static void reap_earlier(const struct supervisor *s)
{
	siginfo_t who;

	for (;;) {
		who.si_pid = 0;
		if (waitid(P_ALL, 0, &who, WEXITED | WNOHANG | WNOWAIT) || !who.si_pid || who.si_pid == s->child)
			return;
		(void)waitpid(who.si_pid, NULL, WNOHANG);
	}
}

static void look_at_signal(struct supervisor *s)
{
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof info) != sizeof info)
		return;
	if (info.ssi_signo == SIGCHLD) {
		reap_earlier(s);
		return;
	}
	if (info.ssi_signo == SIGHUP)
		return;
	if (!s->stopping) {
		ready_stopping();
		claim_end(s->h.claim_fd);
	}
	s->stopping = true;
	stop_child(s);
}

static void turn_away(int fd)
{
	int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	if (connection >= 0)
		(void)close(connection);
}

static int wait_ms(const struct supervisor *s)
{
	uint64_t now = now_ms(), until = s->child ? s->started_ms + TRY_MS_MAX : s->start_at_ms;

	if (s->child && !s->trying)
		return -1;
	return until > now ? (int)(until - now) : 0;
}

static void step(struct supervisor *s)
{
	struct pollfd fds[2 + SOCKETS] = {{.fd = s->signal_fd, .events = POLLIN}, {.fd = s->h.control_fd, .events = POLLIN}};
	/* when there is no daemon for a while, nobody should wait for its answer */
	bool away = !s->child && s->start_at_ms > now_ms() + AWAY_MS;
	unsigned i;
	int n;

	for (i = 0; i < SOCKETS; i++)
		fds[2 + i] = (struct pollfd){.fd = away ? s->h.sockets.v[i].fd : -1, .events = POLLIN};
	n = poll(fds, 2 + SOCKETS, wait_ms(s));
	if (n < 0)
		return;
	if (fds[0].revents)
		look_at_signal(s);
	if (s->child && fds[1].revents)
		look_at_control(s);
	for (i = 0; i < SOCKETS; i++)
		if (fds[2 + i].revents)
			turn_away(fds[2 + i].fd);
	if (s->trying && s->child && !s->ready && now_ms() >= s->started_ms + TRY_MS_MAX) {
		(void)snprintf(s->refusal, sizeof s->refusal, "it was not ready within %d s", TRY_MS_MAX / 1000);
		(void)kill(s->child, SIGKILL);
		s->started_ms = now_ms();
	}
	if (!s->child && !s->done && now_ms() >= s->start_at_ms)
		start(s);
}

static int prepare(struct supervisor *s)
{
	sigset_t ours;

	(void)sigemptyset(&ours);
	(void)sigaddset(&ours, SIGTERM);
	(void)sigaddset(&ours, SIGINT);
	(void)sigaddset(&ours, SIGHUP);
	(void)sigaddset(&ours, SIGCHLD);
	(void)sigprocmask(SIG_SETMASK, &ours, NULL);
	s->signal_fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal_fd < 0 ? -errno : 0;
}

static int serve(struct supervisor *s)
{
	while (!s->done)
		step(s);
	end_connection(s);
	sockets_close(&s->h.sockets);
	if (s->served)
		ready_gone(s->o);
	return s->status;
}

static void stop_waiting(int sig)
{
	_exit(128 + sig);
}

int supervisor_run(const struct options *o, char **argv, const char *start_dir, int ready_fd)
{
	struct supervisor s = {.o = o, .argv = argv, .start_dir = start_dir, .ready_fd = ready_fd};
	struct err err = {0};
	int ret;

	s.h = (struct handover){.fuse_fd = -1, .state_fd = -1, .ring_fd = -1, .control_fd = -1};
	/* the first process of a container gets no signal that it does not ask for, and its turn may take a while to come */
	if (getpid() == 1) {
		(void)signal(SIGTERM, stop_waiting);
		(void)signal(SIGINT, stop_waiting);
	}
	if (turn_wait(o, ready_fd, &s.h.claim_fd, &err) || sockets_open(o, &s.h.sockets, &err)) {
		log_error("%s%s%s%s", err.text, *err.hint ? " (" : "", err.hint, *err.hint ? ")" : "");
		return DAEMON_FAILED;
	}
	ret = handover_create(&s.h);
	if (!ret)
		ret = prepare(&s);
	if (ret)
		fail(&s, "starting", -ret);
	return serve(&s);
}

int supervisor_resume(const struct options *o, char **argv, const char *start_dir, int *ret_status)
{
	struct supervisor s = {.o = o, .argv = argv, .start_dir = start_dir, .ready_fd = -1, .served = true, .ready = true};
	pid_t child;
	int ret = handover_import(ENV_DAEMON, o, &s.h, &child);

	if (ret < 0) {
		/* another version's supervisor, which goes on with its own program */
		log_error("what was handed over is not understood: %s", err_name(-ret));
		*ret_status = DAEMON_FAILED;
		return 1;
	}
	if (ret > 0) {
		ready_detach(o);
		log_set_dest(o->log_dest, "varved");
		*ret_status = daemon_run(o, &s.h);
		if (*ret_status != DAEMON_ENDED)
			_exit(*ret_status);
		return 1;
	}
	ret = handover_import(ENV_SUPERVISOR, o, &s.h, &s.child);
	if (!ret)
		return 0;
	ready_detach(o);
	log_set_dest(o->log_dest, "varved");
	if (ret > 0)
		ret = handover_map(&s.h, sizeof(struct handover_state));
	if (!ret)
		note_upgrade(&s, "");
	if (!ret)
		ret = prepare(&s);
	if (ret)
		fail(&s, "what was handed over is not understood", -ret);
	*ret_status = serve(&s);
	return 1;
}
