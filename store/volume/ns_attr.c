/* Attributes: setattr, truncation, extended attributes. */
#include <string.h>

#include "store/volume/acl.h"
#include "store/volume/ns_internal.h"

#define CAPS_NAME "security.capability"
#define ROWS_AT_ONCE 1024 /* of a transaction: what its record and others' waiting for the lock allow */

/* Clears suid, sgid where it grants something, and capabilities, as a write or a change of owner must. */
static int kill_priv(struct meta *m, struct branch *b, struct inode *inode)
{
	int ret;

	inode->mode &= ~(uint32_t)S_ISUID;
	if (inode->mode & S_IXGRP)
		inode->mode &= ~(uint32_t)S_ISGID;
	if (!(inode->flags & INODE_HAS_CAPS))
		return 0;
	inode->flags &= ~(uint32_t)INODE_HAS_CAPS;
	ret = xattr_delete(m, b, inode->ino, CAPS_NAME);
	return ret == -ENODATA ? 0 : ret;
}

int file_touch(struct tx *tx, struct branch *b, struct inode *inode, struct file *f)
{
	inode->mtime = inode->ctime = tx->now;
	if (!f || !f->mtime)
		return 0;
	return effect_add(tx->effects, &(struct effect){.kind = EFFECT_TIMES, .branch = b->id, .ino = inode->ino});
}

int file_resize(struct tx *tx, struct branch *b, struct inode *inode, struct file *f, int64_t size)
{
	struct store *s = tx->s;
	bool stays = f && (f->active.n || f->sealed.n) && file_buffered_outside(f, size, INT64_MAX);
	int64_t row_size = stays && size > inode->size ? inode->size : size;
	bool done = false;
	int ret = 0;

	if (size > (int64_t)FILE_SIZE_MAX)
		return -EFBIG;
	while (size < inode->size && !done && !ret)
		ret = extent_truncate(s->meta, b, inode, size, ROWS_AT_ONCE, &done);
	if (!ret)
		ret = inode_resize(s, b, inode, row_size);
	if (!ret && f && file_buffered(f))
		ret = effect_add(tx->effects, &(struct effect){.kind = EFFECT_TRIM,
							      .branch = b->id,
							      .ino = inode->ino,
							      .off = size,
							      .len = INT64_MAX - size,
							      .size = size});
	return ret ? ret : file_touch(tx, b, inode, f);
}

static int shorten_in(struct tx *tx, uint64_t node, int64_t size, int64_t *ret_cut, struct file **ret_file)
{
	struct store *s = tx->s;
	struct resolved r;
	struct inode inode;
	struct branch *b;
	int ret = node_inode(s, node, true, &r, &inode);

	*ret_cut = size;
	if (ret || !S_ISREG(inode.mode) || size < 0 || size >= inode.size)
		return 0; /* whatever is wrong, the operation itself says so */
	b = r.slot->view.branch;
	ret = extent_tail(s->meta, b, &inode, size, ROWS_AT_ONCE, ret_cut);
	if (ret || *ret_cut == size)
		return ret;
	*ret_file = file_find(s, b, r.ino);
	if (*ret_file && file_reserve(*ret_file))
		return -ENOMEM;
	ret = file_resize(tx, b, &inode, *ret_file, *ret_cut);
	return ret ? ret : inode_put(s->meta, b, &inode);
}

int file_shorten(struct store *s, uint64_t node, int64_t size, bool *ret_more)
{
	struct file *f = NULL;
	int64_t cut = size;
	struct tx tx;
	int ret = tx_begin(s, NULL, 0, 0, &tx);

	if (ret)
		return ret;
	ret = tx_end_locked(&tx, shorten_in(&tx, node, size, &cut, &f), NULL, 0, NULL);
	if (!ret && f) {
		if (file_buffered(f))
			file_trim(s, f, cut, INT64_MAX, cut);
		f->mtime = 0;
		file_put(s, f);
	}
	(void)pthread_mutex_unlock(&s->lock);
	*ret_more = cut != size;
	return ret;
}

static int set_times(struct tx *tx, struct branch *b, struct inode *inode, struct file *f, const struct attr *want, unsigned mask)
{
	if (mask & NS_SET_ATIME)
		inode->atime = (mask & NS_SET_ATIME_NOW) ? tx->now : want->atime;
	if (mask & NS_SET_MTIME)
		inode->mtime = (mask & NS_SET_MTIME_NOW) ? tx->now : want->mtime;
	inode->ctime = (mask & NS_SET_CTIME) ? want->ctime : tx->now;
	/* a buffered write's mtime goes into the row when an explicit ctime comes, and is replaced by an explicit mtime */
	if ((mask & NS_SET_CTIME) && f && f->mtime && !(mask & (NS_SET_MTIME | NS_SET_SIZE)))
		inode->mtime = f->mtime;
	if ((mask & (NS_SET_MTIME | NS_SET_CTIME)) && f && f->mtime)
		return effect_add(tx->effects, &(struct effect){.kind = EFFECT_TIMES, .branch = b->id, .ino = inode->ino});
	return 0;
}

static int setattr_in(struct tx *tx, uint64_t node, const struct attr *want, unsigned mask, struct resolved *r, struct inode *inode,
		      struct file **ret_file)
{
	struct store *s = tx->s;
	struct branch *b;
	struct file *f;
	int ret = node_inode(s, node, true, r, inode);

	if (ret)
		return ret == -EISDIR ? -EROFS : ret;
	b = r->slot->view.branch;
	*ret_file = f = S_ISREG(inode->mode) ? file_find(s, b, r->ino) : NULL;
	if (f && file_reserve(f))
		return -ENOMEM;
	if (mask & NS_SET_UID)
		inode->uid = want->uid;
	if (mask & NS_SET_GID)
		inode->gid = want->gid;
	if (mask & NS_SET_MODE)
		inode->mode = (inode->mode & S_IFMT) | (want->mode & 07777);
	if (mask & NS_SET_SIZE) {
		int64_t now_size = file_size(f, inode);

		if (!S_ISREG(inode->mode))
			return S_ISDIR(inode->mode) ? -EISDIR : -EINVAL;
		if (want->size < 0)
			return -EINVAL;
		if (want->size > now_size)
			ret = admit_bytes(s, r->slot, 0, want->size - now_size, 0);
		if (!ret)
			ret = file_resize(tx, b, inode, f, want->size);
	}
	if (!ret && (mask & NS_KILL_PRIV))
		ret = kill_priv(s->meta, b, inode);
	if (!ret && (mask & NS_SET_MODE))
		ret = acl_chmod(s->meta, b, inode);
	if (!ret)
		ret = set_times(tx, b, inode, f, want, mask);
	return ret ? ret : inode_put(s->meta, b, inode);
}

/* Nothing that a write would have to clear: the common case of every first write after an open. */
static bool nothing_to_kill(const struct inode *inode)
{
	return !(inode->mode & S_ISUID) && (inode->mode & (S_ISGID | S_IXGRP)) != (S_ISGID | S_IXGRP) &&
	       !(inode->flags & INODE_HAS_CAPS);
}

static bool kill_priv_is_noop(struct store *s, uint64_t node)
{
	struct resolved r;
	struct inode inode;

	LOCK_SCOPE(&s->lock);
	return !node_inode(s, node, true, &r, &inode) && nothing_to_kill(&inode);
}

int ns_setattr(struct store *s, const struct op *op, uint64_t node, const struct attr *want, unsigned mask, struct attr *ret)
{
	struct resolved r;
	struct inode inode;
	struct file *f = NULL;
	struct tx tx;
	bool more = mask & NS_SET_SIZE;
	int err = 0;

	if (mask == NS_KILL_PRIV && kill_priv_is_noop(s, node))
		return ns_getattr(s, node, ret);
	while (more && !err)
		err = file_shorten(s, node, want->size, &more);
	if (err)
		return err;
	err = tx_begin(s, op, (mask & NS_SET_SIZE) && want->size ? TX_GROWS : 0, 0, &tx);
	if (err)
		return err;
	err = tx_end_locked(&tx, setattr_in(&tx, node, want, mask, &r, &inode, &f), NULL, 0, NULL);
	if (!err && f) {
		if ((mask & NS_SET_SIZE) && file_buffered(f)) {
			file_trim(s, f, want->size, INT64_MAX, want->size);
			file_size_told(s, f, inode.size);
		}
		if (mask & (NS_SET_MTIME | NS_SET_CTIME | NS_SET_SIZE))
			f->mtime = 0;
	}
	if (!err)
		attr_fill(s, r.slot, &inode, ret);
	if (!err && f)
		file_put(s, f);
	(void)pthread_mutex_unlock(&s->lock);
	return err;
}

/* --- extended attributes --- */

static int check_xattr_name(const char *name, const struct inode *inode)
{
	if (strlen(name) > XATTR_NAME_MAX)
		return -ERANGE;
	if (!strncmp(name, "user.", 5)) /* the kernel allows these on files and directories only, and so do we */
		return S_ISREG(inode->mode) || S_ISDIR(inode->mode) ? 0 : -EPERM;
	if (!strncmp(name, "trusted.", 8) || !strncmp(name, "security.", 9))
		return 0;
	if (!strcmp(name, ACL_ACCESS_NAME))
		return S_ISLNK(inode->mode) ? -EOPNOTSUPP : 0;
	if (!strcmp(name, ACL_DEFAULT_NAME))
		return S_ISDIR(inode->mode) ? 0 : -EACCES;
	return -EOPNOTSUPP;
}

int ns_getxattr(struct store *s, uint64_t node, const char *name, void **ret, size_t *ret_len)
{
	struct resolved r;
	struct inode inode;
	int err;

	LOCK_SCOPE(&s->lock);
	err = node_inode(s, node, false, &r, &inode);
	if (err)
		return err == -EISDIR ? -ENODATA : err;
	if (!(inode.flags & INODE_HAS_XATTR))
		return -ENODATA;
	if (strncmp(name, "user.", 5) && strncmp(name, "trusted.", 8) && strncmp(name, "security.", 9) &&
	    strncmp(name, "system.posix_acl_", 17))
		return -EOPNOTSUPP;
	return xattr_get(s->meta, &r.slot->view, r.ino, name, ret, ret_len);
}

static int setxattr_in(struct tx *tx, uint64_t node, const char *name, const void *value, size_t len, int flags)
{
	struct store *s = tx->s;
	struct resolved r;
	struct inode inode;
	struct branch *b;
	uint32_t bits;
	bool minimal = false;
	int err = node_inode(s, node, true, &r, &inode);

	if (!err)
		err = check_xattr_name(name, &inode);
	if (err)
		return err == -EISDIR ? -EROFS : err;
	if (len > XATTR_VALUE_MAX)
		return -E2BIG;
	b = r.slot->view.branch;
	if (!strncmp(name, "system.", 7)) {
		err = acl_mode(value, len, &bits, &minimal);
		if (err)
			return err;
		if (!strcmp(name, ACL_ACCESS_NAME))
			inode.mode = (inode.mode & ~0777U) | bits;
		else
			minimal = false;
	}
	if (minimal) { /* the mode says all of it */
		err = xattr_delete(s->meta, b, r.ino, name);
		err = err == -ENODATA ? 0 : err;
	} else {
		err = xattr_set(s->meta, b, r.ino, name, value, len, flags);
		inode.flags |= INODE_HAS_XATTR;
		if (!strcmp(name, CAPS_NAME))
			inode.flags |= INODE_HAS_CAPS;
	}
	inode.ctime = tx->now;
	return err ? err : inode_put(s->meta, b, &inode);
}

int ns_setxattr(struct store *s, const struct op *op, uint64_t node, const char *name, const void *value, size_t len, int flags)
{
	struct tx tx;
	int ret = tx_begin(s, op, TX_GROWS, 0, &tx);

	return ret ? ret : tx_end(&tx, setxattr_in(&tx, node, name, value, len, flags));
}

static int removexattr_in(struct tx *tx, uint64_t node, const char *name)
{
	struct store *s = tx->s;
	struct resolved r;
	struct inode inode;
	int err = node_inode(s, node, true, &r, &inode);

	if (!err)
		err = check_xattr_name(name, &inode);
	if (!err)
		err = xattr_delete(s->meta, r.slot->view.branch, r.ino, name);
	if (err)
		return err == -EISDIR ? -EROFS : err;
	if (!strcmp(name, CAPS_NAME))
		inode.flags &= ~(uint32_t)INODE_HAS_CAPS;
	inode.ctime = tx->now;
	return inode_put(s->meta, r.slot->view.branch, &inode);
}

int ns_removexattr(struct store *s, const struct op *op, uint64_t node, const char *name)
{
	struct tx tx;
	int ret = tx_begin(s, op, 0, 0, &tx);

	return ret ? ret : tx_end(&tx, removexattr_in(&tx, node, name));
}

int ns_listxattr(struct store *s, uint64_t node, struct buf *ret)
{
	struct resolved r;
	struct inode inode;
	int err;

	LOCK_SCOPE(&s->lock);
	err = node_inode(s, node, false, &r, &inode);
	if (err)
		return err == -EISDIR ? 0 : err;
	if (!(inode.flags & INODE_HAS_XATTR))
		return 0;
	return xattr_list(s->meta, &r.slot->view, r.ino, ret);
}
