#include "store/repo/pull.h"

#include <stdlib.h>
#include <string.h>

#include "store/base/array.h"
#include "store/base/cleanup.h"
#include "store/repo/parallel.h"
#include "store/repo/sink.h"

#define BATCH_ROWS 4096
#define BATCH_CONTENT (8 * MIB) /* it is in memory */

struct pull_row {
	struct row_key key;
	size_t value_at, value_len, old_at, old_len; /* in bytes */
	bool value, old;
};

struct pull {
	struct store *s;
	struct repo *r;
	struct repo_progress *progress;
	struct pull_result *result;
	struct repo_entry entry;
	struct blob_in *in;
	struct sink *sink;
	bool has_base;
	struct source_view base;
	struct draft hold; /* of the base, when has_base: a push may move the pin */
	struct manifest_ref base_manifest;
	struct pull_row *rows;
	size_t n, cap;
	struct buf bytes;
	uint64_t content;
	bool holes; /* in this pass old extents become holes; in the other all the rest is done */
	struct err *err;
};

/* Contents that a batch needs, read by several threads. */
struct fetch {
	struct pull *p;
	struct repo_name *names;
	uint8_t **data;
	size_t *len;
	size_t n;
	uint8_t *out; /* REPO_BLOB_RAW_MAX for each worker */
};

static int fetch_one(void *arg, unsigned worker, size_t i, struct err *err)
{
	struct fetch *f = arg;
	uint8_t *out = f->out + worker * REPO_BLOB_RAW_MAX;
	int bad;

	if (atomic_load(&f->p->progress->cancel))
		return err_set(err, ECANCELED, "cancelled");
	bad = blob_in_get(f->p->in, &f->names[i], REPO_CHUNK, out, &f->len[i], err);
	if (bad)
		return bad;
	f->data[i] = malloc(f->len[i]);
	if (!f->data[i])
		return err_set(err, ENOMEM, "out of memory");
	memcpy(f->data[i], out, f->len[i]);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return memcmp(a, b, REPO_NAME_LEN);
}

/* Which chunks the batch needs that the store does not know. */
static int fetch_plan(struct fetch *f)
{
	struct pull *p = f->p;
	size_t kept = 0;

	f->names = malloc((p->n ? p->n : 1) * sizeof *f->names);
	if (!f->names)
		return -ENOMEM;
	for (size_t i = 0; i < p->n; i++) {
		struct row_extent v;
		int bad;

		if (p->rows[i].key.b[8] != ROW_EXTENT || !p->rows[i].value || p->rows[i].old)
			continue;
		bad = row_extent_parse(p->bytes.data + p->rows[i].value_at, p->rows[i].value_len, &v);
		if (bad)
			return bad;
		if (!sink_knows(p->sink, &v.chunk))
			f->names[f->n++] = v.chunk;
	}
	/* in the order of the file it would be read ahead best; duplicates are rare and found by neighbours in a copy
	 */
	if (f->n) {
		struct repo_name *sorted = malloc(f->n * sizeof *sorted);
		bool twice = false;

		if (!sorted)
			return -ENOMEM;
		memcpy(sorted, f->names, f->n * sizeof *sorted);
		qsort(sorted, f->n, sizeof *sorted, by_name);
		for (size_t i = 1; i < f->n && !twice; i++)
			twice = !memcmp(sorted[i - 1].b, sorted[i].b, REPO_NAME_LEN);
		if (twice) {
			for (size_t i = 0; i < f->n; i++)
				if (!kept || memcmp(sorted[kept - 1].b, sorted[i].b, REPO_NAME_LEN) != 0)
					sorted[kept++] = sorted[i];
			memcpy(f->names, sorted, kept * sizeof *sorted);
			f->n = kept;
		}
		free(sorted);
	}
	f->data = calloc(f->n ? f->n : 1, sizeof *f->data);
	f->len = calloc(f->n ? f->n : 1, sizeof *f->len);
	f->out = f->n ? malloc(parallel_width() * (size_t)REPO_BLOB_RAW_MAX) : NULL;
	return f->data && f->len && (f->out || !f->n) ? 0 : -ENOMEM;
}

static int apply(struct pull *p, const struct fetch *f)
{
	AUTO_FREE struct sink_row *rows = calloc(p->n ? p->n : 1, sizeof *rows);
	int bad = rows ? 0 : -ENOMEM;

	if (bad)
		return bad;
	for (size_t i = 0; i < p->n; i++) {
		const struct pull_row *row = &p->rows[i];

		rows[i] = (struct sink_row){
			.key = &row->key,
			.value = row->value ? p->bytes.data + row->value_at : NULL,
			.value_len = row->value_len,
			.old = row->old ? p->bytes.data + row->old_at : NULL,
			.old_len = row->old_len,
		};
	}
	sink_chunks_begin(p->sink);
	for (size_t i = 0; i < f->n && !bad; i++) {
		bad = sink_chunk(p->sink, &f->names[i], f->data[i], f->len[i]);
		atomic_fetch_add(&p->progress->bytes_done, f->len[i]);
		atomic_fetch_add(&p->progress->fresh, f->len[i]);
		atomic_fetch_add(&p->progress->chunks, 1);
	}
	if (bad)
		sink_chunks_abort(p->sink);
	else
		bad = sink_rows(p->sink, rows, p->n);
	return bad;
}

static int flush(struct pull *p)
{
	struct fetch f = {.p = p};
	int bad = fetch_plan(&f);

	if (!bad && f.n)
		bad = parallel_run(parallel_width(), f.n, fetch_one, &f, p->err);
	if (!bad)
		bad = apply(p, &f);
	for (size_t i = 0; i < f.n && f.data; i++)
		free(f.data[i]);
	free(f.names);
	free(f.data);
	free(f.len);
	free(f.out);
	p->result->rows += p->n;
	p->n = 0;
	p->content = 0;
	buf_reset(&p->bytes);
	return bad;
}

static int add_row(struct pull *p, const struct row_key *key, const void *value, size_t value_len, const void *old,
		   size_t old_len)
{
	struct pull_row row = {.key = *key, .value_len = value_len, .old_len = old_len, .value = value, .old = old};
	int bad = 0;

	if (array_grow(&p->rows, &p->cap, p->n, sizeof *p->rows))
		return -ENOMEM;
	row.value_at = p->bytes.len;
	if (value)
		bad = buf_add(&p->bytes, value, value_len);
	row.old_at = p->bytes.len;
	if (!bad && old)
		bad = buf_add(&p->bytes, old, old_len);
	if (bad)
		return bad;
	p->rows[p->n++] = row;
	if (key->b[8] == ROW_EXTENT && value && !old)
		p->content += CHUNK_LEN_AVG;
	return p->n >= BATCH_ROWS || p->content >= BATCH_CONTENT ? flush(p) : 0;
}

static int take(void *arg, const struct row_key *key, const void *a, size_t a_len, const void *b, size_t b_len)
{
	struct pull *p = arg;
	bool extent = key->len > 8 && key->b[8] == ROW_EXTENT;

	if (p->holes)
		return extent && a ? add_row(p, key, NULL, 0, a, a_len) : 0;
	return extent && !b ? 0 : add_row(p, key, b, b_len, NULL, 0);
}

/* A view of the volume that came from the same history: its numbers are the manifest's. */
static int find_base(struct pull *p, const char *volume)
{
	char repo_id[2 * REPO_ID_LEN + 1];
	struct repo_snapshot snap;
	struct repo_name id;
	uint8_t own[16];
	int bad;

	repo_id_hex(p->r, repo_id);
	bad = source_pin_find(p->s, volume, repo_id, &p->base, &id);
	if (bad)
		return bad == -ENOENT ? 0 : err_set(p->err, -bad, "finding the last pull: %s", err_name(-bad));
	bad = repo_snapshot_get(p->r, &id, &snap, p->err);
	if (bad == -ENOENT || bad == -ECORRUPT) {
		*p->err = (struct err){0};
		return 0;
	}
	source_store_id(p->s, own);
	/* what this store pushed itself it has under the manifest's own numbers, which no pull continues */
	if (!bad && !memcmp(snap.store, p->entry.s.store, sizeof own) && memcmp(snap.store, own, sizeof own) != 0) {
		struct err why = {0};

		bad = source_hold(p->s, &p->base, 1, &p->hold, &why);
		p->base_manifest = (struct manifest_ref){snap.level, snap.root};
		p->has_base = !bad;
		if (bad && bad != -ENOENT)
			*p->err = why;
		bad = bad == -ENOENT ? 0 : bad;
	}
	return bad;
}

static int check_names(struct pull *p, const char *volume, const char *snapshot, bool new_volume)
{
	struct volume_info info;
	struct snapshot_info snap;
	struct err why = {0};
	int bad = volume_name_check("volume", volume, p->err);

	if (bad)
		return bad;
	bad = volume_get(p->s, volume, &info, &why);
	if (!bad && new_volume)
		return err_set(p->err, EEXIST, "there is a volume '%s' already", volume);
	if (!bad)
		bad = snapshot_get(p->s, volume, snapshot, &snap, &why);
	if (!bad)
		return err_set(p->err, EEXIST, "there is a snapshot '%s@%s' already", volume, snapshot);
	return bad == -ENOENT ? 0 : err_set(p->err, -bad, "%s", why.text);
}

static int fill(struct pull *p, const char *volume)
{
	const struct manifest_ref m = {p->entry.s.level, p->entry.s.root};
	struct row_key last;
	int bad = manifest_last(p->in, &m, &last, p->err);

	if (!bad && last.len < 9)
		bad = err_set(p->err, ECORRUPT, "the snapshot's manifest has no rows");
	if (!bad)
		bad = sink_begin(p->s, volume, p->has_base ? &p->base : NULL, NULL, p->entry.s.root_ino,
				 row_key_ino(&last), &p->sink, p->err);
	/* an extent that goes makes its range a hole, and must not do so to what came in its place */
	if (!bad && p->has_base) {
		p->holes = true;
		bad = manifest_diff(p->in, &p->base_manifest, &m, take, p, p->err);
		if (!bad)
			bad = flush(p);
		p->holes = false;
	}
	if (!bad)
		bad = manifest_diff(p->in, p->has_base ? &p->base_manifest : NULL, &m, take, p, p->err);
	return bad ? bad : flush(p);
}

int repo_pull(struct store *s, struct repo *r, const char *volume, const char *snapshot, const char *new_volume,
	      struct repo_progress *progress, struct pull_result *ret, struct err *err)
{
	struct err local = {0};
	struct pull p = {.s = s, .r = r, .progress = progress, .result = ret, .err = err ? err : &local};
	const char *target = new_volume ? new_volume : volume;
	char repo_id[2 * REPO_ID_LEN + 1];
	struct source_view view;
	int bad = check_names(&p, target, snapshot, new_volume);

	*ret = (struct pull_result){0};
	if (!bad)
		bad = repo_snapshot_find(r, volume, snapshot, &p.entry, p.err);
	if (!bad)
		bad = find_base(&p, target);
	if (!bad)
		bad = repo_load_index_to_read(r, p.err);
	if (!bad && blob_in_new(r, progress, &p.in))
		bad = -ENOMEM;
	if (!bad) {
		atomic_store(&progress->bytes_total, (uint64_t)p.entry.s.bytes);
		bad = fill(&p, target);
	}
	if (!bad)
		bad = sink_finish(p.sink, snapshot, p.entry.s.created, NULL, &view, p.err);
	sink_free(p.sink);
	blob_in_free(p.in);
	free(p.rows);
	buf_free(&p.bytes);
	if (p.has_base)
		draft_drop(s, &p.hold);
	ret->incremental = p.has_base;
	repo_id_hex(r, repo_id);
	if (!bad)
		return source_pin_set(s, &view, repo_id, &p.entry.id, p.err);
	return p.err->code ? bad : err_set(p.err, -bad, "pulling '%s@%s': %s", volume, snapshot, err_name(-bad));
}
