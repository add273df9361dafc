#include "store/meta/inode.h"

#include "store/meta/version.h"

enum { MODE, UID, GID, NLINK, RDEV, SIZE, ALLOC, ATIME, MTIME, CTIME, BTIME, INHERIT, PARENT, FLAGS, COL_COUNT };
enum { KEY_BRANCH, KEY_INO, KEY_UNTIL, SINCE, FIRST };

static void take(const struct version_row *r, const struct branch *top, struct inode *ret)
{
	*ret = (struct inode){
		.ino = (uint64_t)r->k,
		.mode = (uint32_t)r->col[MODE],
		.uid = (uint32_t)r->col[UID],
		.gid = (uint32_t)r->col[GID],
		.nlink = (uint32_t)r->col[NLINK],
		.rdev = (uint64_t)r->col[RDEV],
		.size = r->col[SIZE],
		.alloc = r->col[ALLOC],
		.atime = r->col[ATIME],
		.mtime = r->col[MTIME],
		.ctime = r->col[CTIME],
		.btime = r->col[BTIME],
		/* The bound of a farther level is about what that level inherits. */
		.inherit = r->branch == top->id ? r->col[INHERIT] : INHERIT_ALL,
		.parent = (uint64_t)r->col[PARENT],
		.flags = (uint32_t)r->col[FLAGS],
		.row_branch = r->branch,
		.row_since = r->since,
	};
}

static void fill(struct value *cols, const struct branch *b, const struct inode *i)
{
	struct value row[] = {
		VI(b->id),    VI(i->ino),   VI(META_LIVE), VI(i->row_since), VI(i->mode),  VI(i->uid),
		VI(i->gid),   VI(i->nlink), VI(i->rdev),   VI(i->size),      VI(i->alloc), VI(i->atime),
		VI(i->mtime), VI(i->ctime), VI(i->btime),  VI(i->inherit),   VI(i->parent), VI(i->flags),
	};

	for (int c = 0; c < FIRST + COL_COUNT; c++)
		cols[c] = row[c];
}

int inode_get(struct meta *m, const struct meta_view *v, uint64_t ino, struct inode *ret)
{
	struct version_key key = {.object = ino};
	struct version_row row;
	int err = version_find(m, SQL_INODE_GET, v, &key, &row, NULL);

	if (err < 0)
		return err;
	if (err || !row.col[MODE])
		return -ENOENT;
	take(&row, v->branch, ret);
	return 0;
}

/* Ends the live row as it stands in the database. */
static int close_live(struct meta *m, struct branch *b, uint64_t ino)
{
	struct version_key key = {.object = ino};
	struct value cols[FIRST + COL_COUNT];
	struct version_row row;
	int err = version_find_own(m, SQL_INODE_GET, b, META_HEAD, &key, &row, NULL);

	if (err)
		return err < 0 ? err : -ECORRUPT;
	cols[KEY_BRANCH] = VI(b->id);
	cols[KEY_INO] = VI(ino);
	cols[KEY_UNTIL] = VI(META_LIVE);
	cols[SINCE] = VI(row.since);
	for (int c = 0; c < COL_COUNT; c++)
		cols[FIRST + c] = VI(row.col[c]);
	return version_close(m, T_INODE, cols);
}

/* Puts a row in the place of the present live one. *ret_since is its since. */
static int replace(struct meta *m, struct branch *b, const struct inode *present, struct value *cols,
		   int64_t *ret_since)
{
	bool own = present->row_branch == b->id;
	int err = 0;

	if (own && version_in_place(b, present->row_since)) {
		*ret_since = present->row_since;
		return row_update(m, T_INODE, cols);
	}
	if (own)
		err = close_live(m, b, present->ino);
	if (err)
		return err;
	cols[SINCE] = VI(meta_now(m));
	err = row_put(m, T_INODE, cols);
	if (!err)
		*ret_since = meta_now(m);
	return err;
}

int inode_put(struct meta *m, struct branch *b, struct inode *inode)
{
	struct value cols[FIRST + COL_COUNT];
	int err;

	fill(cols, b, inode);
	err = replace(m, b, inode, cols, &inode->row_since);
	if (!err)
		inode->row_branch = b->id;
	return err;
}

int inode_delete(struct meta *m, struct branch *b, const struct inode *inode)
{
	struct inode tombstone = {.ino = inode->ino, .row_since = inode->row_since};
	struct version_key key = {.object = inode->ino};
	struct value cols[FIRST + COL_COUNT];
	int64_t since;
	bool inherited;
	int err = version_inherited(m, SQL_INODE_GET, b, &key, &inherited);

	if (err)
		return err;
	fill(cols, b, &tombstone);
	if (inherited)
		return replace(m, b, inode, cols, &since);
	return version_in_place(b, inode->row_since) ? row_delete(m, T_INODE, cols) : close_live(m, b, inode->ino);
}

int inode_scan(struct meta *m, const struct meta_view *v, uint64_t after_ino, struct inode *ret, size_t max,
	       size_t *ret_n)
{
	struct version_walk w;
	const struct version_row *row;
	size_t n = 0;
	int err = version_walk_begin(&w, m, SQL_INODE_WALK, v, 0);

	if (!err)
		err = version_walk_start(&w, (int64_t)after_ino, NULL, 0);
	while (!err && n < max && (err = version_walk_next(&w, &row, NULL)) == 0)
		if (row->col[MODE])
			take(row, v->branch, &ret[n++]);
	version_walk_end(&w);
	if (err < 0)
		return err;
	*ret_n = n;
	return 0;
}

/* The first inode after `after` that was an orphan in some version of the branch's own; >0 when there is none. */
static int orphan_once(struct meta *m, const struct branch *b, uint64_t after, uint64_t *ret)
{
	sqlite3_stmt *st;
	int err = sql_stmt(m, SQL_ORPHAN_ONCE, &st);

	if (err)
		return err;
	(void)sqlite3_bind_int64(st, 1, b->id);
	(void)sqlite3_bind_int64(st, 2, (int64_t)after);
	err = sql_step(m, st);
	if (err)
		return err;
	*ret = (uint64_t)sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	return 0;
}

int orphan_next(struct meta *m, const struct meta_view *v, uint64_t *ino)
{
	struct inode inode;
	int err;

	do {
		uint64_t first = UINT64_MAX, found;

		for (const struct branch *b = v->branch; b; b = b->parent) {
			err = orphan_once(m, b, *ino, &found);
			if (err < 0)
				return err;
			if (!err && found < first)
				first = found;
		}
		if (first == UINT64_MAX)
			return 1;
		*ino = first;
		err = inode_get(m, v, first, &inode);
	} while (err == -ENOENT || (!err && inode.nlink));
	return err;
}
