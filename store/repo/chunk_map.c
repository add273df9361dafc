#include "store/repo/chunk_map.h"

#include <errno.h>
#include <stdlib.h>

void chunk_map_free(struct chunk_map *m)
{
	free(m->v);
	*m = (struct chunk_map){0};
}

static struct chunk_map_entry *slot(const struct chunk_map *m, uint64_t id)
{
	size_t i = (id * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (m->size - 1);

	while (m->v[i].id && m->v[i].id != id)
		i = (i + 1) & (m->size - 1);
	return &m->v[i];
}

struct chunk_map_entry *chunk_map_find(const struct chunk_map *m, uint64_t id)
{
	struct chunk_map_entry *e = m->size ? slot(m, id) : NULL;

	return e && e->id ? e : NULL;
}

static int grow(struct chunk_map *m)
{
	struct chunk_map bigger = {.size = m->size ? m->size * 2 : 1024, .n = m->n};

	bigger.v = calloc(bigger.size, sizeof *bigger.v);
	if (!bigger.v)
		return -ENOMEM;
	for (size_t i = 0; i < m->size; i++)
		if (m->v[i].id)
			*slot(&bigger, m->v[i].id) = m->v[i];
	free(m->v);
	*m = bigger;
	return 0;
}

int chunk_map_get(struct chunk_map *m, uint64_t id, struct chunk_map_entry **ret)
{
	struct chunk_map_entry *e;
	int r = 2 * m->n >= m->size ? grow(m) : 0;

	if (r)
		return r;
	e = slot(m, id);
	if (!e->id) {
		e->id = id;
		m->n++;
	}
	*ret = e;
	return 0;
}
