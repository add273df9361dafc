#include "store/repo/affected.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/repo/node.h"

#define NAMED_MAX 10 /* files that get a line of their own */
#define PATH_LEN_MAX 4096
#define DEPTH_MAX 512
#define CHAIN_MAX 64
#define ENTRY_NAME_AT 17 /* in an entry's key */

struct file {
	uint64_t ino, parent;
	char name[NAME_LEN_MAX + 1]; /* one of its names; "" when none was found */
};

struct affected {
	struct repo *r;
	struct blob_in *in;
	const struct repo_entry *e;
	struct file files[NAMED_MAX]; /* the first, by inode */
	uint64_t n, last;
	uint64_t holes; /* nodes that cannot be read */
	struct err *err;
};

/* Itself, or what it is a delta upon. */
static bool chunk_damaged(struct affected *a, const struct repo_name *name)
{
	struct repo_name at = *name;
	struct blob_place place;

	for (unsigned depth = 0; depth < CHAIN_MAX; depth++) {
		if (!blob_index_find(a->r->index, &at, &place) || blob_index_flagged(a->r->index, &at, BLOB_DAMAGED))
			return true;
		if (place.blob.codec != CODEC_DELTA)
			return false;
		at = place.blob.base;
	}
	return true;
}

static void add_file(struct affected *a, uint64_t ino)
{
	if (a->n && a->last == ino)
		return;
	if (a->n < NAMED_MAX)
		a->files[a->n] = (struct file){.ino = ino};
	a->last = ino;
	a->n++;
}

static bool row_damaged(struct affected *a, const struct node_entry *row)
{
	struct row_extent x;

	if (row->key.len < 9 || row->key.b[8] != ROW_EXTENT)
		return false;
	if (!row_extent_parse(row->value, row->value_len, &x) && !chunk_damaged(a, &x.chunk))
		return false;
	add_file(a, row_key_ino(&row->key));
	return true;
}

/* Every node of a manifest that can be read. fn says whether a row is sound; NULL skips nodes that are known to be. */
static int walk(struct affected *a, const struct repo_name *name, unsigned level,
		void (*fn)(struct affected *a, const struct node_entry *row), bool *ret_sound)
{
	struct repo_name child;
	struct node n = {0};
	bool sound = true;
	int bad;

	if (!fn && blob_index_flagged(a->r->index, name, BLOB_SOUND))
		return 0;
	bad = node_get(a->in, name, level, &n, a->err);
	if (bad == -ECORRUPT || bad == -ENOENT) {
		*a->err = (struct err){0};
		a->holes += !fn;
		*ret_sound = false;
		return 0;
	}
	for (size_t i = 0; i < n.n && !bad; i++) {
		if (level) {
			node_child(&n.v[i], &child);
			bad = walk(a, &child, level - 1, fn, &sound);
		} else if (fn) {
			fn(a, &n.v[i]);
		} else if (row_damaged(a, &n.v[i])) {
			sound = false;
		}
	}
	node_free(&n);
	if (!bad && !fn && sound)
		blob_index_flag(a->r->index, name, BLOB_SOUND);
	if (!sound)
		*ret_sound = false;
	return bad;
}

/* --- names --- */

static void take_name(struct affected *a, const struct node_entry *row)
{
	struct row_dirent v;
	enum row_kind kind;
	uint64_t ino, sub;
	const char *name;
	size_t len;

	if (row_key_parse(&row->key, &ino, &kind, &sub, &name, &len) || kind != ROW_DIRENT ||
	    row_dirent_parse(row->value, row->value_len, &v))
		return;
	for (size_t i = 0; i < a->n && i < NAMED_MAX; i++) {
		struct file *f = &a->files[i];

		if (f->ino != v.ino || *f->name)
			continue;
		f->parent = ino;
		(void)snprintf(f->name, sizeof f->name, "%.*s", (int)len, name);
	}
}

struct looking {
	uint64_t ino, parent; /* parent of the directory ino */
	char name[NAME_LEN_MAX + 1];
};

static int take_parent(void *arg, const struct row_key *key, const void *value, size_t value_len)
{
	struct looking *l = arg;
	struct row_inode v;

	(void)key;
	if (row_inode_parse(value, value_len, &v))
		return -ECORRUPT;
	l->parent = v.parent;
	return 0;
}

static int take_entry(void *arg, const struct row_key *key, const void *value, size_t value_len)
{
	struct looking *l = arg;
	struct row_dirent v;

	if (row_dirent_parse(value, value_len, &v) || v.ino != l->ino || key->len < ENTRY_NAME_AT)
		return 0;
	(void)snprintf(l->name, sizeof l->name, "%.*s", (int)(key->len - ENTRY_NAME_AT), (const char *)key->b + ENTRY_NAME_AT);
	return 0;
}

/* A directory's name and parent; false when the manifest does not tell. */
static bool look_up(struct affected *a, uint64_t ino, struct looking *ret)
{
	const struct manifest_ref m = {a->e->s.level, a->e->s.root};
	struct err ignored = {0};
	struct row_key prefix;

	*ret = (struct looking){.ino = ino};
	row_key_prefix(&prefix, ino, ROW_INODE);
	if (manifest_walk(a->in, &m, &prefix, take_parent, ret, &ignored) || !ret->parent)
		return false;
	row_key_prefix(&prefix, ret->parent, ROW_DIRENT);
	return !manifest_walk(a->in, &m, &prefix, take_entry, ret, &ignored) && *ret->name;
}

/* What cannot be told of it is "…". */
static void path_of(struct affected *a, const struct file *f, char out[PATH_LEN_MAX])
{
	char path[PATH_LEN_MAX] = "";
	struct looking dir = {.parent = f->parent};
	bool known = *f->name;

	(void)snprintf(out, PATH_LEN_MAX, "%s", known ? f->name : "…");
	for (unsigned depth = 0; known && dir.parent != a->e->s.root_ino && depth < DEPTH_MAX; depth++) {
		known = look_up(a, dir.parent, &dir);
		memcpy(path, out, sizeof path);
		if (snprintf(out, PATH_LEN_MAX, "%s/%s", known ? dir.name : "…", path) >= PATH_LEN_MAX)
			break;
	}
}

static void say(struct affected *a, void (*finding)(void *arg, const char *line), void *arg)
{
	char line[ERR_TEXT_MAX + PATH_LEN_MAX], path[PATH_LEN_MAX];
	const struct repo_snapshot *s = &a->e->s;

	for (size_t i = 0; i < a->n && i < NAMED_MAX; i++) {
		path_of(a, &a->files[i], path);
		(void)snprintf(line, sizeof line, "%s@%s: '%s' cannot be restored", s->volume, s->snapshot, path);
		finding(arg, line);
	}
	if (a->n > NAMED_MAX) {
		(void)snprintf(line, sizeof line, "%s@%s: nor can %llu more files", s->volume, s->snapshot,
			       (unsigned long long)(a->n - NAMED_MAX));
		finding(arg, line);
	}
	if (a->holes) {
		(void)snprintf(line, sizeof line, "%s@%s: part of its manifest is lost, and what lies there cannot be restored",
			       s->volume, s->snapshot);
		finding(arg, line);
	}
}

int affected_report(struct repo *r, struct blob_in *in, const struct repo_entry *e,
		    void (*finding)(void *arg, const char *line), void *arg, uint64_t *ret_files, struct err *err)
{
	struct err local = {0};
	struct affected a = {.r = r, .in = in, .e = e, .err = err ? err : &local};
	bool sound = true;
	int bad = walk(&a, &e->s.root, e->s.level, NULL, &sound);

	if (!bad && a.n)
		bad = walk(&a, &e->s.root, e->s.level, take_name, &sound);
	if (bad)
		return bad;
	say(&a, finding, arg);
	*ret_files = a.n + a.holes;
	return 0;
}
