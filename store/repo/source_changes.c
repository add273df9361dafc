/* Which rows of two views may differ. */
#include <stdlib.h>
#include <string.h>

#include "store/base/array.h"
#include "store/meta/history.h"
#include "store/meta/reader.h"
#include "store/repo/source.h"
#include "store/volume/store_internal.h"
#include "store/volume/view_history.h"

void source_changes_free(struct source_changes *c)
{
	free(c->v);
	buf_free(&c->names);
	*c = (struct source_changes){0};
}

int source_changes_add(struct source_changes *c, const struct source_change *one)
{
	if (array_grow(&c->v, &c->cap, c->n, sizeof *c->v))
		return -ENOMEM;
	c->v[c->n++] = *one;
	return 0;
}

static int take_changed(void *arg, uint64_t ino, unsigned what)
{
	int r = 0;

	/* extents come row by row; whatever changed, the inode's row is looked at */
	if (what & HISTORY_XATTR)
		r = source_changes_add(arg, &(struct source_change){ino, SOURCE_XATTR, 0, 0, 0});
	return r ? r : source_changes_add(arg, &(struct source_change){ino, SOURCE_INODE, 0, 0, 0});
}

static int take_extent(void *arg, uint64_t ino, int64_t k, const void *name, size_t name_len)
{
	(void)name;
	(void)name_len;
	return source_changes_add(arg, &(struct source_change){ino, SOURCE_EXTENT, k, 0, 0});
}

int source_changes_add_entry(struct source_changes *c, uint64_t ino, int64_t k, const void *name, size_t name_len)
{
	struct source_change one = {ino, SOURCE_DIRENT, k, (uint32_t)c->names.len, (uint8_t)name_len};
	int r = c->names.len > UINT32_MAX - NAME_LEN_MAX ? -EFBIG : buf_add(&c->names, name, name_len);

	return r ? r : source_changes_add(c, &one);
}

static int take_entry(void *arg, uint64_t ino, int64_t k, const void *name, size_t name_len)
{
	return source_changes_add_entry(arg, ino, k, name, name_len);
}

struct collecting {
	struct meta *m;
	struct source_changes *c;
};

static int collect_stretch(void *arg, int64_t branch, int64_t from, int64_t to)
{
	struct collecting *col = arg;
	int r = history_changed(col->m, branch, from, to, take_changed, col->c);

	if (!r)
		r = history_rows(col->m, HISTORY_EXTENT, branch, from, to, take_extent, col->c);
	return r ? r : history_rows(col->m, HISTORY_DIRENT, branch, from, to, take_entry, col->c);
}

static int compare_changes(const void *a, const void *b, void *arg)
{
	const struct source_change *x = a, *y = b;
	const struct source_changes *c = arg;
	size_t len = x->name_len < y->name_len ? x->name_len : y->name_len;
	int order;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	if (x->what != y->what)
		return x->what < y->what ? -1 : 1;
	if (x->k != y->k)
		return (uint64_t)x->k < (uint64_t)y->k ? -1 : 1;
	order = len ? memcmp(c->names.data + x->name_at, c->names.data + y->name_at, len) : 0;
	return order ? order : (int)x->name_len - (int)y->name_len;
}

void source_changes_sort(struct source_changes *c)
{
	size_t kept = 0;

	if (c->n)
		qsort_r(c->v, c->n, sizeof *c->v, compare_changes, c);
	for (size_t i = 0; i < c->n; i++)
		if (!kept || compare_changes(&c->v[kept - 1], &c->v[i], c) != 0)
			c->v[kept++] = c->v[i];
	c->n = kept;
}

int source_changed(struct store *s, const struct source_view *a, const struct source_view *b,
		   struct source_changes *ret)
{
	struct source_changes c = {0};
	struct collecting col = {NULL, &c};
	struct meta_view va, vb;
	bool whole = false;
	int r = meta_reader_open(s->dir, &col.m, NULL);

	if (r)
		return r;
	/* both views were committed when they were made */
	va = (struct meta_view){branch_get(col.m, a->branch), a->epoch};
	vb = (struct meta_view){branch_get(col.m, b->branch), b->epoch};
	r = va.branch && vb.branch ? view_history(col.m, &va, &vb, collect_stretch, &col, &whole) : -ESTALE;
	meta_free(col.m);
	if (r || whole) {
		source_changes_free(&c);
		return r ? r : 1;
	}
	source_changes_sort(&c);
	*ret = c;
	return 0;
}
