/* Counters live in memory and are written as rows by meta_commit. Effects carry only the epoch; the ids are raised
 * from the rows that are seen when effects are applied (row.c), and the sums of the chunk table follow its rows. */
#include <assert.h>
#include <string.h>

#include "store/meta/chunk_table.h"
#include "store/meta/meta_internal.h"

#define INO_FIRST 16
#define NUMBER_MAX ((1 << 23) - 1)

static const char *const counter_names[COUNTER_COUNT] = {
	[COUNTER_INO] = "ino",
	[COUNTER_CHUNK] = "chunk",
	[COUNTER_PACK] = "pack",
	[COUNTER_NUMBER] = "number",
	[COUNTER_ID] = "id",
	[COUNTER_EPOCH] = "epoch",
	[COUNTER_ROWS_SEQ] = "rows_seq",
	[COUNTER_DATA_SEQ] = "data_seq",
	[COUNTER_CHUNKS] = "chunks",
	[COUNTER_RAW_BYTES] = "raw_bytes",
	[COUNTER_STORED_BYTES] = "stored_bytes",
	[COUNTER_REFERENCED_BYTES] = "referenced_bytes",
};

int counter_by_name(const char *name, size_t len)
{
	for (int c = 0; c < COUNTER_COUNT; c++)
		if (strlen(counter_names[c]) == len && !memcmp(counter_names[c], name, len))
			return c;
	return -1;
}

int counter_load(struct meta *m)
{
	int64_t loaded[COUNTER_COUNT] = {[COUNTER_INO] = INO_FIRST - 1, [COUNTER_EPOCH] = 1};
	sqlite3_stmt *st;
	int ret = sql_stmt(m, SQL_COUNTER_ALL, &st);

	if (ret)
		return ret;
	while ((ret = sql_step(m, st)) == 0) {
		int c = counter_by_name((const char *)sqlite3_column_text(st, 0), (size_t)sqlite3_column_bytes(st, 0));

		if (c >= 0)
			loaded[c] = sqlite3_column_int64(st, 1);
	}
	if (ret < 0)
		return ret;
	memcpy(m->counters_stored, loaded, sizeof loaded);
	for (int c = 0; c < COUNTER_COUNT; c++)
		if (c > COUNTER_ID || loaded[c] > m->counters[c])
			m->counters[c] = loaded[c];
	return 0;
}

int counter_store(struct meta *m)
{
	sqlite3_stmt *st;
	int ret;

	for (int c = 0; c < COUNTER_COUNT; c++) {
		if (m->counters[c] == m->counters_stored[c])
			continue;
		ret = sql_stmt(m, SQL_COUNTER_PUT, &st);
		if (ret)
			return ret;
		(void)sqlite3_bind_text(st, 1, counter_names[c], -1, SQLITE_STATIC);
		(void)sqlite3_bind_int64(st, 2, m->counters[c]);
		ret = sql_step(m, st);
		if (ret < 0)
			return ret;
	}
	return 0;
}

void counter_seen(struct meta *m, enum counter c, int64_t value)
{
	if (value > m->counters[c])
		m->counters[c] = value;
}

int64_t meta_now(const struct meta *m)
{
	return m->counters[COUNTER_EPOCH];
}

int meta_epoch_advance(struct meta *m, int64_t *ret_view_epoch)
{
	int64_t epoch = m->counters[COUNTER_EPOCH];
	struct value cols[] = {VB(counter_names[COUNTER_EPOCH], strlen(counter_names[COUNTER_EPOCH])), VI(epoch + 1)};
	int ret = row_put(m, T_COUNTER, cols);

	if (!ret)
		*ret_view_epoch = epoch;
	return ret;
}

uint64_t meta_next_ino(struct meta *m)
{
	return (uint64_t)++m->counters[COUNTER_INO];
}

uint64_t meta_reserve_inos(struct meta *m, uint64_t n)
{
	uint64_t first = (uint64_t)m->counters[COUNTER_INO] + 1;

	m->counters[COUNTER_INO] += (int64_t)n;
	return first;
}

uint64_t meta_last_ino(const struct meta *m)
{
	return (uint64_t)m->counters[COUNTER_INO];
}

uint64_t meta_next_chunk(struct meta *m)
{
	return (uint64_t)++m->counters[COUNTER_CHUNK];
}

uint64_t meta_last_chunk(const struct meta *m)
{
	return (uint64_t)m->counters[COUNTER_CHUNK];
}

uint32_t meta_next_pack(struct meta *m)
{
	assert(m->counters[COUNTER_PACK] < UINT32_MAX);
	return (uint32_t)++m->counters[COUNTER_PACK];
}

uint32_t meta_last_pack(const struct meta *m)
{
	return (uint32_t)m->counters[COUNTER_PACK];
}

uint32_t meta_next_number(struct meta *m)
{
	assert(m->counters[COUNTER_NUMBER] < NUMBER_MAX);
	return (uint32_t)++m->counters[COUNTER_NUMBER];
}

int64_t meta_next_id(struct meta *m)
{
	return ++m->counters[COUNTER_ID];
}

int chunk_totals(struct meta *m, struct chunk_totals *ret)
{
	ret->chunks = (uint64_t)m->counters[COUNTER_CHUNKS];
	ret->raw_bytes = (uint64_t)m->counters[COUNTER_RAW_BYTES];
	ret->stored_bytes = (uint64_t)m->counters[COUNTER_STORED_BYTES];
	ret->referenced_bytes = (uint64_t)m->counters[COUNTER_REFERENCED_BYTES];
	return 0;
}
