/* Private to store/repo: the bytes of a manifest's node. */
#ifndef VARVE_REPO_NODE_H
#define VARVE_REPO_NODE_H

#include "store/repo/manifest.h"

int node_begin(struct buf *ret, unsigned level, size_t n);
/* Keys share the beginning that they have in common with the one before. */
int node_add(struct buf *ret, const void *before, size_t before_len, const void *key, size_t key_len, const void *value,
	     size_t value_len);

/* A node read. */
struct node_entry {
	struct row_key key;
	const void *value; /* points into the node's bytes */
	size_t value_len;
};
struct node {
	unsigned level;
	struct node_entry *v;
	size_t n;
	uint8_t *bytes;
};
/* Reads and parses it; its level must be `level`. */
int node_get(struct blob_in *in, const struct repo_name *name, unsigned level, struct node *ret, struct err *err);
void node_free(struct node *n);
/* The child that an entry of an inner node names. */
static inline void node_child(const struct node_entry *e, struct repo_name *ret)
{
	__builtin_memcpy(ret->b, e->value, REPO_NAME_LEN);
}

#endif
