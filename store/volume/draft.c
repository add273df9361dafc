/* Drafts: see draft.h. A draft is a volume row that is hidden (meta/catalog.h) and flagged. Publishing one for a volume
 * that is there hands its branch over to that volume's row, as a rollback does with the branch that it makes, and drops
 * the draft's row. */
#include "store/volume/draft.h"

#include <stdio.h>
#include <string.h>

#include "store/meta/history.h"
#include "store/volume/volume_internal.h"

static int fill(struct store *s, const struct volume_row *vol, struct draft *ret)
{
	const struct branch *b = branch_get(s->meta, vol->branch);

	if (!b)
		return -ECORRUPT;
	*ret = (struct draft){
		.id = vol->id,
		.root_node = (uint64_t)vol->number << NODE_INO_BITS | vol->root_ino,
		.bytes = b->bytes,
		.inodes = b->inodes,
	};
	(void)snprintf(ret->name, sizeof ret->name, "%s", vol->name);
	return 0;
}

/* Quotas and compression of a volume, as options. */
static struct volume_options options_of(const struct volume_row *vol)
{
	return (struct volume_options){
		.set = VOLUME_SET_QUOTA | VOLUME_SET_QUOTA_INODES | VOLUME_SET_COMPRESSION,
		.quota_bytes = vol->quota_bytes,
		.quota_inodes = vol->quota_inodes,
		.compression = vol->compression,
	};
}

/* A tmpfs's files are not here. */
static int check_not_tmpfs(const struct volume_row *vol, struct err *err)
{
	if (!(vol->flags & VOLUME_TMPFS))
		return 0;
	err_set(err, EINVAL, "volume '%s' is a tmpfs, whose files are not in the store", vol->name);
	err_hint(err, "take a snapshot of it, and use that: VOL@SNAP");
	return -EINVAL;
}

/* --- of a view --- */

struct of_view {
	const char *volume, *snapshot;
	struct draft *draft;
	struct err *err;
};

static int of_view_in(struct tx *tx, void *arg)
{
	const struct of_view *o = arg;
	struct store *s = tx->s;
	struct volume_options opts;
	struct volume_row vol, row;
	struct draft d;
	struct branch *b;
	int r = volume_find(s, o->volume, &vol, o->err);

	if (r)
		return r;
	opts = options_of(&vol);
	r = *o->snapshot ? 0 : check_not_tmpfs(&vol, o->err);
	if (!r)
		r = branch_from_view(tx, &vol, o->snapshot, &b, o->err);
	if (!r)
		r = volume_insert(tx, vol.name, VOLUME_DRAFT, b, vol.root_ino, &opts, &row);
	if (!r)
		r = fill(s, &row, &d);
	if (!r) {
		d.target = vol.id;
		d.base = b->fork_epoch;
		*o->draft = d;
	}
	volume_row_free(&vol);
	return r;
}

int draft_of_view(struct store *s, const char *volume, const char *snapshot, struct draft *ret, struct err *err)
{
	struct of_view o = {volume, snapshot, ret, err};
	struct cut_times unused;
	struct tx tx;
	int r;

	if (*snapshot) {
		r = tx_begin(s, NULL, 0, 0, &tx);
		if (!r) {
			r = of_view_in(&tx, &o);
			numbers_changed(s);
			r = tx_end(&tx, r);
		}
	} else {
		r = instant_run(s, of_view_in, NULL, &o, &unused);
	}
	return r && err && !err->code ? err_set(err, -r, "looking at '%s' failed: %s", volume, err_name(-r)) : r;
}

/* --- a new one --- */

/* The top directory of a volume's new content: the old one's inode number, so that its node stays; and owner and mode.
 */
static int new_root(struct tx *tx, const struct volume_row *vol, struct branch *b, uint64_t *ino)
{
	struct meta *m = tx->s->meta;
	const struct meta_view head = {branch_get(m, vol->branch), META_HEAD};
	struct inode root;
	int r = head.branch ? inode_get(m, &head, vol->root_ino, &root) : -ECORRUPT;

	*ino = vol->root_ino;
	return r ? r : ns_create_root(tx, b, root.uid, root.gid, root.mode, ino);
}

static int new_in(struct tx *tx, const char *name, const struct volume_options *given, bool may_replace,
		  struct draft *ret, struct err *err)
{
	static const struct volume_options none;
	struct volume_options opts = given ? *given : none;
	struct store *s = tx->s;
	struct volume_row vol = {0}, row;
	struct draft d;
	struct branch *b;
	uint64_t root_ino = 0;
	int r = volume_name_check("volume", name, err);

	if (!r)
		r = volume_by_name(s->meta, name, &vol);
	if (r && r != -ENOENT)
		return r;
	if (!r && !may_replace) {
		volume_row_free(&vol);
		return err_set(err, EEXIST, "there is a volume '%s' already", name);
	}
	r = branch_create(s->meta, NULL, 0, 0, &b);
	if (!r && vol.id) {
		opts = options_of(&vol);
		r = check_not_tmpfs(&vol, err);
		if (!r)
			r = volume_check_unused(s, &vol, "stop what uses it first", err);
		if (!r)
			r = new_root(tx, &vol, b, &root_ino);
	} else if (!r) {
		uint32_t mode = opts.set & VOLUME_SET_MODE ? opts.mode : 0755;

		r = ns_create_root(tx, b, opts.set & VOLUME_SET_UID ? opts.uid : 0,
				   opts.set & VOLUME_SET_GID ? opts.gid : 0, mode, &root_ino);
	}
	if (!r)
		r = volume_insert(tx, name, VOLUME_DRAFT, b, root_ino, &opts, &row);
	if (!r)
		r = fill(s, &row, &d);
	if (!r) {
		d.target = vol.id;
		*ret = d;
	}
	volume_row_free(&vol);
	return r;
}

int draft_new(struct store *s, const char *name, const struct volume_options *opts, bool may_replace, struct draft *ret,
	      struct err *err)
{
	struct tx tx;
	int r = tx_begin(s, NULL, 0, 0, &tx);

	if (!r) {
		r = new_in(&tx, name, opts, may_replace, ret, err);
		numbers_changed(s);
		r = tx_end(&tx, r);
	}
	return r && err && !err->code ? err_set(err, -r, "beginning the volume '%s' failed: %s", name, err_name(-r))
				      : r;
}

/* --- publishing --- */

struct publish {
	const struct draft *draft;
	char saved[VOLUME_NAME_MAX + 1];
	struct volume_info info;
	struct err *err;
};

/* While it was filled, what was buffered did not count yet. */
static int check_quota(struct store *s, const struct volume_row *row, struct err *err)
{
	const struct branch *b = branch_get(s->meta, row->branch);

	if (!b)
		return -ECORRUPT;
	if ((!row->quota_bytes || b->bytes <= row->quota_bytes) &&
	    (!row->quota_inodes || b->inodes <= row->quota_inodes))
		return 0;
	return err_set(err, EDQUOT, "the new content of volume '%s' is larger than its quota", row->name);
}

static int publish_new(struct tx *tx, struct publish *p, struct volume_row *row)
{
	int r = volume_name_free(tx->s, row->name, p->err);

	row->hidden = 0;
	row->flags &= ~(uint32_t)VOLUME_DRAFT;
	row->created = tx->now;
	if (!r)
		r = volume_put(tx->s->meta, row);
	return r ? r : volume_fill(tx->s, row, &p->info);
}

static int found_change(void *arg, uint64_t ino, unsigned what)
{
	(void)ino;
	(void)what;
	*(bool *)arg = true;
	return 1;
}

/* What was written into the volume since the draft was begun from it would be missing. */
static int check_unchanged(struct store *s, const struct volume_row *vol, int64_t base, struct err *err)
{
	bool changed = false;
	int r = history_changed(s->meta, vol->branch, base, META_HEAD, found_change, &changed);

	if (r < 0)
		return r;
	if (!changed)
		return 0;
	err_set(err, EBUSY, "volume '%s' was changed meanwhile", vol->name);
	err_hint(err, "stop what uses it, and try again");
	return -EBUSY;
}

static int publish_into(struct tx *tx, struct publish *p, const struct volume_row *row, struct volume_row *vol)
{
	struct store *s = tx->s;
	struct branch *b = branch_get(s->meta, row->branch);
	int64_t epoch;
	int r = b ? volume_check_unused(s, vol, "stop what uses it first", p->err) : -ECORRUPT;

	if (!r && p->draft->base)
		r = check_unchanged(s, vol, p->draft->base, p->err);
	if (!r)
		r = meta_epoch_advance(s->meta, &epoch);
	/* the draft's numbers go with it; its branch becomes the volume's */
	if (!r)
		r = volume_forget(tx, row);
	if (!r)
		r = head_replace(tx, vol, b, epoch, "pre-import-", p->saved);
	return r ? r : volume_fill(s, vol, &p->info);
}

static int publish_in(struct tx *tx, void *arg)
{
	struct publish *p = arg;
	struct store *s = tx->s;
	struct volume_row row, vol;
	int r = volume_by_id(s->meta, p->draft->id, &row);

	if (r)
		return r;
	r = check_quota(s, &row, p->err);
	if (r || !p->draft->target) {
		if (!r)
			r = publish_new(tx, p, &row);
		volume_row_free(&row);
		return r;
	}
	r = volume_by_id(s->meta, p->draft->target, &vol);
	if (!r && vol.hidden) {
		volume_row_free(&vol);
		r = -ENOENT;
	}
	if (r == -ENOENT)
		r = err_set(p->err, ENOENT, "the volume '%s' was removed meanwhile", p->draft->name);
	if (!r) {
		r = publish_into(tx, p, &row, &vol);
		volume_row_free(&vol);
	}
	volume_row_free(&row);
	return r;
}

static int publish_after(struct tx *tx, void *arg)
{
	const struct publish *p = arg;

	return p->draft->target ? automatic_expire(tx, p->draft->target) : 0;
}

int draft_publish(struct store *s, const struct draft *d, char ret_saved[VOLUME_NAME_MAX + 1], struct volume_info *ret,
		  struct err *err)
{
	struct publish p = {.draft = d, .err = err};
	struct cut_times unused;
	int r = instant_run(s, publish_in, publish_after, &p, &unused);

	if (r)
		return err && !err->code ? err_set(err, -r, "the volume '%s' could not be put in place: %s", d->name,
						   err_name(-r))
					 : r;
	(void)snprintf(ret_saved, VOLUME_NAME_MAX + 1, "%s", p.saved);
	*ret = p.info;
	maintain_kick(s);
	return 0;
}

/* --- dropping --- */

static int drop(struct store *s, const struct volume_row *row)
{
	struct tx tx;
	int r = tx_begin(s, NULL, TX_DRAIN, 0, &tx);

	if (r)
		return r;
	r = volume_destroy(&tx, row);
	numbers_changed(s);
	return tx_end(&tx, r);
}

void draft_drop(struct store *s, const struct draft *d)
{
	struct volume_row row;
	int r;

	(void)pthread_mutex_lock(&s->lock);
	r = volume_by_id(s->meta, d->id, &row);
	(void)pthread_mutex_unlock(&s->lock);
	if (!r) {
		r = drop(s, &row);
		volume_row_free(&row);
	}
	/* it goes when the store is next opened */
	if (r)
		log_warn("a draft of '%s' could not be dropped: %s", d->name, err_name(-r));
	maintain_kick(s);
}

int drafts_drop(struct store *s)
{
	struct volume_row row = {0};
	int r;

	for (;;) {
		struct volume_row next;

		(void)pthread_mutex_lock(&s->lock);
		r = volume_next_hidden(s->meta, row.hidden ? &row : NULL, &next);
		(void)pthread_mutex_unlock(&s->lock);
		volume_row_free(&row);
		if (r)
			return r < 0 ? r : 0;
		row = next;
		if (!(row.flags & VOLUME_DRAFT))
			continue;
		log_info("what was left of an export, import or pull of '%s' is dropped", row.name);
		r = drop(s, &row);
		if (r) {
			volume_row_free(&row);
			return r;
		}
	}
}
