/* The trash.
 *
 * A volume in the trash is a hidden row (meta/catalog.c): its branches, snapshots and numbers stay, and number.c shows
 * nothing through them. What it holds is counted by the maintenance thread, in slices, once for each; nothing changes
 * in it, only what else refers to its chunks may. */
#include "store/volume/trash.h"

#include <stdio.h>
#include <string.h>

#include "store/volume/volume_internal.h"

#define DAY_NS INT64_C(86400000000000)
#define DAYS_KEY "trash_days"

/* --- what is in it --- */

/* The first volume in the trash after *vol, which is all-zero at first and is freed; >0 at the end. */
static int next_in_trash(struct store *s, struct volume_row *vol)
{
	struct volume_row next;
	int r;

	do {
		r = volume_next_hidden(s->meta, vol->hidden ? vol : NULL, &next);
		volume_row_free(vol);
		if (r)
			return r;
		*vol = next;
	} while (!(vol->flags & VOLUME_TRASH));
	return 0;
}

void trash_changed(struct store *s)
{
	struct volume_row vol = {0};

	s->trash.oldest = next_in_trash(s, &vol) ? 0 : vol.hidden;
	volume_row_free(&vol);
}

/* The one of a name that was removed last. Lock held; caller frees the row. */
static int find_newest(struct store *s, const char *name, struct volume_row *ret, struct err *err)
{
	struct nearest near = {.name = name, .best = UINT32_MAX};
	struct volume_row vol = {0}, found = {0};
	int r;

	while (!(r = next_in_trash(s, &vol))) {
		nearest_try(&near, vol.name);
		if (strcmp(vol.name, name))
			continue;
		found = vol;
		found.options = NULL;
	}
	if (r < 0)
		return err_set(err, -r, "reading the trash failed: %s", err_name(-r));
	if (found.hidden)
		return volume_by_id(s->meta, found.id, ret);
	err_set(err, ENOENT, "there is no volume '%.*s' in the trash", VOLUME_NAME_MAX, name);
	if (*near.found)
		err_hint(err, "did you mean '%s'?", near.found);
	else
		err_hint(err, "'varve volume ls --trash' lists what is there");
	return -ENOENT;
}

static int64_t expires(const struct store *s, int64_t removed)
{
	return removed > INT64_MAX - s->trash.days * DAY_NS ? INT64_MAX : removed + s->trash.days * DAY_NS;
}

static struct trash_count *count_of(struct store *s, int64_t volume)
{
	size_t i;

	for (i = 0; i < s->trash.n_counts; i++)
		if (s->trash.counts[i].volume == volume)
			return &s->trash.counts[i];
	return NULL;
}

static int fill(struct store *s, const struct volume_row *vol, struct trash_info *ret)
{
	const struct branch *b = branch_get(s->meta, vol->branch);
	const struct trash_count *count = count_of(s, vol->id);
	struct snapshot_row snap = {0};
	int r;

	if (!b)
		return -ECORRUPT;
	*ret = (struct trash_info){
		.id = vol->id,
		.removed = vol->hidden,
		.expires = expires(s, vol->hidden),
		.bytes = b->bytes,
		.inodes = b->inodes,
		.held_bytes = count && count->done ? (int64_t)count->bytes : -1,
	};
	(void)snprintf(ret->name, sizeof ret->name, "%s", vol->name);
	while (!(r = snapshot_next(s->meta, vol->id, snap.created, snap.id, &snap)))
		ret->snapshots++;
	return r < 0 ? r : 0;
}

int trash_list(struct store *s, struct trash_info **ret, size_t *ret_n, struct err *err)
{
	AUTO_FREE struct trash_info *list = NULL;
	struct volume_row vol = {0};
	size_t n = 0, cap = 0;
	int r;

	LOCK_SCOPE(&s->lock);
	while (!(r = next_in_trash(s, &vol))) {
		if (n == cap) {
			struct trash_info *more = realloc(list, (cap = cap ? cap * 2 : 16) * sizeof *more);

			if (!more)
				r = -ENOMEM;
			else
				list = more;
		}
		if (!r)
			r = fill(s, &vol, &list[n++]);
		if (r)
			break;
	}
	volume_row_free(&vol);
	if (r < 0)
		return err_set(err, -r, "listing the trash failed: %s", err_name(-r));
	*ret = steal(&list);
	*ret_n = n;
	return 0;
}

int64_t trash_until(struct store *s, int64_t id)
{
	struct volume_row vol;
	int64_t ret = 0;

	LOCK_SCOPE(&s->lock);
	if (volume_by_id(s->meta, id, &vol))
		return 0;
	if (vol.flags & VOLUME_TRASH)
		ret = expires(s, vol.hidden);
	volume_row_free(&vol);
	return ret;
}

int64_t trash_held_bytes(struct store *s, unsigned *ret_volumes)
{
	struct volume_row vol = {0};
	int64_t sum = 0;

	*ret_volumes = 0;
	LOCK_SCOPE(&s->lock);
	while (!next_in_trash(s, &vol)) {
		const struct trash_count *count = count_of(s, vol.id);

		(*ret_volumes)++;
		if (count && count->done)
			sum += (int64_t)count->bytes;
	}
	volume_row_free(&vol);
	return sum;
}

/* --- out of it --- */

static int undelete_in(struct tx *tx, const char *name, const char *new_name, struct volume_info *ret,
		       int64_t *ret_branch, struct err *err)
{
	struct store *s = tx->s;
	struct volume_row vol;
	int r = find_newest(s, name, &vol, err);

	if (r)
		return r;
	r = volume_name_free(s, new_name, err);
	if (r == -EEXIST && !strcmp(name, new_name))
		err_hint(err, "bring it back under another name: varve volume undelete %s NEW", name);
	/* A file that was open when its volume was removed may be in the kernel with what could not be written any
	 * more. */
	if (!r)
		r = number_delete(s->meta, vol.head_number);
	vol.head_number = meta_next_number(s->meta);
	vol.flags &= ~(uint32_t)VOLUME_TRASH;
	vol.hidden = 0;
	(void)snprintf(vol.name, sizeof vol.name, "%s", new_name);
	if (!r)
		r = number_put(s->meta,
			       &(struct number_row){vol.head_number, NUMBER_HEAD, vol.id, vol.branch, META_HEAD});
	if (!r)
		r = volume_put(s->meta, &vol);
	if (!r)
		r = volume_fill(s, &vol, ret);
	*ret_branch = vol.branch;
	volume_row_free(&vol);
	return r;
}

/* Opens from before the removal can do nothing any more, and their releases will find no number. */
static void forget_opens(struct store *s, const struct branch *b)
{
	struct file *f, *next;
	size_t i;

	for (i = 0; i < FILE_BUCKETS; i++)
		for (f = s->files[i]; f; f = next) {
			next = f->hash_next;
			if (f->branch != b)
				continue;
			f->opens = f->writers = 0;
			file_put(s, f);
		}
}

int trash_undelete(struct store *s, const char *name, const char *new_name, struct volume_info *ret, struct err *err)
{
	int64_t branch = 0;
	struct tx tx;
	int r = tx_begin(s, NULL, 0, 0, &tx);

	if (r)
		return err_set(err, -r, "bringing the volume back failed: %s", err_name(-r));
	r = undelete_in(&tx, name, new_name ? new_name : name, ret, &branch, err);
	numbers_changed(s);
	r = tx_end_locked(&tx, r, NULL, 0, NULL);
	if (!r) {
		struct branch *b = branch_get(s->meta, branch);

		forget_opens(s, b);
		r = orphans_free_files(s, b);
	}
	trash_changed(s);
	(void)pthread_mutex_unlock(&s->lock);
	if (!r)
		r = file_sync_meta(s);
	return r && err && !err->code ? err_set(err, -r, "bringing the volume '%s' back failed: %s", name, err_name(-r))
				      : r;
}

/* One volume of that name (NULL: of any) goes, the oldest; >0 when there is none. */
static int purge_one(struct store *s, const char *name)
{
	struct volume_row vol = {0};
	struct tx tx;
	int r = tx_begin(s, NULL, TX_DRAIN, 0, &tx), ret;

	if (r)
		return r;
	do
		r = next_in_trash(s, &vol);
	while (!r && name && strcmp(vol.name, name));
	ret = r > 0 ? r : 0;
	if (!r)
		r = volume_destroy(&tx, &vol);
	if (!r)
		log_info("the volume '%s' in the trash goes for good", vol.name);
	volume_row_free(&vol);
	numbers_changed(s);
	r = tx_end_locked(&tx, r > 0 ? 0 : r, NULL, 0, NULL);
	trash_changed(s);
	(void)pthread_mutex_unlock(&s->lock);
	return r ? r : ret;
}

int trash_purge(struct store *s, const char *name, unsigned *ret_volumes, struct err *err)
{
	struct volume_row vol;
	int r = 0;

	*ret_volumes = 0;
	if (name) {
		LOCK_SCOPE(&s->lock);
		r = find_newest(s, name, &vol, err);
		if (!r)
			volume_row_free(&vol);
	}
	while (!r) {
		r = purge_one(s, name);
		*ret_volumes += !r;
	}
	if (r > 0)
		r = file_sync_meta(s);
	maintain_kick(s);
	return r && err && !err->code ? err_set(err, -r, "emptying the trash failed: %s", err_name(-r)) : r;
}

/* --- by itself --- */

/* The branch after `after` that the volume's views are on; 0 when that was the last. */
static int64_t next_branch(struct store *s, const struct volume_row *vol, int64_t after)
{
	struct snapshot_row snap = {0};
	int64_t best = vol->branch > after ? vol->branch : 0;

	while (!snapshot_next(s->meta, vol->id, snap.created, snap.id, &snap))
		if (snap.branch > after && (!best || snap.branch < best))
			best = snap.branch;
	return best;
}

static int count_slice(struct store *s, const struct volume_row *vol)
{
	struct trash *t = &s->trash;
	struct trash_count *c = count_of(s, vol->id), *more;
	unsigned rows;
	int r;

	if (!c) {
		more = realloc(t->counts, (t->n_counts + 1) * sizeof *more);
		if (!more)
			return -ENOMEM;
		t->counts = more;
		c = &more[t->n_counts++];
		*c = (struct trash_count){.volume = vol->id, .branch = next_branch(s, vol, 0)};
	}
	r = extent_held_slice(s->meta, c->branch, &c->at, SLICE_ROWS, &c->bytes, &rows);
	if (!r && rows < SLICE_ROWS) {
		c->branch = next_branch(s, vol, c->branch);
		c->at = (struct extent_cursor){0};
		c->done = !c->branch;
	}
	return r;
}

/* Forgets what was counted of volumes that are not in the trash any more. */
static void forget_counts(struct store *s)
{
	struct trash *t = &s->trash;
	struct volume_row vol;
	size_t i, kept = 0;

	for (i = 0; i < t->n_counts; i++) {
		if (volume_by_id(s->meta, t->counts[i].volume, &vol))
			continue;
		if (vol.flags & VOLUME_TRASH)
			t->counts[kept++] = t->counts[i];
		volume_row_free(&vol);
	}
	t->n_counts = kept;
}

int trash_step(struct store *s, bool *ret_more)
{
	struct volume_row vol = {0};
	const struct trash_count *c;
	int r = 0;

	if (s->trash.oldest && now_ns() >= expires(s, s->trash.oldest)) {
		*ret_more = true;
		r = purge_one(s, NULL);
		return r > 0 ? 0 : r;
	}
	LOCK_SCOPE(&s->lock);
	if (!s->trash.oldest && !s->trash.n_counts)
		return 0;
	forget_counts(s);
	while (!(r = next_in_trash(s, &vol))) {
		c = count_of(s, vol.id);
		if (c && c->done)
			continue;
		*ret_more = true;
		r = count_slice(s, &vol);
		break;
	}
	volume_row_free(&vol);
	return r < 0 ? r : 0;
}

static int end_packs(struct store *s)
{
	LOCK_SCOPE(&s->maintain_lock);

	return compact_end_packs(s);
}

/* What died is given back after a commit, and in a pack that is being appended to after that has been ended. */
static int give_back(struct store *s)
{
	bool more;
	int r = 0;

	for (int round = 0; round < 2 && !r; round++) {
		more = true;
		while (!r && more)
			r = store_maintain(s, &more);
		if (!r)
			r = store_commit(s);
		if (!r && !round)
			r = end_packs(s);
	}
	return r;
}

/* Purges until there is room or the trash is empty. No lock held. */
static int make_room(struct store *s, int64_t bytes)
{
	bool low = true;
	int r = 0;

	while (!r && low && !(r = purge_one(s, NULL))) {
		r = give_back(s);
		LOCK_SCOPE(&s->lock);
		s->host_free_at = 0;
		low = host_is_low(s, bytes);
	}
	return r;
}

void trash_make_room(struct store *s, int64_t bytes)
{
	int r;

	if (s->trash.making_room) {
		(void)pthread_cond_wait(&s->space_cond, &s->lock);
		return;
	}
	s->trash.making_room = true;
	(void)pthread_mutex_unlock(&s->lock);
	log_warn("the disk is nearly full: the trash is emptied, oldest first");
	r = make_room(s, bytes);
	if (r < 0)
		log_warn("emptying the trash: %s", err_name(-r));
	(void)pthread_mutex_lock(&s->lock);
	/* what cannot be purged now will not make room for anybody: let the operation find out */
	if (r < 0)
		s->trash.oldest = 0;
	s->trash.making_room = false;
	(void)pthread_cond_broadcast(&s->space_cond);
}

/* --- how long --- */

int trash_open(struct store *s)
{
	int32_t days;
	int r = meta_setting_get(s->meta, DAYS_KEY, &days, sizeof days);

	s->trash.days = r ? TRASH_DAYS_DEFAULT : days;
	trash_changed(s);
	return r == -ENOENT ? 0 : r;
}

int trash_days(struct store *s)
{
	LOCK_SCOPE(&s->lock);

	return s->trash.days;
}

int trash_set_days(struct store *s, int days, struct err *err)
{
	int32_t value = days, got = -1;
	int r;

	if (days < 0 || days > TRASH_DAYS_MAX)
		return err_set(err, EINVAL, "trash-days is 0 (no trash) to %d days", TRASH_DAYS_MAX);
	(void)pthread_mutex_lock(&s->lock);
	r = (s->flags & STORE_READONLY) ? -EROFS : meta_setting_change(s->meta, DAYS_KEY, &value, sizeof value);
	(void)pthread_mutex_unlock(&s->lock);
	if (!r)
		r = store_commit(s);
	(void)pthread_mutex_lock(&s->lock);
	if (!r)
		r = meta_setting_get(s->meta, DAYS_KEY, &got, sizeof got);
	if (!r && got != value)
		r = -EIO;
	if (!r)
		s->trash.days = days;
	(void)pthread_mutex_unlock(&s->lock);
	if (r)
		return err_set(err, -r, "the setting could not be stored: %s", err_name(-r));
	maintain_kick(s);
	return 0;
}
