/* Walks the part of the manifest that is wanted, from directory to directory, and makes what it finds. A file's chunks
 * are read and written by several threads when there are many. Attributes are set when all else is done, a directory's
 * after its entries'. */
#include "store/repo/restore.h"

#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "store/base/array.h"
#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/meta/xattr.h"
#include "store/repo/manifest.h"
#include "store/repo/parallel.h"

#define DEPTH_MAX 512
/* From so many chunks on a file is worth several threads. */
#define PARALLEL_FROM 8

struct extent_row {
	int64_t off;
	struct row_extent x;
};
struct entry_row {
	uint64_t ino;
	char name[NAME_LEN_MAX + 1];
};
struct xattr_row {
	char name[NAME_LEN_MAX + 1];
	size_t at, len; /* in values */
};

/* Everything about one inode. */
struct item {
	bool found;
	struct row_inode inode;
	struct extent_row *extents;
	size_t n_extents, cap_extents;
	struct entry_row *entries;
	size_t n_entries, cap_entries;
	struct xattr_row *xattrs;
	size_t n_xattrs, cap_xattrs;
	struct buf values;
};

/* The first name of an inode with several. */
struct linked {
	uint64_t ino;
	char *path;
};

struct restore {
	struct repo *r;
	struct blob_in *in;
	struct manifest_ref manifest;
	struct repo_progress *progress;
	struct restore_result *result;
	struct linked *links;
	size_t n_links, cap_links;
	int top; /* folder that paths in `links` begin from */
	uint8_t *buffers[PARALLEL_MAX];
	unsigned width;
	struct err *err;
};

static void item_free(struct item *it)
{
	free(it->extents);
	free(it->entries);
	free(it->xattrs);
	buf_free(&it->values);
	*it = (struct item){0};
}

static int take_row(void *arg, const struct row_key *key, const void *value, size_t value_len)
{
	struct item *it = arg;
	enum row_kind kind;
	uint64_t ino, sub;
	const char *name;
	size_t len;
	int bad = row_key_parse(key, &ino, &kind, &sub, &name, &len);

	if (bad)
		return bad;
	if (kind == ROW_INODE) {
		it->found = true;
		return row_inode_parse(value, value_len, &it->inode);
	}
	if (kind == ROW_EXTENT) {
		bad = array_grow(&it->extents, &it->cap_extents, it->n_extents, sizeof *it->extents);
		if (bad)
			return bad;
		it->extents[it->n_extents].off = (int64_t)sub;
		return row_extent_parse(value, value_len, &it->extents[it->n_extents++].x);
	}
	if (kind == ROW_DIRENT) {
		struct row_dirent v;

		bad = row_dirent_parse(value, value_len, &v);
		if (!bad)
			bad = array_grow(&it->entries, &it->cap_entries, it->n_entries, sizeof *it->entries);
		if (bad)
			return bad;
		it->entries[it->n_entries].ino = v.ino;
		(void)snprintf(it->entries[it->n_entries++].name, NAME_LEN_MAX + 1, "%.*s", (int)len, name);
		return 0;
	}
	bad = array_grow(&it->xattrs, &it->cap_xattrs, it->n_xattrs, sizeof *it->xattrs);
	if (bad)
		return bad;
	it->xattrs[it->n_xattrs].at = it->values.len;
	it->xattrs[it->n_xattrs].len = value_len;
	(void)snprintf(it->xattrs[it->n_xattrs++].name, NAME_LEN_MAX + 1, "%.*s", (int)len, name);
	return buf_add(&it->values, value, value_len);
}

static int item_get(struct restore *rs, uint64_t ino, struct item *ret)
{
	struct item it = {0};
	struct row_key prefix;
	int bad;

	row_key_prefix(&prefix, ino, 0);
	bad = manifest_walk(rs->in, &rs->manifest, &prefix, take_row, &it, rs->err);
	if (!bad && !it.found)
		bad = err_set(rs->err, ECORRUPT, "the manifest has lost inode %llu", (unsigned long long)ino);
	if (bad)
		item_free(&it);
	else
		*ret = it;
	return bad;
}

/* --- contents --- */

struct writing {
	struct restore *rs;
	const struct item *it;
	int fd;
};

static int write_one(void *arg, unsigned worker, size_t i, struct err *err)
{
	const struct writing *w = arg;
	const struct extent_row *e = &w->it->extents[i];
	uint8_t *out = w->rs->buffers[worker];
	size_t len = 0;
	int bad;

	if (atomic_load(&w->rs->progress->cancel))
		return err_set(err, ECANCELED, "cancelled");
	bad = blob_in_get(w->rs->in, &e->x.chunk, REPO_CHUNK, out, &len, err);
	if (bad)
		return bad;
	if (e->x.choff + (uint64_t)e->x.len > len || e->off < 0 || e->off > w->it->inode.size - e->x.len)
		return err_set(err, ECORRUPT, "the manifest has an extent that does not fit its chunk or file");
	bad = io_pwrite(IO_SMALL, w->fd, out + e->x.choff, (size_t)e->x.len, e->off);
	if (bad)
		return err_set(err, -bad, "writing: %s", err_name(-bad));
	atomic_fetch_add(&w->rs->progress->bytes_done, (uint64_t)e->x.len);
	return 0;
}

static int write_content(struct restore *rs, const struct item *it, int fd)
{
	struct writing w = {rs, it, fd};
	int bad = io_ftruncate(IO_SMALL, fd, it->inode.size);

	if (bad)
		return err_set(rs->err, -bad, "writing: %s", err_name(-bad));
	rs->result->bytes += (uint64_t)it->inode.size;
	return parallel_run(it->n_extents < PARALLEL_FROM ? 1 : rs->width, it->n_extents, write_one, &w, rs->err);
}

/* --- attributes --- */

/* What this user or this filesystem may not have is counted; anything else is an error. */
static int setting(struct restore *rs, int failed, const char *what, const char *name)
{
	if (!failed)
		return 0;
	if (errno != EPERM && errno != ENOTSUP && errno != EACCES)
		return err_set(rs->err, errno, "setting %s of '%s': %s", what, name, err_name(errno));
	if (!rs->result->unset++)
		(void)snprintf(rs->result->unset_first, sizeof rs->result->unset_first, "%s of %.200s", what, name);
	return 0;
}

static struct timespec time_of(int64_t ns)
{
	int64_t s = ns / 1000000000, rest = ns % 1000000000;

	return rest < 0 ? (struct timespec){s - 1, rest + 1000000000} : (struct timespec){s, rest};
}

static int set_attributes(struct restore *rs, const struct item *it, int dir, const char *name)
{
	const struct timespec times[2] = {time_of(it->inode.atime), time_of(it->inode.mtime)};
	char path[64 + NAME_LEN_MAX];
	int bad = setting(rs, fchownat(dir, name, it->inode.uid, it->inode.gid, AT_SYMLINK_NOFOLLOW), "the owner",
			  name);

	if (!bad && !S_ISLNK(it->inode.mode))
		bad = setting(rs, fchmodat(dir, name, it->inode.mode & 07777, 0), "the mode", name);
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir, name);
	for (size_t i = 0; i < it->n_xattrs && !bad; i++)
		if (it->xattrs[i].name[0] != XATTR_INTERNAL)
			bad = setting(rs,
				      lsetxattr(path, it->xattrs[i].name, it->values.data + it->xattrs[i].at,
						it->xattrs[i].len, 0),
				      it->xattrs[i].name, name);
	return bad ? bad : setting(rs, utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW), "the times", name);
}

/* --- making --- */

static int made(struct restore *rs, int failed, const char *name)
{
	return failed ? err_set(rs->err, errno, "making '%s': %s", name, err_name(errno)) : 0;
}

static int make_link(struct restore *rs, const struct item *it, int dir, const char *name)
{
	for (size_t i = 0; i < it->n_xattrs; i++) {
		char target[SYMLINK_LEN_MAX + 1];

		if (strcmp(it->xattrs[i].name, XATTR_SYMLINK_TARGET) != 0 || it->xattrs[i].len > SYMLINK_LEN_MAX)
			continue;
		(void)snprintf(target, sizeof target, "%.*s", (int)it->xattrs[i].len,
			       (const char *)it->values.data + it->xattrs[i].at);
		return made(rs, symlinkat(target, dir, name), name);
	}
	return err_set(rs->err, ECORRUPT, "the symlink '%s' has lost its target", name);
}

static int make_file(struct restore *rs, const struct item *it, int dir, const char *name)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), bad, closed;

	if (fd < 0)
		return made(rs, -1, name);
	bad = write_content(rs, it, fd);
	closed = io_close(IO_SMALL, fd);
	if (!bad && closed)
		bad = err_set(rs->err, -closed, "writing '%s': %s", name, err_name(-closed));
	return bad;
}

/* >0: it was made as another name of what is there already. */
static int link_known(struct restore *rs, uint64_t ino, const struct item *it, int dir, const char *name,
		      const char *path)
{
	int bad;

	if (S_ISDIR(it->inode.mode) || it->inode.nlink < 2)
		return 0;
	for (size_t i = 0; i < rs->n_links; i++)
		if (rs->links[i].ino == ino) {
			bad = made(rs, linkat(rs->top, rs->links[i].path, dir, name, 0), name);
			return bad ? bad : 1;
		}
	bad = array_grow(&rs->links, &rs->cap_links, rs->n_links, sizeof *rs->links);
	if (bad)
		return bad;
	rs->links[rs->n_links] = (struct linked){ino, strdup(path)};
	return rs->links[rs->n_links++].path ? 0 : -ENOMEM;
}

static int make_item(struct restore *rs, uint64_t ino, int dir, const char *name, const char *path, unsigned depth);

static int make_entries(struct restore *rs, const struct item *it, int dir, const char *name, const char *path,
			unsigned depth)
{
	AUTO_CLOSE int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int bad = made(rs, fd < 0 ? -1 : 0, name);

	if (!bad && depth > DEPTH_MAX)
		bad = err_set(rs->err, ELOOP, "'%s' lies too deep", name);
	for (size_t i = 0; i < it->n_entries && !bad; i++) {
		AUTO_FREE char *below = NULL;

		if (asprintf(&below, "%s/%s", path, it->entries[i].name) < 0) {
			below = NULL;
			return -ENOMEM;
		}
		bad = make_item(rs, it->entries[i].ino, fd, it->entries[i].name, below, depth + 1);
	}
	return bad;
}

static int make_item(struct restore *rs, uint64_t ino, int dir, const char *name, const char *path, unsigned depth)
{
	struct item it;
	int bad = item_get(rs, ino, &it);

	if (bad)
		return bad;
	bad = link_known(rs, ino, &it, dir, name, path);
	if (bad) {
		item_free(&it);
		return bad < 0 ? bad : 0;
	}
	if (S_ISDIR(it.inode.mode)) {
		rs->result->directories++;
		if (mkdirat(dir, name, 0700) < 0 && !(depth == 0 && errno == EEXIST))
			bad = made(rs, -1, name);
		if (!bad)
			bad = make_entries(rs, &it, dir, name, path, depth);
	} else if (S_ISREG(it.inode.mode)) {
		rs->result->files++;
		bad = make_file(rs, &it, dir, name);
		if (bad)
			err_context(rs->err, "restoring '%s'", path);
	} else {
		rs->result->others++;
		bad = S_ISLNK(it.inode.mode)
			      ? make_link(rs, &it, dir, name)
			      : made(rs, mknodat(dir, name, it.inode.mode & S_IFMT, it.inode.rdev), name);
	}
	if (!bad)
		bad = set_attributes(rs, &it, dir, name);
	item_free(&it);
	return bad;
}

/* --- finding the beginning --- */

static int find_path(struct restore *rs, uint64_t root, const char *path, uint64_t *ret, bool *ret_dir)
{
	AUTO_FREE char *copy = strdup(path);
	uint64_t at = root;
	struct item it;
	int bad = copy ? item_get(rs, at, &it) : -ENOMEM;

	if (bad)
		return bad;
	for (char *save = NULL, *part = strtok_r(copy, "/", &save); part && !bad; part = strtok_r(NULL, "/", &save)) {
		size_t i = 0;

		while (i < it.n_entries && strcmp(it.entries[i].name, part) != 0)
			i++;
		if (i == it.n_entries)
			bad = err_set(rs->err, ENOENT, "the snapshot has no '%s'", path);
		else
			at = it.entries[i].ino;
		item_free(&it);
		if (!bad)
			bad = item_get(rs, at, &it);
	}
	if (bad)
		return bad;
	*ret_dir = S_ISDIR(it.inode.mode);
	item_free(&it);
	*ret = at;
	return 0;
}

static bool folder_empty(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	bool empty = dir;

	while (dir && empty && (e = readdir(dir)))
		empty = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
	if (dir)
		(void)closedir(dir);
	return empty;
}

static int run(struct restore *rs, uint64_t root, const char *path, const char *dest)
{
	AUTO_FREE char *copy = strdup(dest);
	AUTO_FREE char *copy2 = strdup(dest);
	const char *folder, *name;
	struct stat st;
	uint64_t ino;
	bool is_dir;
	int bad = copy && copy2 ? find_path(rs, root, path, &ino, &is_dir) : -ENOMEM;

	if (bad)
		return bad;
	if (!lstat(dest, &st) && !(is_dir && S_ISDIR(st.st_mode) && folder_empty(dest))) {
		(void)err_set(rs->err, EEXIST, "'%s' is there already", dest);
		err_hint(rs->err, "restore to a name that is not there%s", is_dir ? ", or an empty folder" : "");
		return -EEXIST;
	}
	folder = dirname(copy);
	name = basename(copy2);
	rs->top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rs->top < 0)
		return err_set(rs->err, errno, "the folder '%s': %s", folder, err_name(errno));
	return make_item(rs, ino, rs->top, name, name, 0);
}

int repo_restore(struct repo *r, const char *volume, const char *snapshot, const char *path, const char *dest,
		 struct repo_progress *progress, struct restore_result *ret, struct err *err)
{
	struct err local = {0};
	struct restore rs = {.r = r,
			     .progress = progress,
			     .result = ret,
			     .top = -1,
			     .width = parallel_width(),
			     .err = err ? err : &local};
	struct repo_entry entry;
	int bad = repo_snapshot_find(r, volume, snapshot, &entry, rs.err);

	*ret = (struct restore_result){0};
	if (!bad)
		bad = repo_load_index_to_read(r, rs.err);
	if (!bad)
		bad = blob_in_new(r, progress, &rs.in);
	for (unsigned i = 0; i < rs.width && !bad; i++)
		bad = (rs.buffers[i] = malloc(REPO_BLOB_RAW_MAX)) ? 0 : -ENOMEM;
	if (!bad) {
		rs.manifest = (struct manifest_ref){entry.s.level, entry.s.root};
		atomic_store(&progress->bytes_total, (uint64_t)entry.s.bytes);
		bad = run(&rs, entry.s.root_ino, path, dest);
	}
	for (unsigned i = 0; i < rs.width; i++)
		free(rs.buffers[i]);
	for (size_t i = 0; i < rs.n_links; i++)
		free(rs.links[i].path);
	free(rs.links);
	if (rs.top >= 0)
		(void)close(rs.top);
	blob_in_free(rs.in);
	return bad && !rs.err->code ? err_set(rs.err, -bad, "restoring: %s", err_name(-bad)) : bad;
}
