#include "tests/model/volumes.h"

#include <inttypes.h>
#include <stdio.h>

#include "store/volume/trash.h"
#include "tests/model/compare.h"
#include "tests/model/opens.h"

static void random_name(struct run *r, char name[VOLUME_NAME_MAX + 1])
{
	(void)snprintf(name, VOLUME_NAME_MAX + 1, "%s%u", r->prefix, (unsigned)rng_below(&r->rng, 10));
}

static void random_options(struct run *r, struct volume_options *opts)
{
	static const int32_t levels[] = {0, 1, 3};

	*opts = (struct volume_options){0};
	if (rng_one_in(&r->rng, 2)) {
		opts->set |= VOLUME_SET_COMPRESSION;
		opts->compression = levels[rng_below(&r->rng, 3)];
	}
	if (rng_one_in(&r->rng, 3)) {
		opts->set |= VOLUME_SET_UID | VOLUME_SET_GID | VOLUME_SET_MODE;
		opts->uid = (uint32_t)rng_below(&r->rng, 2000);
		opts->gid = (uint32_t)rng_below(&r->rng, 2000);
		opts->mode = (uint32_t)rng_below(&r->rng, 02000);
	}
}

static void apply_root(struct minode *root, const struct volume_options *opts)
{
	if (!(opts->set & VOLUME_SET_MODE))
		return;
	root->uid = opts->uid;
	root->gid = opts->gid;
	root->mode = S_IFDIR | opts->mode;
}

static void refuse_bad_names(struct run *r)
{
	static const char *const bad[] = {"", ".", "..", "a/b", "a@b", "-x", "a b"};
	struct volume_info info;
	struct err err = {0};

	run_want_err(r, "volume_create with a bad name",
		     volume_create(r->store, bad[rng_below(&r->rng, sizeof bad / sizeof *bad)], NULL, &info, &err), -EINVAL, &err);
}

bool volumes_create(struct run *r)
{
	char name[VOLUME_NAME_MAX + 1];
	struct volume_options opts;
	struct volume_info info;
	struct mvolume *v;
	struct minode *root;
	struct err err = {0};
	int64_t since = run_now();
	int want;

	if (r->state.n == MSTATE_VOLUMES)
		return false;
	if (rng_one_in(&r->rng, 5))
		refuse_bad_names(r);
	random_name(r, name);
	random_options(r, &opts);
	want = mstate_by_name(&r->state, name) ? -EEXIST : 0;
	run_log(r, "volume create %s options %#x", name, opts.set);
	run_want_err(r, "volume_create", volume_create(r->store, name, &opts, &info, &err), want, &err);
	if (want)
		return true;
	root = minode_new(info.root_node & ((UINT64_C(1) << NODE_INO_BITS) - 1), S_IFDIR | 0755);
	root->parent = root->ino;
	apply_root(root, &opts);
	if (r->alone && root->ino <= r->last_ino)
		run_fail(r, "inode number %" PRIu64 " is given out again; the highest was %" PRIu64, root->ino, r->last_ino);
	r->last_ino = root->ino;
	v = mvolume_new(info.id, name, mtree_new(root->ino));
	v->number = (uint32_t)(info.root_node >> NODE_INO_BITS);
	v->lineage = v->family = ++r->last_id;
	run_number_new(r, v->number);
	mtree_add(&v->tree, root);
	mstate_add(&r->state, v);
	run_adopt(r, (int)r->state.n - 1, root->ino, TIME_A | TIME_M | TIME_C | TIME_B, since);
	run_step(r);
	run_synced_file(r, 0, 0);
	return true;
}

/* Removes a random volume; its index, or -1 when it was refused, or there is none. */
static int remove_one(struct run *r, unsigned flags)
{
	int vi = run_volume(r);
	const struct mvolume *v;
	struct err err = {0};
	struct attr attr;
	bool held = false;
	int want;

	if (vi < 0)
		return -1;
	v = r->state.v[vi];
	for (size_t i = 0; i < v->nsnaps; i++)
		held |= v->snaps[i]->held;
	want = held || (run_writers(r, v) && !(flags & VOLUME_REMOVE_FORCE)) ? -EBUSY : 0;
	run_log(r, "volume remove %s flags %u", v->name, flags);
	run_want_err(r, "volume_remove", volume_remove(r->store, v->name, flags, &err), want, &err);
	if (want)
		return -1;
	run_want(r, "ns_getattr of a removed volume",
		 ns_getattr(r->store, (uint64_t)v->number << NODE_INO_BITS | v->tree->root, &attr), -ESTALE);
	opens_drop_volume(r, v->id);
	return vi;
}

static unsigned random_flags(struct run *r)
{
	return rng_one_in(&r->rng, 2) ? VOLUME_REMOVE_FORCE : 0;
}

/* For good, or into the trash, which is emptied now and then. */
bool volumes_remove(struct run *r)
{
	int vi = remove_one(r, random_flags(r) | (rng_one_in(&r->rng, 2) ? VOLUME_REMOVE_PURGE : 0));
	struct err err = {0};
	unsigned n;

	if (vi < 0)
		return false;
	opens_drop_heads(r, r->state.v[vi]->id, "");
	mstate_remove(&r->state, (size_t)vi);
	if (rng_one_in(&r->rng, 3)) {
		run_log(r, "empty the trash");
		run_want_err(r, "trash_purge", trash_purge(r->store, NULL, &n, &err), 0, &err);
	}
	run_step(r);
	run_synced_file(r, 0, 0);
	return true;
}

/* Into the trash and back, perhaps under another name. */
bool volumes_undelete(struct run *r)
{
	int vi = remove_one(r, random_flags(r));
	char name[VOLUME_NAME_MAX + 1];
	struct volume_info info;
	struct err err = {0};
	struct mvolume *v;

	if (vi < 0)
		return false;
	random_name(r, name);
	if (mstate_by_name(&r->state, name))
		(void)snprintf(name, sizeof name, "%s", r->state.v[vi]->name);
	run_log(r, "undelete %s as %s", r->state.v[vi]->name, name);
	run_want_err(r, "trash_undelete", trash_undelete(r->store, r->state.v[vi]->name, name, &info, &err), 0, &err);
	v = mstate_edit(&r->state, (size_t)vi);
	if (info.id != v->id || info.root_node != ((uint64_t)v->number << NODE_INO_BITS | v->tree->root))
		run_fail(r, "volume %" PRId64 " came back as %" PRId64 ", its root as node %#" PRIx64, v->id, info.id, info.root_node);
	(void)snprintf(v->name, sizeof v->name, "%s", name);
	v->head_number = 0;
	mtree_drop_orphan_files(&v->tree); /* no node leads to them any more */
	run_step(r);
	run_synced_file(r, 0, 0);
	if (rng_one_in(&r->rng, 2))
		compare_volume(r, vi, COMPARE_XATTRS);
	return true;
}

bool volumes_rename(struct run *r)
{
	int vi = run_volume(r);
	char name[VOLUME_NAME_MAX + 1];
	struct err err = {0};
	struct attr attr;
	int want;

	if (vi < 0)
		return false;
	random_name(r, name);
	want = mstate_by_name(&r->state, name) ? -EEXIST : 0;
	run_log(r, "volume rename %s to %s", r->state.v[vi]->name, name);
	run_want_err(r, "volume_rename", volume_rename(r->store, r->state.v[vi]->name, name, &err), want, &err);
	if (want)
		return true;
	(void)snprintf(mstate_edit(&r->state, (size_t)vi)->name, VOLUME_NAME_MAX + 1, "%s", name);
	run_want(r, "ns_lookup of a renamed volume", ns_lookup(r->store, NODE_ROOT, name, &attr), 0);
	if (attr.node >> NODE_INO_BITS != r->state.v[vi]->number)
		run_fail(r, "the renamed volume's root is node %#" PRIx64, attr.node);
	run_step(r);
	run_synced_file(r, 0, 0);
	return true;
}

bool volumes_set(struct run *r)
{
	int vi = run_volume(r);
	struct volume_options opts;
	struct err err = {0};
	int64_t since = run_now();
	uint64_t root;

	if (vi < 0)
		return false;
	random_options(r, &opts);
	root = r->state.v[vi]->tree->root;
	run_log(r, "volume set %s options %#x", r->state.v[vi]->name, opts.set);
	run_want_err(r, "volume_set", volume_set(r->store, r->state.v[vi]->name, &opts, &err), 0, &err);
	apply_root(mtree_edit(&mstate_edit(&r->state, (size_t)vi)->tree, root), &opts);
	run_adopt(r, vi, root, opts.set & VOLUME_SET_MODE ? TIME_C : 0, since);
	run_step(r);
	run_synced_file(r, 0, 0);
	return true;
}

static void clone_in_model(struct run *r, const struct mvolume *from, struct mtree *tree, const struct volume_info *info,
			   const struct volume_options *opts, int64_t since)
{
	struct mvolume *v = mvolume_new(info->id, info->name, mtree_ref(tree));
	uint64_t root = tree->root;

	v->number = (uint32_t)(info->root_node >> NODE_INO_BITS);
	v->lineage = ++r->last_id;
	v->family = from->family;
	run_number_new(r, v->number);
	if (info->root_node != ((uint64_t)v->number << NODE_INO_BITS | root))
		run_fail(r, "the clone's root is node %#" PRIx64 ", expected inode %" PRIu64, info->root_node, root);
	mtree_drop_orphans(&v->tree);
	apply_root(mtree_edit(&v->tree, root), opts);
	mstate_add(&r->state, v);
	run_adopt(r, (int)r->state.n - 1, root, opts->set & VOLUME_SET_MODE ? TIME_C : 0, since);
}

bool volumes_clone(struct run *r)
{
	int vi = run_volume(r);
	char name[VOLUME_NAME_MAX + 1];
	const struct msnapshot *snap = NULL;
	const struct mvolume *from;
	struct volume_options opts;
	struct volume_info info;
	struct cut_times times;
	struct err err = {0};
	int64_t since = run_now();
	int want;

	if (vi < 0 || r->state.n == MSTATE_VOLUMES)
		return false;
	from = r->state.v[vi];
	if (from->nsnaps && !rng_one_in(&r->rng, 4))
		snap = from->snaps[rng_below(&r->rng, from->nsnaps)];
	random_name(r, name);
	random_options(r, &opts);
	want = mstate_by_name(&r->state, name) ? -EEXIST : 0;
	run_log(r, "clone %s@%s to %s options %#x", from->name, snap ? snap->name : "", name, opts.set);
	run_want_err(r, "snapshot_clone",
		     snapshot_clone(r->store, from->name, snap ? snap->name : "", name, &opts, &info, &times, &err), want, &err);
	if (want)
		return true;
	clone_in_model(r, from, snap ? snap->tree : from->tree, &info, &opts, since);
	run_synced(r);
	compare_volume(r, (int)r->state.n - 1, COMPARE_XATTRS);
	return true;
}

bool volumes_statfs(struct run *r)
{
	int vi = run_volume(r);
	struct ns_statfs st;

	if (vi < 0)
		return false;
	run_log(r, "statfs %s", r->state.v[vi]->name);
	run_want(r, "ns_statfs", ns_statfs(r->store, (uint64_t)r->state.v[vi]->number << NODE_INO_BITS | r->state.v[vi]->tree->root, &st), 0);
	if (st.free_bytes > st.total_bytes || st.avail_bytes > st.free_bytes || st.free_inodes > st.total_inodes)
		run_fail(r, "statfs: %" PRIu64 " of %" PRIu64 " bytes free, %" PRIu64 " of %" PRIu64 " inodes", st.free_bytes,
			 st.total_bytes, st.free_inodes, st.total_inodes);
	return true;
}
