/* What a store shows, as text that two stores, or two moments of one, can be compared by. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "store/maint/check.h"
#include "store/volume/file_io.h"
#include "store/volume/snapshot.h"
#include "tests/faults/work.h"
#include "tests/model/alloc.h"

#define READ_LEN 65536

struct list {
	struct work *w;
	const char *root; /* "VOLUME" or "VOLUME@SNAPSHOT" */
	struct buf lines;
};

static void must(int ret, const char *what, const char *path)
{
	if (!ret)
		return;
	fprintf(stderr, "%s of %s: %s\n", what, path, err_name(-ret));
	abort();
}

static uint64_t content_hash(struct work *w, uint64_t node, int64_t size, const char *path)
{
	static uint8_t got[READ_LEN];
	XXH64_hash_t hash = 0;
	size_t n = 1;

	for (int64_t off = 0; off < size && n; off += (int64_t)n) {
		must(file_read(w->s, node, got, sizeof got, off, false, &n), "reading", path);
		hash = XXH3_64bits_withSeed(got, n, hash);
	}
	return hash;
}

static void add_xattrs(struct list *l, const struct attr *at, const char *path)
{
	struct buf names = {0};

	must(ns_listxattr(l->w->s, at->node, &names), "listing the attributes", path);
	for (size_t i = 0; i < names.len; i += strlen((char *)names.data + i) + 1) {
		const char *name = (char *)names.data + i;
		void *value;
		size_t n;
		char text[128];

		must(ns_getxattr(l->w->s, at->node, name, &value, &n), "reading an attribute", path);
		(void)snprintf(text, sizeof text, " %s=%016" PRIx64, name, (uint64_t)XXH3_64bits(value, n));
		must(buf_add(&l->lines, text, strlen(text)), "noting", path);
		free(value);
	}
	buf_free(&names);
}

static void add_file(struct list *l, const struct attr *at, const char *path)
{
	char text[512];

	(void)snprintf(text, sizeof text, "%s:%s %o %u", l->root, *path ? path : "/", at->mode, at->nlink);
	must(buf_add(&l->lines, text, strlen(text)), "noting", path);
	if (S_ISREG(at->mode)) {
		(void)snprintf(text, sizeof text, " %" PRId64 " %016" PRIx64, at->size, content_hash(l->w, at->node, at->size, path));
		must(buf_add(&l->lines, text, strlen(text)), "noting", path);
	} else if (S_ISLNK(at->mode)) {
		char *target;

		must(ns_readlink(l->w->s, at->node, &target), "reading the link", path);
		(void)snprintf(text, sizeof text, " -> %s", target);
		must(buf_add(&l->lines, text, strlen(text)), "noting", path);
		free(target);
	}
	add_xattrs(l, at, path);
	must(buf_add_u8(&l->lines, '\n'), "noting", path);
}

struct children {
	size_t n;
	struct {
		char name[64];
		struct attr attr;
	} v[64];
};

static int add_child(void *arg, const struct ns_entry *e)
{
	struct children *c = arg;

	if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
		return 0;
	(void)snprintf(c->v[c->n].name, sizeof c->v[c->n].name, "%s", e->name);
	c->v[c->n++].attr = e->attr;
	return 0;
}

static void add_tree(struct list *l, const struct attr *at, const char *path)
{
	struct children *c;
	char sub[400];

	add_file(l, at, path);
	if (!S_ISDIR(at->mode))
		return;
	c = must_zalloc(sizeof *c);
	must(ns_readdir(l->w->s, at->node, 0, true, add_child, c), "reading the folder", path);
	for (size_t i = 0; i < c->n; i++) {
		(void)snprintf(sub, sizeof sub, "%s/%s", path, c->v[i].name);
		add_tree(l, &c->v[i].attr, sub);
	}
	free(c);
}

static void add_root(struct list *l, const char *volume, const char *snapshot)
{
	char name[2 * VOLUME_NAME_MAX + 2];
	struct attr at = {.node = NODE_ROOT};

	(void)snprintf(name, sizeof name, snapshot ? "%s@%s" : "%s", volume, snapshot);
	l->root = name;
	must(ns_lookup(l->w->s, NODE_ROOT, volume, &at), "looking up", volume);
	if (snapshot)
		must(ns_lookup(l->w->s, at.node, ".snapshots", &at), "looking up", name);
	if (snapshot)
		must(ns_lookup(l->w->s, at.node, snapshot, &at), "looking up", name);
	add_tree(l, &at, "");
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_lines(struct buf *lines, struct buf *ret)
{
	size_t n = 0, cap = 16;
	char **v = must_alloc(cap * sizeof *v), *at;

	must(buf_add_u8(lines, 0), "noting", "the end");
	for (at = strtok((char *)lines->data, "\n"); at; at = strtok(NULL, "\n")) {
		if (n == cap)
			v = must_realloc(v, (cap *= 2) * sizeof *v);
		v[n++] = at;
	}
	qsort(v, n, sizeof *v, by_text);
	for (size_t i = 0; i < n; i++) {
		must(buf_add(ret, v[i], strlen(v[i])), "sorting", v[i]);
		must(buf_add_u8(ret, '\n'), "sorting", v[i]);
	}
	must(buf_add_u8(ret, 0), "sorting", "the end");
	free(v);
}

void work_manifest(struct work *w, struct buf *ret)
{
	struct volume_info *vols;
	struct snapshot_info *snaps;
	struct list l = {.w = w};
	size_t n;

	buf_reset(ret);
	must(volume_list(w->s, &vols, &n, NULL), "listing", "volumes");
	for (size_t i = 0; i < n; i++)
		add_root(&l, vols[i].name, NULL);
	free(vols);
	must(snapshot_list(w->s, NULL, &snaps, &n, NULL), "listing", "snapshots");
	for (size_t i = 0; i < n; i++)
		if (!snaps[i].automatic)
			add_root(&l, snaps[i].volume, snaps[i].name);
	free(snaps);
	sort_lines(&l.lines, ret);
	buf_free(&l.lines);
}

static void say(void *arg, const char *line)
{
	++*(unsigned long *)arg;
	fprintf(stderr, "  check: %s\n", line);
}

unsigned long work_check(struct work *w)
{
	struct check_result r = {0};
	unsigned long lines = 0;
	struct err err = {0};

	if (check_store(w->s, CHECK_DATA, say, &lines, &r, &err)) {
		fprintf(stderr, "  check: %s\n", err.text);
		return 1;
	}
	return r.errors ? r.errors : lines;
}
