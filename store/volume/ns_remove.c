/* Removing and renaming. */
#include <stdio.h>
#include <string.h>

#include "store/volume/ns_internal.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#endif

/* Buffers of inodes that a transaction destroyed; they are dropped once it stands. At most two: a rename's. */
static void drop_buffers(struct store *s, struct branch *b, uint64_t ino)
{
	struct file *f = file_find(s, b, ino);

	if (!f)
		return;
	file_trim(s, f, 0, INT64_MAX, 0); /* takes whole ranges, so needs no room */
	file_put(s, f);
}

int inode_destroy(struct tx *tx, struct branch *b, const struct inode *inode)
{
	struct store *s = tx->s;
	struct file *f = S_ISREG(inode->mode) ? file_find(s, b, inode->ino) : NULL;
	int ret = branch_add_totals(s->meta, b, S_ISREG(inode->mode) ? -inode->size : 0, -1);

	if (!ret)
		ret = inode_delete(s->meta, b, inode);
	/* what has neither contents nor attributes has no rows beside its own */
	if (!ret && (inode->alloc || inode->flags || S_ISLNK(inode->mode)))
		ret = extent_purge(s->meta, b, inode->ino, inode->flags || S_ISLNK(inode->mode));
	if (!ret && f && file_buffered(f))
		ret = effect_add(tx->effects, &(struct effect){.kind = EFFECT_TRIM,
							      .branch = b->id,
							      .ino = inode->ino,
							      .off = 0,
							      .len = INT64_MAX,
							      .size = 0});
	return ret;
}

/* One name of the inode less. When none is left: an orphan until it is forgotten, or destroyed at once. */
static int drop_link(struct tx *tx, struct branch *b, struct inode *inode, bool *ret_destroyed)
{
	struct store *s = tx->s;

	*ret_destroyed = false;
	inode->nlink = S_ISDIR(inode->mode) ? 0 : inode->nlink - 1;
	inode->ctime = tx->now;
	if (inode->nlink)
		return inode_put(s->meta, b, inode);
	if (!s->keep_orphans) {
		*ret_destroyed = true;
		return inode_destroy(tx, b, inode);
	}
	return inode_put(s->meta, b, inode);
}

/* A directory's size is its number of entries. */
static int dir_is_empty(const struct inode *dir)
{
	return dir->size ? -ENOTEMPTY : 0;
}

/* What a removal is about. */
struct removal {
	struct resolved r;
	struct inode dir, inode;
	struct dirent_row entry;
	bool destroyed;
};

static int find_entry(struct store *s, uint64_t parent, const char *name, struct removal *rm)
{
	int ret = ns_parent(s, parent, name, &rm->r, &rm->dir);

	if (!ret)
		ret = dirent_get(s->meta, &rm->r.slot->view, rm->r.ino, name, strlen(name), &rm->entry);
	if (!ret)
		ret = inode_get(s->meta, &rm->r.slot->view, rm->entry.ino, &rm->inode);
	return ret;
}

static int remove_in(struct tx *tx, uint64_t parent, const char *name, bool want_dir, struct removal *rm)
{
	struct store *s = tx->s;
	struct branch *b;
	int ret = find_entry(s, parent, name, rm);

	if (ret)
		return ret;
	if (want_dir && !S_ISDIR(rm->inode.mode))
		return -ENOTDIR;
	if (!want_dir && S_ISDIR(rm->inode.mode))
		return -EISDIR;
	if (want_dir)
		ret = dir_is_empty(&rm->inode);
	b = rm->r.slot->view.branch;
	if (!ret)
		ret = dirent_delete(s->meta, b, &rm->entry);
	if (!ret)
		ret = drop_link(tx, b, &rm->inode, &rm->destroyed);
	if (!ret)
		ret = ns_dir_changed(s, b, &rm->dir, -1, want_dir ? -1 : 0, tx->now);
	return ret;
}

static int remove_entry(struct store *s, const struct op *op, uint64_t parent, const char *name, bool want_dir)
{
	struct removal rm;
	struct branch *b = NULL;
	struct tx tx;
	int ret = tx_begin(s, op, 0, 0, &tx);

	if (ret)
		return ret;
	rm.destroyed = false;
	ret = remove_in(&tx, parent, name, want_dir, &rm);
	if (!ret)
		b = rm.r.slot->view.branch;
	ret = tx_end_locked(&tx, ret, NULL, 0, NULL);
	if (!ret && rm.destroyed)
		drop_buffers(s, b, rm.inode.ino);
	(void)pthread_mutex_unlock(&s->lock);
	return ret;
}

int ns_unlink(struct store *s, const struct op *op, uint64_t parent, const char *name)
{
	return remove_entry(s, op, parent, name, false);
}

int ns_rmdir(struct store *s, const struct op *op, uint64_t parent, const char *name)
{
	int dots = strspn(name, ".") == strlen(name) ? (int)strlen(name) : 0;

	if (dots == 1)
		return -EINVAL;
	if (dots == 2)
		return -ENOTEMPTY;
	return remove_entry(s, op, parent, name, true);
}

/* --- rename --- */

struct renaming {
	struct removal from, to;
	bool to_exists;
};

/* -EINVAL when `dir` is inside (or is) the directory `ino`. */
static int check_not_inside(struct store *s, const struct meta_view *v, const struct inode *dir, uint64_t root_ino, uint64_t ino)
{
	struct inode at = *dir;
	int ret;

	while (at.ino != ino) {
		if (at.ino == root_ino)
			return 0;
		ret = inode_get(s->meta, v, at.parent, &at);
		if (ret)
			return ret == -ENOENT ? -ECORRUPT : ret;
	}
	return -EINVAL;
}

static int check_rename(struct store *s, struct renaming *rn, unsigned flags)
{
	bool from_dir = S_ISDIR(rn->from.inode.mode), to_dir = rn->to_exists && S_ISDIR(rn->to.inode.mode);
	const struct number_slot *slot = rn->from.r.slot;
	int ret = 0;

	if ((flags & RENAME_NOREPLACE) && rn->to_exists)
		return -EEXIST;
	if ((flags & RENAME_EXCHANGE) && !rn->to_exists)
		return -ENOENT;
	if (from_dir)
		ret = check_not_inside(s, &slot->view, &rn->to.dir, slot->root_ino, rn->from.inode.ino);
	if (!ret && (flags & RENAME_EXCHANGE) && to_dir)
		ret = check_not_inside(s, &slot->view, &rn->from.dir, slot->root_ino, rn->to.inode.ino);
	if (ret || (flags & RENAME_EXCHANGE) || !rn->to_exists)
		return ret;
	if (from_dir && !to_dir)
		return -ENOTDIR;
	if (!from_dir && to_dir)
		return -EISDIR;
	return to_dir ? dir_is_empty(&rn->to.inode) : 0;
}

/* A moved directory's parent; every moved inode's ctime. */
static int moved(struct tx *tx, struct branch *b, struct inode *inode, uint64_t parent)
{
	if (S_ISDIR(inode->mode))
		inode->parent = parent;
	inode->ctime = tx->now;
	return inode_put(tx->s->meta, b, inode);
}

/* Puts the two directories' changes; they may be one and the same. */
static int put_dirs(struct tx *tx, struct branch *b, struct renaming *rn, int from_entries, int from_subdirs, int to_entries,
		    int to_subdirs)
{
	struct store *s = tx->s;
	int ret;

	if (rn->from.r.ino == rn->to.r.ino)
		return ns_dir_changed(s, b, &rn->from.dir, from_entries + to_entries, from_subdirs + to_subdirs, tx->now);
	ret = ns_dir_changed(s, b, &rn->from.dir, from_entries, from_subdirs, tx->now);
	return ret ? ret : ns_dir_changed(s, b, &rn->to.dir, to_entries, to_subdirs, tx->now);
}

static int exchange(struct tx *tx, struct branch *b, struct renaming *rn)
{
	struct store *s = tx->s;
	int shift = (int)S_ISDIR(rn->to.inode.mode) - (int)S_ISDIR(rn->from.inode.mode);
	uint64_t ino = rn->from.entry.ino;
	uint8_t type = rn->from.entry.type;
	int ret;

	rn->from.entry.ino = rn->to.entry.ino;
	rn->from.entry.type = rn->to.entry.type;
	rn->to.entry.ino = ino;
	rn->to.entry.type = type;
	ret = dirent_put(s->meta, b, &rn->from.entry);
	if (!ret)
		ret = dirent_put(s->meta, b, &rn->to.entry);
	if (!ret)
		ret = moved(tx, b, &rn->from.inode, rn->to.r.ino);
	if (!ret)
		ret = moved(tx, b, &rn->to.inode, rn->from.r.ino);
	return ret ? ret : put_dirs(tx, b, rn, 0, shift, 0, -shift);
}

static int replace(struct tx *tx, struct branch *b, struct renaming *rn, const char *new_name)
{
	struct store *s = tx->s;
	int is_dir = S_ISDIR(rn->from.inode.mode), gone = rn->to_exists ? 1 : 0;
	struct dirent_row entry = {.parent = rn->to.r.ino};
	int ret = dirent_delete(s->meta, b, &rn->from.entry);

	if (rn->to_exists) {
		entry = rn->to.entry;
		if (!ret)
			ret = drop_link(tx, b, &rn->to.inode, &rn->to.destroyed);
	} else {
		entry.name_len = (uint8_t)strlen(new_name);
		memcpy(entry.name, new_name, entry.name_len);
		entry.hash = dirent_hash(s->meta, new_name, entry.name_len);
	}
	entry.ino = rn->from.entry.ino;
	entry.type = rn->from.entry.type;
	if (!ret)
		ret = dirent_put(s->meta, b, &entry);
	if (!ret)
		ret = moved(tx, b, &rn->from.inode, rn->to.r.ino);
	return ret ? ret : put_dirs(tx, b, rn, -1, -is_dir, 1 - gone, is_dir - (gone && is_dir));
}

static int rename_in(struct tx *tx, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name, unsigned flags,
		     struct renaming *rn)
{
	struct store *s = tx->s;
	struct branch *b;
	int ret = node_resolve_write(s, parent, &rn->from.r);

	if (!ret)
		ret = node_resolve_write(s, new_parent, &rn->to.r);
	if (!ret && rn->from.r.slot->view.branch != rn->to.r.slot->view.branch)
		ret = -EXDEV;
	if (!ret)
		ret = find_entry(s, parent, name, &rn->from);
	if (ret)
		return ret;
	ret = find_entry(s, new_parent, new_name, &rn->to);
	rn->to_exists = !ret;
	if (ret == -ENOENT)
		ret = ns_parent(s, new_parent, new_name, &rn->to.r, &rn->to.dir);
	if (ret)
		return ret;
	b = rn->from.r.slot->view.branch;
	if (rn->to_exists && rn->from.inode.ino == rn->to.inode.ino) /* two names of one inode: nothing to do, says POSIX */
		return (flags & RENAME_NOREPLACE) ? -EEXIST : 0;
	ret = check_rename(s, rn, flags);
	if (ret)
		return ret;
	return (flags & RENAME_EXCHANGE) ? exchange(tx, b, rn) : replace(tx, b, rn, new_name);
}

/* The file took another's place: its data must not be later on disk than the rename. */
static void mark_replaced(struct store *s, struct branch *b, const struct inode *inode)
{
	struct file *f = S_ISREG(inode->mode) ? file_find(s, b, inode->ino) : NULL;

	if (f && file_buffered(f)) {
		f->replaced = true;
		s->replaced_files = true;
	}
}

int ns_rename(struct store *s, const struct op *op, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name,
	      unsigned flags)
{
	struct renaming rn = {.to_exists = false};
	struct branch *b = NULL;
	struct tx tx;
	int ret;

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE) || flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	ret = tx_begin(s, op, 0, 0, &tx);
	if (ret)
		return ret;
	ret = rename_in(&tx, parent, name, new_parent, new_name, flags, &rn);
	if (!ret)
		b = rn.from.r.slot->view.branch;
	ret = tx_end_locked(&tx, ret, NULL, 0, NULL);
	if (!ret) {
		if (rn.to_exists)
			mark_replaced(s, b, &rn.from.inode);
		if (flags & RENAME_EXCHANGE)
			mark_replaced(s, b, &rn.to.inode);
		if (rn.to.destroyed)
			drop_buffers(s, b, rn.to.inode.ino);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return ret;
}

/* --- orphans --- */

static int destroy_orphan(struct tx *tx, struct branch *b, uint64_t ino, bool *ret_destroyed)
{
	const struct meta_view head = {b, META_HEAD};
	struct inode inode;
	int ret = inode_get(tx->s->meta, &head, ino, &inode);

	*ret_destroyed = false;
	if (ret || inode.nlink)
		return ret == -ENOENT ? 0 : ret;
	*ret_destroyed = true;
	return inode_destroy(tx, b, &inode);
}

static int forget_inode(struct store *s, struct branch *b, uint64_t ino)
{
	struct tx tx;
	bool destroyed = false;
	int ret = tx_begin(s, NULL, TX_LOCKED, 0, &tx);

	if (ret)
		return ret;
	ret = tx_end(&tx, destroy_orphan(&tx, b, ino, &destroyed));
	if (!ret && destroyed)
		drop_buffers(s, b, ino);
	return ret;
}

int ns_forget(struct store *s, uint64_t node)
{
	struct resolved r;
	struct inode inode;

	LOCK_SCOPE(&s->lock);
	if (node == NODE_ROOT || node_resolve(s, node, &r) || r.snapshots_dir || !r.slot->writable)
		return 0;
	if (inode_get(s->meta, &r.slot->view, r.ino, &inode) || inode.nlink)
		return 0;
	return forget_inode(s, r.slot->view.branch, r.ino);
}

void ns_keep_orphans(struct store *s, bool keep)
{
	LOCK_SCOPE(&s->lock);

	s->keep_orphans = keep;
}

/* Those of a view, in the head of a branch that shows them. */
static int free_of(struct store *s, const struct meta_view *of, struct branch *b, bool directories)
{
	struct inode inode;
	uint64_t ino = 0;
	int ret = 0;

	while (!ret && !(ret = orphan_next(s->meta, of, &ino))) {
		if (!directories)
			ret = inode_get(s->meta, of, ino, &inode);
		if (!ret && (directories || !S_ISDIR(inode.mode)))
			ret = forget_inode(s, b, ino);
	}
	return ret < 0 ? ret : 0;
}

int orphans_free_inherited(struct store *s, int64_t branch, bool directories)
{
	struct meta_view origin;
	struct branch *b;

	LOCK_SCOPE(&s->lock);
	b = branch_get(s->meta, branch);
	if (!b || !b->head || !b->parent)
		return 0;
	origin = (struct meta_view){b->parent, b->fork_epoch};
	return free_of(s, &origin, b, directories);
}

int orphans_free_files(struct store *s, struct branch *b)
{
	return free_of(s, &(struct meta_view){b, META_HEAD}, b, false);
}

static int free_of_head(void *arg, struct branch *b)
{
	return b->head ? free_of(arg, &(struct meta_view){b, META_HEAD}, b, true) : 0;
}

int orphans_free_all(struct store *s)
{
	LOCK_SCOPE(&s->lock);

	return branch_each(s->meta, free_of_head, s);
}
