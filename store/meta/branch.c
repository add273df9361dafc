/* Branches in memory: one struct for each row, in a hash table by id, kept until meta_free even when dropped. The
 * structs follow the rows through branch_row_put and branch_row_deleted, which row.c calls for every change of a
 * row, live or applied. */
#include "store/meta/branch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/meta/meta_internal.h"

enum { COL_ID, COL_PARENT, COL_FORK_EPOCH, COL_INO_BASE, COL_ORIGIN_BRANCH, COL_ORIGIN_EPOCH, COL_BYTES, COL_INODES, COL_HEAD, COL_COUNT };

static struct branch **bucket(struct meta *m, int64_t id)
{
	return &m->branches[(uint64_t)id % META_BRANCH_BUCKETS];
}

static struct branch *find(struct meta *m, int64_t id)
{
	struct branch *b = *bucket(m, id);

	while (b && b->id != id)
		b = b->next_;
	return b;
}

struct branch *branch_get(struct meta *m, int64_t id)
{
	struct branch *b = find(m, id);

	return b && !b->dead ? b : NULL;
}

int branch_touch(struct meta *m, struct branch *b)
{
	if (!m->in_op || b->op_ == m->op_seq)
		return 0;
	if (m->undo_len == m->undo_cap) {
		size_t cap = m->undo_cap ? 2 * m->undo_cap : 16;
		struct branch_undo *grown = realloc(m->undo, cap * sizeof *grown);

		if (!grown)
			return -ENOMEM;
		m->undo = grown;
		m->undo_cap = cap;
	}
	m->undo[m->undo_len++] = (struct branch_undo){b, *b};
	b->op_ = m->op_seq;
	return 0;
}

void branch_undo(struct meta *m)
{
	while (m->undo_len > 0) {
		struct branch_undo *u = &m->undo[--m->undo_len];
		struct branch *next = u->b->next_;

		*u->b = u->saved;
		u->b->next_ = next;
	}
}

/* The struct of an id, made (dead, until its row is filled in) when there is none. */
static int obtain(struct meta *m, int64_t id, struct branch **ret)
{
	struct branch *b = find(m, id);

	if (!b) {
		b = calloc(1, sizeof *b);
		if (!b)
			return -ENOMEM;
		b->id = id;
		b->dead = true;
		b->next_ = *bucket(m, id);
		*bucket(m, id) = b;
	}
	*ret = b;
	return branch_touch(m, b);
}

int branch_row_put(struct meta *m, const struct value *cols)
{
	struct branch *b, *parent = NULL, *old_parent;
	int ret = obtain(m, cols[COL_ID].i, &b);

	if (ret)
		return ret;
	if (cols[COL_PARENT].i) {
		parent = branch_get(m, cols[COL_PARENT].i);
		/* A parent is older than its children; anything else could be a circle. */
		if (!parent || parent->id >= b->id)
			return -ECORRUPT;
	}
	old_parent = b->dead ? NULL : b->parent;
	b->dead = false;
	b->parent = parent;
	b->fork_epoch = cols[COL_FORK_EPOCH].i;
	b->ino_base = (uint64_t)cols[COL_INO_BASE].i;
	b->origin_branch = cols[COL_ORIGIN_BRANCH].i;
	b->origin_epoch = cols[COL_ORIGIN_EPOCH].i;
	b->bytes = cols[COL_BYTES].i;
	b->inodes = cols[COL_INODES].i;
	b->head = cols[COL_HEAD].i != 0;
	ret = branch_refresh_pinned(m, b);
	if (!ret && parent)
		ret = branch_refresh_pinned(m, parent);
	if (!ret && old_parent && old_parent != parent)
		ret = branch_refresh_pinned(m, old_parent);
	return ret;
}

int branch_row_deleted(struct meta *m, int64_t id)
{
	struct branch *b = branch_get(m, id);
	int ret;

	if (!b)
		return -ECORRUPT;
	ret = branch_touch(m, b);
	if (ret)
		return ret;
	b->dead = true;
	return b->parent ? branch_refresh_pinned(m, b->parent) : 0;
}

int branch_load(struct meta *m)
{
	struct value cols[COL_COUNT];
	sqlite3_stmt *st;
	int ret;

	for (size_t i = 0; i < META_BRANCH_BUCKETS; i++)
		for (struct branch *b = m->branches[i]; b; b = b->next_) {
			b->dead = true;
			b->totals_dirty_ = false;
		}
	ret = sql_stmt(m, SQL_BRANCH_ALL, &st);
	while (!ret && (ret = sql_step(m, st)) == 0) {
		for (int i = 0; i < COL_COUNT; i++)
			cols[i] = VI(sqlite3_column_int64(st, i));
		ret = branch_row_put(m, cols);
		if (ret)
			(void)sqlite3_reset(st);
	}
	return ret < 0 ? ret : 0;
}

int branch_store_totals(struct meta *m)
{
	for (size_t i = 0; i < META_BRANCH_BUCKETS; i++)
		for (struct branch *b = m->branches[i]; b; b = b->next_) {
			sqlite3_stmt *st;
			int ret;

			if (!b->totals_dirty_ || b->dead)
				continue;
			ret = sql_stmt(m, SQL_BRANCH_SET_TOTALS, &st);
			if (ret)
				return ret;
			(void)sqlite3_bind_int64(st, 1, b->id);
			(void)sqlite3_bind_int64(st, 2, b->bytes);
			(void)sqlite3_bind_int64(st, 3, b->inodes);
			ret = sql_step(m, st);
			if (ret < 0)
				return ret;
			b->totals_dirty_ = false;
		}
	return 0;
}

void branch_free_all(struct meta *m)
{
	for (size_t i = 0; i < META_BRANCH_BUCKETS; i++)
		while (m->branches[i]) {
			struct branch *b = m->branches[i];

			m->branches[i] = b->next_;
			free(b);
		}
	free(m->undo);
}

static void fill(struct value *cols, const struct branch *b)
{
	cols[COL_ID] = VI(b->id);
	cols[COL_PARENT] = VI(b->parent ? b->parent->id : 0);
	cols[COL_FORK_EPOCH] = VI(b->fork_epoch);
	cols[COL_INO_BASE] = VI(b->ino_base);
	cols[COL_ORIGIN_BRANCH] = VI(b->origin_branch);
	cols[COL_ORIGIN_EPOCH] = VI(b->origin_epoch);
	cols[COL_BYTES] = VI(b->bytes);
	cols[COL_INODES] = VI(b->inodes);
	cols[COL_HEAD] = VI(b->head);
}

int branch_create(struct meta *m, const struct meta_view *parent, int64_t bytes, int64_t inodes, struct branch **ret)
{
	struct branch row = {.id = meta_next_id(m), .bytes = bytes, .inodes = inodes};
	struct value cols[COL_COUNT];
	int err;

	if (parent && parent->branch) {
		/* A fork of the live state would see later changes of its parent. */
		assert(parent->epoch < meta_now(m));
		row.parent = parent->branch;
		row.origin_branch = parent->branch->id;
		row.fork_epoch = row.origin_epoch = parent->epoch;
		row.ino_base = meta_last_ino(m);
	}
	fill(cols, &row);
	err = row_put(m, T_BRANCH, cols);
	if (!err)
		*ret = branch_get(m, row.id);
	return err;
}

int branch_set_head(struct meta *m, struct branch *b, bool head)
{
	struct value cols[COL_COUNT];

	fill(cols, b);
	cols[COL_HEAD] = VI(head);
	return row_update(m, T_BRANCH, cols);
}

int branch_cut_parent(struct meta *m, struct branch *b)
{
	struct value cols[COL_COUNT];

	fill(cols, b);
	cols[COL_PARENT] = cols[COL_FORK_EPOCH] = cols[COL_INO_BASE] = VI(0);
	return row_update(m, T_BRANCH, cols);
}

int branch_add_totals(struct meta *m, struct branch *b, int64_t bytes, int64_t inodes)
{
	return bytes || inodes ? row_branch_totals(m, b, bytes, inodes) : 0;
}

unsigned branch_depth(const struct branch *b)
{
	unsigned n = 0;

	for (; b; b = b->parent)
		n++;
	return n;
}

int branch_each(struct meta *m, int (*fn)(void *arg, struct branch *b), void *arg)
{
	for (size_t i = 0; i < META_BRANCH_BUCKETS; i++)
		for (struct branch *b = m->branches[i]; b; b = b->next_) {
			int ret = b->dead ? 0 : fn(arg, b);

			if (ret)
				return ret;
		}
	return 0;
}

/* A statement of (branch[, epoch[, bound]]) with one integer for its answer. */
static int ask(struct meta *m, enum sql_id id, const struct branch *b, int64_t epoch, int64_t bound, int64_t *ret)
{
	sqlite3_stmt *st;
	int err = sql_stmt(m, id, &st);

	if (err)
		return err;
	(void)sqlite3_bind_int64(st, 1, b->id);
	if (sqlite3_bind_parameter_count(st) > 1)
		(void)sqlite3_bind_int64(st, 2, epoch);
	if (sqlite3_bind_parameter_count(st) > 2)
		(void)sqlite3_bind_int64(st, 3, bound);
	err = sql_step(m, st);
	if (err)
		return err < 0 ? err : -ECORRUPT;
	*ret = sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	return 0;
}

int branch_refresh_pinned(struct meta *m, struct branch *b)
{
	int64_t pinned;
	int ret = ask(m, SQL_BRANCH_VIEW_BELOW, b, META_HEAD, 0, &pinned);

	if (ret || pinned == b->pinned)
		return ret;
	ret = branch_touch(m, b);
	if (!ret)
		b->pinned = pinned;
	return ret;
}

int branch_neighbours(struct meta *m, struct branch *b, int64_t epoch, int64_t *ret_below, int64_t *ret_above,
		      bool *ret_pinned)
{
	int64_t end = b->head && epoch < META_HEAD ? META_HEAD : META_LIVE;
	int64_t below, above, at = b->head;
	int ret = ask(m, SQL_BRANCH_VIEW_BELOW, b, epoch, 0, &below);

	if (!ret)
		ret = ask(m, SQL_BRANCH_VIEW_ABOVE, b, epoch, end, &above);
	if (!ret && epoch != META_HEAD)
		ret = ask(m, SQL_BRANCH_VIEW_AT, b, epoch, 0, &at);
	if (ret)
		return ret;
	*ret_below = below;
	*ret_above = above;
	*ret_pinned = at != 0;
	return 0;
}

int branch_delete(struct meta *m, struct branch *b)
{
	struct value key[] = {VI(b->id)};
	int64_t has_rows;
	int ret;

	if (b->head || b->pinned)
		return -EBUSY;
	ret = ask(m, SQL_BRANCH_HAS_ROWS, b, 0, 0, &has_rows);
	if (ret)
		return ret;
	return has_rows ? -ENOTEMPTY : row_delete(m, T_BRANCH, key);
}
