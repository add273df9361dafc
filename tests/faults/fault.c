#include "tests/faults/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/io.h"
#include "tests/model/alloc.h"

#define SECTOR 512

/* One sector that the disk does not have as it was last written. */
struct sector {
	off_t at;
	size_t old_len; /* less at what was the end of the file */
	bool forgotten;
	uint8_t old[SECTOR];
};

struct watched {
	dev_t dev;
	ino_t ino;
	int fd;
	off_t size; /* the durable one */
	size_t n, cap;
	struct sector *v; /* by `at` */
};

static struct {
	struct fault_plan plan;
	unsigned long seen;
	unsigned inside;
	bool ended, struck;
	bool watching, off;
	size_t n, cap;
	struct watched *files;
} st;

static const char *const kind_names[] = {"allocation", "SQLite allocation", "SQLite call", "pack I/O", "journal I/O", "database I/O"};
static const char *const how_names[] = {"EIO", "ENOSPC", "short"};

const char *fault_describe(const struct fault_plan *p)
{
	static char text[80];

	(void)snprintf(text, sizeof text, "%s %lu %s%s", kind_names[p->kind], p->nth,
		       p->kind >= FAULT_PACK ? how_names[p->how] : "fails", p->for_good ? " for good" : " once");
	return text;
}

void fault_set(const struct fault_plan *plan)
{
	st.plan = *plan;
	st.seen = 0;
	st.inside = 0;
	st.struck = false;
	st.ended = !plan->nth;
}

void fault_enter(void)
{
	st.inside++;
}

void fault_leave(void)
{
	st.inside--;
}

void fault_end(void)
{
	st.ended = true;
}

bool fault_struck(void)
{
	return st.struck;
}

bool fault_point(enum fault_kind kind)
{
	if (!st.inside || st.ended || kind != st.plan.kind)
		return false;
	st.seen++;
	if (st.plan.for_good ? st.seen < st.plan.nth : st.seen != st.plan.nth)
		return false;
	st.struck = true;
	return true;
}

/* --- the disk --- */

static struct watched *find_file(int fd, const char *path)
{
	struct stat now;

	if (fd < 0 ? stat(path, &now) : fstat(fd, &now))
		return NULL;
	for (size_t i = 0; i < st.n; i++)
		if (st.files[i].ino == now.st_ino && st.files[i].dev == now.st_dev)
			return &st.files[i];
	return NULL;
}

static struct watched *obtain(int fd, const char *path)
{
	struct watched *f = find_file(fd, path);
	struct stat now;
	char own[40];

	if (f)
		return f;
	if (st.n == st.cap) {
		st.cap = st.cap ? 2 * st.cap : 8;
		st.files = must_realloc(st.files, st.cap * sizeof *st.files);
	}
	f = &st.files[st.n++];
	if (fd >= 0) /* the engine's may not be for reading */
		(void)snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
	*f = (struct watched){.fd = open(fd >= 0 ? own : path, O_RDWR | O_CLOEXEC)};
	if (f->fd < 0 || fstat(f->fd, &now))
		abort();
	f->dev = now.st_dev;
	f->ino = now.st_ino;
	f->size = now.st_size;
	return f;
}

static size_t sector_slot(const struct watched *f, off_t at)
{
	size_t lo = 0, hi = f->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (f->v[mid].at < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Before [off, off + len) is written: what the disk has there stays known. */
static void remember(struct watched *f, off_t off, size_t len)
{
	for (off_t at = off / SECTOR * SECTOR; at < off + (off_t)len; at += SECTOR) {
		size_t i = sector_slot(f, at);
		ssize_t n;

		if (i < f->n && f->v[i].at == at) {
			f->v[i].forgotten = false;
			continue;
		}
		if (f->n == f->cap) {
			f->cap = f->cap ? 2 * f->cap : 64;
			f->v = must_realloc(f->v, f->cap * sizeof *f->v);
		}
		memmove(&f->v[i + 1], &f->v[i], (f->n - i) * sizeof *f->v);
		f->n++;
		f->v[i] = (struct sector){.at = at};
		n = pread(f->fd, f->v[i].old, SECTOR, at);
		if (n < 0)
			abort();
		f->v[i].old_len = (size_t)n;
	}
}

static void synced(struct watched *f, bool failed)
{
	size_t kept = 0;
	struct stat now;

	for (size_t i = 0; i < f->n; i++) {
		f->v[i].forgotten = f->v[i].forgotten || failed;
		if (f->v[i].forgotten)
			f->v[kept++] = f->v[i];
	}
	f->n = kept;
	if (!failed && !fstat(f->fd, &now))
		f->size = now.st_size;
}

static void watch(enum io_op op, const char *path, int fd, size_t len, off_t off, bool failed)
{
	struct watched *f;
	struct stat now;

	if (!st.watching || st.off)
		return;
	if (op == IO_WRITE && len) {
		remember(obtain(fd, path), off, len);
	} else if (op == IO_TRUNCATE && !failed) {
		f = obtain(fd, path);
		if (!fstat(f->fd, &now) && now.st_size > off)
			remember(f, off, (size_t)(now.st_size - off));
	} else if (op == IO_SYNC && (f = find_file(fd, path))) {
		synced(f, failed);
	}
}

static int io_error(enum io_op op, size_t *len)
{
	if (op == IO_WRITE && st.plan.how == FAULT_SHORT)
		*len /= 2;
	else if (op == IO_WRITE)
		*len = 0;
	return st.plan.how == FAULT_EIO ? -EIO : -ENOSPC;
}

static bool can_fail(enum io_op op)
{
	return st.plan.how == FAULT_EIO || op == IO_WRITE || (op == IO_ALLOCATE && st.plan.how == FAULT_ENOSPC);
}

static int on_io(void *arg, enum io_class cls, enum io_op op, const char *path, int fd, const void *data, size_t *len, off_t off)
{
	static const enum fault_kind kinds[] = {[IO_PACK] = FAULT_PACK, [IO_JOURNAL] = FAULT_JOURNAL, [IO_DB] = FAULT_DB};
	unsigned inside = st.inside;
	int ret = 0;

	(void)arg, (void)data;
	if (st.off)
		return op == IO_READ || op == IO_OPEN ? 0 : -EIO;
	if (cls < IO_SMALL && can_fail(op) && fault_point(kinds[cls]))
		ret = io_error(op, len);
	st.inside = 0; /* our own memory does not fail */
	watch(op, path, fd, *len, off, ret != 0);
	st.inside = inside;
	return ret;
}

void fault_init(void)
{
	io_set_hook(on_io, NULL);
}

void disk_watch(void)
{
	st.watching = true;
}

void disk_off(void)
{
	st.off = true;
}

void disk_forget(void)
{
	for (size_t i = 0; i < st.n; i++) {
		(void)close(st.files[i].fd);
		free(st.files[i].v);
	}
	st.n = 0;
	st.off = st.watching = false;
}

void disk_lose(void)
{
	for (size_t i = 0; i < st.n; i++) {
		const struct watched *f = &st.files[i];
		struct stat now;

		for (size_t k = 0; k < f->n; k++)
			if (pwrite(f->fd, f->v[k].old, f->v[k].old_len, f->v[k].at) != (ssize_t)f->v[k].old_len)
				abort();
		if (!fstat(f->fd, &now) && now.st_size > f->size && ftruncate(f->fd, f->size))
			abort();
	}
	disk_forget();
}
