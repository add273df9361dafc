/* Walking, comparing and changing manifests. */
#include <stdlib.h>
#include <string.h>

#include "store/repo/node.h"

static bool begins(const struct row_key *key, const struct row_key *prefix)
{
	return key->len >= prefix->len && !memcmp(key->b, prefix->b, prefix->len);
}

/* --- walking --- */

struct walk {
	struct blob_in *in;
	const struct row_key *prefix;
	manifest_row_fn fn;
	void *arg;
	struct err *err;
};

/* Whether the child of entry i may have rows with the prefix. */
static bool may_have(const struct node *n, size_t i, const struct row_key *prefix)
{
	const struct row_key *k = &n->v[i].key;
	size_t len = k->len < prefix->len ? k->len : prefix->len;

	if (memcmp(k->b, prefix->b, len) > 0)
		return false;
	return i + 1 == n->n || row_key_compare(n->v[i + 1].key.b, n->v[i + 1].key.len, prefix->b, prefix->len) > 0;
}

static int walk_node(const struct walk *w, unsigned level, const struct repo_name *name)
{
	struct repo_name child;
	struct node n;
	int ret = node_get(w->in, name, level, &n, w->err);

	if (ret)
		return ret;
	for (size_t i = 0; i < n.n && !ret; i++) {
		if (level) {
			node_child(&n.v[i], &child);
			if (!w->prefix || may_have(&n, i, w->prefix))
				ret = walk_node(w, level - 1, &child);
		} else if (!w->prefix || begins(&n.v[i].key, w->prefix)) {
			ret = w->fn(w->arg, &n.v[i].key, n.v[i].value, n.v[i].value_len);
		}
	}
	node_free(&n);
	return ret;
}

int manifest_walk(struct blob_in *in, const struct manifest_ref *m, const struct row_key *prefix, manifest_row_fn fn,
		  void *arg, struct err *err)
{
	const struct walk w = {in, prefix, fn, arg, err};

	if (m->level >= NODE_LEVEL_MAX)
		return err_set(err, ECORRUPT, "a snapshot of the repository has a manifest of %u levels", m->level);
	return walk_node(&w, m->level, &m->root);
}

int manifest_last(struct blob_in *in, const struct manifest_ref *m, struct row_key *ret, struct err *err)
{
	struct repo_name name = m->root;
	struct node n;
	int bad = 0;

	ret->len = 0;
	for (unsigned level = m->level; !bad && level < NODE_LEVEL_MAX; level--) { /* below 0 it wraps */
		bad = node_get(in, &name, level, &n, err);
		if (bad)
			break;
		if (n.n) {
			*ret = n.v[n.n - 1].key;
			if (level)
				node_child(&n.v[n.n - 1], &name);
		}
		if (!n.n)
			level = 0;
		node_free(&n);
	}
	return bad;
}

/* --- comparing --- */

/* Where one side is: a node a level, each at one of its entries. The top one's entry is a row, or a node that was not
 * looked into. */
struct cursor {
	struct blob_in *in;
	struct node nodes[NODE_LEVEL_MAX + 1];
	size_t at[NODE_LEVEL_MAX + 1];
	size_t depth;
};

static int push_node(struct cursor *c, const struct repo_name *name, unsigned level, struct err *err)
{
	int ret = node_get(c->in, name, level, &c->nodes[c->depth], err);

	if (!ret)
		c->at[c->depth++] = 0;
	return ret;
}

static const struct node_entry *peek(struct cursor *c, unsigned *ret_level)
{
	while (c->depth) {
		struct node *top = &c->nodes[c->depth - 1];

		if (c->at[c->depth - 1] < top->n) {
			*ret_level = top->level;
			return &top->v[c->at[c->depth - 1]];
		}
		node_free(top);
		if (--c->depth)
			c->at[c->depth - 1]++;
	}
	return NULL;
}

static void step(struct cursor *c)
{
	c->at[c->depth - 1]++;
}

static int expand(struct cursor *c, const struct node_entry *e, unsigned level, struct err *err)
{
	struct repo_name child;

	node_child(e, &child);
	return push_node(c, &child, level - 1, err);
}

static void cursor_end(struct cursor *c)
{
	while (c->depth)
		node_free(&c->nodes[--c->depth]);
}

/* One step of both sides. >0 at the end. */
static int diff_step(struct cursor *a, struct cursor *b, manifest_diff_fn fn, void *arg, struct err *err)
{
	unsigned la = 0, lb = 0;
	const struct node_entry *ea = peek(a, &la), *eb = peek(b, &lb);
	int order, ret = 0;

	if (!ea && !eb)
		return 1;
	if (ea && eb && la == lb && la && !memcmp(ea->value, eb->value, REPO_NAME_LEN)) {
		step(a);
		step(b);
		return 0;
	}
	order = !ea ? 1 : !eb ? -1 : row_key_compare(ea->key.b, ea->key.len, eb->key.b, eb->key.len);
	/* a node is looked into when its rows are next; of two nodes the higher one */
	if (ea && la && (eb && lb ? la >= lb : order <= 0))
		return expand(a, ea, la, err);
	if (eb && lb && (ea && la ? lb > la : order >= 0))
		return expand(b, eb, lb, err);
	if (order < 0)
		ret = fn(arg, &ea->key, ea->value, ea->value_len, NULL, 0);
	else if (order > 0)
		ret = fn(arg, &eb->key, NULL, 0, eb->value, eb->value_len);
	else if (ea->value_len != eb->value_len || memcmp(ea->value, eb->value, ea->value_len) != 0)
		ret = fn(arg, &ea->key, ea->value, ea->value_len, eb->value, eb->value_len);
	if (order <= 0)
		step(a);
	if (order >= 0)
		step(b);
	return ret;
}

int manifest_diff(struct blob_in *in, const struct manifest_ref *a, const struct manifest_ref *b, manifest_diff_fn fn,
		  void *arg, struct err *err)
{
	struct cursor *c = calloc(2, sizeof *c);
	int ret = 0;

	if (!c)
		return err_set(err, ENOMEM, "out of memory");
	c[0].in = c[1].in = in;
	if ((a && a->level >= NODE_LEVEL_MAX) || b->level >= NODE_LEVEL_MAX)
		ret = err_set(err, ECORRUPT, "a snapshot of the repository has a manifest of too many levels");
	if (!ret && a && a->level == b->level && !memcmp(a->root.b, b->root.b, REPO_NAME_LEN)) {
		free(c);
		return 0;
	}
	if (!ret && a)
		ret = push_node(&c[0], &a->root, a->level, err);
	if (!ret)
		ret = push_node(&c[1], &b->root, b->level, err);
	while (!ret)
		ret = diff_step(&c[0], &c[1], fn, arg, err);
	cursor_end(&c[0]);
	cursor_end(&c[1]);
	free(c);
	return ret < 0 ? ret : 0;
}

/* --- changing --- */

struct update {
	struct blob_in *in;
	const struct manifest_change *changes;
	size_t next; /* the first not carried out */
	size_t n;
	const struct manifest_change *cover; /* the last prefix so far */
	struct manifest_writer *w;
	struct err *err;
};

static int compare_keys(const struct row_key *a, const struct row_key *b)
{
	return row_key_compare(a->b, a->len, b->b, b->len);
}

/* Everything before `end` (NULL: everything) is carried out upon a leaf. */
static int update_leaf(struct update *u, const struct node *n, const struct row_key *end)
{
	size_t i = 0;
	int ret = 0;

	while (!ret) {
		const struct manifest_change *c = u->next < u->n ? &u->changes[u->next] : NULL;
		int order;

		if (c && end && compare_keys(&c->key, end) >= 0)
			c = NULL;
		if (!c && i == n->n)
			break;
		order = !c ? 1 : i == n->n ? -1 : compare_keys(&c->key, &n->v[i].key);
		if (order > 0) {
			if (!u->cover || !begins(&n->v[i].key, &u->cover->key))
				ret = manifest_add(u->w, &n->v[i].key, n->v[i].value, n->v[i].value_len, u->err);
			i++;
			continue;
		}
		u->next++;
		if (c->prefix) {
			u->cover = c;
			continue;
		}
		if (c->value)
			ret = manifest_add(u->w, &c->key, c->value, c->value_len, u->err);
		i += order == 0;
	}
	return ret;
}

static int update_node(struct update *u, unsigned level, const struct repo_name *name, const struct row_key *end)
{
	struct repo_name child;
	struct node n;
	int ret = node_get(u->in, name, level, &n, u->err);

	if (ret)
		return ret;
	if (!level)
		ret = update_leaf(u, &n, end);
	for (size_t i = 0; level && i < n.n && !ret; i++) {
		const struct row_key *until = i + 1 < n.n ? &n.v[i + 1].key : end;
		bool touched = u->next < u->n && (!until || compare_keys(&u->changes[u->next].key, until) < 0);
		bool covered = u->cover && begins(&n.v[i].key, &u->cover->key);

		node_child(&n.v[i], &child);
		if (touched || (covered && !(until && begins(until, &u->cover->key))))
			ret = update_node(u, level - 1, &child, until);
		else if (!covered)
			ret = manifest_add_node(u->w, level - 1, &n.v[i].key, &child, u->err);
	}
	node_free(&n);
	return ret;
}

int manifest_update(struct blob_in *in, const struct manifest_ref *old, const struct manifest_change *changes, size_t n,
		    struct manifest_writer *w, struct err *err)
{
	struct update u = {in, changes, 0, n, NULL, w, err};

	return update_node(&u, old->level, &old->root, NULL);
}
