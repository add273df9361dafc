#include "store/meta/schema.h"

#include <stdio.h>

#include "store/meta/meta_internal.h"

#define STR_(x) #x
#define STR(x) STR_(x)

/* Sums over the chunk table, kept by row.c and not in effects. */
#define PACK_TABLE "CREATE TABLE pack(id INTEGER PRIMARY KEY, chunks INTEGER NOT NULL, bytes INTEGER NOT NULL);"

#define ORPHAN_INDEX "CREATE INDEX inode_orphan ON inode(branch, ino) WHERE nlink=0 AND mode<>0;"

/* In all four versioned tables the key ends with `until` (META_LIVE in a live row) and `since` follows it. Column
 * order is the format of effects: only append. */
static const char schema_sql[] =
	"CREATE TABLE inode(branch INTEGER NOT NULL, ino INTEGER NOT NULL, until INTEGER NOT NULL, since INTEGER NOT NULL,"
	" mode INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL, nlink INTEGER NOT NULL, rdev INTEGER NOT NULL,"
	" size INTEGER NOT NULL, alloc INTEGER NOT NULL, atime INTEGER NOT NULL, mtime INTEGER NOT NULL,"
	" ctime INTEGER NOT NULL, btime INTEGER NOT NULL, inherit INTEGER NOT NULL, parent INTEGER NOT NULL,"
	" flags INTEGER NOT NULL, PRIMARY KEY(branch, ino, until)) WITHOUT ROWID;"
	"CREATE INDEX inode_history ON inode(branch, until, since);"
	ORPHAN_INDEX

	"CREATE TABLE dirent(branch INTEGER NOT NULL, parent INTEGER NOT NULL, hash INTEGER NOT NULL, name BLOB NOT NULL,"
	" until INTEGER NOT NULL, since INTEGER NOT NULL, ino INTEGER NOT NULL, type INTEGER NOT NULL,"
	" PRIMARY KEY(branch, parent, hash, name, until)) WITHOUT ROWID;"
	"CREATE INDEX dirent_history ON dirent(branch, until, since);"
	"CREATE INDEX dirent_ino ON dirent(branch, ino);"

	"CREATE TABLE xattr(branch INTEGER NOT NULL, ino INTEGER NOT NULL, name BLOB NOT NULL, until INTEGER NOT NULL,"
	" since INTEGER NOT NULL, value BLOB, PRIMARY KEY(branch, ino, name, until)) WITHOUT ROWID;"
	"CREATE INDEX xattr_history ON xattr(branch, until, since);"

	"CREATE TABLE extent(branch INTEGER NOT NULL, ino INTEGER NOT NULL, off INTEGER NOT NULL, until INTEGER NOT NULL,"
	" since INTEGER NOT NULL, len INTEGER NOT NULL, chunk INTEGER NOT NULL, choff INTEGER NOT NULL,"
	" PRIMARY KEY(branch, ino, off, until)) WITHOUT ROWID;"
	"CREATE INDEX extent_history ON extent(branch, until, since);"

	"CREATE TABLE chunk(id INTEGER PRIMARY KEY, pack INTEGER NOT NULL, off INTEGER NOT NULL, stored_len INTEGER NOT NULL,"
	" raw_len INTEGER NOT NULL, codec INTEGER NOT NULL, indexed INTEGER NOT NULL, hash_lo INTEGER NOT NULL,"
	" hash_hi INTEGER NOT NULL, refs INTEGER NOT NULL);"
	"CREATE INDEX chunk_hash ON chunk(hash_lo) WHERE indexed=1;"
	"CREATE INDEX chunk_pack ON chunk(pack, off);"
	"CREATE INDEX chunk_dead ON chunk(id) WHERE refs=0;"

	"CREATE TABLE free(pack INTEGER NOT NULL, off INTEGER NOT NULL, len INTEGER NOT NULL, epoch_seq INTEGER NOT NULL,"
	" PRIMARY KEY(pack, off)) WITHOUT ROWID;"

	PACK_TABLE

	"CREATE TABLE branch(id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, fork_epoch INTEGER NOT NULL,"
	" ino_base INTEGER NOT NULL, origin_branch INTEGER NOT NULL, origin_epoch INTEGER NOT NULL, bytes INTEGER NOT NULL,"
	" inodes INTEGER NOT NULL, head INTEGER NOT NULL);"
	"CREATE INDEX branch_parent ON branch(parent, fork_epoch);"

	"CREATE TABLE volume(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, branch INTEGER NOT NULL,"
	" root_ino INTEGER NOT NULL, number INTEGER NOT NULL, head_number INTEGER NOT NULL, created INTEGER NOT NULL,"
	" quota_bytes INTEGER NOT NULL, quota_inodes INTEGER NOT NULL, compression INTEGER NOT NULL, flags INTEGER NOT NULL,"
	" options TEXT);"

	"CREATE TABLE snapshot(id INTEGER PRIMARY KEY, volume INTEGER NOT NULL, name TEXT NOT NULL, branch INTEGER NOT NULL,"
	" epoch INTEGER NOT NULL, created INTEGER NOT NULL, bytes INTEGER NOT NULL, inodes INTEGER NOT NULL,"
	" root_ino INTEGER NOT NULL, number INTEGER NOT NULL, flags INTEGER NOT NULL, UNIQUE(volume, name));"
	"CREATE INDEX snapshot_view ON snapshot(branch, epoch);"
	"CREATE INDEX snapshot_age ON snapshot(volume, created, id);"

	"CREATE TABLE number(number INTEGER PRIMARY KEY, kind INTEGER NOT NULL, volume INTEGER NOT NULL,"
	" branch INTEGER NOT NULL, epoch INTEGER NOT NULL);"
	"CREATE TABLE reap(id INTEGER PRIMARY KEY, branch INTEGER NOT NULL, p INTEGER NOT NULL, v INTEGER NOT NULL,"
	" n INTEGER NOT NULL);"
	"CREATE TABLE purge(id INTEGER PRIMARY KEY, branch INTEGER NOT NULL, ino INTEGER NOT NULL, epoch INTEGER NOT NULL,"
	" off INTEGER NOT NULL);"
	"CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE setting(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
	"PRAGMA application_id=" STR(SCHEMA_APPLICATION_ID) ";"
	"PRAGMA user_version=" STR(META_SCHEMA_VERSION) ";";

#define TABLE(tag, table, letters, keys, is_versioned, upd)                                                           \
	[T_##tag] = {table, letters, keys, is_versioned, SQL_##tag##_PUT, SQL_##upd, SQL_##tag##_DELETE}
static const struct table_desc tables[T_COUNT] = {
	TABLE(INODE, "inode", "iiiiiiiiiiiiiiiiii", 3, true, INODE_UPDATE),
	TABLE(DIRENT, "dirent", "iiibiiii", 5, true, DIRENT_UPDATE),
	TABLE(XATTR, "xattr", "iibiib", 4, true, XATTR_UPDATE),
	TABLE(EXTENT, "extent", "iiiiiiii", 4, true, EXTENT_UPDATE),
	TABLE(CHUNK, "chunk", "iiiiiiiiii", 1, false, CHUNK_UPDATE),
	TABLE(FREE, "free", "iiii", 2, false, FREE_UPDATE),
	TABLE(BRANCH, "branch", "iiiiiiiii", 1, false, BRANCH_UPDATE),
	TABLE(VOLUME, "volume", "itiiiiiiiiit", 1, false, VOLUME_UPDATE),
	TABLE(SNAPSHOT, "snapshot", "iitiiiiiiii", 1, false, SNAPSHOT_UPDATE),
	TABLE(NUMBER, "number", "iiiii", 1, false, NUMBER_UPDATE),
	TABLE(REAP, "reap", "iiiii", 1, false, REAP_UPDATE),
	[T_RETIRED] = {"orphan", "ii", 2, false, SQL_COUNT, SQL_COUNT, SQL_COUNT},
	TABLE(PURGE, "purge", "iiiii", 1, false, PURGE_UPDATE),
	[T_COUNTER] = {"counter", "ti", 1, false, SQL_COUNTER_PUT, SQL_COUNT, SQL_COUNT},
};

const struct table_desc *schema_table(unsigned t)
{
	return t < T_COUNT ? &tables[t] : NULL;
}

int schema_create(sqlite3 *db)
{
	return sqlite3_exec(db, schema_sql, NULL, NULL, NULL);
}

static int pragma_int(sqlite3 *db, const char *sql, int *ret)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		*ret = sqlite3_column_int(st, 0);
		rc = SQLITE_OK;
	}
	(void)sqlite3_finalize(st);
	return rc;
}

int schema_check(sqlite3 *db, struct err *err)
{
	int app = 0, version = 0;
	int rc = pragma_int(db, "PRAGMA application_id", &app);

	if (rc == SQLITE_OK)
		rc = pragma_int(db, "PRAGMA user_version", &version);
	if (rc != SQLITE_OK) {
		int ret = sql_errno(rc);

		return err_set(err, -ret, "cannot read the metadata database: %s", sqlite3_errmsg(db));
	}
	if (app != SCHEMA_APPLICATION_ID || version < 1)
		return err_set(err, ECORRUPT, "meta.db is not a varve metadata database");
	if (version > META_SCHEMA_VERSION) {
		(void)err_set(err, ETOONEW, "the store has metadata schema %d, but this varve knows only up to %d", version,
			      META_SCHEMA_VERSION);
		err_hint(err, "use the version of varve that last opened this store, or a newer one");
		return -ETOONEW;
	}
	return 0;
}

/* What makes version N + 1 of a database of version N, at [N]. Effects in a journal or ring are applied after it, so the columns of a
 * table that effects write stay as they are. */
static const char *const migrations[META_SCHEMA_VERSION] = {
	[1] = "", /* volumes may be hidden (catalog.c), which version 1 would show */
	[2] = PACK_TABLE "INSERT INTO pack SELECT pack, count(*), sum(stored_len) FROM chunk GROUP BY pack",
	[3] = ORPHAN_INDEX "DROP TABLE orphan", /* which listed the orphans of heads only */
};

static int apply(sqlite3 *db, int version)
{
	char stamp[64];
	int rc = sqlite3_exec(db, migrations[version], NULL, NULL, NULL);

	(void)snprintf(stamp, sizeof stamp, "PRAGMA user_version=%d", version + 1);
	return rc == SQLITE_OK ? sqlite3_exec(db, stamp, NULL, NULL, NULL) : rc;
}

bool schema_is_old(sqlite3 *db)
{
	int version = 0;

	return pragma_int(db, "PRAGMA user_version", &version) || version < META_SCHEMA_VERSION;
}

int schema_migrate(sqlite3 *db, bool keep, struct err *err)
{
	int version = 0;
	int rc = pragma_int(db, "PRAGMA user_version", &version);

	if (rc == SQLITE_OK && version >= META_SCHEMA_VERSION)
		return 0;
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, sql_text(SQL_BEGIN), NULL, NULL, NULL);
	while (rc == SQLITE_OK && version < META_SCHEMA_VERSION)
		rc = apply(db, version++);
	if (rc == SQLITE_OK && keep)
		rc = sqlite3_exec(db, sql_text(SQL_COMMIT), NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		return 0;
	(void)err_set(err, -sql_errno(rc), "the metadata cannot be brought to schema %d: %s", version, sqlite3_errmsg(db));
	(void)sqlite3_exec(db, sql_text(SQL_ROLLBACK), NULL, NULL, NULL);
	return sql_errno(rc);
}
