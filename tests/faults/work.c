#include "tests/faults/work.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/maint/check.h"
#include "store/repo/receive.h"
#include "store/repo/send.h"
#include "store/volume/diff.h"
#include "store/volume/file_io.h"
#include "store/volume/snapshot.h"
#include "tests/faults/fault.h"

#define BIG (150 * 1024)

static const struct op op = {.uid = 1000, .gid = 1000, .umask = 022};
static uint8_t data[2 * BIG];

/* Bytes that neither repeat nor, in their second half, resist compression. */
static const uint8_t *bytes(unsigned seed)
{
	uint64_t x = seed * 2654435761u + 1;

	for (size_t i = 0; i < sizeof data; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		data[i] = (uint8_t)(i & 4096 ? 'a' + (x >> 62) : x >> 56);
	}
	return data;
}

static int lookup(struct work *w, const char *path, struct attr *ret)
{
	struct attr at = {.node = NODE_ROOT};
	char name[64];
	int err = 0;

	while (*path && !err) {
		size_t n = strcspn(path, "/");

		(void)snprintf(name, sizeof name, "%.*s", (int)n, path);
		err = ns_lookup(w->s, at.node, name, &at);
		path += n + (path[n] == '/');
	}
	if (!err)
		*ret = at;
	return err;
}

/* The folder of a path, and the last name. */
static int parent(struct work *w, const char *path, uint64_t *ret_node, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char dir[128];
	struct attr at;
	int ret;

	(void)snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
	ret = lookup(w, dir, &at);
	if (ret)
		return ret;
	*ret_node = at.node;
	*ret_name = slash + 1;
	return 0;
}

static int make(struct work *w, const char *path, uint32_t mode, const char *target)
{
	const char *name;
	struct attr at;
	uint64_t dir;
	int ret = parent(w, path, &dir, &name);

	return ret ? ret : ns_create(w->s, &op, dir, name, mode, 0, target, &at);
}

static int put(struct work *w, const char *path, unsigned seed, size_t len, int64_t off)
{
	struct attr at;
	int ret = lookup(w, path, &at);

	if (!ret)
		ret = file_open(w->s, &op, at.node, FILE_OPEN_WRITE, 1);
	if (ret)
		return ret;
	ret = file_write(w->s, &op, at.node, bytes(seed), len, off, FILE_WRITE_KILL_PRIV, false);
	file_release(w->s, at.node, FILE_OPEN_WRITE);
	return ret;
}

static int sync_file(struct work *w, const char *path)
{
	struct attr at;
	int ret = lookup(w, path, &at);

	return ret ? ret : file_fsync(w->s, at.node);
}

static int rename_to(struct work *w, const char *from, const char *to, unsigned flags)
{
	const char *a, *b;
	uint64_t da, db;
	int ret = parent(w, from, &da, &a);

	if (!ret)
		ret = parent(w, to, &db, &b);
	return ret ? ret : ns_rename(w->s, &op, da, a, db, b, flags);
}

static int removed(struct work *w, const char *path, bool dir)
{
	const char *name;
	uint64_t node;
	int ret = parent(w, path, &node, &name);

	if (ret)
		return ret;
	return dir ? ns_rmdir(w->s, &op, node, name) : ns_unlink(w->s, &op, node, name);
}

static int set_attr(struct work *w, const char *path, const struct attr *want, unsigned mask)
{
	struct attr at, got;
	int ret = lookup(w, path, &at);

	return ret ? ret : ns_setattr(w->s, &op, at.node, want, mask, &got);
}

static int set_xattr(struct work *w, const char *path, const char *name, size_t len)
{
	struct attr at;
	int ret = lookup(w, path, &at);

	return ret ? ret : ns_setxattr(w->s, &op, at.node, name, bytes(77), len, 0);
}

static int snapshot(struct work *w, const char *name, const char *second)
{
	struct snapshot_name names[2] = {0};
	struct cut_times times;

	(void)snprintf(names[0].volume, sizeof names[0].volume, "a");
	(void)snprintf(names[0].snapshot, sizeof names[0].snapshot, "%s", name);
	names[1] = names[0];
	if (second)
		(void)snprintf(names[1].volume, sizeof names[1].volume, "%s", second);
	return snapshot_create(w->s, names, second ? 2 : 1, NULL, &times, NULL);
}

/* --- the steps --- */

static int s_create(struct work *w)
{
	struct volume_info info;

	return volume_create(w->s, "a", NULL, &info, NULL);
}

static int s_quota(struct work *w)
{
	struct volume_options opts = {.set = VOLUME_SET_QUOTA | VOLUME_SET_QUOTA_INODES | VOLUME_SET_MODE,
				      .quota_bytes = 64 * MIB,
				      .quota_inodes = 1000,
				      .mode = 0750};

	return volume_set(w->s, "a", &opts, NULL);
}

static int s_mkdir(struct work *w) { return make(w, "a/dir", S_IFDIR | 0755, NULL); }
static int s_mkdir2(struct work *w) { return make(w, "a/dir/sub", S_IFDIR | 0700, NULL); }
static int s_file(struct work *w) { return make(w, "a/dir/big", S_IFREG | 0644, NULL); }
static int s_write(struct work *w) { return put(w, "a/dir/big", 1, BIG, 0); }
static int s_fsync_big(struct work *w) { return sync_file(w, "a/dir/big"); }
static int s_file2(struct work *w) { return make(w, "a/small", S_IFREG | 0600, NULL); }
static int s_write2(struct work *w) { return put(w, "a/small", 2, 9000, 0); }
static int s_fsync_small(struct work *w) { return sync_file(w, "a/small"); }
static int s_symlink(struct work *w) { return make(w, "a/dir/link", S_IFLNK | 0777, "../small"); }
static int s_fifo(struct work *w) { return make(w, "a/dir/sub/fifo", S_IFIFO | 0600, NULL); }
static int s_xattr(struct work *w) { return set_xattr(w, "a/small", "user.note", 300); }
static int s_commit(struct work *w) { return store_commit(w->s); }
static int s_snapshot(struct work *w) { return snapshot(w, "s1", NULL); }
static int s_overwrite(struct work *w) { return put(w, "a/dir/big", 3, 8192, 40000); }
static int s_append(struct work *w) { return put(w, "a/dir/big", 1, BIG / 2, BIG); }
static int s_new(struct work *w) { return make(w, "a/new", S_IFREG | 0644, NULL); }
static int s_write_new(struct work *w) { return put(w, "a/new", 4, 20000, 0); }
static int s_replace(struct work *w) { return rename_to(w, "a/new", "a/small", 0); }
static int s_fsyncdir(struct work *w) { return file_sync_meta(w->s); }
static int s_chmod(struct work *w) { return set_attr(w, "a/dir", &(struct attr){.mode = 0711}, NS_SET_MODE | NS_SET_MTIME_NOW); }
static int s_truncate(struct work *w) { return set_attr(w, "a/dir/big", &(struct attr){.size = 50001}, NS_SET_SIZE); }
static int s_snapshot2(struct work *w) { return snapshot(w, "s2", NULL); }
static int s_write_b(struct work *w) { return put(w, "b/dir/big", 5, BIG, 10000); }
static int s_unlink_b(struct work *w) { return removed(w, "b/small", false); }
static int s_both(struct work *w) { return snapshot(w, "s3", "b"); }
static int s_exchange(struct work *w) { return rename_to(w, "a/small", "a/dir/big", RENAME_EXCHANGE); }
static int s_unlink_fifo(struct work *w) { return removed(w, "a/dir/sub/fifo", false); }
static int s_rmdir(struct work *w) { return removed(w, "a/dir/sub", true); }
static int s_write_after(struct work *w) { return put(w, "a/dir/link2", 6, 70000, 100); }

static int s_link(struct work *w)
{
	const char *name;
	struct attr at, got;
	uint64_t dir;
	int ret = lookup(w, "a/small", &at);

	if (!ret)
		ret = parent(w, "a/dir/link2", &dir, &name);
	return ret ? ret : ns_link(w->s, &op, at.node, dir, name, &got);
}

static int s_clone(struct work *w)
{
	struct volume_info info;
	struct cut_times times;

	return snapshot_clone(w->s, "a", "s1", "b", NULL, &info, &times, NULL);
}

static int s_rollback(struct work *w)
{
	char saved[VOLUME_NAME_MAX + 1];
	struct cut_times times;

	return snapshot_rollback(w->s, "a", "s2", true, saved, &times, NULL);
}

static int s_copy(struct work *w)
{
	struct attr src, dst;
	int64_t copied;
	int ret = lookup(w, "a/dir/big", &src);

	if (!ret)
		ret = lookup(w, "a/small", &dst);
	return ret ? ret : file_copy_range(w->s, &op, src.node, 1000, dst.node, 30000, 45000, &copied);
}

static int s_punch(struct work *w)
{
	struct attr at;
	int ret = lookup(w, "a/dir/big", &at);

	return ret ? ret : file_fallocate(w->s, &op, at.node, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 30000);
}

static int s_allocate(struct work *w)
{
	struct attr at;
	int ret = lookup(w, "a/dir/big", &at);

	return ret ? ret : file_fallocate(w->s, &op, at.node, 0, 0, 80000);
}

static int s_brief_xattr(struct work *w) { return set_xattr(w, "b/dir/big", "user.gone", 1); }

static int s_no_xattr(struct work *w)
{
	struct attr at;
	int ret = lookup(w, "b/dir/big", &at);

	return ret ? ret : ns_removexattr(w->s, &op, at.node, "user.gone");
}

static int s_hold(struct work *w) { return snapshot_hold(w->s, "a", "s1", true, NULL); }
static int s_release(struct work *w) { return snapshot_hold(w->s, "a", "s1", false, NULL); }
static int s_drop_snapshot(struct work *w) { return snapshot_remove(w->s, "a", "s2", NULL); }
static int s_rename_volume(struct work *w) { return volume_rename(w->s, "b", "c", NULL); }
static int s_drop_volume(struct work *w) { return volume_remove(w->s, "c", false, NULL); }

static int s_maintain(struct work *w)
{
	bool more = true;
	int ret = 0;

	while (more && !ret)
		ret = store_maintain(w->s, &more);
	return ret;
}

static int ignore_entry(void *arg, const struct ns_entry *e)
{
	(void)arg, (void)e;
	return 0;
}

static int ignore_diff(void *arg, const struct diff_entry *e)
{
	(void)arg, (void)e;
	return 0;
}

/* Everything that only looks. */
static int s_look(struct work *w)
{
	struct snapshot_info *snaps = NULL;
	struct volume_info *vols = NULL, info;
	struct open_file *open = NULL;
	AUTO_FREE char *volume = NULL, *path = NULL, *link = NULL;
	AUTO_FREE void *value = NULL;
	struct buf names = {0};
	struct ns_statfs fs;
	struct store_space space;
	struct attr at;
	int64_t unique;
	size_t n;
	int ret = volume_list(w->s, &vols, &n, NULL);

	if (!ret)
		ret = snapshot_list(w->s, NULL, &snaps, &n, NULL);
	free(vols);
	free(snaps);
	if (!ret)
		ret = volume_get(w->s, "a", &info, NULL);
	if (!ret)
		ret = snapshot_unique_bytes(w->s, "a", "s1", &unique, NULL);
	if (!ret)
		ret = file_open_list(w->s, 0, &open, &n);
	free(open);
	if (!ret)
		ret = store_space(w->s, &space);
	if (!ret)
		ret = lookup(w, "a/small", &at);
	if (!ret)
		ret = ns_path(w->s, at.node, &volume, &path);
	if (!ret)
		ret = ns_statfs(w->s, at.node, &fs);
	if (!ret)
		ret = ns_getxattr(w->s, at.node, "user.none", &value, &n) == -ENODATA ? 0 : -EIO;
	if (!ret)
		ret = ns_listxattr(w->s, at.node, &names);
	buf_free(&names);
	if (!ret)
		ret = lookup(w, "a/dir", &at);
	if (!ret)
		ret = ns_readdir(w->s, at.node, 0, true, ignore_entry, NULL);
	if (!ret)
		ret = lookup(w, "a/dir/link", &at);
	if (!ret)
		ret = ns_readlink(w->s, at.node, &link);
	return ret;
}

static int s_read(struct work *w)
{
	AUTO_FREE uint8_t *got = malloc(BIG);
	struct attr at;
	int64_t off;
	size_t n;
	int ret = got ? lookup(w, "a/dir/big", &at) : -ENOMEM;

	if (!ret)
		ret = file_read(w->s, at.node, got, BIG, 0, false, &n);
	if (!ret)
		ret = file_read(w->s, at.node, got, 100, 20000, false, &n);
	if (!ret)
		ret = file_lseek(w->s, at.node, 0, SEEK_HOLE, &off);
	if (!ret)
		ret = lookup(w, "a/.snapshots/s1/dir/big", &at);
	return ret ? ret : file_read(w->s, at.node, got, BIG, 0, false, &n);
}

static int s_diff(struct work *w) { return diff_views(w->s, "a", "s1", "a", "", ignore_diff, NULL, NULL); }

static void ignore_line(void *arg, const char *line)
{
	(void)arg, (void)line;
}

static int s_check(struct work *w)
{
	struct check_result r;

	return check_store(w->s, CHECK_DATA, ignore_line, NULL, &r, NULL);
}

/* A stream in memory, and how far it has been read. */
struct stream {
	struct buf bytes;
	size_t at;
};

static int stream_put(void *arg, const void *from, size_t len) { return buf_add(&((struct stream *)arg)->bytes, from, len); }

static int stream_get(void *arg, void *to, size_t len, size_t *ret_len)
{
	struct stream *st = arg;
	size_t n = st->bytes.len - st->at < len ? st->bytes.len - st->at : len;

	memcpy(to, st->bytes.data + st->at, n);
	st->at += n;
	*ret_len = n;
	return 0;
}

/* A snapshot goes out as a stream and comes in again, as the volume "moved" or one more snapshot of it. */
static int move(struct work *w, const char *snapshot, const char *from)
{
	struct repo_progress progress = {0};
	struct receive_result received;
	struct send_result sent;
	struct stream st = {0};
	struct send *x;
	int ret = send_open(w->s, "a", snapshot, from, &x, NULL);

	if (ret)
		return ret;
	ret = send_run(x, stream_put, &st, &progress, &sent, NULL);
	send_free(x);
	if (!ret)
		ret = repo_receive(w->s, "moved", stream_get, &st, &progress, &received, NULL);
	buf_free(&st.bytes);
	return ret;
}

static int s_move(struct work *w) { return move(w, "s1", ""); }
static int s_move_change(struct work *w) { return move(w, "s2", "s1"); }

static int s_close(struct work *w)
{
	struct store *s = w->s;

	w->s = NULL;
	return s ? store_close(s, NULL) : 0;
}

static int s_open(struct work *w)
{
	return work_open(w, -1);
}

#define AGAIN(name, fn) {name, fn, 0, SYNC_NOTHING, NULL}
#define ONCE(name, fn, done) {name, fn, done, SYNC_NOTHING, NULL}
#define NAMED(name, fn, done) {name, fn, done, SYNC_RECORDS, ""}
#define ALL(name, fn, done) {name, fn, done, SYNC_ALL, NULL}
const struct step work_steps[] = {
	NAMED("create volume", s_create, -EEXIST),
	NAMED("set options", s_quota, 0),
	ONCE("mkdir", s_mkdir, -EEXIST),
	ONCE("mkdir in it", s_mkdir2, -EEXIST),
	ONCE("create file", s_file, -EEXIST),
	AGAIN("write much", s_write),
	{"fsync much", s_fsync_big, 0, SYNC_RECORDS, "a:/dir/big"},
	ONCE("create another", s_file2, -EEXIST),
	AGAIN("write little", s_write2),
	{"fsync little", s_fsync_small, 0, SYNC_RECORDS, "a:/small"},
	ONCE("symlink", s_symlink, -EEXIST),
	ONCE("fifo", s_fifo, -EEXIST),
	AGAIN("setxattr", s_xattr),
	ALL("commit", s_commit, 0),
	ALL("snapshot", s_snapshot, -EEXIST),
	AGAIN("overwrite", s_overwrite),
	AGAIN("append", s_append),
	ONCE("create new", s_new, -EEXIST),
	AGAIN("write new", s_write_new),
	ONCE("replace by rename", s_replace, -ENOENT),
	{"fsyncdir", s_fsyncdir, 0, SYNC_RECORDS, "a:/small"},
	AGAIN("chmod", s_chmod),
	ALL("snapshot 2", s_snapshot2, -EEXIST),
	ALL("send and receive", s_move, -EEXIST),
	ALL("send and receive a change", s_move_change, -EEXIST),
	AGAIN("truncate", s_truncate),
	ALL("clone", s_clone, -EEXIST),
	AGAIN("write to the clone", s_write_b),
	ONCE("unlink in the clone", s_unlink_b, -ENOENT),
	ALL("snapshot both", s_both, -EEXIST),
	AGAIN("look", s_look),
	AGAIN("read", s_read),
	AGAIN("diff", s_diff),
	ONCE("unlink fifo", s_unlink_fifo, -ENOENT),
	ONCE("rmdir", s_rmdir, -ENOENT),
	ALL("rollback", s_rollback, 0),
	AGAIN("copy range", s_copy),
	AGAIN("punch", s_punch),
	AGAIN("allocate", s_allocate),
	AGAIN("exchange", s_exchange),
	ONCE("link", s_link, -EEXIST),
	AGAIN("brief xattr", s_brief_xattr),
	ONCE("removexattr", s_no_xattr, -ENODATA),
	NAMED("hold", s_hold, 0),
	NAMED("release", s_release, -EINVAL),
	NAMED("remove snapshot", s_drop_snapshot, -ENOENT),
	NAMED("rename volume", s_rename_volume, -ENOENT),
	AGAIN("maintain", s_maintain),
	NAMED("remove volume", s_drop_volume, -ENOENT),
	AGAIN("write more", s_write_after),
	AGAIN("maintain again", s_maintain),
	AGAIN("check", s_check),
	ALL("close", s_close, 0),
	AGAIN("open", s_open),
	AGAIN("read after opening", s_read),
};
const unsigned work_steps_n = sizeof work_steps / sizeof *work_steps;

int work_open(struct work *w, int ring_fd)
{
	struct store_options opts = {.flags = STORE_NO_THREADS, .ring_size = 4 * MIB, .ring_fd = ring_fd, .journal_size = MIB};

	return store_open(w->dir, &opts, &w->s, NULL);
}
