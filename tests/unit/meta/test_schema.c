#include "tests/unit/meta/fixture.h"

#include "store/meta/catalog.h"
#include "store/meta/chunk_table.h"
#include "store/meta/schema.h"

/* Every statement fits the schema. */
static void test_statements(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	assert_int_equal(meta_commit(f.m, 0, 0), 0); /* some pragmas are for outside a transaction */
	for (unsigned id = 0; id < SQL_COUNT; id++) {
		sqlite3_stmt *st = NULL;

		/* sql_stmt would prepare only the first of the pragmas. */
		if (sqlite3_prepare_v2(f.m->db, sql_text(id), -1, &st, NULL) != SQLITE_OK)
			fail_msg("%s: %s", sql_text(id), sqlite3_errmsg(f.m->db));
		(void)sqlite3_finalize(st);
	}
	fixture_close(&f);
}

/* No statement reads a whole table or sorts, whatever the table's size, but for these. */
static void test_plans(void **state)
{
	static const enum sql_id whole[] = {
		SQL_COUNTER_ALL, SQL_BRANCH_ALL, /* when the database is opened */
		SQL_PURGE_FIRST, SQL_REAP_FIRST, /* the first row only */
		SQL_REAP_BRANCH_BUSY,		 /* once a branch */
	};
	struct fixture f;

	(void)state;
	fixture_open(&f);
	assert_int_equal(meta_commit(f.m, 0, 0), 0); /* some pragmas are for outside a transaction */
	for (unsigned id = 0; id < SQL_COUNT; id++) {
		bool may_scan = false;
		sqlite3_stmt *st = NULL;
		char *explain;

		if (id >= SQL_AUDIT_REFS && id <= SQL_AUDIT_SUMS)
			continue; /* a check recounts everything */
		explain = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql_text(id));
		for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
			may_scan |= whole[i] == id;
		assert_int_equal(sqlite3_prepare_v2(f.m->db, explain, -1, &st, NULL), SQLITE_OK);
		while (sqlite3_step(st) == SQLITE_ROW) {
			const char *step = (const char *)sqlite3_column_text(st, 3);

			if (strstr(step, "TEMP B-TREE") || (!may_scan && strstr(step, "SCAN ") && !strstr(step, "CONSTANT ROW")))
				fail_msg("%s: %s", sql_text(id), step);
			if (id == SQL_ORPHAN_ONCE && !strstr(step, "INDEX inode_orphan"))
				fail_msg("%s: %s", sql_text(id), step);
		}
		assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
		sqlite3_free(explain);
	}
	fixture_close(&f);
}

static int parameters(struct meta *m, enum sql_id id)
{
	sqlite3_stmt *st = NULL;

	assert_int_equal(sql_stmt(m, id, &st), 0);
	return sqlite3_bind_parameter_count(st);
}

/* What row.c is told of a table is what the table is. */
static void test_tables(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	assert_null(schema_table(T_COUNT));
	for (unsigned t = 0; t < T_COUNT; t++) {
		const struct table_desc *d = schema_table(t);
		int n = (int)strlen(d->cols), seen = 0, keys = 0;
		sqlite3_stmt *st = NULL;

		if (t == T_RETIRED)
			continue;
		assert_true(n <= SCHEMA_COLS_MAX);
		assert_int_equal(parameters(f.m, d->put), n);
		if (d->update != SQL_COUNT)
			assert_int_equal(parameters(f.m, d->update), n);
		if (d->del != SQL_COUNT)
			assert_int_equal(parameters(f.m, d->del), d->key_count);
		assert_int_equal(sqlite3_prepare_v2(f.m->db, "SELECT name, type, pk FROM pragma_table_info(?1) ORDER BY cid", -1, &st,
						    NULL), SQLITE_OK);
		assert_int_equal(sqlite3_bind_text(st, 1, d->name, -1, SQLITE_STATIC), SQLITE_OK);
		for (; sqlite3_step(st) == SQLITE_ROW; seen++) {
			const char *type = (const char *)sqlite3_column_text(st, 1);

			assert_int_equal(d->cols[seen], *type - 'A' + 'a');
			keys += sqlite3_column_int(st, 2) > 0;
			/* The key comes first, and then `since`. */
			assert_int_equal(sqlite3_column_int(st, 2), seen < (int)d->key_count ? seen + 1 : 0);
			if (d->versioned && seen == (int)d->key_count)
				assert_string_equal(sqlite3_column_text(st, 0), "since");
		}
		assert_int_equal(seen, n);
		assert_int_equal(keys, d->key_count);
		assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	}
	fixture_close(&f);
}

static int user_version(struct meta *m)
{
	sqlite3_stmt *st = NULL;
	int version;

	assert_int_equal(sqlite3_prepare_v2(m->db, "PRAGMA user_version", -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	version = sqlite3_column_int(st, 0);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	return version;
}

/* A database of version 1 can be read as it is, and is of this version once it has been migrated, with all that was in it. */
static void test_migration(void **state)
{
	struct volume_row v = {.id = 5, .name = "old", .branch = 1, .root_ino = 16}, got;
	struct pack_usage usage;
	struct err err = {0};
	struct fixture f;

	(void)state;
	fixture_open(&f);
	assert_int_equal(meta_op_begin(f.m), 0);
	assert_int_equal(volume_put(f.m, &v), 0);
	for (uint32_t i = 0; i < 3; i++) {
		struct chunk_row row = {.pack = 1 + i % 2, .off = 96 + 5000 * i, .stored_len = 1000 + i, .raw_len = 2000};

		assert_int_equal(chunk_add(f.m, &row), 0);
	}
	assert_int_equal(meta_op_end(f.m), 0);
	assert_int_equal(meta_commit(f.m, 7, 7), 0);
	assert_int_equal(sqlite3_exec(f.m->db, "DROP TABLE pack; DROP INDEX inode_orphan; PRAGMA user_version=1;"
					   "CREATE TABLE orphan(branch INTEGER NOT NULL, ino INTEGER NOT NULL, PRIMARY KEY(branch, ino))"
					   " WITHOUT ROWID; INSERT INTO orphan VALUES(1, 17)", NULL, NULL, NULL), SQLITE_OK);
	fixture_reopen(&f);
	assert_int_equal(user_version(f.m), 1);
	assert_int_equal(volume_by_name(f.m, "old", &got), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(user_version(f.m), i < 2 ? 1 : META_SCHEMA_VERSION);
		assert_int_equal(meta_migrate(f.m, i > 0, &err), 0); /* first only to look at it */
		assert_int_equal(user_version(f.m), META_SCHEMA_VERSION);
		assert_int_equal(volume_by_name(f.m, "old", &got), 0);
		assert_int_equal(got.id, 5);
		assert_int_equal(pack_usage(f.m, 1, &usage), 0);
		assert_int_equal(usage.live_chunks, 2);
		assert_int_equal(usage.live_bytes, 2002 + 2 * PACK_RECORD_HEADER_LEN);
		fixture_reopen(&f);
	}
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statements),
		cmocka_unit_test(test_plans),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_migration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
