/* Reading every chunk, as the table is now: no reader holds the WAL meanwhile. A chunk that a read found bad is looked up again: it may
 * have been moved or freed. */
#include "store/maint/check_internal.h"

#define CHUNKS_A_SLICE 128

static int add_bad(struct check *c, uint64_t id)
{
	if (c->bad_n == c->bad_cap) {
		size_t cap = c->bad_cap ? 2 * c->bad_cap : 64;
		uint64_t *grown = realloc(c->bad_chunks, cap * sizeof *grown);

		if (!grown)
			return -ENOMEM;
		c->bad_chunks = grown;
		c->bad_cap = cap;
	}
	c->bad_chunks[c->bad_n++] = id;
	return 0;
}

static int chunk_again(struct check *c, uint64_t id, struct chunk_row *ret)
{
	LOCK_SCOPE(&c->s->lock);
	return chunk_get(c->s->meta, id, ret);
}

static int read_chunk(struct check *c, const struct chunk_row *row, void *buf)
{
	const struct chunk_loc loc = chunk_row_loc(row);

	return row->raw_len > CHUNK_LEN_MAX ? -ECORRUPT : chunk_store_read(c->s->chunks, &loc, buf, false);
}

static int check_chunk(struct check *c, const struct chunk_row *first, void *buf)
{
	struct chunk_row row = *first, now = {0};
	int bad, ret;

	while ((bad = read_chunk(c, &row, buf)) != 0) {
		if (bad == -ENOMEM)
			return bad;
		ret = chunk_again(c, row.id, &now);
		if (ret)
			return ret == -ENOENT ? 0 : ret;
		if (now.pack == row.pack && now.off == row.off)
			break;
		row = now;
	}
	if (!bad) {
		c->result.bytes_verified += row.raw_len;
		return 0;
	}
	check_find(c, "chunk %llu, %u bytes in pack %u at %u: %s", (unsigned long long)row.id, row.raw_len, row.pack, row.off,
		   err_name(-bad));
	return add_bad(c, row.id);
}

static int next_chunks(struct check *c, uint64_t after, struct chunk_row *rows, size_t *ret_n)
{
	LOCK_SCOPE(&c->s->lock);
	return chunk_scan(c->s->meta, after, rows, CHUNKS_A_SLICE, ret_n);
}

/* Of the chunks that there are now: those that come meanwhile, perhaps faster than they can be read, are another check's. */
static int begin(struct check *c, uint64_t *ret_last_id, uint64_t *ret_bytes)
{
	struct chunk_totals totals = {0};
	int ret;

	LOCK_SCOPE(&c->s->lock);
	ret = chunk_totals(c->s->meta, &totals);
	*ret_last_id = meta_last_chunk(c->s->meta);
	*ret_bytes = totals.stored_bytes;
	return ret;
}

int check_data(struct check *c)
{
	AUTO_FREE struct chunk_row *rows = malloc(CHUNKS_A_SLICE * sizeof *rows);
	AUTO_FREE void *buf = malloc(CHUNK_LEN_MAX);
	uint64_t after = 0, last = 0, done = 0, total = 0;
	size_t n = 0;
	int ret = rows && buf ? begin(c, &last, &total) : -ENOMEM;

	while (!ret && after < last) {
		ret = next_chunks(c, after, rows, &n);
		if (ret || !n)
			break;
		after = rows[n - 1].id;
		for (size_t i = 0; i < n && !ret && rows[i].id <= last; i++) {
			ret = check_chunk(c, &rows[i], buf);
			done += rows[i].stored_len;
			if (!ret)
				ret = check_step(c, done, total);
		}
	}
	return ret;
}
