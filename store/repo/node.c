#include "store/repo/node.h"

#include <stdlib.h>
#include <string.h>

#include "store/base/array.h"
#include "store/base/cleanup.h"

#define NODE_MAGIC 'N'

int node_begin(struct buf *ret, unsigned level, size_t n)
{
	int bad = buf_add_u8(ret, NODE_MAGIC);

	if (!bad)
		bad = buf_add_u8(ret, (uint8_t)level);
	return bad ? bad : buf_add_varint(ret, n);
}

int node_add(struct buf *ret, const void *before, size_t before_len, const void *key, size_t key_len, const void *value,
	     size_t value_len)
{
	const uint8_t *a = before, *b = key;
	size_t shared = 0;
	int bad;

	while (shared < before_len && shared < key_len && a[shared] == b[shared])
		shared++;
	bad = buf_add_varint(ret, shared);
	if (!bad)
		bad = buf_add_bytes(ret, b + shared, key_len - shared);
	return bad ? bad : buf_add_bytes(ret, value, value_len);
}

int node_parse(const void *data, size_t len, unsigned *ret_level,
	       int (*fn)(void *arg, const struct row_key *key, const void *value, size_t value_len), void *arg)
{
	struct buf_reader r = buf_reader(data, len);
	struct row_key key = {0}, before = {0};
	unsigned magic = buf_get_u8(&r), level = buf_get_u8(&r);
	uint64_t n = buf_get_varint(&r), shared;
	size_t rest = 0, value_len = 0;
	const void *tail, *value;
	int ret = 0;

	if (r.bad || magic != NODE_MAGIC || level >= NODE_LEVEL_MAX)
		return -ECORRUPT;
	for (uint64_t i = 0; i < n && !ret; i++) {
		shared = buf_get_varint(&r);
		tail = buf_get_bytes(&r, &rest);
		value = buf_get_bytes(&r, &value_len);
		if (r.bad || shared > key.len || rest > ROW_KEY_MAX - shared)
			return -ECORRUPT;
		memcpy(key.b + shared, tail, rest);
		key.len = (size_t)shared + rest;
		if (i && row_key_compare(before.b, before.len, key.b, key.len) >= 0)
			return -ECORRUPT;
		if (level && value_len != REPO_NAME_LEN)
			return -ECORRUPT;
		before = key;
		ret = fn(arg, &key, value, value_len);
	}
	if (!ret && (r.bad || buf_reader_left(&r)))
		return -ECORRUPT;
	if (!ret)
		*ret_level = level;
	return ret;
}

struct reading {
	struct node *node;
	size_t cap;
};

static int take_entry(void *arg, const struct row_key *key, const void *value, size_t value_len)
{
	struct reading *r = arg;
	struct node *n = r->node;

	if (array_grow(&n->v, &r->cap, n->n, sizeof *n->v))
		return -ENOMEM;
	n->v[n->n++] = (struct node_entry){*key, value, value_len};
	return 0;
}

int node_get(struct blob_in *in, const struct repo_name *name, unsigned level, struct node *ret, struct err *err)
{
	struct node node = {0};
	struct reading reading = {&node, 0};
	char hex[REPO_HEX_LEN];
	size_t len = 0;
	int bad;

	node.bytes = malloc(REPO_BLOB_RAW_MAX);
	if (!node.bytes)
		return err_set(err, ENOMEM, "out of memory");
	bad = blob_in_get(in, name, REPO_NODE, node.bytes, &len, err);
	if (!bad) {
		bad = node_parse(node.bytes, len, &node.level, take_entry, &reading);
		if (!bad && node.level != level)
			bad = -ECORRUPT;
		repo_name_hex(name, hex);
		if (bad)
			bad = err_set(err, -bad, "the node %s of the repository does not parse", hex);
	}
	if (bad)
		node_free(&node);
	else
		*ret = node;
	return bad;
}

void node_free(struct node *n)
{
	free(n->v);
	free(n->bytes);
	*n = (struct node){0};
}
