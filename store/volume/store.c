/* Making, opening and closing a store. */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <dirent.h>

#include "store/volume/claim.h"
#include "store/volume/store_internal.h"

#define FORMAT_NAME "varve-store"
#define FORMAT_TEXT "varve store, format 1\n"

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif
#define CIFS_SUPER_MAGIC_ 0xff534d42
#define SMB2_SUPER_MAGIC_ 0xfe534d42

static int check_place(int dirfd, const char *dir, struct err *err)
{
	static const struct {
		long magic;
		const char *name;
	} refused[] = {
		{NFS_SUPER_MAGIC, "NFS"},	   {OVERLAYFS_SUPER_MAGIC, "overlay"}, {FUSE_SUPER_MAGIC, "FUSE"},
		{CIFS_SUPER_MAGIC_, "CIFS"}, {SMB2_SUPER_MAGIC_, "SMB"},
	};
	struct statfs fs;
	size_t i;

	if (fstatfs(dirfd, &fs))
		return err_set(err, errno, "%s: %s", dir, strerror(errno));
	for (i = 0; i < sizeof refused / sizeof *refused; i++)
		if ((long)fs.f_type == refused[i].magic) {
			err_set(err, EINVAL, "%s is on a %s filesystem, which cannot hold a store", dir, refused[i].name);
			err_hint(err, "choose a directory on a local disk (ext4, xfs, btrfs) or tmpfs");
			return -EINVAL;
		}
	return 0;
}

static int check_empty(int dirfd, const char *dir, struct err *err)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int ret = 0;

	if (!d)
		return err_set(err, errno, "%s: %s", dir, strerror(errno));
	while (!ret && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || !strcmp(e->d_name, "lost+found"))
			continue;
		if (!strcmp(e->d_name, FORMAT_NAME))
			ret = err_set(err, EEXIST, "%s is a store already", dir);
		else
			ret = err_set(err, ENOTEMPTY, "%s is not empty", dir);
	}
	(void)closedir(d);
	return ret;
}

static int write_settings(const char *dir, struct err *err)
{
	uint8_t id[16], secret[CHUNK_SECRET_LEN];
	int64_t created = now_ns();
	struct meta *m = NULL;
	int ret = meta_create(dir, err);

	if (ret)
		return ret;
	ret = io_random(id, sizeof id);
	if (!ret)
		ret = io_random(secret, sizeof secret);
	if (!ret)
		ret = meta_open(dir, &m, err);
	if (!ret)
		ret = meta_setting_put(m, "store_id", id, sizeof id);
	if (!ret)
		ret = meta_setting_put(m, "secret", secret, sizeof secret);
	if (!ret)
		ret = meta_setting_put(m, "created", &created, sizeof created);
	meta_free(m);
	if (ret && err && !err->code)
		err_set(err, -ret, "%s: making the database failed: %s", dir, err_name(-ret));
	return ret;
}

/* Makes a folder, and makes its name durable. */
static int make_dir(const char *path, mode_t mode)
{
	char parent[4096];
	AUTO_CLOSE int fd = -1;
	char *slash;
	int ret = io_mkdirat(IO_SMALL, AT_FDCWD, path, mode);

	if (ret)
		return ret == -EEXIST ? 0 : ret;
	(void)snprintf(parent, sizeof parent, "%s", path);
	slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent] = 0;
	ret = io_open(IO_SMALL, AT_FDCWD, slash ? parent : ".", O_RDONLY | O_DIRECTORY, 0, &fd);
	return ret ? ret : io_fsync_dir(IO_SMALL, fd);
}

static int make_dirs(const char *dir)
{
	char path[4096];
	char *p;
	int ret = 0;

	if (snprintf(path, sizeof path, "%s", dir) >= (int)sizeof path)
		return -ENAMETOOLONG;
	for (p = path + strlen(path) - 1; p > path && *p == '/'; p--)
		*p = 0;
	for (p = path + 1; *p && !ret; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		ret = make_dir(path, 0755);
		*p = '/';
	}
	return ret ? ret : make_dir(path, 0700);
}

int store_init(const char *dir, struct err *err)
{
	AUTO_CLOSE int dirfd = -1;
	int ret = make_dirs(dir);

	if (ret)
		return err_set(err, -ret, "%s: %s", dir, err_name(-ret));
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_set(err, errno, "%s: %s", dir, strerror(errno));
	ret = check_place(dirfd, dir, err);
	if (!ret)
		ret = check_empty(dirfd, dir, err);
	if (!ret && fchmod(dirfd, 0700))
		ret = err_set(err, errno, "%s: %s", dir, strerror(errno));
	if (!ret)
		ret = write_settings(dir, err);
	if (ret)
		return ret;
	/* last: a directory with this file is a whole store */
	ret = io_replace_file(dirfd, FORMAT_NAME, FORMAT_TEXT, strlen(FORMAT_TEXT), 0600);
	return ret ? err_set(err, -ret, "%s: %s", dir, err_name(-ret)) : 0;
}

int store_open_dir(const char *dir, int *ret_fd, struct err *err)
{
	AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || faccessat(fd, FORMAT_NAME, F_OK, 0)) {
		if (errno != ENOENT && errno != ENOTDIR)
			return err_set(err, errno, "%s: %s", dir, err_name(errno));
		err_set(err, ENOENT, "%s is not a varve store", dir);
		err_hint(err, "make one with: varve init %s", dir);
		return -ENOENT;
	}
	*ret_fd = fd;
	fd = -1;
	return 0;
}

/* The claim says whose the store is, the lock that no process is at work with it: one that was killed keeps the lock until its last
 * write has ended. */
static int take_lock(struct store *s, struct err *err)
{
	int ret = s->flags & STORE_CLAIMED ? 0 : claim_take(s->dir, CLAIM_PASSING, &s->claim_fd, err);

	if (ret)
		return ret;
	s->lock_fd = openat(s->dirfd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return err_set(err, errno, "%s/" LOCK_NAME ": %s", s->dir, strerror(errno));
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return err_set(err, errno, "%s/" LOCK_NAME " cannot be locked: %s", s->dir, strerror(errno));
	err_set(err, EBUSY, "the store %s is still in use by a process that is ending", s->dir);
	err_hint(err, "wait until it has ended");
	return -EBUSY;
}

static int next_pack(void *arg, uint32_t *ret_pack)
{
	struct store *s = arg;

	if (!s->find_locked)
		(void)pthread_mutex_lock(&s->lock);
	*ret_pack = meta_next_pack(s->meta);
	if (!s->find_locked)
		(void)pthread_mutex_unlock(&s->lock);
	return 0;
}

struct chunk_loc chunk_row_loc(const struct chunk_row *row)
{
	return (struct chunk_loc){
		.pack = row->pack,
		.off = row->off,
		.stored_len = row->stored_len,
		.raw_len = row->raw_len,
		.codec = (enum chunk_codec)row->codec,
		.hash = {row->hash_lo, row->hash_hi},
	};
}

static int find_chunk(void *arg, struct chunk_hash hash, uint32_t raw_len, int nth, uint64_t *ret_id, struct chunk_loc *ret_loc)
{
	struct store *s = arg;
	struct chunk_row row;
	int ret;

	if (!s->find_locked)
		(void)pthread_mutex_lock(&s->lock);
	ret = chunk_find(s->meta, hash.lo, hash.hi, raw_len, nth, &row);
	if (!s->find_locked)
		(void)pthread_mutex_unlock(&s->lock);
	if (ret)
		return ret;
	*ret_id = row.id;
	*ret_loc = chunk_row_loc(&row);
	return 0;
}

int store_writer_new(struct store *s, struct chunk_writer **ret)
{
	const struct chunk_writer_ops ops = {next_pack, find_chunk, s};

	return chunk_writer_new(s->chunks, &ops, ret);
}

static int open_parts(struct store *s, const struct store_options *opts, struct err *err)
{
	uint8_t secret[CHUNK_SECRET_LEN];
	int ret = meta_open(s->dir, &s->meta, err);

	if (!ret && (s->flags & STORE_READONLY))
		meta_keep_files(s->meta);
	if (!ret)
		ret = meta_migrate(s->meta, !(s->flags & STORE_READONLY), err);
	if (ret)
		return ret;
	meta_count_in(s->meta, &s->stats);
	ret = meta_setting_get(s->meta, "store_id", s->id, sizeof s->id);
	if (!ret)
		ret = meta_setting_get(s->meta, "secret", secret, sizeof secret);
	if (ret)
		return err_set(err, -ret, "%s: the database lacks the store's settings", s->dir);
	ret = chunk_store_open(s->dirfd, secret, &s->stats, &s->chunks, err);
	if (!ret && opts->pack_size)
		chunk_store_limit_packs(s->chunks, opts->pack_size);
	if (!ret)
		ret = journal_open(s->dirfd, s->id, opts->journal_size ? opts->journal_size : JOURNAL_SEGMENT_SIZE, &s->stats, &s->journal,
				   err);
	if (!ret && opts->ring_fd >= 0)
		ret = ring_attach(opts->ring_fd, &s->ring);
	s->recovering = true;
	if (!ret)
		ret = recover(s, opts, err);
	s->recovering = false;
	if (!ret)
		ret = trash_open(s);
	/* packs of a drain whose extents never came: their ids will be given out again */
	if (!ret && !(s->flags & STORE_READONLY))
		ret = chunk_store_remove_packs_from(s->chunks, meta_last_pack(s->meta) + 1);
	s->compaction.look = true;
	s->compaction.last_old = meta_last_pack(s->meta);
	return ret ? ret : store_writer_new(s, &s->writer);
}

static int finish_leftovers(struct store *s)
{
	int ret;

	if (s->flags & STORE_READONLY)
		return 0;
	ret = recover_chunks(s);
	if (!ret)
		ret = store_commit(s);
	if (!ret)
		ret = drafts_drop(s);
	if (!ret && !(s->flags & STORE_KEEP_ORPHANS))
		ret = orphans_free_all(s);
	return ret;
}

static int start_threads(struct store *s)
{
	int ret = -pthread_create(&s->commit_thread, NULL, commit_main, s);

	if (ret)
		return ret;
	s->commit_running = true;
	ret = -pthread_create(&s->maintain_thread, NULL, maintain_main, s);
	s->maintain_running = !ret;
	return ret;
}

static void stop_threads(struct store *s)
{
	(void)pthread_mutex_lock(&s->thread_lock);
	s->stopping = true;
	(void)pthread_cond_broadcast(&s->commit_cond);
	(void)pthread_cond_broadcast(&s->maintain_cond);
	(void)pthread_mutex_unlock(&s->thread_lock);
	if (s->commit_running)
		(void)pthread_join(s->commit_thread, NULL);
	if (s->maintain_running)
		(void)pthread_join(s->maintain_thread, NULL);
	s->commit_running = s->maintain_running = false;
}

static void free_files(struct store *s)
{
	size_t i;

	for (i = 0; i < FILE_BUCKETS; i++)
		while (s->files[i]) {
			struct file *f = s->files[i];

			s->files[i] = f->hash_next;
			write_buffer_free(&f->active);
			write_buffer_free(&f->sealed);
			free(f);
		}
}

void store_abandon(struct store *s)
{
	if (!s)
		return;
	stop_threads(s);
	drain_free(s, s->cut_drain);
	free_files(s);
	compact_free(s);
	chunk_writer_free(s->writer);
	chunk_store_free(s->chunks);
	journal_free(s->journal);
	ring_free(s->ring);
	meta_free(s->meta);
	chunk_cache_free(&s->cache);
	free(s->trash.counts);
	buf_free(&s->tx_effects);
	buf_free(&s->tx_record);
	if (s->lock_fd >= 0)
		(void)close(s->lock_fd);
	if (s->claim_fd >= 0)
		(void)close(s->claim_fd);
	if (s->dirfd >= 0)
		(void)close(s->dirfd);
	(void)pthread_mutex_destroy(&s->lock);
	(void)pthread_mutex_destroy(&s->drain_lock);
	(void)pthread_mutex_destroy(&s->instant_lock);
	(void)pthread_mutex_destroy(&s->maintain_lock);
	(void)pthread_mutex_destroy(&s->thread_lock);
	(void)pthread_cond_destroy(&s->space_cond);
	(void)pthread_cond_destroy(&s->commit_cond);
	(void)pthread_cond_destroy(&s->maintain_cond);
	free(s->dir);
	free(s);
}

static struct store *store_new(const char *dir, const struct store_options *opts)
{
	struct store *s = calloc(1, sizeof *s);
	pthread_condattr_t mono;

	if (!s)
		return NULL;
	s->dirfd = s->lock_fd = s->claim_fd = -1;
	s->flags = opts->flags;
	s->wal_size_max = opts->wal_size ? opts->wal_size : WAL_SIZE_MAX;
	s->generation = 1;
	s->keep_orphans = true;
	s->compaction.dead_min = opts->compact_min ? opts->compact_min : COMPACT_DEAD_MIN;
	s->compaction.dead_percent = opts->compact_percent ? opts->compact_percent : COMPACT_DEAD_PERCENT;
	s->commit_interval_ms = opts->commit_interval_ms ? opts->commit_interval_ms : COMMIT_INTERVAL_MS;
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_mutex_init(&s->drain_lock, NULL);
	(void)pthread_mutex_init(&s->instant_lock, NULL);
	(void)pthread_mutex_init(&s->maintain_lock, NULL);
	(void)pthread_mutex_init(&s->thread_lock, NULL);
	(void)pthread_condattr_init(&mono);
	(void)pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->space_cond, NULL);
	(void)pthread_cond_init(&s->commit_cond, &mono);
	(void)pthread_cond_init(&s->maintain_cond, &mono);
	(void)pthread_condattr_destroy(&mono);
	s->dir = strdup(dir);
	if (!s->dir || chunk_cache_init(&s->cache)) {
		store_abandon(s);
		return NULL;
	}
	return s;
}

int store_open(const char *dir, const struct store_options *opts, struct store **ret, struct err *err)
{
	struct store *s = store_new(dir, opts);
	bool told = false;
	int r = 0;

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	r = store_open_dir(dir, &s->dirfd, err);
	if (!r)
		r = take_lock(s, err);
	if (!r)
		r = open_parts(s, opts, err);
	if (!r && opts->recovered) {
		r = opts->recovered(opts->recovered_arg, s, err);
		told = !r;
	}
	if (!r)
		r = finish_leftovers(s);
	if (!r && !(s->flags & STORE_NO_THREADS))
		r = start_threads(s);
	if (r)
		goto fail;
	*ret = s;
	return 0;
fail:
	if (told)
		(void)opts->recovered(opts->recovered_arg, NULL, err);
	if (err && !err->code)
		err_set(err, -r, "opening the store %s failed: %s", dir, err_name(-r));
	store_abandon(s);
	return r;
}

int store_close(struct store *s, struct err *err)
{
	int ret = 0;

	stop_threads(s);
	if (!(s->flags & STORE_READONLY))
		ret = store_commit(s);
	if (!ret && !(s->flags & STORE_READONLY))
		ret = meta_checkpoint(s->meta);
	if (ret)
		err_set(err, -ret, "the last commit of the store %s failed: %s", s->dir, err_name(-ret));
	store_abandon(s);
	return ret;
}

int store_ring_fd(struct store *s)
{
	return ring_fd(s->ring);
}

struct stats *store_stats(struct store *s)
{
	return &s->stats;
}

void store_uuid(const struct store *s, char out[37])
{
	const uint8_t *b = s->id;

	(void)snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3],
		       b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}
