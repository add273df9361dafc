#include "store/repo/stream_id.h"

#include <stdlib.h>
#include <string.h>

#include "store/base/le.h"
#include "store/meta/xattr.h"
#include "store/volume/store_internal.h"

static void id_of(const struct store *s, int64_t branch, int64_t epoch, int64_t created, uint64_t root_ino,
		  struct repo_name *ret)
{
	uint8_t bytes[8 + sizeof s->id + 4 * 8] = "VARVEVIE";
	uint8_t *p = bytes + 8;

	memcpy(p, s->id, sizeof s->id);
	p += sizeof s->id;
	le64_put(p, (uint64_t)branch);
	le64_put(p + 8, (uint64_t)epoch);
	le64_put(p + 16, (uint64_t)created);
	le64_put(p + 24, root_ino);
	crypt_checksum(bytes, sizeof bytes, ret->b, REPO_NAME_LEN);
}

void stream_view_id(const struct store *s, const struct source_view *v, struct repo_name *ret)
{
	id_of(s, v->branch, v->epoch, v->created, v->root_ino, ret);
}

void stream_mark_encode(const struct repo_name *id, int64_t branch, int64_t epoch, uint8_t out[STREAM_MARK_LEN])
{
	memcpy(out, id->b, REPO_NAME_LEN);
	le64_put(out + REPO_NAME_LEN, (uint64_t)branch);
	le64_put(out + REPO_NAME_LEN + 8, (uint64_t)epoch);
}

/* The mark is inherited by whatever is made of the view, and holds for this view alone. -ENOENT. */
static int mark_of(struct store *s, int64_t branch, int64_t epoch, uint64_t root_ino, struct repo_name *ret)
{
	const struct meta_view v = {branch_get(s->meta, branch), epoch};
	AUTO_FREE void *value = NULL;
	const uint8_t *p;
	size_t len;
	int r = v.branch ? xattr_get(s->meta, &v, root_ino, XATTR_RECEIVED, &value, &len) : -ESTALE;

	if (r)
		return r == -ENODATA ? -ENOENT : r;
	p = value;
	if (len != STREAM_MARK_LEN || le64_get(p + REPO_NAME_LEN) != (uint64_t)branch ||
	    le64_get(p + REPO_NAME_LEN + 8) != (uint64_t)epoch)
		return -ENOENT;
	memcpy(ret->b, p, REPO_NAME_LEN);
	return 0;
}

int stream_received_as(struct store *s, const struct source_view *v, struct repo_name *ret, void **ret_blocks,
		       size_t *ret_blocks_len)
{
	struct meta_view view;
	int r;

	LOCK_SCOPE(&s->lock);
	r = mark_of(s, v->branch, v->epoch, v->root_ino, ret);
	if (r)
		return r;
	view = (struct meta_view){branch_get(s->meta, v->branch), v->epoch};
	r = xattr_get(s->meta, &view, v->root_ino, XATTR_ORIGIN, ret_blocks, ret_blocks_len);
	return r == -ENODATA ? -ENOENT : r;
}

static bool same(const struct repo_name *a, const struct repo_name *b)
{
	return !memcmp(a->b, b->b, REPO_NAME_LEN);
}

static int is_base(struct store *s, const struct snapshot_row *snap, const struct stream_begin *b,
		   enum stream_base *ret_kind)
{
	static const struct repo_name none;
	struct repo_name id;
	int r = mark_of(s, snap->branch, snap->epoch, snap->root_ino, &id);

	if (r && r != -ENOENT)
		return r;
	*ret_kind = STREAM_BASE_RECEIVED;
	if (!r && same(&id, &b->from_id))
		return 0;
	id_of(s, snap->branch, snap->epoch, snap->created, snap->root_ino, &id);
	*ret_kind = same(&id, &b->from_id) ? STREAM_BASE_OWN : STREAM_BASE_ORIGIN;
	if (*ret_kind == STREAM_BASE_OWN)
		return 0;
	return same(&id, &b->from_origin) && !same(&id, &none) ? 0 : -ENOENT;
}

static int find_in(struct store *s, const struct volume_row *vol, const struct stream_begin *b,
		   struct source_view *ret, enum stream_base *ret_kind)
{
	struct snapshot_row snap = {0};
	int r;

	while (!(r = snapshot_next(s->meta, vol->id, snap.created, snap.id, &snap))) {
		r = is_base(s, &snap, b, ret_kind);
		if (!r)
			source_view_fill(vol, &snap, ret);
		if (r != -ENOENT)
			return r;
	}
	return r < 0 ? r : -ENOENT;
}

int stream_base_find(struct store *s, const char *volume, const struct stream_begin *b, struct source_view *ret,
		     enum stream_base *ret_kind)
{
	struct volume_row vol = {0};
	char after[VOLUME_NAME_MAX + 1] = "";
	int r;

	LOCK_SCOPE(&s->lock);
	for (;;) {
		r = volume ? volume_by_name(s->meta, volume, &vol) : volume_next(s->meta, after, &vol);
		if (r)
			return r < 0 ? r : -ENOENT;
		memcpy(after, vol.name, sizeof after);
		r = find_in(s, &vol, b, ret, ret_kind);
		volume_row_free(&vol);
		if (r != -ENOENT || volume)
			return r;
	}
}

int stream_base_blocks(const struct stream_begin *b, enum stream_base kind, struct ino_blocks *ret)
{
	if (kind == STREAM_BASE_OWN)
		return ino_blocks_identity(ret, b->last_ino);
	return ino_blocks_invert(ret, b->blocks, b->blocks_len);
}
