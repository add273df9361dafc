#include "tests/crash/disk.h"

#include <fcntl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crash/disk_internal.h"
#include "tests/model/alloc.h"

void disk_held_path(const struct disk *d, int file, char *ret, size_t len)
{
	(void)snprintf(ret, len, "%s/.held%d/%d", d->tree.path, d->level, file);
}

struct disk *disk_new(const char *dir, int level, unsigned flags)
{
	struct disk *d = must_zalloc(sizeof *d);
	char path[300];

	d->level = level;
	d->flags = flags;
	tree_scan(&d->tree, dir);
	(void)snprintf(path, sizeof path, "%s/.held%d", dir, level);
	if (mkdir(path, 0700))
		abort();
	return d;
}

struct body *disk_body(struct disk *d, int file)
{
	while (d->nbodies <= file) {
		d->bodies = must_realloc(d->bodies, (size_t)(d->nbodies + 1) * sizeof *d->bodies);
		d->bodies[d->nbodies++] = (struct body){.fd = -1};
	}
	return &d->bodies[file];
}

/* A descriptor of the file, by its name or where it is held. -1: it is gone. */
static int obtain_fd(struct disk *d, int file)
{
	const struct tree_entry *e = &d->tree.v[file];
	struct body *b = disk_body(d, file);
	char path[300];

	if (b->fd >= 0)
		return b->fd;
	if (e->dir != TREE_NONE)
		tree_path(&d->tree, e->dir, e->name, path, sizeof path);
	else
		disk_held_path(d, file, path, sizeof path);
	b->fd = open(path, O_RDWR | O_CLOEXEC);
	return b->fd;
}

static void forget_changes(struct body *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(b->v[i].bytes);
	b->n -= n;
	b->base += n;
	if (b->n)
		memmove(b->v, b->v + n, b->n * sizeof *b->v);
}

static void close_body(struct body *b)
{
	if (b->fd >= 0)
		(void)close(b->fd);
	b->fd = -1;
}

struct tree *disk_tree(struct disk *d)
{
	return &d->tree;
}

static void remove_held(struct disk *d)
{
	char path[300];

	for (int i = 0; i < d->tree.n; i++) {
		disk_held_path(d, i, path, sizeof path);
		(void)unlink(path);
	}
	(void)snprintf(path, sizeof path, "%s/.held%d", d->tree.path, d->level);
	if (rmdir(path))
		abort();
}

void disk_free(struct disk *d)
{
	for (int i = 0; i < d->nbodies; i++) {
		forget_changes(&d->bodies[i], d->bodies[i].n);
		free(d->bodies[i].v);
		close_body(&d->bodies[i]);
	}
	for (int i = 0; i < d->nfolders; i++)
		folder_free(&d->folders[i]);
	remove_held(d);
	free(d->bodies);
	free(d->folders);
	tree_free(&d->tree);
	free(d);
}

/* --- remembering --- */

static void remember(struct disk *d, const struct disk_event *ev)
{
	struct body *b = disk_body(d, ev->file);
	int fd = obtain_fd(d, ev->file);
	struct change c = {.op = ev->op, .off = ev->off, .len = ev->len, .seq = ++d->seq};
	size_t new_len = ev->op == IO_WRITE ? ev->len : 0;
	off_t end = ev->off + (off_t)ev->len;
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st))
		abort();
	c.old_size = c.new_size = st.st_size;
	if (ev->op == IO_TRUNCATE)
		c.new_size = ev->off;
	else if (ev->op == IO_WRITE && end > st.st_size)
		c.new_size = end;
	if (ev->op == IO_TRUNCATE || end > st.st_size)
		end = st.st_size;
	c.old_len = end > ev->off ? (size_t)(end - ev->off) : 0;
	c.bytes = must_alloc(new_len + c.old_len);
	c.new_len = new_len;
	if (new_len)
		memcpy(c.bytes, ev->data, new_len);
	if (c.old_len && pread(fd, c.bytes + new_len, c.old_len, ev->off) != (ssize_t)c.old_len)
		abort();
	if (b->n == b->cap) {
		b->cap = b->cap ? 2 * b->cap : 16;
		b->v = must_realloc(b->v, b->cap * sizeof *b->v);
	}
	b->v[b->n++] = c;
}

void marks_begin(struct marks *m, int thread, uint64_t upto)
{
	if (m->n == MARKS_MAX)
		abort();
	m->v[m->n++] = (struct mark){thread, upto};
}

uint64_t marks_end(struct marks *m, int thread)
{
	for (int i = m->n; i-- > 0;)
		if (m->v[i].thread == thread) {
			uint64_t upto = m->v[i].upto;

			m->v[i] = m->v[--m->n];
			return upto;
		}
	return 0; /* begun before anybody watched */
}

static void body_synced(struct disk *d, struct body *b, uint64_t upto)
{
	if (upto <= b->base + b->synced)
		return;
	b->synced = (size_t)(upto - b->base);
	if (d->flags & DISK_KEEP)
		return;
	forget_changes(b, b->synced);
	b->synced = 0;
	if (!b->n)
		close_body(b);
}

void disk_event(struct disk *d, const struct disk_event *ev)
{
	struct body *b;

	switch (ev->op) {
	case IO_PUNCH:
		if (d->flags & DISK_PUNCHED)
			return;
		remember(d, ev);
		return;
	case IO_WRITE:
	case IO_TRUNCATE:
		remember(d, ev);
		return;
	case IO_SYNC:
	case DISK_SYNCED:
		if (d->tree.v[ev->file].is_dir) {
			folder_sync(d, ev);
			return;
		}
		b = disk_body(d, ev->file);
		if (ev->op == IO_SYNC)
			marks_begin(&b->marks, ev->thread, b->base + b->n);
		else
			body_synced(d, b, marks_end(&b->marks, ev->thread));
		return;
	case IO_MKDIR:
		(void)tree_add(&d->tree, ev->dir, ev->name, true);
		return;
	default:
		folder_event(d, ev);
	}
}

/* --- changing the folder --- */

static void put(int fd, const uint8_t *bytes, size_t len, off_t off)
{
	if (len && pwrite(fd, bytes, len, off) != (ssize_t)len)
		abort();
}

static void set_size(int fd, off_t size)
{
	if (ftruncate(fd, size))
		abort();
}

static void punch(int fd, off_t off, off_t len)
{
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len))
		abort();
}

static void undo(int fd, const struct change *c)
{
	struct stat st;

	if (fstat(fd, &st))
		abort();
	if (st.st_size != c->old_size)
		set_size(fd, c->old_size);
	put(fd, c->bytes + c->new_len, c->old_len, c->off);
}

static void redo(int fd, const struct change *c)
{
	if (c->op == IO_TRUNCATE)
		set_size(fd, c->new_size);
	else if (c->op == IO_PUNCH)
		punch(fd, c->off, (off_t)c->len);
	else
		put(fd, c->bytes, c->new_len, c->off);
}

/* The write reaches the disk in part: its first sectors, or some of them; the size may be there without them. */
static void redo_torn(int fd, const struct change *c, struct rng *rng)
{
	bool prefix = rng_one_in(rng, 2);
	off_t end = c->off + (off_t)c->new_len, next;
	struct stat st;

	for (off_t at = c->off; at < end; at = next) {
		next = (at / DISK_SECTOR + 1) * DISK_SECTOR;
		next = next < end ? next : end;
		if (rng_one_in(rng, prefix ? (unsigned)((end - c->off) / DISK_SECTOR + 2) : 2)) {
			if (prefix)
				break;
			continue;
		}
		put(fd, c->bytes + (at - c->off), (size_t)(next - at), at);
	}
	if (!fstat(fd, &st) && st.st_size < c->new_size && rng_one_in(rng, 2))
		set_size(fd, c->new_size);
}

static void undo_to(struct disk *d, int file, size_t upto)
{
	struct body *b = &d->bodies[file];

	for (size_t i = b->n; i-- > upto;)
		undo(obtain_fd(d, file), &b->v[i]);
}

static void lose_some(struct disk *d, int file, const struct disk_loss *loss, struct rng *rng)
{
	struct body *b = &d->bodies[file];

	for (size_t i = b->synced; i < b->n; i++) {
		const struct change *c = &b->v[i];

		if (!loss_keeps(loss, c->seq, rng))
			continue;
		if (loss->kind == LOSS_SOME && c->op == IO_WRITE && rng_one_in(rng, 4))
			redo_torn(obtain_fd(d, file), c, rng);
		else
			redo(obtain_fd(d, file), c);
	}
}

bool loss_keeps(const struct disk_loss *loss, uint64_t seq, struct rng *rng)
{
	switch (loss->kind) {
	case LOSS_ALL:
		return false;
	case LOSS_NONE:
		return true;
	case LOSS_LATE:
		return seq <= loss->upto;
	default:
		return rng_one_in(rng, 2);
	}
}

void disk_lose(struct disk *d, struct rng *rng)
{
	struct disk_loss loss = {.kind = (enum loss_kind)rng_below(rng, LOSS_KINDS)};
	uint64_t oldest = d->seq;

	/* so that what is lost does not depend on how often chance was asked for other files */
	for (int i = 0; i < d->nbodies; i++)
		if (d->bodies[i].n > d->bodies[i].synced && d->bodies[i].v[d->bodies[i].synced].seq < oldest)
			oldest = d->bodies[i].v[d->bodies[i].synced].seq;
	loss.upto = oldest + rng_below(rng, d->seq - oldest + 1);
	for (int i = 0; i < d->nbodies; i++) {
		if (d->bodies[i].n == d->bodies[i].synced)
			continue;
		undo_to(d, i, d->bodies[i].synced);
		lose_some(d, i, &loss, rng);
	}
	for (int i = 0; i < d->nfolders; i++)
		folder_lose(d, i, &loss, rng);
}

void disk_redo(struct disk *d)
{
	for (int i = 0; i < d->nfolders; i++)
		folder_show(d, i, FOLDER_NOW);
	for (int i = 0; i < d->nbodies; i++) {
		struct body *b = &d->bodies[i];

		undo_to(d, i, b->synced);
		for (size_t j = b->synced; j < b->n; j++)
			redo(obtain_fd(d, i), &b->v[j]);
	}
}

void disk_settle(struct disk *d)
{
	for (int i = 0; i < d->nbodies; i++) {
		d->bodies[i].marks.n = 0;
		body_synced(d, &d->bodies[i], d->bodies[i].base + d->bodies[i].n);
	}
	for (int i = 0; i < d->nfolders; i++)
		folder_settle(d, i);
}

void disk_take_back(struct disk *d)
{
	for (int i = 0; i < d->nfolders; i++)
		folder_show(d, i, FOLDER_BASE);
	for (int i = 0; i < d->nbodies; i++)
		undo_to(d, i, 0);
}

void disk_do(struct disk *d, const struct disk_event *ev)
{
	char path[300], to[300];
	int fd;

	switch (ev->op) {
	case IO_WRITE:
		put(obtain_fd(d, ev->file), ev->data, ev->len, ev->off);
		break;
	case IO_TRUNCATE:
		set_size(obtain_fd(d, ev->file), ev->off);
		break;
	case IO_PUNCH:
		punch(obtain_fd(d, ev->file), ev->off, (off_t)ev->len);
		break;
	case IO_OPEN:
	case IO_UNLINK:
	case IO_RENAME:
	case IO_MKDIR:
		tree_path(&d->tree, ev->dir, ev->name, path, sizeof path);
		tree_path(&d->tree, ev->dir, ev->to, to, sizeof to);
		if (ev->op == IO_OPEN && (fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) >= 0)
			(void)close(fd);
		else if (ev->op == IO_UNLINK ? unlink(path) : ev->op == IO_RENAME ? rename(path, to) : ev->op == IO_MKDIR ? mkdir(path, 0700) : 1)
			abort();
		break;
	default:
		break;
	}
}
