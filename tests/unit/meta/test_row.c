#include "tests/unit/meta/fixture.h"

#include "store/meta/catalog.h"
#include "store/meta/chunk_table.h"

enum { KEYS = 24, KINDS = 16 };

/* What a random history has made so far, so that it changes only what is there. Versioned rows are all on branch 1. */
struct history {
	struct meta *m;
	unsigned seed;
	bool present[4][KEYS];
	int64_t volumes[KEYS], snapshots[KEYS];
	uint64_t chunks;
};

static unsigned pick(struct history *h, unsigned n)
{
	h->seed = h->seed * 1103515245 + 12345;
	return (h->seed >> 16) % n;
}

static int versioned(struct history *h, int64_t branch)
{
	static const char *const names[] = {"a", "", "a longer name", "\001target"};
	unsigned kind = pick(h, 4), k = pick(h, KEYS), rnd = pick(h, 1000);
	struct value until = VI(k % 3 ? META_LIVE : 7), since = VI(1 + k % 2), name = VB(names[k % 4], strlen(names[k % 4]));
	struct value inode[] = {VI(branch), VI(16 + k), until,	since,	 VI(0100644), VI(rnd), VI(rnd), VI(1),	       VI(0),
				VI(-5),	    VI(rnd),	VI(rnd), VI(rnd), VI(rnd * 1000000007LL), VI(0), VI(META_LIVE), VI(2), VI(0)};
	struct value dirent[] = {VI(branch), VI(2), VI(16 + k), name, until, since, VI(rnd), VI(8)};
	struct value xattr[] = {VI(branch), VI(16 + k), name, until, since, rnd % 3 ? VB("value\0x", rnd % 8) : VNULL};
	struct value extent[] = {VI(branch), VI(16), VI(k * 4096), until, since, VI(rnd), VI(rnd), VI(rnd)};
	struct value *rows[] = {inode, dirent, xattr, extent};
	static const enum table tables[] = {T_INODE, T_DIRENT, T_XATTR, T_EXTENT};
	bool *present = &h->present[kind][k];

	if (*present && pick(h, 3) == 0) {
		*present = false;
		return row_delete(h->m, tables[kind], rows[kind]);
	}
	if (*present && pick(h, 2)) {
		/* Also with another `since`, which takes another way. */
		if (pick(h, 4) == 0)
			rows[kind][kind == 0 ? 3 : kind == 1 ? 5 : 4] = VI(3);
		return row_update(h->m, tables[kind], rows[kind]);
	}
	*present = true;
	return row_put(h->m, tables[kind], rows[kind]);
}

static int catalog(struct history *h, struct branch *b)
{
	unsigned k = pick(h, KEYS);
	int64_t *id = pick(h, 2) ? &h->volumes[k] : &h->snapshots[k];
	bool is_volume = id == &h->volumes[k], fresh = *id == 0;
	struct volume_row v = {.branch = b->id, .root_ino = k, .quota_bytes = -1, .options = k % 2 ? (char *)"{}" : NULL};
	struct snapshot_row s = {.volume = 1, .branch = b->id, .epoch = meta_now(h->m) - 1, .created = k, .bytes = 3};
	int64_t old = *id;

	if (!fresh && pick(h, 2)) {
		*id = 0;
		return is_volume ? volume_delete(h->m, old) : snapshot_delete(h->m, old);
	}
	if (fresh)
		*id = meta_next_id(h->m);
	v.id = s.id = *id;
	(void)snprintf(v.name, sizeof v.name, "v%lld-%u", (long long)*id, pick(h, 9));
	(void)snprintf(s.name, sizeof s.name, "s%lld-%u", (long long)*id, pick(h, 9));
	if (is_volume)
		return volume_put(h->m, &v);
	if (!fresh) {
		struct snapshot_row was;

		assert_int_equal(snapshot_by_id(h->m, old, &was), 0);
		s.branch = was.branch;
		s.epoch = was.epoch;
	}
	return snapshot_put(h->m, &s);
}

static int chunks(struct history *h)
{
	struct chunk_row row = {.pack = meta_last_pack(h->m) ? meta_last_pack(h->m) : meta_next_pack(h->m),
				.off = 96 + 4096 * (uint32_t)meta_next_chunk(h->m), .stored_len = 100, .raw_len = 200 + pick(h, 100),
				.indexed = true, .hash_lo = UINT64_MAX - pick(h, 5), .hash_hi = pick(h, 3)};
	struct chunk_row got;
	unsigned n;

	if (pick(h, 3) == 0 || !h->chunks) {
		int ret = chunk_add(h->m, &row);

		h->chunks = row.id;
		return ret ? ret : chunk_ref(h->m, row.id, pick(h, 3));
	}
	if (pick(h, 10) == 0)
		return chunk_collect(h->m, h->chunks, 3, &n);
	if (chunk_get(h->m, 1 + pick(h, (unsigned)h->chunks), &got) == -ENOENT)
		return 0;
	if (pick(h, 4) == 0)
		return chunk_move(h->m, got.id, meta_next_pack(h->m), 96);
	return got.refs && pick(h, 2) ? chunk_ref(h->m, got.id, -1) : chunk_ref(h->m, got.id, 2);
}

static int branches(struct history *h, struct branch **b)
{
	struct meta_view view = {*b, meta_now(h->m) - 1};
	int64_t epoch;

	switch (pick(h, 5)) {
	case 0:
		return view.epoch > 0 ? branch_create(h->m, &view, pick(h, 100), 1, b) : 0;
	case 1:
		return branch_cut_parent(h->m, *b);
	case 2:
		return branch_set_head(h->m, *b, pick(h, 2));
	case 3:
		return meta_epoch_advance(h->m, &epoch);
	default:
		return branch_add_totals(h->m, *b, 5 - (int)pick(h, 10), pick(h, 3));
	}
}

static int others(struct history *h)
{
	struct number_row number = {.number = meta_next_number(h->m), .kind = NUMBER_HEAD, .epoch = META_HEAD};
	struct value reap[] = {VI(meta_next_id(h->m)), VI(1), VI(0), VI(META_LIVE), VI(META_HEAD)};
	struct value purge[] = {VI(meta_next_id(h->m)), VI(1), VI(2), VI(3), VI(4)};
	int ret = number_put(h->m, &number);

	if (!ret)
		ret = row_put(h->m, T_REAP, reap);
	if (!ret)
		ret = row_put(h->m, T_PURGE, purge);
	reap[1] = VI(4);
	purge[1] = VI(9);
	if (!ret && pick(h, 2))
		ret = row_update(h->m, T_REAP, reap);
	if (!ret && pick(h, 2))
		ret = row_update(h->m, T_PURGE, purge);
	return !ret && pick(h, 2) ? number_delete(h->m, number.number) : ret;
}

static void random_op(struct history *h, struct branch **b)
{
	for (unsigned n = 1 + pick(h, 6); n > 0; n--) {
		unsigned what = pick(h, 10);
		int ret = what < 5	? versioned(h, 1)
			  : what < 6	? catalog(h, *b)
			  : what < 8	? chunks(h)
			  : what < 9	? branches(h, b)
					: others(h);

		assert_int_equal(ret, 0);
	}
}

static void assert_same(struct meta *a, struct meta *b)
{
	struct buf da = fixture_dump(a), db = fixture_dump(b);

	assert_same_dump(da, db);
	buf_free(&da);
	buf_free(&db);
}

static void test_round_trip(void **state)
{
	struct fixture a, b;
	struct history h = {.seed = 7};
	struct branch *branch, *root;

	(void)state;
	fixture_open(&a);
	fixture_open(&b);
	h.m = a.m;
	root = branch = fixture_root_branch(a.m);
	assert_int_equal(meta_op_begin(b.m), 0);
	assert_int_equal(meta_apply(b.m, meta_effects(a.m)->data, meta_effects(a.m)->len), 0);
	assert_int_equal(meta_op_end(b.m), 0);
	for (unsigned i = 1; i <= 1500; i++) {
		struct history before = h;
		struct branch *before_branch = branch;
		struct buf dump = fixture_dump(a.m);

		assert_int_equal(meta_op_begin(a.m), 0);
		random_op(&h, &branch);
		if (i % 7 == 0) {
			meta_op_abort(a.m);
			assert_false(meta_lost(a.m));
			before.seed = h.seed;
			h = before;
			branch = before_branch;
			struct buf again = fixture_dump(a.m);
			assert_same_dump(dump, again);
			buf_free(&again);
		} else {
			assert_int_equal(meta_op_end(a.m), 0);
			assert_int_equal(meta_op_begin(b.m), 0);
			assert_int_equal(meta_apply(b.m, meta_effects(a.m)->data, meta_effects(a.m)->len), 0);
			assert_same_dump(*meta_effects(a.m), *meta_effects(b.m));
			assert_int_equal(meta_op_end(b.m), 0);
		}
		buf_free(&dump);
		if (branch_depth(branch) > 5)
			branch = root;
		if (i % 100 == 0)
			assert_same(a.m, b.m);
		if (i % 130 == 0) {
			assert_int_equal(meta_commit(a.m, i, i), 0);
			assert_int_equal(meta_commit(b.m, i, i), 0);
		}
	}
	assert_int_equal(meta_commit(a.m, 5000, 6000), 0);
	assert_int_equal(meta_commit(b.m, 5000, 6000), 0);
	assert_same(a.m, b.m);
	fixture_reopen(&a);
	assert_same(a.m, b.m);
	fixture_close(&a);
	fixture_close(&b);
}

/* The sums that chunk_totals keeps are those of the table. */
static void test_chunk_sums(void **state)
{
	struct fixture f;
	struct history h = {.seed = 3};
	struct chunk_totals t;
	sqlite3_stmt *st;

	(void)state;
	fixture_open(&f);
	h.m = f.m;
	for (int i = 0; i < 500; i++) {
		assert_int_equal(meta_op_begin(f.m), 0);
		assert_int_equal(chunks(&h), 0);
		if (i % 5 == 0)
			meta_op_abort(f.m);
		else
			assert_int_equal(meta_op_end(f.m), 0);
		if (i % 5 == 0)
			h.chunks = 0;
	}
	assert_int_equal(chunk_totals(f.m, &t), 0);
	assert_int_equal(sqlite3_prepare_v2(f.m->db, "SELECT count(*), sum(raw_len), sum(stored_len), sum(raw_len*refs) FROM chunk", -1,
					    &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_true(t.chunks > 0);
	assert_int_equal(t.chunks, sqlite3_column_int64(st, 0));
	assert_int_equal(t.raw_bytes, sqlite3_column_int64(st, 1));
	assert_int_equal(t.stored_bytes, sqlite3_column_int64(st, 2));
	assert_int_equal(t.referenced_bytes, sqlite3_column_int64(st, 3));
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	fixture_close(&f);
}

static void refuse(struct meta *m, const void *effects, size_t len)
{
	assert_int_equal(meta_op_begin(m), 0);
	assert_int_equal(meta_apply(m, effects, len), -ECORRUPT);
	meta_op_abort(m);
}

/* Bytes that are no effects change nothing, whatever they are. */
static void test_apply_refuses(void **state)
{
	static const uint8_t bad[][6] = {
		{0x10}, {0x1f, 0, 0, 0, 0}, {0x00}, {0x60}, {0x44}, {0x44, 1, 2}, {0x56, 200, 1, 2, 2}, {0x40, 1, 2},
		{0x1b, 0x09}, {0x1b, 0x02}, {0x1d, 0x12, 1, 'x', 2}, {0x2b, 0, 0}, {0x3d, 0x02, 1}, {0x3c, 0x00}, {0x3c, 0x05},
	};
	struct fixture f;
	struct buf before, after;

	(void)state;
	fixture_open(&f);
	(void)fixture_root_branch(f.m);
	before = fixture_dump(f.m);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		size_t len = sizeof bad[i];

		while (len > 1 && bad[i][len - 1] == 0)
			len--;
		refuse(f.m, bad[i], len);
	}
	after = fixture_dump(f.m);
	assert_same_dump(before, after);
	buf_free(&before);
	buf_free(&after);
	fixture_close(&f);
}

/* Every truncation of good effects at a change's middle, and many changed bytes: an error or not, but an abort
 * restores all. */
static void test_apply_mutations(void **state)
{
	struct fixture f;
	struct history h = {.seed = 11};
	struct branch *b;
	struct buf good = {0}, before, after;
	int quiet;

	(void)state;
	fixture_open(&f);
	h.m = f.m;
	b = fixture_root_branch(f.m);
	assert_int_equal(meta_op_begin(f.m), 0);
	for (int i = 0; i < 20; i++)
		random_op(&h, &b);
	assert_int_equal(buf_add(&good, meta_effects(f.m)->data, meta_effects(f.m)->len), 0);
	meta_op_abort(f.m);
	before = fixture_dump(f.m);
	/* Thousands of expected complaints */
	quiet = fixture_quiet();
	for (size_t i = 0; i < 3000; i++) {
		struct buf copy = {0};
		size_t len = i < good.len ? i : good.len;

		assert_int_equal(buf_add(&copy, good.data, good.len), 0);
		if (i >= good.len || i % 2)
			copy.data[pick(&h, (unsigned)good.len)] ^= (uint8_t)(1 + pick(&h, 255));
		assert_int_equal(meta_op_begin(f.m), 0);
		(void)meta_apply(f.m, copy.data, len);
		meta_op_abort(f.m);
		buf_free(&copy);
	}
	fixture_loud(quiet);
	after = fixture_dump(f.m);
	assert_same_dump(before, after);
	buf_free(&before);
	buf_free(&after);
	buf_free(&good);
	fixture_close(&f);
}

static void test_names_do_not_replace(void **state)
{
	struct fixture f;
	struct volume_row v = {.id = 1, .name = "one"}, got;

	(void)state;
	fixture_open(&f);
	assert_int_equal(meta_op_begin(f.m), 0);
	assert_int_equal(volume_put(f.m, &v), 0);
	v.id = 2;
	assert_int_equal(volume_put(f.m, &v), -EEXIST);
	assert_int_equal(volume_by_name(f.m, "one", &got), 0);
	assert_int_equal(got.id, 1);
	meta_op_abort(f.m);
	assert_int_equal(volume_by_name(f.m, "one", &got), -ENOENT);
	fixture_close(&f);
}

/* A journal that was written before schema 4 may tell of the table that there was. */
static void test_retired_effects(void **state)
{
	/* put and delete of (1, 300) */
	static const uint8_t old[] = {1 << 4 | T_RETIRED, 0x11, 0x02, 0xd8, 0x04, 3 << 4 | T_RETIRED, 0x11, 0x02, 0xd8, 0x04};
	struct fixture f;
	struct buf before;
	struct buf after;

	(void)state;
	fixture_open(&f);
	before = fixture_dump(f.m);
	assert_int_equal(meta_op_begin(f.m), 0);
	assert_int_equal(meta_apply(f.m, old, sizeof old), 0);
	assert_int_equal(meta_op_end(f.m), 0);
	after = fixture_dump(f.m);
	assert_same_dump(before, after);
	assert_int_equal(meta_op_begin(f.m), 0);
	assert_int_equal(meta_apply(f.m, old, sizeof old - 1), -ECORRUPT);
	meta_op_abort(f.m);
	buf_free(&before);
	buf_free(&after);
	fixture_close(&f);
}

static void test_missing_rows(void **state)
{
	struct fixture f;
	struct value inode[18], key[] = {VI(1), VI(2)};

	(void)state;
	fixture_open(&f);
	for (int i = 0; i < 18; i++)
		inode[i] = VI(i);
	assert_int_equal(meta_op_begin(f.m), 0);
	assert_int_equal(row_update(f.m, T_INODE, inode), -ECORRUPT);
	assert_int_equal(row_delete(f.m, T_FREE, key), -ECORRUPT);
	assert_int_equal(row_delete(f.m, T_CHUNK, key), -ECORRUPT);
	assert_int_equal(row_delete(f.m, T_SNAPSHOT, key), -ECORRUPT);
	assert_int_equal(row_chunk_ref(f.m, 1, 1), -ECORRUPT);
	meta_op_abort(f.m);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),	 cmocka_unit_test(test_chunk_sums),
		cmocka_unit_test(test_apply_refuses),	 cmocka_unit_test(test_apply_mutations),
		cmocka_unit_test(test_names_do_not_replace), cmocka_unit_test(test_retired_effects), cmocka_unit_test(test_missing_rows),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
