/* diff: the inodes whose rows changed on the branches between two views (view_history.h), looked at in both. Every change of a name puts the
 * named inode's row too, so the rows of inodes, extents and xattrs tell all.
 *
 * All of that is read through a reader (store/meta/reader.h) with no lock held: of a live volume, the state of a commit made for it. */
#include "store/volume/diff.h"

#include <stdio.h>
#include <string.h>

#include "store/meta/history.h"
#include "store/meta/reader.h"
#include "store/volume/view_history.h"
#include "store/volume/view_path.h"
#include "store/volume/volume_internal.h"

#define NAMES_FIRST 16
#define SCAN_INODES 64
#define SCAN_EXTENTS 64
#define OPEN_TRIES 4
#define WHOLE 0x100 /* of a candidate: its rows tell nothing of what changed */

struct candidate {
	uint64_t ino;
	unsigned what;
};

struct found {
	struct diff_entry e;
	char *path, *new_path;
};

struct side {
	struct meta_view view;
	uint64_t root_ino;
	struct inode inode;
	bool exists;
	struct dirent_row *names;
	size_t n, cap;
};

struct diff {
	struct meta *m; /* a reader */
	struct side a, b;
	struct candidate *candidates;
	size_t n, cap;
	struct found *found;
	size_t n_found, cap_found;
};

static int add_candidate(void *arg, uint64_t ino, unsigned what)
{
	struct diff *d = arg;

	if (d->n && d->candidates[d->n - 1].ino == ino) {
		d->candidates[d->n - 1].what |= what;
		return 0;
	}
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 256;
		struct candidate *more = realloc(d->candidates, cap * sizeof *more);

		if (!more)
			return -ENOMEM;
		d->candidates = more;
		d->cap = cap;
	}
	d->candidates[d->n++] = (struct candidate){ino, what};
	return 0;
}

/* Every inode of both views. */
static int scan_views(struct diff *d)
{
	const struct meta_view *views[] = {&d->a.view, &d->b.view};
	struct inode inodes[SCAN_INODES];
	int ret = 0;

	for (size_t v = 0; v < 2 && !ret; v++) {
		uint64_t after = 0;
		size_t n = SCAN_INODES;

		while (!ret && n == SCAN_INODES) {
			ret = inode_scan(d->m, views[v], after, inodes, SCAN_INODES, &n);
			for (size_t i = 0; i < n && !ret; i++)
				ret = add_candidate(d, after = inodes[i].ino, WHOLE);
		}
	}
	return ret;
}

static int collect_stretch(void *arg, int64_t branch, int64_t from, int64_t to)
{
	struct diff *d = arg;

	return history_changed(d->m, branch, from, to, add_candidate, d);
}

static int collect(struct diff *d)
{
	bool whole;
	int ret = view_history(d->m, &d->a.view, &d->b.view, collect_stretch, d, &whole);

	return ret || !whole ? ret : scan_views(d);
}

static int by_ino(const void *a, const void *b)
{
	uint64_t x = ((const struct candidate *)a)->ino, y = ((const struct candidate *)b)->ino;

	return (x > y) - (x < y);
}

static void unite(struct diff *d)
{
	size_t i, kept = 0;

	if (d->n)
		qsort(d->candidates, d->n, sizeof *d->candidates, by_ino);
	for (i = 0; i < d->n; i++) {
		if (kept && d->candidates[kept - 1].ino == d->candidates[i].ino)
			d->candidates[kept - 1].what |= d->candidates[i].what;
		else
			d->candidates[kept++] = d->candidates[i];
	}
	d->n = kept;
}

/* Neither name: the root. */
static int report(struct diff *d, enum diff_kind kind, unsigned what, const struct inode *inode, const struct dirent_row *a,
		  const struct dirent_row *b)
{
	struct found f = {.e = {.kind = kind, .what = what, .ino = inode->ino, .mode = inode->mode}};
	struct meta *m = d->m;
	int ret;

	if (d->n_found == d->cap_found) {
		size_t cap = d->cap_found ? d->cap_found * 2 : 64;
		struct found *more = realloc(d->found, cap * sizeof *more);

		if (!more)
			return -ENOMEM;
		d->found = more;
		d->cap_found = cap;
	}
	if (!a && !b)
		ret = (f.path = strdup("/")) ? 0 : -ENOMEM;
	else
		ret = a ? view_path(m, &d->a.view, d->a.root_ino, a, &f.path) : view_path(m, &d->b.view, d->b.root_ino, b, &f.path);
	if (!ret && kind == DIFF_RENAMED)
		ret = view_path(m, &d->b.view, d->b.root_ino, b, &f.new_path);
	if (ret) {
		free(f.path);
		return ret;
	}
	d->found[d->n_found++] = f;
	return 0;
}

/* Every name of the inode. */
static int look_names(struct diff *d, struct side *side, uint64_t ino)
{
	for (;;) {
		size_t cap = side->cap ? 2 * side->cap : NAMES_FIRST;
		int ret = side->cap ? dirent_by_ino(d->m, &side->view, ino, side->names, side->cap, &side->n) : 0;
		struct dirent_row *more;

		if (ret || (side->cap && side->n < side->cap))
			return ret;
		more = realloc(side->names, cap * sizeof *more);
		if (!more)
			return -ENOMEM;
		side->names = more;
		side->cap = cap;
	}
}

static int look(struct diff *d, struct side *side, uint64_t ino)
{
	int ret = inode_get(d->m, &side->view, ino, &side->inode);

	side->n = 0;
	side->exists = !ret && (side->inode.nlink || ino == side->root_ino);
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	return side->exists ? look_names(d, side, ino) : 0;
}

static bool same_text(const struct dirent_row *a, const struct dirent_row *b)
{
	return a->name_len == b->name_len && !memcmp(a->name, b->name, a->name_len);
}

/* 1 if so, 0, or an error. */
static int same_name(const struct diff *d, const struct dirent_row *a, const struct dirent_row *b)
{
	(void)d;
	return a->parent == b->parent && same_text(a, b);
}

/* In another folder, which has taken the place of the first. */
static int same_path(const struct diff *d, const struct dirent_row *a, const struct dirent_row *b)
{
	AUTO_FREE char *path_a = NULL;
	AUTO_FREE char *path_b = NULL;
	int ret;

	if (!same_text(a, b))
		return 0;
	ret = view_path(d->m, &d->a.view, d->a.root_ino, a, &path_a);
	if (!ret)
		ret = view_path(d->m, &d->b.view, d->b.root_ino, b, &path_b);
	return ret ? ret : !strcmp(path_a, path_b);
}

/* Takes the names that both have out of both; the last of them is given back. */
static int take_common(struct diff *d, int (*same)(const struct diff *d, const struct dirent_row *a, const struct dirent_row *b),
		       struct dirent_row *ret)
{
	for (size_t i = 0; i < d->a.n;) {
		int found = 0;
		size_t j;

		for (j = 0; j < d->b.n && !(found = same(d, &d->a.names[i], &d->b.names[j])); j++)
			;
		if (found < 0)
			return found;
		if (!found) {
			i++;
			continue;
		}
		*ret = d->b.names[j];
		d->a.names[i] = d->a.names[--d->a.n];
		d->b.names[j] = d->b.names[--d->b.n];
	}
	return 0;
}

static unsigned what_changed(const struct diff *d, unsigned rows)
{
	const struct inode *a = &d->a.inode, *b = &d->b.inode;
	unsigned what = 0;

	if (S_ISREG(b->mode) && ((rows & HISTORY_EXTENT) || a->size != b->size))
		what |= DIFF_CONTENT;
	if (a->mode != b->mode || a->uid != b->uid || a->gid != b->gid || a->rdev != b->rdev ||
	    (!S_ISDIR(b->mode) && a->mtime != b->mtime))
		what |= DIFF_ATTR;
	if (rows & HISTORY_XATTR)
		what |= DIFF_XATTR;
	return what;
}

static int extents_differ(struct diff *d, bool *ret)
{
	struct extent a[SCAN_EXTENTS], b[SCAN_EXTENTS];
	size_t na = SCAN_EXTENTS, nb;
	int64_t off = 0;
	int err = 0;

	*ret = false;
	while (!err && !*ret && na == SCAN_EXTENTS) {
		err = extent_scan(d->m, &d->a.view, &d->a.inode, off, INT64_MAX, a, SCAN_EXTENTS, &na);
		if (!err)
			err = extent_scan(d->m, &d->b.view, &d->b.inode, off, INT64_MAX, b, SCAN_EXTENTS, &nb);
		*ret = !err && na != nb;
		for (size_t i = 0; i < na && !err && !*ret; i++) {
			*ret = a[i].off != b[i].off || a[i].len != b[i].len || a[i].chunk != b[i].chunk || a[i].choff != b[i].choff;
			off = a[i].off + a[i].len;
		}
	}
	return err;
}

/* Names and values of a side's xattrs in one buffer. */
static int read_xattrs(struct diff *d, const struct side *side, struct buf *ret)
{
	struct buf names = {0};
	int err = xattr_list(d->m, &side->view, side->inode.ino, &names);

	for (size_t at = 0; at < names.len && !err;) {
		const char *name = (const char *)names.data + at;
		AUTO_FREE void *value = NULL;
		size_t len = 0;

		err = xattr_get(d->m, &side->view, side->inode.ino, name, &value, &len);
		if (!err)
			err = buf_add_bytes(ret, name, strlen(name));
		if (!err)
			err = buf_add_bytes(ret, value, len);
		at += strlen(name) + 1;
	}
	buf_free(&names);
	return err;
}

/* The rows that a candidate would have had. */
static int compare_whole(struct diff *d, unsigned *rows)
{
	struct buf a = {0}, b = {0};
	bool differ = false;
	int ret = S_ISREG(d->b.inode.mode) ? extents_differ(d, &differ) : 0;

	*rows = differ ? HISTORY_EXTENT : 0;
	if (!ret)
		ret = read_xattrs(d, &d->a, &a);
	if (!ret)
		ret = read_xattrs(d, &d->b, &b);
	if (!ret && (a.len != b.len || (a.len && memcmp(a.data, b.data, a.len) != 0)))
		*rows |= HISTORY_XATTR;
	buf_free(&a);
	buf_free(&b);
	return ret;
}

static int compare(struct diff *d, const struct candidate *c)
{
	struct dirent_row common;
	unsigned what, rows = c->what;
	size_t i;
	int ret = look(d, &d->a, c->ino);

	if (!ret)
		ret = look(d, &d->b, c->ino);
	if (ret || (!d->a.exists && !d->b.exists))
		return ret;
	if ((rows & WHOLE) && d->a.exists && d->b.exists)
		ret = compare_whole(d, &rows);
	if (ret)
		return ret;
	what = d->a.exists && d->b.exists ? what_changed(d, rows) : 0;
	if (what && c->ino == d->b.root_ino)
		return report(d, DIFF_MODIFIED, what, &d->b.inode, NULL, NULL);
	if (!d->b.n)
		what = 0;
	else
		common = d->b.names[0];
	ret = take_common(d, same_name, &common);
	if (!ret)
		ret = take_common(d, same_path, &common);
	if (!ret && what)
		ret = report(d, DIFF_MODIFIED, what, &d->b.inode, NULL, &common);
	for (i = 0; i < d->a.n && i < d->b.n && !ret; i++)
		ret = report(d, DIFF_RENAMED, 0, &d->b.inode, &d->a.names[i], &d->b.names[i]);
	for (i = d->b.n; i < d->a.n && !ret; i++)
		ret = report(d, DIFF_REMOVED, 0, &d->a.inode, &d->a.names[i], NULL);
	for (i = d->a.n; i < d->b.n && !ret; i++)
		ret = report(d, DIFF_ADDED, 0, &d->b.inode, NULL, &d->b.names[i]);
	return ret;
}

static int by_path(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	int order = strcmp(x->path, y->path);

	return order ? order : (int)x->e.kind - (int)y->e.kind;
}

/* Which view a name means, by the id of its branch: views of the reader are others than the store's own. */
struct found_view {
	int64_t branch, epoch;
	int64_t snapshot; /* 0: a head */
	uint64_t root_ino;
};

static int find_view(struct store *s, const char *volume, const char *snapshot, struct found_view *ret, struct err *err)
{
	struct snapshot_row snap;
	struct volume_row vol;
	int r = volume_find(s, volume, &vol, err);

	if (r)
		return r;
	*ret = (struct found_view){.branch = vol.branch, .epoch = META_HEAD, .root_ino = vol.root_ino};
	if (*snapshot) {
		r = snapshot_find(s, &vol, snapshot, &snap, err);
		if (!r)
			*ret = (struct found_view){snap.branch, snap.epoch, snap.id, vol.root_ino};
	}
	volume_row_free(&vol);
	return r;
}

/* >0 when the reader does not have that view: it came after the commit, or was removed before the reader was opened. */
static int set_view(struct diff *d, const struct found_view *found, struct side *ret)
{
	struct branch *b = branch_get(d->m, found->branch);
	struct snapshot_row snap;
	int r;

	ret->view = (struct meta_view){b, found->epoch};
	ret->root_ino = found->root_ino;
	if (!b || !found->snapshot)
		return !b || !b->head;
	r = snapshot_by_id(d->m, found->snapshot, &snap);
	return r == -ENOENT ? 1 : r;
}

/* A reader that has both views. */
static int open_views(struct diff *d, struct store *s, const char *const names[4], struct err *err)
{
	struct found_view a, b;
	int ret = 0;

	for (int try = 0; try < OPEN_TRIES && !ret; try++) {
		/* what is still buffered has no extents to compare */
		ret = store_commit(s);
		(void)pthread_mutex_lock(&s->lock);
		if (!ret)
			ret = find_view(s, names[0], names[1], &a, err);
		if (!ret)
			ret = find_view(s, names[2], names[3], &b, err);
		(void)pthread_mutex_unlock(&s->lock);
		if (!ret)
			ret = meta_reader_open(s->dir, &d->m, err);
		if (ret)
			return ret;
		ret = set_view(d, &a, &d->a);
		if (!ret)
			ret = set_view(d, &b, &d->b);
		if (!ret)
			return 0;
		meta_free(d->m);
		d->m = NULL;
		ret = ret < 0 ? ret : 0;
	}
	return ret ? ret : -ESTALE;
}

static int run(struct diff *d, struct store *s, const char *const names[4], struct err *err)
{
	int ret = open_views(d, s, names, err);

	if (!ret)
		ret = collect(d);
	if (!ret)
		unite(d);
	for (size_t i = 0; i < d->n && !ret; i++)
		ret = compare(d, &d->candidates[i]);
	meta_free(d->m);
	return ret == -EXDEV ? err_set(err, EXDEV, "'%s' and '%s' have no common history", names[0], names[2]) : ret;
}

int diff_views(struct store *s, const char *volume_a, const char *snap_a, const char *volume_b, const char *snap_b,
	       int (*fn)(void *arg, const struct diff_entry *e), void *arg, struct err *err)
{
	const char *const names[] = {volume_a, snap_a, volume_b, snap_b};
	struct diff *d = calloc(1, sizeof *d);
	size_t i;
	int ret;

	if (!d)
		return err_set(err, ENOMEM, "out of memory");
	ret = run(d, s, names, err);
	if (!ret && d->n_found)
		qsort(d->found, d->n_found, sizeof *d->found, by_path);
	for (i = 0; i < d->n_found; i++) {
		d->found[i].e.path = d->found[i].path;
		d->found[i].e.new_path = d->found[i].new_path;
		if (!ret)
			ret = fn(arg, &d->found[i].e);
		free(d->found[i].path);
		free(d->found[i].new_path);
	}
	free(d->a.names);
	free(d->b.names);
	free(d->candidates);
	free(d->found);
	free(d);
	return ret < 0 && err && !err->code ? err_set(err, -ret, "comparing failed: %s", err_name(-ret)) : ret;
}
