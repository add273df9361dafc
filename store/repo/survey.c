#include "store/repo/survey.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store/repo/node.h"

int survey_find(struct survey *s, int code, struct err *err, const char *fmt, ...)
{
	char line[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	s->findings++;
	if (!s->finding)
		return err_set(err, code, "%s", line);
	s->finding(s->arg, line);
	if (err)
		*err = (struct err){0};
	return 0;
}

/* A chunk and what it is a delta upon. */
static int mark_chunk(struct survey *s, const struct repo_name *name, const struct repo_entry *e, struct err *err)
{
	struct repo_name at = *name;
	char hex[REPO_HEX_LEN], key[BACKEND_KEY_MAX + 1];
	struct blob_place place;
	bool fresh = true;

	for (unsigned depth = 0; fresh && depth < 64; depth++) {
		if (!blob_index_mark(s->r->index, &at, &place, &fresh) || place.blob.type != REPO_CHUNK) {
			repo_name_hex(&at, hex);
			return survey_find(s, ECORRUPT, err, "%s@%s needs the chunk %s, which no pack has", e->s.volume,
					   e->s.snapshot, hex);
		}
		if (place.lost && !s->finding) {
			repo_object_key(REPO_PACK, &place.pack_name, key);
			return survey_find(s, ECORRUPT, err, "%s@%s needs %s, which is missing", e->s.volume,
					   e->s.snapshot, key);
		}
		s->chunks += fresh;
		if (place.blob.codec != CODEC_DELTA)
			break;
		at = place.blob.base;
	}
	return 0;
}

static int check_row(struct survey *s, const struct repo_entry *e, const struct node_entry *row, struct err *err)
{
	enum row_kind kind;
	uint64_t ino, sub;
	const char *name;
	size_t len;
	struct row_extent x;
	struct row_inode i;
	struct row_dirent d;
	int bad = row_key_parse(&row->key, &ino, &kind, &sub, &name, &len);

	if (!bad && kind == ROW_EXTENT)
		bad = row_extent_parse(row->value, row->value_len, &x);
	else if (!bad && kind == ROW_INODE)
		bad = row_inode_parse(row->value, row->value_len, &i);
	else if (!bad && kind == ROW_DIRENT)
		bad = row_dirent_parse(row->value, row->value_len, &d);
	if (bad)
		return survey_find(s, ECORRUPT, err, "%s@%s has a row that does not parse", e->s.volume, e->s.snapshot);
	return kind == ROW_EXTENT ? mark_chunk(s, &x.chunk, e, err) : 0;
}

static int mark_node(struct survey *s, const struct repo_name *name, unsigned level, const struct repo_entry *e,
		     struct err *err)
{
	struct blob_place place;
	struct repo_name child;
	struct node n;
	char hex[REPO_HEX_LEN];
	bool fresh;
	int bad;

	if (!blob_index_mark(s->r->index, name, &place, &fresh)) {
		repo_name_hex(name, hex);
		return survey_find(s, ECORRUPT, err, "%s@%s needs the node %s, which no pack has", e->s.volume,
				   e->s.snapshot, hex);
	}
	if (!fresh)
		return 0;
	s->nodes++;
	if (place.lost && s->finding)
		return 0;
	n = (struct node){0};
	bad = node_get(s->in, name, level, &n, err);
	if (bad == -ECORRUPT || bad == -ENOENT)
		return survey_find(s, ECORRUPT, err, "%s", err->text);
	for (size_t i = 0; !bad && i < n.n; i++) {
		if (!level) {
			bad = check_row(s, e, &n.v[i], err);
			continue;
		}
		node_child(&n.v[i], &child);
		bad = mark_node(s, &child, level - 1, e, err);
	}
	node_free(&n);
	return bad;
}

int survey_snapshot(struct survey *s, const struct repo_entry *e, struct err *err)
{
	if (e->s.level >= NODE_LEVEL_MAX)
		return survey_find(s, ECORRUPT, err, "%s@%s has a manifest of %u levels", e->s.volume, e->s.snapshot,
				   e->s.level);
	return mark_node(s, &e->s.root, e->s.level, e, err);
}
