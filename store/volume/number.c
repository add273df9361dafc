/* Node ids: which view a number stands for, and the attributes that are seen through it. */
#include "store/volume/store_internal.h"

void numbers_changed(struct store *s)
{
	s->generation++;
}

uint64_t volume_generation(struct store *s)
{
	return s->generation;
}

static int fill_slot(struct store *s, uint32_t number, struct number_slot *slot)
{
	struct number_row row;
	struct volume_row vol = {0};
	int ret = number_get(s->meta, number, &row);

	if (!ret)
		ret = volume_by_id(s->meta, row.volume, &vol);
	if (!ret && (vol.flags & VOLUME_TRASH)) {
		volume_row_free(&vol);
		ret = -ENOENT;
	}
	if (ret)
		return ret;
	*slot = (struct number_slot){
		.generation = s->generation,
		.number = number,
		.kind = row.kind,
		.volume = row.volume,
		.dir_number = number,
		.file_number = number,
		.root_ino = vol.root_ino,
		.compression = vol.compression,
		.quota_bytes = vol.quota_bytes,
		.quota_inodes = vol.quota_inodes,
		.view = {branch_get(s->meta, row.branch), row.epoch},
	};
	if (row.kind == NUMBER_VOLUME || (row.kind == NUMBER_HEAD && vol.head_number == number)) {
		slot->view = (struct meta_view){branch_get(s->meta, vol.branch), META_HEAD};
		slot->dir_number = vol.number;
		slot->file_number = vol.head_number;
		slot->writable = true;
	}
	volume_row_free(&vol);
	return slot->view.branch ? 0 : -ENOENT;
}

int number_lookup(struct store *s, uint32_t number, const struct number_slot **ret)
{
	struct number_slot *slot = &s->numbers[number % NUMBER_CACHE];
	int err = 0;

	if (slot->number != number || slot->generation != s->generation)
		err = fill_slot(s, number, slot);
	if (err) {
		slot->number = 0;
		return err == -ENOENT ? -ESTALE : err;
	}
	*ret = slot;
	return 0;
}

int node_resolve(struct store *s, uint64_t node, struct resolved *ret)
{
	const struct number_slot *slot;
	int err = rows_ready(s);

	if (err)
		return err;
	ret->ino = node & ((UINT64_C(1) << NODE_INO_BITS) - 1);
	ret->mount_root = node == NODE_ROOT;
	ret->snapshots_dir = false;
	ret->slot = NULL;
	if (ret->mount_root)
		return 0;
	err = number_lookup(s, (uint32_t)(node >> NODE_INO_BITS), &slot);
	if (err)
		return err;
	/* a copy: another look-up may put another number in the cache's slot */
	ret->own_slot = *slot;
	ret->slot = &ret->own_slot;
	ret->snapshots_dir = ret->ino == INO_SNAPSHOTS;
	return 0;
}

int node_resolve_write(struct store *s, uint64_t node, struct resolved *ret)
{
	int r = node_resolve(s, node, ret);

	if (r)
		return r;
	if (ret->mount_root || ret->snapshots_dir || ret->slot->kind == NUMBER_SNAPSHOT)
		return -EROFS;
	return ret->slot->writable ? 0 : -ESTALE;
}

uint64_t node_make(const struct number_slot *slot, uint64_t ino, uint32_t mode)
{
	uint64_t number = S_ISDIR(mode) ? slot->dir_number : slot->file_number;

	return number << NODE_INO_BITS | ino;
}

int node_inode(struct store *s, uint64_t node, bool write, struct resolved *r, struct inode *ret)
{
	int err = write ? node_resolve_write(s, node, r) : node_resolve(s, node, r);

	if (err)
		return err;
	if (r->mount_root || r->snapshots_dir)
		return -EISDIR;
	err = inode_get(s->meta, &r->slot->view, r->ino, ret);
	if (err)
		return err == -ENOENT ? -ESTALE : err;
	/* a volume's number shows directories only: after a rollback an ino may be missing, but never another type */
	return r->slot->kind == NUMBER_VOLUME && !S_ISDIR(ret->mode) ? -ESTALE : 0;
}

void attr_fill(struct store *s, const struct number_slot *slot, const struct inode *inode, struct attr *ret)
{
	const struct file *f = NULL;

	*ret = (struct attr){
		.node = node_make(slot, inode->ino, inode->mode),
		.mode = inode->mode,
		.nlink = inode->nlink,
		.uid = inode->uid,
		.gid = inode->gid,
		.rdev = inode->rdev,
		.size = inode->size,
		.blocks = (inode->alloc + 511) / 512,
		.atime = inode->atime,
		.mtime = inode->mtime,
		.ctime = inode->ctime,
		.btime = inode->btime,
	};
	if (slot->kind == NUMBER_SNAPSHOT)
		ret->flags |= ATTR_READONLY;
	if (inode->flags & INODE_HAS_CAPS)
		ret->flags |= ATTR_HAS_CAPS;
	if (S_ISREG(inode->mode) && slot->view.epoch == META_HEAD)
		f = file_find(s, slot->view.branch, inode->ino);
	if (f && file_buffered(f)) {
		ret->size = f->size;
		ret->blocks += (f->active.bytes + f->sealed.bytes + 511) / 512;
		if (f->mtime)
			ret->mtime = f->mtime;
		if (f->mtime > ret->ctime)
			ret->ctime = f->mtime;
	}
}
