/* From changed keys to changed rows: each key is looked up in the new view.
 *
 * A file's new extents are matched with what they replace, so that a chunk which differs little from an old one is
 * stored as the difference. Where a few places were written over, the old extent at that place is the base. Where the
 * file was written anew (a dump, say, also under a new inode of the same name), the old file's chunks are followed in
 * their order: a chunk that both have says where one is, and the next new one takes the old one's place. */
#include "store/repo/push_changes.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/array.h"

/* From so many changed extents on, the names of a file's chunks are taken from the old manifest, and its old chunks
 * followed. */
#define MANY 16

static int put_entry(void *arg, const struct dirent_row *e)
{
	return push_rows_entry(arg, e);
}

static int put_whole_extent(void *arg, const struct inode *inode, const struct extent *e)
{
	struct push_rows *rows = arg;
	int r = push_rows_extent(rows, inode->ino, e);

	return !r && rows->between ? rows->between(rows->arg) : r;
}

int push_whole_inode(struct push_rows *rows, struct store *s, const struct source_view *v, const struct inode *inode)
{
	int r = push_rows_inode(rows, inode);

	if (!r)
		r = push_rows_xattrs(rows, s, v, inode);
	if (!r && S_ISDIR(inode->mode))
		r = source_each_entry(s, v, inode->ino, put_entry, rows);
	if (!r && S_ISREG(inode->mode))
		r = source_each_extent(s, v, inode, put_whole_extent, rows);
	return r;
}

struct naming {
	struct chunk_map *map;
};

static int take_name(void *arg, const struct row_key *key, const void *value, size_t value_len)
{
	const struct naming *n = arg;
	struct chunk_map_entry *e;
	struct row_extent x;
	int r = 0;

	if (key->b[8] != ROW_EXTENT)
		return 0;
	r = row_extent_parse(value, value_len, &x);
	if (r || !x.source)
		return r;
	r = chunk_map_get(n->map, x.source, &e);
	if (!r) {
		e->name = x.chunk;
		e->named = true;
	}
	return r;
}

int push_known_names(struct blob_in *in, const struct push_base *base, uint64_t ino, struct chunk_map *map,
		     struct err *err)
{
	struct naming n = {map};
	struct row_key prefix;
	int r;

	if (!base->own)
		return 0;
	row_key_prefix(&prefix, ino, ROW_EXTENT);
	r = manifest_walk(in, &base->manifest, ino ? &prefix : NULL, take_name, &n, err);
	return r && err && !err->code ? err_set(err, -r, "reading the last manifest: %s", err_name(-r)) : r;
}

/* --- what replaces what --- */

struct follow {
	uint64_t *chunks; /* of the old file, in order */
	size_t n, cap;
	size_t at; /* the next that may be replaced */
};

static int follow_take(void *arg, const struct inode *inode, const struct extent *e)
{
	struct follow *f = arg;
	int r = array_grow(&f->chunks, &f->cap, f->n, sizeof *f->chunks);

	(void)inode;
	if (!r)
		f->chunks[f->n++] = e->chunk;
	return r;
}

/* How far ahead a chunk that both have is looked for. */
#define FOLLOW_AHEAD 64

static uint64_t follow_step(struct follow *f, uint64_t chunk, bool known)
{
	if (!known)
		return f->at < f->n ? f->chunks[f->at++] : 0;
	for (size_t i = f->at > 2 * FOLLOW_AHEAD ? f->at - FOLLOW_AHEAD : 0; i < f->n && i < f->at + FOLLOW_AHEAD; i++)
		if (f->chunks[i] == chunk) {
			f->at = i + 1;
			break;
		}
	return 0;
}

struct changing {
	struct push_rows *rows;
	struct store *s;
	struct blob_in *in;
	const struct push_base *base;
	const struct source_view *v;
	const struct source_changes *changes;
	struct chunk_map *map;
	struct err *err;
};

static int set_base(struct changing *c, uint64_t chunk, uint64_t base)
{
	struct chunk_map_entry *e;
	int r = base && base != chunk ? chunk_map_get(c->map, chunk, &e) : 1;

	if (!r && !e->named && !e->base)
		e->base = base;
	return r < 0 ? r : 0;
}

/* Bases for the extents among rows[from…], which are of one file that was written anew. */
static int match_all(struct changing *c, uint64_t ino, size_t from)
{
	struct follow f = {0};
	struct inode old;
	int r = source_predecessor(c->s, &c->base->view, c->v, ino, &old);

	if (r)
		return r == -ENOENT ? 0 : r;
	r = push_known_names(c->in, c->base, old.ino, c->map, c->err);
	if (!r)
		r = source_each_extent(c->s, &c->base->view, &old, follow_take, &f);
	for (size_t i = from; i < c->rows->n && !r; i++) {
		uint64_t chunk = c->rows->v[i].chunk;
		const struct chunk_map_entry *e = chunk ? chunk_map_find(c->map, chunk) : NULL;

		if (chunk)
			r = set_base(c, chunk, follow_step(&f, chunk, e && e->named));
	}
	free(f.chunks);
	return r;
}

/* --- one inode --- */

static int put_extent(struct changing *c, const struct inode *old, const struct inode *inode, int64_t off)
{
	struct row_key key;
	struct extent e, was;
	size_t n = 0;
	int r = source_extents_at(c->s, c->v, inode, off, off + 1, &e, 1, &n);

	if (r)
		return r;
	if (!n || e.off != off) {
		row_key_make(&key, inode->ino, ROW_EXTENT, (uint64_t)off, NULL, 0);
		return push_rows_remove(c->rows, &key, false);
	}
	r = push_rows_extent(c->rows, inode->ino, &e);
	if (!r) {
		r = source_extents_at(c->s, &c->base->view, old, off, off + e.len, &was, 1, &n);
		if (!r && n)
			r = set_base(c, e.chunk, was.chunk);
	}
	return r;
}

/* More than a quarter of the file: it was written anew. */
static bool written_anew(const struct push_rows *rows, size_t from, const struct inode *inode)
{
	uint64_t bytes = 0;
	size_t extents = 0;

	for (size_t i = from; i < rows->n; i++)
		extents += rows->v[i].chunk != 0;
	bytes = extents * CHUNK_LEN_AVG;
	return bytes * 4 > (uint64_t)inode->size;
}

static int changed_extents(struct changing *c, const struct inode *old, const struct inode *inode, size_t first,
			   size_t end)
{
	bool all = old->inherit != inode->inherit || old->row_branch != inode->row_branch, many = end - first >= MANY;
	size_t from = c->rows->n;
	struct row_key key;
	int r = 0;

	if (all) {
		row_key_prefix(&key, inode->ino, ROW_EXTENT);
		r = push_rows_remove(c->rows, &key, true);
		if (!r)
			r = source_each_extent(c->s, c->v, inode, put_whole_extent, c->rows);
		return r ? r : match_all(c, inode->ino, from);
	}
	if (many)
		r = push_known_names(c->in, c->base, inode->ino, c->map, c->err);
	for (size_t i = first; i < end && !r; i++)
		r = put_extent(c, old, inode, c->changes->v[i].k);
	if (!r && many && written_anew(c->rows, from, inode)) {
		/* what lies at the same offset is the wrong base where content was shifted */
		for (size_t i = from; i < c->rows->n; i++) {
			struct chunk_map_entry *e = c->rows->v[i].chunk ? chunk_map_find(c->map, c->rows->v[i].chunk)
									: NULL;

			if (e && !e->named)
				e->base = 0;
		}
		r = match_all(c, inode->ino, from);
	}
	return r;
}

static int changed_entry(struct changing *c, const struct source_change *ch)
{
	const char *name = (const char *)c->changes->names.data + ch->name_at;
	struct dirent_row e;
	struct row_key key;
	int r = source_entry(c->s, c->v, ch->ino, name, ch->name_len, &e);

	if (r != -ENOENT)
		return r ? r : push_rows_entry(c->rows, &e);
	row_key_make(&key, ch->ino, ROW_DIRENT, (uint64_t)ch->k, name, ch->name_len);
	return push_rows_remove(c->rows, &key, false);
}

/* changes[first, end) are of one inode that both views show. */
static int changed_inode(struct changing *c, const struct inode *old, const struct inode *inode, size_t first,
			 size_t end)
{
	const struct source_change *ch = c->changes->v;
	struct row_key key;
	size_t i = first, extents;
	int r = push_rows_inode(c->rows, inode);

	while (i < end && ch[i].what == SOURCE_INODE)
		i++;
	if (!r && i < end && ch[i].what == SOURCE_XATTR) {
		row_key_prefix(&key, inode->ino, ROW_XATTR);
		r = push_rows_remove(c->rows, &key, true);
		if (!r)
			r = push_rows_xattrs(c->rows, c->s, c->v, inode);
		i++;
	}
	for (; i < end && ch[i].what == SOURCE_DIRENT && !r; i++)
		r = changed_entry(c, &ch[i]);
	extents = i;
	if (!r && S_ISREG(inode->mode))
		r = changed_extents(c, old, inode, extents, end);
	return r;
}

static int one_inode(struct changing *c, size_t first, size_t end)
{
	uint64_t ino = c->changes->v[first].ino;
	size_t from = c->rows->n;
	struct inode old, inode;
	struct row_key key;
	bool was, is;
	int ra = source_inode(c->s, &c->base->view, ino, &old), rb = source_inode(c->s, c->v, ino, &inode), r;

	if ((ra && ra != -ENOENT) || (rb && rb != -ENOENT))
		return ra && ra != -ENOENT ? ra : rb;
	was = !ra && source_shown(&c->base->view, &old);
	is = !rb && source_shown(c->v, &inode);
	if (was && is && (old.mode & S_IFMT) == (inode.mode & S_IFMT))
		return changed_inode(c, &old, &inode, first, end);
	r = 0;
	if (was) {
		row_key_prefix(&key, ino, 0);
		r = push_rows_remove(c->rows, &key, true);
	}
	if (!r && is) {
		r = push_whole_inode(c->rows, c->s, c->v, &inode);
		if (!r && S_ISREG(inode.mode))
			r = match_all(c, ino, from);
	}
	return r;
}

int push_changed_rows(struct push_rows *rows, struct store *s, struct blob_in *in, const struct push_base *base,
		      const struct source_view *v, const struct source_changes *changes, struct chunk_map *map,
		      struct err *err)
{
	struct changing c = {rows, s, in, base, v, changes, map, err};
	size_t end;
	int r = 0;

	for (size_t i = 0; i < changes->n && !r; i = end) {
		for (end = i + 1; end < changes->n && changes->v[end].ino == changes->v[i].ino; end++)
			;
		r = one_inode(&c, i, end);
	}
	return r && err && !err->code ? err_set(err, -r, "looking at what changed: %s", err_name(-r)) : r;
}
