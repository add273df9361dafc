/* Removing volumes: into the trash, or for good. */
#include <stdio.h>
#include <string.h>

#include "store/volume/trash.h"
#include "store/volume/volume_internal.h"

/* What the engine of containers calls a volume that has no name. */
#define ANONYMOUS_LEN 64

int volume_check_unused(struct store *s, const struct volume_row *vol, const char *hint, struct err *err)
{
	unsigned writers;
	int r = volume_open_writers(s, vol->id, &writers);

	if (r || !writers)
		return r;
	err_set(err, EBUSY, "volume '%s' has %u file%s open for writing", vol->name, writers, writers == 1 ? "" : "s");
	err_hint(err, "%s", hint);
	return -EBUSY;
}

static int check_removable(struct store *s, const struct volume_row *vol, bool force, struct err *err)
{
	struct snapshot_row snap = {0};
	int r = force ? 0 : volume_check_unused(s, vol, "stop what uses it first", err);

	while (!r && !(r = snapshot_next(s->meta, vol->id, snap.created, snap.id, &snap)))
		if (snap.flags & SNAPSHOT_HELD) {
			err_set(err, EBUSY, "volume '%s' has the held snapshot %s@%s", vol->name, vol->name, snap.name);
			err_hint(err, "release it first: varve snapshot release %s@%s", vol->name, snap.name);
			return -EBUSY;
		}
	return r < 0 ? r : 0;
}

struct number_list {
	int64_t volume;
	uint32_t v[256];
	size_t n;
};

static int collect_number(void *arg, const struct number_row *row)
{
	struct number_list *list = arg;

	if (row->volume == list->volume && list->n < sizeof list->v / sizeof *list->v)
		list->v[list->n++] = row->number;
	return 0;
}

static int drop_numbers(struct store *s, int64_t volume)
{
	struct number_list list = {.volume = volume};
	size_t i;
	int r;

	do {
		list.n = 0;
		r = number_each(s->meta, collect_number, &list);
		for (i = 0; i < list.n && !r; i++)
			r = number_delete(s->meta, list.v[i]);
	} while (!r && list.n);
	return r;
}

int volume_forget(struct tx *tx, const struct volume_row *vol)
{
	int r = volume_delete(tx->s->meta, vol->id);

	return r ? r : drop_numbers(tx->s, vol->id);
}

int volume_destroy(struct tx *tx, const struct volume_row *vol)
{
	struct store *s = tx->s;
	struct branch *b = branch_get(s->meta, vol->branch);
	struct snapshot_row snap;
	int r;

	while (!(r = snapshot_next_any(s->meta, vol->id, 0, 0, &snap)))
		if ((r = snapshot_drop(tx, &snap)))
			return r;
	if (r > 0)
		r = b ? reap_drop_view(s->meta, b, META_HEAD) : -ECORRUPT;
	return r ? r : volume_forget(tx, vol);
}

static bool is_anonymous(const char *name)
{
	return strlen(name) == ANONYMOUS_LEN && strspn(name, "0123456789abcdef") == ANONYMOUS_LEN;
}

static int remove_in(struct tx *tx, const char *name, unsigned flags, struct err *err)
{
	struct store *s = tx->s;
	struct volume_row vol;
	int r = volume_find(s, name, &vol, err);

	if (r)
		return r;
	r = check_removable(s, &vol, flags & VOLUME_REMOVE_FORCE, err);
	if (!r && ((flags & VOLUME_REMOVE_PURGE) || !s->trash.days || is_anonymous(name))) {
		r = volume_destroy(tx, &vol);
	} else if (!r) {
		vol.flags |= VOLUME_TRASH;
		vol.hidden = tx->now;
		r = volume_put(s->meta, &vol);
	}
	volume_row_free(&vol);
	return r;
}

int volume_remove(struct store *s, const char *name, unsigned flags, struct err *err)
{
	struct tx tx;
	int r = tx_begin(s, NULL, 0, 0, &tx);

	if (r)
		return err_set(err, -r, "removing the volume failed: %s", err_name(-r));
	r = remove_in(&tx, name, flags, err);
	numbers_changed(s);
	r = tx_end_locked(&tx, r, NULL, 0, NULL);
	trash_changed(s);
	(void)pthread_mutex_unlock(&s->lock);
	if (!r)
		r = file_sync_meta(s);
	if (!r)
		maintain_kick(s);
	return r && err && !err->code ? err_set(err, -r, "removing the volume '%s' failed: %s", name, err_name(-r)) : r;
}
