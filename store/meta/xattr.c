#include "store/meta/xattr.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/meta/version.h"

enum { IS_SET };
enum { KEY_BRANCH, KEY_INO, KEY_NAME, KEY_UNTIL, SINCE, COL_VALUE, COL_COUNT };

static struct version_key key_of(uint64_t ino, const char *name)
{
	return (struct version_key){ino, 0, name, strlen(name)};
}

static void fill(struct value *cols, const struct branch *b, const struct version_key *key, int64_t since,
		 struct value value)
{
	cols[KEY_BRANCH] = VI(b->id);
	cols[KEY_INO] = VI(key->object);
	cols[KEY_NAME] = VB(key->name, key->name_len);
	cols[KEY_UNTIL] = VI(META_LIVE);
	cols[SINCE] = VI(since);
	cols[COL_VALUE] = value;
}

int xattr_get(struct meta *m, const struct meta_view *v, uint64_t ino, const char *name, void **ret_value,
	      size_t *ret_len)
{
	struct version_key key = key_of(ino, name);
	struct version_row row;
	sqlite3_stmt *st;
	int err = version_find(m, SQL_XATTR_GET, v, &key, &row, &st);

	if (err)
		return err < 0 ? err : -ENODATA;
	err = row.col[IS_SET] ? version_copy_value(st, ret_value, ret_len) : -ENODATA;
	(void)sqlite3_reset(st);
	return err;
}

/* Whether the head shows the name, and the branch's own live row, a tombstone too, with a copy of its value. */
static int find(struct meta *m, struct branch *b, const struct version_key *key, struct value *own, void **ret_value,
		bool *ret_own, bool *ret_shown)
{
	struct meta_view head = {b, META_HEAD};
	struct value value = VNULL;
	struct version_row row;
	sqlite3_stmt *st;
	size_t len;
	int err = version_find(m, SQL_XATTR_GET, &head, key, &row, &st);

	*ret_own = *ret_shown = false;
	if (err)
		return err < 0 ? err : 0;
	*ret_own = row.branch == b->id;
	*ret_shown = row.col[IS_SET] != 0;
	if (*ret_own && *ret_shown) {
		err = version_copy_value(st, ret_value, &len);
		if (!err)
			value = VB(*ret_value, len);
	}
	(void)sqlite3_reset(st);
	if (!err && *ret_own)
		fill(own, b, key, row.since, value);
	return err;
}

int xattr_set(struct meta *m, struct branch *b, uint64_t ino, const char *name, const void *value, size_t len,
	      int flags)
{
	struct version_key key = key_of(ino, name);
	struct value old[COL_COUNT], cols[COL_COUNT];
	AUTO_FREE void *old_value = NULL;
	bool own, shown;
	int err = find(m, b, &key, old, &old_value, &own, &shown);

	assert(key.name_len > 0 && key.name_len <= XATTR_NAME_MAX);
	if (err)
		return err;
	if (shown && flags & XATTR_SET_CREATE)
		return -EEXIST;
	if (!shown && flags & XATTR_SET_REPLACE)
		return -ENODATA;
	fill(cols, b, &key, 0, VB(len > 0 ? value : "", len));
	return version_store(m, b, T_XATTR, cols, own ? old : NULL);
}

int xattr_delete(struct meta *m, struct branch *b, uint64_t ino, const char *name)
{
	struct version_key key = key_of(ino, name);
	struct value old[COL_COUNT], cols[COL_COUNT];
	AUTO_FREE void *old_value = NULL;
	bool own, shown, inherited;
	int err = find(m, b, &key, old, &old_value, &own, &shown);

	if (err)
		return err;
	if (!shown)
		return -ENODATA;
	err = version_inherited(m, SQL_XATTR_GET, b, &key, &inherited);
	if (err)
		return err;
	if (!inherited)
		return own ? version_remove(m, b, T_XATTR, old) : -ECORRUPT;
	fill(cols, b, &key, 0, VNULL);
	return version_store(m, b, T_XATTR, cols, own ? old : NULL);
}

int xattr_list(struct meta *m, const struct meta_view *v, uint64_t ino, struct buf *ret)
{
	struct version_walk w;
	const struct version_row *row;
	int err = version_walk_begin(&w, m, SQL_XATTR_WALK, v, ino);

	if (!err)
		err = version_walk_start(&w, 0, NULL, 0);
	while (!err && (err = version_walk_next(&w, &row, NULL)) == 0)
		if (row->col[IS_SET] && row->name[0] != XATTR_INTERNAL)
			err = buf_add(ret, row->name, row->name_len + 1);
	version_walk_end(&w);
	return err < 0 ? err : 0;
}
