#include "tests/unit/meta/fixture.h"

#include "store/meta/chunk_table.h"

static void begin(struct fixture *f)
{
	fixture_open(f);
	assert_int_equal(meta_op_begin(f->m), 0);
}

static void end(struct fixture *f)
{
	assert_int_equal(meta_op_end(f->m), 0);
	fixture_close(f);
}

static struct chunk_row add(struct fixture *f, uint32_t pack, uint32_t off, uint64_t hash, bool indexed)
{
	struct chunk_row row = {.pack = pack, .off = off, .stored_len = 1000, .raw_len = 5000, .codec = 1, .indexed = indexed,
				.hash_lo = hash, .hash_hi = UINT64_MAX, .refs = 99};

	assert_int_equal(chunk_add(f->m, &row), 0);
	return row;
}

static void test_add_get(void **state)
{
	struct fixture f;
	struct chunk_row row, got;

	(void)state;
	begin(&f);
	row = add(&f, UINT32_MAX, 4096, UINT64_MAX - 1, true);
	assert_int_equal(row.id, 1);
	assert_int_equal(row.refs, 0);
	assert_int_equal(chunk_get(f.m, row.id, &got), 0);
	assert_int_equal(got.pack, UINT32_MAX);
	assert_int_equal(got.off, 4096);
	assert_int_equal(got.stored_len, 1000);
	assert_int_equal(got.raw_len, 5000);
	assert_int_equal(got.codec, 1);
	assert_true(got.indexed);
	assert_true(got.hash_lo == UINT64_MAX - 1 && got.hash_hi == UINT64_MAX);
	assert_int_equal(got.refs, 0);
	assert_int_equal(chunk_get(f.m, 2, &got), -ENOENT);
	assert_int_equal(add(&f, 1, 1, 1, false).id, 2);
	end(&f);
}

/* Contents of one hash are all found, in order of age; what is not indexed is not. */
static void test_find(void **state)
{
	struct fixture f;
	struct chunk_row got;

	(void)state;
	begin(&f);
	(void)add(&f, 1, 100, 42, true);
	(void)add(&f, 1, 200, 42, false);
	(void)add(&f, 1, 300, 42, true);
	(void)add(&f, 1, 400, 43, true);
	assert_int_equal(chunk_find(f.m, 42, UINT64_MAX, 5000, 0, &got), 0);
	assert_int_equal(got.id, 1);
	assert_int_equal(chunk_find(f.m, 42, UINT64_MAX, 5000, 1, &got), 0);
	assert_int_equal(got.id, 3);
	assert_true(chunk_find(f.m, 42, UINT64_MAX, 5000, 2, &got) > 0);
	assert_true(chunk_find(f.m, 42, UINT64_MAX, 5001, 0, &got) > 0);
	assert_true(chunk_find(f.m, 42, 0, 5000, 0, &got) > 0);
	end(&f);
}

static void test_refs(void **state)
{
	struct fixture f;
	struct chunk_row row, got;
	struct chunk_totals t;
	int quiet;

	(void)state;
	begin(&f);
	row = add(&f, 1, 100, 1, true);
	assert_int_equal(chunk_ref(f.m, row.id, 3), 0);
	assert_int_equal(chunk_ref(f.m, row.id, -1), 0);
	assert_int_equal(chunk_get(f.m, row.id, &got), 0);
	assert_int_equal(got.refs, 2);
	assert_int_equal(chunk_totals(f.m, &t), 0);
	assert_int_equal(t.chunks, 1);
	assert_int_equal(t.raw_bytes, 5000);
	assert_int_equal(t.stored_bytes, 1000);
	assert_int_equal(t.referenced_bytes, 10000);
	quiet = fixture_quiet();
	assert_int_equal(chunk_ref(f.m, row.id, -3), -ECORRUPT);
	assert_int_equal(chunk_ref(f.m, 77, 1), -ECORRUPT);
	fixture_loud(quiet);
	assert_int_equal(chunk_get(f.m, row.id, &got), 0);
	assert_int_equal(got.refs, 2);
	end(&f);
}

static void test_collect(void **state)
{
	struct fixture f;
	struct free_row free = {0};
	struct chunk_row got;
	struct chunk_totals t;
	unsigned n;

	(void)state;
	begin(&f);
	for (uint32_t i = 0; i < 10; i++)
		(void)add(&f, 1 + i % 2, 96 + 4096 * i, i, true);
	assert_int_equal(chunk_ref(f.m, 4, 1), 0);
	assert_int_equal(chunk_collect(f.m, 9, 5, &n), 0);
	assert_int_equal(n, 5);
	assert_int_equal(chunk_collect(f.m, 9, 100, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(chunk_collect(f.m, 9, 100, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(chunk_get(f.m, 4, &got), 0);
	assert_int_equal(chunk_get(f.m, 9, &got), 0);
	assert_int_equal(chunk_get(f.m, 3, &got), -ENOENT);
	assert_true(chunk_find(f.m, 2, UINT64_MAX, 5000, 0, &got) > 0);
	assert_int_equal(chunk_totals(f.m, &t), 0);
	assert_int_equal(t.chunks, 3);
	/* In order of place, whole records */
	for (n = 0; free_next(f.m, free.pack, free.off, &free) == 0; n++) {
		static const uint32_t ids[] = {0, 2, 4, 6, 1, 5, 7};

		assert_int_equal(free.pack, n < 4 ? 1 : 2);
		assert_int_equal(free.off, 4096 * ids[n]);
		assert_int_equal(free.len, 1000 + PACK_RECORD_HEADER_LEN);
		/* Deleting goes with walking. */
		if (n > 0)
			assert_int_equal(free_delete(f.m, free.pack, free.off), 0);
	}
	assert_int_equal(n, 7);
	/* The key (0, 0) of the start must not hide a range at the very front of pack 1: it comes after pack 0. */
	assert_int_equal(free_next(f.m, 0, 0, &free), 0);
	assert_int_equal(free.pack, 1);
	assert_int_equal(free.off, 0);
	end(&f);
}

static void test_packs(void **state)
{
	struct fixture f;
	struct chunk_row rows[8], row;
	struct pack_usage u;
	struct free_row free;
	size_t n;

	(void)state;
	begin(&f);
	assert_int_equal(pack_usage(f.m, 3, &u), 0);
	assert_int_equal(u.live_chunks, 0);
	for (uint32_t i = 0; i < 6; i++)
		row = add(&f, i < 4 ? 3 : 7, 9096 - 1500 * i, i, true);
	assert_int_equal(pack_usage(f.m, 3, &u), 0);
	assert_int_equal(u.pack, 3);
	assert_int_equal(u.live_chunks, 4);
	assert_int_equal(u.live_bytes, 4 * (1000 + PACK_RECORD_HEADER_LEN));
	assert_int_equal(chunk_by_pack(f.m, 3, 0, rows, 3, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(rows[0].id, 4);
	assert_int_equal(rows[2].id, 2);
	assert_int_equal(chunk_by_pack(f.m, 3, rows[2].off, rows, 8, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(rows[0].id, 1);
	assert_int_equal(chunk_by_pack(f.m, 4, 0, rows, 8, &n), 0);
	assert_int_equal(n, 0);
	/* A chunk moves: its old place is free, and keeps its pack in the list. */
	assert_int_equal(chunk_move(f.m, row.id, 9, 500), 0);
	assert_int_equal(chunk_move(f.m, 5, 9, 2500), 0);
	assert_int_equal(chunk_get(f.m, row.id, &row), 0);
	assert_int_equal(row.pack, 9);
	assert_int_equal(row.off, 500);
	assert_int_equal(free_next(f.m, 0, 0, &free), 0);
	assert_int_equal(free.pack, 7);
	assert_int_equal(free.off, 9096 - 7500 - PACK_RECORD_HEADER_LEN);
	assert_int_equal(meta_last_pack(f.m), 9);
	assert_int_equal(pack_usage(f.m, 7, &u), 0);
	assert_int_equal(u.live_chunks, 0);
	assert_int_equal(u.live_bytes, 0);
	assert_int_equal(pack_usage(f.m, 9, &u), 0);
	assert_int_equal(u.live_chunks, 2);
	assert_int_equal(u.live_bytes, 2 * (1000 + PACK_RECORD_HEADER_LEN));
	end(&f);
}

/* A dead range reaches from one live record to the next, whatever died in it at other times. */
static void test_widen(void **state)
{
	struct fixture f;
	uint64_t off = 5000, end_ = 5100;

	(void)state;
	begin(&f);
	assert_int_equal(pack_widen(f.m, 3, &off, &end_), 0);
	assert_int_equal(off, 0);
	assert_true(end_ == UINT64_MAX);
	(void)add(&f, 3, 96, 1, true);   /* ends at 1096 */
	(void)add(&f, 3, 9000, 2, true); /* begins at 8904 */
	off = 5000;
	end_ = 5100;
	assert_int_equal(pack_widen(f.m, 3, &off, &end_), 0);
	assert_int_equal(off, 1096);
	assert_int_equal(end_, 8904);
	assert_int_equal(pack_widen(f.m, 3, &off, &end_), 0);
	assert_int_equal(off, 1096);
	assert_int_equal(end_, 8904);
	off = 1000;
	assert_int_equal(pack_widen(f.m, 3, &off, &end_), -ECORRUPT);
	end(&f);
}

static void test_scan(void **state)
{
	struct fixture f;
	struct chunk_row rows[4];
	uint64_t after = 0, seen = 0;
	size_t n;

	(void)state;
	begin(&f);
	for (uint32_t i = 0; i < 10; i++)
		(void)add(&f, 1, 96 + i * 2000, i, false);
	do {
		assert_int_equal(chunk_scan(f.m, after, rows, 4, &n), 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(rows[i].id, ++seen);
		after = seen;
	} while (n == 4);
	assert_int_equal(seen, 10);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_get), cmocka_unit_test(test_find),  cmocka_unit_test(test_refs),
		cmocka_unit_test(test_collect), cmocka_unit_test(test_packs), cmocka_unit_test(test_scan),
		cmocka_unit_test(test_widen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
