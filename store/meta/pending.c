/* A hash table of rows. Each is clean (as the table has it) or dirty; clean ones are in a list by use, of which the
 * last go when there are too many, dirty ones in lists by their object, so that all of one directory are found at once.
 *
 * Invariants:
 *   1. what a row's `state` says is the truth of its key; the table's row is as `base` and `base_since` say
 *   2. a clean row has a base that is known, and state.exists says the same
 *   3. within an operation a row's first change saves its state; until the operation ends such a row is not freed */
#include "store/meta/pending.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/meta/meta_internal.h"
#include "store/meta/schema.h"

#define BUCKETS 16384
#define OBJECT_LISTS 1024
#define OBJECTS_NEAR 6 /* log2 of the inos that share a list: neighbours in the table go there together */

enum base { BASE_UNKNOWN, BASE_ABSENT, BASE_PRESENT };

struct state {
	bool exists, dirty;
	enum base base;
	int64_t base_since;
	int64_t since;
	int64_t col[VERSION_COLS_MAX];
};

struct link {
	struct link *next, *prev;
};

struct pending {
	struct link link; /* first: of the clean list, or of an object's */
	struct pending *hash_next;
	enum table table;
	int64_t branch;
	uint64_t object;
	int64_t k;
	uint64_t op; /* the last operation that changed it */
	struct state state;
	size_t name_len;
	char name[];
};

struct undo {
	struct pending *row;
	struct state saved;
};

struct pending_rows {
	struct pending *buckets[BUCKETS];
	struct link clean, dirty[OBJECT_LISTS];
	size_t clean_n, dirty_n;
	size_t at; /* the list that flushing goes on with */
	struct undo *undo;
	size_t undo_len, undo_cap;
	bool passed_by;
};

static void list_init(struct link *l)
{
	l->next = l->prev = l;
}

static void unlink_row(struct link *l)
{
	l->next->prev = l->prev;
	l->prev->next = l->next;
}

static void push(struct link *list, struct link *l)
{
	l->next = list->next;
	l->prev = list;
	list->next->prev = l;
	list->next = l;
}

static struct link *dirty_list(struct pending_rows *rows, uint64_t object)
{
	return &rows->dirty[(object >> OBJECTS_NEAR) % OBJECT_LISTS];
}

int pending_new(struct meta *m)
{
	struct pending_rows *rows = calloc(1, sizeof *rows);

	if (!rows)
		return -ENOMEM;
	list_init(&rows->clean);
	for (size_t i = 0; i < OBJECT_LISTS; i++)
		list_init(&rows->dirty[i]);
	m->pending = rows;
	return 0;
}

void pending_drop(struct meta *m)
{
	struct pending_rows *rows = m->pending;

	for (size_t i = 0; i < BUCKETS; i++)
		while (rows->buckets[i]) {
			struct pending *p = rows->buckets[i];

			rows->buckets[i] = p->hash_next;
			free(p);
		}
	list_init(&rows->clean);
	for (size_t i = 0; i < OBJECT_LISTS; i++)
		list_init(&rows->dirty[i]);
	rows->clean_n = rows->dirty_n = rows->undo_len = 0;
}

void pending_free(struct meta *m)
{
	if (!m->pending)
		return;
	pending_drop(m);
	free(m->pending->undo);
	free(m->pending);
	m->pending = NULL;
}

size_t pending_count(const struct meta *m)
{
	return m->pending->dirty_n;
}

uint64_t pending_memory(const struct meta *m)
{
	return !m->pending ? 0 : sizeof *m->pending + (m->pending->clean_n + m->pending->dirty_n) * sizeof(struct pending);
}

/* --- the hash table --- */

struct key {
	enum table table;
	int64_t branch;
	uint64_t object;
	int64_t k;
	const void *name;
	size_t name_len;
};

static struct pending **bucket(struct pending_rows *rows, const struct key *key)
{
	uint64_t h = (key->object * UINT64_C(0x9e3779b97f4a7c15)) ^ (uint64_t)key->k;

	h = (h + (uint64_t)key->branch * 31 + key->table) * UINT64_C(0xd6e8feb86659fd93);
	return &rows->buckets[(h >> 32) % BUCKETS];
}

static bool is_of(const struct pending *p, const struct key *key)
{
	return p->object == key->object && p->k == key->k && p->branch == key->branch && p->table == key->table &&
	       p->name_len == key->name_len && (!key->name_len || !memcmp(p->name, key->name, key->name_len));
}

static struct pending *find(struct pending_rows *rows, const struct key *key)
{
	struct pending *p = *bucket(rows, key);

	while (p && !is_of(p, key))
		p = p->hash_next;
	return p;
}

static void forget(struct pending_rows *rows, struct pending *p)
{
	struct key key = {p->table, p->branch, p->object, p->k, p->name, p->name_len};
	struct pending **at = bucket(rows, &key);

	while (*at != p)
		at = &(*at)->hash_next;
	*at = p->hash_next;
	unlink_row(&p->link);
	if (p->state.dirty)
		rows->dirty_n--;
	else
		rows->clean_n--;
	free(p);
}

static void set_dirty(struct pending_rows *rows, struct pending *p, bool dirty)
{
	if (p->state.dirty == dirty)
		return;
	unlink_row(&p->link);
	p->state.dirty = dirty;
	rows->dirty_n += dirty ? 1 : (size_t)-1;
	rows->clean_n += dirty ? (size_t)-1 : 1;
	push(dirty ? dirty_list(rows, p->object) : &rows->clean, &p->link);
}

static bool may_go(const struct meta *m, const struct pending *p)
{
	return !m->in_op || p->op != m->op_seq;
}

/* A new row, clean and of unknown base: the caller says what it is. */
static int add(struct meta *m, const struct key *key, struct pending **ret)
{
	struct pending_rows *rows = m->pending;
	struct pending *p, **at;

	while (rows->clean_n >= META_CLEAN_MAX) {
		p = (struct pending *)rows->clean.prev;
		if (!may_go(m, p))
			break;
		forget(rows, p);
	}
	p = calloc(1, sizeof *p + key->name_len);
	if (!p)
		return -ENOMEM;
	p->table = key->table;
	p->branch = key->branch;
	p->object = key->object;
	p->k = key->k;
	p->name_len = key->name_len;
	if (key->name_len)
		memcpy(p->name, key->name, key->name_len);
	at = bucket(rows, key);
	p->hash_next = *at;
	*at = p;
	push(&rows->clean, &p->link);
	rows->clean_n++;
	*ret = p;
	return 0;
}

/* --- operations --- */

void pending_op_begin(struct meta *m)
{
	m->pending->undo_len = 0;
	m->pending->passed_by = false;
}

void pending_passed_by(struct meta *m)
{
	m->pending->passed_by = true;
}

static int save(struct meta *m, struct pending *p)
{
	struct pending_rows *rows = m->pending;

	if (!m->in_op || p->op == m->op_seq)
		return 0;
	if (rows->undo_len == rows->undo_cap) {
		size_t cap = rows->undo_cap ? 2 * rows->undo_cap : 64;
		struct undo *grown = reallocarray(rows->undo, cap, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		rows->undo = grown;
		rows->undo_cap = cap;
	}
	rows->undo[rows->undo_len++] = (struct undo){p, p->state};
	p->op = m->op_seq;
	return 0;
}

void pending_undo(struct meta *m)
{
	struct pending_rows *rows = m->pending;

	while (rows->undo_len > 0) {
		struct undo *u = &rows->undo[--rows->undo_len];

		set_dirty(rows, u->row, u->saved.dirty);
		u->row->state = u->saved;
		u->row->op = 0;
		if (!u->saved.dirty && u->saved.base == BASE_UNKNOWN)
			forget(rows, u->row);
	}
}

/* --- rows --- */

static unsigned since_col(enum table t)
{
	return schema_table(t)->key_count;
}

static struct key key_of(enum table t, const struct value *cols)
{
	struct key key = {.table = t, .branch = cols[0].i, .object = (uint64_t)cols[1].i};

	if (t == T_DIRENT) {
		key.k = cols[2].i;
		key.name = cols[3].p;
		key.name_len = cols[3].n;
	}
	return key;
}

bool pending_takes(enum table t, const struct value *cols)
{
	return (t == T_INODE || t == T_DIRENT) && cols[since_col(t) - 1].i == META_LIVE;
}

static int change(struct meta *m, struct pending *p, const struct value *cols)
{
	const struct table_desc *d = schema_table(p->table);
	int ret = save(m, p);

	if (ret)
		return ret;
	p->state.exists = cols != NULL;
	if (cols && d->versioned) {
		unsigned since = since_col(p->table), n = (unsigned)strlen(d->cols);

		p->state.since = cols[since].i;
		for (unsigned i = since + 1; i < n; i++)
			p->state.col[i - since - 1] = cols[i].i;
	}
	set_dirty(m->pending, p, true);
	return 0;
}

int pending_put(struct meta *m, enum table t, const struct value *cols)
{
	struct key key = key_of(t, cols);
	struct pending *p = find(m->pending, &key);
	int ret = p ? 0 : add(m, &key, &p);

	return ret ? ret : change(m, p, cols);
}

int pending_update(struct meta *m, enum table t, const struct value *cols)
{
	struct key key = key_of(t, cols);
	struct pending *p = find(m->pending, &key);

	if (!p)
		return 1;
	return p->state.exists ? change(m, p, cols) : -ENOENT;
}

int pending_delete(struct meta *m, enum table t, const struct value *cols)
{
	struct key key = key_of(t, cols);
	struct pending *p = find(m->pending, &key);

	if (!p)
		return 1;
	return p->state.exists ? change(m, p, NULL) : -ENOENT;
}

static struct pending *find_version(struct meta *m, enum table t, int64_t branch, const struct version_key *key)
{
	struct key k = {t, branch, key->object, key->k, key->name, key->name_len};

	return m->pending ? find(m->pending, &k) : NULL;
}

enum pending_answer pending_find(struct meta *m, enum table t, int64_t branch, const struct version_key *key,
				 struct version_row *ret)
{
	struct pending *p = find_version(m, t, branch, key);

	if (!p)
		return PENDING_UNKNOWN;
	if (!p->state.dirty) {
		unlink_row(&p->link);
		push(&m->pending->clean, &p->link);
	}
	if (!p->state.exists)
		return PENDING_ABSENT;
	ret->branch = branch;
	ret->k = t == T_INODE ? (int64_t)p->object : p->k;
	ret->until = META_LIVE;
	ret->since = p->state.since;
	memcpy(ret->col, p->state.col, sizeof ret->col);
	ret->name_len = p->name_len;
	memcpy(ret->name, p->name, p->name_len);
	ret->name[p->name_len] = '\0';
	return PENDING_ROW;
}

bool pending_differs(struct meta *m, enum table t, int64_t branch, const struct version_key *key)
{
	const struct pending *p = find_version(m, t, branch, key);

	return p && p->state.dirty;
}

void pending_learn(struct meta *m, enum table t, int64_t branch, const struct version_key *key,
		   const struct version_row *row)
{
	struct key k = {t, branch, key->object, key->k, key->name, key->name_len};
	struct pending *p;

	/* Without memory it is asked again. */
	if (!m->pending || (m->in_op && m->pending->passed_by) || find(m->pending, &k) || add(m, &k, &p))
		return;
	p->state.exists = row != NULL;
	p->state.base = row ? BASE_PRESENT : BASE_ABSENT;
	if (!row)
		return;
	p->state.since = p->state.base_since = row->since;
	memcpy(p->state.col, row->col, sizeof p->state.col);
}

/* --- to the tables --- */

static void fill(const struct pending *p, struct value *cols)
{
	const struct table_desc *d = schema_table(p->table);
	unsigned n = (unsigned)strlen(d->cols), since = since_col(p->table);

	cols[0] = VI(p->branch);
	cols[1] = VI(p->object);
	if (!d->versioned)
		return;
	if (p->table == T_DIRENT) {
		cols[2] = VI(p->k);
		cols[3] = VB(p->name, p->name_len);
	}
	cols[since - 1] = VI(META_LIVE);
	cols[since] = VI(p->state.since);
	for (unsigned i = since + 1; i < n; i++)
		cols[i] = VI(p->state.col[i - since - 1]);
}

static int flush_one(struct meta *m, struct pending *p)
{
	const struct table_desc *d = schema_table(p->table);
	struct state *s = &p->state;
	struct value cols[SCHEMA_COLS_MAX];
	bool is_update = s->exists && s->base == BASE_PRESENT && s->since == s->base_since && d->versioned;
	int ret = save(m, p);

	if (ret)
		return ret;
	fill(p, cols);
	if (is_update)
		ret = row_write(m, d->update, p->table, cols, (unsigned)strlen(d->cols));
	else if (s->exists)
		ret = row_write(m, d->put, p->table, cols, (unsigned)strlen(d->cols));
	else if (s->base != BASE_ABSENT)
		ret = row_write(m, d->del, p->table, cols, d->key_count);
	if (!ret && is_update && sqlite3_changes(m->db) == 0)
		ret = -ECORRUPT;
	if (ret)
		return ret;
	s->base = s->exists ? BASE_PRESENT : BASE_ABSENT;
	s->base_since = s->since;
	set_dirty(m->pending, p, false);
	return 0;
}

int pending_flush(struct meta *m, size_t max)
{
	struct pending_rows *rows = m->pending;
	int ret = 0;

	if (!rows || !rows->dirty_n)
		return 0;
	if (m->lost)
		return -EIO;
	while (!ret && max > 0 && rows->dirty_n > 0) {
		struct link *list = &rows->dirty[rows->at];

		if (list->prev == list) {
			rows->at = (rows->at + 1) % OBJECT_LISTS;
			continue;
		}
		ret = flush_one(m, (struct pending *)list->prev);
		max--;
	}
	return ret;
}

int pending_flush_object(struct meta *m, enum table t, uint64_t object)
{
	struct link *list, *l, *before;
	int ret = 0;

	if (!m->pending || !m->pending->dirty_n)
		return 0;
	if (m->lost)
		return -EIO;
	list = dirty_list(m->pending, object);
	for (l = list->prev; l != list && !ret; l = before) {
		struct pending *p = (struct pending *)l;

		before = l->prev;
		if (p->table == t && p->object == object)
			ret = flush_one(m, p);
	}
	return ret;
}
