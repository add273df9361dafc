/* What must be reported follows from the trees: inodes that only one of them has, inodes whose values differ, entries that moved. What
 * may be reported is a little more, since the store knows that something was written and not that it was the same again: that is allowed
 * only where the model's inode is not the very same object in both trees. */
#include "tests/model/changes.h"

#include <inttypes.h>
#include <stdio.h>

#include "store/base/cleanup.h"
#include "tests/model/alloc.h"

struct side {
	const struct mvolume *volume;
	const char *snapshot;
	const struct mtree *tree;
};

struct changes {
	struct run *r;
	struct side a, b;
	char *last; /* path of the previous entry */
	size_t n;
	uint8_t *removed, *moved_from; /* per inode of a.tree */
	uint8_t *added, *changed;      /* per inode of b.tree */
};

static const struct minode *resolve(const struct mtree *t, const char *path)
{
	const struct minode *m = mtree_get(t, t->root);
	char name[NAME_LEN_MAX + 1];

	while (m && *path) {
		const char *end = strchrnul(++path, '/');
		const struct mdent *e;
		int i;

		if (end == path)
			break;
		(void)snprintf(name, sizeof name, "%.*s", (int)(end - path), path);
		i = words_name_index(name);
		e = i < 0 ? NULL : minode_entry(m, (unsigned)i);
		m = e ? mtree_get(t, e->ino) : NULL;
		path = end;
	}
	return m;
}

static size_t index_of(const struct mtree *t, const struct minode *m)
{
	size_t i = 0;

	while (t->v[i] != m)
		i++;
	return i;
}

static bool shows(const struct mtree *t, uint64_t ino)
{
	const struct minode *m = mtree_get(t, ino);

	return m && m->nlink;
}

static void unexpected(const struct changes *c, const struct diff_entry *e, const char *why)
{
	run_fail(c->r, "diff says %c %s%s%s (inode %" PRIu64 "), but %s", (char)e->kind, e->path, e->new_path ? " -> " : "",
		 e->new_path ? e->new_path : "", e->ino, why);
}

static void note_moved(struct changes *c, const struct diff_entry *e, const struct minode *old, const struct minode *new)
{
	if (!old || old->ino != e->ino)
		unexpected(c, e, "the first view has no such path");
	if (!new || new->ino != e->ino)
		unexpected(c, e, "the second view has no such path");
	if (!strcmp(e->path, e->new_path))
		unexpected(c, e, "both paths are the same");
	c->moved_from[index_of(c->a.tree, old)] = 1;
}

static int note(void *arg, const struct diff_entry *e)
{
	struct changes *c = arg;
	const struct minode *old = resolve(c->a.tree, e->path);
	const struct minode *new = resolve(c->b.tree, e->kind == DIFF_RENAMED ? e->new_path : e->path);

	if (c->last && strcmp(c->last, e->path) > 0)
		unexpected(c, e, "it comes after a later path");
	free(c->last);
	c->last = strdup(e->path);
	c->n++;
	switch (e->kind) {
	case DIFF_ADDED:
		if (!new || new->ino != e->ino)
			unexpected(c, e, "the second view has no such path");
		if (old && old->ino == e->ino)
			unexpected(c, e, "the first view has it as well");
		c->added[index_of(c->b.tree, new)] = 1;
		break;
	case DIFF_REMOVED:
		if (!old || old->ino != e->ino)
			unexpected(c, e, "the first view has no such path");
		if (new && new->ino == e->ino)
			unexpected(c, e, "the second view has it as well");
		c->removed[index_of(c->a.tree, old)] = 1;
		break;
	case DIFF_MODIFIED:
		if (!new || new->ino != e->ino || !shows(c->a.tree, e->ino))
			unexpected(c, e, "it is not in both views");
		if (mtree_get(c->a.tree, e->ino) == new)
			unexpected(c, e, "nothing was done to it");
		c->changed[index_of(c->b.tree, new)] = 1;
		break;
	case DIFF_RENAMED:
		note_moved(c, e, old, new);
		break;
	default:
		unexpected(c, e, "there is no such kind");
	}
	return 0;
}

static bool xattrs_differ(const struct minode *a, const struct minode *b)
{
	if (a->nxattrs != b->nxattrs)
		return true;
	for (unsigned i = 0; i < a->nxattrs; i++) {
		const struct blob *x = a->xattrs[i].value, *y = minode_xattr(b, a->xattrs[i].name);

		if (!y || x->len != y->len || memcmp(x->data, y->data, x->len))
			return true;
	}
	return false;
}

static bool contents_differ(const struct minode *a, const struct minode *b)
{
	uint8_t x[CONTENT_PAGE], y[CONTENT_PAGE];

	if (!a->content || a->content == b->content)
		return false;
	for (int64_t at = 0; at >= 0;) {
		int64_t i = content_next(a->content, at), j = content_next(b->content, at);

		at = i < 0 || (j >= 0 && j < i) ? j : i;
		if (at < 0)
			return false;
		content_read(a->content, at, x, sizeof x);
		content_read(b->content, at, y, sizeof y);
		if (memcmp(x, y, sizeof x))
			return true;
		at += CONTENT_PAGE;
	}
	return false;
}

static bool values_differ(const struct minode *a, const struct minode *b)
{
	return a->mode != b->mode || a->uid != b->uid || a->gid != b->gid || (!S_ISDIR(a->mode) && a->size != b->size) ||
	       xattrs_differ(a, b) || contents_differ(a, b);
}

/* The only entry that names an inode. */
static bool only_entry(const struct mtree *t, uint64_t ino, uint64_t *ret_dir, unsigned *ret_name)
{
	unsigned n = 0;

	for (size_t i = 0; i < t->n; i++)
		for (unsigned j = 0; t->v[i]->nlink && j < t->v[i]->nents; j++)
			if (t->v[i]->ents[j].ino == ino) {
				*ret_dir = t->v[i]->ino;
				*ret_name = t->v[i]->ents[j].name;
				n++;
			}
	return n == 1;
}

static unsigned name_of(const struct mtree *t, const struct minode *dir)
{
	const struct minode *parent = mtree_get(t, dir->parent);
	unsigned j = 0;

	while (parent->ents[j].ino != dir->ino)
		j++;
	return parent->ents[j].name;
}

/* Whether one folder is where another was. */
static bool same_path(const struct changes *c, uint64_t dir_a, uint64_t dir_b)
{
	while (dir_a != c->a.tree->root && dir_b != c->b.tree->root) {
		const struct minode *a = mtree_get(c->a.tree, dir_a), *b = mtree_get(c->b.tree, dir_b);

		if (name_of(c->a.tree, a) != name_of(c->b.tree, b))
			return false;
		dir_a = a->parent;
		dir_b = b->parent;
	}
	return dir_a == c->a.tree->root && dir_b == c->b.tree->root;
}

static void expect_common(struct changes *c, const struct minode *a, const struct minode *b)
{
	uint64_t dir_a, dir_b;
	unsigned name_a, name_b;
	bool moved;

	if (a == b || a->ino == c->a.tree->root) /* the root has no name to be reported by */
		return;
	if (values_differ(a, b) && !c->changed[index_of(c->b.tree, b)])
		run_fail(c->r, "diff does not say that inode %" PRIu64 " was modified", a->ino);
	if (!only_entry(c->a.tree, a->ino, &dir_a, &name_a) || !only_entry(c->b.tree, b->ino, &dir_b, &name_b))
		return;
	moved = name_a != name_b || (dir_a != dir_b && !same_path(c, dir_a, dir_b));
	if (moved && !c->moved_from[index_of(c->a.tree, a)])
		run_fail(c->r, "diff does not say that inode %" PRIu64 " moved from directory %" PRIu64 " to %" PRIu64, a->ino, dir_a, dir_b);
}

static void expect_all(struct changes *c)
{
	for (size_t i = 0; i < c->a.tree->n; i++) {
		const struct minode *a = c->a.tree->v[i];

		if (!a->nlink)
			continue;
		if (shows(c->b.tree, a->ino))
			expect_common(c, a, mtree_get(c->b.tree, a->ino));
		else if (!c->removed[i])
			run_fail(c->r, "diff does not say that inode %" PRIu64 " was removed", a->ino);
	}
	for (size_t i = 0; i < c->b.tree->n; i++)
		if (c->b.tree->v[i]->nlink && !shows(c->a.tree, c->b.tree->v[i]->ino) && !c->added[i])
			run_fail(c->r, "diff does not say that inode %" PRIu64 " was added", c->b.tree->v[i]->ino);
	if (c->a.tree == c->b.tree && c->n)
		run_fail(c->r, "diff finds %zu differences between equal views", c->n);
}

static struct side pick_side(struct run *r, const struct mvolume *v, bool live)
{
	const struct msnapshot *s;

	if (live)
		return (struct side){v, "", v->tree};
	s = v->snaps[rng_below(&r->rng, v->nsnaps)];
	return (struct side){v, s->name, s->tree};
}

static uint64_t side_lineage(const struct side *s)
{
	return *s->snapshot ? msnapshot_find(s->volume, s->snapshot)->lineage : s->volume->lineage;
}

bool changes_compare(struct run *r)
{
	int vi = run_volume(r), other = vi >= 0 && rng_one_in(&r->rng, 4) ? run_volume(r) : vi;
	struct changes c = {.r = r};
	struct err err = {0};
	int ret;

	if (vi < 0 || !r->state.v[vi]->nsnaps)
		return false;
	c.a = pick_side(r, r->state.v[vi], false);
	c.b = pick_side(r, r->state.v[other], !r->state.v[other]->nsnaps || rng_one_in(&r->rng, 2));
	c.removed = must_zalloc(c.a.tree->n);
	c.moved_from = must_zalloc(c.a.tree->n);
	c.added = must_zalloc(c.b.tree->n);
	c.changed = must_zalloc(c.b.tree->n);
	run_log(r, "diff %s@%s %s@%s", c.a.volume->name, c.a.snapshot, c.b.volume->name, c.b.snapshot);
	ret = diff_views(r->store, c.a.volume->name, c.a.snapshot, c.b.volume->name, c.b.snapshot, note, &c, &err);
	if (c.a.volume->family != c.b.volume->family)
		run_want_err(r, "diff_views of unrelated volumes", ret, -EXDEV, &err);
	else if (ret != -EXDEV || side_lineage(&c.a) == side_lineage(&c.b)) /* what joined two lineages may be gone */
		run_want_err(r, "diff_views", ret, 0, &err);
	if (!ret)
		expect_all(&c);
	free(c.last);
	free(c.removed);
	free(c.moved_from);
	free(c.added);
	free(c.changed);
	return true;
}
