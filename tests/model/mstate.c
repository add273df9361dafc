#include "tests/model/mstate.h"

#include <stdio.h>

#include "tests/model/alloc.h"

struct msnapshot *msnapshot_new(const char *name, struct mtree *tree, uint64_t lineage)
{
	struct msnapshot *s = must_zalloc(sizeof *s);

	s->refs = 1;
	(void)snprintf(s->name, sizeof s->name, "%s", name);
	s->tree = mtree_ref(tree);
	s->lineage = lineage;
	return s;
}

static void msnapshot_unref(struct msnapshot *s)
{
	if (--s->refs)
		return;
	mtree_unref(s->tree);
	free(s);
}

struct msnapshot *msnapshot_find(const struct mvolume *v, const char *name)
{
	for (size_t i = 0; i < v->nsnaps; i++)
		if (!strcmp(v->snaps[i]->name, name))
			return v->snaps[i];
	return NULL;
}

struct mvolume *mvolume_new(int64_t id, const char *name, struct mtree *tree)
{
	struct mvolume *v = must_zalloc(sizeof *v);

	v->refs = 1;
	v->id = id;
	(void)snprintf(v->name, sizeof v->name, "%s", name);
	v->tree = tree;
	return v;
}

static void mvolume_unref(struct mvolume *v)
{
	if (--v->refs)
		return;
	for (size_t i = 0; i < v->nsnaps; i++)
		msnapshot_unref(v->snaps[i]);
	free(v->snaps);
	mtree_unref(v->tree);
	free(v);
}

void mvolume_add_snapshot(struct mvolume *v, struct msnapshot *s)
{
	if (v->nsnaps == v->snaps_cap) {
		v->snaps_cap = v->snaps_cap ? 2 * v->snaps_cap : 8;
		v->snaps = must_realloc(v->snaps, v->snaps_cap * sizeof(struct msnapshot *));
	}
	v->snaps[v->nsnaps++] = s;
}

void mvolume_remove_snapshot(struct mvolume *v, size_t i)
{
	msnapshot_unref(v->snaps[i]);
	v->nsnaps--;
	memmove(v->snaps + i, v->snaps + i + 1, (v->nsnaps - i) * sizeof(struct msnapshot *));
}

struct msnapshot *mvolume_edit_snapshot(struct mvolume *v, size_t i)
{
	struct msnapshot *old = v->snaps[i];

	if (old->refs > 1) {
		v->snaps[i] = msnapshot_new(old->name, old->tree, old->lineage);
		v->snaps[i]->automatic = old->automatic;
		v->snaps[i]->held = old->held;
		v->snaps[i]->number = old->number;
		old->refs--;
	}
	return v->snaps[i];
}

struct mstate mstate_copy(const struct mstate *s)
{
	for (size_t i = 0; i < s->n; i++)
		s->v[i]->refs++;
	return *s;
}

void mstate_free(struct mstate *s)
{
	for (size_t i = 0; i < s->n; i++)
		mvolume_unref(s->v[i]);
	s->n = 0;
}

struct mvolume *mstate_edit(struct mstate *s, size_t i)
{
	struct mvolume *old = s->v[i], *v;

	if (old->refs == 1)
		return old;
	v = must_alloc(sizeof *v);
	*v = *old;
	v->refs = 1;
	(void)mtree_ref(v->tree);
	v->snaps_cap = v->nsnaps;
	v->snaps = must_alloc(v->nsnaps * sizeof(struct msnapshot *));
	for (size_t j = 0; j < v->nsnaps; j++) {
		v->snaps[j] = old->snaps[j];
		v->snaps[j]->refs++;
	}
	old->refs--;
	s->v[i] = v;
	return v;
}

void mstate_add(struct mstate *s, struct mvolume *v)
{
	if (s->n == MSTATE_VOLUMES)
		abort();
	s->v[s->n++] = v;
}

void mstate_remove(struct mstate *s, size_t i)
{
	mvolume_unref(s->v[i]);
	s->v[i] = s->v[--s->n];
}

struct mvolume *mstate_by_name(const struct mstate *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->v[i]->name, name))
			return s->v[i];
	return NULL;
}

struct mvolume *mstate_by_id(const struct mstate *s, int64_t id)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i]->id == id)
			return s->v[i];
	return NULL;
}

size_t mstate_index(const struct mstate *s, int64_t id)
{
	size_t i = 0;

	while (i < s->n && s->v[i]->id != id)
		i++;
	if (i == s->n)
		abort();
	return i;
}

size_t mstate_snapshots(const struct mstate *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->v[i]->nsnaps;
	return n;
}
