/* Kernels from 6.16 have FUSE_NOTIFY_INC_EPOCH, which makes every name be looked up again, those that are not there included. Older
 * ones are told name by name: dropping the volume's own name drops all below it that nothing uses, and what something uses (an open
 * file, a working folder) is known to the node table, so its name is asked from the engine before the change.
 *
 * In both cases folders, whose node ids stay, are told to forget their attributes and listings. */
#include "fs/invalidate.h"

#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/volume/namespace.h"

#define NOTIFY_INC_EPOCH 8 /* newer than the headers of Debian 12 */

struct known_name {
	uint64_t parent;
	char *name;
};

struct invalidation {
	char volume[VOLUME_NAME_MAX + 1];
	uint64_t root;
	bool inc_epoch;
	struct known_name *names; /* without INC_EPOCH */
	size_t n;
};

static void told(int ret, const char *what)
{
	if (ret && ret != -ENOENT && ret != -ENOTDIR)
		log_warn("telling the kernel of a changed %s: %s", what, err_name(-ret));
}

/* off -1: attributes; 0: cached pages too (a folder's are its listing). */
static void inval_node(struct daemon *d, uint64_t node, int64_t off)
{
	struct fuse_notify_inval_inode_out out = {.ino = node, .off = off};
	struct iovec iov[2] = {[1] = {&out, sizeof out}};

	told(session_notify(d->session, FUSE_NOTIFY_INVAL_INODE, iov, 2), "node");
}

static void inval_inode(struct daemon *d, uint64_t node)
{
	inval_node(d, node, 0);
}

void invalidate_attr(struct daemon *d, uint64_t node)
{
	inval_node(d, node, -1);
}

static void inval_entry(struct daemon *d, uint64_t parent, const char *name)
{
	struct fuse_notify_inval_entry_out out = {.parent = parent, .namelen = (uint32_t)strlen(name)};
	struct iovec iov[3] = {[1] = {&out, sizeof out}, [2] = {(void *)(uintptr_t)name, out.namelen + 1}};

	told(session_notify(d->session, FUSE_NOTIFY_INVAL_ENTRY, iov, 3), "name");
}

void invalidate_name(struct daemon *d, uint64_t parent, const char *name)
{
	inval_entry(d, parent, name);
	inval_inode(d, parent);
}

void invalidate_snapshot(struct daemon *d, uint64_t volume_root, const char *snapshot)
{
	struct attr dir;

	if (ns_lookup(d->store, volume_root, ".snapshots", &dir) || !node_table_known(d->nodes, dir.node))
		return;
	if (*snapshot)
		invalidate_name(d, dir.node, snapshot);
	else
		inval_inode(d, dir.node);
}

/* The folder that `path` ("/a/b") is in, and its name there. Changes path. */
static int find_parent(struct store *s, uint64_t root, char *path, uint64_t *ret_parent, const char **ret_name)
{
	uint64_t at = root;
	char *save = NULL, *part, *next;
	struct attr a;
	int ret;

	part = strtok_r(path, "/", &save);
	if (!part)
		return -ENOENT;
	while ((next = strtok_r(NULL, "/", &save))) {
		ret = ns_lookup(s, at, part, &a);
		if (ret)
			return ret;
		at = a.node;
		part = next;
	}
	*ret_parent = at;
	*ret_name = part;
	return 0;
}

static int collect_names(struct daemon *d, struct invalidation *inv)
{
	AUTO_FREE uint64_t *nodes = NULL;
	size_t i, n = 0;
	int ret = node_table_list(d->nodes, 0, &nodes, &n);

	if (ret)
		return ret;
	inv->names = calloc(n + 1, sizeof *inv->names);
	if (!inv->names)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		AUTO_FREE char *volume = NULL;
		AUTO_FREE char *path = NULL;
		struct known_name *k = &inv->names[inv->n];
		const char *name;

		/* nodes without a path (removed ones, the mount's root) have no name to forget */
		if (nodes[i] == NODE_ROOT || ns_path(d->store, nodes[i], &volume, &path) || strcmp(volume, inv->volume) != 0 ||
		    find_parent(d->store, inv->root, path, &k->parent, &name))
			continue;
		k->name = strdup(name);
		if (!k->name)
			return -ENOMEM;
		inv->n++;
	}
	return 0;
}

int invalidate_prepare(struct daemon *d, const char *volume, uint64_t volume_root, struct invalidation **ret)
{
	struct invalidation *inv = calloc(1, sizeof *inv);
	struct session_info info;
	int r = 0;

	if (!inv)
		return -ENOMEM;
	(void)snprintf(inv->volume, sizeof inv->volume, "%s", volume);
	inv->root = volume_root;
	session_info(d->session, &info);
	inv->inc_epoch = info.inc_epoch;
	if (!inv->inc_epoch)
		r = collect_names(d, inv);
	if (r) {
		invalidate_free(inv);
		return r;
	}
	*ret = inv;
	return 0;
}

void invalidate_volume(struct daemon *d, const struct invalidation *inv)
{
	AUTO_FREE uint64_t *folders = NULL;
	struct iovec iov[1];
	size_t i, n = 0;

	if (inv->inc_epoch)
		told(session_notify(d->session, NOTIFY_INC_EPOCH, iov, 1), "store");
	else
		inval_entry(d, NODE_ROOT, inv->volume);
	for (i = 0; i < inv->n; i++)
		inval_entry(d, inv->names[i].parent, inv->names[i].name);
	/* Only folders carry the volume's own number. */
	if (node_table_list(d->nodes, inv->root >> NODE_INO_BITS, &folders, &n))
		log_error("listings may be stale after the change of %s: out of memory", inv->volume);
	for (i = 0; i < n; i++)
		inval_inode(d, folders[i]);
	inval_inode(d, NODE_ROOT);
}

void invalidate_free(struct invalidation *inv)
{
	if (!inv)
		return;
	while (inv->n)
		free(inv->names[--inv->n].name);
	free(inv->names);
	free(inv);
}
