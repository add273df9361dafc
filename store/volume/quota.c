/* What may still be written: quotas, which count the live volume's file sizes and inodes, before deduplication and compression, and the
 * host filesystem's free space.
 *
 * A branch's totals have the sizes of rows, and a file with buffered data may be longer than its row says. Adding that up takes a look at
 * every such file, so that a bound is kept: what was admitted to branches of one bucket since it was last added up. Only a volume
 * that could be at its quota makes it be added up anew. */
#include "store/volume/store_internal.h"

static int64_t *bound_of(struct store *s, const struct branch *b)
{
	return &s->growth[(uint64_t)b->id % QUOTA_BUCKETS];
}

/* By how much a file is longer than its row says. */
static int file_growth(struct store *s, const struct file *f, int64_t *ret)
{
	struct meta_view head = {f->branch, META_HEAD};
	struct inode inode;
	int err = inode_get(s->meta, &head, f->ino, &inode);

	if (err == -ENOENT) {
		*ret = 0;
		return 0;
	}
	if (!err)
		*ret = f->size > inode.size ? f->size - inode.size : 0;
	return err;
}

int quota_pending(struct store *s, const struct branch *b, int64_t *ret)
{
	int64_t bucket = 0, own = 0, growth;
	const struct file *f;
	int err;

	for (f = s->dirty; f; f = f->dirty_next) {
		if (!file_buffered(f) || bound_of(s, f->branch) != bound_of(s, b))
			continue;
		err = file_growth(s, f, &growth);
		if (err)
			return err;
		bucket += growth;
		own += f->branch == b ? growth : 0;
	}
	*bound_of(s, b) = bucket;
	*ret = own;
	return 0;
}

static int admit_growth(struct store *s, const struct number_slot *slot, int64_t grows)
{
	const struct branch *b = slot->view.branch;
	int64_t left = slot->quota_bytes - b->bytes - grows, pending;
	int err;

	if (left < 0)
		return -EDQUOT;
	if (*bound_of(s, b) <= left)
		return 0;
	err = quota_pending(s, b, &pending);
	if (err)
		return err;
	if (pending <= left)
		return 0;
	commit_kick(s); /* with fewer files buffered the next look is cheap */
	return -EDQUOT;
}

int admit_bytes(struct store *s, const struct number_slot *slot, int64_t more_bytes, int64_t grows, int64_t more_inodes)
{
	const struct branch *b = slot->view.branch;
	int err = slot->quota_bytes && grows > 0 ? admit_growth(s, slot, grows) : 0;

	if (err)
		return err;
	if (slot->quota_inodes && more_inodes > 0 && b->inodes + more_inodes > slot->quota_inodes)
		return -EDQUOT;
	if (host_is_low(s, more_bytes))
		return -ENOSPC;
	if (grows > 0)
		*bound_of(s, b) += grows;
	return 0;
}
