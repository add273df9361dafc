#include "tests/model/power_cut.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "tests/model/alloc.h"

#define SECTOR 512

/* A change of a range of a file, with what was there before; a truncation has no new bytes. */
struct change {
	off_t off;
	size_t len;      /* of the new bytes */
	size_t old_len;  /* of the old ones: shorter at the end of the file */
	off_t old_size, new_size;
	uint8_t *bytes;  /* new, then old */
};

struct unflushed {
	dev_t dev;
	ino_t ino;
	int fd; /* our own */
	char path[300]; /* "" when it is not known; the database's files come by path */
	size_t n, cap;
	struct change *v;
};

struct power_cut {
	pthread_mutex_t lock;
	bool off;
	size_t n, cap;
	struct unflushed *files;
};

static struct unflushed *find_known(struct power_cut *pc, int fd, const char *path)
{
	struct stat st;

	for (size_t i = 0; fd < 0 && i < pc->n; i++)
		if (!strcmp(pc->files[i].path, path))
			return &pc->files[i];
	if (fd < 0 ? stat(path, &st) : fstat(fd, &st))
		abort();
	for (size_t i = 0; i < pc->n; i++)
		if (pc->files[i].ino == st.st_ino && pc->files[i].dev == st.st_dev)
			return &pc->files[i];
	return NULL;
}

static struct unflushed *obtain(struct power_cut *pc, int fd, const char *path)
{
	struct unflushed *f = find_known(pc, fd, path);
	struct stat st;

	if (f)
		return f;
	if (pc->n == pc->cap) {
		pc->cap = pc->cap ? 2 * pc->cap : 8;
		pc->files = must_realloc(pc->files, pc->cap * sizeof *pc->files);
	}
	f = &pc->files[pc->n++];
	*f = (struct unflushed){.fd = fd < 0 ? open(path, O_RDWR | O_CLOEXEC) : fcntl(fd, F_DUPFD_CLOEXEC, 0)};
	if (f->fd < 0 || fstat(f->fd, &st))
		abort();
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	if (fd < 0)
		(void)snprintf(f->path, sizeof f->path, "%s", path);
	return f;
}

static void forget(struct unflushed *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->v[i].bytes);
	f->n = 0;
}

static void drop(struct power_cut *pc, struct unflushed *f)
{
	forget(f);
	free(f->v);
	(void)close(f->fd);
	*f = pc->files[--pc->n];
}

static void remember(struct unflushed *f, const void *data, size_t len, off_t off, bool truncation)
{
	struct change c = {.off = off, .len = len};
	struct stat st;
	ssize_t n = 0;

	if (fstat(f->fd, &st))
		abort();
	c.old_size = st.st_size;
	c.new_size = truncation || off + (off_t)len > st.st_size ? off + (off_t)len : st.st_size;
	if (off < st.st_size)
		c.old_len = truncation || (off_t)len > st.st_size - off ? (size_t)(st.st_size - off) : len;
	c.bytes = must_alloc(len + c.old_len);
	if (len)
		memcpy(c.bytes, data, len);
	if (c.old_len)
		n = pread(f->fd, c.bytes + len, c.old_len, off);
	if (n != (ssize_t)c.old_len)
		abort();
	if (f->n == f->cap) {
		f->cap = f->cap ? 2 * f->cap : 16;
		f->v = must_realloc(f->v, f->cap * sizeof *f->v);
	}
	f->v[f->n++] = c;
}

static int on_io(void *arg, enum io_class cls, enum io_op op, const char *path, int fd, const void *data, size_t *len, off_t off)
{
	struct power_cut *pc = arg;
	struct unflushed *f;

	(void)cls;
	LOCK_SCOPE(&pc->lock);
	if (op == IO_READ || op == IO_OPEN)
		return 0;
	if (pc->off)
		return -EIO;
	if (op == IO_WRITE) {
		remember(obtain(pc, fd, path), data, *len, off, false);
	} else if (op == IO_TRUNCATE) {
		remember(obtain(pc, fd, path), NULL, 0, off, true);
	} else if (op == IO_SYNC) {
		f = find_known(pc, fd, path);
		if (f)
			drop(pc, f);
	}
	return 0;
}

struct power_cut *power_cut_new(void)
{
	struct power_cut *pc = must_zalloc(sizeof *pc);

	(void)pthread_mutex_init(&pc->lock, NULL);
	io_set_hook(on_io, pc);
	return pc;
}

void power_cut_free(struct power_cut *pc)
{
	io_set_hook(NULL, NULL);
	while (pc->n)
		drop(pc, &pc->files[0]);
	free(pc->files);
	(void)pthread_mutex_destroy(&pc->lock);
	free(pc);
}

void power_cut_off(struct power_cut *pc)
{
	LOCK_SCOPE(&pc->lock);

	pc->off = true;
}

void power_cut_on(struct power_cut *pc)
{
	LOCK_SCOPE(&pc->lock);

	pc->off = false;
}

static void put(int fd, const uint8_t *bytes, size_t len, off_t off)
{
	if (len && pwrite(fd, bytes, len, off) != (ssize_t)len)
		abort();
}

static void undo(int fd, const struct change *c)
{
	if (ftruncate(fd, c->old_size))
		abort();
	put(fd, c->bytes + c->len, c->old_len, c->off);
}

/* Does a change again, or the first sectors of it. */
static void redo(int fd, const struct change *c, struct rng *rng)
{
	size_t len = c->len;
	struct stat st;

	if (!len) {
		if (ftruncate(fd, c->new_size))
			abort();
		return;
	}
	if (rng_one_in(rng, 4))
		len = rng_below(rng, len / SECTOR + 1) * SECTOR;
	put(fd, c->bytes, len, c->off);
	if (!fstat(fd, &st) && st.st_size < c->new_size && rng_one_in(rng, 2) && ftruncate(fd, c->new_size))
		abort();
}

void power_cut_lose(struct power_cut *pc, struct rng *rng)
{
	unsigned lose = (unsigned)rng_below(rng, 3); /* all of it, half of it, or nothing */
	uint64_t seed = rng_next(rng);

	LOCK_SCOPE(&pc->lock);
	while (pc->n) {
		struct unflushed *f = &pc->files[pc->n - 1];
		/* how often chance is asked differs from store to store, so each file has its own */
		struct rng chance = {seed + pc->n};

		for (size_t i = f->n; lose != 2 && i-- > 0;)
			undo(f->fd, &f->v[i]);
		for (size_t i = 0; lose == 1 && i < f->n; i++)
			if (rng_one_in(&chance, 2))
				redo(f->fd, &f->v[i], &chance);
		drop(pc, f);
	}
}
