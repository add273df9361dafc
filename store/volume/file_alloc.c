/* fallocate, SEEK_DATA and SEEK_HOLE, copy_file_range. */
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <unistd.h>

#include "store/volume/ns_internal.h"

#define PUNCH_ROWS 1024 /* of a transaction: what its record and others' waiting for the lock allow */
#define COPY_EXTENTS 256
#define COPY_TRIES 8
#define COPY_MAX (256 * MIB) /* in one transaction: of the rows in its way there may be many */

/* --- fallocate --- */

static int punch(struct tx *tx, struct branch *b, struct inode *inode, struct file *f, int64_t off, int64_t end)
{
	struct store *s = tx->s;
	int64_t at = off;
	int ret = 0;

	while (at < end && !ret)
		ret = extent_punch(s->meta, b, inode, at, end, PUNCH_ROWS, &at);
	if (!ret && f && file_buffered(f)) {
		/* nothing buffered any more: the row must say the size itself */
		if (!file_buffered_outside(f, off, end))
			ret = inode_resize(s, b, inode, f->size);
		if (!ret)
			ret = effect_add(tx->effects, &(struct effect){.kind = EFFECT_TRIM,
								      .branch = b->id,
								      .ino = inode->ino,
								      .off = off,
								      .len = end - off,
								      .size = f->size});
	}
	return ret;
}

struct falloc {
	int mode;
	int64_t off, end;
	bool trims;
	int64_t size, row_size; /* after */
};

static int fallocate_in(struct tx *tx, uint64_t node, struct falloc *fa, struct file **ret_file)
{
	struct store *s = tx->s;
	struct resolved r;
	struct inode inode;
	struct branch *b;
	struct file *f;
	int ret = node_inode(s, node, true, &r, &inode);

	if (ret)
		return ret;
	if (!S_ISREG(inode.mode))
		return S_ISDIR(inode.mode) ? -EISDIR : -ENODEV;
	b = r.slot->view.branch;
	*ret_file = f = file_find(s, b, r.ino);
	if (f && file_reserve(f))
		return -ENOMEM;
	fa->size = file_size(f, &inode);
	if (!(fa->mode & FALLOC_FL_PUNCH_HOLE)) {
		ret = admit_bytes(s, r.slot, fa->end - fa->off, (fa->mode & FALLOC_FL_KEEP_SIZE) ? 0 : fa->end - fa->size, 0);
		if (ret)
			return ret;
	}
	fa->trims = fa->mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
	if (fa->trims)
		ret = punch(tx, b, &inode, f, fa->off, fa->end);
	if (!ret && !(fa->mode & FALLOC_FL_KEEP_SIZE) && fa->end > fa->size) {
		struct file *buffered = f && file_buffered(f) && (!fa->trims || file_buffered_outside(f, fa->off, fa->end)) ? f : NULL;

		ret = file_resize(tx, b, &inode, buffered, fa->end);
		fa->size = fa->end;
	}
	if (!ret)
		ret = file_touch(tx, b, &inode, f);
	fa->row_size = inode.size;
	return ret ? ret : inode_put(s->meta, b, &inode);
}

static int fallocate_once(struct store *s, const struct op *op, uint64_t node, struct falloc *fa)
{
	struct file *f = NULL;
	struct tx tx;
	int ret = tx_begin(s, op, (fa->mode & FALLOC_FL_PUNCH_HOLE) ? 0 : TX_GROWS, 0, &tx);

	if (ret)
		return ret;
	ret = tx_end_locked(&tx, fallocate_in(&tx, node, fa, &f), NULL, 0, NULL);
	if (!ret && f && file_buffered(f)) {
		if (fa->trims)
			file_trim(s, f, fa->off, fa->end, fa->size);
		else
			f->size = fa->size;
		f->mtime = 0;
		file_size_told(s, f, fa->row_size);
		file_put(s, f);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return ret;
}

/* Where a slice that begins at off must end. */
static int slice_end(struct store *s, uint64_t node, int64_t off, int64_t end, int64_t *ret_end)
{
	struct resolved r;
	struct inode inode;
	int ret;

	LOCK_SCOPE(&s->lock);
	ret = node_inode(s, node, true, &r, &inode);
	*ret_end = end;
	if (ret || !S_ISREG(inode.mode))
		return 0; /* the operation itself says so */
	return extent_head(s->meta, r.slot->view.branch, &inode, off, end, PUNCH_ROWS, ret_end);
}

int file_fallocate(struct store *s, const struct op *op, uint64_t node, int mode, int64_t off, int64_t len)
{
	struct falloc fa = {.mode = mode, .off = off, .end = off + len};
	int ret = 0;

	if (off < 0 || len <= 0)
		return -EINVAL;
	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	if ((mode & FALLOC_FL_PUNCH_HOLE) && (mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)))
		return -EOPNOTSUPP;
	if (len > (int64_t)FILE_SIZE_MAX - off)
		return -EFBIG;
	/* what one transaction cannot take is punched in several, from the front */
	while (!ret && (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))) {
		struct falloc part = {.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, .off = fa.off};

		ret = slice_end(s, node, fa.off, fa.end, &part.end);
		if (ret || part.end == fa.end)
			break;
		ret = fallocate_once(s, NULL, node, &part);
		fa.off = part.end;
	}
	return ret ? ret : fallocate_once(s, op, node, &fa);
}

/* --- holes --- */

/* Where data begins at or after off, and where that piece of it ends; >0 when there is none. Lock held. */
static int next_data(struct store *s, const struct meta_view *v, const struct inode *inode, const struct file *f, int64_t off,
		     int64_t size, int64_t *ret_from, int64_t *ret_end)
{
	const struct write_buffer *both[] = {f ? &f->active : NULL, f ? &f->sealed : NULL};
	struct extent e;
	int64_t from = INT64_MAX, end = INT64_MAX;
	size_t n, k;
	int ret = extent_scan(s->meta, v, inode, off, size, &e, 1, &n);

	if (ret)
		return ret;
	if (n) {
		from = e.off;
		end = e.off + e.len;
	}
	for (k = 0; k < 2; k++) {
		size_t i = both[k] ? write_buffer_seek(both[k], off) : 0;

		if (!both[k] || i == both[k]->n || both[k]->v[i].off >= from)
			continue;
		from = both[k]->v[i].off;
		end = from + both[k]->v[i].len;
	}
	if (from == INT64_MAX)
		return 1;
	*ret_from = from > off ? from : off;
	*ret_end = end;
	return 0;
}

int file_lseek(struct store *s, uint64_t node, int64_t off, int whence, int64_t *ret_off)
{
	struct resolved r;
	struct inode inode;
	const struct file *f = NULL;
	int64_t size, from, end, at = off;
	int ret;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	LOCK_SCOPE(&s->lock);
	ret = node_inode(s, node, false, &r, &inode);
	if (ret)
		return ret;
	if (r.slot->view.epoch == META_HEAD)
		f = file_find(s, r.slot->view.branch, r.ino);
	size = file_size(f, &inode);
	if (off < 0 || off >= size)
		return -ENXIO;
	for (;;) {
		ret = next_data(s, &r.slot->view, &inode, f, at, size, &from, &end);
		if (ret < 0)
			return ret;
		if (whence == SEEK_DATA) {
			if (ret > 0 || from >= size)
				return -ENXIO;
			*ret_off = from;
			return 0;
		}
		if (ret > 0 || from > at || end >= size) {
			*ret_off = ret > 0 || from > at ? at : size;
			return 0;
		}
		at = end;
	}
}

/* --- copy_file_range --- */

struct copy {
	uint64_t src, dst;
	int64_t src_off, dst_off, len; /* len is cut to what was copied */
	struct branch *drain_branch; /* of a file whose buffers are in the way: drain it, then try again */
	uint64_t drain_ino;
};

/* Both files must have all their data in extents: the source to be shared, the destination so that its row's size may say all. */
static int no_buffers(struct store *s, struct copy *c, const struct resolved *r)
{
	const struct file *f = r->slot->view.epoch == META_HEAD ? file_find(s, r->slot->view.branch, r->ino) : NULL;

	if (!f || !file_buffered(f))
		return 0;
	c->drain_branch = r->slot->view.branch;
	c->drain_ino = r->ino;
	return -EAGAIN;
}

/* The source's extents as pieces of the destination range, holes included; len is cut when there are too many. */
static int gather_pieces(struct store *s, const struct meta_view *v, const struct inode *src, struct copy *c, struct extent *pieces,
			 size_t *ret_n)
{
	struct extent ext[COPY_EXTENTS];
	int64_t at = c->src_off, end = c->src_off + c->len, shift = c->dst_off - c->src_off;
	size_t i, n, out = 0;
	int ret = extent_scan(s->meta, v, src, at, end, ext, COPY_EXTENTS, &n);

	if (ret)
		return ret;
	if (n == COPY_EXTENTS && ext[n - 1].off + ext[n - 1].len < end)
		end = ext[n - 1].off + ext[n - 1].len;
	for (i = 0; i < n; i++) {
		int64_t from = ext[i].off > at ? ext[i].off : at;
		int64_t to = ext[i].off + ext[i].len < end ? ext[i].off + ext[i].len : end;

		if (to <= from) /* extents that overlap */
			return -ECORRUPT;
		if (from > at)
			pieces[out++] = (struct extent){.off = at + shift, .len = from - at};
		pieces[out++] = (struct extent){.off = from + shift,
						.len = to - from,
						.chunk = ext[i].chunk,
						.choff = ext[i].choff + (uint32_t)(from - ext[i].off)};
		at = to;
	}
	if (at < end)
		pieces[out++] = (struct extent){.off = at + shift, .len = end - at};
	c->len = end - c->src_off;
	*ret_n = out;
	return 0;
}

static int copy_in(struct tx *tx, struct copy *c)
{
	struct store *s = tx->s;
	struct extent pieces[2 * COPY_EXTENTS + 1];
	struct resolved rs, rd;
	struct inode src, dst;
	struct branch *b;
	int64_t end;
	size_t n;
	int ret = node_inode(s, c->src, false, &rs, &src);

	if (!ret)
		ret = node_inode(s, c->dst, true, &rd, &dst);
	if (ret)
		return ret;
	if (!S_ISREG(src.mode) || !S_ISREG(dst.mode))
		return -EINVAL;
	ret = no_buffers(s, c, &rs);
	if (!ret)
		ret = no_buffers(s, c, &rd);
	if (ret)
		return ret;
	if (c->src_off >= src.size)
		c->len = 0;
	else if (c->len > src.size - c->src_off)
		c->len = src.size - c->src_off;
	end = c->dst_off + c->len;
	b = rd.slot->view.branch;
	if (rs.slot->view.branch == b && rs.ino == rd.ino && c->dst_off < c->src_off + c->len && c->src_off < end)
		return -EINVAL;
	if (!c->len)
		return 0;
	ret = admit_bytes(s, rd.slot, 0, end - dst.size, 0);
	if (!ret)
		ret = gather_pieces(s, &rs.slot->view, &src, c, pieces, &n);
	end = c->dst_off + c->len;
	if (!ret)
		ret = extent_write(s->meta, b, &dst, c->dst_off, c->len, pieces, n);
	if (!ret && end > dst.size)
		ret = inode_resize(s, b, &dst, end);
	dst.mtime = dst.ctime = tx->now;
	tx->reply_value = (uint64_t)c->len;
	return ret ? ret : inode_put(s->meta, b, &dst);
}

int file_copy_range(struct store *s, const struct op *op, uint64_t src, int64_t src_off, uint64_t dst, int64_t dst_off, int64_t len,
		    int64_t *ret_copied)
{
	struct tx tx;
	int ret, try;

	if (src_off < 0 || dst_off < 0 || len < 0)
		return -EINVAL;
	if (len > (int64_t)FILE_SIZE_MAX - dst_off)
		return -EFBIG;
	len = len < (int64_t)COPY_MAX ? len : (int64_t)COPY_MAX;
	for (try = 0; try < COPY_TRIES; try++) {
		struct copy c = {.src = src, .dst = dst, .src_off = src_off, .dst_off = dst_off, .len = len};

		ret = tx_begin(s, op, TX_GROWS, 0, &tx);
		if (ret)
			return ret;
		ret = tx_end_locked(&tx, copy_in(&tx, &c), NULL, 0, NULL);
		(void)pthread_mutex_unlock(&s->lock);
		if (!ret)
			*ret_copied = c.len;
		if (ret != -EAGAIN || !c.drain_branch)
			return ret;
		LOCK_SCOPE(&s->drain_lock);
		ret = drain_file(s, c.drain_branch, c.drain_ino);
		if (ret)
			return ret;
	}
	/* a source that is written without a pause: let the caller copy by reading */
	return -EOPNOTSUPP;
}
