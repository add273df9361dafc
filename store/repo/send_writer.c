/* Contents are read, named, compared with what they may replace and compressed by a few threads; then their records are
 * put, in order, and the rows after them. */
#include <stdlib.h>
#include <string.h>

#include "store/repo/codec.h"
#include "store/repo/parallel.h"
#include "store/repo/send_rows.h"

/* Content that is put before its rows: a quarter of what README.md allows, since either side has it in memory. */
#define SLICE_CONTENT (8 * MIB)

/* What has been sent: a part of a chunk, and its name. */
struct sent {
	uint64_t chunk; /* 0: free */
	uint32_t choff, len;
	struct repo_name name;
};

struct job {
	const struct send_piece *piece;
	size_t sent; /* its number among the sent */
	struct stream_chunk record;
	uint8_t *payload;
};

struct worker {
	struct codec *codec;
	uint8_t *data, *packed, *base, *scratch; /* a chunk each */
};

struct send_writer {
	struct store *s;
	const struct source_view *base;
	struct stream_out *out;
	struct repo_progress *progress;
	struct sent *sent; /* hash table */
	size_t size, n_sent;
	struct repo_name *names; /* hash table of those that are in the stream; all zeros: free */
	size_t names_size, n_names;
	struct job *jobs;
	size_t n, cap;
	struct stream_end totals;
	unsigned width;
	struct worker workers[PARALLEL_MAX];
};

int send_writer_new(struct store *s, const struct source_view *base_or_null, struct stream_out *out,
		    struct repo_progress *progress, struct send_writer **ret)
{
	struct send_writer *w = calloc(1, sizeof *w);
	int bad = w ? 0 : -ENOMEM;

	if (bad)
		return bad;
	w->s = s;
	w->base = base_or_null;
	w->out = out;
	w->progress = progress;
	w->width = parallel_width();
	for (unsigned i = 0; i < w->width && !bad; i++) {
		struct worker *k = &w->workers[i];

		bad = codec_new(&k->codec);
		k->data = malloc(CHUNK_LEN_MAX);
		k->packed = malloc(CHUNK_LEN_MAX);
		k->base = malloc(CHUNK_LEN_MAX);
		k->scratch = malloc(CHUNK_LEN_MAX);
		if (!k->data || !k->packed || !k->base || !k->scratch)
			bad = -ENOMEM;
	}
	if (bad)
		send_writer_free(w);
	else
		*ret = w;
	return bad;
}

static void drop_jobs(struct send_writer *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->jobs[i].payload);
	w->n = 0;
}

void send_writer_free(struct send_writer *w)
{
	if (!w)
		return;
	for (unsigned i = 0; i < PARALLEL_MAX; i++) {
		codec_free(w->workers[i].codec);
		free(w->workers[i].data);
		free(w->workers[i].packed);
		free(w->workers[i].base);
		free(w->workers[i].scratch);
	}
	drop_jobs(w);
	free(w->jobs);
	free(w->sent);
	free(w->names);
	free(w);
}

/* --- what has been sent --- */

static size_t sent_slot(const struct send_writer *w, const struct send_piece *p)
{
	uint64_t h = (p->chunk ^ (uint64_t)p->choff << 40) * UINT64_C(0x9e3779b97f4a7c15);
	size_t i = (h >> 20) & (w->size - 1);

	while (w->sent[i].chunk &&
	       (w->sent[i].chunk != p->chunk || w->sent[i].choff != p->choff || w->sent[i].len != p->len))
		i = (i + 1) & (w->size - 1);
	return i;
}

/* Room for `more`, so that places stay what they are until then. */
static int sent_reserve(struct send_writer *w, size_t more)
{
	struct sent *old = w->sent;
	size_t size = w->size ? w->size : 1024, old_size = w->size;

	while (size < 2 * (w->n_sent + more))
		size *= 2;
	if (size == old_size)
		return 0;
	w->sent = calloc(size, sizeof *w->sent);
	if (!w->sent) {
		w->sent = old;
		return -ENOMEM;
	}
	w->size = size;
	for (size_t i = 0; i < old_size; i++)
		if (old[i].chunk)
			w->sent[sent_slot(w, &(struct send_piece){
						     .chunk = old[i].chunk, .choff = old[i].choff, .len = old[i].len})] =
				old[i];
	free(old);
	return 0;
}

/* False when it is there. */
static bool add_name(struct repo_name *names, size_t size, const struct repo_name *name)
{
	static const struct repo_name none;
	uint64_t h;
	size_t i;

	memcpy(&h, name->b, sizeof h);
	for (i = h & (size - 1); memcmp(names[i].b, none.b, REPO_NAME_LEN) != 0; i = (i + 1) & (size - 1))
		if (!memcmp(names[i].b, name->b, REPO_NAME_LEN))
			return false;
	names[i] = *name;
	return true;
}

/* Whether the content is not in the stream yet: the store may have one twice. -ENOMEM. */
static int first_of_name(struct send_writer *w, const struct repo_name *name)
{
	static const struct repo_name none;

	if (2 * w->n_names >= w->names_size) {
		size_t size = w->names_size ? w->names_size * 2 : 1024;
		struct repo_name *more = calloc(size, sizeof *more);

		if (!more)
			return -ENOMEM;
		for (size_t i = 0; i < w->names_size; i++)
			if (memcmp(w->names[i].b, none.b, REPO_NAME_LEN) != 0)
				(void)add_name(more, size, &w->names[i]);
		free(w->names);
		w->names = more;
		w->names_size = size;
	}
	if (!add_name(w->names, w->names_size, name))
		return 0;
	w->n_names++;
	return 1;
}

/* --- contents --- */

/* As it is, compressed (by the store, where it has just that), as a copy, or compressed with what it replaces as prefix. */
static int encode(struct send_writer *w, struct worker *k, struct job *j, const uint8_t *data, size_t packed_len)
{
	const struct send_piece *p = j->piece;
	const struct codec_input in = {.data = data,
				       .len = p->len,
				       .packed = packed_len ? k->packed : NULL,
				       .packed_len = packed_len,
				       .base = p->base_len ? k->base : NULL,
				       .base_len = p->base_len};
	struct stream_chunk *c = &j->record;
	const void *packed;
	int bad = 0;

	*c = (struct stream_chunk){
		.raw_len = p->len, .base_ino = p->base_ino, .base_off = p->base_off, .base_len = p->base_len};
	crypt_checksum(data, p->len, c->name.b, REPO_NAME_LEN);
	if (p->base_len)
		bad = source_content(w->s, w->base, p->base_ino, p->base_off, p->base_len, k->base, k->scratch);
	if (bad)
		return bad;
	if (p->base_len == p->len && !memcmp(data, k->base, p->len)) {
		c->codec = STREAM_COPY;
		return 0;
	}
	c->codec = (enum stream_codec)codec_pack(k->codec, &in, &packed, &c->payload_len);
	j->payload = malloc(c->payload_len);
	if (!j->payload)
		return -ENOMEM;
	memcpy(j->payload, packed, c->payload_len);
	c->payload = j->payload;
	return 0;
}

static int job_run(void *arg, unsigned worker, size_t i, struct err *err)
{
	struct send_writer *w = arg;
	struct worker *k = &w->workers[worker];
	struct job *j = &w->jobs[i];
	size_t len, packed_len;
	int bad;

	if (atomic_load(&w->progress->cancel))
		return err_set(err, ECANCELED, "cancelled");
	bad = source_chunk_packed(w->s, j->piece->chunk, k->data, &len, k->packed, &packed_len);
	if (!bad && (uint64_t)j->piece->choff + j->piece->len > len)
		bad = -ECORRUPT;
	if (!bad)
		bad = encode(w, k, j, k->data + j->piece->choff, j->piece->len == len ? packed_len : 0);
	return bad ? err_set(err, -bad, "reading a chunk of the store: %s", err_name(-bad)) : 0;
}

/* For rows [first, end). */
static int collect_jobs(struct send_writer *w, const struct send_rows *rows, size_t first, size_t end)
{
	int bad = sent_reserve(w, end - first);

	if (!bad && w->cap < end - first) {
		struct job *more = realloc(w->jobs, (end - first) * sizeof *more);

		if (!more)
			return -ENOMEM;
		w->jobs = more;
		w->cap = end - first;
	}
	for (size_t i = first; i < end && !bad; i++) {
		const struct send_piece *p = &rows->v[i].piece;
		size_t slot = p->chunk ? sent_slot(w, p) : 0;

		if (!p->chunk || w->sent[slot].chunk)
			continue;
		w->sent[slot] = (struct sent){.chunk = p->chunk, .choff = p->choff, .len = p->len};
		w->n_sent++;
		w->jobs[w->n++] = (struct job){.piece = p, .sent = slot};
	}
	return bad;
}

static int put_chunks(struct send_writer *w, struct err *err)
{
	int bad = 0, first;

	for (size_t i = 0; i < w->n && !bad; i++) {
		struct job *j = &w->jobs[i];

		w->sent[j->sent].name = j->record.name;
		first = first_of_name(w, &j->record.name);
		if (!first)
			continue;
		if (first < 0 || stream_chunk_encode(&j->record, stream_out_record(w->out, STREAM_CHUNK)))
			return err_set(err, ENOMEM, "out of memory");
		bad = stream_out_end(w->out);
		w->totals.chunks++;
		w->totals.content += j->record.raw_len;
		atomic_fetch_add(&w->progress->chunks, 1);
		atomic_fetch_add(&w->progress->fresh, j->record.raw_len);
		atomic_store(&w->progress->sent, w->out->bytes);
	}
	return bad;
}

/* --- rows --- */

static int put_rows(struct send_writer *w, const struct send_rows *rows, size_t first, size_t end, struct err *err)
{
	struct row_key last = {0}, key;
	struct buf *record = NULL;
	int bad = 0;

	for (size_t i = first; i < end && !bad; i++) {
		const struct send_row *row = &rows->v[i];

		if (!record) {
			record = stream_out_record(w->out, STREAM_ROWS);
			last.len = 0;
		}
		key.len = row->key_len;
		memcpy(key.b, rows->bytes.data + row->key_at, key.len);
		if (stream_row_encode(&last, &key, row->op, rows->bytes.data + row->value_at, row->value_len, record))
			return err_set(err, ENOMEM, "out of memory");
		last = key;
		w->totals.rows++;
		if (record->len < STREAM_ROWS_LEN && i + 1 < end)
			continue;
		bad = stream_out_end(w->out);
		record = NULL;
	}
	atomic_store(&w->progress->sent, w->out->bytes);
	return bad;
}

static int put_slice(struct send_writer *w, struct send_rows *rows, size_t first, size_t end, struct err *err)
{
	int bad = collect_jobs(w, rows, first, end);

	if (bad)
		return err_set(err, -bad, "out of memory");
	if (w->n)
		bad = parallel_run(w->width, w->n, job_run, w, err);
	if (!bad)
		bad = put_chunks(w, err);
	for (size_t i = first; i < end && !bad; i++)
		if (rows->v[i].piece.chunk)
			memcpy(rows->bytes.data + rows->v[i].value_at, w->sent[sent_slot(w, &rows->v[i].piece)].name.b,
			       REPO_NAME_LEN);
	if (!bad)
		bad = put_rows(w, rows, first, end, err);
	drop_jobs(w);
	return bad;
}

int send_writer_put(struct send_writer *w, struct send_rows *rows, struct err *err)
{
	size_t end;
	int bad = 0;

	for (size_t i = 0; i < rows->n && !bad; i = end) {
		uint64_t content = 0;

		for (end = i; end < rows->n && content < SLICE_CONTENT; end++)
			content += rows->v[end].piece.len;
		bad = put_slice(w, rows, i, end, err);
		atomic_fetch_add(&w->progress->bytes_done, content);
	}
	send_rows_reset(rows);
	return bad;
}

int send_writer_end(struct send_writer *w, struct stream_end *ret, struct err *err)
{
	if (stream_end_encode(&w->totals, stream_out_record(w->out, STREAM_END)))
		return err_set(err, ENOMEM, "out of memory");
	*ret = w->totals;
	return stream_out_end(w->out);
}
