/* Contents and rows come in turn. A content that nothing refers to is the collector's as soon as others may change
 * contents: so one is put into the store together with the first row that needs it, and waits here until then. */
#include "store/repo/receive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/repo/parallel.h"
#include "store/repo/sink.h"
#include "store/repo/stream_frame.h"
#include "store/repo/stream_id.h"

/* Rows, and content with rows, that are gathered before they are put into the store. */
#define BATCH_ROWS 4096
#define BATCH_CONTENT (8 * MIB)
/* Content that may come before its rows. A sender begins with the rows when it has put half of that, or less. */
#define WAITING_MAX (64 * MIB)

struct got_row {
	struct row_key key;
	size_t value_at, value_len; /* in bytes */
	enum stream_op op;
};

struct got_chunk {
	struct stream_chunk c; /* its payload is at payload_at in bytes */
	size_t payload_at;
	uint8_t *data;
	bool needed; /* by a row of the batch */
};

struct worker {
	struct codec *codec;
	uint8_t *base, *scratch; /* a chunk each */
};

struct receive {
	struct store *s;
	struct stream_in in;
	struct stream_begin begin;
	char target[VOLUME_NAME_MAX + 1];
	struct source_view base;
	bool has_base;
	struct draft hold; /* of the base */
	bool held;
	struct sink *sink;
	struct got_row *rows;
	size_t n_rows, cap_rows;
	struct got_chunk *chunks;
	size_t n_chunks, cap_chunks;
	struct buf bytes;
	uint64_t content;
	struct stream_end totals;
	struct worker workers[PARALLEL_MAX];
	struct repo_progress *progress;
	struct err *err;
};

/* --- a batch --- */

/* The content, from what came and what the base has. */
static int expand(struct receive *rc, struct worker *w, struct got_chunk *g)
{
	const struct stream_chunk *c = &g->c;
	struct repo_name name;
	uint64_t ino;
	int bad = 0;

	if (c->codec == STREAM_DELTA || c->codec == STREAM_COPY) {
		bad = rc->has_base ? sink_ino(rc->sink, c->base_ino, &ino) : -ECORRUPT;
		if (!bad)
			bad = source_content(rc->s, &rc->base, ino, c->base_off, c->base_len, w->base, w->scratch);
	}
	if (!bad && c->codec == STREAM_COPY)
		memcpy(g->data, w->base, c->raw_len);
	else if (!bad)
		bad = codec_unpack(w->codec, (enum repo_codec)c->codec, rc->bytes.data + g->payload_at, c->payload_len,
				   w->base, c->base_len, g->data, c->raw_len);
	if (bad)
		return bad;
	crypt_checksum(g->data, c->raw_len, name.b, REPO_NAME_LEN);
	return memcmp(name.b, c->name.b, REPO_NAME_LEN) != 0 ? -ECORRUPT : 0;
}

static int expand_one(void *arg, unsigned worker, size_t i, struct err *err)
{
	struct receive *rc = arg;
	struct got_chunk *g = &rc->chunks[i];
	int bad;

	if (atomic_load(&rc->progress->cancel))
		return err_set(err, ECANCELED, "cancelled");
	if (!g->needed || sink_knows(rc->sink, &g->c.name))
		return 0;
	g->data = malloc(g->c.raw_len);
	if (!g->data)
		return err_set(err, ENOMEM, "out of memory");
	bad = expand(rc, &rc->workers[worker], g);
	if (bad == -ECORRUPT && !rc->has_base)
		return err_set(err, ECORRUPT, "a piece of the stream is not what its name says");
	if (bad == -ENOENT || bad == -ECORRUPT)
		return err_set(err, ECORRUPT, "a piece of the stream does not fit '%s@%s', which it begins from",
			       rc->base.name, rc->base.snapshot);
	return bad ? err_set(err, -bad, "reading '%s@%s': %s", rc->base.name, rc->base.snapshot, err_name(-bad)) : 0;
}

static int put_batch(struct receive *rc)
{
	AUTO_FREE struct sink_row *rows = calloc(rc->n_rows ? rc->n_rows : 1, sizeof *rows);
	int bad = 0;

	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < rc->n_rows; i++) {
		const struct got_row *g = &rc->rows[i];
		const void *value = g->value_len ? rc->bytes.data + g->value_at : (const uint8_t *)"";

		rows[i] = (struct sink_row){.key = &g->key};
		if (g->op == STREAM_PUT) {
			rows[i].value = value;
			rows[i].value_len = g->value_len;
		} else if (g->op == STREAM_HOLE) {
			rows[i].old = value;
			rows[i].old_len = g->value_len;
		}
	}
	sink_chunks_begin(rc->sink);
	for (size_t i = 0; i < rc->n_chunks && !bad; i++)
		if (rc->chunks[i].data)
			bad = sink_chunk(rc->sink, &rc->chunks[i].c.name, rc->chunks[i].data, rc->chunks[i].c.raw_len);
	if (bad)
		sink_chunks_abort(rc->sink);
	else
		bad = sink_rows(rc->sink, rows, rc->n_rows);
	return bad;
}

static int by_name(const void *a, const void *b)
{
	const struct got_chunk *const *x = a, *const *y = b;

	return memcmp((*x)->c.name.b, (*y)->c.name.b, REPO_NAME_LEN);
}

/* Marks the contents that the batch's rows need. */
static int mark_needed(struct receive *rc)
{
	AUTO_FREE struct got_chunk **sorted = malloc((rc->n_chunks ? rc->n_chunks : 1) * sizeof(struct got_chunk *));

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < rc->n_chunks; i++)
		sorted[i] = &rc->chunks[i];
	if (rc->n_chunks)
		qsort(sorted, rc->n_chunks, sizeof *sorted, by_name);
	for (size_t i = 0; i < rc->n_rows && rc->n_chunks; i++) {
		const struct got_row *row = &rc->rows[i];
		struct got_chunk key, *at = &key, **found;
		struct row_extent x;

		if (row->key.b[8] != ROW_EXTENT || row->op != STREAM_PUT)
			continue;
		if (row_extent_parse(rc->bytes.data + row->value_at, row->value_len, &x))
			return -ECORRUPT;
		key.c.name = x.chunk;
		found = bsearch(&at, sorted, rc->n_chunks, sizeof *sorted, by_name);
		if (found)
			(*found)->needed = true;
	}
	return 0;
}

/* What no row has needed yet stays for the next batch. */
static int keep_waiting(struct receive *rc)
{
	struct buf kept = {0};
	size_t n = 0;
	int bad = 0;

	rc->content = 0;
	for (size_t i = 0; i < rc->n_chunks; i++) {
		struct got_chunk g = rc->chunks[i];

		free(g.data);
		g.data = NULL;
		if (g.needed || bad || sink_knows(rc->sink, &g.c.name))
			continue;
		rc->content += g.c.raw_len;
		bad = buf_add(&kept, rc->bytes.data + g.payload_at, g.c.payload_len);
		g.payload_at = kept.len - g.c.payload_len;
		rc->chunks[n++] = g;
	}
	buf_free(&rc->bytes);
	rc->bytes = kept;
	rc->n_chunks = n;
	rc->n_rows = 0;
	return bad;
}

static int flush(struct receive *rc)
{
	int bad = mark_needed(rc), kept;

	if (!bad && rc->n_chunks)
		bad = parallel_run(parallel_width(), rc->n_chunks, expand_one, rc, rc->err);
	if (!bad)
		bad = put_batch(rc);
	kept = keep_waiting(rc);
	return bad ? bad : kept;
}

/* --- records --- */

static int take_chunk(struct receive *rc, const void *data, size_t len)
{
	struct got_chunk g = {.payload_at = rc->bytes.len};
	int bad = stream_chunk_parse(data, len, &g.c);

	if (bad)
		return bad;
	if (rc->n_chunks == rc->cap_chunks) {
		size_t cap = rc->cap_chunks ? rc->cap_chunks * 2 : 256;
		struct got_chunk *v = realloc(rc->chunks, cap * sizeof *v);

		if (!v)
			return -ENOMEM;
		rc->chunks = v;
		rc->cap_chunks = cap;
	}
	bad = buf_add(&rc->bytes, g.c.payload, g.c.payload_len);
	if (bad)
		return bad;
	rc->chunks[rc->n_chunks++] = g;
	rc->content += g.c.raw_len;
	rc->totals.chunks++;
	rc->totals.content += g.c.raw_len;
	atomic_fetch_add(&rc->progress->chunks, 1);
	atomic_fetch_add(&rc->progress->fresh, g.c.raw_len);
	return 0;
}

static int take_row(void *arg, const struct row_key *key, enum stream_op op, const void *value, size_t value_len)
{
	struct receive *rc = arg;
	struct row_extent x;

	if (rc->n_rows == rc->cap_rows) {
		size_t cap = rc->cap_rows ? rc->cap_rows * 2 : 1024;
		struct got_row *v = realloc(rc->rows, cap * sizeof *v);

		if (!v)
			return -ENOMEM;
		rc->rows = v;
		rc->cap_rows = cap;
	}
	rc->rows[rc->n_rows++] = (struct got_row){*key, rc->bytes.len, value_len, op};
	rc->totals.rows++;
	if (key->b[8] == ROW_EXTENT && op == STREAM_PUT && !row_extent_parse(value, value_len, &x))
		atomic_fetch_add(&rc->progress->bytes_done, (uint64_t)x.len);
	return value_len ? buf_add(&rc->bytes, value, value_len) : 0;
}

static int take_end(struct receive *rc, const void *data, size_t len)
{
	struct stream_end end;
	int bad = stream_end_parse(data, len, &end);

	if (!bad && (end.rows != rc->totals.rows || end.chunks != rc->totals.chunks ||
		     end.content != rc->totals.content))
		bad = -ECORRUPT;
	if (!bad)
		bad = stream_in_end(&rc->in);
	return bad ? bad : flush(rc);
}

/* >0 at the end. */
static int take_record(struct receive *rc)
{
	enum stream_type type;
	const void *data;
	size_t len;
	int bad = stream_in_next(&rc->in, &type, &data, &len);

	if (bad)
		return bad;
	switch (type) {
	case STREAM_CHUNK:
		bad = take_chunk(rc, data, len);
		break;
	case STREAM_ROWS:
		bad = stream_rows_parse(data, len, take_row, rc);
		break;
	case STREAM_END:
		bad = take_end(rc, data, len);
		return bad ? bad : 1;
	default:
		bad = -ECORRUPT;
	}
	atomic_store(&rc->progress->sent, rc->in.bytes);
	if (!bad && (rc->n_rows >= BATCH_ROWS || (rc->n_rows && rc->content >= BATCH_CONTENT)))
		bad = flush(rc);
	return bad ? bad : rc->content > WAITING_MAX ? -ECORRUPT : 0;
}

/* --- beginning --- */

static int read_begin(struct receive *rc)
{
	enum stream_type type;
	const void *data;
	size_t len;
	int bad = stream_in_begin(&rc->in);

	if (!bad)
		bad = stream_in_next(&rc->in, &type, &data, &len);
	if (bad)
		return bad;
	bad = type == STREAM_BEGIN ? stream_begin_parse(data, len, &rc->begin) : -ECORRUPT;
	return bad ? stream_in_damaged(&rc->in) : 0;
}

static int check_names(struct receive *rc, const char *new_volume, bool *ret_there)
{
	bool whole = stream_begin_whole(&rc->begin);
	struct volume_info volume;
	struct snapshot_info snap;
	struct err why = {0};
	int bad = volume_name_check("volume", rc->target, rc->err);

	if (!bad)
		bad = volume_name_check("snapshot", rc->begin.snapshot, rc->err);
	if (bad)
		return bad;
	bad = volume_get(rc->s, rc->target, &volume, &why);
	*ret_there = !bad;
	if (!bad && whole && new_volume)
		return err_set(rc->err, EEXIST, "there is a volume '%s' already", rc->target);
	if (!bad)
		bad = snapshot_get(rc->s, rc->target, rc->begin.snapshot, &snap, &why);
	if (!bad)
		return err_set(rc->err, EEXIST, "there is a snapshot '%s@%s' already", rc->target, rc->begin.snapshot);
	return bad == -ENOENT ? 0 : err_set(rc->err, -bad, "%s", why.text);
}

/* The view that the stream begins from, held until the end. */
static int find_base(struct receive *rc, bool there, struct ino_blocks *blocks, bool *ret_blocks)
{
	const struct stream_begin *b = &rc->begin;
	enum stream_base kind;
	int bad = stream_base_find(rc->s, there ? rc->target : NULL, b, &rc->base, &kind);

	if (bad == -ENOENT) {
		if (there)
			err_set(rc->err, ENOENT, "the stream starts from %s@%s, which volume '%s' does not have here",
				b->volume, b->from, rc->target);
		else
			err_set(rc->err, ENOENT, "the stream starts from %s@%s, which this store does not have", b->volume,
				b->from);
		err_hint(rc->err, "send it whole, without --from, or from a snapshot that was received here");
		return -ENOENT;
	}
	*ret_blocks = !bad && kind != STREAM_BASE_RECEIVED;
	if (*ret_blocks)
		bad = stream_base_blocks(b, kind, blocks);
	if (!bad)
		bad = source_hold(rc->s, &rc->base, 1, &rc->hold, rc->err);
	rc->held = rc->has_base = !bad;
	return bad;
}

static int begin(struct receive *rc, const char *new_volume, struct receive_result *ret)
{
	struct ino_blocks blocks = {0};
	bool there = false, given = false;
	int bad = read_begin(rc);

	if (bad)
		return bad;
	(void)snprintf(rc->target, sizeof rc->target, "%s", new_volume ? new_volume : rc->begin.volume);
	bad = check_names(rc, new_volume, &there);
	if (!bad && !stream_begin_whole(&rc->begin))
		bad = find_base(rc, there, &blocks, &given);
	if (!bad)
		bad = sink_begin(rc->s, rc->target, rc->has_base ? &rc->base : NULL, given ? &blocks : NULL,
				 rc->begin.root_ino, rc->begin.last_ino, &rc->sink, rc->err);
	if (!bad)
		bad = sink_distrust(rc->sink);
	free(blocks.v);
	atomic_store(&rc->progress->bytes_total, rc->has_base ? 0 : (uint64_t)rc->begin.bytes);
	ret->made = !there;
	ret->incremental = rc->has_base;
	return bad;
}

static int workers_new(struct receive *rc)
{
	int bad = 0;

	for (unsigned i = 0; i < parallel_width() && !bad; i++) {
		struct worker *w = &rc->workers[i];

		bad = codec_new(&w->codec);
		w->base = malloc(CHUNK_LEN_MAX);
		w->scratch = malloc(CHUNK_LEN_MAX);
		if (!w->base || !w->scratch)
			bad = -ENOMEM;
	}
	return bad;
}

static void receive_end(struct receive *rc)
{
	sink_free(rc->sink);
	if (rc->held)
		draft_drop(rc->s, &rc->hold);
	for (unsigned i = 0; i < PARALLEL_MAX; i++) {
		codec_free(rc->workers[i].codec);
		free(rc->workers[i].base);
		free(rc->workers[i].scratch);
	}
	stream_in_free(&rc->in);
	free(rc->rows);
	free(rc->chunks);
	buf_free(&rc->bytes);
	free(rc);
}

int repo_receive(struct store *s, const char *new_volume,
		 int (*get)(void *arg, void *buf, size_t len, size_t *ret_len), void *arg,
		 struct repo_progress *progress, struct receive_result *ret, struct err *err)
{
	struct err local = {0};
	struct receive *rc = calloc(1, sizeof *rc);
	struct source_view view;
	int bad = rc ? crypt_init() : -ENOMEM;

	err = err ? err : &local;
	if (bad) {
		free(rc);
		return err_set(err, -bad, "beginning to receive: %s", err_name(-bad));
	}
	*ret = (struct receive_result){0};
	rc->s = s;
	rc->progress = progress;
	rc->err = err;
	rc->in = (struct stream_in){.get = get, .arg = arg, .err = err};
	bad = begin(rc, new_volume, ret);
	if (!bad)
		bad = workers_new(rc);
	while (!bad)
		bad = take_record(rc);
	if (bad > 0)
		bad = sink_finish(rc->sink, rc->begin.snapshot, rc->begin.created, &rc->begin.id, &view, err);
	if (bad == -ECORRUPT && !err->code)
		bad = stream_in_damaged(&rc->in);
	if (bad && !err->code)
		bad = err_set(err, -bad, "receiving '%s@%s': %s", rc->target, rc->begin.snapshot, err_name(-bad));
	(void)snprintf(ret->volume, sizeof ret->volume, "%s", rc->target);
	(void)snprintf(ret->snapshot, sizeof ret->snapshot, "%s", rc->begin.snapshot);
	ret->rows = rc->totals.rows;
	ret->chunks = rc->totals.chunks;
	ret->content = rc->totals.content;
	ret->bytes = rc->in.bytes;
	receive_end(rc);
	return bad;
}
