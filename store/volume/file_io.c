/* Reading and writing. A read takes what is buffered, and notes which chunks hold the rest, under the store lock; the chunks are
 * read after it is released, through the gate that keeps their places from being punched. */
#include <assert.h>
#include <string.h>

#include "store/volume/damage.h"
#include "store/volume/effect.h"
#include "store/volume/store_internal.h"

#define SCAN_EXTENTS 64
#define HOST_ASK_NS INT64_C(1000000000)

/* --- opens --- */

int file_open(struct store *s, const struct op *op, uint64_t node, unsigned flags, uint32_t pid)
{
	struct resolved r;
	struct inode inode;
	struct file *f;
	struct attr want = {0}, got;
	unsigned mask = 0;
	int ret;

	if (flags & FILE_OPEN_TRUNC)
		mask |= NS_SET_SIZE;
	if (flags & FILE_OPEN_KILL_PRIV)
		mask |= NS_KILL_PRIV;
	if (mask) {
		ret = ns_setattr(s, op, node, &want, mask, &got);
		if (ret)
			return ret;
	}
	LOCK_SCOPE(&s->lock);
	ret = node_inode(s, node, flags & FILE_OPEN_WRITE, &r, &inode);
	if (ret)
		return ret;
	if (!S_ISREG(inode.mode) || !r.slot->writable)
		return 0;
	ret = file_obtain(s, r.slot->view.branch, r.ino, &f);
	if (ret)
		return ret;
	f->opens++;
	f->node = node;
	if (flags & FILE_OPEN_WRITE) {
		f->writers++;
		f->pid = pid;
	}
	return 0;
}

/* Looks through them all: for when a number cannot be looked up, since a close cannot fail. */
static struct file *file_by_node(struct store *s, uint64_t node)
{
	struct file *f;
	size_t i;

	for (i = 0; i < FILE_BUCKETS; i++)
		for (f = s->files[i]; f; f = f->hash_next)
			if (f->opens && f->node == node)
				return f;
	return NULL;
}

void file_release(struct store *s, uint64_t node, unsigned flags)
{
	struct number_row row;
	struct branch *b;
	struct file *f;
	int ret;

	LOCK_SCOPE(&s->lock);
	/* By the number's own branch: after a rollback the file is still counted there. A file of a snapshot never was, and its inode
	 * number is the live file's. */
	ret = rows_ready(s);
	if (!ret)
		ret = number_get(s->meta, (uint32_t)(node >> NODE_INO_BITS), &row);
	if (!ret && row.kind == NUMBER_SNAPSHOT)
		return;
	b = ret ? NULL : branch_get(s->meta, row.branch);
	if (ret && ret != -ENOENT)
		f = file_by_node(s, node);
	else
		f = b ? file_find(s, b, node & ((UINT64_C(1) << NODE_INO_BITS) - 1)) : NULL;
	if (!f || !f->opens)
		return;
	/* one for reading that an earlier process counted must not take away one for writing */
	if (!(flags & FILE_OPEN_WRITE) && f->opens <= f->writers)
		return;
	f->opens--;
	if ((flags & FILE_OPEN_WRITE) && f->writers)
		f->writers--;
	file_put(s, f);
}

int file_open_list(struct store *s, int64_t volume_id, struct open_file **ret, size_t *ret_n)
{
	AUTO_FREE struct open_file *list = NULL;
	size_t i, n = 0, cap = 0;
	struct file *f;

	LOCK_SCOPE(&s->lock);
	for (i = 0; i < FILE_BUCKETS; i++)
		for (f = s->files[i]; f; f = f->hash_next) {
			const struct number_slot *slot;
			int err = f->writers ? number_lookup(s, (uint32_t)(f->node >> NODE_INO_BITS), &slot) : -ESTALE;

			if (err && err != -ESTALE)
				return err;
			if (err || !slot->writable || (volume_id && slot->volume != volume_id))
				continue;
			if (n == cap) {
				struct open_file *more = realloc(list, (cap = cap ? cap * 2 : 64) * sizeof *more);

				if (!more)
					return -ENOMEM;
				list = more;
			}
			list[n++] = (struct open_file){f->node, f->pid, f->writers};
		}
	*ret = steal(&list);
	*ret_n = n;
	return 0;
}

/* --- reading --- */

struct read_piece {
	struct chunk_loc loc;
	uint64_t chunk;
	uint32_t choff, len;
	uint8_t *to;
};

struct read_plan {
	struct read_piece *v;
	size_t n, cap;
};

static int plan_add(struct read_plan *plan, const struct chunk_row *row, uint32_t choff, uint32_t len, uint8_t *to)
{
	if (plan->n == plan->cap) {
		size_t cap = plan->cap ? plan->cap * 2 : 64;
		struct read_piece *v = realloc(plan->v, cap * sizeof *v);

		if (!v)
			return -ENOMEM;
		plan->v = v;
		plan->cap = cap;
	}
	plan->v[plan->n++] = (struct read_piece){chunk_row_loc(row), row->id, choff, len, to};
	return 0;
}

/* [off, end) is in no buffer: zeros, and chunks to read. `base` is where file offset 0 would be in the reader's buffer. */
static int plan_extents(struct store *s, const struct meta_view *v, const struct inode *inode, int64_t off, int64_t end,
			uint8_t *buf, int64_t buf_off, struct read_plan *plan)
{
	struct extent ext[SCAN_EXTENTS];
	size_t n = SCAN_EXTENTS, i;
	int ret;

	while (n == SCAN_EXTENTS && off < end) {
		ret = extent_scan(s->meta, v, inode, off, end, ext, SCAN_EXTENTS, &n);
		if (ret)
			return ret;
		for (i = 0; i < n; i++) {
			int64_t from = ext[i].off > off ? ext[i].off : off;
			int64_t to = ext[i].off + ext[i].len < end ? ext[i].off + ext[i].len : end;
			struct chunk_row row;

			if (to <= from) /* extents that overlap */
				return -ECORRUPT;
			memset(buf + (off - buf_off), 0, (size_t)(from - off));
			ret = chunk_get(s->meta, ext[i].chunk, &row);
			if (!ret && (uint64_t)ext[i].choff + (uint64_t)ext[i].len > row.raw_len)
				ret = -ECORRUPT;
			if (!ret)
				ret = plan_add(plan, &row, ext[i].choff + (uint32_t)(from - ext[i].off), (uint32_t)(to - from),
					       buf + (from - buf_off));
			if (ret)
				return ret == -ENOENT ? -ECORRUPT : ret;
			off = to;
		}
	}
	memset(buf + (off - buf_off), 0, (size_t)(end - off));
	return 0;
}

/* The range of the buffers at or after off, newest first: what covers `off`, or where the next one begins. */
static bool buffered_at(const struct file *f, int64_t off, int64_t end, const uint8_t **ret_data, int64_t *ret_to)
{
	const struct write_buffer *both[] = {&f->active, &f->sealed};
	int64_t limit = end;
	size_t k;

	for (k = 0; k < 2; k++) {
		size_t i = write_buffer_seek(both[k], off);

		if (i == both[k]->n)
			continue;
		if (both[k]->v[i].off <= off) {
			int64_t to = both[k]->v[i].off + both[k]->v[i].len;

			*ret_data = both[k]->v[i].data + (off - both[k]->v[i].off);
			*ret_to = to < limit ? to : limit;
			return true;
		}
		if (both[k]->v[i].off < limit)
			limit = both[k]->v[i].off;
	}
	*ret_to = limit;
	return false;
}

static int plan_read(struct store *s, const struct meta_view *v, const struct inode *inode, const struct file *f, int64_t off,
		     int64_t end, uint8_t *buf, struct read_plan *plan)
{
	int64_t at = off, to = end;
	int ret = 0;

	for (; at < end && !ret; at = to) {
		const uint8_t *data;

		to = end;
		if (f && buffered_at(f, at, end, &data, &to))
			memcpy(buf + (at - off), data, (size_t)(to - at));
		else
			ret = plan_extents(s, v, inode, at, to, buf, off, plan);
	}
	return ret;
}

/* *ret_failed is the piece that made it fail. */
static int run_plan(struct store *s, const struct read_plan *plan, bool nowait, const struct read_piece **ret_failed)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < plan->n && !ret; i++) {
		const struct read_piece *p = &plan->v[i];

		ret = chunk_cache_read(&s->cache, s->chunks, &p->loc, p->choff, p->len, p->to, nowait);
		*ret_failed = p;
	}
	return ret;
}

int file_read(struct store *s, uint64_t node, void *buf, size_t len, int64_t off, bool nowait, size_t *ret_len)
{
	struct read_plan plan = {0};
	struct resolved r;
	struct inode inode;
	const struct read_piece *failed = NULL;
	const struct file *f = NULL;
	int64_t size, end;
	unsigned gate;
	int ret;

	if (off < 0)
		return -EINVAL;
	(void)pthread_mutex_lock(&s->lock);
	ret = node_inode(s, node, false, &r, &inode);
	if (ret || !S_ISREG(inode.mode)) {
		(void)pthread_mutex_unlock(&s->lock);
		return ret ? ret : -EINVAL;
	}
	if (r.slot->view.epoch == META_HEAD)
		f = file_find(s, r.slot->view.branch, r.ino);
	size = file_size(f, &inode);
	end = off >= size ? off : (int64_t)len < size - off ? off + (int64_t)len : size;
	ret = plan_read(s, &r.slot->view, &inode, f, off, end, buf, &plan);
	gate = atomic_load(&s->gate);
	atomic_fetch_add(&s->gate_readers[gate], 1);
	(void)pthread_mutex_unlock(&s->lock);
	if (!ret)
		ret = run_plan(s, &plan, nowait, &failed);
	atomic_fetch_sub(&s->gate_readers[gate], 1);
	if (ret == -ECORRUPT && failed)
		damage_report(s, node, off + (failed->to - (uint8_t *)buf), failed->chunk, &failed->loc);
	free(plan.v);
	if (ret)
		return ret;
	stats_add(&s->stats.bytes_read, (uint64_t)(end - off));
	*ret_len = (size_t)(end - off);
	return 0;
}

/* --- writing --- */

bool host_is_low(struct store *s, int64_t more_bytes)
{
	int64_t now = (int64_t)mono_us() * 1000;
	struct store_space space;

	if (!s->host_free_at || now - s->host_free_at > HOST_ASK_NS) {
		if (!host_space(s, &space))
			s->host_free = (int64_t)space.host_free;
		s->host_free_at = now;
	}
	return s->host_free < (int64_t)HOST_MARGIN + more_bytes;
}

/* The file and the size it has now. Lock held. */
static int write_target(struct store *s, uint64_t node, struct resolved *r, struct file **ret_file, int64_t *ret_size)
{
	struct inode inode;
	struct file *f;
	int ret = node_resolve_write(s, node, r);

	if (ret)
		return ret;
	f = file_find(s, r->slot->view.branch, r->ino);
	if (f && file_buffered(f)) {
		*ret_file = f;
		*ret_size = f->size;
		return 0;
	}
	ret = node_inode(s, node, true, r, &inode);
	if (!ret && !S_ISREG(inode.mode))
		ret = -EINVAL;
	if (!ret)
		ret = file_obtain(s, r->slot->view.branch, r->ino, &f);
	if (ret)
		return ret;
	f->node = node;
	*ret_file = f;
	*ret_size = inode.size;
	return 0;
}

static int accept(struct tx *tx, struct file *f, const void *buf, int64_t len, int64_t off, int64_t size, int64_t mtime)
{
	struct store *s = tx->s;
	struct range range = {.off = off, .len = len};
	const uint8_t *at;
	int64_t new_size = off + len > size ? off + len : size;
	int ret = file_reserve(f);

	if (!ret)
		ret = effect_add(tx->effects, &(struct effect){.kind = EFFECT_WRITE,
							      .branch = f->branch->id,
							      .ino = f->ino,
							      .off = off,
							      .len = len,
							      .size = new_size,
							      .mtime = mtime});
	ret = tx_end_locked(tx, ret, buf, (size_t)len, &at);
	if (ret)
		return ret;
	range.seq = tx->seq;
	range.data = at;
	write_buffer_insert(&f->active, &range);
	f->size = new_size;
	f->mtime = mtime;
	file_mark_dirty(s, f);
	return 0;
}

int file_write(struct store *s, const struct op *op, uint64_t node, const void *buf, size_t len, int64_t off, unsigned flags,
	       bool nowait)
{
	struct resolved r;
	struct file *f;
	struct attr want = {0}, got;
	struct tx tx;
	int64_t size;
	bool kick;
	int ret;

	if (off < 0 || len > MIB)
		return -EINVAL;
	if (!len)
		return 0;
	if (off > (int64_t)FILE_SIZE_MAX - (int64_t)len)
		return -EFBIG;
	if (flags & FILE_WRITE_KILL_PRIV) {
		ret = ns_setattr(s, op, node, &want, NS_KILL_PRIV, &got);
		if (ret)
			return ret;
	}
	ret = tx_begin(s, op, TX_NO_META | TX_GROWS | (nowait ? TX_NOWAIT : 0), len, &tx);
	if (ret)
		return ret;
	ret = write_target(s, node, &r, &f, &size);
	if (!ret) {
		if (flags & FILE_WRITE_APPEND)
			off = size;
		if (off > (int64_t)FILE_SIZE_MAX - (int64_t)len)
			ret = -EFBIG;
		if (!ret)
			ret = admit_bytes(s, r.slot, (int64_t)len, off + (int64_t)len - size, 0);
		if (!ret) {
			s->host_free -= (int64_t)len;
			ret = accept(&tx, f, buf, (int64_t)len, off, size, (flags & FILE_WRITE_KEEP_TIMES) ? f->mtime : tx.now);
		}
		file_put(s, f);
	}
	kick = ring_size(s->ring) - ring_free_space(s->ring) > ring_size(s->ring) / 4;
	(void)pthread_mutex_unlock(&s->lock);
	if (!ret)
		stats_add(&s->stats.bytes_written, len);
	if (kick)
		commit_kick(s);
	return ret;
}
