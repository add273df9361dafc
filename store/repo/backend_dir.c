/* A repository in a directory: local, or mounted from elsewhere (NFS, CephFS, GlusterFS).
 *
 * An object is written to tmp/, synced, then renamed to its key, and the folder synced. What an interrupted push leaves
 * in tmp/ is removed by the next writer that finds it more than a day old. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/repo/backend.h"

#define TMP_AGE_MAX (24 * 3600)

struct dir_backend {
	struct backend b;
	int fd;
	_Atomic unsigned serial; /* of temporary names */
	uint64_t random;
};

static struct dir_backend *self(struct backend *b)
{
	return (struct dir_backend *)b;
}

static int failed(struct backend *b, int ret, const char *doing, const char *key, struct err *err)
{
	if (ret == -ENOENT)
		return err_set(err, ENOENT, "the repository %s has no %s", b->where, key);
	(void)err_set(err, -ret, "%s %s in the repository %s: %s", doing, key, b->where, err_name(-ret));
	if (ret == -EACCES || ret == -EPERM)
		err_hint(err, "this user may not do that there: check the owner and mode of %s", b->where);
	else if (ret == -ENOSPC || ret == -EDQUOT)
		err_hint(err, "make room there, or 'varve repo forget' and 'varve repo prune', then push again: it "
			      "goes on where it stopped");
	return ret;
}

static int dir_get(struct backend *b, const char *key, uint64_t off, size_t len, struct buf *ret, struct err *err)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int r = io_open(IO_SMALL, self(b)->fd, key, O_RDONLY, 0, &fd);

	if (!r && fstat(fd, &st) < 0)
		r = -errno;
	if (r)
		return failed(b, r, "reading", key, err);
	if (len == SIZE_MAX)
		len = (uint64_t)st.st_size > off ? (size_t)((uint64_t)st.st_size - off) : 0;
	if (off + len > (uint64_t)st.st_size || len > BACKEND_OBJECT_MAX)
		return err_set(err, ECORRUPT, "%s in the repository %s is %lld bytes long, too short or too long", key,
			       b->where, (long long)st.st_size);
	r = buf_reserve(ret, len);
	if (!r)
		r = io_pread(IO_SMALL, fd, ret->data + ret->len, len, (off_t)off);
	if (r)
		return failed(b, r, "reading", key, err);
	ret->len += len;
	return 0;
}

/* The folder that a key is in. */
static int sync_folder(int fd, const char *key)
{
	char path[BACKEND_KEY_MAX + 1];
	const char *slash = strrchr(key, '/');
	AUTO_CLOSE int dir = -1;
	int r;

	(void)snprintf(path, sizeof path, "%.*s", slash ? (int)(slash - key) : 1, slash ? key : ".");
	r = io_open(IO_SMALL, fd, path, O_RDONLY | O_DIRECTORY, 0, &dir);
	return r ? r : io_fsync_dir(IO_SMALL, dir);
}

/* The folders above a key; each that was not there is durable after. */
static int make_folders(int fd, const char *key)
{
	char path[BACKEND_KEY_MAX + 1];
	int r = 0;

	for (const char *slash = strchr(key, '/'); slash && !r; slash = strchr(slash + 1, '/')) {
		(void)snprintf(path, sizeof path, "%.*s", (int)(slash - key), key);
		if (!mkdirat(fd, path, 0700))
			r = sync_folder(fd, path);
		else if (errno != EEXIST)
			r = -errno;
	}
	return r;
}

static int write_object(struct dir_backend *d, const char *tmp, const char *key, const void *data, size_t len)
{
	int fd = -1, r, closed;

	r = io_open(IO_SMALL, d->fd, tmp, O_WRONLY | O_CREAT | O_EXCL, 0600, &fd);
	if (r)
		return r;
	r = io_pwrite(IO_SMALL, fd, data, len, 0);
	if (!r)
		r = io_fdatasync(IO_SMALL, fd);
	closed = io_close(IO_SMALL, fd);
	if (!r)
		r = closed;
	if (!r)
		r = make_folders(d->fd, key);
	if (!r)
		r = io_renameat(IO_SMALL, d->fd, tmp, key);
	if (r)
		(void)io_unlinkat(IO_SMALL, d->fd, tmp);
	return r ? r : sync_folder(d->fd, key);
}

static int dir_put(struct backend *b, const char *key, const void *data, size_t len, struct err *err)
{
	struct dir_backend *d = self(b);
	char tmp[64];
	int r = mkdirat(d->fd, "tmp", 0700) < 0 && errno != EEXIST ? -errno : 0;

	(void)snprintf(tmp, sizeof tmp, "tmp/%016llx%u", (unsigned long long)d->random,
		       atomic_fetch_add(&d->serial, 1));
	if (!r)
		r = write_object(d, tmp, key, data, len);
	return r ? failed(b, r, "writing", key, err) : 0;
}

struct listing {
	struct backend *b;
	int (*fn)(void *arg, const char *key, uint64_t size);
	void *arg;
	struct err *err;
};

static int list_folder(const struct listing *l, const char *folder);

static int list_entry(const struct listing *l, int dirfd, const char *folder, const char *name)
{
	char key[BACKEND_KEY_MAX + 1];
	struct stat st;

	if (name[0] == '.' || (size_t)snprintf(key, sizeof key, "%s%s", folder, name) >= sizeof key - 1)
		return 0;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : failed(l->b, -errno, "listing", key, l->err);
	if (S_ISDIR(st.st_mode)) {
		strcat(key, "/");
		return list_folder(l, key);
	}
	return S_ISREG(st.st_mode) && backend_key_valid(key) ? l->fn(l->arg, key, (uint64_t)st.st_size) : 0;
}

static int list_folder(const struct listing *l, const char *folder)
{
	struct dirent *entry;
	int fd = -1, ret = 0;
	DIR *dir;

	ret = io_open(IO_SMALL, self(l->b)->fd, *folder ? folder : ".", O_RDONLY | O_DIRECTORY, 0, &fd);
	if (ret == -ENOENT)
		return 0;
	dir = ret ? NULL : fdopendir(fd);
	if (!dir) {
		if (!ret)
			ret = -errno;
		if (fd >= 0)
			(void)close(fd);
		return failed(l->b, ret, "listing", folder, l->err);
	}
	while (!ret && (errno = 0, entry = readdir(dir)))
		ret = list_entry(l, fd, folder, entry->d_name);
	if (!ret && errno)
		ret = failed(l->b, -errno, "listing", folder, l->err);
	(void)closedir(dir);
	return ret;
}

static int dir_list(struct backend *b, const char *prefix, int (*fn)(void *arg, const char *key, uint64_t size),
		    void *arg, struct err *err)
{
	struct listing l = {b, fn, arg, err};

	return list_folder(&l, prefix);
}

static int dir_remove(struct backend *b, const char *key, struct err *err)
{
	int r = io_unlinkat(IO_SMALL, self(b)->fd, key);

	return r && r != -ENOENT ? failed(b, r, "removing", key, err) : 0;
}

static void dir_free(struct backend *b)
{
	if (self(b)->fd >= 0)
		(void)close(self(b)->fd);
	free(b);
}

static const struct backend_ops dir_ops = {dir_get, dir_put, dir_list, dir_remove, dir_free};

/* Leftovers of writers that were interrupted long ago. */
static void sweep(struct dir_backend *d)
{
	int fd = openat(d->fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	struct stat st;

	if (!dir) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && !fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    st.st_mtime < time(NULL) - TMP_AGE_MAX)
			(void)unlinkat(fd, entry->d_name, 0);
	(void)closedir(dir);
}

int backend_dir_open(const char *path, unsigned flags, struct backend **ret, struct err *err)
{
	struct dir_backend *d = calloc(1, sizeof *d);
	int r = d ? 0 : -ENOMEM;

	if (r)
		return err_set(err, ENOMEM, "out of memory");
	d->b.ops = &dir_ops;
	d->fd = -1;
	d->b.where = strdup(path);
	if (!d->b.where || io_random(&d->random, sizeof d->random)) {
		backend_free(&d->b);
		return err_set(err, ENOMEM, "out of memory");
	}
	if ((flags & BACKEND_CREATE) && mkdir(path, 0700) < 0 && errno != EEXIST)
		r = err_set(err, errno, "the folder %s cannot be made: %s", path, err_name(errno));
	if (!r) {
		r = io_open(IO_SMALL, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, &d->fd);
		if (r)
			(void)err_set(err, -r, "the repository %s cannot be opened: %s", path, err_name(-r));
		if (r == -ENOENT)
			err_hint(err, "make one with 'varve repo init %s'", path);
	}
	if (r) {
		backend_free(&d->b);
		return r;
	}
	sweep(d);
	*ret = &d->b;
	return 0;
}
