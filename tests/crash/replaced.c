#include "tests/crash/replaced.h"

#include <inttypes.h>

#include "tests/model/alloc.h"

void possible_copy(struct possible *p, const struct history *h)
{
	p->n = h->n;
	p->v = must_alloc(h->n * sizeof *p->v);
	for (size_t i = 0; i < h->n; i++)
		p->v[i] = mstate_copy(&h->v[i]);
}

void possible_free(struct possible *p)
{
	for (size_t i = 0; i < p->n; i++)
		mstate_free(&p->v[i]);
	free(p->v);
}

static const struct minode *file_at(const struct mstate *s, int64_t volume, uint64_t dir, unsigned name)
{
	const struct mvolume *v = mstate_by_id(s, volume);
	const struct minode *d = v ? mtree_get(v->tree, dir) : NULL;
	const struct mdent *e = d ? minode_entry(d, name) : NULL;

	return e ? mtree_get(v->tree, e->ino) : NULL;
}

static bool same_content(const struct minode *a, const struct minode *b)
{
	uint8_t x[CONTENT_PAGE], y[CONTENT_PAGE];

	if (a->size != b->size)
		return false;
	if (a->content == b->content)
		return true;
	for (int64_t at = 0; at < a->size; at += CONTENT_PAGE) {
		size_t len = a->size - at < CONTENT_PAGE ? (size_t)(a->size - at) : CONTENT_PAGE;

		content_read(a->content, at, x, len);
		content_read(b->content, at, y, len);
		if (memcmp(x, y, len))
			return false;
	}
	return true;
}

/* The inode as it was when it took another's name, if that is among the states and it did not change since. */
static const struct minode *taken_over(const struct possible *p, int64_t volume, uint64_t dir, unsigned name, uint64_t ino)
{
	const struct minode *before = NULL, *taken = NULL;

	for (size_t i = 0; i < p->n; i++) {
		const struct minode *m = file_at(&p->v[i], volume, dir, name);

		if (m && m->ino == ino) {
			if (!taken && (!before || before->ino == ino || !S_ISREG(before->mode)))
				return NULL;
			if (taken && !same_content(taken, m))
				return NULL;
			taken = m;
		}
		before = m;
	}
	return taken;
}

static void check_name(struct run *r, const struct possible *p, const struct mvolume *v, const struct minode *dir, const struct mdent *e)
{
	const struct minode *m = mtree_get(v->tree, e->ino), *taken;

	if (!S_ISREG(m->mode) || m->size > 16 * (int64_t)MIB)
		return;
	taken = taken_over(p, v->id, dir->ino, e->name, e->ino);
	if (taken && !same_content(taken, m))
		run_fail(r, "volume %s, directory %" PRIu64 ", \"%s\": inode %" PRIu64 " took this name from another file, and has neither content: "
			    "%" PRId64 " bytes, expected %" PRId64,
			 v->name, dir->ino, words_name(e->name), e->ino, m->size, taken->size);
}

void replaced_check(struct run *r, const struct possible *p)
{
	for (size_t i = 0; i < r->state.n; i++) {
		const struct mvolume *v = r->state.v[i];

		for (size_t j = 0; j < v->tree->n; j++)
			for (unsigned k = 0; k < v->tree->v[j]->nents; k++)
				check_name(r, p, v, v->tree->v[j], &v->tree->v[j]->ents[k]);
	}
}
