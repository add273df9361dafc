/* Volumes by name. */
#include "store/volume/volume_internal.h"

#include <stdio.h>
#include <string.h>

#include "store/base/array.h"

/* Levenshtein distance, rows of at most VOLUME_NAME_MAX. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[VOLUME_NAME_MAX + 2], diagonal, above;
	size_t la = strlen(a), lb = strlen(b), i, j;

	if (la > VOLUME_NAME_MAX || lb > VOLUME_NAME_MAX)
		return UINT32_MAX;
	for (j = 0; j <= lb; j++)
		row[j] = (unsigned)j;
	for (i = 1; i <= la; i++) {
		diagonal = row[0];
		row[0] = (unsigned)i;
		for (j = 1; j <= lb; j++) {
			unsigned least = diagonal + (a[i - 1] != b[j - 1]);

			above = row[j];
			if (above + 1 < least)
				least = above + 1;
			if (row[j - 1] + 1 < least)
				least = row[j - 1] + 1;
			diagonal = above;
			row[j] = least;
		}
	}
	return row[lb];
}

void nearest_try(struct nearest *n, const char *candidate)
{
	unsigned d = distance(n->name, candidate);

	/* a name that would need half of its letters changed is no suggestion */
	if (d >= n->best || d * 2 > strlen(candidate) + 1)
		return;
	n->best = d;
	(void)snprintf(n->found, sizeof n->found, "%s", candidate);
}

int volume_find(struct store *s, const char *name, struct volume_row *ret, struct err *err)
{
	struct nearest near = {.name = name, .best = UINT32_MAX};
	struct volume_row vol;
	char after[VOLUME_NAME_MAX + 1] = "";
	int r = rows_ready(s);

	if (!r)
		r = strlen(name) > VOLUME_NAME_MAX ? -ENOENT : volume_by_name(s->meta, name, ret);
	if (!r)
		return 0;
	if (r != -ENOENT)
		return err_set(err, -r, "looking the volume '%.*s' up failed: %s", VOLUME_NAME_MAX, name, err_name(-r));
	while (!volume_next(s->meta, after, &vol)) {
		nearest_try(&near, vol.name);
		(void)snprintf(after, sizeof after, "%s", vol.name);
		volume_row_free(&vol);
	}
	err_set(err, ENOENT, "there is no volume '%.*s'", VOLUME_NAME_MAX, name);
	if (*near.found)
		err_hint(err, "did you mean '%s'?", near.found);
	return -ENOENT;
}

int volume_name_free(struct store *s, const char *name, struct err *err)
{
	struct volume_row vol;
	int r = volume_name_check("volume", name, err);

	if (r)
		return r;
	r = volume_by_name(s->meta, name, &vol);
	if (r == -ENOENT)
		return 0;
	if (r)
		return err_set(err, -r, "looking the volume '%s' up failed: %s", name, err_name(-r));
	volume_row_free(&vol);
	return err_set(err, EEXIST, "there is a volume '%s' already", name);
}

/* Calls fn with the volume of each file that is open for writing. */
static int each_open_writer(struct store *s, void (*fn)(void *arg, int64_t volume), void *arg)
{
	size_t i;
	struct file *f;

	for (i = 0; i < FILE_BUCKETS; i++)
		for (f = s->files[i]; f; f = f->hash_next) {
			const struct number_slot *slot;
			int err = f->writers ? number_lookup(s, (uint32_t)(f->node >> NODE_INO_BITS), &slot) : -ESTALE;

			if (err && err != -ESTALE)
				return err;
			if (!err && slot->writable)
				fn(arg, slot->volume);
		}
	return 0;
}

struct writers_of {
	int64_t volume;
	unsigned n;
};

static void count_one(void *arg, int64_t volume)
{
	struct writers_of *w = arg;

	w->n += volume == w->volume;
}

int volume_open_writers(struct store *s, int64_t volume_id, unsigned *ret)
{
	struct writers_of w = {.volume = volume_id};
	int err = each_open_writer(s, count_one, &w);

	if (!err)
		*ret = w.n;
	return err;
}

/* "VOLUME@SNAPSHOT" that a branch was forked from, when it still has that name. */
static int find_origin(struct store *s, const struct branch *b, char *out, size_t size)
{
	struct snapshot_row snap;
	struct volume_row vol;
	int r = b->origin_branch ? snapshot_of_view(s->meta, b->origin_branch, b->origin_epoch, &snap) : -ENOENT;

	out[0] = 0;
	if (!r)
		r = volume_by_id(s->meta, snap.volume, &vol);
	if (r)
		return r == -ENOENT ? 0 : r;
	if (!vol.hidden)
		(void)snprintf(out, size, "%s@%s", vol.name, snap.name);
	volume_row_free(&vol);
	return 0;
}

/* All but open_writers. */
static int fill_from_rows(struct store *s, const struct volume_row *vol, struct volume_info *ret)
{
	const struct branch *b = branch_get(s->meta, vol->branch);
	struct snapshot_row snap;
	int r;

	if (!b)
		return -ECORRUPT;
	*ret = (struct volume_info){
		.id = vol->id,
		.root_node = (uint64_t)vol->number << NODE_INO_BITS | vol->root_ino,
		.created = vol->created,
		.bytes = b->bytes,
		.inodes = b->inodes,
		.quota_bytes = vol->quota_bytes,
		.quota_inodes = vol->quota_inodes,
		.compression = vol->compression,
		.tmpfs = vol->flags & VOLUME_TMPFS,
		.depth = branch_depth(b),
	};
	(void)snprintf(ret->name, sizeof ret->name, "%s", vol->name);
	r = snapshot_newest(s->meta, vol->id, &ret->snapshots, &snap);
	if (!r && ret->snapshots)
		(void)snprintf(ret->newest_snapshot, sizeof ret->newest_snapshot, "%s", snap.name);
	return r ? r : find_origin(s, b, ret->origin, sizeof ret->origin);
}

int volume_fill(struct store *s, const struct volume_row *vol, struct volume_info *ret)
{
	int r = fill_from_rows(s, vol, ret);

	return r ? r : volume_open_writers(s, vol->id, &ret->open_writers);
}

void volume_apply_options(struct volume_row *vol, const struct volume_options *opts)
{
	if (opts->set & (VOLUME_SET_QUOTA | VOLUME_SET_SIZE))
		vol->quota_bytes = opts->quota_bytes;
	if (opts->set & VOLUME_SET_QUOTA_INODES)
		vol->quota_inodes = opts->quota_inodes;
	if (opts->set & VOLUME_SET_COMPRESSION)
		vol->compression = opts->compression;
	if (opts->set & VOLUME_SET_TYPE && opts->tmpfs)
		vol->flags |= VOLUME_TMPFS;
}

int volume_apply_root(struct tx *tx, struct branch *b, uint64_t root_ino, const struct volume_options *opts)
{
	const struct meta_view head = {b, META_HEAD};
	struct inode inode;
	int ret;

	if (!(opts->set & (VOLUME_SET_UID | VOLUME_SET_GID | VOLUME_SET_MODE)))
		return 0;
	ret = inode_get(tx->s->meta, &head, root_ino, &inode);
	if (ret)
		return ret;
	if (opts->set & VOLUME_SET_UID)
		inode.uid = opts->uid;
	if (opts->set & VOLUME_SET_GID)
		inode.gid = opts->gid;
	if (opts->set & VOLUME_SET_MODE)
		inode.mode = (inode.mode & S_IFMT) | opts->mode;
	inode.ctime = tx->now;
	return inode_put(tx->s->meta, b, &inode);
}

int volume_insert(struct tx *tx, const char *name, unsigned flags, struct branch *b, uint64_t root_ino,
		  const struct volume_options *opts, struct volume_row *ret)
{
	struct meta *m = tx->s->meta;
	struct volume_row vol = {
		.id = meta_next_id(m),
		.branch = b->id,
		.root_ino = root_ino,
		.number = meta_next_number(m),
		.head_number = meta_next_number(m),
		.created = tx->now,
		.compression = 1,
		.flags = flags,
		.hidden = flags & VOLUME_DRAFT ? tx->now : 0,
	};
	int r;

	(void)snprintf(vol.name, sizeof vol.name, "%s", name);
	volume_apply_options(&vol, opts);
	r = branch_set_head(m, b, true);
	if (!r)
		r = volume_put(m, &vol);
	if (!r)
		r = number_put(m, &(struct number_row){vol.number, NUMBER_VOLUME, vol.id, b->id, META_HEAD});
	if (!r)
		r = number_put(m, &(struct number_row){vol.head_number, NUMBER_HEAD, vol.id, b->id, META_HEAD});
	if (!r)
		*ret = vol;
	return r;
}

static int create_in(struct tx *tx, const char *name, const struct volume_options *opts, struct volume_info *ret, struct err *err)
{
	struct store *s = tx->s;
	uint32_t mode = (opts->set & VOLUME_SET_MODE) ? opts->mode : opts->tmpfs ? 01777 : 0755;
	uint32_t uid = (opts->set & VOLUME_SET_UID) ? opts->uid : 0;
	uint32_t gid = (opts->set & VOLUME_SET_GID) ? opts->gid : 0;
	struct volume_row vol;
	struct branch *b;
	uint64_t root_ino = 0;
	int r = volume_name_free(s, name, err);

	if (r)
		return r;
	r = branch_create(s->meta, NULL, 0, 0, &b);
	if (!r)
		r = ns_create_root(tx, b, uid, gid, mode, &root_ino);
	if (!r)
		r = volume_insert(tx, name, 0, b, root_ino, opts, &vol);
	return r ? r : volume_fill(s, &vol, ret);
}

int volume_create(struct store *s, const char *name, const struct volume_options *opts, struct volume_info *ret, struct err *err)
{
	static const struct volume_options none;
	struct snapshot_name from;
	struct cut_times times;
	struct tx tx;
	int r;

	if (!opts)
		opts = &none;
	r = volume_options_check(opts, NULL, err);
	if (r)
		return r;
	if (opts->set & VOLUME_SET_FROM) {
		r = snapshot_name_parse(opts->from, &from, err);
		return r ? r : snapshot_clone(s, from.volume, from.snapshot, name, opts, ret, &times, err);
	}
	r = tx_begin(s, NULL, 0, 0, &tx);
	if (r)
		return err_set(err, -r, "creating the volume failed: %s", err_name(-r));
	r = create_in(&tx, name, opts, ret, err);
	numbers_changed(s);
	r = tx_end(&tx, r);
	if (!r)
		r = file_sync_meta(s);
	return r && err && !err->code ? err_set(err, -r, "creating the volume '%s' failed: %s", name, err_name(-r)) : r;
}

int volume_get(struct store *s, const char *name, struct volume_info *ret, struct err *err)
{
	struct volume_row vol;
	int r;

	LOCK_SCOPE(&s->lock);
	r = volume_find(s, name, &vol, err);
	if (r)
		return r;
	r = volume_fill(s, &vol, ret);
	volume_row_free(&vol);
	return r ? err_set(err, -r, "reading the volume '%s' failed: %s", name, err_name(-r)) : 0;
}

struct by_id {
	struct volume_info **v;
	size_t n;
};

static int compare_ids(const void *a, const void *b)
{
	int64_t x = (*(struct volume_info *const *)a)->id, y = (*(struct volume_info *const *)b)->id;

	return (x > y) - (x < y);
}

static void count_in(void *arg, int64_t volume)
{
	const struct by_id *all = arg;
	struct volume_info key = {.id = volume}, *key_at = &key;
	struct volume_info **found = bsearch(&key_at, all->v, all->n, sizeof *all->v, compare_ids);

	if (found)
		(*found)->open_writers++;
}

/* In one walk of the open files, of which there may be many, as of the volumes. */
static int count_writers(struct store *s, struct volume_info *list, size_t n)
{
	AUTO_FREE struct volume_info **v = calloc(n + 1, sizeof *v);
	struct by_id all = {v, n};
	size_t i;

	if (!v)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		v[i] = &list[i];
	qsort(v, n, sizeof *v, compare_ids);
	return each_open_writer(s, count_in, &all);
}

/* In the order of names. Under the store lock. */
static int each_volume(struct store *s, int (*fn)(void *arg, const struct volume_row *vol), void *arg)
{
	char after[VOLUME_NAME_MAX + 1] = "";
	struct volume_row vol;
	int r = 0;

	while (!r && !(r = volume_next(s->meta, after, &vol))) {
		r = fn(arg, &vol);
		(void)snprintf(after, sizeof after, "%s", vol.name);
		volume_row_free(&vol);
	}
	return r < 0 ? r : 0;
}

struct listing {
	struct store *s;
	struct volume_info *v;
	size_t n, cap;
};

static int list_one(void *arg, const struct volume_row *vol)
{
	struct listing *list = arg;
	int r = array_grow(&list->v, &list->cap, list->n, sizeof *list->v);

	return r ? r : fill_from_rows(list->s, vol, &list->v[list->n++]);
}

int volume_list(struct store *s, struct volume_info **ret, size_t *ret_n, struct err *err)
{
	struct listing list = {.s = s};
	int r;

	LOCK_SCOPE(&s->lock);
	r = rows_ready(s);
	if (!r)
		r = each_volume(s, list_one, &list);
	if (!r)
		r = count_writers(s, list.v, list.n);
	if (r) {
		free(list.v);
		return err_set(err, -r, "listing the volumes failed: %s", err_name(-r));
	}
	*ret = list.v;
	*ret_n = list.n;
	return 0;
}

struct briefs {
	struct volume_brief *v;
	size_t n, cap;
};

static int brief_one(void *arg, const struct volume_row *vol)
{
	struct briefs *list = arg;
	struct volume_brief *b;
	int r = array_grow(&list->v, &list->cap, list->n, sizeof *list->v);

	if (r)
		return r;
	b = &list->v[list->n++];
	*b = (struct volume_brief){.id = vol->id, .created = vol->created, .tmpfs = vol->flags & VOLUME_TMPFS};
	(void)snprintf(b->name, sizeof b->name, "%s", vol->name);
	return 0;
}

int volume_briefs(struct store *s, struct volume_brief **ret, size_t *ret_n, struct err *err)
{
	struct briefs list = {0};
	int r;

	LOCK_SCOPE(&s->lock);
	r = each_volume(s, brief_one, &list);
	if (r) {
		free(list.v);
		return err_set(err, -r, "listing the volumes failed: %s", err_name(-r));
	}
	*ret = list.v;
	*ret_n = list.n;
	return 0;
}

static int rename_in(struct store *s, const char *old_name, const char *new_name, struct err *err)
{
	struct volume_row vol;
	int r = volume_find(s, old_name, &vol, err);

	if (r)
		return r;
	r = volume_name_free(s, new_name, err);
	if (!r) {
		(void)snprintf(vol.name, sizeof vol.name, "%s", new_name);
		r = volume_put(s->meta, &vol);
	}
	volume_row_free(&vol);
	return r;
}

int volume_rename(struct store *s, const char *old_name, const char *new_name, struct err *err)
{
	struct tx tx;
	int r = tx_begin(s, NULL, 0, 0, &tx);

	if (r)
		return err_set(err, -r, "renaming the volume failed: %s", err_name(-r));
	r = rename_in(s, old_name, new_name, err);
	numbers_changed(s);
	r = tx_end(&tx, r);
	if (!r)
		r = file_sync_meta(s);
	return r && err && !err->code ? err_set(err, -r, "renaming the volume '%s' failed: %s", old_name, err_name(-r)) : r;
}

static int set_in(struct tx *tx, const char *name, const struct volume_options *opts, struct err *err)
{
	struct store *s = tx->s;
	struct volume_row vol;
	struct branch *b;
	int r;

	r = volume_find(s, name, &vol, err);
	if (r)
		return r;
	r = volume_options_check(opts, &vol, err);
	if (r) {
		volume_row_free(&vol);
		return r;
	}
	volume_apply_options(&vol, opts);
	b = branch_get(s->meta, vol.branch);
	r = volume_put(s->meta, &vol);
	if (!r)
		r = b ? volume_apply_root(tx, b, vol.root_ino, opts) : -ECORRUPT;
	volume_row_free(&vol);
	return r;
}

int volume_set(struct store *s, const char *name, const struct volume_options *opts, struct err *err)
{
	struct tx tx;
	int r = tx_begin(s, NULL, 0, 0, &tx);

	if (r)
		return err_set(err, -r, "changing the volume failed: %s", err_name(-r));
	r = set_in(&tx, name, opts, err);
	numbers_changed(s);
	r = tx_end(&tx, r);
	if (!r)
		r = file_sync_meta(s);
	return r && err && !err->code ? err_set(err, -r, "changing the volume '%s' failed: %s", name, err_name(-r)) : r;
}
