#include "store/meta/chunk_table.h"

#include "store/meta/meta_internal.h"

enum { COL_ID, COL_PACK, COL_OFF, COL_STORED_LEN, COL_RAW_LEN, COL_CODEC, COL_INDEXED, COL_HASH_LO, COL_HASH_HI, COL_REFS, COL_COUNT };

static void read_row(sqlite3_stmt *st, struct chunk_row *ret)
{
	*ret = (struct chunk_row){
		.id = (uint64_t)sqlite3_column_int64(st, COL_ID),
		.pack = (uint32_t)sqlite3_column_int64(st, COL_PACK),
		.off = (uint32_t)sqlite3_column_int64(st, COL_OFF),
		.stored_len = (uint32_t)sqlite3_column_int64(st, COL_STORED_LEN),
		.raw_len = (uint32_t)sqlite3_column_int64(st, COL_RAW_LEN),
		.codec = (uint8_t)sqlite3_column_int64(st, COL_CODEC),
		.indexed = sqlite3_column_int64(st, COL_INDEXED) != 0,
		.hash_lo = (uint64_t)sqlite3_column_int64(st, COL_HASH_LO),
		.hash_hi = (uint64_t)sqlite3_column_int64(st, COL_HASH_HI),
		.refs = sqlite3_column_int64(st, COL_REFS),
	};
}

static void fill(struct value *cols, const struct chunk_row *row)
{
	cols[COL_ID] = VI(row->id);
	cols[COL_PACK] = VI(row->pack);
	cols[COL_OFF] = VI(row->off);
	cols[COL_STORED_LEN] = VI(row->stored_len);
	cols[COL_RAW_LEN] = VI(row->raw_len);
	cols[COL_CODEC] = VI(row->codec);
	cols[COL_INDEXED] = VI(row->indexed);
	cols[COL_HASH_LO] = VI(row->hash_lo);
	cols[COL_HASH_HI] = VI(row->hash_hi);
	cols[COL_REFS] = VI(row->refs);
}

/* The first row of a statement with these integer parameters; >0 when it has none. The statement must be reset. */
static int first(struct meta *m, enum sql_id id, const int64_t *params, int n, sqlite3_stmt **ret)
{
	int err = sql_stmt(m, id, ret);

	if (err)
		return err;
	for (int i = 0; i < n; i++)
		(void)sqlite3_bind_int64(*ret, i + 1, params[i]);
	return sql_step(m, *ret);
}

static int one_chunk(struct meta *m, enum sql_id id, const int64_t *params, int n, struct chunk_row *ret)
{
	sqlite3_stmt *st;
	int err = first(m, id, params, n, &st);

	if (err)
		return err;
	read_row(st, ret);
	(void)sqlite3_reset(st);
	return 0;
}

static int many_chunks(struct meta *m, enum sql_id id, const int64_t *params, int n, struct chunk_row *ret, size_t max,
		       size_t *ret_n)
{
	sqlite3_stmt *st;
	size_t got = 0;
	int err = first(m, id, params, n, &st);

	while (!err && got < max) {
		read_row(st, &ret[got++]);
		err = sql_step(m, st);
	}
	if (err < 0)
		return err;
	(void)sqlite3_reset(st);
	*ret_n = got;
	return 0;
}

int chunk_get(struct meta *m, uint64_t id, struct chunk_row *ret)
{
	int err = one_chunk(m, SQL_CHUNK_GET, (int64_t[]){(int64_t)id}, 1, ret);

	return err > 0 ? -ENOENT : err;
}

int chunk_find(struct meta *m, uint64_t hash_lo, uint64_t hash_hi, uint32_t raw_len, int nth, struct chunk_row *ret)
{
	return one_chunk(m, SQL_CHUNK_FIND, (int64_t[]){(int64_t)hash_lo, (int64_t)hash_hi, raw_len, nth}, 4, ret);
}

int chunk_add(struct meta *m, struct chunk_row *row)
{
	struct value cols[COL_COUNT];

	row->id = meta_next_chunk(m);
	row->refs = 0;
	fill(cols, row);
	return row_put(m, T_CHUNK, cols);
}

int chunk_ref(struct meta *m, uint64_t id, int64_t delta)
{
	return row_chunk_ref(m, id, delta);
}

static int free_put(struct meta *m, const struct chunk_row *row)
{
	struct value cols[] = {VI(row->pack), VI(row->off - PACK_RECORD_HEADER_LEN),
			       VI(row->stored_len + PACK_RECORD_HEADER_LEN), VI(0)};

	return row->off < PACK_RECORD_HEADER_LEN ? -ECORRUPT : row_put(m, T_FREE, cols);
}

int chunk_move(struct meta *m, uint64_t id, uint32_t pack, uint32_t off)
{
	struct value cols[COL_COUNT];
	struct chunk_row row;
	int ret = chunk_get(m, id, &row);

	if (!ret)
		ret = free_put(m, &row);
	if (ret)
		return ret;
	row.pack = pack;
	row.off = off;
	fill(cols, &row);
	return row_update(m, T_CHUNK, cols);
}

int chunk_replace(struct meta *m, uint64_t id, const struct chunk_row *place)
{
	struct value cols[COL_COUNT], key[1] = {VI(id)};
	struct chunk_row row;
	int ret = chunk_get(m, id, &row);

	if (!ret)
		ret = free_put(m, &row);
	/* not an update: the sums over the table follow rows that come and go */
	if (!ret)
		ret = row_delete(m, T_CHUNK, key);
	if (ret)
		return ret;
	row.pack = place->pack;
	row.off = place->off;
	row.stored_len = place->stored_len;
	row.codec = place->codec;
	fill(cols, &row);
	return row_put(m, T_CHUNK, cols);
}

int chunk_collect(struct meta *m, uint64_t before_id, unsigned max, unsigned *ret_n)
{
	unsigned n;

	for (n = 0; n < max; n++) {
		struct chunk_row row;
		struct value key[1];
		int ret = one_chunk(m, SQL_CHUNK_DEAD, (int64_t[]){(int64_t)before_id}, 1, &row);

		if (ret > 0)
			break;
		if (ret)
			return ret;
		key[0] = VI(row.id);
		ret = row_delete(m, T_CHUNK, key);
		if (!ret)
			ret = free_put(m, &row);
		if (ret)
			return ret;
	}
	*ret_n = n;
	return 0;
}

int free_next(struct meta *m, uint32_t pack, uint32_t off, struct free_row *ret)
{
	sqlite3_stmt *st;
	int err = first(m, SQL_FREE_NEXT, (int64_t[]){pack, off}, 2, &st);

	if (err)
		return err;
	ret->pack = (uint32_t)sqlite3_column_int64(st, 0);
	ret->off = (uint32_t)sqlite3_column_int64(st, 1);
	ret->len = (uint32_t)sqlite3_column_int64(st, 2);
	ret->epoch_seq = sqlite3_column_int64(st, 3);
	(void)sqlite3_reset(st);
	return 0;
}

int free_delete(struct meta *m, uint32_t pack, uint32_t off)
{
	struct value key[] = {VI(pack), VI(off)};

	return row_delete(m, T_FREE, key);
}

int pack_usage(struct meta *m, uint32_t pack, struct pack_usage *ret)
{
	sqlite3_stmt *st;
	int err = first(m, SQL_PACK_USAGE, (int64_t[]){pack}, 1, &st);

	*ret = (struct pack_usage){.pack = pack};
	if (err)
		return err < 0 ? err : 0;
	ret->live_chunks = (uint64_t)sqlite3_column_int64(st, 0);
	ret->live_bytes = (uint64_t)sqlite3_column_int64(st, 1) + ret->live_chunks * PACK_RECORD_HEADER_LEN;
	(void)sqlite3_reset(st);
	return 0;
}

int pack_widen(struct meta *m, uint32_t pack, uint64_t *off, uint64_t *end)
{
	sqlite3_stmt *st;
	uint64_t low = 0, high = UINT64_MAX;
	int err = first(m, SQL_PACK_BEFORE, (int64_t[]){pack, (int64_t)*off}, 2, &st);

	if (!err) {
		low = (uint64_t)sqlite3_column_int64(st, 0);
		(void)sqlite3_reset(st);
	}
	if (err >= 0)
		err = first(m, SQL_PACK_AFTER, (int64_t[]){pack, (int64_t)*end}, 2, &st);
	if (!err) {
		high = (uint64_t)sqlite3_column_int64(st, 0) - PACK_RECORD_HEADER_LEN;
		(void)sqlite3_reset(st);
	}
	if (err < 0)
		return err;
	if (low > *off || high < *end) /* a record that lives overlaps it */
		return -ECORRUPT;
	*off = low;
	*end = high;
	return 0;
}

int chunk_by_pack(struct meta *m, uint32_t pack, uint32_t off, struct chunk_row *ret, size_t max, size_t *ret_n)
{
	return many_chunks(m, SQL_CHUNK_BY_PACK, (int64_t[]){pack, off, (int64_t)max}, 3, ret, max, ret_n);
}

int chunk_scan(struct meta *m, uint64_t id, struct chunk_row *ret, size_t max, size_t *ret_n)
{
	return many_chunks(m, SQL_CHUNK_SCAN, (int64_t[]){(int64_t)id, (int64_t)max}, 2, ret, max, ret_n);
}
