/* Entries are used from the lowest on, so that memory is touched as needed; free ones are a list through `node`. A
 * handle has the entry's index and bits of the request's number, so that the handle of an entry that was used again is
 * told from the one before. */
#include "fs/open_table.h"

#include <errno.h>
#include <stdatomic.h>

#include "store/base/cleanup.h"

#define INDEX_BITS 24
#define INDEX_MASK ((UINT64_C(1) << INDEX_BITS) - 1)

_Static_assert(OPENS_MAX < INDEX_MASK, "no handle is all ones");

struct open_table {
	pthread_mutex_t lock; /* covers the entries and what follows */
	struct open_entries *entries;
	size_t max;
	uint64_t free; /* index + 1 of the first free entry below `used`; 0: none */
};

int open_table_new(struct open_entries *entries, size_t max, struct open_table **ret)
{
	struct open_table *t = calloc(1, sizeof *t);
	uint64_t i;

	if (!t)
		return -ENOMEM;
	t->entries = entries;
	t->max = max;
	(void)pthread_mutex_init(&t->lock, NULL);
	for (i = atomic_load(&entries->used); i-- > 0;)
		if (!atomic_load(&entries->v[i].unique)) {
			entries->v[i].node = t->free;
			t->free = i + 1;
		}
	*ret = t;
	return 0;
}

void open_table_free(struct open_table *t)
{
	if (!t)
		return;
	(void)pthread_mutex_destroy(&t->lock);
	free(t);
}

static uint64_t handle_of(uint64_t index, uint64_t unique)
{
	return unique << INDEX_BITS | (index + 1);
}

uint64_t open_table_find(struct open_table *t, uint64_t unique)
{
	uint64_t i;

	LOCK_SCOPE(&t->lock);
	for (i = 0; i < t->entries->used; i++)
		if (t->entries->v[i].unique == unique)
			return handle_of(i, unique);
	return 0;
}

int open_table_add(struct open_table *t, uint64_t node, uint64_t unique, uint32_t pid, uint64_t *ret_handle)
{
	struct open_entry *e;
	uint64_t i;

	LOCK_SCOPE(&t->lock);
	if (t->free) {
		i = t->free - 1;
		t->free = t->entries->v[i].node;
	} else if (t->entries->used < t->max) {
		i = t->entries->used++;
	} else {
		return -ENFILE;
	}
	e = &t->entries->v[i];
	e->node = node;
	e->pid = pid;
	atomic_store(&e->unique, unique);
	*ret_handle = handle_of(i, unique);
	return 0;
}

bool open_table_remove(struct open_table *t, uint64_t handle)
{
	uint64_t i = (handle & INDEX_MASK) - 1;
	struct open_entry *e;

	LOCK_SCOPE(&t->lock);
	if (i >= t->entries->used)
		return false;
	e = &t->entries->v[i];
	if (!e->unique || handle_of(i, e->unique) != handle)
		return false;
	atomic_store(&e->unique, 0);
	e->node = t->free;
	t->free = i + 1;
	return true;
}

void open_table_each(struct open_table *t, void (*fn)(void *arg, uint64_t node, uint32_t pid), void *arg)
{
	uint64_t i;

	LOCK_SCOPE(&t->lock);
	for (i = 0; i < t->entries->used; i++)
		if (t->entries->v[i].unique)
			fn(arg, t->entries->v[i].node, t->entries->v[i].pid);
}
