/* From changed keys to rows: each key is looked up in both views, and what is the same in both is left out.
 *
 * An extent's content is sent as the difference from what it replaces, where that is smaller. Where a few places were
 * written over, that is what the old file had at the same place. Where the file was written anew (a dump, say, also
 * under a new inode of the same name), the old file's extents are followed in their order: one that both have says
 * where the new file is in the old one, and a new one is compared with what comes next there. */
#include "store/repo/send_changes.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/array.h"

#define SCAN 64
/* From so many changed extents on, the old file is followed. */
#define MANY 16
/* How far ahead an extent that both have is looked for. */
#define FOLLOW_AHEAD 64

struct sending {
	struct send_rows *rows;
	struct store *s;
	const struct source_view *base; /* NULL: none */
	const struct source_view *v;
};

/* --- what replaces what --- */

struct follow {
	uint64_t ino;
	struct extent *v; /* of the old file, in order */
	size_t n, cap;
	size_t at; /* the next that may be replaced */
};

static int follow_take(void *arg, const struct inode *inode, const struct extent *e)
{
	struct follow *f = arg;
	int r = array_grow(&f->v, &f->cap, f->n, sizeof *f->v);

	f->ino = inode->ino;
	if (!r)
		f->v[f->n++] = *e;
	return r;
}

static void follow_step(struct follow *f, struct send_piece *p)
{
	const struct extent *e = NULL;

	for (size_t i = f->at > FOLLOW_AHEAD ? f->at - FOLLOW_AHEAD : 0; i < f->n && i < f->at + FOLLOW_AHEAD && !e; i++)
		if (f->v[i].chunk == p->chunk && f->v[i].choff == p->choff && f->v[i].len == p->len) {
			e = &f->v[i];
			f->at = i + 1;
		}
	if (!e && f->at < f->n)
		e = &f->v[f->at++];
	if (!e)
		return;
	p->base_ino = f->ino;
	p->base_off = e->off;
	p->base_len = (uint32_t)e->len;
}

/* Bases for the extents among rows[from…], which are of one file that was written anew. */
static int follow_all(const struct sending *sd, uint64_t ino, size_t from)
{
	struct follow f = {0};
	struct inode old;
	int r = source_predecessor(sd->s, sd->base, sd->v, ino, &old);

	if (!r)
		r = source_each_extent(sd->s, sd->base, &old, follow_take, &f);
	for (size_t i = from; i < sd->rows->n && !r; i++)
		if (sd->rows->v[i].piece.chunk)
			follow_step(&f, &sd->rows->v[i].piece);
	free(f.v);
	return r == -ENOENT ? 0 : r;
}

/* --- one kind of rows --- */

struct xattrs {
	struct send_rows *rows;
	uint64_t ino;
};

static int put_xattr(void *arg, const char *name, const void *value, size_t len)
{
	const struct xattrs *x = arg;

	return send_rows_xattr(x->rows, x->ino, name, value, len);
}

static int whole_xattrs(const struct sending *sd, const struct inode *inode)
{
	struct xattrs x = {sd->rows, inode->ino};

	return S_ISLNK(inode->mode) || (inode->flags & INODE_HAS_XATTR)
		       ? source_xattrs(sd->s, sd->v, inode, put_xattr, &x)
		       : 0;
}

struct names {
	const struct sending *sd;
	const struct names *others; /* rows are removed for names that are not among these */
	uint64_t ino;
	struct buf list; /* each with its NUL */
};

static bool has_name(const struct names *n, const char *name)
{
	for (size_t at = 0; at < n->list.len; at += strlen((const char *)n->list.data + at) + 1)
		if (!strcmp((const char *)n->list.data + at, name))
			return true;
	return false;
}

static int take_name(void *arg, const char *name, const void *value, size_t len)
{
	struct names *n = arg;
	struct row_key key;

	(void)value;
	(void)len;
	if (!n->others)
		return buf_add(&n->list, name, strlen(name) + 1);
	if (has_name(n->others, name))
		return 0;
	row_key_make(&key, n->ino, ROW_XATTR, 0, name, strlen(name));
	return send_rows_remove(n->sd->rows, &key);
}

static int changed_xattrs(const struct sending *sd, const struct inode *old, const struct inode *inode)
{
	struct names now = {.sd = sd, .ino = inode->ino}, before = {.sd = sd, .others = &now, .ino = inode->ino};
	int r = source_xattrs(sd->s, sd->v, inode, take_name, &now);

	if (!r)
		r = source_xattrs(sd->s, sd->base, old, take_name, &before);
	buf_free(&now.list);
	return r ? r : whole_xattrs(sd, inode);
}

static int put_entry(void *arg, const struct dirent_row *e)
{
	return send_rows_entry(arg, e);
}

static int remove_entry(void *arg, const struct dirent_row *e)
{
	struct row_key key;

	row_key_make(&key, e->parent, ROW_DIRENT, (uint64_t)e->hash, e->name, e->name_len);
	return send_rows_remove(arg, &key);
}

static int changed_entry(const struct sending *sd, const struct source_changes *changes, const struct source_change *ch)
{
	const char *name = (const char *)changes->names.data + ch->name_at;
	struct dirent_row e, old;
	int r = source_entry(sd->s, sd->v, ch->ino, name, ch->name_len, &e);
	int was = source_entry(sd->s, sd->base, ch->ino, name, ch->name_len, &old);

	if ((r && r != -ENOENT) || (was && was != -ENOENT))
		return r && r != -ENOENT ? r : was;
	if (r)
		return was ? 0 : remove_entry(sd->rows, &old);
	return !was && old.ino == e.ino && old.type == e.type ? 0 : send_rows_entry(sd->rows, &e);
}

/* --- extents --- */

static int put_whole_extent(void *arg, const struct inode *inode, const struct extent *e)
{
	const struct sending *sd = arg;
	const struct send_piece p = {.chunk = e->chunk, .choff = e->choff, .len = (uint32_t)e->len};
	int r = send_rows_extent(sd->rows, inode->ino, e->off, &p);

	/* with a base the whole file's are needed, to be compared with the old one's */
	return !r && !sd->base && sd->rows->between ? sd->rows->between(sd->rows->arg) : r;
}

/* The extent that begins at `off`; >0 when none does. */
static int extent_at(const struct sending *sd, const struct source_view *v, const struct inode *inode, int64_t off,
		     struct extent *ret)
{
	size_t n = 0;
	int r = source_extents_at(sd->s, v, inode, off, off + 1, ret, 1, &n);

	return r ? r : !n || ret->off != off;
}

/* What of the old extent is a hole now. */
static int put_holes(const struct sending *sd, const struct inode *inode, const struct extent *was)
{
	int64_t at = was->off, end = was->off + was->len;
	struct extent e[SCAN];
	size_t n = SCAN;
	int r = 0;

	while (!r && n == SCAN && at < end) {
		r = source_extents_at(sd->s, sd->v, inode, at, end, e, SCAN, &n);
		for (size_t i = 0; i < n && !r; i++) {
			if (e[i].off > at)
				r = send_rows_hole(sd->rows, inode->ino, at, e[i].off - at);
			at = e[i].off + e[i].len;
		}
	}
	return !r && at < end ? send_rows_hole(sd->rows, inode->ino, at, end - at) : r;
}

static int put_extent(const struct sending *sd, const struct inode *old, const struct inode *inode,
		      const struct extent *e)
{
	struct send_piece p = {.chunk = e->chunk, .choff = e->choff, .len = (uint32_t)e->len};
	int64_t end = e->off + e->len;
	struct extent was;
	size_t n = 0;
	int r = source_extents_at(sd->s, sd->base, old, e->off, end, &was, 1, &n);

	if (!r && n && was.chunk == e->chunk && was.off <= e->off && was.off + was.len >= end &&
	    e->off - was.off == (int64_t)e->choff - (int64_t)was.choff)
		return 0; /* there already */
	if (!r && n) {
		p.base_ino = old->ino;
		p.base_off = e->off;
		p.base_len = p.len;
	}
	return r ? r : send_rows_extent(sd->rows, inode->ino, e->off, &p);
}

/* keys: where extents begin in either view, as far as they may differ. */
static int compare_extents(const struct sending *sd, const struct inode *old, const struct inode *inode,
			   const struct source_change *keys, size_t n)
{
	size_t from = sd->rows->n;
	uint64_t before = sd->rows->content;
	int r = 0;

	for (size_t i = 0; i < n && !r; i++) {
		struct extent was, is;
		int a = extent_at(sd, sd->base, old, keys[i].k, &was), b = extent_at(sd, sd->v, inode, keys[i].k, &is);

		r = a < 0 ? a : b < 0 ? b : 0;
		if (!r && !a)
			r = put_holes(sd, inode, &was);
		if (!r && !b)
			r = put_extent(sd, old, inode, &is);
	}
	/* what lies at the same offset is the wrong base where content was shifted */
	if (!r && n >= MANY && (sd->rows->content - before) * 4 > (uint64_t)inode->size)
		r = follow_all(sd, inode->ino, from);
	return r;
}

static int take_extent(void *arg, const struct inode *inode, const struct extent *e)
{
	return source_changes_add(arg, &(struct source_change){inode->ino, SOURCE_EXTENT, e->off, 0, 0});
}

static int changed_extents(const struct sending *sd, const struct inode *old, const struct inode *inode,
			   const struct source_change *keys, size_t n)
{
	struct source_changes all = {0};
	int r;

	if (old->inherit == inode->inherit && old->row_branch == inode->row_branch)
		return compare_extents(sd, old, inode, keys, n);
	/* an inherited extent is hidden with no change of its row */
	r = source_each_extent(sd->s, sd->base, old, take_extent, &all);
	if (!r)
		r = source_each_extent(sd->s, sd->v, inode, take_extent, &all);
	source_changes_sort(&all);
	if (!r)
		r = compare_extents(sd, old, inode, all.v, all.n);
	source_changes_free(&all);
	return r;
}

/* --- one inode --- */

int send_inode(struct send_rows *rows, struct store *s, const struct source_view *base, const struct source_view *v,
	       const struct inode *inode)
{
	struct sending sd = {rows, s, base, v};
	size_t from = rows->n;
	int r = send_rows_inode(rows, inode);

	if (!r)
		r = whole_xattrs(&sd, inode);
	if (!r && S_ISDIR(inode->mode))
		r = source_each_entry(s, v, inode->ino, put_entry, rows);
	if (!r && S_ISREG(inode->mode))
		r = source_each_extent(s, v, inode, put_whole_extent, &sd);
	if (!r && base && S_ISREG(inode->mode))
		r = follow_all(&sd, inode->ino, from);
	return r;
}

static int removed_inode(const struct sending *sd, const struct inode *old)
{
	struct row_key key;
	int r;

	row_key_make(&key, old->ino, ROW_INODE, 0, NULL, 0);
	r = send_rows_remove(sd->rows, &key);
	return r || !S_ISDIR(old->mode) ? r : source_each_entry(sd->s, sd->base, old->ino, remove_entry, sd->rows);
}

static int changed_inode(const struct sending *sd, const struct inode *old, const struct inode *inode,
			 const struct source_changes *changes, const struct source_change *ch, size_t n)
{
	size_t i = 0;
	int r = send_rows_inode(sd->rows, inode);

	while (i < n && ch[i].what == SOURCE_INODE)
		i++;
	if (!r && i < n && ch[i].what == SOURCE_XATTR) {
		r = changed_xattrs(sd, old, inode);
		i++;
	}
	for (; i < n && ch[i].what == SOURCE_DIRENT && !r; i++)
		r = changed_entry(sd, changes, &ch[i]);
	return !r && S_ISREG(inode->mode) ? changed_extents(sd, old, inode, ch + i, n - i) : r;
}

int send_changed(struct send_rows *rows, struct store *s, const struct source_view *base, const struct source_view *v,
		 const struct source_changes *changes, const struct source_change *of_inode, size_t n)
{
	const struct sending sd = {rows, s, base, v};
	struct inode old, inode;
	int a = source_inode(s, base, of_inode->ino, &old), b = source_inode(s, v, of_inode->ino, &inode);
	bool was = !a && source_shown(base, &old), is = !b && source_shown(v, &inode);
	int r;

	if ((a && a != -ENOENT) || (b && b != -ENOENT))
		return a && a != -ENOENT ? a : b;
	if (was && is && (old.mode & S_IFMT) == (inode.mode & S_IFMT))
		return changed_inode(&sd, &old, &inode, changes, of_inode, n);
	r = was ? removed_inode(&sd, &old) : 0;
	return !r && is ? send_inode(rows, s, base, v, &inode) : r;
}

/* --- what may differ --- */

static int take_entry(void *arg, const struct dirent_row *e)
{
	return source_changes_add_entry(arg, e->parent, e->hash, e->name, e->name_len);
}

struct taking {
	struct source_changes *c;
	struct store *s;
	const struct source_view *v;
};

/* Every key of an inode. */
static int take_inode(void *arg, const struct inode *inode)
{
	const struct taking *t = arg;
	int r = source_changes_add(t->c, &(struct source_change){inode->ino, SOURCE_INODE, 0, 0, 0});

	if (!r)
		r = source_changes_add(t->c, &(struct source_change){inode->ino, SOURCE_XATTR, 0, 0, 0});
	if (!r && S_ISDIR(inode->mode))
		r = source_each_entry(t->s, t->v, inode->ino, take_entry, t->c);
	if (!r && S_ISREG(inode->mode))
		r = source_each_extent(t->s, t->v, inode, take_extent, t->c);
	return r;
}

static int everything(struct source_changes *c, struct store *s, const struct source_view *v)
{
	struct taking t = {c, s, v};

	return source_each_inode(s, v, take_inode, &t);
}

int send_find_changes(struct store *s, const struct source_view *base, const struct source_view *v,
		      struct source_changes *ret)
{
	struct source_changes all = {0};
	int r = source_changed(s, base, v, ret);

	if (r <= 0 && r != -EXDEV)
		return r;
	r = everything(&all, s, base);
	if (!r)
		r = everything(&all, s, v);
	if (r) {
		source_changes_free(&all);
		return r;
	}
	source_changes_sort(&all);
	*ret = all;
	return 0;
}
