/* Open addressing with linear probing and backward-shift deletion, so that there are no tombstones. A slot with node 0
 * is free (no node id is 0). The table doubles above 3/4 full and halves below 1/8: a million names cost 32 MiB while
 * the kernel remembers them. */
#include "fs/node_table.h"

#include <assert.h>
#include <errno.h>

#include "store/base/cleanup.h"
#include "store/base/limits.h"

#define SLOTS_MIN 4096
#define LOOKUPS_BITS 40

struct slot {
	uint64_t node;
	uint64_t lookups : LOOKUPS_BITS;
	uint64_t writers : 63 - LOOKUPS_BITS;
	uint64_t told : 1;
};

struct node_table {
	pthread_mutex_t lock; /* covers all that follows */
	struct slot *slots;
	size_t cap; /* a power of two */
	size_t used;
};

int node_table_new(struct node_table **ret)
{
	struct node_table *t = calloc(1, sizeof *t);

	if (!t)
		return -ENOMEM;
	t->cap = SLOTS_MIN;
	t->slots = calloc(t->cap, sizeof *t->slots);
	if (!t->slots) {
		free(t);
		return -ENOMEM;
	}
	(void)pthread_mutex_init(&t->lock, NULL);
	*ret = t;
	return 0;
}

void node_table_free(struct node_table *t)
{
	if (!t)
		return;
	(void)pthread_mutex_destroy(&t->lock);
	free(t->slots);
	free(t);
}

static size_t home(const struct node_table *t, uint64_t node)
{
	return (size_t)((node * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (t->cap - 1);
}

/* The node's slot, or the free one where it would go. */
static size_t find(const struct node_table *t, uint64_t node)
{
	size_t i = home(t, node);

	while (t->slots[i].node && t->slots[i].node != node)
		i = (i + 1) & (t->cap - 1);
	return i;
}

static int resize(struct node_table *t, size_t cap)
{
	struct node_table next = {.cap = cap};
	size_t i;

	next.slots = calloc(cap, sizeof *next.slots);
	if (!next.slots)
		return -ENOMEM;
	for (i = 0; i < t->cap; i++)
		if (t->slots[i].node)
			next.slots[find(&next, t->slots[i].node)] = t->slots[i];
	free(t->slots);
	t->slots = next.slots;
	t->cap = cap;
	return 0;
}

static void erase(struct node_table *t, size_t i)
{
	size_t j = i;

	for (;;) {
		j = (j + 1) & (t->cap - 1);
		if (!t->slots[j].node)
			break;
		/* j may move into the gap unless its home lies after the gap */
		if (((j - home(t, t->slots[j].node)) & (t->cap - 1)) >= ((j - i) & (t->cap - 1))) {
			t->slots[i] = t->slots[j];
			i = j;
		}
	}
	t->slots[i] = (struct slot){0};
	t->used--;
}

int node_table_ref(struct node_table *t, uint64_t node)
{
	size_t i;

	assert(node);
	LOCK_SCOPE(&t->lock);
	i = find(t, node);
	if (!t->slots[i].node) {
		/* A table that cannot grow is used until one slot is left: the search for a free one must end. */
		if (t->used + 1 > t->cap / 4 * 3 && resize(t, t->cap * 2) && t->used + 2 > t->cap)
			return -ENOMEM;
		i = find(t, node);
		t->slots[i].node = node;
		t->used++;
	}
	t->slots[i].lookups++;
	return 0;
}

bool node_table_forget(struct node_table *t, uint64_t node, uint64_t n)
{
	size_t i;

	LOCK_SCOPE(&t->lock);
	i = find(t, node);
	if (!t->slots[i].node)
		return true;
	if (t->slots[i].lookups > n) {
		t->slots[i].lookups -= n;
		return false;
	}
	erase(t, i);
	/* A table that could not shrink is merely large. */
	if (t->cap > SLOTS_MIN && t->used < t->cap / 8)
		(void)resize(t, t->cap / 2);
	return true;
}

void node_table_writer(struct node_table *t, uint64_t node, int more)
{
	struct slot *s;

	LOCK_SCOPE(&t->lock);
	s = &t->slots[find(t, node)];
	if (!s->node || (more < 0 && !s->writers))
		return;
	s->writers += (uint64_t)more;
}

unsigned node_table_writers(struct node_table *t, uint64_t node)
{
	LOCK_SCOPE(&t->lock);
	return (unsigned)t->slots[find(t, node)].writers;
}

void node_table_told(struct node_table *t, uint64_t node)
{
	struct slot *s;

	LOCK_SCOPE(&t->lock);
	s = &t->slots[find(t, node)];
	if (s->writers)
		s->told = true;
}

bool node_table_take_told(struct node_table *t, uint64_t node)
{
	struct slot *s;
	bool told;

	LOCK_SCOPE(&t->lock);
	s = &t->slots[find(t, node)];
	told = s->told;
	if (told)
		s->told = false;
	return told;
}

bool node_table_known(struct node_table *t, uint64_t node)
{
	LOCK_SCOPE(&t->lock);
	return t->slots[find(t, node)].node != 0;
}

size_t node_table_count(struct node_table *t)
{
	LOCK_SCOPE(&t->lock);
	return t->used;
}

int node_table_list(struct node_table *t, uint64_t number, uint64_t **ret, size_t *ret_n)
{
	uint64_t *list;
	size_t i, n = 0;

	LOCK_SCOPE(&t->lock);
	list = malloc((t->used + 1) * sizeof *list);
	if (!list)
		return -ENOMEM;
	for (i = 0; i < t->cap; i++)
		if (t->slots[i].node && (!number || t->slots[i].node >> NODE_INO_BITS == number))
			list[n++] = t->slots[i].node;
	*ret = list;
	*ret_n = n;
	return 0;
}
