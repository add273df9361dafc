#include "store/repo/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/volume/store_internal.h"
#include "store/volume/volume_internal.h"

#define SCAN 64

static int view_of(struct store *s, const struct source_view *v, struct meta_view *ret)
{
	*ret = (struct meta_view){branch_get(s->meta, v->branch), v->epoch};
	return ret->branch && !ret->branch->dead ? 0 : -ESTALE;
}

void source_view_fill(const struct volume_row *vol, const struct snapshot_row *snap, struct source_view *ret)
{
	*ret = (struct source_view){
		.volume = vol->id,
		.branch = snap->branch,
		.epoch = snap->epoch,
		.root_ino = snap->root_ino,
		.created = snap->created,
		.bytes = snap->bytes,
		.inodes = snap->inodes,
	};
	(void)snprintf(ret->name, sizeof ret->name, "%s", vol->name);
	(void)snprintf(ret->snapshot, sizeof ret->snapshot, "%s", snap->name);
}

void source_store_id(const struct store *s, uint8_t out[16])
{
	memcpy(out, s->id, sizeof s->id);
}

uint64_t source_last_ino(struct store *s)
{
	LOCK_SCOPE(&s->lock);
	return meta_last_ino(s->meta);
}

int source_find(struct store *s, const char *volume, const char *snapshot, struct source_view *ret, struct err *err)
{
	struct snapshot_row snap;
	struct volume_row vol;
	int r;

	LOCK_SCOPE(&s->lock);
	r = volume_find(s, volume, &vol, err);
	if (r)
		return r;
	r = snapshot_find(s, &vol, snapshot, &snap, err);
	if (!r)
		source_view_fill(&vol, &snap, ret);
	volume_row_free(&vol);
	return r;
}

/* --- pins --- */

/* The name of a pin that pushes of earlier versions had while they ran: one that was killed has left it. */
#define PIN_RUNNING "running"

/* "@REPO.ID" */
static void pin_name(const char *repo_id, const struct repo_name *id, char out[VOLUME_NAME_MAX + 1])
{
	char hex[REPO_HEX_LEN];

	repo_name_hex(id, hex);
	(void)snprintf(out, VOLUME_NAME_MAX + 1, "@%s.%s", repo_id, hex);
}

/* The next pin for the repository among a volume's snapshots; >0 when there is none. */
static int next_pin(struct meta *m, int64_t volume, const char *repo_id, struct snapshot_row *snap)
{
	char prefix[VOLUME_NAME_MAX + 1];
	int r;

	(void)snprintf(prefix, sizeof prefix, "@%s.", repo_id);
	while (!(r = snapshot_next_any(m, volume, snap->created, snap->id, snap)))
		if (!strncmp(snap->name, prefix, strlen(prefix)))
			return 0;
	return r;
}

int source_pin_find(struct store *s, const char *volume, const char *repo_id, struct source_view *ret,
		    struct repo_name *ret_id)
{
	struct snapshot_row snap = {0};
	struct volume_row vol;
	int r;

	LOCK_SCOPE(&s->lock);
	r = volume_by_name(s->meta, volume, &vol);
	if (r)
		return r;
	do
		r = next_pin(s->meta, vol.id, repo_id, &snap);
	while (!r && !strcmp(strchr(snap.name, '.') + 1, PIN_RUNNING));
	if (!r && !repo_name_parse(strchr(snap.name, '.') + 1, ret_id))
		r = -ECORRUPT;
	if (!r)
		source_view_fill(&vol, &snap, ret);
	volume_row_free(&vol);
	return r > 0 ? -ENOENT : r;
}

static int drop_pins(struct tx *tx, int64_t volume, const char *repo_id, int64_t but)
{
	struct snapshot_row snap = {0}, gone;
	int r;

	while (!(r = next_pin(tx->s->meta, volume, repo_id, &snap))) {
		gone = snap;
		r = gone.id == but ? 0 : snapshot_drop(tx, &gone);
		if (r)
			break;
	}
	return r < 0 ? r : 0;
}

static int set_pin(struct tx *tx, const struct source_view *v, const char *repo_id, const struct repo_name *id)
{
	struct snapshot_row pin =
				    {
					    .id = meta_next_id(tx->s->meta),
					    .volume = v->volume,
					    .branch = v->branch,
					    .epoch = v->epoch,
					    .created = v->created,
					    .bytes = v->bytes,
					    .inodes = v->inodes,
					    .root_ino = v->root_ino,
				    },
			    old;
	struct volume_row vol;
	int r = volume_by_id(tx->s->meta, v->volume, &vol);

	if (r)
		return r == -ENOENT ? 0 : r;
	volume_row_free(&vol);
	pin_name(repo_id, id, pin.name);
	r = snapshot_by_name(tx->s->meta, v->volume, pin.name, &old);
	if (!r)
		r = snapshot_drop(tx, &old);
	if (!r || r == -ENOENT)
		r = snapshot_put(tx->s->meta, &pin);
	return r ? r : drop_pins(tx, v->volume, repo_id, pin.id);
}

int source_pin_set(struct store *s, const struct source_view *v, const char *repo_id, const struct repo_name *id,
		   struct err *err)
{
	struct tx tx;
	int r = tx_begin(s, NULL, 0, 0, &tx);

	if (!r)
		r = tx_end(&tx, set_pin(&tx, v, repo_id, id));
	if (!r)
		r = file_sync_meta(s);
	if (!r)
		maintain_kick(s);
	return r ? err_set(err, -r, "pinning '%s@%s': %s", v->name, v->snapshot, err_name(-r)) : 0;
}

/* --- holding views for as long as they are read --- */

static int hold_in(struct tx *tx, const struct draft *d, const struct source_view *views, size_t n)
{
	struct meta *m = tx->s->meta;
	struct snapshot_row now;
	struct volume_row vol;
	int r = volume_by_name(m, views[0].name, &vol);

	if (r)
		return r;
	volume_row_free(&vol);
	for (size_t i = 0; i < n && !r; i++) {
		struct snapshot_row pin = {
			.id = meta_next_id(m),
			.volume = d->id,
			.branch = views[i].branch,
			.epoch = views[i].epoch,
			.created = views[i].created,
			.root_ino = views[i].root_ino,
		};

		(void)snprintf(pin.name, sizeof pin.name, "@held.%zu", i);
		r = snapshot_by_name(m, vol.id, views[i].snapshot, &now);
		if (!r && (now.branch != pin.branch || now.epoch != pin.epoch))
			r = -ENOENT;
		if (!r) {
			pin.bytes = now.bytes;
			pin.inodes = now.inodes;
			r = snapshot_put(m, &pin);
		}
	}
	return r;
}

int source_hold(struct store *s, const struct source_view *views, size_t n, struct draft *ret, struct err *err)
{
	struct draft d;
	struct tx tx;
	int r = draft_of_view(s, views[0].name, views[0].snapshot, &d, err);

	if (r)
		return r;
	r = tx_begin(s, NULL, 0, 0, &tx);
	if (!r)
		r = tx_end(&tx, hold_in(&tx, &d, views, n));
	if (r) {
		draft_drop(s, &d);
		return err_set(err, -r, "holding '%s@%s': %s", views[0].name, views[0].snapshot, err_name(-r));
	}
	*ret = d;
	return 0;
}

/* --- rows --- */

int source_inodes(struct store *s, const struct source_view *v, uint64_t after, struct inode *ret, size_t max,
		  size_t *ret_n)
{
	struct meta_view view;
	int r;

	LOCK_SCOPE(&s->lock);
	r = view_of(s, v, &view);
	return r ? r : inode_scan(s->meta, &view, after, ret, max, ret_n);
}

int source_inode(struct store *s, const struct source_view *v, uint64_t ino, struct inode *ret)
{
	struct meta_view view;
	int r;

	LOCK_SCOPE(&s->lock);
	r = view_of(s, v, &view);
	return r ? r : inode_get(s->meta, &view, ino, ret);
}

int source_entries(struct store *s, const struct source_view *v, uint64_t parent, int64_t after, struct dirent_row *ret,
		   size_t max, size_t *ret_n)
{
	struct meta_view view;
	int r;

	LOCK_SCOPE(&s->lock);
	r = view_of(s, v, &view);
	return r ? r : dirent_scan(s->meta, &view, parent, after, ret, max, ret_n);
}

int source_entry(struct store *s, const struct source_view *v, uint64_t parent, const char *name, size_t len,
		 struct dirent_row *ret)
{
	struct meta_view view;
	int r;

	LOCK_SCOPE(&s->lock);
	r = view_of(s, v, &view);
	return r ? r : dirent_get(s->meta, &view, parent, name, len, ret);
}

int source_name_of(struct store *s, const struct source_view *v, uint64_t ino, struct dirent_row *ret)
{
	struct meta_view view;
	size_t n = 0;
	int r;

	LOCK_SCOPE(&s->lock);
	r = view_of(s, v, &view);
	if (!r)
		r = dirent_by_ino(s->meta, &view, ino, ret, 1, &n);
	return r ? r : n ? 0 : -ENOENT;
}

int source_predecessor(struct store *s, const struct source_view *base, const struct source_view *v, uint64_t ino,
		       struct inode *ret)
{
	struct dirent_row name, old;
	int r = source_inode(s, base, ino, ret);

	if (r == -ENOENT || (!r && !source_shown(base, ret))) {
		r = source_name_of(s, v, ino, &name);
		if (!r)
			r = source_entry(s, base, name.parent, name.name, name.name_len, &old);
		if (!r)
			r = source_inode(s, base, old.ino, ret);
	}
	return r ? r : S_ISREG(ret->mode) && source_shown(base, ret) ? 0 : -ENOENT;
}

int source_extents_at(struct store *s, const struct source_view *v, const struct inode *inode, int64_t off, int64_t end,
		      struct extent *ret, size_t max, size_t *ret_n)
{
	struct meta_view view;
	int r;

	LOCK_SCOPE(&s->lock);
	r = view_of(s, v, &view);
	return r ? r : extent_scan(s->meta, &view, inode, off, end, ret, max, ret_n);
}

int source_extents(struct store *s, const struct source_view *v, const struct inode *inode, int64_t off,
		   struct extent *ret, size_t max, size_t *ret_n)
{
	return source_extents_at(s, v, inode, off, INT64_MAX, ret, max, ret_n);
}

int source_each_inode(struct store *s, const struct source_view *v, int (*fn)(void *arg, const struct inode *inode),
		      void *arg)
{
	struct inode inodes[SCAN];
	uint64_t after = 0;
	size_t n = SCAN;
	int r = 0;

	while (!r && n == SCAN) {
		r = source_inodes(s, v, after, inodes, SCAN, &n);
		for (size_t i = 0; i < n && !r; i++) {
			r = fn(arg, &inodes[i]);
			after = inodes[i].ino;
		}
	}
	return r;
}

int source_each_entry(struct store *s, const struct source_view *v, uint64_t parent,
		      int (*fn)(void *arg, const struct dirent_row *e), void *arg)
{
	struct dirent_row entries[SCAN];
	int64_t after = 0;
	size_t n = 1;
	int r = 0;

	/* names of one hash come together: a slice that is not full need not be the last */
	while (!r && n) {
		r = source_entries(s, v, parent, after, entries, SCAN, &n);
		for (size_t i = 0; i < n && !r; i++) {
			r = fn(arg, &entries[i]);
			after = entries[i].hash;
		}
	}
	return r;
}

int source_each_extent(struct store *s, const struct source_view *v, const struct inode *inode,
		       int (*fn)(void *arg, const struct inode *inode, const struct extent *e), void *arg)
{
	struct extent e[SCAN];
	int64_t off = 0;
	size_t n = SCAN;
	int r = 0;

	while (!r && n == SCAN) {
		r = source_extents(s, v, inode, off, e, SCAN, &n);
		for (size_t i = 0; i < n && !r; i++) {
			r = fn(arg, inode, &e[i]);
			off = e[i].off + e[i].len;
		}
	}
	return r;
}

/* Target and attributes, read under the lock: {name value}… as varint length and bytes. */
static int read_xattrs(struct store *s, const struct source_view *v, const struct inode *inode, struct buf *ret)
{
	struct buf names = {0};
	struct meta_view view;
	int r;

	LOCK_SCOPE(&s->lock);
	r = view_of(s, v, &view);
	if (!r && S_ISLNK(inode->mode))
		r = buf_add(&names, XATTR_SYMLINK_TARGET, sizeof XATTR_SYMLINK_TARGET);
	if (!r)
		r = xattr_list(s->meta, &view, inode->ino, &names);
	for (size_t at = 0; at < names.len && !r;) {
		const char *name = (const char *)names.data + at;
		AUTO_FREE void *value = NULL;
		size_t len = 0;

		at += strlen(name) + 1;
		r = xattr_get(s->meta, &view, inode->ino, name, &value, &len);
		if (!r)
			r = buf_add_bytes(ret, name, strlen(name) + 1);
		if (!r)
			r = buf_add_bytes(ret, value, len);
	}
	buf_free(&names);
	return r;
}

int source_xattrs(struct store *s, const struct source_view *v, const struct inode *inode,
		  int (*fn)(void *arg, const char *name, const void *value, size_t len), void *arg)
{
	struct buf all = {0};
	struct buf_reader in;
	int r = read_xattrs(s, v, inode, &all);

	in = buf_reader(all.data, all.len);
	while (!r && buf_reader_left(&in)) {
		size_t name_len, len;
		const char *name = buf_get_bytes(&in, &name_len);
		const void *value = buf_get_bytes(&in, &len);

		r = fn(arg, name, value, len);
	}
	buf_free(&all);
	return r;
}

int source_chunk_packed(struct store *s, uint64_t id, void *out, size_t *ret_len, void *packed, size_t *ret_packed_len)
{
	struct chunk_row row;
	struct chunk_loc loc;
	unsigned gate;
	int r;

	(void)pthread_mutex_lock(&s->lock);
	r = chunk_get(s->meta, id, &row);
	gate = atomic_load(&s->gate);
	atomic_fetch_add(&s->gate_readers[gate], 1);
	(void)pthread_mutex_unlock(&s->lock);
	if (!r) {
		loc = (struct chunk_loc){row.pack,    row.off,   row.stored_len,
					 row.raw_len, row.codec, {row.hash_lo, row.hash_hi}};
		r = packed ? chunk_store_read_both(s->chunks, &loc, out, packed)
			   : chunk_store_read(s->chunks, &loc, out, false);
	}
	atomic_fetch_sub(&s->gate_readers[gate], 1);
	if (!r)
		*ret_len = row.raw_len;
	if (!r && packed)
		*ret_packed_len = row.codec == CHUNK_ZSTD ? row.stored_len : 0;
	return r;
}

int source_chunk(struct store *s, uint64_t id, void *out, size_t *ret_len)
{
	return source_chunk_packed(s, id, out, ret_len, NULL, NULL);
}

int source_content(struct store *s, const struct source_view *v, uint64_t ino, int64_t off, size_t len, void *out,
		   void *scratch)
{
	int64_t at = off, end = off + (int64_t)len;
	struct extent e[16];
	struct inode inode;
	size_t n = 16, chunk_len;
	int r = source_inode(s, v, ino, &inode);

	memset(out, 0, len);
	while (!r && n == 16 && at < end) {
		r = source_extents_at(s, v, &inode, at, end, e, 16, &n);
		for (size_t i = 0; i < n && !r; i++) {
			int64_t from = e[i].off > off ? e[i].off : off;

			at = e[i].off + e[i].len;
			r = source_chunk(s, e[i].chunk, scratch, &chunk_len);
			if (!r && (uint64_t)e[i].choff + (uint64_t)e[i].len > chunk_len)
				r = -ECORRUPT;
			if (!r)
				memcpy((uint8_t *)out + (from - off),
				       (const uint8_t *)scratch + e[i].choff + (from - e[i].off),
				       (size_t)((at < end ? at : end) - from));
		}
	}
	return r;
}
