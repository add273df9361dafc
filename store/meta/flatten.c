/* Flattening: a branch gets copies of all it inherits, then its parent link is cut.
 *
 * What the parent's view shows never changes, and a key of it shows through in the branch until the branch's first own
 * row for that key: from then on the branch always has one, a tombstone if need be (extents may also go out of sight
 * when the inode's `inherit` falls to their offset, or with the inode itself). So a key's copy has its original
 * `since`, and for `until` the `since` of that first own row, or META_LIVE. At every moment the copy says just what the
 * inherited row says, so the order of copying does not matter, and a change between two slices either meets the copy as
 * an own row like any other, or is itself the first own row.
 *
 * A copy that no view of the branch could see (closed before the first of them) is not made: no reap task would ever
 * remove it. This also makes copying a key a second time harmless, so that it may begin anew after a restart: the first
 * own row is then the copy itself, older than the fork. Tombstones are never copied: with the link cut there is nothing
 * behind them; those that the branch has of its own are left, and harmless. */
#include <string.h>

#include "store/base/cleanup.h"
#include "store/meta/dirent.h"
#include "store/meta/extent_internal.h"
#include "store/meta/xattr.h"

#define BATCH 32

enum { STAGE_INODE, STAGE_XATTR, STAGE_DIRENT, STAGE_EXTENT };

struct flatten {
	struct meta *m;
	struct branch *b;
	struct meta_view from;
	int64_t first_view; /* of the branch; META_HEAD or META_LIVE when there is none but the head */
	struct flatten_cursor *cursor;
	unsigned rows;
};

/* When extents at or beyond `off` (-1: the whole inode) of the file went out of the branch's sight. */
static int hidden_since(struct flatten *f, uint64_t ino, int64_t off, int64_t *ret)
{
	sqlite3_stmt *st;
	int err = sql_stmt(f->m, SQL_FLATTEN_HIDDEN_SINCE, &st);

	if (err)
		return err;
	(void)sqlite3_bind_int64(st, 1, f->b->id);
	(void)sqlite3_bind_int64(st, 2, (int64_t)ino);
	(void)sqlite3_bind_int64(st, 3, off);
	err = sql_step(f->m, st);
	if (err < 0)
		return err;
	*ret = err ? META_LIVE : sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	return 0;
}

/* Puts one copy; cols has everything but branch and until. `bound`: from when on it is hidden anyway. */
static int copy(struct flatten *f, enum table t, enum sql_id get, const struct version_key *key, int64_t bound,
		struct value *cols, unsigned until_col, uint64_t chunk)
{
	int64_t until;
	int err = version_first_since(f->m, get, f->b, key, &until);

	f->rows++;
	if (err)
		return err;
	if (bound < until)
		until = bound;
	if (until != META_LIVE && f->first_view >= until)
		return 0;
	cols[0] = VI(f->b->id);
	cols[until_col] = VI(until);
	err = row_put(f->m, t, cols);
	return !err && chunk ? row_chunk_ref(f->m, chunk, 1) : err;
}

/* >0 when there is no further inode. */
static int copy_inode(struct flatten *f)
{
	struct version_key key;
	struct inode i;
	size_t n;
	int err = inode_scan(f->m, &f->from, f->cursor->ino, &i, 1, &n);

	if (err || n == 0)
		return err ? err : 1;
	key = (struct version_key){.object = i.ino};
	/* Nothing that the branch itself inherits is hidden by its copy. */
	struct value cols[] = {
		VI(0),        VI(i.ino),   VI(0),       VI(i.row_since), VI(i.mode),      VI(i.uid),
		VI(i.gid),    VI(i.nlink), VI(i.rdev),  VI(i.size),      VI(i.alloc),     VI(i.atime),
		VI(i.mtime),  VI(i.ctime), VI(i.btime), VI(INHERIT_ALL), VI(i.parent),    VI(i.flags),
	};
	err = copy(f, T_INODE, SQL_INODE_GET, &key, META_LIVE, cols, 2, 0);
	if (err)
		return err;
	*f->cursor = (struct flatten_cursor){.stage = STAGE_XATTR, .ino = i.ino};
	return 0;
}

/* The next xattr of the inode: its name goes into the cursor; >0 when there is none. */
static int next_xattr(struct flatten *f)
{
	const struct version_row *row;
	struct version_walk w;
	const char *after = (const char *)f->cursor->opaque;
	int err = version_walk_begin(&w, f->m, SQL_XATTR_WALK, &f->from, f->cursor->ino);

	if (!err)
		err = version_walk_start(&w, 0, after, strlen(after));
	while (!err && (err = version_walk_next(&w, &row, NULL)) == 0)
		if (row->col[0]) {
			memcpy(f->cursor->opaque, row->name, row->name_len + 1);
			break;
		}
	version_walk_end(&w);
	return err;
}

static int copy_xattr(struct flatten *f)
{
	uint64_t ino = f->cursor->ino;
	const char *name = (const char *)f->cursor->opaque;
	struct version_key key;
	struct version_row row;
	AUTO_FREE void *value = NULL;
	sqlite3_stmt *st;
	size_t len;
	int64_t bound;
	int err = next_xattr(f);

	if (err) {
		if (err > 0)
			f->cursor->stage = STAGE_DIRENT;
		return err < 0 ? err : 0;
	}
	key = (struct version_key){ino, 0, name, strlen(name)};
	err = version_find(f->m, SQL_XATTR_GET, &f->from, &key, &row, &st);
	if (err)
		return err < 0 ? err : -ECORRUPT;
	err = version_copy_value(st, &value, &len);
	(void)sqlite3_reset(st);
	if (!err)
		err = hidden_since(f, ino, -1, &bound);
	if (!err) {
		struct value cols[] = {
			VI(0), VI(ino), VB(name, key.name_len), VI(0), VI(row.since), VB(value, len),
		};

		err = copy(f, T_XATTR, SQL_XATTR_GET, &key, bound, cols, 3, 0);
	}
	return err;
}

static int copy_dirents(struct flatten *f)
{
	struct dirent_row rows[BATCH];
	size_t n;
	int err = dirent_scan(f->m, &f->from, f->cursor->ino, f->cursor->key, rows, BATCH, &n);

	for (size_t i = 0; !err && i < n; i++) {
		struct dirent_row *r = &rows[i];
		struct version_key key = {r->parent, r->hash, r->name, r->name_len};
		struct value cols[] = {
			VI(0), VI(r->parent),    VI(r->hash), VB(r->name, r->name_len),
			VI(0), VI(r->row_since), VI(r->ino),  VI(r->type),
		};

		err = copy(f, T_DIRENT, SQL_DIRENT_GET, &key, META_LIVE, cols, 4, 0);
		f->cursor->key = r->hash;
	}
	if (!err && n == 0) {
		f->cursor->stage = STAGE_EXTENT;
		f->cursor->key = -1;
	}
	return err;
}

static int copy_extents(struct flatten *f)
{
	struct extent_row rows[BATCH];
	struct inode inode;
	size_t n;
	int err = inode_get(f->m, &f->from, f->cursor->ino, &inode);

	if (!err)
		err = extent_rows(f->m, &f->from, &inode, 0, INT64_MAX, f->cursor->key, false, rows, BATCH, &n);
	for (size_t i = 0; !err && i < n; i++) {
		struct extent_row *r = &rows[i];
		struct version_key key = {.object = inode.ino, .k = r->off};
		struct value cols[EXTENT_TABLE_COLS];
		int64_t bound;

		extent_fill(cols, f->b, inode.ino, r);
		err = hidden_since(f, inode.ino, r->off, &bound);
		if (!err)
			err = copy(f, T_EXTENT, SQL_EXTENT_GET, &key, bound, cols, EXTENT_KEY_UNTIL, r->chunk);
		f->cursor->key = r->off;
	}
	if (!err && n < BATCH)
		f->cursor->stage = STAGE_INODE;
	return err;
}

static int cut(struct flatten *f)
{
	int err = branch_cut_parent(f->m, f->b);

	return err ? err : reap_drop_view(f->m, f->from.branch, f->from.epoch);
}

int flatten_slice(struct meta *m, struct branch *b, struct flatten_cursor *cursor, unsigned max_rows, bool *ret_done)
{
	struct flatten f = {.m = m, .b = b, .from = {b->parent, b->fork_epoch}, .cursor = cursor};
	int64_t below;
	bool pinned;
	int err;

	if (!b->parent) {
		*ret_done = true;
		return 0;
	}
	err = branch_neighbours(m, b, 0, &below, &f.first_view, &pinned);
	/* A branch that nobody looks at is on its way out: nothing to copy. */
	if (!err && f.first_view == META_LIVE)
		err = 1;
	while (!err && f.rows < max_rows) {
		switch (cursor->stage) {
		case STAGE_INODE:
			err = copy_inode(&f);
			break;
		case STAGE_XATTR:
			err = copy_xattr(&f);
			break;
		case STAGE_DIRENT:
			err = copy_dirents(&f);
			break;
		default:
			err = copy_extents(&f);
		}
	}
	if (err < 0)
		return err;
	if (err > 0)
		err = cut(&f);
	if (!err)
		*ret_done = f.b->parent == NULL;
	return err;
}
