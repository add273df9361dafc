/* After a rollback any name in the volume may mean something else, or nothing, or be there again. The kernel can only
 * know names in folders that it knows, and what it knows wrongly is in the folder's listing of before or of now: so
 * each of those names is told, for each known folder. FUSE_EXPIRE_ONLY makes the kernel ask again and keep what is
 * still right, so that what is mounted on a folder in a volume stays mounted (a container may have one volume inside
 * another).
 *
 * The listings of before come from the snapshot that the rollback has saved, so that nothing is missed that came up to
 * the cut. The kernel takes the parent's lock to expire a name, so answers under way from before have been taken in by
 * then.
 *
 * When that would be many names, kernels from 6.16 have FUSE_NOTIFY_INC_EPOCH: every name of the whole mount is dropped
 * and asked again. It detaches what is mounted below, so it is not used when there is such a mount.
 *
 * Folders, whose node ids stay, are told to forget their attributes and listings. */
#include "fs/invalidate.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>

#include "fs/mount.h"
#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/volume/namespace.h"

/* Beyond so many names, all names of the store are outdated at once, which costs other volumes their cached ones. */
#define NAMES_TOLD_MAX 100000
#define INO_MASK ((UINT64_C(1) << NODE_INO_BITS) - 1)

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

static void inval_entry(struct daemon *d, uint64_t parent, const char *name, uint32_t flags)
{
	struct fuse_notify_inval_entry_out out = {.parent = parent, .namelen = (uint32_t)strlen(name), .flags = flags};
	struct iovec iov[3] = {[1] = {&out, sizeof out}, [2] = {(void *)(uintptr_t)name, out.namelen + 1}};

	told(session_notify(d->session, FUSE_NOTIFY_INVAL_ENTRY, iov, 3), "name");
}

void invalidate_name(struct daemon *d, uint64_t parent, const char *name)
{
	inval_entry(d, parent, name, 0);
	inval_inode(d, parent);
}

void invalidate_snapshot(struct daemon *d, uint64_t volume_root, const char *snapshot)
{
	struct attr dir;

	if (ns_lookup(d->store, volume_root, ".snapshots", &dir) || !node_table_known(d->nodes, dir.node))
		return;
	invalidate_name(d, dir.node, snapshot);
}

/* --- rollback --- */

struct names {
	char **v;
	size_t n, cap;
};

static void names_free(struct names *l)
{
	while (l->n)
		free(l->v[--l->n]);
	free(l->v);
}

static int add_name(void *arg, const struct ns_entry *e)
{
	struct names *l = arg;

	if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
		return 0;
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		char **grown = reallocarray(l->v, cap, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		l->v = grown;
		l->cap = cap;
	}
	l->v[l->n] = strdup(e->name);
	if (!l->v[l->n])
		return -ENOMEM;
	l->n++;
	return 0;
}

/* Makes the kernel ask again for each name in `listed`, as names of `folder`. The listing is read first: the engine's
 * lock must not be held while the kernel takes a folder's. Counts them. */
static int expire_names(struct daemon *d, uint64_t folder, uint64_t listed, size_t *count)
{
	struct names l = {0};
	size_t i;
	int ret = ns_readdir(d->store, listed, 0, false, add_name, &l);

	/* A folder that is in one of the states only has no names in the other. */
	if (ret == -ENOENT || ret == -ESTALE || ret == -ENOTDIR)
		ret = 0;
	for (i = 0; !ret && i < l.n; i++)
		inval_entry(d, folder, l.v[i], FUSE_EXPIRE_ONLY);
	*count += l.n;
	names_free(&l);
	return ret;
}

static void forget_all_names(struct daemon *d)
{
	struct iovec iov[1];

	told(session_notify(d->session, SESSION_NOTIFY_INC_EPOCH, iov, 1), "store");
}

/* The bits of the node ids in a snapshot that say which. */
static int snapshot_number(struct daemon *d, uint64_t root, const char *snapshot, uint64_t *ret)
{
	struct attr a;
	int bad = ns_lookup(d->store, root, ".snapshots", &a);

	if (!bad)
		bad = ns_lookup(d->store, a.node, snapshot, &a);
	if (!bad)
		*ret = a.node & ~INO_MASK;
	return bad;
}

void invalidate_rollback(struct daemon *d, uint64_t volume_root, const char *saved)
{
	AUTO_FREE uint64_t *folders = NULL;
	struct session_info info;
	size_t i, n = 0, names = 0;
	uint64_t before = 0;
	bool by_name = true;
	int ret;

	session_info(d->session, &info);
	/* Only folders carry the volume's own number. */
	ret = node_table_list(d->nodes, volume_root >> NODE_INO_BITS, &folders, &n);
	if (!ret)
		ret = snapshot_number(d, volume_root, saved, &before);
	for (i = 0; i < n; i++) {
		if (by_name && !ret)
			ret = expire_names(d, folders[i], before | (folders[i] & INO_MASK), &names);
		if (by_name && !ret)
			ret = expire_names(d, folders[i], folders[i], &names);
		inval_inode(d, folders[i]);
		if (by_name && names > NAMES_TOLD_MAX && info.inc_epoch && !mount_has_inner(d->options.mount)) {
			forget_all_names(d);
			by_name = false;
		}
	}
	if (!ret)
		return;
	/* Rather too much than too little. */
	log_warn("telling the kernel of a rollback name by name: %s", err_name(-ret));
	forget_all_names(d);
}
