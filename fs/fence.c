/* syncfs(2) is no barrier on a FUSE mount: it returns while pages are on their way. An fsync of each inode is, whoever
 * asks for it, so the fence opens every file that is open for writing, by its handle (it may have no name any more),
 * and fsyncs it. A file that is not open for writing has nothing dirty: the last close, or the end of the last mapping,
 * writes it out before the RELEASE.
 *
 * The OPEN that this causes is recognised by the thread that asks and answered without the engine, and its descriptor's
 * handle number says so in the FSYNC and the RELEASE that follow: the fsync is answered at once, since what comes
 * before it has arrived. */
#include "fs/fence.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/daemon.h"
#include "fs/visit.h"
#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/volume/file_io.h"
#include "store/volume/namespace.h"

#define DELIVER_INTERVAL_S 5
#define OWN_THREADS_MAX 64
#define FENCE_THREADS_MAX 4
#define FILES_PER_THREAD 8
#define HANDLE_TYPE_FUSE 0x81 /* FILEID_INO64_GEN: node id high, low, generation */

struct fence {
	struct daemon *d;
	_Atomic pid_t own[OWN_THREADS_MAX]; /* 0: free */
	dev_t dev;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* covers stopping */
	pthread_cond_t cond;
	bool stopping;
};

int fence_new(struct daemon *d, struct fence **ret)
{
	struct fence *f = calloc(1, sizeof *f);
	pthread_condattr_t attr;

	if (!f)
		return -ENOMEM;
	f->d = d;
	(void)pthread_mutex_init(&f->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&f->cond, &attr);
	(void)pthread_condattr_destroy(&attr);
	*ret = f;
	return 0;
}

void fence_free(struct fence *f)
{
	if (!f)
		return;
	fence_stop(f);
	(void)pthread_cond_destroy(&f->cond);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}

/* --- own threads --- */

bool fence_is_own_thread(const struct fence *f, pid_t tid)
{
	unsigned i;

	for (i = 0; i < OWN_THREADS_MAX; i++)
		if (atomic_load_explicit(&f->own[i], memory_order_acquire) == tid)
			return tid != 0;
	return false;
}

/* Enters the calling thread; its place, or -EBUSY. */
static int own_enter(struct fence *f)
{
	int i;

	for (i = 0; i < OWN_THREADS_MAX; i++) {
		pid_t free_slot = 0;

		if (atomic_compare_exchange_strong(&f->own[i], &free_slot, gettid()))
			return i;
	}
	return -EBUSY;
}

static void own_leave(struct fence *f, int slot)
{
	atomic_store_explicit(&f->own[slot], 0, memory_order_release);
}

/* --- descriptors on the mount --- */

/* In a visiting thread, and held only for as long as it is needed: an open one keeps the mount busy. */
static int open_mount(const struct fence *f, int *ret_fd)
{
	int fd = open(f->d->options.mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || st.st_dev != f->dev) {
		(void)close(fd);
		return -ENOTCONN; /* something else is mounted there by now */
	}
	*ret_fd = fd;
	return 0;
}

static int open_node(int mount_fd, uint64_t node, int *ret_fd)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + 3 * sizeof(uint32_t)];
	} u = {0};
	const uint32_t words[3] = {(uint32_t)(node >> 32), (uint32_t)node, 0};
	int fd;

	u.h.handle_bytes = sizeof words;
	u.h.handle_type = HANDLE_TYPE_FUSE;
	memcpy(u.room + offsetof(struct file_handle, f_handle), words, sizeof words);
	fd = open_by_handle_at(mount_fd, &u.h, O_RDONLY | O_CLOEXEC | O_NOATIME);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* A file that was closed meanwhile has delivered; one of a head that a rollback replaced has nothing to deliver any
 * more. */
static bool is_gone(int ret)
{
	return ret == -ESTALE || ret == -ENOENT;
}

static int deliver(int mount_fd, uint64_t node)
{
	AUTO_CLOSE int fd = -1;
	int ret = open_node(mount_fd, node, &fd);

	if (ret)
		return is_gone(ret) ? 0 : ret;
	ret = fsync(fd) ? -errno : 0;
	return is_gone(ret) ? 0 : ret;
}

/* --- many files --- */

struct round {
	struct fence *f;
	const struct open_file *files;
	size_t n;
	_Atomic size_t next;
	_Atomic int failed; /* -errno of the first that could not be delivered */
	_Atomic uint64_t failed_node;
};

static void round_failed(struct round *r, int ret, uint64_t node)
{
	int none = 0;

	if (atomic_compare_exchange_strong(&r->failed, &none, ret))
		atomic_store(&r->failed_node, node);
}

static void round_run(void *arg, int unused_fd)
{
	struct round *r = arg;
	AUTO_CLOSE int fd = -1;
	int slot = own_enter(r->f), ret;
	size_t i;

	(void)unused_fd;
	ret = slot < 0 ? slot : open_mount(r->f, &fd);
	if (ret)
		round_failed(r, ret, 0);
	while (!ret && (i = atomic_fetch_add(&r->next, 1)) < r->n) {
		int bad = deliver(fd, r->files[i].node);

		if (bad)
			round_failed(r, bad, r->files[i].node);
	}
	if (slot >= 0)
		own_leave(r->f, slot);
}

static int run_round(struct round *r, struct err *err)
{
	AUTO_FREE char *volume = NULL;
	AUTO_FREE char *path = NULL;
	struct visit visits[FENCE_THREADS_MAX];
	size_t i, n = 1 + r->n / FILES_PER_THREAD;
	uint64_t node;
	int ret;

	if (n > FENCE_THREADS_MAX)
		n = FENCE_THREADS_MAX;
	for (i = 0; i < n; i++) {
		visits[i] = (struct visit){.fn = round_run, .arg = r, .keep_fd = -1};
		visit_start(&visits[i]);
	}
	for (i = 0; i < n; i++)
		visit_join(&visits[i]);
	ret = atomic_load(&r->failed);
	if (!ret)
		return 0;
	node = atomic_load(&r->failed_node);
	if (node && !ns_path(r->f->d->store, node, &volume, &path))
		return err_set(err, -ret, "what was written to %s%s could not be taken over: %s", volume, path,
			       err_name(-ret));
	return err_set(err, -ret, "what was written could not be taken over: %s", err_name(-ret));
}

static int list_files(struct daemon *d, const int64_t *volumes, size_t n, struct open_file **ret, size_t *ret_n)
{
	AUTO_FREE struct open_file *all = NULL;
	size_t i, have = 0;
	int r;

	if (!n)
		return file_open_list(d->store, 0, ret, ret_n);
	for (i = 0; i < n; i++) {
		AUTO_FREE struct open_file *some = NULL;
		struct open_file *grown;
		size_t some_n = 0;

		r = file_open_list(d->store, volumes[i], &some, &some_n);
		if (r)
			return r;
		if (!some_n)
			continue;
		grown = reallocarray(all, have + some_n, sizeof *all);
		if (!grown)
			return -ENOMEM;
		all = grown;
		memcpy(all + have, some, some_n * sizeof *all);
		have += some_n;
	}
	*ret = steal(&all);
	*ret_n = have;
	return 0;
}

int fence_run(struct daemon *d, const int64_t *volumes, size_t n, uint64_t *ret_us, struct err *err)
{
	AUTO_FREE struct open_file *files = NULL;
	uint64_t began = daemon_mono_us();
	struct round r = {.f = d->fence};
	int ret;

	ret = list_files(d, volumes, n, &files, &r.n);
	if (ret)
		return err_set(err, -ret, "what was written could not be taken over: %s", err_name(-ret));
	r.files = files;
	ret = r.n ? run_round(&r, err) : 0;
	if (!ret)
		*ret_us = daemon_mono_us() - began;
	return ret;
}

struct delivery {
	struct fence *f;
	uint64_t node;
	int64_t off;
	int ret;
};

static void deliver_range(void *arg, int unused_fd)
{
	struct delivery *v = arg;
	AUTO_CLOSE int mount_fd = -1;
	AUTO_CLOSE int fd = -1;
	int slot;

	(void)unused_fd;
	v->ret = open_mount(v->f, &mount_fd);
	if (v->ret)
		return;
	slot = own_enter(v->f);
	if (slot < 0) {
		v->ret = slot;
		return;
	}
	/* Not fsync: whoever asks for SEEK_DATA holds the inode's lock. */
	v->ret = open_node(mount_fd, v->node, &fd);
	if (!v->ret && sync_file_range(fd, v->off, 0,
				       SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER))
		v->ret = -errno;
	own_leave(v->f, slot);
}

int fence_deliver_range(struct daemon *d, uint64_t node, int64_t off)
{
	struct delivery v = {.f = d->fence, .node = node, .off = off};

	visit(deliver_range, &v, -1);
	return is_gone(v.ret) ? 0 : v.ret;
}

/* --- every few seconds --- */

static bool wait_stopping(struct fence *f)
{
	struct timespec until;
	int ret = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += DELIVER_INTERVAL_S;
	LOCK_SCOPE(&f->lock);
	while (!f->stopping && ret != ETIMEDOUT)
		ret = pthread_cond_timedwait(&f->cond, &f->lock, &until);
	return f->stopping;
}

static void deliver_all(void *arg, int unused_fd)
{
	struct delivery *v = arg;
	AUTO_CLOSE int fd = -1;

	(void)unused_fd;
	v->ret = open_mount(v->f, &fd);
	if (!v->ret && syncfs(fd))
		v->ret = -errno;
}

/* The durability contract's five seconds begin when the kernel delivers, which by itself it does only after thirty. */
static void *deliver_main(void *arg)
{
	struct fence *f = arg;

	(void)pthread_setname_np(pthread_self(), "deliver");
	while (!wait_stopping(f)) {
		struct delivery v = {.f = f};

		visit(deliver_all, &v, -1);
		if (v.ret)
			log_debug("syncfs of the mount: %s", err_name(-v.ret));
	}
	return NULL;
}

int fence_start(struct fence *f, dev_t device, struct err *err)
{
	int ret;

	f->dev = device;
	ret = pthread_create(&f->thread, NULL, deliver_main, f);
	if (ret)
		return err_set(err, ret, "no thread: %s", err_name(ret));
	f->started = true;
	return 0;
}

void fence_stop(struct fence *f)
{
	if (!f->started)
		return;
	(void)pthread_mutex_lock(&f->lock);
	f->stopping = true;
	(void)pthread_cond_signal(&f->cond);
	(void)pthread_mutex_unlock(&f->lock);
	(void)pthread_join(f->thread, NULL);
	f->started = false;
}
