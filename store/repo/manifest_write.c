/* Writing a manifest: one open node a level. A node that grows beyond NODE_LEN_MAX gives its first half away, so that
 * all but the last before a gap are between half full and full. */
#include <stdlib.h>
#include <string.h>

#include "store/base/array.h"
#include "store/repo/codec.h"
#include "store/repo/manifest.h"
#include "store/repo/node.h"

#define NODE_LEN_MAX (16 * KIB)

struct entry {
	uint32_t key_at, key_len, value_at, value_len;
};

struct level {
	struct buf bytes; /* keys and values */
	struct entry *v;
	size_t n, cap;
};

struct manifest_writer {
	struct repo *r;
	struct pack_out *out;
	struct codec *codec;
	struct buf node; /* being encoded */
	struct level levels[NODE_LEVEL_MAX];
};

int manifest_writer_new(struct repo *r, struct pack_out *out, struct manifest_writer **ret)
{
	struct manifest_writer *w = calloc(1, sizeof *w);
	int bad = w ? codec_new(&w->codec) : -ENOMEM;

	if (bad) {
		free(w);
		return bad;
	}
	w->r = r;
	w->out = out;
	*ret = w;
	return 0;
}

void manifest_writer_free(struct manifest_writer *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < NODE_LEVEL_MAX; i++) {
		buf_free(&w->levels[i].bytes);
		free(w->levels[i].v);
	}
	buf_free(&w->node);
	codec_free(w->codec);
	free(w);
}

static int level_add(struct level *l, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct entry e = {(uint32_t)l->bytes.len, (uint32_t)key_len, (uint32_t)(l->bytes.len + key_len),
			  (uint32_t)value_len};
	int bad;

	if (array_grow(&l->v, &l->cap, l->n, sizeof *l->v))
		return -ENOMEM;
	bad = buf_add(&l->bytes, key, key_len);
	if (!bad)
		bad = buf_add(&l->bytes, value, value_len);
	if (!bad)
		l->v[l->n++] = e;
	return bad;
}

/* Names and stores what w->node has. */
static int store_node(struct manifest_writer *w, struct repo_name *ret, struct err *err)
{
	const struct codec_input in = {.data = w->node.data, .len = w->node.len};
	struct repo_blob blob = {.type = REPO_NODE};
	const void *sealed;
	int bad;

	crypt_name(&w->r->keys, REPO_NODE, w->node.data, w->node.len, &blob.name);
	*ret = blob.name;
	if (blob_index_claim(w->r->index, &blob.name, &bad))
		return 0;
	if (!bad)
		bad = codec_seal(w->codec, &w->r->keys, &in, &blob, &sealed);
	if (bad)
		return err_set(err, -bad, "writing the manifest: %s", err_name(-bad));
	return pack_out_add(w->out, &blob, sealed, err);
}

static int add_at(struct manifest_writer *w, unsigned level, const void *key, size_t key_len, const void *value,
		  size_t value_len, struct err *err);

/* The first n entries of a level become a node. */
static int give_away(struct manifest_writer *w, unsigned level, size_t n, struct err *err)
{
	struct level *l = &w->levels[level];
	struct row_key first = {.len = n ? l->v[0].key_len : 0};
	struct repo_name name;
	size_t used = n < l->n ? l->v[n].key_at : l->bytes.len;
	int bad;

	buf_reset(&w->node);
	bad = node_begin(&w->node, level, n);
	for (size_t i = 0; i < n && !bad; i++) {
		const struct entry *e = &l->v[i], *before = i ? e - 1 : e;

		bad = node_add(&w->node, l->bytes.data + before->key_at, i ? before->key_len : 0,
			       l->bytes.data + e->key_at, e->key_len, l->bytes.data + e->value_at, e->value_len);
	}
	if (bad)
		return err_set(err, -bad, "writing the manifest: %s", err_name(-bad));
	bad = store_node(w, &name, err);
	if (bad)
		return bad;
	if (n)
		memcpy(first.b, l->bytes.data, first.len);
	if (l->bytes.len > used)
		memmove(l->bytes.data, l->bytes.data + used, l->bytes.len - used);
	l->bytes.len -= used;
	l->n -= n;
	memmove(l->v, l->v + n, l->n * sizeof *l->v);
	for (size_t i = 0; i < l->n; i++) {
		l->v[i].key_at -= (uint32_t)used;
		l->v[i].value_at -= (uint32_t)used;
	}
	return add_at(w, level + 1, first.b, first.len, name.b, REPO_NAME_LEN, err);
}

static int add_at(struct manifest_writer *w, unsigned level, const void *key, size_t key_len, const void *value,
		  size_t value_len, struct err *err)
{
	struct level *l;
	size_t half = 0;
	int bad;

	if (level >= NODE_LEVEL_MAX)
		return err_set(err, EFBIG, "the volume is too large for a manifest");
	l = &w->levels[level];
	bad = level_add(l, key, key_len, value, value_len);
	if (bad)
		return err_set(err, -bad, "writing the manifest: %s", err_name(-bad));
	if (l->bytes.len <= NODE_LEN_MAX || l->n < 4)
		return 0;
	while (half < l->n - 1 && l->v[half].key_at < l->bytes.len / 2)
		half++;
	return give_away(w, level, half ? half : 1, err);
}

int manifest_add(struct manifest_writer *w, const struct row_key *key, const void *value, size_t value_len,
		 struct err *err)
{
	return add_at(w, 0, key->b, key->len, value, value_len, err);
}

int manifest_add_node(struct manifest_writer *w, unsigned level, const struct row_key *first,
		      const struct repo_name *node, struct err *err)
{
	int bad = 0;

	for (unsigned l = 0; l <= level && !bad; l++)
		if (w->levels[l].n)
			bad = give_away(w, l, w->levels[l].n, err);
	return bad ? bad : add_at(w, level + 1, first->b, first->len, node->b, REPO_NAME_LEN, err);
}

static bool empty_above(const struct manifest_writer *w, unsigned level)
{
	for (unsigned l = level + 1; l < NODE_LEVEL_MAX; l++)
		if (w->levels[l].n)
			return false;
	return true;
}

int manifest_end(struct manifest_writer *w, struct manifest_ref *ret, struct err *err)
{
	unsigned l = 0;
	int bad;

	for (;; l++) {
		struct level *at = &w->levels[l];

		if (l && at->n == 1 && empty_above(w, l)) {
			ret->level = l - 1;
			memcpy(ret->root.b, at->bytes.data + at->v[0].value_at, REPO_NAME_LEN);
			return 0;
		}
		if (!at->n && !(l == 0 && empty_above(w, 0)))
			continue;
		bad = give_away(w, l, at->n, err);
		if (bad)
			return bad;
	}
}
