/* Versions against a naive model: random changes of inodes, entries, xattrs and extents over several branches, with snapshots, forks,
 * dropped views, reaping, purging and flattening in between. The model keeps a full copy of every view.
 *
 * test_versions_model [SEED [OPS]], or SEED and OPS in the environment; the seed is printed. */
#include <sys/stat.h>

#include "store/meta/catalog.h"
#include "store/meta/chunk_table.h"
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
	bool orphan; /* of the head: has an orphan row */
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
		OK(inode_scan(fix.m, &v, n ? found[n - 1].ino : 0, found + n, 3 < SLOTS + 1 - n ? 3 : SLOTS + 1 - n, &got));
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
	assert_int_equal(ask("SELECT count(*) FROM chunk c WHERE refs<>(SELECT count(*) FROM extent e WHERE e.chunk=c.id)"), 0);
}

/* Every row is shown by a view: only once all tasks are done. */
static void check_no_garbage(void)
{
	static const char *const tables[] = {"inode", "dirent", "xattr", "extent"};
	char sql[600];

	for (int t = 0; t < 4; t++) {
		(void)snprintf(sql, sizeof sql,
			       "SELECT count(*) FROM %s r WHERE NOT EXISTS(SELECT 1 FROM snapshot s WHERE s.branch=r.branch AND"
			       " s.epoch>=r.since AND s.epoch<r.until) AND NOT EXISTS(SELECT 1 FROM branch b WHERE"
			       " b.parent=r.branch AND b.fork_epoch>=r.since AND b.fork_epoch<r.until) AND NOT"
			       " (r.until=9223372036854775807 AND (SELECT head FROM branch b WHERE b.id=r.branch))",
			       tables[t]);
		assert_int_equal(ask(sql), 0);
	}
	for (int t = 2; t < 4; t++) {
		/* ... and is of an inode that is there. */
		(void)snprintf(sql, sizeof sql,
			       "SELECT count(*) FROM %s r JOIN branch b ON b.id=r.branch WHERE r.until=9223372036854775807 AND"
			       " b.head AND coalesce((SELECT mode FROM inode i WHERE i.branch=r.branch AND i.ino=r.ino AND"
			       " i.until=r.until), b.parent)=0",
			       tables[t]);
		assert_int_equal(ask(sql), 0);
	}
}

/* --- changes of the namespace --- */

static struct slot *find_ino(struct world *w, uint64_t ino)
{
	for (int i = 0; i < SLOTS; i++)
		if (w->slot[i].ino == ino)
			return &w->slot[i];
	fail();
	return NULL;
}

static struct slot *pick(struct world *w, bool dir)
{
	for (int tries = 0; tries < 8; tries++) {
		struct slot *s = &w->slot[rnd(SLOTS)];

		if (s->ino && dir == (bool)S_ISDIR(s->mode))
			return s;
	}
	return NULL;
}

static void put_inode(struct branch *b, struct inode *inode, const struct slot *s)
{
	inode->mode = s->mode;
	inode->uid = s->uid;
	inode->nlink = s->nlink;
	OK(inode_put(fix.m, b, inode));
	assert_int_equal(inode->row_branch, b->id);
	assert_int_equal(inode->alloc, alloc_of(s));
}

static struct inode get_inode(struct branch *b, const struct slot *s)
{
	struct meta_view head = {b, META_HEAD};
	struct inode inode;

	OK(inode_get(fix.m, &head, s->ino, &inode));
	return inode;
}

static void update_inode(struct branch *b, const struct slot *s)
{
	struct inode inode = get_inode(b, s);

	put_inode(b, &inode, s);
}

static void new_slot(struct branch *b, struct slot *s, bool dir)
{
	struct inode inode = {.inherit = INHERIT_ALL};

	memset(s, 0, sizeof *s);
	s->ino = inode.ino = meta_next_ino(fix.m);
	s->mode = dir ? S_IFDIR | 0755 : S_IFREG | 0644;
	s->uid = (uint32_t)rnd(1000);
	s->nlink = 1;
	for (int i = 0; i < XATTRS; i++)
		s->xattr[i] = -1;
	put_inode(b, &inode, s);
}

static void set_entry(struct branch *b, struct slot *dir, int i, uint64_t ino)
{
	struct meta_view head = {b, META_HEAD};
	struct dirent_row row;
	char name[16];
	int ret;

	name_of(i, name);
	ret = dirent_get(fix.m, &head, dir->ino, name, strlen(name), &row);
	assert_int_equal(ret, dir->entry[i] ? 0 : -ENOENT);
	if (ret) {
		memset(&row, 0, sizeof row);
		row.parent = dir->ino;
		row.hash = dirent_hash(fix.m, name, strlen(name));
		row.name_len = (uint8_t)strlen(name);
		memcpy(row.name, name, row.name_len);
	}
	row.ino = ino;
	row.type = (uint8_t)rnd(10);
	if (ino)
		OK(dirent_put(fix.m, b, &row));
	else if (!ret)
		OK(dirent_delete(fix.m, b, &row));
	dir->entry[i] = ino;
}

static void destroy(struct branch *b, struct slot *s)
{
	struct inode inode = get_inode(b, s);

	if (s->orphan)
		OK(orphan_remove(fix.m, b, s->ino));
	OK(inode_delete(fix.m, b, &inode));
	OK(extent_purge(fix.m, b, s->ino));
	gone[rnd(GONE)] = s->ino;
	s->ino = 0;
}

static bool is_empty(const struct slot *dir)
{
	for (int i = 0; i < NAMES; i++)
		if (dir->entry[i])
			return false;
	return true;
}

static void drop_link(struct branch *b, struct slot *s)
{
	s->nlink--;
	if (s->nlink || rnd(3) == 0) {
		update_inode(b, s);
		if (!s->nlink) {
			OK(orphan_add(fix.m, b, s->ino));
			s->orphan = true;
		}
	} else {
		destroy(b, s);
	}
}

static void op_create(struct branch *b, struct world *w)
{
	struct slot *dir = pick(w, true), *s = &w->slot[rnd(SLOTS)];
	int i = (int)rnd(NAMES);

	if (!dir || s->ino || dir->entry[i])
		return;
	new_slot(b, s, rnd(4) == 0);
	set_entry(b, dir, i, s->ino);
}

static void op_unlink(struct branch *b, struct world *w)
{
	struct slot *dir = pick(w, true), *s;
	int i = (int)rnd(NAMES);

	if (!dir || !dir->entry[i])
		return;
	s = find_ino(w, dir->entry[i]);
	if (S_ISDIR(s->mode) && !is_empty(s))
		return;
	set_entry(b, dir, i, 0);
	drop_link(b, s);
}

static void op_link(struct branch *b, struct world *w)
{
	struct slot *dir = pick(w, true), *s = pick(w, false);
	int i = (int)rnd(NAMES);

	if (!dir || !s || dir->entry[i] || !s->nlink)
		return;
	s->nlink++;
	update_inode(b, s);
	set_entry(b, dir, i, s->ino);
}

/* Files only: a directory could end up below itself. */
static void op_rename(struct branch *b, struct world *w)
{
	struct slot *from = pick(w, true), *to = pick(w, true), *s, *over = NULL;
	int i = (int)rnd(NAMES), k = (int)rnd(NAMES);

	if (!from || !to || !from->entry[i] || to->entry[k] == from->entry[i])
		return;
	s = find_ino(w, from->entry[i]);
	if (to->entry[k])
		over = find_ino(w, to->entry[k]);
	if (S_ISDIR(s->mode) || (over && S_ISDIR(over->mode)))
		return;
	set_entry(b, to, k, s->ino);
	set_entry(b, from, i, 0);
	if (over)
		drop_link(b, over);
}

static void op_forget(struct branch *b, struct world *w)
{
	struct slot *s = pick(w, false);

	if (s && !s->nlink)
		destroy(b, s);
}

static void op_xattr(struct branch *b, struct world *w)
{
	struct slot *s = pick(w, rnd(4) == 0);
	uint8_t value[256];
	int i = (int)rnd(XATTRS), len = (int)rnd(200);
	char name[16];

	if (!s)
		return;
	xattr_name(i, name);
	memset(value, len, sizeof value);
	if (rnd(3) == 0) {
		assert_int_equal(xattr_delete(fix.m, b, s->ino, name), s->xattr[i] < 0 ? -ENODATA : 0);
		s->xattr[i] = -1;
		return;
	}
	assert_int_equal(xattr_set(fix.m, b, s->ino, name, value, 1, s->xattr[i] < 0 ? XATTR_SET_REPLACE : XATTR_SET_CREATE),
			 s->xattr[i] < 0 ? -ENODATA : -EEXIST);
	OK(xattr_set(fix.m, b, s->ino, name, value, (size_t)len, 0));
	s->xattr[i] = len;
}

/* --- changes of contents --- */

static void op_write(struct branch *b, struct world *w)
{
	struct extent pieces[BLOCKS];
	struct slot *s = pick(w, false);
	struct inode inode;
	int lo = (int)rnd(BLOCKS), hi = lo + 1 + (int)rnd(rnd(3) ? 4 : (uint64_t)(BLOCKS - lo));
	size_t n = 0;

	if (!s)
		return;
	inode = get_inode(b, s);
	hi = hi > BLOCKS ? BLOCKS : hi;
	for (int at = lo; at < hi; n++) {
		int len = 1 + (int)rnd(rnd(2) ? 8 : 2);

		len = len > hi - at ? hi - at : len;
		pieces[n] = (struct extent){at * (int64_t)BLOCK, len * (int64_t)BLOCK, 0, 0};
		if (rnd(8)) {
			pieces[n].chunk = chunks[rnd(CHUNKS)];
			pieces[n].choff = (uint32_t)rnd(1000);
		}
		for (int i = 0; i < len; i++)
			s->block[at + i] = (struct block){pieces[n].chunk, pieces[n].chunk ? pieces[n].choff + (uint32_t)i * (uint32_t)BLOCK : 0};
		at += len;
	}
	OK(extent_write(fix.m, b, &inode, lo * (int64_t)BLOCK, (hi - lo) * (int64_t)BLOCK, pieces, n));
	put_inode(b, &inode, s);
}

static void op_punch(struct branch *b, struct world *w)
{
	struct slot *s = pick(w, false);
	struct inode inode;
	int lo = (int)rnd(BLOCKS), hi = lo + 1 + (int)rnd((uint64_t)(BLOCKS - lo));
	int64_t at = lo * (int64_t)BLOCK, stop = hi * (int64_t)BLOCK;

	if (!s)
		return;
	inode = get_inode(b, s);
	while (at < stop) {
		int64_t next;

		OK(extent_punch(fix.m, b, &inode, at, stop, 1 + (unsigned)rnd(40), &next));
		assert_true(next > at && next <= stop);
		at = next;
	}
	memset(&s->block[lo], 0, (size_t)(hi - lo) * sizeof *s->block);
	put_inode(b, &inode, s);
}

static void op_truncate(struct branch *b, struct world *w)
{
	struct slot *s = pick(w, false);
	struct inode inode;
	int lo = rnd(3) ? (int)rnd(BLOCKS) : 0;
	bool done = false;

	if (!s)
		return;
	inode = get_inode(b, s);
	while (!done)
		OK(extent_truncate(fix.m, b, &inode, lo * (int64_t)BLOCK, 1 + (unsigned)rnd(20), &done));
	memset(&s->block[lo], 0, (size_t)(BLOCKS - lo) * sizeof *s->block);
	put_inode(b, &inode, s);
}

static void op_chmod(struct branch *b, struct world *w)
{
	struct slot *s = pick(w, rnd(3) == 0);

	if (!s)
		return;
	s->uid = (uint32_t)rnd(1000);
	update_inode(b, s);
}

static void change(void)
{
	static void (*const ops[])(struct branch *, struct world *) = {
		op_create, op_create, op_create, op_unlink, op_unlink, op_link,  op_rename,   op_forget, op_xattr,
		op_xattr,  op_chmod,  op_write,  op_write,  op_write,  op_punch, op_truncate,
	};
	struct line *l = any_head();
	unsigned n = 1 + (unsigned)rnd(3);

	saved = l->w;
	OK(meta_op_begin(fix.m));
	while (n-- > 0)
		ops[rnd(sizeof ops / sizeof *ops)](branch_of(l->id), &l->w);
	did.changes++;
	if (rnd(10)) {
		end();
	} else {
		did.aborts++;
		meta_op_abort(fix.m);
		assert_false(meta_lost(fix.m));
		l->w = saved;
	}
}

/* --- views --- */

static void snapshot(void)
{
	struct line *l = any_head();
	struct snap *s = &snaps[rnd(SNAPSHOTS_MAX)];
	struct snapshot_row row = {.volume = 1};

	if (s->id)
		return;
	OK(meta_op_begin(fix.m));
	OK(meta_epoch_advance(fix.m, &s->epoch));
	s->id = row.id = meta_next_id(fix.m);
	s->branch = row.branch = l->id;
	row.epoch = s->epoch;
	(void)snprintf(row.name, sizeof row.name, "s%lld", (long long)row.id);
	OK(snapshot_put(fix.m, &row));
	s->w = l->w;
	did.snapshots++;
	end();
}

static void snapshot_drop(struct snap *s)
{
	if (!s->id)
		return;
	OK(meta_op_begin(fix.m));
	OK(snapshot_delete(fix.m, s->id));
	OK(reap_drop_view(fix.m, branch_of(s->branch), s->epoch));
	s->id = 0;
	end();
}

/* From the deepest of a few snapshots, so that lineages grow. */
static void fork_view(void)
{
	struct line *l = &lines[rnd(BRANCHES_MAX)];
	struct snap *s = NULL;
	struct meta_view v;
	struct branch *b;

	for (int i = 0; i < 4; i++) {
		struct snap *t = &snaps[rnd(SNAPSHOTS_MAX)];

		if (t->id && (!s || branch_depth(branch_of(t->branch)) > branch_depth(branch_of(s->branch))))
			s = t;
	}
	if (l->id || !s)
		return;
	v = (struct meta_view){branch_of(s->branch), s->epoch};
	OK(meta_op_begin(fix.m));
	OK(branch_create(fix.m, &v, 0, 0, &b));
	OK(branch_set_head(fix.m, b, true));
	memset(l, 0, sizeof *l);
	l->id = b->id;
	l->head = true;
	l->w = s->w;
	for (int i = 0; i < SLOTS; i++)
		l->w.slot[i].orphan = false;
	did.forks++;
	if (branch_depth(b) > did.depth_max)
		did.depth_max = branch_depth(b);
	end();
}

static void head_drop(struct line *l)
{
	if (!l->head)
		return;
	OK(meta_op_begin(fix.m));
	OK(reap_drop_view(fix.m, branch_of(l->id), META_HEAD));
	l->head = false;
	did.head_drops++;
	end();
}

static int heads(void)
{
	int n = 0;

	for (int i = 0; i < BRANCHES_MAX; i++)
		n += lines[i].head;
	return n;
}

/* --- background work --- */

static void forget_dead(void)
{
	for (int i = 0; i < BRANCHES_MAX; i++)
		if (lines[i].id && !branch_get(fix.m, lines[i].id))
			lines[i].id = 0;
}

static bool reap(void)
{
	struct reap_task t;
	unsigned rows;
	int ret = reap_first(fix.m, &t);

	assert_true(ret >= 0);
	if (ret)
		return false;
	OK(meta_op_begin(fix.m));
	OK(reap_slice(fix.m, &t, 1 + (unsigned)rnd(30), &rows));
	end();
	did.reaped_rows += rows;
	forget_dead();
	return true;
}

static bool purge(void)
{
	unsigned rows;

	OK(meta_op_begin(fix.m));
	OK(extent_purge_slice(fix.m, 1 + (unsigned)rnd(10), &rows));
	end();
	did.purged_rows += rows;
	forget_dead();
	return rows > 0;
}

static void flatten(void)
{
	struct line *l = &lines[rnd(BRANCHES_MAX)];
	bool done;

	if (!flatten_on || !l->id || !branch_of(l->id)->parent)
		return;
	OK(meta_op_begin(fix.m));
	OK(flatten_slice(fix.m, branch_of(l->id), &l->cursor, 1 + (unsigned)rnd(40), &done));
	assert_int_equal(done, branch_of(l->id)->parent == NULL);
	did.cuts += done;
	end();
}

static void commit(void)
{
	uint64_t seq, data;

	did.commits++;
	meta_committed(fix.m, &seq, &data);
	OK(meta_commit(fix.m, seq + 1, data));
	OK(meta_commit(mirror.m, seq + 1, data));
	if (rnd(4))
		return;
	fixture_reopen(&fix);
	for (int i = 0; i < BRANCHES_MAX; i++)
		lines[i].cursor = (struct flatten_cursor){0};
}

static void step(void)
{
	uint64_t r = rnd(100);

	if (r < 78)
		change();
	else if (r < 82)
		snapshot();
	else if (r < 85)
		snapshot_drop(&snaps[rnd(SNAPSHOTS_MAX)]);
	else if (r < 88)
		fork_view();
	else if (r < 91)
		(void)reap();
	else if (r < 93)
		(void)purge();
	else if (r < 98)
		flatten();
	else if (r == 98 && heads() > 1 && rnd(3) == 0)
		head_drop(&lines[rnd(BRANCHES_MAX)]);
	else if (r == 99 && rnd(5) == 0)
		commit();
}

static void settle(void)
{
	bool more = true;

	while (more) {
		bool reaped = rnd(2) ? reap() : false;

		more = purge();
		more = reap() || reaped || more;
	}
	check_no_garbage();
}

static void begin(uint64_t seed)
{
	struct branch *b;

	rng = seed * 0x9e3779b97f4a7c15u + 1;
	memset(lines, 0, sizeof lines);
	memset(snaps, 0, sizeof snaps);
	memset(gone, 0, sizeof gone);
	memset(&did, 0, sizeof did);
	fixture_open(&fix);
	fixture_open(&mirror);
	OK(meta_op_begin(fix.m));
	OK(branch_create(fix.m, NULL, 0, 0, &b));
	OK(branch_set_head(fix.m, b, true));
	for (int i = 0; i < CHUNKS; i++) {
		struct chunk_row c = {.pack = 1, .off = (uint32_t)i, .stored_len = 1, .raw_len = CHUNK_LEN_MAX};

		OK(chunk_add(fix.m, &c));
		chunks[i] = c.id;
	}
	lines[0].id = b->id;
	lines[0].head = true;
	new_slot(b, &lines[0].w.slot[0], true);
	end();
}

/* All views go, and with them everything. */
static void tear_down(void)
{
	for (int i = 0; i < SNAPSHOTS_MAX; i++)
		snapshot_drop(&snaps[i]);
	for (int i = 0; i < BRANCHES_MAX; i++)
		head_drop(&lines[i]);
	settle();
	assert_int_equal(ask("SELECT (SELECT count(*) FROM inode) + (SELECT count(*) FROM dirent) + (SELECT count(*) FROM xattr)"
			     " + (SELECT count(*) FROM extent) + (SELECT count(*) FROM branch) + (SELECT count(*) FROM orphan)"
			     " + (SELECT count(*) FROM purge) + (SELECT count(*) FROM reap) + (SELECT sum(refs) FROM chunk)"),
			 0);
}

static void run_seed(uint64_t seed, unsigned ops)
{
	struct buf a, b;

	print_message("seed %llu, %u operations\n", (unsigned long long)seed, ops);
	begin(seed);
	for (unsigned i = 1; i <= ops; i++) {
		step();
		if (i % PHASE == 0)
			flatten_on = rnd(3) == 0;
		if (i % CHECK_EVERY == 0)
			check_all();
		if (i % (CHECK_EVERY * 10) == 0) {
			settle();
			check_all();
		}
	}
	settle();
	check_all();
	a = fixture_dump(fix.m);
	b = fixture_dump(mirror.m);
	assert_same_dump(a, b);
	buf_free(&a);
	buf_free(&b);
	tear_down();
	print_message("  %u changes (%u aborted), %u snapshots, %u forks (depth %u), %u flattened, %u heads dropped, %u rows reaped,"
		      " %u purged, %u commits\n",
		      did.changes, did.aborts, did.snapshots, did.forks, did.depth_max, did.cuts, did.head_drops, did.reaped_rows,
		      did.purged_rows, did.commits);
	fixture_close(&fix);
	fixture_close(&mirror);
}

static uint64_t given_seed;
static unsigned given_ops;

static void test_against_model(void **state)
{
	(void)state;
	if (given_seed) {
		run_seed(given_seed, given_ops);
		return;
	}
	for (uint64_t seed = 1; seed <= 4; seed++)
		run_seed(seed, given_ops);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_model)};
	const char *seed = argc > 1 ? argv[1] : getenv("SEED"), *ops = argc > 2 ? argv[2] : getenv("OPS");

	given_seed = seed ? strtoull(seed, NULL, 10) : 0;
	given_ops = ops && *ops ? (unsigned)strtoul(ops, NULL, 10) : 6000;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
