#include "tests/model/opens.h"

#include <inttypes.h>
#include <string.h>

#include "tests/model/compare.h"

bool opens_open(struct run *r)
{
	int vi = run_volume(r);
	unsigned flags = (rng_one_in(&r->rng, 2) ? FILE_OPEN_WRITE : 0) | (rng_one_in(&r->rng, 6) ? FILE_OPEN_TRUNC : 0);
	const struct minode *m;
	struct minode *truncated;
	struct op op = run_op(r);
	int64_t since = run_now();
	uint64_t node, ino;

	if (vi < 0 || r->nhandles == RUN_HANDLES)
		return false;
	m = run_pick(r, r->state.v[vi]->tree, PICK_FILE | (rng_one_in(&r->rng, 8) ? PICK_ORPHAN : 0));
	if (!m)
		return false;
	ino = m->ino;
	node = run_node(r, vi, m);
	run_log(r, "open %s inode %" PRIu64 " flags %u", r->state.v[vi]->name, ino, flags);
	run_want(r, "file_open", file_open(r->store, &op, node, flags, 1), 0);
	r->handles[r->nhandles++] = (struct handle){r->state.v[vi]->id, node, flags};
	if (!(flags & FILE_OPEN_TRUNC))
		return true;
	truncated = mtree_edit(&mstate_edit(&r->state, (size_t)vi)->tree, ino);
	content_zero(&truncated->content, 0, INT64_MAX);
	truncated->size = 0;
	run_adopt(r, vi, ino, TIME_M | TIME_C, since);
	run_step(r);
	return true;
}

bool opens_release(struct run *r)
{
	size_t i = rng_below(&r->rng, r->nhandles);
	struct handle h;

	if (!r->nhandles)
		return false;
	h = r->handles[i];
	run_log(r, "release node %#" PRIx64 " flags %u", h.node, h.flags);
	file_release(r->store, h.node, h.flags & FILE_OPEN_WRITE);
	r->handles[i] = r->handles[--r->nhandles];
	return true;
}

static bool is_open(const struct run *r, uint64_t node)
{
	for (size_t i = 0; i < r->nhandles; i++)
		if (r->handles[i].node == node)
			return true;
	return false;
}

bool opens_forget(struct run *r)
{
	int vi = run_volume(r);
	const struct minode *m;
	struct attr attr;
	uint64_t node, ino;

	if (vi < 0)
		return false;
	m = run_pick(r, r->state.v[vi]->tree, PICK_ANY | PICK_ORPHAN);
	for (int tries = 0; tries < 20 && m->nlink && !rng_one_in(&r->rng, 40); tries++)
		m = run_pick(r, r->state.v[vi]->tree, PICK_ANY | PICK_ORPHAN);
	node = run_node(r, vi, m);
	ino = m->ino;
	if (is_open(r, node))
		return false;
	run_log(r, "forget %s inode %" PRIu64 " (links %u)", r->state.v[vi]->name, ino, m->nlink);
	run_want(r, "ns_forget", ns_forget(r->store, node), 0);
	if (!m->nlink) {
		mtree_remove(&mstate_edit(&r->state, (size_t)vi)->tree, ino);
		run_want(r, "ns_getattr of a forgotten inode", ns_getattr(r->store, node, &attr), -ESTALE);
		run_step(r);
	} else {
		run_adopt(r, vi, ino, 0, 0);
	}
	return true;
}

bool opens_old_heads(struct run *r)
{
	size_t i = rng_below(&r->rng, r->nold_heads);

	if (!r->nold_heads)
		return false;
	run_log(r, "read nodes of before a rollback, number %u", r->old_heads[i].number);
	for (int n = 0; n < 4; n++)
		compare_old_head(r, &r->old_heads[i]);
	return true;
}

void opens_drop_volume(struct run *r, int64_t volume)
{
	for (size_t i = r->nhandles; i-- > 0;)
		if (r->handles[i].volume == volume)
			r->handles[i] = r->handles[--r->nhandles];
}

void opens_drop_all(struct run *r)
{
	r->nhandles = 0;
}

void opens_drop_heads(struct run *r, int64_t volume, const char *saved)
{
	for (size_t i = r->nold_heads; i-- > 0;) {
		struct old_head *h = &r->old_heads[i];

		if (h->volume != volume || (*saved && strcmp(h->saved, saved)))
			continue;
		mtree_unref(h->tree);
		*h = r->old_heads[--r->nold_heads];
	}
}
