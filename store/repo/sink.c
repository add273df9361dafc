#include "store/repo/sink_internal.h"

#include <stdio.h>
#include <string.h>

#include "store/base/array.h"

#define ROWS_IN_TX 128
#define PUNCH_ROWS 256

/* --- beginning --- */

struct begin {
	struct sink *k;
	const struct source_view *base;
	const struct ino_blocks *blocks;
	uint64_t last_ino;
};

static int take_blocks(struct ino_blocks *to, const struct ino_blocks *from, const struct meta *m)
{
	int bad = ino_blocks_check(from, m);

	if (bad || !from->n)
		return bad;
	to->v = malloc(from->n * sizeof *to->v);
	if (!to->v)
		return -ENOMEM;
	memcpy(to->v, from->v, from->n * sizeof *to->v);
	to->n = to->cap = from->n;
	return 0;
}

static int begin_in(struct tx *tx, const struct begin *a)
{
	static const struct volume_options none;
	struct sink *k = a->k;
	struct meta *m = k->s->meta;
	struct meta_view v = {0};
	struct volume_row vol;
	struct branch *b;
	int bad;

	if (a->base) {
		v = (struct meta_view){branch_get(m, a->base->branch), a->base->epoch};
		if (!v.branch)
			return -ESTALE;
		k->inos.root_local = a->base->root_ino;
		bad = a->blocks ? take_blocks(&k->inos, a->blocks, m) : ino_blocks_load(&k->inos, m, &v);
	} else {
		bad = volume_by_name(m, k->volume, &vol);
		k->inos.root_local = bad ? meta_next_ino(m) : vol.root_ino;
		if (!bad)
			volume_row_free(&vol);
		bad = bad == -ENOENT ? 0 : bad;
	}
	if (!bad)
		bad = ino_blocks_extend(&k->inos, m, a->last_ino);
	if (!bad)
		bad = branch_create(m, a->base ? &v : NULL, a->base ? a->base->bytes : 0, a->base ? a->base->inodes : 0,
				    &b);
	if (!bad)
		bad = volume_insert(tx, k->volume, VOLUME_DRAFT | VOLUME_FILLING, b, k->inos.root_local, &none, &vol);
	if (!bad)
		bad = ino_blocks_store(&k->inos, m, b);
	if (!bad) {
		k->branch = b->id;
		k->draft.id = vol.id;
	}
	return bad;
}

int sink_begin(struct store *s, const char *volume, const struct source_view *base, const struct ino_blocks *blocks,
	       uint64_t root_ino, uint64_t last_ino, struct sink **ret, struct err *err)
{
	struct sink *k = calloc(1, sizeof *k);
	struct begin a = {k, base, blocks, last_ino};
	struct tx tx;
	int bad;

	if (!k)
		return err_set(err, ENOMEM, "out of memory");
	k->s = s;
	k->inos.root_remote = root_ino;
	(void)snprintf(k->volume, sizeof k->volume, "%s", volume);
	bad = tx_begin(s, NULL, 0, 0, &tx);
	if (!bad) {
		bad = begin_in(&tx, &a);
		numbers_changed(s);
		bad = tx_end(&tx, bad);
	}
	if (!bad)
		bad = file_sync_meta(s);
	k->made = !bad;
	if (bad) {
		sink_free(k);
		return err && !err->code ? err_set(err, -bad, "beginning to fill the volume: %s", err_name(-bad)) : bad;
	}
	*ret = k;
	return 0;
}

int sink_distrust(struct sink *k)
{
	return sink_watch_new(k->inos.root_local, &k->watch);
}

void sink_free(struct sink *k)
{
	if (!k)
		return;
	sink_chunks_abort(k);
	if (k->made && !k->finished)
		draft_drop(k->s, &k->draft);
	sink_watch_free(k->watch);
	free(k->inos.v);
	free(k->known);
	free(k->pieces);
	free(k);
}

int sink_ino(const struct sink *k, uint64_t remote, uint64_t *ret)
{
	return ino_blocks_map(&k->inos, remote, ret);
}

/* --- contents --- */

static struct known *known_slot(const struct sink *k, const struct repo_name *name)
{
	uint64_t h;
	size_t i;

	memcpy(&h, name->b, sizeof h);
	for (i = h & (k->known_size - 1); k->known[i].used; i = (i + 1) & (k->known_size - 1))
		if (!memcmp(k->known[i].name.b, name->b, REPO_NAME_LEN))
			break;
	return &k->known[i];
}

bool sink_knows(const struct sink *k, const struct repo_name *name)
{
	return k->known_size && known_slot(k, name)->used;
}

static int known_grow(struct sink *k)
{
	struct known *old = k->known;
	size_t size = k->known_size;

	if (2 * k->n_known < size)
		return 0;
	k->known = calloc(size ? size * 2 : 1024, sizeof *k->known);
	if (!k->known) {
		k->known = old;
		return -ENOMEM;
	}
	k->known_size = size ? size * 2 : 1024;
	for (size_t i = 0; i < size; i++)
		if (old[i].used)
			*known_slot(k, &old[i].name) = old[i];
	free(old);
	return 0;
}

void sink_chunks_begin(struct sink *k)
{
	(void)pthread_mutex_lock(&k->s->drain_lock);
	k->locked = true;
	k->pending = k->n_pieces;
}

struct emission {
	struct sink *k;
};

static int emit_piece(void *arg, const struct chunk_piece *p)
{
	struct sink *k = ((const struct emission *)arg)->k;
	struct piece piece = {p->id, (uint32_t)p->off, p->len, p->loc, -1};

	if (array_grow(&k->pieces, &k->cap_pieces, k->n_pieces, sizeof *k->pieces))
		return -ENOMEM;
	/* one content twice before it has an id is one place */
	for (size_t i = k->n_pieces; !piece.id && i-- > k->pending;)
		if (!k->pieces[i].id && k->pieces[i].loc.pack == p->loc.pack && k->pieces[i].loc.off == p->loc.off) {
			piece.same = (int64_t)i;
			break;
		}
	k->pieces[k->n_pieces++] = piece;
	return 0;
}

int sink_chunk(struct sink *k, const struct repo_name *name, const void *data, size_t len)
{
	struct chunk_owner owner = {k->branch, 0, 0};
	struct chunk_span span = {data, len};
	struct emission e = {k};
	struct known fresh = {.name = *name, .first = k->n_pieces, .used = true};
	int bad = known_grow(k);

	if (!bad)
		bad = chunk_writer_add(k->s->writer, &owner, &span, 1, 0, 1, emit_piece, &e);
	if (bad)
		return bad;
	fresh.n = k->n_pieces - fresh.first;
	*known_slot(k, name) = fresh;
	k->n_known++;
	return 0;
}

void sink_chunks_abort(struct sink *k)
{
	if (!k->locked)
		return;
	chunk_writer_batch_end(k->s->writer);
	k->locked = false;
	(void)pthread_mutex_unlock(&k->s->drain_lock);
}

/* Rows of the chunk table for pieces that have none; in a transaction. */
static int give_ids(struct sink *k)
{
	int bad = 0;

	for (size_t i = k->pending; i < k->n_pieces && !bad; i++) {
		struct piece *p = &k->pieces[i];
		struct chunk_row row = {
			.pack = p->loc.pack,
			.off = p->loc.off,
			.stored_len = p->loc.stored_len,
			.raw_len = p->loc.raw_len,
			.codec = (uint8_t)p->loc.codec,
			.indexed = true,
			.hash_lo = p->loc.hash.lo,
			.hash_hi = p->loc.hash.hi,
		};

		if (p->id)
			continue;
		if (p->same >= 0) {
			p->id = k->pieces[p->same].id;
			continue;
		}
		bad = chunk_add(k->s->meta, &row);
		p->id = row.id;
	}
	k->pending = k->n_pieces;
	return bad;
}

/* --- rows; in a transaction --- */

static int flush_inode(struct sink *k, struct branch *b)
{
	int bad = k->has_inode && k->inode_dirty ? inode_put(k->s->meta, b, &k->inode) : 0;

	k->has_inode = k->inode_dirty = false;
	return bad;
}

static int hold_inode(struct sink *k, struct branch *b, uint64_t ino)
{
	const struct meta_view head = {b, META_HEAD};
	int bad;

	if (k->has_inode && k->inode.ino == ino)
		return 0;
	bad = flush_inode(k, b);
	if (!bad)
		bad = inode_get(k->s->meta, &head, ino, &k->inode);
	k->has_inode = !bad;
	return bad;
}

static int put_inode(struct sink *k, struct branch *b, uint64_t ino, const struct sink_row *row)
{
	struct row_inode v;
	uint64_t parent = 0;
	int64_t grows = 0, more = 0;
	int bad = row_inode_parse(row->value, row->value_len, &v);

	if (!bad && v.parent)
		bad = ino_blocks_map(&k->inos, v.parent, &parent);
	if (bad)
		return bad;
	bad = hold_inode(k, b, ino);
	if (bad == -ENOENT) {
		k->inode = (struct inode){.ino = ino, .inherit = INHERIT_ALL};
		more = 1;
	} else if (bad) {
		return bad;
	} else if (S_ISREG(k->inode.mode)) {
		grows -= k->inode.size;
	}
	if (S_ISREG(v.mode))
		grows += v.size;
	k->has_inode = k->inode_dirty = true;
	k->inode.mode = v.mode;
	k->inode.uid = v.uid;
	k->inode.gid = v.gid;
	k->inode.nlink = v.nlink;
	k->inode.flags = v.flags;
	k->inode.rdev = v.rdev;
	k->inode.parent = parent;
	k->inode.size = v.size;
	k->inode.atime = v.atime;
	k->inode.mtime = v.mtime;
	k->inode.ctime = v.ctime;
	k->inode.btime = v.btime;
	return grows || more ? branch_add_totals(k->s->meta, b, grows, more) : 0;
}

static int remove_inode(struct sink *k, struct branch *b, uint64_t ino)
{
	int bad = hold_inode(k, b, ino);

	if (bad)
		return bad == -ENOENT ? 0 : bad;
	bad = branch_add_totals(k->s->meta, b, S_ISREG(k->inode.mode) ? -k->inode.size : 0, -1);
	if (!bad)
		bad = inode_delete(k->s->meta, b, &k->inode);
	if (!bad)
		bad = extent_purge(k->s->meta, b, ino, true);
	k->has_inode = k->inode_dirty = false;
	return bad;
}

static int apply_xattr(struct sink *k, struct branch *b, uint64_t ino, const char *name, size_t len,
		       const struct sink_row *row)
{
	char text[NAME_LEN_MAX + 1];
	int bad;

	memcpy(text, name, len);
	text[len] = 0;
	if (text[0] == XATTR_INTERNAL && strcmp(text, XATTR_SYMLINK_TARGET) != 0)
		return -ECORRUPT;
	if (row->value) {
		bad = row->value_len > XATTR_VALUE_MAX ? -ECORRUPT : hold_inode(k, b, ino);
		if (bad)
			return bad == -ENOENT ? -ECORRUPT : bad;
		return xattr_set(k->s->meta, b, ino, text, row->value_len ? row->value : "", row->value_len, 0);
	}
	bad = xattr_delete(k->s->meta, b, ino, text);
	return bad == -ENODATA ? 0 : bad;
}

static int apply_entry(struct sink *k, struct branch *b, uint64_t parent, const char *name, size_t len,
		       const struct sink_row *row)
{
	const struct meta_view head = {b, META_HEAD};
	struct meta *m = k->s->meta;
	struct dirent_row e, old;
	struct row_dirent v;
	int bad = dirent_get(m, &head, parent, name, len, &e);
	bool there = !bad;

	if (bad && bad != -ENOENT)
		return bad;
	old = e;
	if (!row->value) {
		bad = there && k->watch ? sink_watch_entry(k->watch, m, &head, &old, NULL) : 0;
		return bad || !there ? bad : dirent_delete(m, b, &e);
	}
	if (!there) {
		e = (struct dirent_row){.parent = parent, .hash = dirent_hash(m, name, len), .name_len = (uint8_t)len};
		memcpy(e.name, name, len);
	}
	bad = row_dirent_parse(row->value, row->value_len, &v);
	if (!bad)
		bad = ino_blocks_map(&k->inos, v.ino, &e.ino);
	e.type = v.type;
	if (!bad && k->watch)
		bad = sink_watch_entry(k->watch, m, &head, there ? &old : NULL, &e);
	return bad ? bad : dirent_put(m, b, &e);
}

static int punch_old(struct sink *k, struct branch *b, uint64_t ino, int64_t off, const struct sink_row *row)
{
	struct row_extent old;
	int bad = row_extent_parse(row->old, row->old_len, &old);
	int64_t end = off + old.len;

	if (!bad)
		bad = hold_inode(k, b, ino);
	while (!bad && off < end)
		bad = extent_punch(k->s->meta, b, &k->inode, off, end, PUNCH_ROWS, &off);
	k->inode_dirty |= !bad;
	return bad == -ENOENT ? 0 : bad;
}

/* A range of a repository's chunk is one extent for each piece that it touches. */
static int put_extent(struct sink *k, struct branch *b, uint64_t ino, int64_t off, const struct sink_row *row)
{
	const struct known *known;
	struct row_extent v;
	int64_t at;
	int bad = row_extent_parse(row->value, row->value_len, &v);

	if (!bad && (off < 0 || off > (int64_t)FILE_SIZE_MAX - v.len || !sink_knows(k, &v.chunk)))
		bad = -ECORRUPT;
	if (!bad)
		bad = hold_inode(k, b, ino);
	if (bad == -ENOENT || (!bad && !S_ISREG(k->inode.mode)))
		bad = -ECORRUPT;
	if (bad)
		return bad;
	known = known_slot(k, &v.chunk);
	at = v.choff;
	for (size_t i = known->first; i < known->first + known->n && !bad && at < v.choff + v.len; i++) {
		const struct piece *p = &k->pieces[i];
		int64_t end = (int64_t)p->off + p->len;
		struct extent e = {.off = off + (at - v.choff), .chunk = p->id, .choff = (uint32_t)(at - p->off)};

		if (end <= at)
			continue;
		e.len = (end < v.choff + v.len ? end : v.choff + v.len) - at;
		bad = extent_write(k->s->meta, b, &k->inode, e.off, e.len, &e, 1);
		at += e.len;
	}
	k->inode_dirty = true;
	return bad ? bad : at == v.choff + v.len ? 0 : -ECORRUPT;
}

static int apply_row(struct sink *k, struct branch *b, const struct sink_row *row)
{
	const struct meta_view head = {b, META_HEAD};
	enum row_kind kind;
	uint64_t remote, sub, ino;
	const char *name;
	size_t len;
	int bad = row_key_parse(row->key, &remote, &kind, &sub, &name, &len);

	if (!bad)
		bad = ino_blocks_map(&k->inos, remote, &ino);
	if (!bad && k->watch)
		bad = sink_watch_touch(k->watch, k->s->meta, &head, ino);
	if (bad)
		return bad;
	switch (kind) {
	case ROW_INODE:
		return row->value ? put_inode(k, b, ino, row) : remove_inode(k, b, ino);
	case ROW_XATTR:
		return apply_xattr(k, b, ino, name, len, row);
	case ROW_DIRENT:
		return apply_entry(k, b, ino, name, len, row);
	default:
		if (row->old)
			return punch_old(k, b, ino, (int64_t)sub, row);
		return row->value ? put_extent(k, b, ino, (int64_t)sub, row) : 0;
	}
}

static int apply_rows(struct sink *k, const struct sink_row *rows, size_t n)
{
	struct branch *b = branch_get(k->s->meta, k->branch);
	int bad = b ? give_ids(k) : -ESTALE;

	for (size_t i = 0; i < n && !bad; i++)
		bad = apply_row(k, b, &rows[i]);
	return bad ? bad : flush_inode(k, b);
}

int sink_rows(struct sink *k, const struct sink_row *rows, size_t n)
{
	size_t i = 0, some;
	struct tx tx;
	int bad = chunk_writer_sync(k->s->writer);

	do {
		some = n - i < ROWS_IN_TX ? n - i : ROWS_IN_TX;
		if (!bad)
			bad = tx_begin(k->s, NULL, TX_DRAIN, 0, &tx);
		if (!bad)
			bad = tx_end(&tx, apply_rows(k, rows + i, some));
		i += some;
	} while (!bad && i < n);
	k->has_inode = k->inode_dirty = false;
	sink_chunks_abort(k);
	return bad;
}
