#include "store/meta/dirent.h"

#include <assert.h>
#include <string.h>
#include <xxhash.h>

#include "store/meta/meta_internal.h"
#include "store/meta/version.h"

#define HASH_MIN 16

enum { INO, TYPE, BY_INO_PARENT };
enum { KEY_BRANCH, KEY_PARENT, KEY_HASH, KEY_NAME, KEY_UNTIL, SINCE, FIRST, COL_COUNT = FIRST + 2 };

int64_t dirent_hash(const struct meta *m, const char *name, size_t len)
{
	int64_t hash = (int64_t)(XXH3_64bits_withSecret(name, len, m->secret, sizeof m->secret) >> 2);

	return hash < HASH_MIN ? hash + HASH_MIN : hash;
}

static void take(const struct version_row *r, uint64_t parent, struct dirent_row *ret)
{
	ret->parent = parent;
	ret->hash = r->k;
	ret->ino = (uint64_t)r->col[INO];
	ret->type = (uint8_t)r->col[TYPE];
	ret->name_len = (uint8_t)r->name_len;
	memcpy(ret->name, r->name, r->name_len + 1);
	ret->row_branch = r->branch;
	ret->row_since = r->since;
}

static struct version_key key_of(const struct dirent_row *row)
{
	return (struct version_key){row->parent, row->hash, row->name, row->name_len};
}

static void fill(struct value *cols, const struct branch *b, const struct dirent_row *row, int64_t ino, int64_t type)
{
	cols[KEY_BRANCH] = VI(b->id);
	cols[KEY_PARENT] = VI(row->parent);
	cols[KEY_HASH] = VI(row->hash);
	cols[KEY_NAME] = VB(row->name, row->name_len);
	cols[KEY_UNTIL] = VI(META_LIVE);
	cols[SINCE] = VI(row->row_since);
	cols[FIRST + INO] = VI(ino);
	cols[FIRST + TYPE] = VI(type);
}

int dirent_get(struct meta *m, const struct meta_view *v, uint64_t parent, const char *name, size_t len,
	       struct dirent_row *ret)
{
	struct version_key key = {parent, dirent_hash(m, name, len), name, len};
	struct version_row row;
	int err = version_find(m, SQL_DIRENT_GET, v, &key, &row, NULL);

	if (err < 0)
		return err;
	if (err || !row.col[INO])
		return -ENOENT;
	take(&row, parent, ret);
	return 0;
}

/* The branch's own live row, when it has one that `row` does not tell enough of: a tombstone, or one that must be
 * closed. */
static int find_own(struct meta *m, struct branch *b, const struct dirent_row *row, struct value *cols, bool *ret)
{
	struct version_key key = key_of(row);
	bool own = row->row_branch == b->id;
	struct version_row found;
	int err;

	*ret = own;
	if (own && version_in_place(b, row->row_since)) {
		fill(cols, b, row, (int64_t)row->ino, row->type);
		return 0;
	}
	if (!own && (row->row_branch || !version_inherits(b, row->parent)))
		return 0;
	err = version_find_own(m, SQL_DIRENT_GET, b, META_HEAD, &key, &found, NULL);
	if (err)
		return err < 0 ? err : own ? -ECORRUPT : 0;
	fill(cols, b, row, found.col[INO], found.col[TYPE]);
	cols[SINCE] = VI(found.since);
	*ret = true;
	return 0;
}

static int store(struct meta *m, struct branch *b, const struct dirent_row *row, struct value *cols, int64_t *ret_since)
{
	struct value old[COL_COUNT];
	bool has_old;
	int err = find_own(m, b, row, old, &has_old);

	if (!err)
		err = version_store(m, b, T_DIRENT, cols, has_old ? old : NULL);
	if (!err)
		*ret_since = cols[SINCE].i;
	return err;
}

int dirent_put(struct meta *m, struct branch *b, struct dirent_row *row)
{
	struct value cols[COL_COUNT];
	int err;

	assert(row->ino != 0);
	fill(cols, b, row, (int64_t)row->ino, row->type);
	err = store(m, b, row, cols, &row->row_since);
	if (!err)
		row->row_branch = b->id;
	return err;
}

int dirent_delete(struct meta *m, struct branch *b, const struct dirent_row *row)
{
	struct version_key key = key_of(row);
	struct value cols[COL_COUNT];
	int64_t since;
	bool inherited, own;
	int err = version_inherited(m, SQL_DIRENT_GET, b, &key, &inherited);

	if (err)
		return err;
	if (inherited) {
		fill(cols, b, row, 0, 0);
		return store(m, b, row, cols, &since);
	}
	err = find_own(m, b, row, cols, &own);
	if (err)
		return err;
	return own ? version_remove(m, b, T_DIRENT, cols) : -ECORRUPT;
}

/* Takes the last entries away again as long as they have this hash. */
static size_t without_hash(const struct dirent_row *rows, size_t n, int64_t hash)
{
	while (n > 0 && rows[n - 1].hash == hash)
		n--;
	return n;
}

int dirent_scan(struct meta *m, const struct meta_view *v, uint64_t parent, int64_t after, struct dirent_row *ret,
		size_t max, size_t *ret_n)
{
	struct version_walk w;
	const struct version_row *row;
	size_t n = 0;
	int err = version_walk_begin(&w, m, SQL_DIRENT_WALK, v, parent);

	assert(max >= 8);
	/* No name is empty, so that this is before every entry with a hash above `after`. */
	if (!err)
		err = version_walk_start(&w, after < INT64_MAX ? after + 1 : after, NULL, 0);
	while (!err && (err = version_walk_next(&w, &row, NULL)) == 0) {
		if (!row->col[INO])
			continue;
		if (n == max) {
			n = without_hash(ret, n, row->k);
			break;
		}
		take(row, parent, &ret[n++]);
	}
	version_walk_end(&w);
	if (err < 0)
		return err;
	*ret_n = n;
	return 0;
}

/* Of one level: its entries for the inode that no nearer level hides. */
static int by_ino_of(struct meta *m, const struct meta_view *v, const struct branch *b, int64_t epoch, uint64_t ino,
		     struct dirent_row *ret, size_t max, size_t *n)
{
	sqlite3_stmt *st;
	int err = sql_stmt(m, SQL_DIRENT_BY_INO, &st);

	if (err)
		return err;
	(void)sqlite3_bind_int64(st, 1, b->id);
	(void)sqlite3_bind_int64(st, 2, epoch);
	(void)sqlite3_bind_int64(st, 3, (int64_t)ino);
	while (*n < max && (err = sql_step(m, st)) == 0) {
		struct dirent_row *out = &ret[*n];
		struct version_row row, seen;
		struct version_key key;

		err = version_read(st, b->id, &row);
		if (err)
			break;
		key = (struct version_key){(uint64_t)row.col[BY_INO_PARENT], row.k, row.name, row.name_len};
		err = version_find(m, SQL_DIRENT_GET, v, &key, &seen, NULL);
		if (err < 0)
			break;
		if (!err && seen.branch == b->id) {
			take(&row, key.object, out);
			++*n;
		}
	}
	(void)sqlite3_reset(st);
	return err < 0 ? err : 0;
}

int dirent_by_ino(struct meta *m, const struct meta_view *v, uint64_t ino, struct dirent_row *ret, size_t max,
		  size_t *ret_n)
{
	const struct branch *b = v->branch;
	int64_t epoch = v->epoch;
	size_t n = 0;
	int err;

	while ((err = by_ino_of(m, v, b, epoch, ino, ret, max, &n)) == 0 && version_inherits(b, ino)) {
		epoch = b->fork_epoch;
		b = b->parent;
	}
	if (!err)
		*ret_n = n;
	return err;
}
