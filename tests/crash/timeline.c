#include "tests/crash/timeline.h"

#include "tests/model/alloc.h"

struct moment {
	size_t changes;
	struct mstate state;
};

struct ack {
	size_t changes, moment;
	enum run_news news;
	int64_t volume;
	uint64_t ino;
};

struct timeline {
	struct record_log *record;
	size_t n, cap, nacks, acks_cap;
	struct moment *v;
	struct ack *acks;
};

static void on_news(void *arg, enum run_news news, const struct mstate *state, int64_t volume, uint64_t ino)
{
	struct timeline *t = arg;
	size_t changes = record_count(t->record);

	if (news == RUN_STATE) {
		if (t->n == t->cap) {
			t->cap = t->cap ? 2 * t->cap : 1024;
			t->v = must_realloc(t->v, t->cap * sizeof *t->v);
		}
		t->v[t->n++] = (struct moment){changes, mstate_copy(state)};
		return;
	}
	if (t->nacks == t->acks_cap) {
		t->acks_cap = t->acks_cap ? 2 * t->acks_cap : 1024;
		t->acks = must_realloc(t->acks, t->acks_cap * sizeof *t->acks);
	}
	t->acks[t->nacks++] = (struct ack){changes, t->n - 1, news, volume, ino};
}

struct timeline *timeline_start(struct run *r, struct record_log *record)
{
	struct timeline *t = must_zalloc(sizeof *t);

	t->record = record;
	r->listener = on_news;
	r->listener_arg = t;
	run_synced(r);
	return t;
}

void timeline_free(struct timeline *t)
{
	for (size_t i = 0; i < t->n; i++)
		mstate_free(&t->v[i].state);
	free(t->v);
	free(t->acks);
	free(t);
}

static void raise_floor(struct history *h, int64_t volume, uint64_t ino, size_t index)
{
	size_t i = 0;

	while (i < h->nfloors && (h->floors[i].volume != volume || h->floors[i].ino != ino))
		i++;
	if (i == h->nfloors) {
		h->floors = must_realloc(h->floors, ++h->nfloors * sizeof *h->floors);
		h->floors_cap = h->nfloors;
	}
	h->floors[i] = (struct data_floor){volume, ino, index};
}

void timeline_window(const struct timeline *t, size_t changes, struct history *h)
{
	size_t end = 0, base = 0;

	while (end < t->n && t->v[end].changes <= changes)
		end++;
	/* the first state beyond is that of the operation during which the power failed */
	end = end < t->n ? end + 1 : end;
	for (size_t i = 0; i < t->nacks && t->acks[i].changes <= changes; i++)
		if (t->acks[i].news == RUN_SYNCED)
			base = t->acks[i].moment;
	h->n = end - base;
	h->v = must_realloc(h->v, (h->n > RUN_HISTORY_MAX ? h->n + 1 : RUN_HISTORY_MAX + 1) * sizeof *h->v);
	for (size_t i = 0; i < h->n; i++)
		h->v[i] = mstate_copy(&t->v[base + i].state);
	h->meta_floor = 0;
	h->nfloors = 0;
	for (size_t i = 0; i < t->nacks && t->acks[i].changes <= changes; i++) {
		const struct ack *a = &t->acks[i];

		if (a->moment < base)
			continue;
		h->meta_floor = a->moment - base > h->meta_floor ? a->moment - base : h->meta_floor;
		if (a->news == RUN_SYNCED_FILE)
			raise_floor(h, a->volume, a->ino, a->moment - base);
	}
}
