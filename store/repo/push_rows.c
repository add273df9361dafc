#include "store/repo/push_rows.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/array.h"
#include "store/base/cleanup.h"
#include "store/repo/codec.h"
#include "store/repo/parallel.h"

void push_rows_reset(struct push_rows *rows)
{
	buf_reset(&rows->bytes);
	rows->n = 0;
	rows->content = 0;
}

void push_rows_free(struct push_rows *rows)
{
	buf_free(&rows->bytes);
	free(rows->v);
	*rows = (struct push_rows){0};
}

/* Begins a row: its value is what is added to `bytes` until row_end. */
static int row_begin(struct push_rows *rows, const struct row_key *key)
{
	int r = 0;

	if (array_grow(&rows->v, &rows->cap, rows->n, sizeof *rows->v))
		return -ENOMEM;
	rows->v[rows->n] = (struct push_row){.key_at = rows->bytes.len, .key_len = (uint32_t)key->len};
	r = buf_add(&rows->bytes, key->b, key->len);
	rows->v[rows->n].value_at = rows->bytes.len;
	return r;
}

static void row_end(struct push_rows *rows)
{
	struct push_row *row = &rows->v[rows->n++];

	row->value_len = (uint32_t)(rows->bytes.len - row->value_at);
}

int push_rows_remove(struct push_rows *rows, const struct row_key *key, bool prefix)
{
	int r = row_begin(rows, key);

	if (r)
		return r;
	rows->v[rows->n].removed = true;
	rows->v[rows->n].prefix = prefix;
	row_end(rows);
	return 0;
}

int push_rows_inode(struct push_rows *rows, const struct inode *inode)
{
	struct row_inode v;
	struct row_key key;
	int r;

	row_inode_of(inode, &v);
	row_key_make(&key, inode->ino, ROW_INODE, 0, NULL, 0);
	r = row_begin(rows, &key);
	if (!r)
		r = row_inode_encode(&v, &rows->bytes);
	if (!r)
		row_end(rows);
	return r;
}

int push_rows_entry(struct push_rows *rows, const struct dirent_row *e)
{
	const struct row_dirent v = {e->ino, e->type};
	struct row_key key;
	int r;

	row_key_make(&key, e->parent, ROW_DIRENT, (uint64_t)e->hash, e->name, e->name_len);
	r = row_begin(rows, &key);
	if (!r)
		r = row_dirent_encode(&v, &rows->bytes);
	if (!r)
		row_end(rows);
	return r;
}

int push_rows_extent(struct push_rows *rows, uint64_t ino, const struct extent *e)
{
	const struct row_extent v = {.len = e->len, .choff = e->choff, .source = e->chunk};
	struct row_key key;
	int r;

	row_key_make(&key, ino, ROW_EXTENT, (uint64_t)e->off, NULL, 0);
	r = row_begin(rows, &key);
	if (!r)
		r = row_extent_encode(&v, &rows->bytes);
	if (r)
		return r;
	rows->v[rows->n].chunk = e->chunk;
	rows->content += (uint64_t)e->len;
	row_end(rows);
	return 0;
}

struct xattr_row {
	struct push_rows *rows;
	uint64_t ino;
};

static int add_xattr(void *arg, const char *name, const void *value, size_t len)
{
	const struct xattr_row *x = arg;
	struct row_key key;
	int r;

	row_key_make(&key, x->ino, ROW_XATTR, 0, name, strlen(name));
	r = row_begin(x->rows, &key);
	if (!r)
		r = buf_add(&x->rows->bytes, value, len);
	if (!r)
		row_end(x->rows);
	return r;
}

int push_rows_xattrs(struct push_rows *rows, struct store *s, const struct source_view *v, const struct inode *inode)
{
	struct xattr_row x = {rows, inode->ino};

	return S_ISLNK(inode->mode) || (inode->flags & INODE_HAS_XATTR) ? source_xattrs(s, v, inode, add_xattr, &x) : 0;
}

/* --- sending --- */

struct worker {
	struct codec *codec;
	uint8_t *data, *packed, *base; /* a chunk each */
};

struct push_sender {
	struct store *s;
	struct repo *r;
	struct pack_out *out;
	struct repo_progress *progress;
	struct chunk_map map;
	struct chunk_map_entry **jobs;
	size_t n, cap;
	unsigned width;
	struct worker workers[PARALLEL_MAX];
};

int push_sender_new(struct store *s, struct repo *r, struct pack_out *out, struct repo_progress *progress,
		    struct push_sender **ret)
{
	struct push_sender *p = calloc(1, sizeof *p);
	int bad = p ? 0 : -ENOMEM;

	if (bad)
		return bad;
	p->s = s;
	p->r = r;
	p->out = out;
	p->progress = progress;
	p->width = parallel_width();
	for (unsigned i = 0; i < p->width && !bad; i++) {
		bad = codec_new(&p->workers[i].codec);
		p->workers[i].data = malloc(CHUNK_LEN_MAX);
		p->workers[i].packed = malloc(CHUNK_LEN_MAX);
		p->workers[i].base = malloc(CHUNK_LEN_MAX);
		if (!p->workers[i].data || !p->workers[i].packed || !p->workers[i].base)
			bad = -ENOMEM;
	}
	if (bad)
		push_sender_free(p);
	else
		*ret = p;
	return bad;
}

void push_sender_free(struct push_sender *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < PARALLEL_MAX; i++) {
		codec_free(p->workers[i].codec);
		free(p->workers[i].data);
		free(p->workers[i].packed);
		free(p->workers[i].base);
	}
	chunk_map_free(&p->map);
	free(p->jobs);
	free(p);
}

struct chunk_map *push_sender_map(struct push_sender *p)
{
	return &p->map;
}

/* The content of a chunk that the new one may be much like, when a delta may be built upon it. */
static bool load_base(struct push_sender *p, struct worker *w, uint64_t id, struct codec_input *in)
{
	if (source_chunk(p->s, id, w->base, &in->base_len))
		return false;
	crypt_name(&p->r->keys, REPO_CHUNK, w->base, in->base_len, &in->base_name);
	return blob_index_delta_base(p->r->index, &in->base_name);
}

static int store_chunk(struct push_sender *p, struct worker *w, const struct chunk_map_entry *e, struct codec_input *in,
		       struct err *err)
{
	struct repo_blob blob = {.name = e->name, .type = REPO_CHUNK};
	const void *sealed;
	int bad;

	if (e->base && load_base(p, w, e->base, in))
		in->base = w->base;
	bad = codec_seal(w->codec, &p->r->keys, in, &blob, &sealed);
	return bad ? err_set(err, -bad, "sealing a chunk: %s", err_name(-bad))
		   : pack_out_add(p->out, &blob, sealed, err);
}

static int send_one(void *arg, unsigned worker, size_t i, struct err *err)
{
	struct push_sender *p = arg;
	struct worker *w = &p->workers[worker];
	struct chunk_map_entry *e = p->jobs[i];
	struct codec_input in = {.data = w->data, .packed = w->packed};
	int bad;

	if (atomic_load(&p->progress->cancel))
		return err_set(err, ECANCELED, "cancelled; the next push goes on from here");
	bad = source_chunk_packed(p->s, e->id, w->data, &in.len, w->packed, &in.packed_len);
	if (bad)
		return err_set(err, -bad, "reading a chunk of the store: %s", err_name(-bad));
	if (!in.packed_len)
		in.packed = NULL;
	crypt_name(&p->r->keys, REPO_CHUNK, w->data, in.len, &e->name);
	if (blob_index_claim(p->r->index, &e->name, &bad)) {
		atomic_fetch_add(&p->progress->deduplicated, in.len);
	} else {
		atomic_fetch_add(&p->progress->fresh, in.len);
		if (!bad)
			bad = store_chunk(p, w, e, &in, err);
		else
			(void)err_set(err, -bad, "%s", err_name(-bad));
	}
	atomic_fetch_add(&p->progress->bytes_done, in.len);
	atomic_fetch_add(&p->progress->chunks, 1);
	e->named = !bad;
	return bad;
}

/* Which chunks have no name yet; entries do not move any more after. */
static int collect_jobs(struct push_sender *p, const struct push_rows *rows)
{
	struct chunk_map_entry *e;
	int bad = 0;

	for (size_t i = 0; i < rows->n && !bad; i++)
		if (rows->v[i].chunk)
			bad = chunk_map_get(&p->map, rows->v[i].chunk, &e);
	p->n = 0;
	if (!bad && p->cap < rows->n) {
		free(p->jobs);
		p->jobs = malloc(rows->n * sizeof *p->jobs);
		p->cap = p->jobs ? rows->n : 0;
		bad = p->jobs ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < rows->n && !bad; i++) {
		e = rows->v[i].chunk ? chunk_map_find(&p->map, rows->v[i].chunk) : NULL;
		if (!e || e->named)
			continue;
		e->named = true; /* once in the list is enough; send_one says whether it really is */
		p->jobs[p->n++] = e;
	}
	for (size_t i = 0; i < p->n; i++)
		p->jobs[i]->named = false;
	return bad;
}

int push_sender_resolve(struct push_sender *p, struct push_rows *rows, struct err *err)
{
	int bad = collect_jobs(p, rows);

	if (bad)
		return err_set(err, -bad, "out of memory");
	if (p->n)
		bad = parallel_run(p->width, p->n, send_one, p, err);
	for (size_t i = 0; i < rows->n && !bad; i++) {
		const struct push_row *row = &rows->v[i];

		if (row->chunk)
			memcpy(rows->bytes.data + row->value_at, chunk_map_find(&p->map, row->chunk)->name.b,
			       REPO_NAME_LEN);
	}
	return bad;
}
