/* Entries lie densely in the shared memory, the lowest used first, and free ones are a list through `lookups`. The index
 * is private and made anew by each process: open addressing with linear probing and backward-shift deletion, so that
 * there are no tombstones. A place holds an entry's number + 1; 0 is free. It doubles above 3/4 full and halves below
 * 1/8. */
#include "fs/node_table.h"

#include <assert.h>
#include <errno.h>

#include "store/base/cleanup.h"
#include "store/base/limits.h"

#define PLACES_MIN 4096

struct node_table {
	pthread_mutex_t lock; /* covers the entries and all that follows */
	struct node_entries *entries;
	size_t max;
	uint64_t free; /* number + 1 of the first free entry below entries->used; 0: none */
	uint32_t *places;
	size_t cap; /* of places: a power of two */
	size_t used; /* entries */
};

static size_t home(const struct node_table *t, uint64_t node)
{
	return (size_t)((node * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (t->cap - 1);
}

static uint64_t node_at(const struct node_table *t, size_t place)
{
	return atomic_load_explicit(&t->entries->v[t->places[place] - 1].node, memory_order_relaxed);
}

/* The node's place, or the free one where it would go. */
static size_t find(const struct node_table *t, uint64_t node)
{
	size_t i = home(t, node);

	while (t->places[i] && node_at(t, i) != node)
		i = (i + 1) & (t->cap - 1);
	return i;
}

static struct node_entry *entry_of(const struct node_table *t, uint64_t node)
{
	uint32_t number = t->places[find(t, node)];

	return number ? &t->entries->v[number - 1] : NULL;
}

static int resize(struct node_table *t, size_t cap)
{
	uint32_t *old = t->places;
	size_t i, old_cap = t->cap;

	t->places = calloc(cap, sizeof *t->places);
	if (!t->places) {
		t->places = old;
		return -ENOMEM;
	}
	t->cap = cap;
	for (i = 0; i < old_cap; i++)
		if (old[i])
			t->places[find(t, t->entries->v[old[i] - 1].node)] = old[i];
	free(old);
	return 0;
}

/* Makes room for one more. A table that cannot grow is used until one place is left: the search for a free one must
 * end. */
static int grow(struct node_table *t)
{
	if (t->used + 1 > t->cap / 4 * 3 && resize(t, t->cap * 2) && t->used + 2 > t->cap)
		return -ENOMEM;
	return 0;
}

static void erase(struct node_table *t, size_t i)
{
	size_t j = i;

	for (;;) {
		j = (j + 1) & (t->cap - 1);
		if (!t->places[j])
			break;
		/* j may move into the gap unless its home lies after the gap */
		if (((j - home(t, node_at(t, j))) & (t->cap - 1)) >= ((j - i) & (t->cap - 1))) {
			t->places[i] = t->places[j];
			i = j;
		}
	}
	t->places[i] = 0;
	t->used--;
}

static void make_free(struct node_table *t, uint64_t number)
{
	struct node_entry *e = &t->entries->v[number - 1];

	atomic_store(&e->node, 0);
	e->lookups = t->free;
	e->writers = 0;
	e->told = false;
	t->free = number;
}

/* Takes in what an earlier process left. */
static int load(struct node_table *t)
{
	uint64_t i;

	for (i = atomic_load(&t->entries->used); i > 0; i--) {
		struct node_entry *e = &t->entries->v[i - 1];

		if (!e->node) {
			make_free(t, i);
			continue;
		}
		if (grow(t))
			return -ENOMEM;
		e->writers = 0;
		t->places[find(t, e->node)] = (uint32_t)i;
		t->used++;
	}
	return 0;
}

int node_table_new(struct node_entries *entries, size_t max, struct node_table **ret)
{
	struct node_table *t = calloc(1, sizeof *t);

	if (!t)
		return -ENOMEM;
	(void)pthread_mutex_init(&t->lock, NULL);
	t->entries = entries;
	t->max = max;
	t->cap = PLACES_MIN;
	t->places = calloc(t->cap, sizeof *t->places);
	if (!t->places || load(t)) {
		node_table_free(t);
		return -ENOMEM;
	}
	*ret = t;
	return 0;
}

void node_table_free(struct node_table *t)
{
	if (!t)
		return;
	(void)pthread_mutex_destroy(&t->lock);
	free(t->places);
	free(t);
}

/* A new entry with no look-ups. */
static int add(struct node_table *t, uint64_t node, struct node_entry **ret)
{
	struct node_entry *e;
	uint64_t number;

	if (grow(t) || (!t->free && t->entries->used >= t->max))
		return -ENOMEM;
	if (t->free) {
		number = t->free;
		t->free = t->entries->v[number - 1].lookups;
	} else {
		number = ++t->entries->used;
	}
	e = &t->entries->v[number - 1];
	e->lookups = 0;
	t->places[find(t, node)] = (uint32_t)number;
	t->used++;
	atomic_store(&e->node, node);
	*ret = e;
	return 0;
}

int node_table_ref(struct node_table *t, uint64_t node)
{
	struct node_entry *e;

	assert(node);
	LOCK_SCOPE(&t->lock);
	e = entry_of(t, node);
	if (!e && add(t, node, &e))
		return -ENOMEM;
	e->lookups++;
	return 0;
}

bool node_table_forget(struct node_table *t, uint64_t node, uint64_t n)
{
	struct node_entry *e;
	uint32_t number;
	size_t i;

	LOCK_SCOPE(&t->lock);
	i = find(t, node);
	number = t->places[i];
	if (!number)
		return true;
	e = &t->entries->v[number - 1];
	if (e->lookups > n) {
		e->lookups -= n;
		return false;
	}
	erase(t, i);
	make_free(t, number);
	/* A table that could not shrink is merely large. */
	if (t->cap > PLACES_MIN && t->used < t->cap / 8)
		(void)resize(t, t->cap / 2);
	return true;
}

void node_table_writer(struct node_table *t, uint64_t node, int more)
{
	struct node_entry *e;

	LOCK_SCOPE(&t->lock);
	e = entry_of(t, node);
	if (!e || (more < 0 && !e->writers))
		return;
	e->writers += (uint64_t)more;
}

unsigned node_table_writers(struct node_table *t, uint64_t node)
{
	const struct node_entry *e;

	LOCK_SCOPE(&t->lock);
	e = entry_of(t, node);
	return e ? (unsigned)e->writers : 0;
}

void node_table_told(struct node_table *t, uint64_t node)
{
	struct node_entry *e;

	LOCK_SCOPE(&t->lock);
	e = entry_of(t, node);
	if (e && e->writers)
		e->told = true;
}

bool node_table_take_told(struct node_table *t, uint64_t node)
{
	struct node_entry *e;
	bool told;

	LOCK_SCOPE(&t->lock);
	e = entry_of(t, node);
	told = e && e->told;
	if (told)
		e->told = false;
	return told;
}

bool node_table_known(struct node_table *t, uint64_t node)
{
	LOCK_SCOPE(&t->lock);
	return entry_of(t, node) != NULL;
}

size_t node_table_count(struct node_table *t)
{
	LOCK_SCOPE(&t->lock);
	return t->used;
}

int node_table_list(struct node_table *t, uint64_t number, uint64_t **ret, size_t *ret_n)
{
	uint64_t *list, i;
	size_t n = 0;

	LOCK_SCOPE(&t->lock);
	list = malloc((t->used + 1) * sizeof *list);
	if (!list)
		return -ENOMEM;
	for (i = 0; i < t->entries->used; i++) {
		uint64_t node = t->entries->v[i].node;

		if (node && (!number || node >> NODE_INO_BITS == number))
			list[n++] = node;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}
