/* Random trees, random edits, and the comparison of two views byte for byte and attribute for attribute. */
#ifndef VARVE_TESTS_REPO_TREE_H
#define VARVE_TESTS_REPO_TREE_H

#include <dirent.h>
#include <stdbool.h>

#include "tests/unit/volume/store_fixture.h"

struct tree_rng {
	uint64_t x;
};

static inline uint32_t rng(struct tree_rng *r, uint32_t below)
{
	r->x = r->x * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(r->x >> 33) % below;
}

#define TREE_ENTRIES_MAX 4096
struct tree_entry {
	uint64_t node, cookie;
	char name[NAME_LEN_MAX + 1];
};
struct tree_list {
	struct tree_entry *v;
	size_t n;
};

static inline int tree_take(void *arg, const struct ns_entry *e)
{
	struct tree_list *l = arg;

	if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
		return 0;
	assert_true(l->n < TREE_ENTRIES_MAX);
	l->v[l->n] = (struct tree_entry){.node = e->attr.node, .cookie = e->cookie};
	(void)snprintf(l->v[l->n++].name, sizeof l->v->name, "%s", e->name);
	return 0;
}

static inline int tree_by_name(const void *a, const void *b)
{
	return strcmp(((const struct tree_entry *)a)->name, ((const struct tree_entry *)b)->name);
}

static inline struct tree_list tree_read(struct store *s, uint64_t dir)
{
	struct tree_list l = {calloc(TREE_ENTRIES_MAX, sizeof *l.v), 0};

	assert_non_null(l.v);
	assert_int_equal(ns_readdir(s, dir, 0, false, tree_take, &l), 0);
	if (l.n)
		qsort(l.v, l.n, sizeof *l.v, tree_by_name);
	return l;
}

/* The top directory of VOLUME@SNAPSHOT. */
static inline uint64_t tree_root(struct store *s, const char *volume, const char *snapshot)
{
	struct volume_info vol;
	struct attr attr;

	assert_int_equal(volume_get(s, volume, &vol, NULL), 0);
	assert_int_equal(ns_lookup(s, vol.root_node, ".snapshots", &attr), 0);
	assert_int_equal(ns_lookup(s, attr.node, snapshot, &attr), 0);
	return attr.node;
}

static inline void tree_same_content(struct store *a, uint64_t na, struct store *b, uint64_t nb, int64_t size)
{
	static uint8_t x[256 * 1024], y[256 * 1024];
	size_t nx = 0, ny = 0;

	for (int64_t off = 0; off < size; off += (int64_t)nx) {
		assert_int_equal(file_read(a, na, x, sizeof x, off, false, &nx), 0);
		assert_int_equal(file_read(b, nb, y, sizeof y, off, false, &ny), 0);
		assert_int_equal(nx, ny);
		assert_true(nx > 0);
		assert_memory_equal(x, y, nx);
	}
}

static inline void tree_same_xattrs(struct store *a, uint64_t na, struct store *b, uint64_t nb)
{
	struct buf x = {0}, y = {0};

	assert_int_equal(ns_listxattr(a, na, &x), 0);
	assert_int_equal(ns_listxattr(b, nb, &y), 0);
	assert_int_equal(x.len, y.len);
	if (x.len)
		assert_memory_equal(x.data, y.data, x.len);
	for (size_t at = 0; at < x.len; at += strlen((char *)x.data + at) + 1) {
		void *v = NULL, *w = NULL;
		size_t nv, nw;

		assert_int_equal(ns_getxattr(a, na, (char *)x.data + at, &v, &nv), 0);
		assert_int_equal(ns_getxattr(b, nb, (char *)x.data + at, &w, &nw), 0);
		assert_int_equal(nv, nw);
		if (nv)
			assert_memory_equal(v, w, nv);
		free(v);
		free(w);
	}
	buf_free(&x);
	buf_free(&y);
}

static inline void tree_same_attr(const struct attr *x, const struct attr *y)
{
	assert_int_equal(x->mode, y->mode);
	assert_int_equal(x->nlink, y->nlink);
	assert_int_equal(x->uid, y->uid);
	assert_int_equal(x->gid, y->gid);
	assert_int_equal(x->rdev, y->rdev);
	assert_int_equal(x->size, y->size);
	assert_int_equal(x->blocks, y->blocks);
	assert_int_equal(x->atime, y->atime);
	assert_int_equal(x->mtime, y->mtime);
	assert_int_equal(x->ctime, y->ctime);
	assert_int_equal(x->btime, y->btime);
}

static inline void tree_same(struct store *a, uint64_t na, struct store *b, uint64_t nb)
{
	struct tree_list la, lb;
	struct attr x, y;

	assert_int_equal(ns_getattr(a, na, &x), 0);
	assert_int_equal(ns_getattr(b, nb, &y), 0);
	tree_same_attr(&x, &y);
	tree_same_xattrs(a, na, b, nb);
	if (S_ISREG(x.mode))
		tree_same_content(a, na, b, nb, x.size);
	if (S_ISLNK(x.mode)) {
		char *s = NULL, *t = NULL;

		assert_int_equal(ns_readlink(a, na, &s), 0);
		assert_int_equal(ns_readlink(b, nb, &t), 0);
		assert_string_equal(s, t);
		free(s);
		free(t);
	}
	if (!S_ISDIR(x.mode))
		return;
	la = tree_read(a, na);
	lb = tree_read(b, nb);
	assert_int_equal(la.n, lb.n);
	for (size_t i = 0; i < la.n; i++) {
		assert_string_equal(la.v[i].name, lb.v[i].name);
		tree_same(a, la.v[i].node, b, lb.v[i].node);
	}
	free(la.v);
	free(lb.v);
}

/* A random entry of the tree under `dir`, which it may be itself; its directory and name. */
static inline uint64_t tree_pick(struct store *s, struct tree_rng *r, uint64_t dir, uint64_t *ret_parent,
				 char *ret_name)
{
	uint64_t at = dir;

	*ret_parent = dir;
	*ret_name = 0;
	for (;;) {
		struct tree_list l = tree_read(s, at);
		struct attr attr;

		if (!l.n || !rng(r, 4)) {
			free(l.v);
			return at;
		}
		*ret_parent = at;
		at = l.v[rng(r, (uint32_t)l.n)].node;
		for (size_t i = 0; i < l.n; i++)
			if (l.v[i].node == at)
				strcpy(ret_name, l.v[i].name);
		free(l.v);
		assert_int_equal(ns_getattr(s, at, &attr), 0);
		if (!S_ISDIR(attr.mode))
			return at;
	}
}

static inline void tree_write(struct store *s, struct tree_rng *r, uint64_t node, size_t max, int64_t off)
{
	size_t len = 1 + rng(r, (uint32_t)max);
	uint8_t *data = malloc(len);

	assert_non_null(data);
	fixture_bytes(data, len, rng(r, 1000000));
	if (!rng(r, 3)) /* compressible, and alike */
		for (size_t i = 0; i < len; i++)
			data[i] = (uint8_t)("varve"[i % 5] + (data[i] > 250));
	for (size_t at = 0, n; at < len; at += n) {
		n = len - at < 100000 ? len - at : 100000;
		assert_int_equal(file_write(s, &fixture_op, node, data + at, n, off + (int64_t)at, 0, false), 0);
	}
	free(data);
}

static inline uint64_t tree_dir_of(struct store *s, uint64_t node, uint64_t parent)
{
	struct attr attr;

	assert_int_equal(ns_getattr(s, node, &attr), 0);
	return S_ISDIR(attr.mode) ? node : parent;
}

/* One random change. */
static inline void tree_edit(struct store *s, struct tree_rng *r, uint64_t root)
{
	char name[NAME_LEN_MAX + 1], fresh[32], other[NAME_LEN_MAX + 1];
	uint64_t parent, node = tree_pick(s, r, root, &parent, name), parent2, dir = tree_dir_of(s, node, parent);
	struct attr attr, want = {0};

	assert_int_equal(ns_getattr(s, node, &attr), 0);
	(void)snprintf(fresh, sizeof fresh, "n%u", rng(r, 100000));
	switch (rng(r, 14)) {
	case 0:
	case 1:
	case 2:
		if (!ns_create(s, &fixture_op, dir, fresh, S_IFREG | 0644, 0, NULL, &attr))
			tree_write(s, r, attr.node, rng(r, 5) ? 30000 : 900000, rng(r, 4) ? 0 : rng(r, 500000));
		break;
	case 3:
		(void)ns_create(s, &fixture_op, dir, fresh, S_IFDIR | 0755, 0, NULL, &attr);
		break;
	case 4:
		(void)ns_create(s, &fixture_op, dir, fresh, S_IFLNK | 0777, 0, "over/there", &attr);
		break;
	case 5:
		(void)ns_create(s, &fixture_op, dir, fresh, (rng(r, 2) ? S_IFIFO : S_IFCHR) | 0600, 0x103, NULL, &attr);
		break;
	case 6:
		if (*name)
			(void)(S_ISDIR(attr.mode) ? ns_rmdir(s, &fixture_op, parent, name)
						  : ns_unlink(s, &fixture_op, parent, name));
		break;
	case 7:
		if (S_ISREG(attr.mode))
			(void)ns_link(s, &fixture_op, node, parent, fresh, &attr);
		break;
	case 8:
		if (*name) {
			uint64_t n2 = tree_pick(s, r, root, &parent2, other);

			(void)ns_rename(s, &fixture_op, parent, name, tree_dir_of(s, n2, parent2),
					rng(r, 2) && *other ? other : fresh, 0);
		}
		break;
	case 9:
		want.mode = 0600 + rng(r, 64);
		want.uid = rng(r, 3);
		want.mtime = rng(r, 1000000) * INT64_C(1000000007);
		assert_int_equal(
			ns_setattr(s, &fixture_op, node, &want, NS_SET_MODE | NS_SET_UID | NS_SET_MTIME, &attr), 0);
		break;
	case 10:
		if (!S_ISLNK(attr.mode)) {
			(void)snprintf(other, sizeof other, "user.x%u", rng(r, 3));
			if (rng(r, 3))
				(void)ns_setxattr(s, &fixture_op, node, other, fresh, rng(r, 6), 0);
			else
				(void)ns_removexattr(s, &fixture_op, node, other);
		}
		break;
	case 11:
		if (S_ISREG(attr.mode)) {
			want.size = rng(r, 700000);
			assert_int_equal(ns_setattr(s, &fixture_op, node, &want, NS_SET_SIZE, &attr), 0);
		}
		break;
	default:
		if (S_ISREG(attr.mode))
			tree_write(s, r, node, 20000, rng(r, (uint32_t)attr.size + 1));
		break;
	}
}

#endif
