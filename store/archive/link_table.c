#include "store/archive/link_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct link {
	uint64_t ino;
	char *path;
};

static size_t home(const struct link_table *t, uint64_t ino)
{
	return (size_t)(ino * 0x9e3779b97f4a7c15ULL >> 32) & (t->cap - 1);
}

/* The inode's slot, or the free one where it belongs. */
static struct link *seek(const struct link_table *t, uint64_t ino)
{
	size_t i = home(t, ino);

	while (t->slots[i].path && t->slots[i].ino != ino)
		i = (i + 1) & (t->cap - 1);
	return &t->slots[i];
}

static int grow(struct link_table *t)
{
	struct link_table bigger = {.n = t->n, .cap = t->cap ? 2 * t->cap : 1024};

	bigger.slots = calloc(bigger.cap, sizeof *bigger.slots);
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < t->cap; i++)
		if (t->slots[i].path)
			*seek(&bigger, t->slots[i].ino) = t->slots[i];
	free(t->slots);
	*t = bigger;
	return 0;
}

int link_table_meet(struct link_table *t, uint64_t ino, const char *path, const char **ret_first)
{
	struct link *l;
	int ret = 0;

	*ret_first = NULL;
	if (2 * t->n >= t->cap)
		ret = grow(t);
	if (ret)
		return ret;
	l = seek(t, ino);
	if (l->path) {
		*ret_first = l->path;
		return 0;
	}
	l->path = strdup(path);
	if (!l->path)
		return -ENOMEM;
	l->ino = ino;
	t->n++;
	return 0;
}

void link_table_free(struct link_table *t)
{
	for (size_t i = 0; i < t->cap; i++)
		free(t->slots[i].path);
	free(t->slots);
	*t = (struct link_table){0};
}
