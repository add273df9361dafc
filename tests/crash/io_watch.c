#include "tests/crash/io_watch.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "tests/model/alloc.h"

struct io_watch {
	pthread_mutex_t lock;
	io_watch_fn fn;
	void *arg;
	struct tree *tree;
	int ninos;
	ino_t *inos; /* by number of file; 0 until it is looked up */
};

static ino_t ino_of(struct io_watch *w, int file)
{
	const struct tree_entry *e = &w->tree->v[file];
	char path[300];
	struct stat st;

	while (w->ninos < w->tree->n) {
		w->inos = must_realloc(w->inos, (size_t)(w->ninos + 1) * sizeof *w->inos);
		w->inos[w->ninos++] = 0;
	}
	if (w->inos[file] || (e->dir == TREE_NONE && file != TREE_ROOT))
		return w->inos[file];
	tree_path(w->tree, file == TREE_ROOT ? TREE_ROOT : e->dir, e->name, path, sizeof path);
	w->inos[file] = lstat(path, &st) ? 0 : st.st_ino;
	return w->inos[file];
}

static int file_of_fd(struct io_watch *w, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		abort();
	for (int i = w->tree->n; i-- > 0;)
		if (ino_of(w, i) == st.st_ino)
			return i;
	return TREE_NONE;
}

/* The folder that a path lies in, and the name there. TREE_NONE: not in the store. */
static int split(struct io_watch *w, int dirfd, const char *path, const char **ret_name)
{
	size_t len = strlen(w->tree->path);

	*ret_name = path;
	if (dirfd >= 0)
		return strchr(path, '/') ? TREE_NONE : file_of_fd(w, dirfd);
	if (strncmp(path, w->tree->path, len) || path[len] != '/' || strchr(path + len + 1, '/'))
		return TREE_NONE;
	*ret_name = path + len + 1;
	return TREE_ROOT;
}

static int file_at(struct io_watch *w, const char *path, int fd)
{
	const char *name;
	int dir;

	if (!path)
		return file_of_fd(w, fd);
	dir = split(w, -1, path, &name);
	return dir == TREE_NONE ? TREE_NONE : tree_find(w->tree, dir, name);
}

static int tell(struct io_watch *w, struct disk_event *ev)
{
	ev->thread = (int)gettid();
	return w->fn(w->arg, ev);
}

static int on_open(struct io_watch *w, struct disk_event *ev, int flags)
{
	ev->file = tree_find(w->tree, ev->dir, ev->name);
	if (ev->file == TREE_NONE) {
		ev->file = w->tree->n;
		return flags & O_CREAT ? tell(w, ev) : 0;
	}
	ev->op = IO_TRUNCATE;
	return flags & O_TRUNC ? tell(w, ev) : 0;
}

static int on_mkdir(struct io_watch *w, struct disk_event *ev)
{
	if (tree_find(w->tree, ev->dir, ev->name) != TREE_NONE)
		return 0;
	ev->file = w->tree->n;
	return tell(w, ev);
}

/* Removal and renaming. Writes through descriptors may go on, so the inodes are looked up while there are names. */
static int on_name(struct io_watch *w, struct disk_event *ev)
{
	int there = *ev->to ? tree_find(w->tree, ev->dir, ev->to) : TREE_NONE;

	ev->file = tree_find(w->tree, ev->dir, ev->name);
	if (ev->file == TREE_NONE)
		return 0;
	(void)ino_of(w, ev->file);
	if (there != TREE_NONE)
		(void)ino_of(w, there);
	return tell(w, ev);
}

void tree_follow(struct tree *t, const struct disk_event *ev)
{
	int there;

	switch (ev->op) {
	case IO_OPEN:
	case IO_MKDIR:
		(void)tree_add(t, ev->dir, ev->name, ev->op == IO_MKDIR);
		break;
	case IO_UNLINK:
		tree_set(t, ev->file, TREE_NONE, "");
		break;
	case IO_RENAME:
		there = tree_find(t, ev->dir, ev->to);
		if (there != TREE_NONE)
			tree_set(t, there, TREE_NONE, "");
		tree_set(t, ev->file, ev->dir, ev->to);
		break;
	default:
		break;
	}
}

static int on_io(void *arg, enum io_class cls, enum io_op op, const char *path, int fd, const void *data, size_t *len, off_t off)
{
	struct io_watch *w = arg;
	struct disk_event ev = {.op = op, .off = off, .len = *len, .data = data};
	const char *name;

	(void)cls;
	if (op == IO_READ || op == IO_ALLOCATE)
		return 0;
	LOCK_SCOPE(&w->lock);
	if (op == IO_WRITE || op == IO_TRUNCATE || op == IO_PUNCH || op == IO_SYNC) {
		ev.file = file_at(w, path, fd);
		return ev.file == TREE_NONE ? 0 : tell(w, &ev);
	}
	ev.dir = split(w, fd, path, &name);
	if (ev.dir == TREE_NONE)
		return 0;
	(void)snprintf(ev.name, sizeof ev.name, "%s", name);
	ev.off = 0;
	if (op == IO_OPEN)
		return on_open(w, &ev, (int)off);
	if (op == IO_MKDIR)
		return on_mkdir(w, &ev);
	if (op == IO_RENAME)
		(void)snprintf(ev.to, sizeof ev.to, "%s", (const char *)data);
	return on_name(w, &ev);
}

static void on_synced(void *arg, const char *path, int fd)
{
	struct io_watch *w = arg;
	struct disk_event ev = {.op = DISK_SYNCED};

	LOCK_SCOPE(&w->lock);
	ev.file = file_at(w, path, fd);
	if (ev.file != TREE_NONE)
		(void)tell(w, &ev);
}

struct io_watch *io_watch_new(struct tree *tree, io_watch_fn fn, void *arg)
{
	struct io_watch *w = must_zalloc(sizeof *w);

	(void)pthread_mutex_init(&w->lock, NULL);
	w->fn = fn;
	w->arg = arg;
	w->tree = tree;
	io_set_hook(on_io, w);
	io_set_witness(on_synced, w);
	return w;
}

void io_watch_free(struct io_watch *w)
{
	io_set_hook(NULL, NULL);
	io_set_witness(NULL, NULL);
	free(w->inos);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}
