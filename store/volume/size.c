/* How much of the store a volume takes: for itself, and together with others.
 *
 * The references of a volume are the extent rows of its head's lineage: all rows of a branch that no other volume's
 * lineage has (what its snapshots show is there too), and of an ancestor that others have as well, what the fork's view
 * shows. A chunk with as many references in the store as in the first kind of branches is the volume's own. */
#include "store/volume/volume_internal.h"

#include <string.h>

#define ROWS_MAX (16 * MIB) /* references that are counted; a volume of more gets no sizes */

struct level {
	int64_t branch;
	int64_t epoch; /* of the view to count, or 0: all rows */
};

struct counting {
	struct store *s;
	int64_t volume;
	const _Atomic bool *stop;
	uint64_t generation;
	struct level *levels;
	size_t levels_n;
	uint64_t *own, *shared; /* chunks, one for each reference */
	size_t own_n, shared_n, own_cap, shared_cap;
};

static bool lineage_has(const struct branch *head, const struct branch *b)
{
	for (; head; head = head->parent)
		if (head == b)
			return true;
	return false;
}

/* Whether the head of any volume but this one comes from the branch. */
static int is_shared(struct store *s, int64_t volume, const struct branch *b, bool *ret)
{
	struct volume_row vol = {0};
	int r;

	*ret = false;
	while (!*ret && !(r = volume_next_any(s->meta, &vol)))
		*ret = vol.id != volume && lineage_has(branch_get(s->meta, vol.branch), b);
	volume_row_free(&vol);
	return *ret || r > 0 ? 0 : r;
}

static int find_levels(struct counting *c)
{
	struct store *s = c->s;
	struct volume_row vol;
	const struct branch *b;
	int64_t epoch = 0;
	bool shared;
	int r;

	LOCK_SCOPE(&s->lock);
	c->generation = s->generation;
	r = volume_by_id(s->meta, c->volume, &vol);
	if (r)
		return r;
	b = branch_get(s->meta, vol.branch);
	volume_row_free(&vol);
	if (!b)
		return -ECORRUPT;
	c->levels = calloc(branch_depth(b), sizeof *c->levels);
	if (!c->levels)
		return -ENOMEM;
	for (; b; epoch = b->fork_epoch, b = b->parent) {
		r = is_shared(s, c->volume, b, &shared);
		if (r)
			return r;
		c->levels[c->levels_n++] = (struct level){b->id, shared ? epoch : 0};
	}
	return 0;
}

/* Between slices others have the lock; the branches must still be what they were. */
static int check_slice(const struct counting *c)
{
	if (c->stop && *c->stop)
		return -ECANCELED;
	return c->generation == c->s->generation ? 0 : -EAGAIN;
}

static int add_chunks(uint64_t **list, size_t *n, size_t *cap, const uint64_t *chunks, unsigned more)
{
	if (!more)
		return 0;
	if (*n + more > *cap) {
		size_t grown = *cap ? *cap * 2 : 16 * SLICE_ROWS;
		uint64_t *v = grown > ROWS_MAX ? NULL : reallocarray(*list, grown, sizeof *v);

		if (!v)
			return -ENOMEM;
		*list = v;
		*cap = grown;
	}
	memcpy(*list + *n, chunks, more * sizeof *chunks);
	*n += more;
	return 0;
}

static int collect(struct counting *c, const struct level *level)
{
	struct extent_cursor cursor = {0};
	uint64_t chunks[SLICE_ROWS];
	unsigned n = 0;
	bool done = false;
	int r = 0;

	while (!r && !done) {
		{
			LOCK_SCOPE(&c->s->lock);
			r = check_slice(c);
			if (!r)
				r = extent_refs(c->s->meta, level->branch, level->epoch, &cursor, SLICE_ROWS, chunks, &n, &done);
		}
		if (!r && level->epoch)
			r = add_chunks(&c->shared, &c->shared_n, &c->shared_cap, chunks, n);
		else if (!r)
			r = add_chunks(&c->own, &c->own_n, &c->own_cap, chunks, n);
	}
	return r;
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int add_one(struct counting *c, uint64_t id, size_t own, bool others, struct volume_sizes *sum)
{
	struct chunk_row chunk;
	int r = chunk_get(c->s->meta, id, &chunk);

	if (r)
		return r == -ENOENT ? -EAGAIN : r; /* rows went since they were collected */
	if (!others && chunk.refs <= (int64_t)own)
		sum->unique_bytes += chunk.stored_len;
	else
		sum->shared_bytes += chunk.stored_len;
	return 0;
}

/* How often the list, which is sorted, has `id` at *at; moves behind. */
static size_t take(const uint64_t *list, size_t n, size_t *at, uint64_t id)
{
	size_t from = *at;

	while (*at < n && list[*at] == id)
		(*at)++;
	return *at - from;
}

static int sum_chunks(struct counting *c, struct volume_sizes *ret)
{
	size_t i = 0, j = 0;
	int r = 0;

	if (c->own_n)
		qsort(c->own, c->own_n, sizeof *c->own, by_number);
	if (c->shared_n)
		qsort(c->shared, c->shared_n, sizeof *c->shared, by_number);
	while (!r && (i < c->own_n || j < c->shared_n)) {
		unsigned in_slice;

		LOCK_SCOPE(&c->s->lock);
		r = check_slice(c);
		for (in_slice = 0; !r && in_slice < SLICE_ROWS && (i < c->own_n || j < c->shared_n); in_slice++) {
			bool own_next = i < c->own_n && (j == c->shared_n || c->own[i] <= c->shared[j]);
			uint64_t id = own_next ? c->own[i] : c->shared[j];
			size_t own = take(c->own, c->own_n, &i, id);
			bool others = take(c->shared, c->shared_n, &j, id) > 0;

			r = add_one(c, id, own, others, ret);
		}
	}
	return r;
}

int volume_sizes(struct store *s, int64_t volume_id, const _Atomic bool *stop, struct volume_sizes *ret)
{
	struct counting c = {.s = s, .volume = volume_id, .stop = stop};
	struct volume_sizes sum = {0};
	size_t i;
	int r = find_levels(&c);

	for (i = 0; !r && i < c.levels_n; i++)
		r = collect(&c, &c.levels[i]);
	if (!r)
		r = sum_chunks(&c, &sum);
	free(c.levels);
	free(c.own);
	free(c.shared);
	if (!r)
		*ret = sum;
	return r;
}
