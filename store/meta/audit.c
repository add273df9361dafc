#include "store/meta/audit.h"

#include <stdio.h>

#include "store/meta/meta_internal.h"

/* Each statement gives its findings as text. */
static int findings(struct meta *m, enum sql_id id, void (*fn)(void *arg, const char *line), void *arg)
{
	sqlite3_stmt *st;
	int ret = sql_stmt(m, id, &st);

	if (!ret && sqlite3_bind_parameter_count(st) > 0)
		(void)sqlite3_bind_int64(st, 1, id == SQL_AUDIT_SPACE ? PACK_RECORD_HEADER_LEN : meta_now(m));
	while (!ret && (ret = sql_step(m, st)) == 0) {
		const char *line = (const char *)sqlite3_column_text(st, 0);

		if (line) {
			fn(arg, line);
			continue;
		}
		(void)sqlite3_reset(st);
		ret = -ENOMEM;
	}
	return ret < 0 ? ret : 0;
}

static int sums(struct meta *m, void (*fn)(void *arg, const char *line), void *arg)
{
	struct chunk_totals kept = {0};
	char line[256];
	sqlite3_stmt *st;
	uint64_t v[4];
	int ret = chunk_totals(m, &kept);

	if (!ret)
		ret = sql_stmt(m, SQL_AUDIT_SUMS, &st);
	if (!ret)
		ret = sql_step(m, st);
	if (ret)
		return ret < 0 ? ret : -ECORRUPT;
	for (int i = 0; i < 4; i++)
		v[i] = (uint64_t)sqlite3_column_int64(st, i);
	(void)sqlite3_reset(st);
	if (v[0] == kept.chunks && v[1] == kept.raw_bytes && v[2] == kept.stored_bytes && v[3] == kept.referenced_bytes)
		return 0;
	(void)snprintf(line, sizeof line,
		       "chunk sums: kept %llu chunks, %llu raw, %llu stored, %llu referenced bytes; counted %llu, %llu, %llu, %llu",
		       (unsigned long long)kept.chunks, (unsigned long long)kept.raw_bytes, (unsigned long long)kept.stored_bytes,
		       (unsigned long long)kept.referenced_bytes, (unsigned long long)v[0], (unsigned long long)v[1],
		       (unsigned long long)v[2], (unsigned long long)v[3]);
	fn(arg, line);
	return 0;
}

/* What is handed out next must be new. */
static int counters(struct meta *m, void (*fn)(void *arg, const char *line), void *arg)
{
	static const char *const names[] = {"inode", "chunk", "pack", "node id", "branch, volume or snapshot"};
	char line[256];
	sqlite3_stmt *st;
	int64_t v[COUNTER_ID + 1];
	int ret = sql_stmt(m, SQL_AUDIT_MAXIMA, &st);

	if (!ret)
		ret = sql_step(m, st);
	if (ret)
		return ret < 0 ? ret : -ECORRUPT;
	for (int i = 0; i <= COUNTER_ID; i++)
		v[i] = sqlite3_column_int64(st, i);
	(void)sqlite3_reset(st);
	for (int i = 0; i <= COUNTER_ID; i++)
		if (v[i] > m->counters[i]) {
			(void)snprintf(line, sizeof line, "the last %s number is %lld, but %lld is in use", names[i], (long long)m->counters[i],
				       (long long)v[i]);
			fn(arg, line);
		}
	return 0;
}

int audit_pack_ends(struct meta *m, int (*fn)(void *arg, uint32_t pack, uint64_t end), void *arg)
{
	sqlite3_stmt *st;
	int ret = sql_stmt(m, SQL_AUDIT_PACK_ENDS, &st);

	while (!ret && (ret = sql_step(m, st)) == 0)
		ret = fn(arg, (uint32_t)sqlite3_column_int64(st, 0), (uint64_t)sqlite3_column_int64(st, 1));
	if (ret)
		(void)sqlite3_reset(st);
	return ret < 0 ? ret : 0;
}

static const enum sql_id statements[] = {
	SQL_AUDIT_REFS,		  SQL_AUDIT_EXTENT,	     SQL_AUDIT_INODE_VERSIONS, SQL_AUDIT_DIRENT_VERSIONS,
	SQL_AUDIT_XATTR_VERSIONS, SQL_AUDIT_EXTENT_VERSIONS, SQL_AUDIT_INODE_UNSEEN,   SQL_AUDIT_DIRENT_UNSEEN,
	SQL_AUDIT_XATTR_UNSEEN,	  SQL_AUDIT_EXTENT_UNSEEN,   SQL_AUDIT_EXTENT_LIVING,  SQL_AUDIT_XATTR_LIVING,
	SQL_AUDIT_ROWS,		  SQL_AUDIT_BRANCH,	     SQL_AUDIT_TASK,	       SQL_AUDIT_CHUNK,
	SQL_AUDIT_NUMBER,	  SQL_AUDIT_SPACE,	     SQL_AUDIT_VOLUME,	       SQL_AUDIT_SNAPSHOT,
	SQL_AUDIT_HEAD,		  SQL_AUDIT_PACK,
};
#define STATEMENTS (sizeof statements / sizeof *statements)

unsigned audit_count(void)
{
	return STATEMENTS + 2;
}

int audit_tables(struct meta *m, unsigned part, void (*fn)(void *arg, const char *line), void *arg)
{
	if (part < STATEMENTS)
		return findings(m, statements[part], fn, arg);
	return part == STATEMENTS ? sums(m, fn, arg) : counters(m, fn, arg);
}
