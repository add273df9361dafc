/* Rollback and clone: a new branch whose parent is a view. */
#include "store/volume/volume_internal.h"

#include <stdio.h>
#include <string.h>

/* Automatic snapshots kept of a volume; older ones go, unless held. */
#define AUTO_SNAPSHOTS_KEPT 16

struct rollback {
	const char *volume, *name;
	bool live;
	int64_t volume_id;
	char saved[VOLUME_NAME_MAX + 1];
	int64_t branch; /* the new head */
	struct err *err;
};

/* The head's number goes on as that of the state that was left: what is open reads it, and cannot write. */
static int retire_head(struct tx *tx, struct volume_row *vol, struct branch *old, int64_t epoch)
{
	struct meta *m = tx->s->meta;
	int r = number_put(m, &(struct number_row){vol->head_number, NUMBER_HEAD, vol->id, old->id, epoch});

	return r ? r : branch_set_head(m, old, false);
}

static int switch_head(struct tx *tx, struct volume_row *vol, struct branch *b, int64_t epoch)
{
	struct meta *m = tx->s->meta;
	struct branch *old = branch_get(m, vol->branch);
	int r = old ? retire_head(tx, vol, old, epoch) : -ECORRUPT;

	if (!r)
		r = branch_set_head(m, b, true);
	vol->branch = b->id;
	vol->head_number = meta_next_number(m);
	if (!r)
		r = volume_put(m, vol);
	if (!r)
		r = number_put(m, &(struct number_row){vol->head_number, NUMBER_HEAD, vol->id, b->id, META_HEAD});
	if (!r)
		r = number_put(m, &(struct number_row){vol->number, NUMBER_VOLUME, vol->id, b->id, META_HEAD});
	return r;
}

int head_replace(struct tx *tx, struct volume_row *vol, struct branch *b, int64_t epoch, const char *prefix,
		 char ret_saved[VOLUME_NAME_MAX + 1])
{
	struct snapshot_row saved;
	int r = snapshot_default_name(tx->s, vol, prefix, tx->now, ret_saved);

	if (!r)
		r = snapshot_insert(tx, vol, ret_saved, SNAPSHOT_AUTO, epoch, &saved);
	if (!r)
		r = switch_head(tx, vol, b, epoch);
	return r;
}

int automatic_expire(struct tx *tx, int64_t volume)
{
	struct snapshot_row oldest;
	int r;

	while (!(r = snapshot_surplus(tx->s->meta, volume, AUTO_SNAPSHOTS_KEPT, &oldest))) {
		r = snapshot_drop(tx, &oldest);
		if (r)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

static int rollback_volume(struct tx *tx, struct rollback *rb, struct volume_row *vol)
{
	struct store *s = tx->s;
	struct branch *b;
	int64_t epoch;
	int r = branch_from_view(tx, vol, rb->name, &b, rb->err);

	if (!r && !rb->live)
		r = volume_check_unused(s, vol, "stop what uses it, or use --live", rb->err);
	if (!r)
		r = meta_epoch_advance(s->meta, &epoch);
	if (!r)
		rb->branch = b->id;
	return r ? r : head_replace(tx, vol, b, epoch, "pre-rollback-", rb->saved);
}

static int rollback_in(struct tx *tx, void *arg)
{
	struct rollback *rb = arg;
	struct volume_row vol;
	int r = volume_find(tx->s, rb->volume, &vol, rb->err);

	if (r)
		return r;
	rb->volume_id = vol.id;
	r = rollback_volume(tx, rb, &vol);
	volume_row_free(&vol);
	return r;
}

static int rollback_after(struct tx *tx, void *arg)
{
	const struct rollback *rb = arg;

	return automatic_expire(tx, rb->volume_id);
}

int snapshot_rollback(struct store *s, const char *volume, const char *name, bool live, char ret_saved[VOLUME_NAME_MAX + 1],
		      struct cut_times *times, struct err *err)
{
	struct rollback rb = {.volume = volume, .name = name, .live = live, .err = err};
	struct cut_times unused;
	int r = instant_run(s, rollback_in, rollback_after, &rb, times ? times : &unused);

	if (r)
		return err && !err->code ? err_set(err, -r, "rolling '%s' back failed: %s", volume, err_name(-r)) : r;
	(void)snprintf(ret_saved, VOLUME_NAME_MAX + 1, "%s", rb.saved);
	(void)orphans_free_inherited(s, rb.branch, false); /* else when the store is opened */
	stats_add(&s->stats.rollbacks, 1);
	maintain_kick(s);
	return 0;
}

struct clone {
	const char *volume, *snapshot, *new_name;
	const struct volume_options *opts;
	struct volume_info *info;
	struct err *err;
	int64_t branch;
};

int branch_from_view(struct tx *tx, const struct volume_row *vol, const char *snapshot, struct branch **ret, struct err *err)
{
	struct meta *m = tx->s->meta;
	struct snapshot_row snap;
	struct meta_view view;
	int r;

	if (*snapshot) {
		r = snapshot_find(tx->s, vol, snapshot, &snap, err);
		if (r)
			return r;
		view = (struct meta_view){branch_get(m, snap.branch), snap.epoch};
		return view.branch ? branch_create(m, &view, snap.bytes, snap.inodes, ret) : -ECORRUPT;
	}
	view.branch = branch_get(m, vol->branch);
	r = meta_epoch_advance(m, &view.epoch);
	if (!r && !view.branch)
		r = -ECORRUPT;
	return r ? r : branch_create(m, &view, view.branch->bytes, view.branch->inodes, ret);
}

static int clone_in(struct tx *tx, void *arg)
{
	struct clone *c = arg;
	struct store *s = tx->s;
	struct volume_row vol, copy;
	struct volume_options opts = *c->opts;
	struct branch *b;
	int r = volume_find(s, c->volume, &vol, c->err);

	if (r)
		return r;
	r = volume_name_free(s, c->new_name, c->err);
	if (!r)
		r = branch_from_view(tx, &vol, c->snapshot, &b, c->err);
	if (!(opts.set & VOLUME_SET_COMPRESSION)) {
		opts.set |= VOLUME_SET_COMPRESSION;
		opts.compression = vol.compression;
	}
	if (!r)
		c->branch = b->id;
	if (!r)
		r = volume_insert(tx, c->new_name, 0, b, vol.root_ino, &opts, &copy);
	if (!r)
		r = volume_apply_root(tx, b, vol.root_ino, &opts);
	if (!r)
		r = volume_fill(s, &copy, c->info);
	volume_row_free(&vol);
	return r;
}

int snapshot_clone(struct store *s, const char *volume, const char *snapshot, const char *new_name, const struct volume_options *opts,
		   struct volume_info *ret, struct cut_times *times, struct err *err)
{
	static const struct volume_options none;
	struct clone c = {volume, snapshot, new_name, opts ? opts : &none, ret, err, 0};
	struct volume_info smaller;
	struct cut_times unused;
	int r = volume_name_check("volume", new_name, err);

	if (!r)
		r = volume_options_check(c.opts, NULL, err);
	if (!r && c.opts->set & VOLUME_SET_TYPE)
		r = err_set(err, EINVAL, "a clone lies in the store: it cannot have a type");
	if (r)
		return r;
	r = instant_run(s, clone_in, NULL, &c, times ? times : &unused);
	if (r)
		return err && !err->code ? err_set(err, -r, "cloning '%s' failed: %s", volume, err_name(-r)) : r;
	if (!orphans_free_inherited(s, c.branch, true) && !volume_get(s, new_name, &smaller, NULL) && smaller.id == ret->id)
		*ret = smaller;
	stats_add(&s->stats.clones, 1);
	maintain_kick(s);
	return 0;
}
