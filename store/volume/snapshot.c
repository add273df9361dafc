/* Snapshots by name: creating, listing, removing, holding. Rollback and clone are in lineage.c. */
#include "store/volume/volume_internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int snapshot_find(struct store *s, const struct volume_row *vol, const char *name, struct snapshot_row *ret, struct err *err)
{
	struct nearest near = {.name = name, .best = UINT32_MAX};
	struct snapshot_row snap = {0};
	int r = strlen(name) > VOLUME_NAME_MAX ? -ENOENT : snapshot_by_name(s->meta, vol->id, name, ret);

	if (!r)
		return 0;
	if (r != -ENOENT)
		return err_set(err, -r, "looking the snapshot '%s@%s' up failed: %s", vol->name, name, err_name(-r));
	while (!snapshot_next(s->meta, vol->id, snap.created, snap.id, &snap))
		nearest_try(&near, snap.name);
	err_set(err, ENOENT, "volume '%s' has no snapshot '%.*s'", vol->name, VOLUME_NAME_MAX, name);
	if (*near.found)
		err_hint(err, "did you mean '%s@%s'?", vol->name, near.found);
	return -ENOENT;
}

static int fill(struct store *s, const struct volume_row *vol, const struct snapshot_row *snap, struct snapshot_info *ret)
{
	*ret = (struct snapshot_info){
		.id = snap->id,
		.created = snap->created,
		.bytes = snap->bytes,
		.inodes = snap->inodes,
		.automatic = snap->flags & SNAPSHOT_AUTO,
		.held = snap->flags & SNAPSHOT_HELD,
	};
	(void)snprintf(ret->volume, sizeof ret->volume, "%s", vol->name);
	(void)snprintf(ret->name, sizeof ret->name, "%s", snap->name);
	return snapshot_clones(s->meta, snap->branch, snap->epoch, &ret->clones);
}

int snapshot_default_name(struct store *s, const struct volume_row *vol, const char *prefix, int64_t now, char *out)
{
	time_t seconds = (time_t)(now / 1000000000);
	char stamp[32];
	struct tm tm;
	unsigned n = 0;
	int r;

	(void)gmtime_r(&seconds, &tm);
	(void)strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
	(void)snprintf(out, VOLUME_NAME_MAX + 1, "%s%s", prefix, stamp);
	/* Several within a second: "-2" and so on, begun behind those that there are. */
	r = snapshot_named(s->meta, vol->id, out, &n);
	while (!r && (r = snapshot_name_free(s->meta, vol->id, out)) == -EEXIST) {
		(void)snprintf(out, VOLUME_NAME_MAX + 1, "%s%s-%u", prefix, stamp, ++n);
		r = 0;
	}
	return r;
}

/* The epoch has been ended: a row that pins what the volume showed. */
int snapshot_insert(struct tx *tx, const struct volume_row *vol, const char *name, unsigned flags, int64_t epoch,
		    struct snapshot_row *ret)
{
	struct store *s = tx->s;
	const struct branch *b = branch_get(s->meta, vol->branch);
	struct snapshot_row snap = {
		.id = meta_next_id(s->meta),
		.volume = vol->id,
		.branch = vol->branch,
		.epoch = epoch,
		.created = tx->now,
		.root_ino = vol->root_ino,
		.flags = flags,
	};
	int r;

	if (!b)
		return -ECORRUPT;
	snap.bytes = b->bytes;
	snap.inodes = b->inodes;
	(void)snprintf(snap.name, sizeof snap.name, "%s", name);
	r = snapshot_put(s->meta, &snap);
	if (!r)
		*ret = snap;
	return r;
}

struct create {
	struct snapshot_name *names;
	size_t n;
	struct snapshot_info *infos;
	struct err *err;
};

static int create_one(struct tx *tx, struct create *c, size_t i, int64_t epoch)
{
	struct store *s = tx->s;
	struct snapshot_name *name = &c->names[i];
	struct snapshot_row snap;
	struct snapshot_info info;
	struct volume_row vol;
	int r = volume_find(s, name->volume, &vol, c->err);

	if (r)
		return r;
	if (!*name->snapshot)
		r = snapshot_default_name(s, &vol, "", tx->now, name->snapshot);
	else if ((r = snapshot_name_free(s->meta, vol.id, name->snapshot)) == -EEXIST)
		r = err_set(c->err, EEXIST, "there is a snapshot '%s@%s' already", vol.name, name->snapshot);
	if (!r)
		r = snapshot_insert(tx, &vol, name->snapshot, 0, epoch, &snap);
	if (!r)
		r = fill(s, &vol, &snap, &info);
	if (!r && c->infos)
		c->infos[i] = info;
	volume_row_free(&vol);
	return r;
}

static int create_in(struct tx *tx, void *arg)
{
	struct create *c = arg;
	int64_t epoch;
	size_t i;
	int r = meta_epoch_advance(tx->s->meta, &epoch);

	for (i = 0; i < c->n && !r; i++)
		r = create_one(tx, c, i, epoch);
	return r;
}

int snapshot_create(struct store *s, struct snapshot_name *names, size_t n, struct snapshot_info *ret, struct cut_times *times,
		    struct err *err)
{
	struct create c = {names, n, ret, err};
	struct cut_times unused;
	size_t i;
	int r = 0;

	for (i = 0; i < n && !r; i++) {
		r = volume_name_check("volume", names[i].volume, err);
		if (!r && *names[i].snapshot)
			r = volume_name_check("snapshot", names[i].snapshot, err);
	}
	if (r)
		return r;
	r = instant_run(s, create_in, NULL, &c, times ? times : &unused);
	if (!r)
		stats_add(&s->stats.snapshots, n);
	return r && err && !err->code ? err_set(err, -r, "taking the snapshot failed: %s", err_name(-r)) : r;
}

struct listing {
	struct snapshot_info *v;
	size_t n, cap;
};

static int list_volume(struct store *s, const struct volume_row *vol, struct listing *list)
{
	struct snapshot_row snap = {0};
	int r;

	while (!(r = snapshot_next(s->meta, vol->id, snap.created, snap.id, &snap))) {
		if (list->n == list->cap) {
			size_t cap = list->cap ? list->cap * 2 : 32;
			struct snapshot_info *v = realloc(list->v, cap * sizeof *v);

			if (!v)
				return -ENOMEM;
			list->v = v;
			list->cap = cap;
		}
		r = fill(s, vol, &snap, &list->v[list->n++]);
		if (r)
			return r;
	}
	return r < 0 ? r : 0;
}

static int by_created(const void *a, const void *b)
{
	const struct snapshot_info *x = a, *y = b;

	if (x->created != y->created)
		return x->created < y->created ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

int snapshot_list(struct store *s, const char *volume, struct snapshot_info **ret, size_t *ret_n, struct err *err)
{
	struct listing list = {0};
	char after[VOLUME_NAME_MAX + 1] = "";
	struct volume_row vol;
	int r;

	LOCK_SCOPE(&s->lock);
	if (volume) {
		r = volume_find(s, volume, &vol, err);
		if (r)
			return r;
		r = list_volume(s, &vol, &list);
		volume_row_free(&vol);
	} else {
		r = rows_ready(s);
		while (!r && !(r = volume_next(s->meta, after, &vol))) {
			r = list_volume(s, &vol, &list);
			(void)snprintf(after, sizeof after, "%s", vol.name);
			volume_row_free(&vol);
			if (r)
				break;
		}
	}
	if (r < 0) {
		free(list.v);
		return err_set(err, -r, "listing the snapshots failed: %s", err_name(-r));
	}
	if (list.n)
		qsort(list.v, list.n, sizeof *list.v, by_created);
	*ret = list.v;
	*ret_n = list.n;
	return 0;
}

/* Both rows by their names. */
static int find_both(struct store *s, const char *volume, const char *name, struct volume_row *vol, struct snapshot_row *snap,
		     struct err *err)
{
	int r = volume_find(s, volume, vol, err);

	if (r)
		return r;
	r = snapshot_find(s, vol, name, snap, err);
	if (r)
		volume_row_free(vol);
	return r;
}

int snapshot_get(struct store *s, const char *volume, const char *name, struct snapshot_info *ret, struct err *err)
{
	struct snapshot_row snap;
	struct volume_row vol;
	int r;

	LOCK_SCOPE(&s->lock);
	r = find_both(s, volume, name, &vol, &snap, err);
	if (r)
		return r;
	r = fill(s, &vol, &snap, ret);
	volume_row_free(&vol);
	return r ? err_set(err, -r, "reading the snapshot '%s@%s' failed: %s", volume, name, err_name(-r)) : 0;
}

int snapshot_drop(struct tx *tx, const struct snapshot_row *snap)
{
	struct store *s = tx->s;
	struct branch *b = branch_get(s->meta, snap->branch);
	int r = snapshot_delete(s->meta, snap->id);

	if (!r && snap->number)
		r = number_delete(s->meta, snap->number);
	if (!r)
		r = b ? reap_drop_view(s->meta, b, snap->epoch) : -ECORRUPT;
	return r;
}

/* A change of one snapshot by name, as its own durable transaction. */
static int change(struct store *s, const char *volume, const char *name,
		  int (*fn)(struct tx *tx, const struct volume_row *vol, struct snapshot_row *snap, struct err *err), struct err *err)
{
	struct snapshot_row snap;
	struct volume_row vol;
	struct tx tx;
	int r = tx_begin(s, NULL, 0, 0, &tx);

	if (r)
		return err_set(err, -r, "changing the snapshot failed: %s", err_name(-r));
	r = find_both(s, volume, name, &vol, &snap, err);
	if (!r) {
		r = fn(&tx, &vol, &snap, err);
		volume_row_free(&vol);
	}
	numbers_changed(s);
	r = tx_end(&tx, r);
	if (!r)
		r = file_sync_meta(s);
	return r && err && !err->code ? err_set(err, -r, "changing the snapshot '%s@%s' failed: %s", volume, name, err_name(-r)) : r;
}

static int remove_one(struct tx *tx, const struct volume_row *vol, struct snapshot_row *snap, struct err *err)
{
	if (snap->flags & SNAPSHOT_HELD) {
		err_set(err, EBUSY, "snapshot '%s@%s' is held", vol->name, snap->name);
		err_hint(err, "release it first: varve snapshot release %s@%s", vol->name, snap->name);
		return -EBUSY;
	}
	return snapshot_drop(tx, snap);
}

int snapshot_remove(struct store *s, const char *volume, const char *name, struct err *err)
{
	int r = change(s, volume, name, remove_one, err);

	if (!r)
		maintain_kick(s);
	return r;
}

static int hold_one(struct tx *tx, const struct volume_row *vol, struct snapshot_row *snap, struct err *err)
{
	(void)vol;
	(void)err;
	snap->flags |= SNAPSHOT_HELD;
	return snapshot_put(tx->s->meta, snap);
}

static int release_one(struct tx *tx, const struct volume_row *vol, struct snapshot_row *snap, struct err *err)
{
	if (!(snap->flags & SNAPSHOT_HELD))
		return err_set(err, EINVAL, "snapshot '%s@%s' is not held", vol->name, snap->name);
	snap->flags &= ~(uint32_t)SNAPSHOT_HELD;
	return snapshot_put(tx->s->meta, snap);
}

int snapshot_hold(struct store *s, const char *volume, const char *name, bool hold, struct err *err)
{
	return change(s, volume, name, hold ? hold_one : release_one, err);
}

int snapshot_unique_bytes(struct store *s, const char *volume, const char *name, int64_t *ret_bytes, struct err *err)
{
	struct snapshot_row snap;
	struct volume_row vol;
	struct branch *b;
	int64_t below, above;
	bool pinned;
	int r;

	LOCK_SCOPE(&s->lock);
	r = find_both(s, volume, name, &vol, &snap, err);
	if (r)
		return r;
	volume_row_free(&vol);
	b = branch_get(s->meta, snap.branch);
	r = b ? branch_neighbours(s->meta, b, snap.epoch, &below, &above, &pinned) : -ECORRUPT;
	if (!r)
		r = extent_unique_bytes(s->meta, b, below, snap.epoch, above, ret_bytes);
	return r ? err_set(err, -r, "counting the snapshot '%s@%s' failed: %s", volume, name, err_name(-r)) : 0;
}
