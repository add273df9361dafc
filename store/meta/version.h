/* Private to store/meta: what the four versioned tables (inode, dirent, xattr, extent) have in common: how a row is
 * found in a lineage, how the levels of a lineage merge, and how a live row changes.
 *
 * Their statements share one shape. A row comes as (k, name, until, since, col...): k and name are its key within the
 * object (an inode's: its ino and nothing; a directory entry's: hash and name; an xattr's: 0 and name; an extent's:
 * offset and nothing), and col[0] is 0 in a tombstone. A GET statement takes ?1 branch, ?2 epoch, ?3 object, ?4 k, ?5
 * name; a WALK statement ?1 branch, ?2 object, ?3 k, ?4 name, ?5 until, and goes on from there. */
#ifndef VARVE_META_VERSION_H
#define VARVE_META_VERSION_H

#include "store/base/limits.h"
#include "store/meta/branch.h"
#include "store/meta/row.h"

#define VERSION_COLS_MAX 14

struct version_key {
	uint64_t object; /* an ino: of the inode itself, of the directory, of the file */
	int64_t k;
	const void *name;
	size_t name_len;
};

struct version_row {
	int64_t branch; /* where it was found */
	int64_t k;
	int64_t until, since;
	int64_t col[VERSION_COLS_MAX];
	size_t name_len;
	char name[NAME_LEN_MAX + 1];
};

/* Whether the ancestors of a branch can show anything of this object. Where they cannot, a tombstone that flattening
 * left behind says no more than no row does, and may be overwritten without being looked for. */
static inline bool version_inherits(const struct branch *b, uint64_t object)
{
	return b->parent && object <= b->ino_base;
}

/* No view can see a live row with this `since`, so it may change in place. */
static inline bool version_in_place(const struct branch *b, int64_t since)
{
	return since > b->pinned;
}

/* Takes the row that a statement is at. */
int version_read(sqlite3_stmt *st, int64_t branch, struct version_row *ret);
/* The row of a key that one branch shows at an epoch, a tombstone too; >0 when there is none. With `ret_st` the
 * statement stays at the row, for columns that the struct has no room for, and the caller resets it. */
int version_find_own(struct meta *m, enum sql_id get, const struct branch *b, int64_t epoch,
		     const struct version_key *key, struct version_row *ret, sqlite3_stmt **ret_st);
/* A copy of the value, never NULL, that XATTR_GET is at. */
int version_copy_value(sqlite3_stmt *st, void **ret, size_t *ret_len);
/* The same as version_find_own of a view, through its lineage. */
int version_find(struct meta *m, enum sql_id get, const struct meta_view *v, const struct version_key *key,
		 struct version_row *ret, sqlite3_stmt **ret_st);
/* Whether the ancestors show the key, which a removal must then hide with a tombstone. */
int version_inherited(struct meta *m, enum sql_id get, const struct branch *b, const struct version_key *key,
		      bool *ret);
/* When the branch began to have rows of its own for a key; META_LIVE when it has none. */
int version_first_since(struct meta *m, enum sql_id get, const struct branch *b, const struct version_key *key,
			int64_t *ret);

/* --- changes; `cols` are whole rows in table order --- */

/* Ends the validity of a live row: now. */
int version_close(struct meta *m, enum table t, struct value *old);
/* Makes `cols` (its until and since are set here) the live row; `old` is the branch's own live row of that key, or
 * NULL. */
int version_store(struct meta *m, struct branch *b, enum table t, struct value *cols, struct value *old);
/* Takes the branch's own live row away, without a tombstone. */
int version_remove(struct meta *m, struct branch *b, enum table t, struct value *old);

/* --- walks: a view's rows in key order, the levels of its lineage merged, nearest first; tombstones included --- */

struct version_level {
	const struct branch *branch;
	int64_t epoch;
	int64_t limit; /* rows with k at or beyond it are hidden */
	bool has_row, at_end;
	struct version_row row;
};

#define VERSION_LEVELS_INLINE 4
struct version_walk {
	struct meta *m;
	enum sql_id sql;
	uint64_t object;
	sqlite3_stmt *st;
	unsigned owner; /* the level that the statement is stepping through; n when none */
	unsigned n;
	unsigned current; /* the level of the row returned last; n when none */
	struct version_level *levels; /* nearest first */
	struct version_level *allocated;
	struct version_level inline_levels[VERSION_LEVELS_INLINE];
};

/* Begins a walk of one object (0 with the inode table: of all). The caller may lower limits and `n` before the start.
 * Walks of one table do not nest, and rows of the table do not change while one is under way. */
int version_walk_begin(struct version_walk *w, struct meta *m, enum sql_id walk, const struct meta_view *v,
		       uint64_t object);
/* Where to begin: behind (k, name) at any `until`. */
int version_walk_start(struct version_walk *w, int64_t k, const void *name, size_t name_len);
/* The next row, valid until the next call; >0 at the end. *ret_hides: whether a row of a farther level would show in
 * its place. */
int version_walk_next(struct version_walk *w, const struct version_row **ret, bool *ret_hides);
void version_walk_end(struct version_walk *w);

#endif
