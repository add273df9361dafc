/* How rows change, and the encoding of effects.
 *
 * Effects are a sequence of changes. Each begins with one byte, (kind << 4) | table:
 *   put, update: all columns; delete: the key columns. First a nibble of tag for each column, two to a byte, low first (a last
 *     odd nibble is 0), then what each tag calls for:
 *       0 integer 0 · 1 integer, svarint · 2 bytes, varint length and bytes · 3 NULL · 4 INT64_MAX · 5 as the column before
 *   reference: table is chunk; varint id, svarint delta
 *   totals: table is branch; varint id, svarint bytes, svarint inodes
 *
 * Whatever hangs on rows in memory (branches, counters, sums) changes here too, so that a live change and an applied one
 * come to the same. */
#include <assert.h>
#include <string.h>

#include "store/base/log.h"
#include "store/meta/meta_internal.h"
#include "store/meta/pending.h"
#include "store/meta/schema.h"

enum change { CHANGE_PUT = 1, CHANGE_UPDATE, CHANGE_DELETE, CHANGE_REF, CHANGE_TOTALS };
enum tag { TAG_ZERO, TAG_INT, TAG_BYTES, TAG_NULL, TAG_MAX, TAG_SAME, TAG_COUNT };

static_assert(T_COUNT <= 16, "the table has a nibble");

static enum tag tag_of(const struct table_desc *d, const struct value *cols, unsigned i)
{
	if (d->cols[i] != 'i')
		return cols[i].is_null ? TAG_NULL : TAG_BYTES;
	if (cols[i].i == 0)
		return TAG_ZERO;
	if (cols[i].i == INT64_MAX)
		return TAG_MAX;
	return i > 0 && d->cols[i - 1] == 'i' && cols[i - 1].i == cols[i].i ? TAG_SAME : TAG_INT;
}

static int encode(struct meta *m, enum change change, enum table t, const struct value *cols, unsigned n)
{
	const struct table_desc *d = schema_table(t);
	struct buf *b = &m->effects;
	uint8_t tags[SCHEMA_COLS_MAX];
	int ret = buf_add_u8(b, (uint8_t)(change << 4 | t));

	for (unsigned i = 0; i < n; i++)
		tags[i] = (uint8_t)tag_of(d, cols, i);
	for (unsigned i = 0; i < n && !ret; i += 2)
		ret = buf_add_u8(b, (uint8_t)(tags[i] | (i + 1 < n ? tags[i + 1] << 4 : 0)));
	for (unsigned i = 0; i < n && !ret; i++) {
		if (tags[i] == TAG_INT)
			ret = buf_add_svarint(b, cols[i].i);
		else if (tags[i] == TAG_BYTES)
			ret = buf_add_bytes(b, cols[i].p, cols[i].n);
	}
	return ret;
}

static int bind(sqlite3_stmt *st, const struct table_desc *d, const struct value *cols, unsigned n)
{
	int rc = SQLITE_OK;

	for (unsigned i = 0; i < n && rc == SQLITE_OK; i++) {
		const void *p = cols[i].p ? cols[i].p : "";
		int at = (int)i + 1;

		if (d->cols[i] == 'i')
			rc = sqlite3_bind_int64(st, at, cols[i].i);
		else if (cols[i].is_null)
			rc = sqlite3_bind_null(st, at);
		else if (d->cols[i] == 'b')
			rc = sqlite3_bind_blob64(st, at, p, cols[i].n, SQLITE_STATIC);
		else
			rc = sqlite3_bind_text64(st, at, p, cols[i].n, SQLITE_STATIC, SQLITE_UTF8);
	}
	return rc;
}

int row_write(struct meta *m, enum sql_id id, enum table t, const struct value *cols, unsigned n)
{
	sqlite3_stmt *st;
	int ret = 0;

	if (m->in_op && !m->savepoint) {
		ret = sql_exec(m, SQL_SAVEPOINT);
		m->savepoint = !ret;
	}
	if (!ret)
		ret = sql_stmt(m, id, &st);
	if (ret)
		return ret;
	ret = sql_errno(bind(st, schema_table(t), cols, n));
	if (!ret)
		ret = sql_step(m, st);
	return ret < 0 ? ret : 0;
}

static int missing(const struct table_desc *d)
{
	log_error("metadata: a row of table %s that should be there is not", d->name);
	return -ECORRUPT;
}

/* Both wrap rather than trust what stood in a record. */
static void add_to(int64_t *sum, int64_t delta)
{
	(void)__builtin_add_overflow(*sum, delta, sum);
}

static int64_t times(int64_t a, int64_t b)
{
	int64_t ret;

	(void)__builtin_mul_overflow(a, b, &ret);
	return ret;
}

static void add_chunk_sums(struct meta *m, int sign, int64_t raw, int64_t stored, int64_t refs)
{
	add_to(&m->counters[COUNTER_CHUNKS], sign);
	add_to(&m->counters[COUNTER_RAW_BYTES], times(sign, raw));
	add_to(&m->counters[COUNTER_STORED_BYTES], times(sign, stored));
	add_to(&m->counters[COUNTER_REFERENCED_BYTES], times(times(sign, raw), refs));
}

/* The table's row of a pack has nothing but integers, like the chunk's. */
static int pack_add(struct meta *m, int64_t pack, int64_t chunks, int64_t bytes)
{
	const struct value cols[] = {VI(pack), VI(chunks), VI(bytes)};
	int ret = row_write(m, SQL_PACK_ADD, T_CHUNK, cols, 3);

	return ret || chunks > 0 ? ret : row_write(m, SQL_PACK_DROP_EMPTY, T_CHUNK, cols, 1);
}

struct chunk_sizes {
	int64_t refs, raw, stored, pack;
};

/* >0 when there is no such chunk. */
static int chunk_sizes(struct meta *m, int64_t id, struct chunk_sizes *ret_sizes)
{
	sqlite3_stmt *st;
	int ret = sql_stmt(m, SQL_CHUNK_SIZES, &st);

	if (ret)
		return ret;
	(void)sqlite3_bind_int64(st, 1, id);
	ret = sql_step(m, st);
	if (ret)
		return ret;
	ret_sizes->refs = sqlite3_column_int64(st, 0);
	ret_sizes->raw = sqlite3_column_int64(st, 1);
	ret_sizes->stored = sqlite3_column_int64(st, 2);
	ret_sizes->pack = sqlite3_column_int64(st, 3);
	(void)sqlite3_reset(st);
	return 0;
}

/* Raises counters to the ids in a row, and carries over what is kept in memory. */
static int after_put(struct meta *m, enum table t, const struct value *cols)
{
	struct branch *b;

	switch (t) {
	case T_INODE:
		counter_seen(m, COUNTER_INO, cols[1].i);
		return 0;
	case T_CHUNK:
		counter_seen(m, COUNTER_CHUNK, cols[0].i);
		counter_seen(m, COUNTER_PACK, cols[1].i);
		add_chunk_sums(m, 1, cols[4].i, cols[3].i, cols[9].i);
		return pack_add(m, cols[1].i, 1, cols[3].i);
	case T_FREE:
		counter_seen(m, COUNTER_PACK, cols[0].i);
		return 0;
	case T_BRANCH:
		counter_seen(m, COUNTER_ID, cols[0].i);
		return branch_row_put(m, cols);
	case T_SNAPSHOT:
		counter_seen(m, COUNTER_ID, cols[0].i);
		b = branch_get(m, cols[3].i);
		return b ? branch_refresh_pinned(m, b) : missing(schema_table(T_BRANCH));
	case T_VOLUME:
	case T_REAP:
	case T_PURGE:
		counter_seen(m, COUNTER_ID, cols[0].i);
		return 0;
	case T_NUMBER:
		counter_seen(m, COUNTER_NUMBER, cols[0].i);
		return 0;
	case T_COUNTER:
		if (counter_by_name(cols[0].p, cols[0].n) != COUNTER_EPOCH || cols[1].i <= m->counters[COUNTER_EPOCH])
			return -ECORRUPT;
		m->counters[COUNTER_EPOCH] = cols[1].i;
		return 0;
	default:
		return 0;
	}
}

int row_put(struct meta *m, enum table t, const struct value *cols)
{
	const struct table_desc *d = schema_table(t);
	unsigned n = (unsigned)strlen(d->cols);
	int ret = 0;

	assert(m->in_op);
	/* Counters reach their table at commit. */
	if (pending_takes(t, cols))
		ret = pending_put(m, t, cols);
	else if (t != T_COUNTER)
		ret = row_write(m, d->put, t, cols, n);
	if (!ret)
		ret = after_put(m, t, cols);
	return ret ? ret : encode(m, CHANGE_PUT, t, cols, n);
}

static int update_table(struct meta *m, enum table t, const struct value *cols)
{
	const struct table_desc *d = schema_table(t);
	unsigned n = (unsigned)strlen(d->cols);
	int ret = row_write(m, d->update, t, cols, n);

	if (ret || sqlite3_changes(m->db) > 0)
		return ret;
	if (!d->versioned)
		return missing(d);
	/* The row is there with another `since`, or not at all. */
	ret = row_write(m, d->del, t, cols, d->key_count);
	if (!ret && sqlite3_changes(m->db) == 0)
		return missing(d);
	return ret ? ret : row_write(m, d->put, t, cols, n);
}

/* What pending_update or pending_delete said; >0 when the table itself is to be changed. */
static int passed(struct meta *m, enum table t, int ret)
{
	if (ret > 0)
		pending_passed_by(m);
	return ret == -ENOENT ? missing(schema_table(t)) : ret;
}

/* A chunk moves to another place, before its row does. */
static int chunk_moves(struct meta *m, const struct value *cols)
{
	struct chunk_sizes was;
	int ret = chunk_sizes(m, cols[0].i, &was);

	if (ret)
		return ret < 0 ? ret : missing(schema_table(T_CHUNK));
	if (was.raw != cols[4].i || was.stored != cols[3].i || was.refs != cols[9].i)
		return -ECORRUPT;
	counter_seen(m, COUNTER_PACK, cols[1].i);
	ret = pack_add(m, was.pack, -1, -was.stored);
	return ret ? ret : pack_add(m, cols[1].i, 1, was.stored);
}

int row_update(struct meta *m, enum table t, const struct value *cols)
{
	const struct table_desc *d = schema_table(t);
	unsigned n = (unsigned)strlen(d->cols);
	int ret = 0;

	assert(m->in_op && d->update != SQL_COUNT);
	if (t == T_CHUNK)
		ret = chunk_moves(m, cols);
	if (!ret)
		ret = pending_takes(t, cols) ? passed(m, t, pending_update(m, t, cols)) : 1;
	if (ret > 0)
		ret = update_table(m, t, cols);
	if (!ret && t == T_BRANCH)
		ret = branch_row_put(m, cols);
	return ret ? ret : encode(m, CHANGE_UPDATE, t, cols, n);
}

static int delete_chunk(struct meta *m, const struct value *key)
{
	struct chunk_sizes was;
	int ret = chunk_sizes(m, key[0].i, &was);

	if (ret)
		return ret < 0 ? ret : missing(schema_table(T_CHUNK));
	ret = pack_add(m, was.pack, -1, -was.stored);
	if (!ret)
		ret = row_write(m, SQL_CHUNK_DELETE, T_CHUNK, key, 1);
	if (!ret)
		add_chunk_sums(m, -1, was.raw, was.stored, was.refs);
	return ret;
}

static int delete_snapshot(struct meta *m, const struct value *key)
{
	struct branch *b;
	sqlite3_stmt *st;
	int ret = sql_stmt(m, SQL_SNAPSHOT_BRANCH, &st);

	if (ret)
		return ret;
	(void)sqlite3_bind_int64(st, 1, key[0].i);
	ret = sql_step(m, st);
	if (ret)
		return ret < 0 ? ret : missing(schema_table(T_SNAPSHOT));
	b = branch_get(m, sqlite3_column_int64(st, 0));
	(void)sqlite3_reset(st);
	ret = row_write(m, SQL_SNAPSHOT_DELETE, T_SNAPSHOT, key, 1);
	if (!ret && !b)
		ret = missing(schema_table(T_BRANCH));
	return ret ? ret : branch_refresh_pinned(m, b);
}

int row_delete(struct meta *m, enum table t, const struct value *key)
{
	const struct table_desc *d = schema_table(t);
	int ret;

	assert(m->in_op && d->del != SQL_COUNT);
	ret = pending_takes(t, key) ? passed(m, t, pending_delete(m, t, key)) : 1;
	if (ret > 0) {
		if (t == T_CHUNK)
			ret = delete_chunk(m, key);
		else if (t == T_SNAPSHOT)
			ret = delete_snapshot(m, key);
		else
			ret = row_write(m, d->del, t, key, d->key_count);
		if (!ret && sqlite3_changes(m->db) == 0)
			return missing(d);
	}
	if (!ret && t == T_BRANCH)
		ret = branch_row_deleted(m, key[0].i);
	return ret ? ret : encode(m, CHANGE_DELETE, t, key, d->key_count);
}

int row_chunk_ref(struct meta *m, uint64_t id, int64_t delta)
{
	const struct table_desc *d = schema_table(T_CHUNK);
	struct value cols[2];
	struct chunk_sizes was;
	int64_t refs;
	int ret = chunk_sizes(m, (int64_t)id, &was);

	assert(m->in_op);
	if (ret)
		return ret < 0 ? ret : missing(d);
	if (__builtin_add_overflow(was.refs, delta, &refs) || refs < 0) {
		log_error("metadata: chunk %llu would have %lld references", (unsigned long long)id, (long long)refs);
		return -ECORRUPT;
	}
	cols[0] = VI(id);
	cols[1] = VI(refs);
	ret = row_write(m, SQL_CHUNK_SET_REFS, T_CHUNK, cols, 2);
	if (ret)
		return ret;
	add_to(&m->counters[COUNTER_REFERENCED_BYTES], times(delta, was.raw));
	ret = buf_add_u8(&m->effects, CHANGE_REF << 4 | T_CHUNK);
	if (!ret)
		ret = buf_add_varint(&m->effects, id);
	return ret ? ret : buf_add_svarint(&m->effects, delta);
}

int row_branch_totals(struct meta *m, struct branch *b, int64_t bytes, int64_t inodes)
{
	int ret = branch_touch(m, b);

	assert(m->in_op);
	if (ret)
		return ret;
	add_to(&b->bytes, bytes);
	add_to(&b->inodes, inodes);
	b->totals_dirty_ = true;
	ret = buf_add_u8(&m->effects, CHANGE_TOTALS << 4 | T_BRANCH);
	if (!ret)
		ret = buf_add_varint(&m->effects, (uint64_t)b->id);
	if (!ret)
		ret = buf_add_svarint(&m->effects, bytes);
	return ret ? ret : buf_add_svarint(&m->effects, inodes);
}

/* Reads n columns as encode wrote them. */
static int decode(struct buf_reader *r, const struct table_desc *d, unsigned n, struct value *cols)
{
	const uint8_t *tags = buf_get_raw(r, (n + 1) / 2);

	if (!tags)
		return -ECORRUPT;
	for (unsigned i = 0; i < n; i++) {
		unsigned tag = i % 2 ? tags[i / 2] >> 4 : tags[i / 2] & 15;
		bool is_int = d->cols[i] == 'i';

		cols[i] = VI(0);
		if (tag == TAG_ZERO && is_int)
			continue;
		else if (tag == TAG_INT && is_int)
			cols[i].i = buf_get_svarint(r);
		else if (tag == TAG_MAX && is_int)
			cols[i].i = INT64_MAX;
		else if (tag == TAG_SAME && is_int && i > 0 && d->cols[i - 1] == 'i')
			cols[i].i = cols[i - 1].i;
		else if (tag == TAG_BYTES && !is_int)
			cols[i].p = buf_get_bytes(r, &cols[i].n);
		else if (tag == TAG_NULL && !is_int)
			cols[i] = VNULL;
		else
			return -ECORRUPT;
		if (r->bad)
			return -ECORRUPT;
	}
	return 0;
}

static int apply_delta(struct meta *m, struct buf_reader *r, unsigned kind, unsigned t)
{
	uint64_t id = buf_get_varint(r);
	int64_t first = buf_get_svarint(r), second;
	struct branch *b;

	if (kind == CHANGE_REF && t == T_CHUNK)
		return r->bad ? -ECORRUPT : row_chunk_ref(m, id, first);
	if (kind != CHANGE_TOTALS || t != T_BRANCH)
		return -ECORRUPT;
	second = buf_get_svarint(r);
	b = r->bad ? NULL : branch_get(m, (int64_t)id);
	return b ? row_branch_totals(m, b, first, second) : -ECORRUPT;
}

static int apply_one(struct meta *m, struct buf_reader *r)
{
	struct value cols[SCHEMA_COLS_MAX];
	uint8_t head = buf_get_u8(r);
	unsigned kind = head >> 4, t = head & 15;
	const struct table_desc *d = schema_table(t);
	int ret;

	if (r->bad || !d)
		return -ECORRUPT;
	if (kind == CHANGE_REF || kind == CHANGE_TOTALS)
		return apply_delta(m, r, kind, t);
	if (kind < CHANGE_PUT || kind > CHANGE_DELETE || (kind == CHANGE_UPDATE && d->update == SQL_COUNT) ||
	    (kind == CHANGE_DELETE && d->del == SQL_COUNT && t != T_RETIRED))
		return -ECORRUPT;
	ret = decode(r, d, kind == CHANGE_DELETE ? d->key_count : (unsigned)strlen(d->cols), cols);
	if (ret || t == T_RETIRED)
		return ret;
	if (kind == CHANGE_PUT)
		return row_put(m, t, cols);
	return kind == CHANGE_UPDATE ? row_update(m, t, cols) : row_delete(m, t, cols);
}

int meta_apply(struct meta *m, const void *effects, size_t len)
{
	struct buf_reader r = buf_reader(effects, len);
	int ret = 0;

	while (!ret && buf_reader_left(&r) > 0)
		ret = apply_one(m, &r);
	return ret;
}
