/* Each column of each table is changed behind the store's back, with the page's checksum put right: the check says so, or the store is not
 * opened. Columns of which nothing else tells the value are named here. */
#include <fcntl.h>

#include "store/maint/check.h"
#include "store/meta/meta_internal.h"
#include "tests/unit/volume/store_fixture.h"

struct mutation {
	const char *column; /* table.column */
	const char *sql;
};

#define LIVE "until=9223372036854775807"
#define FILE_ROW " WHERE " LIVE " AND (mode&61440)=32768 AND size>100000 AND branch=(SELECT branch FROM volume WHERE name='v')"
#define DIR_ROW " WHERE " LIVE " AND (mode&61440)=16384 AND parent<>ino"
#define HEAD "(SELECT branch FROM volume WHERE name='v')"
#define OF_FILE " WHERE " LIVE " AND branch=" HEAD

static const struct mutation mutations[] = {
	{"inode.branch", "UPDATE inode SET branch=9999" FILE_ROW},
	{"inode.ino", "UPDATE inode SET ino=ino+5000" FILE_ROW},
	{"inode.until", "UPDATE inode SET until=until-1" FILE_ROW},
	{"inode.since", "UPDATE inode SET since=since+100" FILE_ROW},
	{"inode.since", "UPDATE inode SET since=0" FILE_ROW},
	{"inode.mode", "UPDATE inode SET mode=mode-32768+16384" FILE_ROW},
	{"inode.nlink", "UPDATE inode SET nlink=nlink+1" FILE_ROW},
	{"inode.nlink", "UPDATE inode SET nlink=0" FILE_ROW},
	{"inode.size", "UPDATE inode SET size=size+1" FILE_ROW},
	{"inode.size", "UPDATE inode SET size=size-1" FILE_ROW},
	{"inode.size", "UPDATE inode SET size=size+1" DIR_ROW},
	{"inode.alloc", "UPDATE inode SET alloc=alloc+1" FILE_ROW},
	{"inode.inherit", "UPDATE inode SET inherit=0 WHERE branch=(SELECT branch FROM volume WHERE name='copy') AND inherit>0 AND size>100000"},
	{"inode.parent", "UPDATE inode SET parent=parent+1" DIR_ROW},
	{"inode.flags", "UPDATE inode SET flags=0 WHERE flags<>0"},
	{"inode", "DELETE FROM inode" FILE_ROW},
	{"dirent.branch", "UPDATE dirent SET branch=9999" OF_FILE},
	{"dirent.parent", "UPDATE dirent SET parent=parent+5000" OF_FILE},
	{"dirent.hash", "UPDATE dirent SET hash=hash+1" OF_FILE},
	{"dirent.name", "UPDATE dirent SET name=x'6e6f7065'||name" OF_FILE},
	{"dirent.until", "UPDATE dirent SET until=until-1" OF_FILE},
	{"dirent.until", "UPDATE dirent SET until=until+1 WHERE until<1000"},
	{"dirent.since", "UPDATE dirent SET since=since+100" OF_FILE},
	{"dirent.ino", "UPDATE dirent SET ino=ino+1" OF_FILE},
	{"dirent.type", "UPDATE dirent SET type=type+1" OF_FILE},
	{"dirent", "DELETE FROM dirent" OF_FILE},
	{"xattr.branch", "UPDATE xattr SET branch=9999"},
	{"xattr.ino", "UPDATE xattr SET ino=ino+5000 WHERE value IS NOT NULL AND name<>x'01746172676574'"},
	{"xattr.until", "UPDATE xattr SET until=since"},
	{"xattr.since", "UPDATE xattr SET since=since+100"},
	{"extent.branch", "UPDATE extent SET branch=9999" OF_FILE},
	{"extent.ino", "UPDATE extent SET ino=ino+5000" OF_FILE},
	{"extent.off", "UPDATE extent SET off=off+1" OF_FILE " AND off>0"},
	{"extent.until", "UPDATE extent SET until=until-1" OF_FILE},
	{"extent.until", "UPDATE extent SET until=until+1 WHERE until<1000"},
	{"extent.since", "UPDATE extent SET since=since+100" OF_FILE},
	{"extent.len", "UPDATE extent SET len=len-1" OF_FILE},
	{"extent.chunk", "UPDATE extent SET chunk=chunk+1" OF_FILE},
	{"extent.choff", "UPDATE extent SET choff=choff+1" OF_FILE},
	{"extent", "DELETE FROM extent" OF_FILE},
	{"chunk.id", "UPDATE chunk SET id=id+10000"},
	{"chunk.pack", "UPDATE chunk SET pack=pack+1"},
	{"chunk.off", "UPDATE chunk SET off=off+8"},
	{"chunk.stored_len", "UPDATE chunk SET stored_len=stored_len-1"},
	{"chunk.raw_len", "UPDATE chunk SET raw_len=raw_len+1"},
	{"chunk.codec", "UPDATE chunk SET codec=1-codec"},
	{"chunk.indexed", "UPDATE chunk SET indexed=2"},
	{"chunk.hash_lo", "UPDATE chunk SET hash_lo=hash_lo+1"},
	{"chunk.hash_hi", "UPDATE chunk SET hash_hi=hash_hi+1"},
	{"chunk.refs", "UPDATE chunk SET refs=refs+1"},
	{"chunk", "DELETE FROM chunk"},
	{"free.pack", "INSERT INTO free VALUES(9999, 8, 10, 1)"},
	{"free.off", "INSERT INTO free SELECT pack, off-8, 10, 1 FROM chunk LIMIT 1"},
	{"free.len", "INSERT INTO free SELECT pack, off-8, stored_len, 1 FROM chunk LIMIT 1"},
	{"pack.id", "UPDATE pack SET id=id+1"},
	{"pack.chunks", "UPDATE pack SET chunks=chunks+1"},
	{"pack.bytes", "UPDATE pack SET bytes=bytes+1"},
	{"branch.id", "UPDATE branch SET id=id+1000 WHERE parent<>0"},
	{"branch.parent", "UPDATE branch SET parent=9999 WHERE parent<>0"},
	{"branch.parent", "UPDATE branch SET parent=0 WHERE parent<>0"},
	{"branch.fork_epoch", "UPDATE branch SET fork_epoch=fork_epoch+1 WHERE parent<>0"},
	{"branch.ino_base", "UPDATE branch SET ino_base=1 WHERE parent<>0"},
	{"branch.origin_branch", "UPDATE branch SET origin_branch=origin_branch+1 WHERE parent<>0"},
	{"branch.origin_epoch", "UPDATE branch SET origin_epoch=origin_epoch+1 WHERE parent<>0"},
	{"branch.bytes", "UPDATE branch SET bytes=bytes+1 WHERE id=" HEAD},
	{"branch.inodes", "UPDATE branch SET inodes=inodes+1 WHERE id=" HEAD},
	{"branch.head", "UPDATE branch SET head=1-head"},
	{"volume.id", "UPDATE volume SET id=id+1000"},
	{"volume.branch", "UPDATE volume SET branch=branch+1000"},
	{"volume.root_ino", "UPDATE volume SET root_ino=root_ino+1"},
	{"volume.number", "UPDATE volume SET number=number+1"},
	{"volume.head_number", "UPDATE volume SET head_number=head_number+1"},
	{"volume", "DELETE FROM volume WHERE name='v'"},
	{"snapshot.volume", "UPDATE snapshot SET volume=volume+1000"},
	{"snapshot.branch", "UPDATE snapshot SET branch=branch+1000"},
	{"snapshot.epoch", "UPDATE snapshot SET epoch=epoch+100"},
	{"snapshot.epoch", "UPDATE snapshot SET epoch=epoch-1 WHERE epoch>1"},
	{"snapshot.bytes", "UPDATE snapshot SET bytes=bytes+1"},
	{"snapshot.inodes", "UPDATE snapshot SET inodes=inodes+1"},
	{"snapshot.root_ino", "UPDATE snapshot SET root_ino=root_ino+1"},
	{"snapshot.number", "UPDATE snapshot SET number=number+1 WHERE number<>0"},
	{"snapshot", "DELETE FROM snapshot"},
	{"number.number", "UPDATE number SET number=number+1000"},
	{"number.kind", "UPDATE number SET kind=kind+1"},
	{"number.volume", "UPDATE number SET volume=volume+1000"},
	{"number.branch", "UPDATE number SET branch=branch+1 WHERE kind=2"},
	{"number.epoch", "UPDATE number SET epoch=epoch-1 WHERE kind=2"},
	{"number", "DELETE FROM number"},
	{"reap.branch", "INSERT INTO reap VALUES(2, 9999, 1, 2, 3)"},
	{"reap.p", "INSERT INTO reap VALUES(2, " HEAD ", 3, 2, 4)"},
	{"reap.v", "INSERT INTO reap VALUES(2, " HEAD ", 0, 1000, 2000)"},
	{"reap.n", "INSERT INTO reap VALUES(2, " HEAD ", 1, 2, 0)"},
	{"reap.id", "INSERT INTO reap VALUES(10000, " HEAD ", 0, 1, 2)"},
	{"purge.branch", "INSERT INTO purge VALUES(2, 9999, 20, 1, 0)"},
	{"purge.epoch", "INSERT INTO purge VALUES(2, " HEAD ", 20, 1000, 0)"},
	{"purge.off", "INSERT INTO purge VALUES(2, " HEAD ", 20, 1, -1)"},
	{"purge.id", "INSERT INTO purge VALUES(10000, " HEAD ", 20, 1, 0)"},
	{"counter.value", "UPDATE counter SET value=1 WHERE name='ino'"},
	{"counter.value", "UPDATE counter SET value=1 WHERE name='chunk'"},
	{"counter.value", "UPDATE counter SET value=0 WHERE name='pack'"},
	{"counter.value", "UPDATE counter SET value=1 WHERE name='number'"},
	{"counter.value", "UPDATE counter SET value=1 WHERE name='id'"},
	{"counter.value", "UPDATE counter SET value=1 WHERE name='epoch'"},
	{"counter.value", "UPDATE counter SET value=value+1 WHERE name='chunks'"},
	{"counter.value", "UPDATE counter SET value=value+1 WHERE name='raw_bytes'"},
	{"counter.value", "UPDATE counter SET value=value+1 WHERE name='stored_bytes'"},
	{"counter.value", "UPDATE counter SET value=value+1 WHERE name='referenced_bytes'"},
	{"counter.name", "UPDATE counter SET name=name||'x'"},
	{"setting.value", "UPDATE setting SET value=zeroblob(length(value)) WHERE key='secret'"},
	{"setting.key", "UPDATE setting SET key=key||'x'"},
};

/* What nothing else in a store tells: attributes, names and wishes of users, times, and bookkeeping of work that does no harm. */
static const char *const free_columns[] = {
	"inode.uid", "inode.gid", "inode.rdev", "inode.atime", "inode.mtime", "inode.ctime", "inode.btime", "xattr.name", "xattr.value",
	"free.epoch_seq", "volume.name", "volume.created", "volume.quota_bytes", "volume.quota_inodes", "volume.compression", "volume.flags",
	"volume.options", "snapshot.id", "snapshot.name", "snapshot.created", "snapshot.flags", "purge.ino",
};

static void keep(void *arg, const char *line)
{
	char *text = arg;
	size_t n = strlen(text);

	(void)snprintf(text + n, 8192 - n, "%s\n", line);
}

static void run(const char *fmt, const char *a, const char *b)
{
	char cmd[300];

	(void)snprintf(cmd, sizeof cmd, fmt, a, b);
	assert_int_equal(system(cmd), 0);
}

/* Snapshots, one of them browsed, a rollback, a clone that goes on by itself, an attribute, a symlink, a file that is open without a name. */
static void fill(struct store_fixture *f)
{
	struct snapshot_name name = {"v", "s1"};
	struct volume_info info;
	struct attr attr, dir;
	struct err err = {0};
	char saved[VOLUME_NAME_MAX + 1];
	struct cut_times times;
	uint64_t file;

	assert_int_equal(ns_create(f->s, &fixture_op, f->vol.root_node, "dir", S_IFDIR | 0755, 0, NULL, &dir), 0);
	file = fixture_file(f, dir.node, "file", 1, 300000);
	(void)fixture_file(f, dir.node, "other", 2, 200000);
	assert_int_equal(ns_setxattr(f->s, &fixture_op, file, "user.a", "value", 5, 0), 0);
	assert_int_equal(snapshot_create(f->s, &name, 1, NULL, NULL, &err), 0);
	assert_int_equal(file_write(f->s, &fixture_op, file, "changed", 7, 100000, 0, false), 0);
	assert_int_equal(ns_unlink(f->s, &fixture_op, dir.node, "other"), 0);
	(void)fixture_file(f, f->vol.root_node, "between", 5, 100);
	strcpy(name.snapshot, "s2");
	assert_int_equal(snapshot_create(f->s, &name, 1, NULL, NULL, &err), 0);
	assert_int_equal(snapshot_clone(f->s, "v", "s1", "copy", NULL, &info, &times, &err), 0);
	assert_int_equal(ns_lookup(f->s, info.root_node, "dir", &attr), 0);
	assert_int_equal(ns_lookup(f->s, attr.node, "file", &attr), 0);
	assert_int_equal(file_write(f->s, &fixture_op, attr.node, "mine", 4, 10, 0, false), 0);
	assert_int_equal(snapshot_rollback(f->s, "v", "s2", true, saved, &times, &err), 0);
	file = fixture_file(f, f->vol.root_node, "late", 3, 150000);
	assert_int_equal(ns_setxattr(f->s, &fixture_op, file, "user.b", "value", 5, 0), 0);
	assert_int_equal(ns_lookup(f->s, f->vol.root_node, ".snapshots", &attr), 0);
	assert_int_equal(ns_lookup(f->s, attr.node, "s1", &attr), 0);
	ns_keep_orphans(f->s, true);
	(void)fixture_file(f, f->vol.root_node, "open", 4, 1000);
	assert_int_equal(ns_unlink(f->s, &fixture_op, f->vol.root_node, "open"), 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(store_close(f->s, &err), 0);
	f->s = NULL;
}

/* Changes rows as nothing but rot, or a fault of this program, would; false when no row is such. */
static bool mutate(const char *dir, const char *sql)
{
	sqlite3 *db;
	char *message = NULL;
	int changes;

	assert_int_equal(meta_conn_open(dir, 0, &db), 0);
	if (sqlite3_exec(db, sql, NULL, NULL, &message))
		fail_msg("%s: %s", sql, message);
	changes = sqlite3_total_changes(db);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return changes > 0;
}

static unsigned long errors_of(const char *dir, char text[8192])
{
	struct store_options opts = {.flags = STORE_NO_THREADS | STORE_READONLY, .ring_size = 8 * MIB, .ring_fd = -1};
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC), ret;
	struct check_result r = {0};
	struct err err = {0};
	struct store *s;

	text[0] = 0;
	assert_true(dup2(null, STDERR_FILENO) >= 0);
	ret = store_open(dir, &opts, &s, &err);
	if (!ret) {
		ret = check_store(s, CHECK_DATA, keep, text, &r, &err);
		store_abandon(s);
	}
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	(void)close(null);
	(void)close(saved);
	if (ret)
		(void)snprintf(text, 8192, "%s", err.text);
	return ret ? 1 : r.errors;
}

static void test_each_column(void **state)
{
	struct store_fixture *f = *state;
	char hurt[80], text[8192];
	unsigned bad = 0;

	fill(f);
	(void)snprintf(hurt, sizeof hurt, "%.50s.hurt", f->dir);
	if (errors_of(f->dir, text))
		fail_msg("before any change: %s", text);
	for (size_t i = 0; i < sizeof mutations / sizeof *mutations; i++) {
		run("cp -r --sparse=always %s %s", f->dir, hurt);
		if (!mutate(hurt, mutations[i].sql)) {
			print_error("no row for: %s\n", mutations[i].sql);
			bad++;
		} else if (!errors_of(hurt, text)) {
			print_error("not found: %s\n", mutations[i].sql);
			bad++;
		}
		run("rm -rf %s%s", hurt, "");
	}
	assert_int_equal(bad, 0);
	store_fixture_open(f, -1);
}

static bool is_covered(const char *column)
{
	for (size_t i = 0; i < sizeof mutations / sizeof *mutations; i++)
		if (!strcmp(mutations[i].column, column))
			return true;
	for (size_t i = 0; i < sizeof free_columns / sizeof *free_columns; i++)
		if (!strcmp(free_columns[i], column))
			return true;
	return false;
}

/* A column that is added must be added here too. */
static void test_no_column_is_forgotten(void **state)
{
	struct store_fixture *f = *state;
	sqlite3_stmt *st;
	sqlite3 *db;
	unsigned n = 0;

	assert_int_equal(meta_conn_open(f->dir, 0, &db), 0);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT m.name||'.'||c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type='table'",
					    -1, &st, NULL), SQLITE_OK);
	for (; sqlite3_step(st) == SQLITE_ROW; n++)
		if (!is_covered((const char *)sqlite3_column_text(st, 0)))
			fail_msg("%s is neither changed nor free", (const char *)sqlite3_column_text(st, 0));
	assert_true(n > 80);
	(void)sqlite3_finalize(st);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_column, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_no_column_is_forgotten, store_fixture_setup, store_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
