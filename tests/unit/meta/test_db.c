#include "tests/unit/meta/fixture.h"

#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "store/base/io.h"
#include "store/meta/catalog.h"

static int put_inode(struct meta *m, int64_t branch, uint64_t ino, int64_t size)
{
	struct value cols[18] = {VI(branch), VI(ino), VI(META_LIVE), VI(meta_now(m)), VI(0100644)};

	for (int i = 5; i < 18; i++)
		cols[i] = VI(0);
	cols[9] = VI(size);
	return row_put(m, T_INODE, cols);
}

/* One operation that makes `n` inodes. */
static void op_inodes(struct meta *m, struct branch *b, int n)
{
	assert_int_equal(meta_op_begin(m), 0);
	for (int i = 0; i < n; i++) {
		assert_int_equal(put_inode(m, b->id, meta_next_ino(m), i), 0);
		assert_int_equal(branch_add_totals(m, b, i, 1), 0);
	}
	assert_int_equal(meta_op_end(m), 0);
}

static int64_t count(struct meta *m, const char *sql)
{
	sqlite3_stmt *st;
	int64_t n;

	assert_int_equal(pending_flush_all(m), 0);
	assert_int_equal(sqlite3_prepare_v2(m->db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int64(st, 0);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	return n;
}

static int64_t inodes(struct meta *m)
{
	return count(m, "SELECT count(*) FROM inode");
}

static void test_create(void **state)
{
	struct fixture f;
	struct err err = {0};
	struct meta *m = NULL;

	(void)state;
	fixture_open(&f);
	assert_int_equal(meta_create(f.dir, &err), -EEXIST);
	assert_int_equal(meta_open("/var/tmp/no such folder", &m, &err), -ENOENT);
	assert_int_equal(meta_open("/proc", &m, &err), -ECORRUPT);
	assert_null(m);
	assert_int_equal(meta_now(f.m), 1);
	assert_int_equal(meta_next_ino(f.m), 16);
	assert_int_equal(meta_next_number(f.m), 1);
	assert_int_equal(meta_next_pack(f.m), 1);
	assert_int_equal(meta_last_pack(f.m), 1);
	assert_int_equal(count(f.m, "PRAGMA synchronous"), 1);
	assert_int_equal(count(f.m, "PRAGMA wal_autocheckpoint"), 0);
	assert_int_equal(count(f.m, "PRAGMA cache_spill"), 0);
	assert_int_equal(count(f.m, "PRAGMA temp_store"), 2);
	assert_int_equal(count(f.m, "PRAGMA page_size"), META_PAGE_SIZE);
	assert_true(meta_memory(f.m) > 0);
	fixture_close(&f);
}

static void test_commit_reopen(void **state)
{
	struct fixture f;
	struct branch *b;
	int64_t id, view;
	uint64_t rows, data;

	(void)state;
	fixture_open(&f);
	assert_false(meta_dirty(f.m));
	b = fixture_root_branch(f.m);
	id = b->id;
	assert_true(meta_dirty(f.m));
	op_inodes(f.m, b, 10);
	assert_int_equal(meta_op_begin(f.m), 0);
	assert_int_equal(meta_epoch_advance(f.m, &view), 0);
	assert_int_equal(meta_op_end(f.m), 0);
	assert_int_equal(view, 1);
	assert_int_equal(meta_commit(f.m, 7, 5), 0);
	assert_false(meta_dirty(f.m));
	assert_int_equal(meta_sync_wal(f.m), 0);
	assert_true(meta_wal_size(f.m) > 0);
	fixture_reopen(&f);
	meta_committed(f.m, &rows, &data);
	assert_int_equal(rows, 7);
	assert_int_equal(data, 5);
	assert_int_equal(meta_now(f.m), 2);
	assert_int_equal(meta_last_ino(f.m), 25);
	assert_int_equal(inodes(f.m), 10);
	b = branch_get(f.m, id);
	assert_non_null(b);
	assert_int_equal(b->bytes, 45);
	assert_int_equal(b->inodes, 10);
	assert_true(b->head);
	fixture_close(&f);
}

/* The sequence numbers alone are worth a commit, when there was an operation or they differ. */
static void test_commit_nothing(void **state)
{
	struct fixture f;
	uint64_t rows, data;

	(void)state;
	fixture_open(&f);
	assert_int_equal(meta_commit(f.m, 0, 0), 0);
	assert_int_equal(meta_commit(f.m, 3, 4), 0);
	assert_int_equal(meta_op_begin(f.m), 0);
	assert_int_equal(meta_op_end(f.m), 0);
	assert_int_equal(meta_commit(f.m, 4, 4), 0);
	fixture_reopen(&f);
	meta_committed(f.m, &rows, &data);
	assert_int_equal(rows, 4);
	assert_int_equal(data, 4);
	fixture_close(&f);
}

static void test_settings(void **state)
{
	struct fixture f;
	uint8_t secret[META_SECRET_LEN], got[META_SECRET_LEN];

	(void)state;
	fixture_open(&f);
	for (size_t i = 0; i < sizeof secret; i++)
		secret[i] = (uint8_t)(i * 7);
	assert_int_equal(meta_setting_get(f.m, "secret", got, sizeof got), -ENOENT);
	assert_int_equal(meta_setting_put(f.m, "secret", secret, sizeof secret), 0);
	assert_memory_equal(f.m->secret, secret, sizeof secret);
	assert_int_equal(meta_setting_get(f.m, "secret", got, 5), -EMSGSIZE);
	fixture_reopen(&f);
	assert_memory_equal(f.m->secret, secret, sizeof secret);
	assert_int_equal(meta_setting_get(f.m, "secret", got, sizeof got), 0);
	assert_memory_equal(got, secret, sizeof secret);
	fixture_close(&f);
}

/* A process that dies loses what it had not committed, and nothing else. */
static void test_killed(void **state)
{
	struct fixture f;
	uint64_t rows, data;
	int status;
	pid_t pid;

	(void)state;
	fixture_open(&f);
	meta_free(f.m);
	f.m = NULL;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct branch *b;

		if (meta_open(f.dir, &f.m, NULL))
			_exit(1);
		b = fixture_root_branch(f.m);
		op_inodes(f.m, b, 100);
		if (meta_commit(f.m, 1, 1))
			_exit(2);
		op_inodes(f.m, b, 50);
		(void)meta_op_begin(f.m);
		(void)put_inode(f.m, b->id, 1000, 0);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	fixture_reopen(&f);
	assert_int_equal(inodes(f.m), 100);
	assert_int_equal(branch_get(f.m, 1)->inodes, 100);
	assert_int_equal(meta_last_ino(f.m), 115);
	meta_committed(f.m, &rows, &data);
	assert_int_equal(rows, 1);
	assert_int_equal(fixture_integrity(f.m, NULL), 0);
	fixture_close(&f);
}

static void test_abort(void **state)
{
	struct fixture f;
	struct branch *b, *child;
	struct snapshot_row s = {.id = 50, .name = "s", .epoch = 1};
	struct meta_view view = {.epoch = 1};
	struct buf before, after;
	int64_t epoch;

	(void)state;
	fixture_open(&f);
	view.branch = b = fixture_root_branch(f.m);
	op_inodes(f.m, b, 3);
	assert_int_equal(meta_commit(f.m, 1, 1), 0);
	before = fixture_dump(f.m);
	assert_int_equal(meta_op_begin(f.m), 0);
	assert_int_equal(meta_epoch_advance(f.m, &epoch), 0);
	s.branch = b->id;
	assert_int_equal(snapshot_put(f.m, &s), 0);
	assert_int_equal(b->pinned, 1);
	assert_int_equal(branch_create(f.m, &view, 5, 5, &child), 0);
	assert_int_equal(branch_add_totals(f.m, b, 100, 1), 0);
	assert_int_equal(branch_add_totals(f.m, child, 100, 1), 0);
	assert_true(meta_effects(f.m)->len > 0);
	meta_op_abort(f.m);
	assert_false(meta_lost(f.m));
	assert_false(meta_dirty(f.m) && f.m->dirty);
	assert_int_equal(meta_effects(f.m)->len, 0);
	assert_true(child->dead);
	after = fixture_dump(f.m);
	assert_same_dump(before, after);
	buf_free(&after);
	/* The operation before an aborted one stays. */
	op_inodes(f.m, b, 3);
	assert_int_equal(meta_op_begin(f.m), 0);
	assert_int_equal(put_inode(f.m, b->id, 999, 1), 0);
	meta_op_abort(f.m);
	assert_int_equal(inodes(f.m), 6);
	assert_int_equal(meta_commit(f.m, 2, 2), 0);
	fixture_reopen(&f);
	assert_int_equal(inodes(f.m), 6);
	buf_free(&before);
	fixture_close(&f);
}

static void test_rollback(void **state)
{
	struct fixture f;
	struct branch *b, *child = NULL;
	struct meta_view view = {.epoch = 1};
	struct buf before, after, effects = {0};
	int64_t epoch;
	uint32_t pack;

	(void)state;
	fixture_open(&f);
	view.branch = b = fixture_root_branch(f.m);
	op_inodes(f.m, b, 3);
	assert_int_equal(meta_commit(f.m, 1, 1), 0);
	before = fixture_dump(f.m);
	assert_int_equal(meta_op_begin(f.m), 0);
	assert_int_equal(meta_epoch_advance(f.m, &epoch), 0);
	assert_int_equal(branch_create(f.m, &view, 5, 5, &child), 0);
	assert_int_equal(branch_add_totals(f.m, b, 7, 7), 0);
	assert_int_equal(meta_op_end(f.m), 0);
	assert_int_equal(b->pinned, 1);
	assert_int_equal(buf_add(&effects, meta_effects(f.m)->data, meta_effects(f.m)->len), 0);
	pack = meta_next_pack(f.m);
	assert_int_equal(meta_rollback(f.m), 0);
	after = fixture_dump(f.m);
	assert_same_dump(before, after);
	buf_free(&after);
	assert_ptr_equal(branch_get(f.m, b->id), b);
	assert_int_equal(b->pinned, 0);
	assert_true(child->dead);
	assert_int_equal(meta_next_pack(f.m), pack + 1);
	/* Applied again, it is the same branch, at the same address. */
	assert_int_equal(meta_op_begin(f.m), 0);
	assert_int_equal(meta_apply(f.m, effects.data, effects.len), 0);
	assert_int_equal(meta_op_end(f.m), 0);
	assert_false(child->dead);
	assert_ptr_equal(child->parent, b);
	assert_int_equal(b->bytes, 3 + 7);
	assert_int_equal(b->pinned, 1);
	assert_int_equal(meta_now(f.m), 2);
	buf_free(&before);
	buf_free(&effects);
	fixture_close(&f);
}

static int patch_version(const char *dir, const char *sql)
{
	char path[DIR_LEN + 16];
	sqlite3 *db;
	int rc;

	(void)snprintf(path, sizeof path, "%s/meta.db", dir);
	rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "varve");
	if (!rc)
		rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	return sqlite3_close(db) ? -1 : rc;
}

/* It is damaged, for good: nobody should wait for it, least of all in reading what is no file. */
static void test_no_file(void **state)
{
	struct fixture f;
	struct err err = {0};
	char path[DIR_LEN + 16];

	(void)state;
	fixture_open(&f);
	meta_free(f.m);
	f.m = NULL;
	(void)snprintf(path, sizeof path, "%s/meta.db", f.dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(meta_open(f.dir, &f.m, &err), -ECORRUPT);
	assert_non_null(strstr(err.text, "meta.db is missing"));
	assert_int_equal(mkfifo(path, 0600), 0);
	(void)alarm(30);
	assert_int_equal(meta_open(f.dir, &f.m, &err), -ECORRUPT);
	(void)alarm(0);
	assert_null(f.m);
	fixture_close(&f);
}

static void test_too_new(void **state)
{
	struct fixture f;
	struct err err = {0};

	(void)state;
	fixture_open(&f);
	meta_free(f.m);
	f.m = NULL;
	assert_int_equal(patch_version(f.dir, "PRAGMA user_version=1000"), 0);
	assert_int_equal(meta_open(f.dir, &f.m, &err), -ETOONEW);
	assert_non_null(strstr(err.text, "schema 1000"));
	assert_true(err.hint[0] != '\0');
	assert_int_equal(patch_version(f.dir, "PRAGMA user_version=1; PRAGMA application_id=5"), 0);
	assert_int_equal(meta_open(f.dir, &f.m, &err), -ECORRUPT);
	assert_null(f.m);
	fixture_close(&f);
}

struct checkpointer {
	struct meta *m;
	_Atomic bool stop;
	int ret;
};

static void *checkpoint_loop(void *arg)
{
	struct checkpointer *c = arg;

	while (!atomic_load(&c->stop) && !c->ret) {
		c->ret = meta_checkpoint(c->m);
		if (!c->ret)
			c->ret = meta_sync_wal(c->m);
	}
	return NULL;
}

/* Commits with a checkpointer beside them: the WAL starts over whenever it is asked to, and so stays small. */
static void test_wal_bounded(void **state)
{
	const uint64_t limit = 400 * KIB;
	struct fixture f;
	struct checkpointer c = {0};
	struct branch *b;
	struct stat st;
	char path[DIR_LEN + 16];
	uint64_t total = 0, before;
	pthread_t thread;

	(void)state;
	fixture_open(&f);
	b = fixture_root_branch(f.m);
	c.m = f.m;
	assert_int_equal(pthread_create(&thread, NULL, checkpoint_loop, &c), 0);
	for (uint64_t i = 1; i <= 400; i++) {
		sqlite3_stmt *st_left;

		before = meta_wal_size(f.m);
		op_inodes(f.m, b, 40);
		assert_int_equal(meta_commit(f.m, i, i), 0);
		if (meta_wal_size(f.m) > before)
			total += meta_wal_size(f.m) - before;
		/* A statement that is not at its end must not hold the WAL. */
		assert_int_equal(sql_stmt(f.m, SQL_BRANCH_ALL, &st_left), 0);
		assert_int_equal(sql_step(f.m, st_left), 0);
		if (meta_wal_size(f.m) > limit) {
			assert_int_equal(meta_reset_wal(f.m), 0);
			assert_int_equal(meta_wal_size(f.m), 0);
		}
	}
	atomic_store(&c.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(c.ret, 0);
	fixture_path(&f, "meta.db-wal", path, sizeof path);
	assert_int_equal(stat(path, &st), 0);
	assert_true(total > 4 * limit);
	assert_true((uint64_t)st.st_size < 2 * limit);
	assert_int_equal(fixture_integrity(f.m, NULL), 0);
	assert_int_equal(inodes(f.m), 16000);
	fixture_reopen(&f);
	assert_int_equal(inodes(f.m), 16000);
	fixture_close(&f);
}

struct fault {
	int countdown; /* the operation that fails, counted down; negative: none any more */
	int error;
	enum io_op only;   /* IO_OP_COUNT: any */
	size_t write_len;  /* what a failing write still writes */
	bool fired;
};

static int fault_hook(void *arg, enum io_class cls, enum io_op op, const char *path, int fd, const void *data, size_t *len,
		      off_t off)
{
	struct fault *f = arg;

	(void)path;
	(void)fd;
	(void)data;
	(void)off;
	if (cls != IO_DB || (f->only != IO_OP_COUNT && f->only != op) || f->countdown < 0)
		return 0;
	if (f->countdown-- > 0)
		return 0;
	f->fired = true;
	if (op == IO_WRITE && f->write_len < *len)
		*len = f->write_len;
	return f->error;
}

/* The disk is full at COMMIT: SQLite rolls everything back, the effects are applied again, and the next commit holds
 * them. */
static void test_lost(void **state)
{
	struct fixture f;
	struct fault fault = {.error = -ENOSPC, .only = IO_WRITE};
	struct buf expected, got, effects = {0};
	struct branch *b;
	int quiet;

	(void)state;
	fixture_open(&f);
	b = fixture_root_branch(f.m);
	assert_int_equal(meta_commit(f.m, 1, 1), 0);
	op_inodes(f.m, b, 100);
	assert_int_equal(buf_add(&effects, meta_effects(f.m)->data, meta_effects(f.m)->len), 0);
	expected = fixture_dump(f.m);
	io_set_hook(fault_hook, &fault);
	quiet = fixture_quiet();
	assert_int_equal(meta_commit(f.m, 1, 1), -ENOSPC);
	fixture_loud(quiet);
	io_set_hook(NULL, NULL);
	assert_true(meta_lost(f.m));
	assert_int_equal(meta_op_begin(f.m), -ENOSPC);
	assert_int_equal(meta_commit(f.m, 1, 1), -ENOSPC);
	assert_int_equal(meta_rollback(f.m), 0);
	assert_false(meta_lost(f.m));
	assert_int_equal(inodes(f.m), 0);
	assert_int_equal(b->inodes, 0);
	assert_int_equal(meta_op_begin(f.m), 0);
	assert_int_equal(meta_apply(f.m, effects.data, effects.len), 0);
	assert_int_equal(meta_op_end(f.m), 0);
	got = fixture_dump(f.m);
	assert_same_dump(expected, got);
	buf_free(&got);
	assert_int_equal(meta_commit(f.m, 1, 1), 0);
	fixture_reopen(&f);
	got = fixture_dump(f.m);
	assert_same_dump(expected, got);
	buf_free(&got);
	buf_free(&expected);
	buf_free(&effects);
	fixture_close(&f);
}

enum { STEPS = 4 };

/* A short life of a database. *ret_acked is the last step whose commit was reported as done. Stops at the first
 * error. */
static void live(struct fixture *f, int *ret_acked)
{
	*ret_acked = 0;
	if (meta_open(f->dir, &f->m, NULL))
		return;
	for (int step = 1; step <= STEPS; step++) {
		bool ok = meta_op_begin(f->m) == 0;

		for (int i = 0; ok && i < 60; i++)
			ok = !put_inode(f->m, 1, (uint64_t)(1000 * step + i), step);
		if (ok)
			ok = !branch_add_totals(f->m, branch_get(f->m, 1), step, 60);
		if (ok)
			ok = !meta_op_end(f->m);
		else if (f->m->in_op)
			meta_op_abort(f->m);
		if (!ok || meta_commit(f->m, (uint64_t)step, 0))
			break;
		*ret_acked = step;
		(void)meta_sync_wal(f->m);
		(void)(step % 2 ? meta_checkpoint(f->m) : meta_reset_wal(f->m));
	}
	meta_free(f->m);
	f->m = NULL;
}

static void fault_loop(int error, size_t write_len)
{
	for (int nth = 0;; nth++) {
		struct fixture f;
		struct fault fault = {.countdown = nth, .error = error, .only = IO_OP_COUNT, .write_len = write_len};
		uint64_t rows, data;
		int acked, quiet;

		fixture_open(&f);
		(void)fixture_root_branch(f.m);
		assert_int_equal(meta_commit(f.m, 0, 0), 0);
		meta_free(f.m);
		f.m = NULL;
		quiet = fixture_quiet();
		io_set_hook(fault_hook, &fault);
		live(&f, &acked);
		io_set_hook(NULL, NULL);
		fixture_loud(quiet);
		/* What was reported as committed is there, whole; of the step that failed, all or nothing. */
		fixture_reopen(&f);
		meta_committed(f.m, &rows, &data);
		assert_in_range(rows, (uint64_t)acked, (uint64_t)acked + 1);
		assert_int_equal(inodes(f.m), (int64_t)rows * 60);
		assert_int_equal(branch_get(f.m, 1)->inodes, (int64_t)rows * 60);
		assert_int_equal(fixture_integrity(f.m, NULL), 0);
		fixture_close(&f);
		if (!fault.fired) {
			assert_int_equal(acked, STEPS);
			assert_true(nth > 20);
			break;
		}
	}
}

static void test_faults_eio(void **state)
{
	(void)state;
	fault_loop(-EIO, 0);
}

static void test_faults_torn_full(void **state)
{
	(void)state;
	fault_loop(-ENOSPC, 1000);
}

/* A statement that is not to be had is NULL, which its user's clean-up takes. */
static void test_no_statement(void **state)
{
	struct fixture f;
	sqlite3_stmt *st = (sqlite3_stmt *)&f;

	(void)state;
	fixture_open(&f);
	f.m->lost = true;
	f.m->lost_error = -ENOMEM;
	assert_int_equal(sql_stmt(f.m, SQL_AUDIT_SPACE, &st), -ENOMEM);
	assert_null(st);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),	   cmocka_unit_test(test_commit_reopen), cmocka_unit_test(test_commit_nothing),
		cmocka_unit_test(test_settings),   cmocka_unit_test(test_killed),	 cmocka_unit_test(test_abort),
		cmocka_unit_test(test_rollback),   cmocka_unit_test(test_too_new),	 cmocka_unit_test(test_wal_bounded),
		cmocka_unit_test(test_lost),	   cmocka_unit_test(test_faults_eio),	 cmocka_unit_test(test_faults_torn_full),
		cmocka_unit_test(test_no_statement), cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
