/* Looking names up, creating and removing them. */
#include <dirent.h>
#include <string.h>

#include "store/volume/acl.h"
#include "store/volume/ns_internal.h"

static int check_name(const char *name)
{
	size_t len = strlen(name);

	if (!len)
		return -ENOENT;
	if (len > NAME_LEN_MAX)
		return -ENAMETOOLONG;
	if (strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return -EINVAL;
	return 0;
}

/* --- virtual directories --- */

static void virtual_attr(uint64_t node, int64_t when, struct attr *ret)
{
	*ret = (struct attr){.node = node,
			     .mode = S_IFDIR | 0555,
			     .nlink = 2,
			     .atime = when,
			     .mtime = when,
			     .ctime = when,
			     .btime = when,
			     .flags = ATTR_READONLY};
}

int ns_volume_root_attr(struct store *s, const struct volume_row *vol, struct attr *ret)
{
	const struct number_slot *slot;
	struct inode inode;
	int r = number_lookup(s, vol->number, &slot);

	if (!r)
		r = inode_get(s->meta, &slot->view, vol->root_ino, &inode);
	if (!r)
		attr_fill(s, slot, &inode, ret);
	return r;
}

int ns_snapshot_root_attr(struct store *s, struct snapshot_row *snap, struct attr *ret)
{
	const struct number_slot *slot;
	struct inode inode;
	int r = 0;

	if (!snap->number) {
		struct tx tx;

		if (s->flags & STORE_READONLY)
			return -EROFS;
		r = tx_begin(s, NULL, TX_LOCKED, 0, &tx);
		if (r)
			return r;
		snap->number = meta_next_number(s->meta);
		r = number_put(s->meta, &(struct number_row){.number = snap->number,
							      .kind = NUMBER_SNAPSHOT,
							      .volume = snap->volume,
							      .branch = snap->branch,
							      .epoch = snap->epoch});
		if (!r)
			r = snapshot_put(s->meta, snap);
		r = tx_end(&tx, r);
		numbers_changed(s);
		if (r)
			return r;
	}
	r = number_lookup(s, snap->number, &slot);
	if (!r)
		r = inode_get(s->meta, &slot->view, snap->root_ino, &inode);
	if (!r)
		attr_fill(s, slot, &inode, ret);
	return r;
}

static uint64_t snapshots_node(const struct number_slot *slot)
{
	return (uint64_t)slot->dir_number << NODE_INO_BITS | INO_SNAPSHOTS;
}

static int lookup_virtual(struct store *s, const struct resolved *dir, const char *name, struct attr *ret)
{
	struct volume_row vol;
	struct snapshot_row snap;
	int r;

	if (dir->mount_root) {
		r = strlen(name) > VOLUME_NAME_MAX ? -ENOENT : volume_by_name(s->meta, name, &vol);
		if (r)
			return r;
		r = ns_volume_root_attr(s, &vol, ret);
		volume_row_free(&vol);
		return r;
	}
	r = strlen(name) > VOLUME_NAME_MAX ? -ENOENT : snapshot_by_name(s->meta, dir->slot->volume, name, &snap);
	return r ? r : ns_snapshot_root_attr(s, &snap, ret);
}

static int getattr_locked(struct store *s, uint64_t node, struct attr *ret)
{
	struct resolved r;
	struct inode inode;
	int err = node_resolve(s, node, &r);

	if (err)
		return err;
	if (r.mount_root || r.snapshots_dir) {
		virtual_attr(node, 0, ret);
		return 0;
	}
	err = node_inode(s, node, false, &r, &inode);
	if (!err)
		attr_fill(s, r.slot, &inode, ret);
	return err;
}

int ns_getattr(struct store *s, uint64_t node, struct attr *ret)
{
	LOCK_SCOPE(&s->lock);

	return getattr_locked(s, node, ret);
}

static int lookup_dots(struct store *s, const struct resolved *dir, uint64_t node, const char *name, struct attr *ret)
{
	struct resolved r;
	struct inode inode;
	int err;

	if (name[1] == 0 || dir->mount_root)
		return getattr_locked(s, node, ret);
	if (dir->snapshots_dir)
		return getattr_locked(s, (uint64_t)dir->slot->dir_number << NODE_INO_BITS | dir->slot->root_ino, ret);
	err = node_inode(s, node, false, &r, &inode);
	if (err)
		return err;
	if (r.ino != r.slot->root_ino)
		return getattr_locked(s, node_make(r.slot, inode.parent, S_IFDIR), ret);
	return getattr_locked(s, NODE_ROOT, ret);
}

int ns_lookup(struct store *s, uint64_t parent, const char *name, struct attr *ret)
{
	struct resolved dir;
	struct dirent_row entry;
	struct inode inode;
	int r;

	LOCK_SCOPE(&s->lock);
	r = node_resolve(s, parent, &dir);
	if (r)
		return r;
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return lookup_dots(s, &dir, parent, name, ret);
	if (strlen(name) > NAME_LEN_MAX)
		return -ENAMETOOLONG;
	if (dir.mount_root || dir.snapshots_dir)
		return lookup_virtual(s, &dir, name, ret);
	if (dir.ino == dir.slot->root_ino && !strcmp(name, SNAPSHOTS_NAME) && dir.slot->kind == NUMBER_VOLUME) {
		virtual_attr(snapshots_node(dir.slot), 0, ret);
		return 0;
	}
	r = dirent_get(s->meta, &dir.slot->view, dir.ino, name, strlen(name), &entry);
	if (!r)
		r = inode_get(s->meta, &dir.slot->view, entry.ino, &inode);
	else if (r == -ENOENT && inode_get(s->meta, &dir.slot->view, dir.ino, &inode))
		return -ESTALE;
	if (!r)
		attr_fill(s, dir.slot, &inode, ret);
	return r;
}

/* --- creating --- */

/* The directory an operation changes, for writing; its name must be valid and not the reserved one. */
int ns_parent(struct store *s, uint64_t node, const char *name, struct resolved *ret, struct inode *ret_inode)
{
	int r = check_name(name);

	if (!r)
		r = node_inode(s, node, true, ret, ret_inode);
	if (r)
		return r == -EISDIR ? -EROFS : r;
	if (!S_ISDIR(ret_inode->mode))
		return -ENOTDIR;
	if (!ret_inode->nlink)
		return -ENOENT;
	if (ret->ino == ret->slot->root_ino && !strcmp(name, SNAPSHOTS_NAME))
		return -EPERM;
	return 0;
}

int inode_resize(struct store *s, struct branch *b, struct inode *inode, int64_t size)
{
	int64_t delta = size - inode->size;

	inode->size = size;
	return delta && S_ISREG(inode->mode) ? branch_add_totals(s->meta, b, delta, 0) : 0;
}

/* An entry came or went: the directory's count and times, and its link count when it was a directory. */
int ns_dir_changed(struct store *s, struct branch *b, struct inode *dir, int entries, int subdirs, int64_t now)
{
	dir->size += entries;
	dir->nlink = (uint32_t)((int64_t)dir->nlink + subdirs);
	dir->mtime = dir->ctime = now;
	return inode_put(s->meta, b, dir);
}

struct create {
	uint64_t ino; /* 0: a new one */
	uint32_t mode;
	uint64_t rdev;
	const char *target;
};

static int create_inode(struct tx *tx, const struct op *op, struct branch *b, const struct inode *dir, const struct create *c,
			struct inode *ret)
{
	struct store *s = tx->s;
	struct inode inode = {
		.ino = c->ino ? c->ino : meta_next_ino(s->meta),
		.mode = c->mode,
		.uid = op->uid,
		.gid = op->gid,
		.nlink = S_ISDIR(c->mode) ? 2 : 1,
		.rdev = S_ISCHR(c->mode) || S_ISBLK(c->mode) ? c->rdev : 0,
		.atime = tx->now,
		.mtime = tx->now,
		.ctime = tx->now,
		.btime = tx->now,
		.inherit = INHERIT_ALL,
	};
	int ret_acl, r;

	if (dir) {
		inode.parent = S_ISDIR(c->mode) ? dir->ino : 0;
		if (dir->mode & S_ISGID) {
			inode.gid = dir->gid;
			if (S_ISDIR(c->mode))
				inode.mode |= S_ISGID;
		}
	} else {
		inode.parent = inode.ino;
	}
	ret_acl = dir ? acl_inherit(s->meta, b, dir, &inode) : 1;
	if (ret_acl < 0)
		return ret_acl;
	if (ret_acl > 0 && !S_ISLNK(inode.mode))
		inode.mode &= ~(op->umask & 0777);
	if (c->target) {
		inode.size = (int64_t)strlen(c->target);
		r = xattr_set(s->meta, b, inode.ino, XATTR_SYMLINK_TARGET, c->target, strlen(c->target), 0);
		if (r)
			return r;
	}
	r = inode_put(s->meta, b, &inode);
	if (!r)
		r = branch_add_totals(s->meta, b, 0, 1);
	if (!r)
		*ret = inode;
	return r;
}

int ns_create_root(struct tx *tx, struct branch *b, uint32_t uid, uint32_t gid, uint32_t mode, uint64_t *ino)
{
	const struct op op = {.uid = uid, .gid = gid};
	const struct create c = {.ino = *ino, .mode = S_IFDIR | (mode & 07777)};
	struct inode inode;
	int r = create_inode(tx, &op, b, NULL, &c, &inode);

	if (!r)
		*ino = inode.ino;
	return r;
}

static int create_in(struct tx *tx, const struct op *op, uint64_t parent, const char *name, const struct create *c,
		     struct attr *ret)
{
	struct store *s = tx->s;
	struct dirent_row entry;
	struct resolved r;
	struct inode dir, inode;
	int err = ns_parent(s, parent, name, &r, &dir);

	if (err)
		return err;
	err = dirent_get(s->meta, &r.slot->view, r.ino, name, strlen(name), &entry);
	if (err != -ENOENT)
		return err ? err : -EEXIST;
	err = admit_bytes(s, r.slot, 0, 0, 1);
	if (!err)
		err = create_inode(tx, op, r.slot->view.branch, &dir, c, &inode);
	if (err)
		return err;
	entry = (struct dirent_row){.parent = r.ino, .ino = inode.ino, .type = (uint8_t)IFTODT(inode.mode)};
	entry.name_len = (uint8_t)strlen(name);
	memcpy(entry.name, name, entry.name_len);
	entry.hash = dirent_hash(s->meta, name, entry.name_len);
	err = dirent_put(s->meta, r.slot->view.branch, &entry);
	if (!err)
		err = ns_dir_changed(s, r.slot->view.branch, &dir, 1, S_ISDIR(inode.mode), tx->now);
	if (err)
		return err;
	attr_fill(s, r.slot, &inode, ret);
	tx->reply_node = ret->node;
	return 0;
}

int ns_create(struct store *s, const struct op *op, uint64_t parent, const char *name, uint32_t mode, uint64_t rdev,
	      const char *target, struct attr *ret)
{
	const struct create c = {.mode = mode, .rdev = rdev, .target = S_ISLNK(mode) ? target : NULL};
	struct attr attr;
	struct tx tx;
	int r;

	if (S_ISLNK(mode) && (!target || !*target))
		return -ENOENT;
	if (S_ISLNK(mode) && strlen(target) > SYMLINK_LEN_MAX)
		return -ENAMETOOLONG;
	r = tx_begin(s, op, TX_GROWS, 0, &tx);
	if (r)
		return r;
	r = tx_end(&tx, create_in(&tx, op, parent, name, &c, &attr));
	if (!r)
		*ret = attr;
	return r;
}

static int link_in(struct tx *tx, uint64_t node, uint64_t new_parent, const char *name, struct attr *ret)
{
	struct store *s = tx->s;
	struct resolved from, to;
	struct inode inode, dir;
	struct dirent_row entry;
	int err = node_inode(s, node, true, &from, &inode);

	if (err)
		return err == -EISDIR ? -EPERM : err;
	err = node_resolve_write(s, new_parent, &to);
	if (!err && from.slot->view.branch != to.slot->view.branch)
		err = -EXDEV;
	if (!err && S_ISDIR(inode.mode))
		err = -EPERM;
	if (!err)
		err = ns_parent(s, new_parent, name, &to, &dir);
	if (err)
		return err;
	err = dirent_get(s->meta, &to.slot->view, to.ino, name, strlen(name), &entry);
	if (err != -ENOENT)
		return err ? err : -EEXIST;
	if (!inode.nlink)
		return -ENOENT;
	if (inode.nlink >= NLINK_MAX)
		return -EMLINK;
	entry = (struct dirent_row){.parent = to.ino, .ino = inode.ino, .type = (uint8_t)IFTODT(inode.mode)};
	entry.name_len = (uint8_t)strlen(name);
	memcpy(entry.name, name, entry.name_len);
	entry.hash = dirent_hash(s->meta, name, entry.name_len);
	inode.nlink++;
	inode.ctime = tx->now;
	err = dirent_put(s->meta, to.slot->view.branch, &entry);
	if (!err)
		err = inode_put(s->meta, to.slot->view.branch, &inode);
	if (!err)
		err = ns_dir_changed(s, to.slot->view.branch, &dir, 1, 0, tx->now);
	if (err)
		return err;
	attr_fill(s, to.slot, &inode, ret);
	tx->reply_node = ret->node;
	return 0;
}

int ns_link(struct store *s, const struct op *op, uint64_t node, uint64_t new_parent, const char *new_name, struct attr *ret)
{
	struct attr attr;
	struct tx tx;
	int r = tx_begin(s, op, TX_GROWS, 0, &tx);

	if (r)
		return r;
	r = tx_end(&tx, link_in(&tx, node, new_parent, new_name, &attr));
	if (!r)
		*ret = attr;
	return r;
}

int ns_readlink(struct store *s, uint64_t node, char **ret)
{
	AUTO_FREE void *value = NULL;
	struct resolved r;
	struct inode inode;
	size_t len;
	char *text;
	int err;

	LOCK_SCOPE(&s->lock);
	err = node_inode(s, node, false, &r, &inode);
	if (err)
		return err == -EISDIR ? -EINVAL : err;
	if (!S_ISLNK(inode.mode))
		return -EINVAL;
	err = xattr_get(s->meta, &r.slot->view, r.ino, XATTR_SYMLINK_TARGET, &value, &len);
	if (err)
		return err == -ENODATA ? -ECORRUPT : err;
	text = malloc(len + 1);
	if (!text)
		return -ENOMEM;
	memcpy(text, value, len);
	text[len] = 0;
	*ret = text;
	return 0;
}
