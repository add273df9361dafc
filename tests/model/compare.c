#include "tests/model/compare.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>

#include "store/base/cleanup.h"
#include "tests/model/alloc.h"
#include "tests/model/attribute.h"
#include "tests/model/data.h"
#include "tests/model/lists.h"

/* What is being compared, and how its nodes are made. */
struct view {
	struct run *r;
	const char *volume, *snapshot; /* for messages */
	const struct mtree *tree;
	uint32_t dir_number;
	uint32_t *file_number; /* 0: to be learned from the first one seen */
	bool readonly;
	unsigned what;
	uint8_t *seen; /* per inode of the tree */
};

struct listing {
	struct view *view;
	const struct minode *dir;
	unsigned entries, dots;
	uint64_t cookie;
};

#define VIEW_FMT "%s%s%s"
#define VIEW_ARG(v) (v)->volume, (v)->snapshot ? "@" : "", (v)->snapshot ? (v)->snapshot : ""

static size_t index_of(const struct mtree *t, uint64_t ino)
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

static uint64_t view_node(struct view *v, const struct minode *m)
{
	return (uint64_t)(S_ISDIR(m->mode) ? v->dir_number : *v->file_number) << NODE_INO_BITS | m->ino;
}

static void compare_attr(struct view *v, const struct attr *attr, const struct minode *m)
{
	char text[160];

	if (!S_ISDIR(m->mode) && !*v->file_number) {
		*v->file_number = (uint32_t)(attr->node >> NODE_INO_BITS);
		run_number_new(v->r, *v->file_number);
	}
	if (attr->node != view_node(v, m))
		run_fail(v->r, VIEW_FMT ": inode %" PRIu64 " has node %#" PRIx64 ", expected %#" PRIx64, VIEW_ARG(v), m->ino,
			 attr->node, view_node(v, m));
	if (run_attr_differs(attr, m, text, sizeof text))
		run_fail(v->r, VIEW_FMT ": inode %" PRIu64 " (node %#" PRIx64 "): %s", VIEW_ARG(v), m->ino, attr->node, text);
	if (!(attr->flags & ATTR_READONLY) != !v->readonly)
		run_fail(v->r, VIEW_FMT ": inode %" PRIu64 " claims to be %s", VIEW_ARG(v), m->ino,
			 v->readonly ? "writable" : "read-only");
	if (!(attr->flags & ATTR_HAS_CAPS) != !minode_xattr(m, XATTR_CAPABILITY))
		run_fail(v->r, VIEW_FMT ": inode %" PRIu64 " claims to have %scapabilities", VIEW_ARG(v), m->ino,
			 attr->flags & ATTR_HAS_CAPS ? "" : "no ");
}

/* What is not in the attributes. */
static void compare_inode(struct view *v, const struct minode *m)
{
	struct run *r = v->r;
	uint64_t node = view_node(v, m);

	if (v->what & COMPARE_XATTRS)
		attribute_compare_xattrs(r, node, m);
	if (S_ISLNK(m->mode)) {
		AUTO_FREE char *target = NULL;

		run_want(r, "ns_readlink", ns_readlink(r->store, node, &target), 0);
		if (strlen(target) != m->target->len || memcmp(target, m->target->data, m->target->len))
			run_fail(r, VIEW_FMT ": symlink %" PRIu64 " leads to \"%s\"", VIEW_ARG(v), m->ino, target);
	}
	if (!S_ISREG(m->mode) || !(v->what & COMPARE_DATA))
		return;
	data_compare(r, node, m);
	if (rng_one_in(&r->rng, 8) && m->size)
		data_compare_holes(r, node, m);
}

static int compare_entry(void *arg, const struct ns_entry *e)
{
	struct listing *l = arg;
	struct view *v = l->view;
	const struct mdent *known;
	int name;

	if (e->cookie <= l->cookie && !(e->cookie == l->cookie && l->entries))
		run_fail(v->r, VIEW_FMT " dir %" PRIu64 ": cookie %#" PRIx64 " of \"%s\" after %#" PRIx64, VIEW_ARG(v), l->dir->ino,
			 e->cookie, e->name, l->cookie);
	l->cookie = e->cookie;
	if (!strcmp(e->name, ".") || !strcmp(e->name, "..")) {
		l->dots++;
		return 0;
	}
	name = words_name_index(e->name);
	known = name < 0 ? NULL : minode_entry(l->dir, (unsigned)name);
	if (!known)
		run_fail(v->r, VIEW_FMT " dir %" PRIu64 " lists \"%s\", which is not there", VIEW_ARG(v), l->dir->ino, e->name);
	compare_attr(v, &e->attr, mtree_get(v->tree, known->ino));
	l->entries++;
	return 0;
}

static void compare_dir(struct view *v, const struct minode *dir)
{
	struct run *r = v->r;
	struct listing l = {.view = v, .dir = dir};
	uint64_t node = view_node(v, dir);

	run_want(r, "ns_readdir", ns_readdir(r->store, node, 0, true, compare_entry, &l), 0);
	if (l.entries != dir->nents || l.dots != 2)
		run_fail(r, VIEW_FMT " dir %" PRIu64 " lists %u entries and %u dots, expected %u and 2", VIEW_ARG(v), dir->ino, l.entries,
			 l.dots, dir->nents);
	for (unsigned i = 0; i < dir->nents; i++) {
		const struct minode *m = mtree_get(v->tree, dir->ents[i].ino);
		size_t at = index_of(v->tree, m->ino);
		struct attr attr;

		if (!v->seen[at])
			compare_inode(v, m);
		v->seen[at] = 1;
		if (!rng_one_in(&r->rng, 8))
			continue;
		run_want(r, "ns_lookup", ns_lookup(r->store, node, words_name(dir->ents[i].name), &attr), 0);
		compare_attr(v, &attr, m);
	}
}

static void compare_view(struct view *v)
{
	const struct mtree *t = v->tree;
	AUTO_FREE uint8_t *seen = must_zalloc(t->n);
	struct attr attr;

	v->seen = seen;
	v->r->views++;
	run_want(v->r, "ns_getattr of the root",
		 ns_getattr(v->r->store, (uint64_t)v->dir_number << NODE_INO_BITS | t->root, &attr), 0);
	compare_attr(v, &attr, mtree_get(t, t->root));
	compare_inode(v, mtree_get(t, t->root));
	/* every directory that is linked anywhere is compared as an entry of another */
	for (size_t i = 0; i < t->n; i++)
		if (S_ISDIR(t->v[i]->mode) && t->v[i]->nlink)
			compare_dir(v, t->v[i]);
}

void compare_volume(struct run *r, int vi, unsigned what)
{
	struct mvolume *v = r->state.v[vi];
	struct view view = {
		.r = r, .volume = v->name, .tree = v->tree, .dir_number = v->number, .file_number = &v->head_number, .what = what};

	compare_view(&view);
}

/* The number of a snapshot's nodes, by the path that users take. */
static uint32_t snapshot_number(struct run *r, int vi, struct msnapshot *s)
{
	const struct mvolume *v = r->state.v[vi];
	struct attr attr;
	uint32_t number;

	run_want(r, "ns_lookup of .snapshots",
		 ns_lookup(r->store, (uint64_t)v->number << NODE_INO_BITS | v->tree->root, ".snapshots", &attr), 0);
	run_want(r, "ns_lookup of a snapshot", ns_lookup(r->store, attr.node, s->name, &attr), 0);
	number = (uint32_t)(attr.node >> NODE_INO_BITS);
	if (!s->number)
		run_number_new(r, number);
	else if (number != s->number)
		run_fail(r, "%s@%s has number %u, expected %u", v->name, s->name, number, s->number);
	s->number = number;
	return number;
}

void compare_snapshot(struct run *r, int vi, size_t si, unsigned what)
{
	struct msnapshot *s = r->state.v[vi]->snaps[si];
	uint32_t number = snapshot_number(r, vi, s);
	struct view view = {.r = r,
			    .volume = r->state.v[vi]->name,
			    .snapshot = s->name,
			    .tree = s->tree,
			    .dir_number = number,
			    .file_number = &number,
			    .readonly = true,
			    .what = what};

	compare_view(&view);
}

/* The volume's totals count what is there, but for growth that is still buffered: nothing that no one can reach stays behind. */
static void compare_totals(struct run *r, int vi)
{
	const struct mtree *t = r->state.v[vi]->tree;
	struct volume_info info;
	struct err err = {0};
	int64_t bytes = 0;

	for (size_t i = 0; i < t->n; i++)
		bytes += S_ISREG(t->v[i]->mode) ? t->v[i]->size : 0;
	run_want_err(r, "volume_get", volume_get(r->store, r->state.v[vi]->name, &info, &err), 0, &err);
	if (info.bytes > bytes || info.inodes != (int64_t)t->n)
		run_fail(r, "%s has %" PRId64 " bytes in %" PRId64 " inodes, expected %" PRId64 " in %zu", info.name, info.bytes, info.inodes,
			 bytes, t->n);
}

void compare_orphans(struct run *r, int vi)
{
	const struct mtree *t = r->state.v[vi]->tree;

	compare_totals(r, vi);
	for (size_t i = 0; i < t->n; i++) {
		const struct minode *m = t->v[i];
		struct attr attr;
		char text[160];

		if (m->nlink)
			continue;
		run_want(r, "ns_getattr of an unlinked inode", ns_getattr(r->store, run_node(r, vi, m), &attr), 0);
		if (run_attr_differs(&attr, m, text, sizeof text))
			run_fail(r, "%s unlinked inode %" PRIu64 ": %s", r->state.v[vi]->name, m->ino, text);
		attribute_compare_xattrs(r, run_node(r, vi, m), m);
		if (S_ISREG(m->mode))
			data_compare(r, run_node(r, vi, m), m);
	}
}

void compare_old_head(struct run *r, const struct old_head *h)
{
	const struct minode *m = run_pick(r, h->tree, PICK_FILE | PICK_ORPHAN);
	struct op op = run_op(r);
	struct attr attr, want = {.mode = 0600};
	uint64_t node;
	char text[160];

	if (!m)
		return;
	node = (uint64_t)h->number << NODE_INO_BITS | m->ino;
	run_want(r, "ns_getattr of a node of before the rollback", ns_getattr(r->store, node, &attr), 0);
	if (attr.node != node)
		run_fail(r, "ns_getattr of node %#" PRIx64 " of before the rollback answered for %#" PRIx64, node, attr.node);
	if (run_attr_differs(&attr, m, text, sizeof text))
		run_fail(r, "node %#" PRIx64 " of before the rollback: %s", node, text);
	data_compare(r, node, m);
	attribute_compare_xattrs(r, node, m);
	run_want(r, "file_write to a node of before the rollback", file_write(r->store, &op, node, "x", 1, 0, 0, false), -ESTALE);
	run_want(r, "ns_setattr of a node of before the rollback", ns_setattr(r->store, &op, node, &want, NS_SET_MODE, &attr),
		 -ESTALE);
	run_want(r, "file_open of a node of before the rollback", file_open(r->store, &op, node, FILE_OPEN_WRITE, 1), -ESTALE);
}

bool compare_some(struct run *r)
{
	int vi = run_volume(r);
	const struct mvolume *v;
	unsigned what = rng_one_in(&r->rng, 3) ? COMPARE_ALL : (unsigned)rng_below(&r->rng, 4);
	size_t si;

	if (vi < 0)
		return false;
	v = r->state.v[vi];
	si = rng_below(&r->rng, v->nsnaps + 2);
	if (si >= v->nsnaps) {
		run_log(r, "compare %s", v->name);
		compare_volume(r, vi, what);
		compare_orphans(r, vi);
		if (r->nold_heads)
			compare_old_head(r, &r->old_heads[rng_below(&r->rng, r->nold_heads)]);
		return true;
	}
	run_log(r, "compare %s@%s", v->name, v->snaps[si]->name);
	compare_snapshot(r, vi, si, what);
	return true;
}

/* Nothing in a snapshot can be changed. */
bool compare_refusals(struct run *r)
{
	int vi = run_volume(r);
	struct op op = run_op(r);
	struct attr attr, want = {.size = 1};
	const struct minode *m, *dir;
	const struct mvolume *v;
	uint64_t node, dir_node, root;
	size_t si;

	if (vi < 0 || !r->state.v[vi]->nsnaps)
		return false;
	v = r->state.v[vi];
	si = rng_below(&r->rng, v->nsnaps);
	run_log(r, "refuse changes in %s@%s", v->name, v->snaps[si]->name);
	dir = run_pick(r, v->snaps[si]->tree, PICK_DIR);
	m = run_pick(r, v->snaps[si]->tree, PICK_FILE);
	dir_node = (uint64_t)snapshot_number(r, vi, v->snaps[si]) << NODE_INO_BITS | dir->ino;
	root = (uint64_t)v->number << NODE_INO_BITS | v->tree->root;
	run_want(r, "ns_create in a snapshot", ns_create(r->store, &op, dir_node, "new", S_IFREG | 0644, 0, NULL, &attr), -EROFS);
	run_want(r, "ns_create in the mount's root",
		 ns_create(r->store, &op, NODE_ROOT, "new", S_IFDIR | 0755, 0, NULL, &attr), -EROFS);
	run_want(r, "ns_lookup of .snapshots", ns_lookup(r->store, root, ".snapshots", &attr), 0);
	run_want(r, "ns_create in .snapshots", ns_create(r->store, &op, attr.node, "new", S_IFDIR | 0755, 0, NULL, &attr), -EROFS);
	if (dir->nents)
		run_want(r, "ns_rename in a snapshot",
			 ns_rename(r->store, &op, dir_node, words_name(dir->ents[0].name), dir_node, "new", 0), -EROFS);
	if (!m)
		return true;
	node = (dir_node >> NODE_INO_BITS) << NODE_INO_BITS | m->ino;
	run_want(r, "ns_setattr in a snapshot", ns_setattr(r->store, &op, node, &want, NS_SET_SIZE, &attr), -EROFS);
	run_want(r, "ns_setxattr in a snapshot", ns_setxattr(r->store, &op, node, "user.a", "v", 1, 0), -EROFS);
	run_want(r, "file_write in a snapshot", file_write(r->store, &op, node, "x", 1, 0, 0, false), -EROFS);
	run_want(r, "file_open for writing in a snapshot", file_open(r->store, &op, node, FILE_OPEN_WRITE, 1), -EROFS);
	run_want(r, "file_fallocate in a snapshot",
		 file_fallocate(r->store, &op, node, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10), -EROFS);
	return true;
}

void compare_everything(struct run *r)
{
	r->checks++;
	lists_compare(r);
	for (size_t i = 0; i < r->state.n; i++) {
		compare_volume(r, (int)i, COMPARE_ALL);
		compare_orphans(r, (int)i);
		for (size_t j = 0; j < r->state.v[i]->nsnaps; j++)
			compare_snapshot(r, (int)i, j, COMPARE_ALL);
	}
	for (size_t i = 0; i < r->nold_heads; i++)
		compare_old_head(r, &r->old_heads[i]);
}
