#include "tests/model/snapshots.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/model/compare.h"
#include "tests/model/namespace.h"
#include "tests/model/opens.h"

#define AT_ONCE_MAX 3
#define AUTOMATIC_KEPT 16 /* as the store keeps them, for each volume */

static void new_name(struct run *r, char name[VOLUME_NAME_MAX + 1])
{
	(void)snprintf(name, VOLUME_NAME_MAX + 1, "s%" PRIu64, ++r->last_id);
}

/* Distinct volumes, each with a name of its own, one for all, or none. */
static size_t choose(struct run *r, struct snapshot_name names[AT_ONCE_MAX], int at[AT_ONCE_MAX])
{
	size_t want = 1 + (rng_one_in(&r->rng, 3) ? rng_below(&r->rng, AT_ONCE_MAX) : 0), n = 0;
	int first = run_volume(r);

	for (size_t i = 0; i < r->state.n && n < want; i++, n++) {
		at[n] = (int)(((size_t)first + i) % r->state.n);
		(void)snprintf(names[n].volume, sizeof names[n].volume, "%s", r->state.v[at[n]]->name);
		names[n].snapshot[0] = 0;
		if (!rng_one_in(&r->rng, 8))
			new_name(r, names[n].snapshot);
	}
	return n;
}

static void snapshot_in_model(struct run *r, int vi, const char *name)
{
	struct mvolume *v = mstate_edit(&r->state, (size_t)vi);

	if (msnapshot_find(v, name))
		run_fail(r, "the new snapshot %s@%s has a name that was taken", v->name, name);
	mvolume_add_snapshot(v, msnapshot_new(name, v->tree, v->lineage));
}

bool snapshots_create(struct run *r)
{
	struct snapshot_name names[AT_ONCE_MAX];
	struct snapshot_info infos[AT_ONCE_MAX];
	struct cut_times times;
	struct err err = {0};
	int at[AT_ONCE_MAX], want = 0;
	size_t n;

	if (!r->state.n || mstate_snapshots(&r->state) + AT_ONCE_MAX > RUN_SNAPSHOTS_MAX)
		return false;
	n = choose(r, names, at);
	if (rng_one_in(&r->rng, 10) && r->state.v[at[n - 1]]->nsnaps) {
		(void)snprintf(names[n - 1].snapshot, VOLUME_NAME_MAX + 1, "%s", r->state.v[at[n - 1]]->snaps[0]->name);
		want = -EEXIST;
	}
	for (size_t i = 0; i < n; i++)
		run_log(r, "snapshot %s@%s (%zu of %zu)", names[i].volume, names[i].snapshot, i + 1, n);
	run_want_err(r, "snapshot_create", snapshot_create(r->store, names, n, infos, &times, &err), want, &err);
	if (want)
		return true;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(infos[i].name, names[i].snapshot) || strcmp(infos[i].volume, names[i].volume) || !names[i].snapshot[0])
			run_fail(r, "the new snapshot is called %s@%s, and %s@%s", infos[i].volume, infos[i].name, names[i].volume,
				 names[i].snapshot);
		snapshot_in_model(r, at[i], names[i].snapshot);
	}
	run_synced(r);
	return true;
}

static void remove_call(struct run *r, int vi, size_t si)
{
	const struct mvolume *v = r->state.v[vi];
	struct msnapshot s = *v->snaps[si];
	struct err err = {0};
	struct attr attr;
	int want = s.held ? -EBUSY : 0;

	run_log(r, "snapshot remove %s@%s", v->name, s.name);
	run_want_err(r, "snapshot_remove", snapshot_remove(r->store, v->name, s.name, &err), want, &err);
	if (want)
		return;
	opens_drop_heads(r, v->id, s.name);
	mvolume_remove_snapshot(mstate_edit(&r->state, (size_t)vi), si);
	if (s.number)
		run_want(r, "ns_getattr in a removed snapshot",
			 ns_getattr(r->store, (uint64_t)s.number << NODE_INO_BITS | r->state.v[vi]->tree->root, &attr), -ESTALE);
	run_step(r);
	run_synced_file(r, 0, 0);
}

bool snapshots_remove(struct run *r)
{
	int vi = run_volume(r);
	struct err err = {0};

	if (vi < 0)
		return false;
	if (!r->state.v[vi]->nsnaps) {
		run_log(r, "snapshot remove %s@missing", r->state.v[vi]->name);
		run_want_err(r, "snapshot_remove", snapshot_remove(r->store, r->state.v[vi]->name, "missing", &err), -ENOENT, &err);
		return true;
	}
	remove_call(r, vi, rng_below(&r->rng, r->state.v[vi]->nsnaps));
	return true;
}

bool snapshots_hold(struct run *r)
{
	int vi = run_volume(r), want;
	struct err err = {0};
	const struct mvolume *v;
	bool hold = rng_one_in(&r->rng, 3);
	size_t si;

	if (vi < 0 || !r->state.v[vi]->nsnaps)
		return false;
	v = r->state.v[vi];
	si = rng_below(&r->rng, v->nsnaps);
	for (size_t i = 0; !hold && i < v->nsnaps; i++)
		if (v->snaps[i]->held)
			si = i;
	want = hold || v->snaps[si]->held ? 0 : -EINVAL;
	run_log(r, "snapshot %s %s@%s", hold ? "hold" : "release", v->name, v->snaps[si]->name);
	run_want_err(r, "snapshot_hold", snapshot_hold(r->store, v->name, v->snaps[si]->name, hold, &err), want, &err);
	if (want)
		return true;
	mvolume_edit_snapshot(mstate_edit(&r->state, (size_t)vi), si)->held = hold;
	run_step(r);
	run_synced_file(r, 0, 0);
	return true;
}

/* Nodes of the head that goes are to be tried later. */
static void keep_old_head(struct run *r, const struct mvolume *v, const char *saved)
{
	struct old_head *h;

	if (!v->head_number)
		return;
	if (r->nold_heads == RUN_OLD_HEADS) {
		mtree_unref(r->old_heads[0].tree);
		r->old_heads[0] = r->old_heads[--r->nold_heads];
	}
	h = &r->old_heads[r->nold_heads++];
	*h = (struct old_head){.volume = v->id, .number = v->head_number, .tree = mtree_ref(v->tree)};
	(void)snprintf(h->saved, sizeof h->saved, "%s", saved);
}

/* The number of automatic snapshots that are not held, and the oldest of them. */
static size_t count_automatic(const struct mvolume *v, size_t *ret_oldest)
{
	size_t n = 0;

	for (size_t i = v->nsnaps; i-- > 0;)
		if (v->snaps[i]->automatic && !v->snaps[i]->held) {
			*ret_oldest = i;
			n++;
		}
	return n;
}

static void expire_automatic(struct run *r, struct mvolume *v)
{
	size_t oldest;

	while (count_automatic(v, &oldest) > AUTOMATIC_KEPT) {
		opens_drop_heads(r, v->id, v->snaps[oldest]->name);
		mvolume_remove_snapshot(v, oldest);
	}
}

static void rollback_in_model(struct run *r, int vi, size_t si, const char *saved)
{
	struct mvolume *v = mstate_edit(&r->state, (size_t)vi);
	struct mtree *tree = mtree_ref(v->snaps[si]->tree);

	if (strncmp(saved, "pre-", 4) || msnapshot_find(v, saved))
		run_fail(r, "the state before the rollback is kept as %s@%s", v->name, saved);
	mvolume_add_snapshot(v, msnapshot_new(saved, v->tree, v->lineage));
	v->snaps[v->nsnaps - 1]->automatic = true;
	keep_old_head(r, v, saved);
	mtree_unref(v->tree);
	v->tree = tree;
	mtree_drop_orphan_files(&v->tree);
	v->head_number = 0;
	v->lineage = ++r->last_id;
	expire_automatic(r, v);
}

/* Directories go on under their nodes, when the snapshot has them. */
static void compare_directories(struct run *r, int vi, const struct mtree *before)
{
	const struct mvolume *v = r->state.v[vi];
	const struct minode *dir = run_pick(r, before, PICK_DIR);
	const struct minode *now = mtree_get(v->tree, dir->ino);
	struct attr attr;
	char text[160];
	int ret;

	ret = ns_getattr(r->store, (uint64_t)v->number << NODE_INO_BITS | dir->ino, &attr);
	run_want(r, "ns_getattr of a directory's node of before the rollback", ret, now ? 0 : -ESTALE);
	if (now && run_attr_differs(&attr, now, text, sizeof text))
		run_fail(r, "directory %" PRIu64 " after the rollback: %s", dir->ino, text);
}

static void rollback_call(struct run *r, int vi, size_t si, bool live)
{
	const struct mvolume *v = r->state.v[vi];
	struct mtree *before = v->tree;
	char saved[VOLUME_NAME_MAX + 1] = "";
	struct cut_times times;
	struct err err = {0};
	int want = run_writers(r, v) && !live ? -EBUSY : 0;

	run_log(r, "rollback %s@%s live %d", v->name, v->snaps[si]->name, live);
	run_want_err(r, "snapshot_rollback", snapshot_rollback(r->store, v->name, v->snaps[si]->name, live, saved, &times, &err), want,
		     &err);
	if (want)
		return;
	(void)mtree_ref(before);
	rollback_in_model(r, vi, si, saved);
	run_synced(r);
	compare_directories(r, vi, before);
	mtree_unref(before);
	if (rng_one_in(&r->rng, 2))
		compare_volume(r, vi, COMPARE_XATTRS);
	if (r->nold_heads && rng_one_in(&r->rng, 2))
		compare_old_head(r, &r->old_heads[r->nold_heads - 1]);
}

bool snapshots_rollback(struct run *r)
{
	int vi = run_volume(r);

	if (vi < 0 || !r->state.v[vi]->nsnaps || mstate_snapshots(&r->state) >= RUN_SNAPSHOTS_MAX)
		return false;
	rollback_call(r, vi, rng_below(&r->rng, r->state.v[vi]->nsnaps), !rng_one_in(&r->rng, 3));
	return true;
}

bool snapshots_deepen(struct run *r)
{
	int vi = run_volume(r);
	size_t rounds = 4 + rng_below(&r->rng, 16);

	if (vi < 0 || mstate_snapshots(&r->state) + 2 > RUN_SNAPSHOTS_MAX)
		return false;
	for (size_t i = 0; i < rounds; i++) {
		struct snapshot_name name;
		struct cut_times times;
		struct err err = {0};

		(void)snprintf(name.volume, sizeof name.volume, "%s", r->state.v[vi]->name);
		new_name(r, name.snapshot);
		run_log(r, "snapshot %s@%s", name.volume, name.snapshot);
		run_want_err(r, "snapshot_create", snapshot_create(r->store, &name, 1, NULL, &times, &err), 0, &err);
		snapshot_in_model(r, vi, name.snapshot);
		run_synced(r);
		rollback_call(r, vi, r->state.v[vi]->nsnaps - 1, true);
		remove_call(r, vi, r->state.v[vi]->nsnaps - 1);
		if (!rng_one_in(&r->rng, 4))
			remove_call(r, vi, r->state.v[vi]->nsnaps - 1);
		else if (mstate_snapshots(&r->state) + 2 > RUN_SNAPSHOTS_MAX)
			return true;
		(void)namespace_create(r);
		(void)namespace_unlink(r);
	}
	return true;
}
