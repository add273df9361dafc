#include "store/repo/pack_out.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/array.h"
#include "store/base/cleanup.h"

#define TABLE_ROOM (256 * KIB) /* most tables are smaller */

/* One pack being gathered. */
struct gather {
	struct buf bytes;
	struct repo_blob *blobs;
	size_t n, cap;
};

struct pack_out {
	struct repo *r;
	struct repo_progress *progress;
	pthread_mutex_t lock;  /* what follows; not held while a pack is written */
	struct gather open[2]; /* chunks; nodes, so that reading a manifest reads no content */
	struct gather spare;   /* memory to use again */
	struct buf index;      /* the packs written so far */
	uint64_t written;
	int failed;
	struct err err;
};

int pack_out_new(struct repo *r, struct repo_progress *progress, struct pack_out **ret)
{
	struct pack_out *p = calloc(1, sizeof *p);

	if (!p)
		return -ENOMEM;
	p->r = r;
	p->progress = progress;
	(void)pthread_mutex_init(&p->lock, NULL);
	*ret = p;
	return 0;
}

static void gather_free(struct gather *g)
{
	buf_free(&g->bytes);
	free(g->blobs);
}

void pack_out_free(struct pack_out *p)
{
	if (!p)
		return;
	gather_free(&p->open[0]);
	gather_free(&p->open[1]);
	gather_free(&p->spare);
	buf_free(&p->index);
	(void)pthread_mutex_destroy(&p->lock);
	free(p);
}

static int encode_table(const struct gather *g, struct buf *ret)
{
	int bad = buf_add_varint(ret, g->n);

	for (size_t i = 0; i < g->n && !bad; i++)
		bad = repo_blob_encode(&g->blobs[i], ret);
	return bad;
}

/* Table and trailer. */
static int finish(struct pack_out *p, struct gather *g, struct buf *table)
{
	size_t sealed_len;
	int bad = encode_table(g, table);

	sealed_len = table->len + SEAL_OVERHEAD;
	if (!bad)
		bad = buf_reserve(&g->bytes, sealed_len);
	if (bad)
		return bad;
	crypt_seal(&p->r->keys, REPO_PACK, NULL, table->data, table->len, g->bytes.data + g->bytes.len);
	g->bytes.len += sealed_len;
	return repo_pack_trailer((uint32_t)sealed_len, &g->bytes);
}

/* No lock held. */
static int write_pack(struct pack_out *p, struct gather *g, struct err *err)
{
	char key[BACKEND_KEY_MAX + 1];
	struct buf table = {0};
	struct repo_name name;
	int bad = finish(p, g, &table);

	if (!bad) {
		crypt_name(&p->r->keys, REPO_PACK, g->bytes.data, g->bytes.len, &name);
		repo_object_key(REPO_PACK, &name, key);
		bad = backend_put(p->r->be, key, g->bytes.data, g->bytes.len, err);
	}
	if (!bad)
		bad = blob_index_written(p->r->index, &name, g->blobs, g->n);
	if (!bad) {
		if (p->progress)
			atomic_fetch_add(&p->progress->sent, g->bytes.len);
		LOCK_SCOPE(&p->lock);
		p->written += g->bytes.len;
		if (!p->index.len)
			bad = repo_index_begin(&p->index);
		if (!bad)
			bad = repo_index_add_pack(&p->index, &name, table.data, table.len);
	}
	buf_free(&table);
	return bad && err && !err->code ? err_set(err, -bad, "writing a pack: %s", err_name(-bad)) : bad;
}

/* Writes `full`, keeps its memory, notes an error. */
static int write_gather(struct pack_out *p, struct gather *full, struct err *err)
{
	struct err why = {0};
	int bad = write_pack(p, full, &why);

	LOCK_SCOPE(&p->lock);
	if (bad && !p->failed) {
		p->failed = bad;
		p->err = why;
	}
	full->n = 0;
	buf_reset(&full->bytes);
	if (p->spare.blobs)
		gather_free(full);
	else
		p->spare = *full;
	*full = (struct gather){0};
	if (bad && err)
		*err = why;
	return bad;
}

/* All that a pack takes at once: doubled as it grows it would take twice that. */
static int gather_reserve(struct gather *g, size_t target)
{
	size_t cap = target + REPO_BLOB_RAW_MAX + TABLE_ROOM;
	uint8_t *data;

	if (g->bytes.data)
		return 0;
	data = malloc(cap);
	if (!data)
		return -ENOMEM;
	g->bytes = (struct buf){.data = data, .cap = cap};
	return 0;
}

static int gather_add(struct gather *g, size_t target, const struct repo_blob *blob, const void *sealed)
{
	int bad = gather_reserve(g, target);

	if (!bad && !g->bytes.len)
		bad = repo_pack_header(&g->bytes);
	if (!bad)
		bad = buf_add(&g->bytes, sealed, blob->stored_len);
	if (!bad)
		bad = array_grow(&g->blobs, &g->cap, g->n, sizeof *g->blobs);
	if (!bad)
		g->blobs[g->n++] = *blob;
	return bad;
}

int pack_out_add(struct pack_out *p, const struct repo_blob *blob, const void *sealed, struct err *err)
{
	struct gather full = {0}, *g = &p->open[blob->type == REPO_NODE];
	int bad;

	(void)pthread_mutex_lock(&p->lock);
	bad = p->failed;
	if (bad && err)
		*err = p->err;
	if (!bad) {
		bad = gather_add(g, p->r->pack_target, blob, sealed);
		if (bad)
			(void)err_set(err, -bad, "out of memory");
	}
	if (!bad)
		blob_index_stored(p->r->index, blob);
	if (!bad && g->bytes.len >= p->r->pack_target) {
		full = *g;
		*g = p->spare;
		p->spare = (struct gather){0};
	}
	(void)pthread_mutex_unlock(&p->lock);
	return bad || !full.n ? bad : write_gather(p, &full, err);
}

int pack_out_flush(struct pack_out *p, struct err *err)
{
	int bad = p->failed;

	if (bad && err)
		*err = p->err;
	for (size_t i = 0; i < 2 && !bad; i++)
		if (p->open[i].n)
			bad = write_gather(p, &p->open[i], err);
	return bad;
}

int pack_out_index(struct pack_out *p, struct buf *ret)
{
	struct blob_index *ix = p->r->index;
	int bad = p->index.len ? buf_add(ret, p->index.data, p->index.len) : 0;

	for (size_t i = 0; i < blob_index_packs(ix) && !bad; i++) {
		const struct blob_pack *pack = blob_index_pack(ix, i);
		struct repo_blob blob;
		uint32_t off;

		if (!(pack->flags & PACK_UNINDEXED))
			continue;
		if (!ret->len)
			bad = repo_index_begin(ret);
		if (!bad)
			bad = buf_add(ret, pack->name.b, REPO_NAME_LEN);
		if (!bad)
			bad = buf_add_varint(ret, pack->n);
		for (uint32_t j = 0; j < pack->n && !bad; j++) {
			blob_index_at(ix, pack->first + j, &blob, &off);
			bad = repo_blob_encode(&blob, ret);
		}
	}
	return bad;
}

uint64_t pack_out_bytes(const struct pack_out *p)
{
	return p->written;
}
