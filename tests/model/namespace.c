#include "tests/model/namespace.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "tests/model/macl.h"
#include "tests/model/alloc.h"

#define DEPTH_MAX 9

static const char *const targets[] = {"x", "../up", "/absolute/\xff/odd", "a/very/long/target/that/goes/on/and/on/and/on/for/a/while"};

static void fill_new(struct run *r, struct minode *m, const struct minode *dir, const struct op *op, const struct attr *attr,
		     const char *target, int64_t since)
{
	bool setgid = dir->mode & S_ISGID;

	m->ino = attr->node & ((UINT64_C(1) << NODE_INO_BITS) - 1);
	m->uid = op->uid;
	m->gid = setgid ? dir->gid : op->gid;
	m->parent = S_ISDIR(m->mode) ? dir->ino : 0;
	if (setgid && S_ISDIR(m->mode))
		m->mode |= S_ISGID;
	macl_inherit(m, dir, op->umask);
	if (S_ISLNK(m->mode)) {
		m->target = blob_new(target, strlen(target));
		m->size = (int64_t)strlen(target);
	}
	m->atime = m->mtime = m->ctime = m->btime = attr->btime;
	if (attr->btime < since || attr->btime > run_now())
		run_fail(r, "inode %" PRIu64 ": btime %" PRId64 " is not now", m->ino, attr->btime);
	if (r->alone && m->ino <= r->last_ino)
		run_fail(r, "inode number %" PRIu64 " is given out again; the highest was %" PRIu64, m->ino, r->last_ino);
	r->last_ino = m->ino;
}

void namespace_create_at(struct run *r, int vi, uint64_t dir_ino, unsigned name, uint32_t type)
{
	const struct minode *dir = mtree_get(r->state.v[vi]->tree, dir_ino);
	const char *target = type == S_IFLNK ? targets[rng_below(&r->rng, 4)] : NULL;
	uint32_t mode = type | (type == S_IFLNK ? 0777 : (uint32_t)rng_below(&r->rng, 01000));
	uint64_t rdev = type == S_IFCHR || type == S_IFBLK ? makedev(8, rng_below(&r->rng, 300)) : 0;
	uint64_t node = run_node(r, vi, dir);
	struct op op = run_op(r);
	int64_t since = run_now();
	int want = !dir->nlink ? -ENOENT : minode_entry(dir, name) ? -EEXIST : 0;
	struct mvolume *v;
	struct minode *m;
	struct attr attr;

	run_log(r, "create %s dir %" PRIu64 " \"%s\" mode %#o uid %u gid %u umask %#o", r->state.v[vi]->name, dir_ino,
		words_name(name), mode, op.uid, op.gid, op.umask);
	run_want(r, "ns_create", ns_create(r->store, &op, node, words_name(name), mode, rdev, target, &attr), want);
	if (want)
		return;
	m = minode_new(0, mode);
	m->rdev = rdev;
	fill_new(r, m, dir, &op, &attr, target, since);
	v = mstate_edit(&r->state, (size_t)vi);
	if (type != S_IFDIR && !v->head_number) {
		v->head_number = (uint32_t)(attr.node >> NODE_INO_BITS);
		run_number_new(r, v->head_number);
	}
	mtree_add(&v->tree, m);
	minode_entry_add(mtree_edit(&v->tree, dir_ino), name, m->ino);
	if (type == S_IFDIR)
		mtree_edit(&v->tree, dir_ino)->nlink++;
	if (attr.node != run_node(r, vi, m))
		run_fail(r, "the new inode's node is %#" PRIx64 ", expected %#" PRIx64, attr.node, run_node(r, vi, m));
	run_adopt_attr(r, vi, m->ino, &attr, 0, since);
	run_adopt(r, vi, m->ino, 0, since);
	run_adopt(r, vi, dir_ino, TIME_M | TIME_C, since);
	run_step(r);
}

bool namespace_create(struct run *r)
{
	static const uint32_t types[] = {S_IFREG, S_IFREG, S_IFREG, S_IFREG, S_IFREG, S_IFDIR, S_IFDIR, S_IFLNK};
	static const uint32_t special[] = {S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK};
	int vi = run_volume(r);
	const struct minode *dir;
	uint32_t type;

	if (vi < 0 || r->state.v[vi]->tree->n >= RUN_INODES_MAX)
		return false;
	dir = run_pick(r, r->state.v[vi]->tree, PICK_DIR | (rng_one_in(&r->rng, 10) ? PICK_ORPHAN : 0));
	type = rng_one_in(&r->rng, 20) ? special[rng_below(&r->rng, 4)] : types[rng_below(&r->rng, 8)];
	if (type == S_IFDIR && mtree_depth(r->state.v[vi]->tree, dir->ino) >= DEPTH_MAX)
		type = S_IFREG;
	namespace_create_at(r, vi, dir->ino, run_name(r), type);
	return true;
}

/* A name in some directory, most often one that exists. */
static bool pick_entry(struct run *r, const struct mtree *t, uint64_t *ret_dir, unsigned *ret_name)
{
	const struct minode *dir = run_pick(r, t, PICK_DIR);

	for (int tries = 0; tries < 4 && !dir->nents; tries++)
		dir = run_pick(r, t, PICK_DIR);
	*ret_dir = dir->ino;
	if (!dir->nents || rng_one_in(&r->rng, 12))
		*ret_name = run_name(r);
	else
		*ret_name = dir->ents[rng_below(&r->rng, dir->nents)].name;
	return true;
}

/* One link less; the inode itself stays as an orphan when it was the last. */
static void drop_link(struct run *r, int vi, uint64_t ino, int64_t since)
{
	struct minode *m = mtree_edit(&mstate_edit(&r->state, (size_t)vi)->tree, ino);

	m->nlink = S_ISDIR(m->mode) ? 0 : m->nlink - 1;
	run_adopt(r, vi, ino, TIME_C, since);
}

static void remove_call(struct run *r, int vi, uint64_t dir_ino, unsigned name, bool rmdir)
{
	const struct mtree *t = r->state.v[vi]->tree;
	const struct minode *dir = mtree_get(t, dir_ino);
	const struct mdent *e = minode_entry(dir, name);
	const struct minode *m = e ? mtree_get(t, e->ino) : NULL;
	struct op op = run_op(r);
	int64_t since;
	uint64_t ino;
	bool is_dir;
	int want = 0, got;

	if (!e)
		want = -ENOENT;
	else if (rmdir && !S_ISDIR(m->mode))
		want = -ENOTDIR;
	else if (rmdir && m->nents)
		want = -ENOTEMPTY;
	else if (!rmdir && S_ISDIR(m->mode))
		want = -EISDIR;
	run_log(r, "%s %s dir %" PRIu64 " \"%s\" (inode %" PRIu64 ")", rmdir ? "rmdir" : "unlink", r->state.v[vi]->name, dir_ino,
		words_name(name), m ? m->ino : 0);
	if (m)
		(void)run_node(r, vi, m); /* known while it still has a name */
	since = run_now();
	got = (rmdir ? ns_rmdir : ns_unlink)(r->store, &op, run_node(r, vi, dir), words_name(name));
	run_want(r, rmdir ? "ns_rmdir" : "ns_unlink", got, want);
	if (want)
		return;
	ino = m->ino;
	is_dir = S_ISDIR(m->mode);
	minode_entry_remove(mtree_edit(&mstate_edit(&r->state, (size_t)vi)->tree, dir_ino), name);
	if (is_dir)
		mtree_edit(&mstate_edit(&r->state, (size_t)vi)->tree, dir_ino)->nlink--;
	drop_link(r, vi, ino, since);
	run_adopt(r, vi, dir_ino, TIME_M | TIME_C, since);
	run_step(r);
}

void namespace_remove_at(struct run *r, int vi, uint64_t dir, unsigned name)
{
	const struct mtree *t = r->state.v[vi]->tree;
	const struct mdent *e = minode_entry(mtree_get(t, dir), name);

	remove_call(r, vi, dir, name, e && S_ISDIR(mtree_get(t, e->ino)->mode));
}

static bool remove_some(struct run *r, bool rmdir)
{
	int vi = run_volume(r);
	uint64_t dir;
	unsigned name;

	if (vi < 0 || !pick_entry(r, r->state.v[vi]->tree, &dir, &name))
		return false;
	remove_call(r, vi, dir, name, rmdir);
	return true;
}

bool namespace_unlink(struct run *r)
{
	return remove_some(r, false);
}

bool namespace_rmdir(struct run *r)
{
	return remove_some(r, true);
}

struct rename {
	int from_volume, to_volume;
	uint64_t from_dir, to_dir;
	unsigned from_name, to_name, flags;
	const struct minode *moved, *there; /* NULL when absent */
};

static int rename_expects(const struct run *r, const struct rename *q)
{
	const struct mtree *t = r->state.v[q->from_volume]->tree;
	bool moved_dir = q->moved && S_ISDIR(q->moved->mode), there_dir = q->there && S_ISDIR(q->there->mode);

	if (q->from_volume != q->to_volume)
		return -EXDEV;
	if (!q->moved)
		return -ENOENT;
	if ((q->flags & RENAME_NOREPLACE) && q->there)
		return -EEXIST;
	if ((q->flags & RENAME_EXCHANGE) && !q->there)
		return -ENOENT;
	if (moved_dir && mtree_below(t, q->to_dir, q->moved->ino))
		return -EINVAL;
	if (there_dir && (q->flags & RENAME_EXCHANGE) && mtree_below(t, q->from_dir, q->there->ino))
		return -EINVAL;
	if ((q->flags & RENAME_EXCHANGE) || !q->there || q->moved == q->there)
		return 0;
	if (moved_dir != there_dir)
		return there_dir ? -EISDIR : -ENOTDIR;
	return there_dir && q->there->nents ? -ENOTEMPTY : 0;
}

/* Entries, parents and link counts of a rename between different inodes. */
static void rename_in_model(struct run *r, const struct rename *q, int64_t since)
{
	struct mvolume *v = mstate_edit(&r->state, (size_t)q->from_volume);
	uint64_t moved = q->moved->ino, there = q->there ? q->there->ino : 0;
	bool moved_dir = S_ISDIR(q->moved->mode), there_dir = there && S_ISDIR(q->there->mode);
	bool exchange = q->flags & RENAME_EXCHANGE;

	if (there)
		minode_entry_change(mtree_edit(&v->tree, q->to_dir), q->to_name, moved);
	else
		minode_entry_add(mtree_edit(&v->tree, q->to_dir), q->to_name, moved);
	if (exchange)
		minode_entry_change(mtree_edit(&v->tree, q->from_dir), q->from_name, there);
	else
		minode_entry_remove(mtree_edit(&v->tree, q->from_dir), q->from_name);
	if (moved_dir) {
		mtree_edit(&v->tree, q->from_dir)->nlink--;
		mtree_edit(&v->tree, q->to_dir)->nlink++;
		mtree_edit(&v->tree, moved)->parent = q->to_dir;
	}
	if (there_dir) {
		mtree_edit(&v->tree, q->to_dir)->nlink--;
		if (exchange) {
			mtree_edit(&v->tree, q->from_dir)->nlink++;
			mtree_edit(&v->tree, there)->parent = q->from_dir;
		}
	}
	if (there && !exchange)
		drop_link(r, q->from_volume, there, since);
	else if (there)
		run_adopt(r, q->from_volume, there, TIME_C, since);
	run_adopt(r, q->from_volume, moved, TIME_C, since);
	run_adopt(r, q->from_volume, q->from_dir, TIME_M | TIME_C, since);
	run_adopt(r, q->from_volume, q->to_dir, TIME_M | TIME_C, since);
}

static const struct minode *inode_at(const struct mtree *t, uint64_t dir, unsigned name)
{
	const struct mdent *e = minode_entry(mtree_get(t, dir), name);

	return e ? mtree_get(t, e->ino) : NULL;
}

static void rename_call(struct run *r, struct rename *q)
{
	const struct mtree *from = r->state.v[q->from_volume]->tree, *to = r->state.v[q->to_volume]->tree;
	struct op op = run_op(r);
	int64_t since;
	int want;

	q->moved = inode_at(from, q->from_dir, q->from_name);
	q->there = inode_at(to, q->to_dir, q->to_name);
	want = rename_expects(r, q);
	run_log(r, "rename %s dir %" PRIu64 " \"%s\" (inode %" PRIu64 ") to %s dir %" PRIu64 " \"%s\" (inode %" PRIu64 ") flags %u",
		r->state.v[q->from_volume]->name, q->from_dir, words_name(q->from_name), q->moved ? q->moved->ino : 0,
		r->state.v[q->to_volume]->name, q->to_dir, words_name(q->to_name), q->there ? q->there->ino : 0, q->flags);
	if (q->there)
		(void)run_node(r, q->to_volume, q->there);
	since = run_now();
	run_want(r, "ns_rename",
		 ns_rename(r->store, &op, run_node(r, q->from_volume, mtree_get(from, q->from_dir)), words_name(q->from_name),
			   run_node(r, q->to_volume, mtree_get(to, q->to_dir)), words_name(q->to_name), q->flags),
		 want);
	if (want)
		return;
	if (q->moved != q->there)
		rename_in_model(r, q, since);
	run_step(r);
}

void namespace_rename_at(struct run *r, int vi, uint64_t dir, unsigned name, unsigned new_name)
{
	struct rename q = {.from_volume = vi, .to_volume = vi, .from_dir = dir, .to_dir = dir, .from_name = name, .to_name = new_name};

	rename_call(r, &q);
}

bool namespace_rename(struct run *r)
{
	static const unsigned flags[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	struct rename q = {.from_volume = run_volume(r)};
	const struct mtree *from, *to;

	if (q.from_volume < 0)
		return false;
	q.to_volume = rng_one_in(&r->rng, 30) ? run_volume(r) : q.from_volume;
	from = r->state.v[q.from_volume]->tree;
	to = r->state.v[q.to_volume]->tree;
	(void)pick_entry(r, from, &q.from_dir, &q.from_name);
	(void)pick_entry(r, to, &q.to_dir, &q.to_name);
	if (rng_one_in(&r->rng, 2))
		q.to_name = run_name(r);
	q.flags = flags[rng_below(&r->rng, 5)];
	q.moved = inode_at(from, q.from_dir, q.from_name);
	if (q.moved && S_ISDIR(q.moved->mode) && mtree_depth(to, q.to_dir) >= DEPTH_MAX)
		return false;
	rename_call(r, &q);
	return true;
}

bool namespace_link(struct run *r)
{
	int vi = run_volume(r), to = vi >= 0 && rng_one_in(&r->rng, 30) ? run_volume(r) : vi;
	const struct minode *m, *dir;
	struct op op = run_op(r);
	unsigned name = run_name(r);
	uint64_t ino, dir_ino;
	struct attr attr;
	int64_t since;
	int want = 0;

	if (vi < 0)
		return false;
	m = run_pick(r, r->state.v[vi]->tree, (rng_one_in(&r->rng, 20) ? PICK_ANY : PICK_FILE | PICK_OTHER) |
						      (rng_one_in(&r->rng, 10) ? PICK_ORPHAN : 0));
	dir = run_pick(r, r->state.v[to]->tree, PICK_DIR);
	if (!m)
		return false;
	if (to != vi)
		want = -EXDEV;
	else if (S_ISDIR(m->mode))
		want = -EPERM;
	else if (minode_entry(dir, name))
		want = -EEXIST;
	else if (!m->nlink)
		want = -ENOENT;
	ino = m->ino;
	dir_ino = dir->ino;
	run_log(r, "link %s inode %" PRIu64 " to %s dir %" PRIu64 " \"%s\"", r->state.v[vi]->name, ino, r->state.v[to]->name,
		dir_ino, words_name(name));
	since = run_now();
	run_want(r, "ns_link", ns_link(r->store, &op, run_node(r, vi, m), run_node(r, to, dir), words_name(name), &attr), want);
	if (want)
		return true;
	mtree_edit(&mstate_edit(&r->state, (size_t)vi)->tree, ino)->nlink++;
	minode_entry_add(mtree_edit(&mstate_edit(&r->state, (size_t)vi)->tree, dir_ino), name, ino);
	run_adopt_attr(r, vi, ino, &attr, TIME_C, since);
	run_adopt(r, vi, ino, 0, since);
	run_adopt(r, vi, dir_ino, TIME_M | TIME_C, since);
	run_step(r);
	return true;
}

bool namespace_lookup(struct run *r)
{
	int vi = run_volume(r);
	const struct minode *dir, *m;
	struct op op = run_op(r);
	char too_long[NAME_LEN_MAX + 2];
	struct attr attr;
	uint64_t dir_ino, node;
	unsigned name;

	if (vi < 0)
		return false;
	(void)pick_entry(r, r->state.v[vi]->tree, &dir_ino, &name);
	dir = mtree_get(r->state.v[vi]->tree, dir_ino);
	m = inode_at(r->state.v[vi]->tree, dir_ino, name);
	node = run_node(r, vi, dir);
	run_log(r, "lookup %s dir %" PRIu64 " \"%s\"", r->state.v[vi]->name, dir_ino, words_name(name));
	run_want(r, "ns_lookup", ns_lookup(r->store, node, words_name(name), &attr), m ? 0 : -ENOENT);
	if (m && attr.node != run_node(r, vi, m))
		run_fail(r, "ns_lookup gave node %#" PRIx64 ", expected %#" PRIx64, attr.node, run_node(r, vi, m));
	run_want(r, "ns_lookup of \".\"", ns_lookup(r->store, node, ".", &attr), 0);
	if (attr.node != node)
		run_fail(r, "\".\" is node %#" PRIx64 ", expected %#" PRIx64, attr.node, node);
	run_want(r, "ns_lookup of \"..\"", ns_lookup(r->store, node, "..", &attr), 0);
	if (dir_ino != r->state.v[vi]->tree->root &&
	    attr.node != run_node(r, vi, mtree_get(r->state.v[vi]->tree, dir->parent)))
		run_fail(r, "\"..\" of inode %" PRIu64 " is node %#" PRIx64 ", expected inode %" PRIu64, dir_ino, attr.node,
			 dir->parent);
	if (!rng_one_in(&r->rng, 8))
		return true;
	memset(too_long, 'n', sizeof too_long - 1);
	too_long[sizeof too_long - 1] = 0;
	run_want(r, "ns_create of a name of 256 bytes",
		 ns_create(r->store, &op, node, too_long, S_IFREG | 0644, 0, NULL, &attr), -ENAMETOOLONG);
	if (dir_ino == r->state.v[vi]->tree->root &&
	    !ns_create(r->store, &op, node, ".snapshots", S_IFREG | 0644, 0, NULL, &attr))
		run_fail(r, "a file named .snapshots could be made in a volume's root");
	return true;
}
