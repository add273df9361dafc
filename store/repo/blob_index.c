/* Records in an array, each pack's together; a hash table over names that points to one record each: of several copies
 * of a blob the best, as blob_index_settle finds it, and of equals the one that came first. */
#include "store/repo/blob_index.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/array.h"
#include "store/base/cleanup.h"

#define SLOTS_FIRST 1024
#define CHAIN_MAX (4 * BLOB_DELTA_DEPTH_MAX)

struct record {
	struct repo_name name;
	uint32_t pack, off, stored_len, raw_len;
	uint32_t base; /* into bases, from 1; 0: no delta */
	uint8_t type, codec, flags;
	bool marked;
};

struct blob_index {
	pthread_mutex_t lock;
	struct record *records;
	size_t n, cap;
	uint32_t *slots; /* number of a record + 1 */
	size_t n_slots, used;
	struct blob_pack *packs;
	size_t n_packs, cap_packs;
	uint32_t *pack_slots; /* number of a pack + 1, by its name */
	size_t n_pack_slots;
	struct repo_name *bases;
	size_t n_bases, cap_bases;
	size_t n_missing;         /* packs */
	size_t n_lost, n_healed; /* blobs; lost: as blob_index_losses found it */
};

int blob_index_new(struct blob_index **ret)
{
	struct blob_index *ix = calloc(1, sizeof *ix);

	if (!ix)
		return -ENOMEM;
	ix->slots = calloc(SLOTS_FIRST, sizeof *ix->slots);
	if (!ix->slots) {
		free(ix);
		return -ENOMEM;
	}
	ix->n_slots = SLOTS_FIRST;
	(void)pthread_mutex_init(&ix->lock, NULL);
	*ret = ix;
	return 0;
}

void blob_index_free(struct blob_index *ix)
{
	if (!ix)
		return;
	(void)pthread_mutex_destroy(&ix->lock);
	free(ix->records);
	free(ix->slots);
	free(ix->pack_slots);
	free(ix->packs);
	free(ix->bases);
	free(ix);
}

/* Names are hashes. */
static uint32_t *slot_of(const struct blob_index *ix, const struct repo_name *name)
{
	uint64_t h;
	size_t i;

	memcpy(&h, name->b, sizeof h);
	for (i = h & (ix->n_slots - 1); ix->slots[i]; i = (i + 1) & (ix->n_slots - 1))
		if (!memcmp(ix->records[ix->slots[i] - 1].name.b, name->b, REPO_NAME_LEN))
			break;
	return &ix->slots[i];
}

static struct record *find(const struct blob_index *ix, const struct repo_name *name)
{
	const uint32_t *slot = slot_of(ix, name);

	return *slot ? &ix->records[*slot - 1] : NULL;
}

static int rehash(struct blob_index *ix)
{
	uint32_t *old = ix->slots, *slots;
	size_t n = ix->n_slots;

	if (ix->used * 2 < n)
		return 0;
	slots = calloc(n * 2, sizeof *slots);
	if (!slots)
		return -ENOMEM;
	ix->slots = slots;
	ix->n_slots = n * 2;
	for (size_t i = 0; i < n; i++)
		if (old[i])
			*slot_of(ix, &ix->records[old[i] - 1].name) = old[i];
	free(old);
	return 0;
}

static int add_base(struct blob_index *ix, const struct repo_name *base, uint32_t *ret)
{
	int r = array_grow(&ix->bases, &ix->cap_bases, ix->n_bases, sizeof *ix->bases);

	if (r)
		return r;
	ix->bases[ix->n_bases++] = *base;
	*ret = (uint32_t)ix->n_bases;
	return 0;
}

static int add_record(struct blob_index *ix, const struct record *rec)
{
	uint32_t *slot;
	int r = ix->n >= UINT32_MAX - 1 ? -EFBIG : array_grow(&ix->records, &ix->cap, ix->n, sizeof *ix->records);

	if (!r)
		r = rehash(ix);
	if (r)
		return r;
	slot = slot_of(ix, &rec->name);
	ix->records[ix->n++] = *rec;
	if (!*slot) {
		*slot = (uint32_t)ix->n;
		ix->used++;
	}
	return 0;
}

static int fill(struct blob_index *ix, const struct repo_blob *b, struct record *ret)
{
	*ret = (struct record){
		.name = b->name,
		.stored_len = b->stored_len,
		.raw_len = b->raw_len,
		.type = (uint8_t)b->type,
		.codec = (uint8_t)b->codec,
	};
	return b->codec == CODEC_DELTA ? add_base(ix, &b->base, &ret->base) : 0;
}

static uint32_t *pack_slot(const struct blob_index *ix, const struct repo_name *pack)
{
	uint64_t h;
	size_t i;

	memcpy(&h, pack->b, sizeof h);
	for (i = h & (ix->n_pack_slots - 1); ix->pack_slots[i]; i = (i + 1) & (ix->n_pack_slots - 1))
		if (!memcmp(ix->packs[ix->pack_slots[i] - 1].name.b, pack->b, REPO_NAME_LEN))
			break;
	return &ix->pack_slots[i];
}

static bool has_pack(const struct blob_index *ix, const struct repo_name *pack)
{
	return ix->n_pack_slots && *pack_slot(ix, pack);
}

static int grow_pack_slots(struct blob_index *ix)
{
	size_t n = ix->n_pack_slots ? ix->n_pack_slots * 2 : SLOTS_FIRST;
	uint32_t *slots;

	if (2 * (ix->n_packs + 1) < ix->n_pack_slots)
		return 0;
	slots = calloc(n, sizeof *slots);
	if (!slots)
		return -ENOMEM;
	free(ix->pack_slots);
	ix->pack_slots = slots;
	ix->n_pack_slots = n;
	for (size_t i = 0; i < ix->n_packs; i++)
		*pack_slot(ix, &ix->packs[i].name) = (uint32_t)i + 1;
	return 0;
}

bool blob_index_pack_find(struct blob_index *ix, const struct repo_name *pack, size_t *ret_i)
{
	LOCK_SCOPE(&ix->lock);
	if (!has_pack(ix, pack))
		return false;
	*ret_i = *pack_slot(ix, pack) - 1;
	return true;
}

static int add_pack(struct blob_index *ix, const struct repo_name *pack, unsigned flags)
{
	int r = array_grow(&ix->packs, &ix->cap_packs, ix->n_packs, sizeof *ix->packs);

	if (!r)
		r = grow_pack_slots(ix);
	if (r)
		return r;
	ix->packs[ix->n_packs++] = (struct blob_pack){.name = *pack, .flags = flags, .first = (uint32_t)ix->n};
	*pack_slot(ix, pack) = (uint32_t)ix->n_packs;
	return 0;
}

int blob_index_add_pack(struct blob_index *ix, const struct repo_name *pack, const struct repo_table *table,
			unsigned flags)
{
	struct record rec;
	uint32_t off = PACK_HEADER_LEN;
	int r;

	LOCK_SCOPE(&ix->lock);
	if (has_pack(ix, pack))
		return 0;
	r = add_pack(ix, pack, flags);
	for (size_t i = 0; i < table->n && !r; i++) {
		struct blob_pack *p = &ix->packs[ix->n_packs - 1];

		r = fill(ix, &table->v[i], &rec);
		rec.pack = (uint32_t)ix->n_packs - 1;
		rec.off = off;
		off += rec.stored_len;
		if (!r)
			r = add_record(ix, &rec);
		p->n++;
		p->bytes += rec.stored_len;
	}
	return r;
}

static void give_blob(const struct blob_index *ix, const struct record *rec, struct repo_blob *ret)
{
	*ret = (struct repo_blob){
		.name = rec->name,
		.type = rec->type,
		.codec = rec->codec,
		.stored_len = rec->stored_len,
		.raw_len = rec->raw_len,
	};
	if (rec->base)
		ret->base = ix->bases[rec->base - 1];
}

static bool missing(const struct blob_index *ix, const struct record *rec)
{
	return rec->pack != BLOB_PACK_PENDING && (ix->packs[rec->pack].flags & PACK_MISSING);
}

/* It, or what it is a delta upon. */
static bool lost(const struct blob_index *ix, const struct record *rec)
{
	for (unsigned depth = 0; rec && !missing(ix, rec) && depth < CHAIN_MAX; depth++) {
		if (!rec->base || rec->pack == BLOB_PACK_PENDING)
			return false;
		rec = find(ix, &ix->bases[rec->base - 1]);
	}
	return true;
}

static void give_place(const struct blob_index *ix, const struct record *rec, struct blob_place *ret)
{
	ret->pack = rec->pack;
	ret->lost = lost(ix, rec);
	ret->off = rec->off;
	if (rec->pack != BLOB_PACK_PENDING) {
		ret->pack_name = ix->packs[rec->pack].name;
		ret->pack_end = (uint32_t)(PACK_HEADER_LEN + ix->packs[rec->pack].bytes);
	}
	give_blob(ix, rec, &ret->blob);
}

bool blob_index_find(struct blob_index *ix, const struct repo_name *name, struct blob_place *ret)
{
	const struct record *rec;

	LOCK_SCOPE(&ix->lock);
	rec = find(ix, name);
	if (rec)
		give_place(ix, rec, ret);
	return rec;
}

bool blob_index_copy(struct blob_index *ix, const struct repo_name *name, unsigned nth, struct blob_place *ret)
{
	const struct record *first;

	LOCK_SCOPE(&ix->lock);
	first = find(ix, name);
	for (size_t i = 0; i < ix->n; i++) {
		if (&ix->records[i] == first || memcmp(ix->records[i].name.b, name->b, REPO_NAME_LEN) != 0 || nth--)
			continue;
		give_place(ix, &ix->records[i], ret);
		return true;
	}
	return false;
}

static bool quarantined(const struct blob_index *ix, const struct record *rec)
{
	return rec->pack != BLOB_PACK_PENDING && (ix->packs[rec->pack].flags & PACK_QUARANTINED);
}

static unsigned rank(const struct blob_index *ix, const struct record *rec)
{
	return missing(ix, rec) ? 2 : quarantined(ix, rec);
}

/* Where a delta's base is lost, another copy that needs none is better. True: something changed. */
static bool avoid_lost(struct blob_index *ix)
{
	bool changed = false;

	for (size_t i = 0; i < ix->n; i++) {
		uint32_t *slot = slot_of(ix, &ix->records[i].name);

		if (*slot == i + 1 || !lost(ix, &ix->records[*slot - 1]) || lost(ix, &ix->records[i]))
			continue;
		*slot = (uint32_t)i + 1;
		changed = true;
	}
	return changed;
}

static void settle(struct blob_index *ix)
{
	bool all_alike = true;

	ix->n_missing = 0;
	for (size_t i = 0; i < ix->n_packs; i++) {
		all_alike &= !(ix->packs[i].flags & (PACK_QUARANTINED | PACK_MISSING));
		ix->n_missing += (ix->packs[i].flags & PACK_MISSING) != 0;
	}
	for (size_t i = 0; i < ix->n && !all_alike; i++) {
		uint32_t *slot = slot_of(ix, &ix->records[i].name);

		if (rank(ix, &ix->records[i]) < rank(ix, &ix->records[*slot - 1]))
			*slot = (uint32_t)i + 1;
	}
	for (unsigned depth = 0; ix->n_missing && depth < CHAIN_MAX && avoid_lost(ix); depth++)
		;
}

void blob_index_settle(struct blob_index *ix)
{
	LOCK_SCOPE(&ix->lock);
	settle(ix);
}

bool blob_index_pack_gone(struct blob_index *ix, uint32_t pack)
{
	LOCK_SCOPE(&ix->lock);
	if (ix->packs[pack].flags & PACK_MISSING)
		return false;
	ix->packs[pack].flags |= PACK_MISSING;
	settle(ix);
	return true;
}

void blob_index_losses(struct blob_index *ix, struct blob_losses *ret)
{
	*ret = (struct blob_losses){0};
	LOCK_SCOPE(&ix->lock);
	if (!ix->n_missing)
		return;
	for (size_t i = 0; i < ix->n_packs; i++)
		ix->packs[i].flags &= ~(unsigned)PACK_LOST;
	for (size_t i = 0; i < ix->n_slots; i++) {
		const struct record *rec = ix->slots[i] ? &ix->records[ix->slots[i] - 1] : NULL;

		if (!rec || !lost(ix, rec))
			continue;
		ret->blobs++;
		if (missing(ix, rec))
			ix->packs[rec->pack].flags |= PACK_LOST;
	}
	ix->n_lost = ret->blobs;
	for (size_t i = 0; i < ix->n_packs; i++) {
		bool fresh = (ix->packs[i].flags & (PACK_MISSING | PACK_QUARANTINED)) == PACK_MISSING;

		ret->fresh += fresh;
		ret->packs += fresh || (ix->packs[i].flags & PACK_LOST);
	}
}

bool blob_index_claim(struct blob_index *ix, const struct repo_name *name, int *ret_err)
{
	struct record *rec, fresh = {.name = *name, .pack = BLOB_PACK_PENDING};

	LOCK_SCOPE(&ix->lock);
	*ret_err = 0;
	rec = find(ix, name);
	if (!rec) {
		*ret_err = add_record(ix, &fresh);
		return false;
	}
	/* a record of its own: that of the other copy says what is where in its pack */
	if (quarantined(ix, rec) || lost(ix, rec)) {
		ix->n_healed += lost(ix, rec);
		*ret_err = add_record(ix, &fresh);
		if (!*ret_err)
			*slot_of(ix, name) = (uint32_t)ix->n;
		return false;
	}
	if (rec->pack != BLOB_PACK_PENDING)
		ix->packs[rec->pack].flags |= PACK_USED;
	return true;
}

size_t blob_index_healed(struct blob_index *ix)
{
	LOCK_SCOPE(&ix->lock);
	return ix->n_healed;
}

bool blob_index_delta_base(struct blob_index *ix, const struct repo_name *name)
{
	const struct record *rec;
	unsigned depth = 1;

	LOCK_SCOPE(&ix->lock);
	if (ix->n_lost)
		return false;
	for (rec = find(ix, name); rec; rec = find(ix, &ix->bases[rec->base - 1])) {
		if (rec->pack == BLOB_PACK_PENDING || quarantined(ix, rec) || depth > BLOB_DELTA_DEPTH_MAX)
			return false;
		ix->packs[rec->pack].flags |= PACK_USED;
		if (!rec->base)
			return true;
		depth++;
	}
	return false;
}

void blob_index_stored(struct blob_index *ix, const struct repo_blob *blob)
{
	struct record *rec;

	LOCK_SCOPE(&ix->lock);
	rec = find(ix, &blob->name);
	if (!rec)
		return;
	rec->stored_len = blob->stored_len;
	rec->raw_len = blob->raw_len;
	rec->type = (uint8_t)blob->type;
	rec->codec = (uint8_t)blob->codec;
	rec->base = 0;
	if (blob->codec == CODEC_DELTA && add_base(ix, &blob->base, &rec->base))
		rec->codec = CODEC_RAW; /* never read before the pack is written, and no base for another delta */
}

int blob_index_written(struct blob_index *ix, const struct repo_name *pack, const struct repo_blob *blobs, size_t n)
{
	uint32_t off = PACK_HEADER_LEN;
	struct record *rec;
	int r;

	LOCK_SCOPE(&ix->lock);
	r = add_pack(ix, pack, PACK_USED);
	for (size_t i = 0; i < n && !r; i++) {
		rec = find(ix, &blobs[i].name);
		if (rec) {
			rec->pack = (uint32_t)ix->n_packs - 1;
			rec->off = off;
		}
		off += blobs[i].stored_len;
	}
	if (!r)
		ix->packs[ix->n_packs - 1].bytes = off - PACK_HEADER_LEN;
	return r;
}

size_t blob_index_packs(const struct blob_index *ix)
{
	return ix->n_packs;
}

struct blob_pack *blob_index_pack(struct blob_index *ix, size_t i)
{
	return &ix->packs[i];
}

void blob_index_at(struct blob_index *ix, size_t i, struct repo_blob *ret, uint32_t *ret_off)
{
	give_blob(ix, &ix->records[i], ret);
	*ret_off = ix->records[i].off;
}

bool blob_index_mark(struct blob_index *ix, const struct repo_name *name, struct blob_place *ret, bool *ret_new)
{
	struct record *rec;

	LOCK_SCOPE(&ix->lock);
	rec = find(ix, name);
	if (!rec)
		return false;
	*ret_new = !rec->marked;
	rec->marked = true;
	give_place(ix, rec, ret);
	return true;
}

bool blob_index_marked(struct blob_index *ix, const struct repo_name *name)
{
	const struct record *rec;

	LOCK_SCOPE(&ix->lock);
	rec = find(ix, name);
	return rec && rec->marked;
}

void blob_index_unmark(struct blob_index *ix)
{
	LOCK_SCOPE(&ix->lock);
	for (size_t i = 0; i < ix->n; i++)
		ix->records[i].marked = false;
}

void blob_index_flag(struct blob_index *ix, const struct repo_name *name, enum blob_flags flag)
{
	struct record *rec;

	LOCK_SCOPE(&ix->lock);
	rec = find(ix, name);
	if (rec)
		rec->flags |= (uint8_t)flag;
}

bool blob_index_flagged(struct blob_index *ix, const struct repo_name *name, enum blob_flags flag)
{
	const struct record *rec;

	LOCK_SCOPE(&ix->lock);
	rec = find(ix, name);
	return rec && (rec->flags & flag);
}
