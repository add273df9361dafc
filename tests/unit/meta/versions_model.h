/* The naive model that test_versions_model.c keeps of a metadata database, and the comparison of the two. For that one
 * file. */
#ifndef VARVE_TESTS_META_VERSIONS_MODEL_H
#define VARVE_TESTS_META_VERSIONS_MODEL_H

#include <sys/stat.h>

#include "store/base/limits.h"
#include "store/meta/catalog.h"
#include "store/meta/dirent.h"
#include "store/meta/extent_map.h"
#include "store/meta/inode.h"
#include "store/meta/xattr.h"
#include "tests/unit/meta/fixture.h"

#define SLOTS 20
#define NAMES 8
#define XATTRS 4
#define BLOCKS 40
#define BLOCK (CHUNK_LEN_MAX / 8)
#define BRANCHES_MAX 14
#define SNAPSHOTS_MAX 14
#define CHUNKS 30
#define GONE 16
#define CHECK_EVERY 400
#define PHASE 1000

struct block {
	uint64_t chunk;
	uint32_t choff;
};

struct slot {
	uint64_t ino; /* 0: free */
	uint32_t mode, uid, nlink;
	uint64_t entry[NAMES]; /* of a directory */
	int xattr[XATTRS];     /* length of the value, -1 when absent; its byte is the length */
	struct block block[BLOCKS];
};

struct world {
	struct slot slot[SLOTS]; /* 0 is the root */
};

struct line {
	int64_t id; /* of the branch; 0: free */
	bool head;
	struct flatten_cursor cursor;
	struct world w;
};

struct snap {
	int64_t id; /* 0: free */
	int64_t branch, epoch;
	struct world w;
};

/* `m` is worked on, `mirror` gets nothing but the effects. */
static struct fixture fix, mirror;
static struct line lines[BRANCHES_MAX];
static struct snap snaps[SNAPSHOTS_MAX];
static uint64_t chunks[CHUNKS];
static uint64_t gone[GONE];
static uint64_t rng;
static struct {
	unsigned changes, aborts, snapshots, forks, depth_max, cuts, reaped_rows, purged_rows, head_drops, commits;
} did; /* how much of each came to pass */
static bool flatten_on; /* in phases, so that lineages grow deep in between */
static struct world saved; /* the world of an operation that may be aborted */

#define OK(expr) assert_int_equal((expr), 0)

static uint64_t rnd(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 11) % n;
}

static void end(void)
{
	const struct buf *e;

	OK(meta_op_end(fix.m));
	e = meta_effects(fix.m);
	OK(meta_op_begin(mirror.m));
	OK(meta_apply(mirror.m, e->data, e->len));
	OK(meta_op_end(mirror.m));
}

/* A random branch with a head; there always is one. */
static struct line *any_head(void)
{
	for (;;) {
		struct line *l = &lines[rnd(BRANCHES_MAX)];

		if (l->head)
			return l;
	}
}

static struct branch *branch_of(int64_t id)
{
	struct branch *b = branch_get(fix.m, id);

	assert_non_null(b);
	return b;
}

static void name_of(int i, char *out)
{
	(void)snprintf(out, 16, "name%d", i);
}

static void xattr_name(int i, char *out)
{
	/* the last is a symlink's target, which is not listed */
	(void)snprintf(out, 16, i == XATTRS - 1 ? XATTR_SYMLINK_TARGET : "user.x%d", i);
}

/* --- comparing a view with its copy --- */

static int64_t alloc_of(const struct slot *s)
{
	int64_t n = 0;

	for (int i = 0; i < BLOCKS; i++)
		n += s->block[i].chunk ? BLOCK : 0;
	return n;
}

static void fill_blocks(struct block *out, const struct extent *e, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert_true(e[i].chunk != 0 && e[i].len > 0 && e[i].off % BLOCK == 0 && e[i].len % BLOCK == 0);
		for (int64_t k = 0; k < e[i].len / (int64_t)BLOCK; k++) {
			struct block *b = &out[e[i].off / (int64_t)BLOCK + k];

			assert_int_equal(b->chunk, 0);
			*b = (struct block){e[i].chunk, e[i].choff + (uint32_t)(k * (int64_t)BLOCK)};
		}
	}
}

static void check_extents(const struct meta_view *v, const struct slot *s, const struct inode *inode)
{
	struct extent e[5];
	struct block found[BLOCKS] = {0};
	int64_t at = 0;
	size_t n;
	int lo = (int)rnd(BLOCKS), hi = lo + 1 + (int)rnd((uint64_t)(BLOCKS - lo));

	do {
		OK(extent_scan(fix.m, v, inode, at, INT64_MAX, e, 5, &n));
		fill_blocks(found, e, n);
		at = n ? e[n - 1].off + e[n - 1].len : at;
	} while (n == 5);
	for (int i = 0; i < BLOCKS; i++) {
		assert_int_equal(found[i].chunk, s->block[i].chunk);
		assert_int_equal(found[i].choff, s->block[i].choff);
	}
	memset(found, 0, sizeof found);
	for (at = lo * (int64_t)BLOCK + 1;; at = e[n - 1].off + e[n - 1].len) {
		OK(extent_scan(fix.m, v, inode, at, hi * (int64_t)BLOCK, e, 1 + rnd(5), &n));
		fill_blocks(found, e, n);
		if (n == 0)
			break;
		assert_true(e[0].off + e[0].len > at && e[n - 1].off < hi * (int64_t)BLOCK);
	}
	for (int i = lo; i < hi; i++)
		assert_int_equal(found[i].chunk, s->block[i].chunk);
}

static void check_xattrs(const struct meta_view *v, const struct slot *s)
{
	struct buf list = {0}, want = {0};
	char name[16];

	OK(xattr_list(fix.m, v, s->ino, &list));
	for (int i = 0; i < XATTRS; i++) {
		void *value = NULL;
		size_t len;
		int ret;

		xattr_name(i, name);
		ret = xattr_get(fix.m, v, s->ino, name, &value, &len);
		assert_int_equal(ret, s->xattr[i] < 0 ? -ENODATA : 0);
		if (ret)
			continue;
		assert_int_equal(len, s->xattr[i]);
		for (size_t k = 0; k < len; k++)
			assert_int_equal(((uint8_t *)value)[k], (uint8_t)len);
		free(value);
		if (i < XATTRS - 1)
			OK(buf_add(&want, name, strlen(name) + 1));
	}
	assert_int_equal(list.len, want.len);
	if (want.len)
		assert_memory_equal(list.data, want.data, want.len);
	buf_free(&list);
	buf_free(&want);
}

static void check_entries(const struct meta_view *v, const struct slot *s)
{
	struct dirent_row rows[8];
	int64_t after = 0;
	int want = 0, found = 0;
	char name[16];
	size_t n;

	for (int i = 0; i < NAMES; i++) {
		int ret;

		name_of(i, name);
		ret = dirent_get(fix.m, v, s->ino, name, strlen(name), &rows[0]);
		assert_int_equal(ret, s->entry[i] ? 0 : -ENOENT);
		if (s->entry[i]) {
			want++;
			assert_int_equal(rows[0].ino, s->entry[i]);
		}
	}
	do {
		OK(dirent_scan(fix.m, v, s->ino, after, rows, 8, &n));
		for (size_t i = 0; i < n; i++, found++) {
			assert_true(rows[i].hash > after);
			after = rows[i].hash;
			assert_int_equal(rows[i].ino, s->entry[rows[i].name[4] - '0']);
		}
	} while (n);
	assert_int_equal(found, want);
}

static void check_paths(const struct meta_view *v, const struct world *w, const struct slot *s)
{
	struct dirent_row rows[SLOTS * NAMES];
	size_t n, want = 0;

	for (int d = 0; d < SLOTS; d++)
		for (int i = 0; w->slot[d].ino && i < NAMES; i++)
			want += w->slot[d].entry[i] == s->ino;
	OK(dirent_by_ino(fix.m, v, s->ino, rows, SLOTS * NAMES, &n));
	assert_int_equal(n, want);
}

static int by_ino(const void *a, const void *b)
{
	const struct slot *const *x = a, *const *y = b;

	return ((*x)->ino > (*y)->ino) - ((*x)->ino < (*y)->ino);
}

static void check_view(struct branch *b, int64_t epoch, const struct world *w)
{
	struct meta_view v = {b, epoch};
	const struct slot *order[SLOTS];
	struct inode found[SLOTS + 1];
	struct inode inode;
	size_t want = 0, n = 0, got;

	for (int i = 0; i < SLOTS; i++)
		if (w->slot[i].ino)
			order[want++] = &w->slot[i];
	qsort(order, want, sizeof *order, by_ino);
	do {
		OK(inode_scan(fix.m, &v, n ? found[n - 1].ino : 0, found + n, 3 < SLOTS + 1 - n ? 3 : SLOTS + 1 - n,
			      &got));
		n += got;
	} while (got && n < SLOTS + 1);
	assert_int_equal(n, want);
	for (size_t i = 0; i < n; i++) {
		const struct slot *s = order[i];

		OK(inode_get(fix.m, &v, s->ino, &inode));
		assert_int_equal(inode.inherit, found[i].inherit);
		assert_int_equal(inode.row_branch, found[i].row_branch);
		assert_int_equal(inode.row_since, found[i].row_since);
		assert_int_equal(inode.ino, found[i].ino);
		assert_int_equal(inode.ino, s->ino);
		assert_int_equal(inode.mode, s->mode);
		assert_int_equal(inode.uid, s->uid);
		assert_int_equal(inode.nlink, s->nlink);
		assert_int_equal(inode.alloc, alloc_of(s));
		check_xattrs(&v, s);
		check_paths(&v, w, s);
		if (S_ISDIR(s->mode))
			check_entries(&v, s);
		else
			check_extents(&v, s, &inode);
	}
	for (int i = 0; i < GONE; i++) {
		bool shown = false;

		for (size_t k = 0; k < want; k++)
			shown |= order[k]->ino == gone[i];
		if (!shown && gone[i])
			assert_int_equal(inode_get(fix.m, &v, gone[i], &inode), -ENOENT);
	}
}

static int64_t ask(const char *sql)
{
	sqlite3_stmt *st;
	int64_t ret;

	assert_int_equal(sqlite3_prepare_v2(fix.m->db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	ret = sqlite3_column_int64(st, 0);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	return ret;
}

static void check_all(void)
{
	for (int i = 0; i < BRANCHES_MAX; i++)
		if (lines[i].head)
			check_view(branch_of(lines[i].id), META_HEAD, &lines[i].w);
	for (int i = 0; i < SNAPSHOTS_MAX; i++)
		if (snaps[i].id)
			check_view(branch_of(snaps[i].branch), snaps[i].epoch, &snaps[i].w);
	assert_int_equal(ask("SELECT count(*) FROM chunk c WHERE refs<>(SELECT count(*) FROM extent e"
			     " WHERE e.chunk=c.id)"), 0);
}

/* Every row is shown by a view: only once all tasks are done. */
static void check_no_garbage(void)
{
	static const char *const tables[] = {"inode", "dirent", "xattr", "extent"};
	char sql[600];

	for (int t = 0; t < 4; t++) {
		(void)snprintf(sql, sizeof sql,
			       "SELECT count(*) FROM %s r WHERE NOT EXISTS(SELECT 1 FROM snapshot s WHERE"
			       " s.branch=r.branch AND s.epoch>=r.since AND s.epoch<r.until) AND NOT"
			       " EXISTS(SELECT 1 FROM branch b WHERE b.parent=r.branch AND b.fork_epoch>=r.since AND b.fork_epoch<r.until)"
			       " AND NOT (r.until=9223372036854775807 AND (SELECT head FROM branch b WHERE b.id=r.branch))",
			       tables[t]);
		assert_int_equal(ask(sql), 0);
	}
	for (int t = 2; t < 4; t++) {
		/* ... and is of an inode that is there. */
		(void)snprintf(sql, sizeof sql,
			       "SELECT count(*) FROM %s r JOIN branch b ON b.id=r.branch WHERE"
			       " r.until=9223372036854775807 AND b.head AND coalesce((SELECT mode FROM inode i WHERE"
			       " i.branch=r.branch AND i.ino=r.ino AND i.until=r.until), b.parent)=0",
			       tables[t]);
		assert_int_equal(ask(sql), 0);
	}
}

#endif
