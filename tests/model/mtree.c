#include "tests/model/mtree.h"

#include "tests/model/alloc.h"

struct blob *blob_new(const void *data, size_t len)
{
	struct blob *b = must_alloc(sizeof *b + len);

	b->refs = 1;
	b->len = len;
	if (len)
		memcpy(b->data, data, len);
	return b;
}

void blob_unref(struct blob *b)
{
	if (b && --b->refs == 0)
		free(b);
}

struct minode *minode_new(uint64_t ino, uint32_t mode)
{
	struct minode *m = must_zalloc(sizeof *m);

	m->refs = 1;
	m->ino = ino;
	m->mode = mode;
	m->nlink = S_ISDIR(mode) ? 2 : 1;
	if (S_ISREG(mode))
		m->content = content_new();
	return m;
}

struct minode *minode_copy(const struct minode *from)
{
	struct minode *m = must_alloc(sizeof *m);

	*m = *from;
	m->refs = 1;
	if (m->content)
		(void)content_ref(m->content);
	if (m->target)
		m->target->refs++;
	for (unsigned i = 0; i < m->nxattrs; i++)
		m->xattrs[i].value->refs++;
	if (m->ents) {
		m->ents = must_alloc(m->ents_cap * sizeof *m->ents);
		memcpy(m->ents, from->ents, m->nents * sizeof *m->ents);
	}
	return m;
}

void minode_unref(struct minode *m)
{
	if (--m->refs)
		return;
	content_unref(m->content);
	blob_unref(m->target);
	for (unsigned i = 0; i < m->nxattrs; i++)
		blob_unref(m->xattrs[i].value);
	free(m->ents);
	free(m);
}

const struct mdent *minode_entry(const struct minode *dir, unsigned name)
{
	for (unsigned i = 0; i < dir->nents; i++)
		if (dir->ents[i].name == name)
			return &dir->ents[i];
	return NULL;
}

void minode_entry_add(struct minode *dir, unsigned name, uint64_t ino)
{
	if (dir->nents == dir->ents_cap) {
		dir->ents_cap = dir->ents_cap ? 2 * dir->ents_cap : 8;
		dir->ents = must_realloc(dir->ents, dir->ents_cap * sizeof *dir->ents);
	}
	dir->ents[dir->nents++] = (struct mdent){name, ino};
}

void minode_entry_remove(struct minode *dir, unsigned name)
{
	for (unsigned i = 0; i < dir->nents; i++) {
		if (dir->ents[i].name != name)
			continue;
		dir->ents[i] = dir->ents[--dir->nents];
		return;
	}
}

void minode_entry_change(struct minode *dir, unsigned name, uint64_t ino)
{
	for (unsigned i = 0; i < dir->nents; i++)
		if (dir->ents[i].name == name)
			dir->ents[i].ino = ino;
}

const struct blob *minode_xattr(const struct minode *m, unsigned name)
{
	for (unsigned i = 0; i < m->nxattrs; i++)
		if (m->xattrs[i].name == name)
			return m->xattrs[i].value;
	return NULL;
}

void minode_xattr_remove(struct minode *m, unsigned name)
{
	for (unsigned i = 0; i < m->nxattrs; i++) {
		if (m->xattrs[i].name != name)
			continue;
		blob_unref(m->xattrs[i].value);
		m->xattrs[i] = m->xattrs[--m->nxattrs];
		return;
	}
}

void minode_xattr_set(struct minode *m, unsigned name, const void *value, size_t len)
{
	minode_xattr_remove(m, name);
	if (m->nxattrs == MXATTR_MAX)
		abort();
	m->xattrs[m->nxattrs++] = (struct mxattr){name, blob_new(value, len)};
}

struct mtree *mtree_new(uint64_t root)
{
	struct mtree *t = must_zalloc(sizeof *t);

	t->refs = 1;
	t->root = root;
	return t;
}

struct mtree *mtree_ref(struct mtree *t)
{
	t->refs++;
	return t;
}

void mtree_unref(struct mtree *t)
{
	if (--t->refs)
		return;
	for (size_t i = 0; i < t->n; i++)
		minode_unref(t->v[i]);
	free(t->v);
	free(t);
}

static size_t seek(const struct mtree *t, uint64_t ino)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (t->v[mid]->ino < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct mtree *mtree_own(struct mtree **tp)
{
	struct mtree *t = *tp, *copy;

	if (t->refs == 1)
		return t;
	copy = mtree_new(t->root);
	copy->n = copy->cap = t->n;
	copy->v = must_alloc(t->n * sizeof *t->v);
	for (size_t i = 0; i < t->n; i++) {
		copy->v[i] = t->v[i];
		copy->v[i]->refs++;
	}
	t->refs--;
	*tp = copy;
	return copy;
}

const struct minode *mtree_get(const struct mtree *t, uint64_t ino)
{
	size_t i = seek(t, ino);

	return i < t->n && t->v[i]->ino == ino ? t->v[i] : NULL;
}

struct minode *mtree_edit(struct mtree **tp, uint64_t ino)
{
	struct mtree *t = mtree_own(tp);
	size_t i = seek(t, ino);

	if (i == t->n || t->v[i]->ino != ino)
		abort();
	if (t->v[i]->refs > 1) {
		struct minode *copy = minode_copy(t->v[i]);

		t->v[i]->refs--;
		t->v[i] = copy;
	}
	return t->v[i];
}

void mtree_add(struct mtree **tp, struct minode *m)
{
	struct mtree *t = mtree_own(tp);
	size_t i = seek(t, m->ino);

	if (t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 16;
		t->v = must_realloc(t->v, t->cap * sizeof *t->v);
	}
	memmove(t->v + i + 1, t->v + i, (t->n - i) * sizeof *t->v);
	t->v[i] = m;
	t->n++;
}

void mtree_replace(struct mtree **tp, struct minode *m)
{
	struct mtree *t = mtree_own(tp);
	size_t i = seek(t, m->ino);

	minode_unref(t->v[i]);
	t->v[i] = m;
}

void mtree_remove(struct mtree **tp, uint64_t ino)
{
	struct mtree *t = mtree_own(tp);
	size_t i = seek(t, ino);

	if (i == t->n || t->v[i]->ino != ino)
		abort();
	minode_unref(t->v[i]);
	t->n--;
	memmove(t->v + i, t->v + i + 1, (t->n - i) * sizeof *t->v);
}

static void drop_orphans(struct mtree **tp, bool directories)
{
	for (size_t i = (*tp)->n; i-- > 0;)
		if ((*tp)->v[i]->nlink == 0 && (directories || !S_ISDIR((*tp)->v[i]->mode)))
			mtree_remove(tp, (*tp)->v[i]->ino);
}

void mtree_drop_orphans(struct mtree **tp)
{
	drop_orphans(tp, true);
}

void mtree_drop_orphan_files(struct mtree **tp)
{
	drop_orphans(tp, false);
}

bool mtree_below(const struct mtree *t, uint64_t ino, uint64_t top)
{
	for (;;) {
		const struct minode *m;

		if (ino == top)
			return true;
		if (ino == t->root)
			return false;
		m = mtree_get(t, ino);
		if (!m)
			return false;
		ino = m->parent;
	}
}

unsigned mtree_depth(const struct mtree *t, uint64_t dir)
{
	unsigned depth = 0;
	const struct minode *m;

	for (; dir != t->root; dir = m->parent, depth++) {
		m = mtree_get(t, dir);
		if (!m)
			break;
	}
	return depth;
}

size_t mtree_pages(const struct mtree *t)
{
	size_t pages = 0;

	for (size_t i = 0; i < t->n; i++)
		if (t->v[i]->content)
			pages += content_pages(t->v[i]->content);
	return pages;
}
