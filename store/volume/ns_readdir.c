/* Listings, statfs and paths. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "store/volume/ns_internal.h"
#include "store/volume/view_path.h"

#define COOKIE_DOT 1
#define COOKIE_DOTDOT 2
#define SCAN_ENTRIES 128
#define BLOCK 4096

typedef int (*entry_fn)(void *arg, const struct ns_entry *e);

static int emit_dots(struct store *s, uint64_t node, uint64_t after, entry_fn fn, void *arg)
{
	struct ns_entry e = {.name = ".", .cookie = COOKIE_DOT};
	int ret;

	if (after < COOKIE_DOT) {
		ret = ns_lookup(s, node, ".", &e.attr);
		if (!ret)
			ret = fn(arg, &e);
		if (ret)
			return ret;
	}
	if (after >= COOKIE_DOTDOT)
		return 0;
	e.name = "..";
	e.cookie = COOKIE_DOTDOT;
	ret = ns_lookup(s, node, "..", &e.attr);
	return ret ? ret : fn(arg, &e);
}

/* Names and ids of the entries of a virtual directory; ids give the cookies, since they never change or come again. */
struct virtual_entry {
	int64_t id;
	char name[VOLUME_NAME_MAX + 1];
};

struct virtual_list {
	struct virtual_entry *v;
	size_t n, cap;
};

static int virtual_add(struct virtual_list *list, int64_t id, const char *name)
{
	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 32;
		struct virtual_entry *v = realloc(list->v, cap * sizeof *v);

		if (!v)
			return -ENOMEM;
		list->v = v;
		list->cap = cap;
	}
	list->v[list->n].id = id;
	(void)snprintf(list->v[list->n++].name, sizeof list->v->name, "%s", name);
	return 0;
}

static int by_id(const void *a, const void *b)
{
	int64_t x = ((const struct virtual_entry *)a)->id, y = ((const struct virtual_entry *)b)->id;

	return (x > y) - (x < y);
}

static int list_volumes(struct store *s, struct virtual_list *list)
{
	struct volume_row vol;
	char after[VOLUME_NAME_MAX + 1] = "";
	int ret;

	while (!(ret = volume_next(s->meta, after, &vol))) {
		ret = virtual_add(list, vol.id, vol.name);
		(void)snprintf(after, sizeof after, "%s", vol.name);
		volume_row_free(&vol);
		if (ret)
			return ret;
	}
	return ret < 0 ? ret : 0;
}

static int list_snapshots(struct store *s, int64_t volume, struct virtual_list *list)
{
	struct snapshot_row snap = {0};
	int ret;

	while (!(ret = snapshot_next(s->meta, volume, snap.created, snap.id, &snap))) {
		ret = virtual_add(list, snap.id, snap.name);
		if (ret)
			return ret;
	}
	return ret < 0 ? ret : 0;
}

static int readdir_virtual(struct store *s, uint64_t node, const struct resolved *dir, uint64_t after, entry_fn fn, void *arg)
{
	struct virtual_list list = {0};
	int64_t volume = dir->mount_root ? 0 : dir->slot->volume;
	size_t i;
	int ret;

	(void)pthread_mutex_lock(&s->lock);
	ret = dir->mount_root ? list_volumes(s, &list) : list_snapshots(s, volume, &list);
	(void)pthread_mutex_unlock(&s->lock);
	if (!ret && list.n)
		qsort(list.v, list.n, sizeof *list.v, by_id);
	for (i = 0; i < list.n && !ret; i++) {
		struct ns_entry e = {.name = list.v[i].name, .cookie = (uint64_t)list.v[i].id + 16};

		if (e.cookie <= after)
			continue;
		ret = ns_lookup(s, node, e.name, &e.attr);
		if (ret == -ENOENT) { /* removed since */
			ret = 0;
			continue;
		}
		if (!ret)
			ret = fn(arg, &e);
	}
	free(list.v);
	return ret;
}

struct batch {
	struct dirent_row rows[SCAN_ENTRIES];
	struct attr attrs[SCAN_ENTRIES];
	size_t n;
};

static int scan_batch(struct store *s, uint64_t node, uint64_t after, bool want_attr, struct batch *batch)
{
	struct resolved r;
	struct inode inode;
	size_t i;
	int ret;

	LOCK_SCOPE(&s->lock);
	ret = node_resolve(s, node, &r);
	if (!ret)
		ret = dirent_scan(s->meta, &r.slot->view, r.ino, (int64_t)after, batch->rows, SCAN_ENTRIES, &batch->n);
	for (i = 0; i < batch->n && !ret; i++) {
		if (!want_attr) {
			batch->attrs[i] = (struct attr){.mode = DTTOIF(batch->rows[i].type)};
			batch->attrs[i].node = node_make(r.slot, batch->rows[i].ino, batch->attrs[i].mode);
			continue;
		}
		ret = inode_get(s->meta, &r.slot->view, batch->rows[i].ino, &inode);
		if (ret == -ENOENT)
			ret = -ECORRUPT;
		if (!ret)
			attr_fill(s, r.slot, &inode, &batch->attrs[i]);
	}
	return ret;
}

static int readdir_entries(struct store *s, uint64_t node, uint64_t after, bool want_attr, entry_fn fn, void *arg)
{
	AUTO_FREE struct batch *batch = malloc(sizeof *batch);
	size_t i;
	int ret;

	if (!batch)
		return -ENOMEM;
	for (;;) {
		batch->n = 0;
		ret = scan_batch(s, node, after, want_attr, batch);
		if (ret || !batch->n)
			return ret;
		for (i = 0; i < batch->n; i++) {
			struct ns_entry e = {.name = batch->rows[i].name,
					     .cookie = (uint64_t)batch->rows[i].hash,
					     .more_same = i + 1 < batch->n && batch->rows[i + 1].hash == batch->rows[i].hash,
					     .attr = batch->attrs[i]};

			ret = fn(arg, &e);
			if (ret)
				return ret;
			after = e.cookie;
		}
	}
}

int ns_readdir(struct store *s, uint64_t node, uint64_t after, bool want_attr, entry_fn fn, void *arg)
{
	struct resolved r;
	struct inode inode;
	int ret;

	(void)pthread_mutex_lock(&s->lock);
	ret = node_resolve(s, node, &r);
	if (!ret && !r.mount_root && !r.snapshots_dir) {
		ret = node_inode(s, node, false, &r, &inode);
		if (!ret && !S_ISDIR(inode.mode))
			ret = -ENOTDIR;
	}
	(void)pthread_mutex_unlock(&s->lock);
	if (!ret)
		ret = emit_dots(s, node, after, fn, arg);
	if (!ret && (r.mount_root || r.snapshots_dir))
		ret = readdir_virtual(s, node, &r, after, fn, arg);
	else if (!ret)
		ret = readdir_entries(s, node, after > COOKIE_DOTDOT ? after : COOKIE_DOTDOT, want_attr, fn, arg);
	return ret < 0 ? ret : 0;
}

int ns_statfs(struct store *s, uint64_t node, struct ns_statfs *ret)
{
	struct store_space space;
	struct resolved r;
	int err = host_space(s, &space);

	LOCK_SCOPE(&s->lock);
	if (!err)
		err = node_resolve(s, node, &r);
	if (err)
		return err;
	*ret = (struct ns_statfs){.total_bytes = space.host_total,
				  .free_bytes = space.host_free,
				  .avail_bytes = space.host_free,
				  .total_inodes = UINT32_MAX,
				  .free_inodes = UINT32_MAX};
	if (r.mount_root)
		return 0;
	if (r.slot->quota_bytes) {
		uint64_t quota = (uint64_t)r.slot->quota_bytes, used;
		int64_t pending = 0;

		if (r.slot->view.epoch == META_HEAD)
			err = quota_pending(s, r.slot->view.branch, &pending);
		if (err)
			return err;
		used = (uint64_t)(r.slot->view.branch->bytes + pending);
		ret->total_bytes = quota;
		ret->free_bytes = used < quota ? quota - used : 0;
		ret->avail_bytes = ret->free_bytes < space.host_free ? ret->free_bytes : space.host_free;
	}
	if (r.slot->quota_inodes)
		ret->total_inodes = (uint64_t)r.slot->quota_inodes;
	ret->free_inodes = (uint64_t)r.slot->view.branch->inodes < ret->total_inodes
				   ? ret->total_inodes - (uint64_t)r.slot->view.branch->inodes
				   : 0;
	return 0;
}

int ns_path(struct store *s, uint64_t node, char **ret_volume, char **ret_path)
{
	AUTO_FREE char *volume = NULL, *path = NULL;
	struct resolved r;
	struct volume_row vol;
	struct dirent_row row;
	size_t n;
	int ret;

	LOCK_SCOPE(&s->lock);
	ret = node_resolve(s, node, &r);
	if (!ret && (r.mount_root || r.snapshots_dir))
		ret = -EINVAL;
	if (!ret && r.ino == r.slot->root_ino) {
		path = strdup("/");
		ret = path ? 0 : -ENOMEM;
	} else if (!ret) {
		ret = dirent_by_ino(s->meta, &r.slot->view, r.ino, &row, 1, &n);
		if (!ret)
			ret = n ? view_path(s->meta, &r.slot->view, r.slot->root_ino, &row, &path) : -ENOENT;
	}
	if (!ret)
		ret = volume_by_id(s->meta, r.slot->volume, &vol);
	if (ret)
		return ret;
	volume = strdup(vol.name);
	volume_row_free(&vol);
	if (!volume)
		return -ENOMEM;
	*ret_volume = steal(&volume);
	*ret_path = steal(&path);
	return 0;
}

int ns_volume(struct store *s, uint64_t node, int64_t *ret)
{
	struct resolved r;
	int err;

	LOCK_SCOPE(&s->lock);
	err = node_resolve(s, node, &r);
	if (!err && r.mount_root)
		err = -EINVAL;
	if (!err)
		*ret = r.slot->volume;
	return err;
}
