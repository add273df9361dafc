#include "tests/model/readback.h"

#include <inttypes.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "tests/model/alloc.h"

#define INO_MASK ((UINT64_C(1) << NODE_INO_BITS) - 1)

struct found {
	unsigned name;
	struct attr attr;
};

struct entries {
	struct run *r;
	struct found *v;
	size_t n, cap;
};

static int collect(void *arg, const struct ns_entry *e)
{
	struct entries *list = arg;
	int name;

	if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
		return 0;
	name = words_name_index(e->name);
	if (name < 0)
		run_fail(list->r, "a directory lists \"%s\", which nobody made", e->name);
	if (list->n == list->cap) {
		list->cap = list->cap ? 2 * list->cap : 16;
		list->v = must_realloc(list->v, list->cap * sizeof *list->v);
	}
	list->v[list->n++] = (struct found){(unsigned)name, e->attr};
	return 0;
}

static void read_xattrs(struct run *r, uint64_t node, struct minode *m)
{
	static const unsigned acls[] = {XATTR_ACL_ACCESS, XATTR_ACL_DEFAULT};
	struct buf list = {0};
	void *value;
	size_t len;

	run_want(r, "ns_listxattr", ns_listxattr(r->store, node, &list), 0);
	for (const char *p = (char *)list.data; p < (char *)list.data + list.len; p += strlen(p) + 1) {
		int i = words_xattr_index(p);

		if (i < 0)
			run_fail(r, "node %#" PRIx64 " lists the attribute %s, which nobody set", node, p);
		if (i < XATTR_CAPABILITY)
			continue;
		run_want(r, "ns_getxattr", ns_getxattr(r->store, node, p, &value, &len), 0);
		minode_xattr_set(m, (unsigned)i, value, len);
		free(value);
	}
	buf_free(&list);
	for (size_t i = 0; i < 2; i++) {
		if (ns_getxattr(r->store, node, words_xattr(acls[i]), &value, &len))
			continue;
		minode_xattr_set(m, acls[i], value, len);
		free(value);
	}
}

static void read_content(struct run *r, uint64_t node, struct minode *m)
{
	int64_t at = 0;

	while (at < m->size) {
		size_t len = RUN_IO_MAX / 4, n;
		int ret = file_lseek(r->store, node, at, SEEK_DATA, &at);

		if (ret == -ENXIO)
			return;
		run_want(r, "SEEK_DATA", ret, 0);
		run_want(r, "file_read", file_read(r->store, node, r->got, len, at, false, &n), 0);
		if (!n)
			run_fail(r, "node %#" PRIx64 ": nothing to read at %" PRId64 " of %" PRId64, node, at, m->size);
		content_write(&m->content, at, r->got, n);
		at += (int64_t)n;
	}
}

static struct minode *read_inode(struct run *r, const struct attr *a)
{
	struct minode *m = minode_new(a->node & INO_MASK, a->mode);

	m->nlink = a->nlink;
	m->uid = a->uid;
	m->gid = a->gid;
	m->rdev = a->rdev;
	m->size = S_ISDIR(a->mode) ? 0 : a->size;
	m->atime = a->atime;
	m->mtime = a->mtime;
	m->ctime = a->ctime;
	m->btime = a->btime;
	read_xattrs(r, a->node, m);
	if (S_ISREG(m->mode))
		read_content(r, a->node, m);
	if (S_ISLNK(m->mode)) {
		AUTO_FREE char *target = NULL;

		run_want(r, "ns_readlink", ns_readlink(r->store, a->node, &target), 0);
		m->target = blob_new(target, strlen(target));
	}
	return m;
}

static void read_dir(struct run *r, struct mtree **t, uint64_t node)
{
	struct entries list = {.r = r};
	uint64_t ino = node & INO_MASK;

	run_want(r, "ns_readdir", ns_readdir(r->store, node, 0, true, collect, &list), 0);
	for (size_t i = 0; i < list.n; i++) {
		const struct attr *a = &list.v[i].attr;
		struct minode *m;

		minode_entry_add(mtree_edit(t, ino), list.v[i].name, a->node & INO_MASK);
		if (mtree_get(*t, a->node & INO_MASK)) {
			if (S_ISDIR(a->mode))
				run_fail(r, "directory %" PRIu64 " has two names", (uint64_t)(a->node & INO_MASK));
			continue;
		}
		m = read_inode(r, a);
		m->parent = S_ISDIR(a->mode) ? ino : 0;
		mtree_add(t, m);
		if (S_ISDIR(a->mode))
			read_dir(r, t, a->node);
	}
	free(list.v);
}

struct mtree *readback_volume(struct run *r, uint64_t root_node)
{
	struct mtree *t = mtree_new(root_node & INO_MASK);
	struct attr attr;
	struct minode *root;

	run_want(r, "ns_getattr of a volume's root", ns_getattr(r->store, root_node, &attr), 0);
	root = read_inode(r, &attr);
	root->parent = root->ino;
	mtree_add(&t, root);
	read_dir(r, &t, root_node);
	return t;
}
