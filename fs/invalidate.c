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
#include "fs/visit.h"
#include "store/base/cleanup.h"
#include "store/base/log.h"
#include "store/volume/namespace.h"

/* Beyond so many names, all names of the store are outdated at once, which costs other volumes their cached ones. */
#define NAMES_TOLD_MAX 100000
#define ITEMS_AT_ONCE 4096
#define INO_MASK ((UINT64_C(1) << NODE_INO_BITS) - 1)

/* What the kernel does not know needs no telling. */
static bool is_unknown(int ret)
{
	return ret == -ENOENT || ret == -ENOTDIR;
}

static void told(int ret, const char *what)
{
	if (ret && !is_unknown(ret))
		log_warn("telling the kernel of a changed %s: %s", what, err_name(-ret));
}

/* off -1: attributes; 0: cached pages too (a folder's are its listing). */
static int inval_node(struct daemon *d, int fd, uint64_t node, int64_t off)
{
	struct fuse_notify_inval_inode_out out = {.ino = node, .off = off};
	struct iovec iov[2] = {[1] = {&out, sizeof out}};

	return session_notify(d->session, fd, FUSE_NOTIFY_INVAL_INODE, iov, 2);
}

void invalidate_attr(struct daemon *d, uint64_t node)
{
	told(inval_node(d, -1, node, -1), "node");
}

static int inval_entry(struct daemon *d, int fd, uint64_t parent, const char *name, uint32_t flags)
{
	struct fuse_notify_inval_entry_out out = {.parent = parent, .namelen = (uint32_t)strlen(name), .flags = flags};
	struct iovec iov[3] = {[1] = {&out, sizeof out}, [2] = {(void *)(uintptr_t)name, out.namelen + 1}};

	return session_notify(d->session, fd, FUSE_NOTIFY_INVAL_ENTRY, iov, 3);
}

/* A name in a folder, or (NULL) the folder's attributes and listing. */
struct item {
	uint64_t folder;
	char *name;
	uint32_t flags;
};

/* What is told in one visit: the kernel takes the folder's lock for each, which somebody may hold who waits for us. The
 * engine's lock must not be held meanwhile, so what is read from it is gathered first. */
struct telling {
	struct daemon *d;
	struct item *v;
	size_t n, cap;
	int ret; /* the first that went wrong in a way that matters */
};

static void tell_visit(void *arg, int fd)
{
	struct telling *t = arg;
	size_t i;

	for (i = 0; i < t->n; i++) {
		const struct item *it = &t->v[i];
		int ret = it->name ? inval_entry(t->d, fd, it->folder, it->name, it->flags)
				   : inval_node(t->d, fd, it->folder, 0);

		if (ret && !is_unknown(ret) && !t->ret)
			t->ret = ret;
	}
}

/* Tells what was gathered, and forgets it. */
static void tell(struct telling *t)
{
	if (t->n)
		visit(tell_visit, t, session_fd(t->d->session));
	told(t->ret, "folder");
	t->ret = 0;
	while (t->n)
		free(t->v[--t->n].name);
}

static int gather(struct telling *t, uint64_t folder, const char *name, uint32_t flags)
{
	struct item it = {.folder = folder, .name = name ? strdup(name) : NULL, .flags = flags};

	if (name && !it.name)
		return -ENOMEM;
	if (t->n == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 64;
		struct item *grown = reallocarray(t->v, cap, sizeof *grown);

		if (!grown) {
			free(it.name);
			return -ENOMEM;
		}
		t->v = grown;
		t->cap = cap;
	}
	t->v[t->n++] = it;
	return 0;
}

void invalidate_name(struct daemon *d, uint64_t parent, const char *name)
{
	struct item v[2] = {{.folder = parent, .name = strdup(name)}, {.folder = parent}};
	struct telling t = {.d = d, .v = v, .n = 2};

	if (!v[0].name)
		told(-ENOMEM, "name");
	else
		tell(&t);
}

void invalidate_snapshot(struct daemon *d, uint64_t volume_root, const char *snapshot)
{
	struct attr dir;

	if (ns_lookup(d->store, volume_root, ".snapshots", &dir) || !node_table_known(d->nodes, dir.node))
		return;
	invalidate_name(d, dir.node, snapshot);
}

/* --- rollback --- */

struct expiry {
	struct telling *t;
	uint64_t folder;
	size_t names;
};

static int expire_name(void *arg, const struct ns_entry *e)
{
	struct expiry *x = arg;

	if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
		return 0;
	x->names++;
	return gather(x->t, x->folder, e->name, FUSE_EXPIRE_ONLY);
}

/* Makes the kernel ask again for each name in `listed`, as names of `folder`. Counts them. */
static int expire_names(struct telling *t, uint64_t folder, uint64_t listed, size_t *count)
{
	struct expiry x = {.t = t, .folder = folder};
	int ret = ns_readdir(t->d->store, listed, 0, false, expire_name, &x);

	*count += x.names;
	/* A folder that is in one of the states only has no names in the other. */
	return ret == -ENOENT || ret == -ESTALE || ret == -ENOTDIR ? 0 : ret;
}

static void forget_all_names(struct daemon *d)
{
	struct iovec iov[1];

	told(session_notify(d->session, -1, SESSION_NOTIFY_INC_EPOCH, iov, 1), "store");
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
	const dev_t device = (dev_t)d->handover.state->device;
	struct telling t = {.d = d};
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
			ret = expire_names(&t, folders[i], before | (folders[i] & INO_MASK), &names);
		if (by_name && !ret)
			ret = expire_names(&t, folders[i], folders[i], &names);
		if (gather(&t, folders[i], NULL, 0))
			ret = -ENOMEM;
		if (t.n >= ITEMS_AT_ONCE)
			tell(&t);
		if (by_name && names > NAMES_TOLD_MAX && info.inc_epoch && !mount_has_inner(device)) {
			forget_all_names(d);
			by_name = false;
		}
	}
	tell(&t);
	free(t.v);
	if (!ret)
		return;
	/* Rather too much than too little. */
	log_warn("telling the kernel of a rollback name by name: %s", err_name(-ret));
	forget_all_names(d);
}
