#include "tests/model/run.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "tests/model/alloc.h"

void run_init(struct run *r, uint64_t seed, const char *prefix)
{
	*r = (struct run){.seed = seed, .rng = {seed}, .prefix = prefix, .alone = true};
	r->pattern = pattern_new(seed);
	r->want = must_alloc(RUN_IO_MAX);
	r->got = must_alloc(RUN_IO_MAX);
	r->history.v = must_zalloc((RUN_HISTORY_MAX + 1) * sizeof *r->history.v);
	r->history.v[0] = mstate_copy(&r->state);
	r->history.n = 1;
}

void run_free(struct run *r)
{
	for (size_t i = 0; i < r->history.n; i++)
		mstate_free(&r->history.v[i]);
	for (size_t i = 0; i < r->nold_heads; i++)
		mtree_unref(r->old_heads[i].tree);
	mstate_free(&r->state);
	free(r->history.v);
	free(r->history.floors);
	free(r->numbers);
	free(r->want);
	free(r->got);
	pattern_free(r->pattern);
}

void run_fail(struct run *r, const char *fmt, ...)
{
	size_t from = r->nlog > RUN_LOG_LINES ? r->nlog - RUN_LOG_LINES : 0;
	va_list ap;

	flockfile(stdout);
	(void)printf("the last operations:\n");
	for (size_t i = from; i < r->nlog; i++)
		(void)printf("  %" PRIu64 ": %s\n", r->log_op[i % RUN_LOG_LINES], r->log[i % RUN_LOG_LINES]);
	(void)printf("FAILED at operation %" PRIu64 ", seed %" PRIu64 ": ", r->op, r->seed);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)printf("\nthe store is kept in %s\n", r->dir);
	(void)fflush(stdout);
	_Exit(1);
}

void run_log(struct run *r, const char *fmt, ...)
{
	size_t i = r->nlog++ % RUN_LOG_LINES;
	va_list ap;

	r->log_op[i] = r->op;
	va_start(ap, fmt);
	(void)vsnprintf(r->log[i], RUN_LOG_TEXT, fmt, ap);
	va_end(ap);
	if (r->verbose)
		(void)printf("%" PRIu64 ": %s\n", r->op, r->log[i]);
}

void run_want(struct run *r, const char *call, int got, int want)
{
	if (got != want)
		run_fail(r, "%s gave %d (%s), expected %d (%s)", call, got, got ? err_name(-got) : "ok", want,
			 want ? err_name(-want) : "ok");
}

void run_want_err(struct run *r, const char *call, int got, int want, const struct err *err)
{
	if (got != want)
		run_fail(r, "%s gave %d (%s), expected %d (%s)", call, got, got ? err->text : "ok", want,
			 want ? err_name(-want) : "ok");
	if (got && (err->code != -got || !err->text[0]))
		run_fail(r, "%s gave %d, but its error says %d \"%s\"", call, got, err->code, err->text);
}

int64_t run_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

struct op run_op(struct run *r)
{
	static const uint32_t umasks[] = {0, 022, 077, 027};

	return (struct op){
		.unique = ++r->unique * 2,
		.uid = (uint32_t)rng_below(&r->rng, 3) * 1000,
		.gid = (uint32_t)rng_below(&r->rng, 3) * 100,
		.umask = umasks[rng_below(&r->rng, 4)],
	};
}

int run_volume(struct run *r)
{
	return r->state.n ? (int)rng_below(&r->rng, r->state.n) : -1;
}

const struct minode *run_pick(struct run *r, const struct mtree *t, unsigned what)
{
	const struct minode *found = NULL;
	unsigned n = 0;

	for (size_t i = 0; i < t->n; i++) {
		const struct minode *m = t->v[i];
		unsigned kind = S_ISREG(m->mode) ? PICK_FILE : S_ISDIR(m->mode) ? PICK_DIR : PICK_OTHER;

		if (!(what & kind) || (!m->nlink && !(what & PICK_ORPHAN)))
			continue;
		if (rng_one_in(&r->rng, ++n))
			found = m;
	}
	return found;
}

unsigned run_name(struct run *r)
{
	/* mostly from a third of them, so that names meet */
	return (unsigned)(rng_one_in(&r->rng, 4) ? rng_below(&r->rng, WORDS_NAMES) : 14 + rng_below(&r->rng, 24));
}

bool run_writers(const struct run *r, const struct mvolume *v)
{
	for (size_t i = 0; i < r->nhandles; i++) {
		const struct handle *h = &r->handles[i];

		if (h->volume == v->id && h->node >> NODE_INO_BITS == v->head_number && (h->flags & FILE_OPEN_WRITE))
			return true;
	}
	return false;
}

void run_number_new(struct run *r, uint32_t number)
{
	for (size_t i = 0; i < r->nnumbers; i++)
		if (r->numbers[i] == number)
			run_fail(r, "node id number %u is used again", number);
	r->numbers = must_realloc(r->numbers, (r->nnumbers + 1) * sizeof *r->numbers);
	r->numbers[r->nnumbers++] = number;
}

/* The first look-up of anything but a directory tells the head's number. */
static void learn_head(struct run *r, int vi, const struct minode *m)
{
	const struct mvolume *v = r->state.v[vi];

	for (size_t i = 0; i < v->tree->n; i++) {
		const struct minode *dir = v->tree->v[i];

		for (unsigned j = 0; dir->nlink && j < dir->nents; j++) {
			struct attr attr;

			if (dir->ents[j].ino != m->ino)
				continue;
			run_want(r, "ns_lookup",
				 ns_lookup(r->store, run_node(r, vi, dir), words_name(dir->ents[j].name), &attr), 0);
			r->state.v[vi]->head_number = (uint32_t)(attr.node >> NODE_INO_BITS);
			run_number_new(r, r->state.v[vi]->head_number);
			return;
		}
	}
	run_fail(r, "the model lost the name of inode %" PRIu64, m->ino);
}

uint64_t run_node(struct run *r, int vi, const struct minode *m)
{
	const struct mvolume *v = r->state.v[vi];

	if (S_ISDIR(m->mode))
		return (uint64_t)v->number << NODE_INO_BITS | m->ino;
	if (!v->head_number)
		learn_head(r, vi, m);
	return (uint64_t)v->head_number << NODE_INO_BITS | m->ino;
}

bool run_attr_differs(const struct attr *a, const struct minode *m, char *text, size_t len)
{
	const struct {
		const char *name;
		int64_t got, want;
	} fields[] = {
		{"mode", a->mode, m->mode},
		{"nlink", a->nlink, m->nlink},
		{"uid", a->uid, m->uid},
		{"gid", a->gid, m->gid},
		{"rdev", (int64_t)a->rdev, (int64_t)m->rdev},
		{"size", S_ISDIR(m->mode) ? 0 : a->size, S_ISDIR(m->mode) ? 0 : m->size},
		{"atime", a->atime, m->atime},
		{"mtime", a->mtime, m->mtime},
		{"ctime", a->ctime, m->ctime},
		{"btime", a->btime, m->btime},
	};

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		if (fields[i].got == fields[i].want)
			continue;
		(void)snprintf(text, len, i < 2 ? "%s is %#" PRIo64 ", expected %#" PRIo64 : "%s is %" PRId64 ", expected %" PRId64,
			       fields[i].name, fields[i].got, fields[i].want);
		return true;
	}
	return false;
}

void run_adopt_attr(struct run *r, int vi, uint64_t ino, const struct attr *attr, unsigned changed, int64_t since)
{
	struct minode *m = mtree_edit(&mstate_edit(&r->state, (size_t)vi)->tree, ino);
	const struct {
		unsigned bit;
		const char *name;
		int64_t got;
		int64_t *known;
	} times[] = {
		{TIME_A, "atime", attr->atime, &m->atime},
		{TIME_M, "mtime", attr->mtime, &m->mtime},
		{TIME_C, "ctime", attr->ctime, &m->ctime},
		{TIME_B, "btime", attr->btime, &m->btime},
	};
	int64_t until = run_now();
	char text[160];

	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		if (!(changed & times[i].bit))
			continue;
		if (times[i].got < since || times[i].got > until)
			run_fail(r, "inode %" PRIu64 ": %s is %" PRId64 ", expected the time of the operation [%" PRId64 ", %" PRId64 "]",
				 ino, times[i].name, times[i].got, since, until);
		*times[i].known = times[i].got;
	}
	if (run_attr_differs(attr, m, text, sizeof text))
		run_fail(r, "volume %s inode %" PRIu64 " after the operation: %s", r->state.v[vi]->name, ino, text);
	if (attr->flags & ATTR_READONLY)
		run_fail(r, "inode %" PRIu64 " of a live volume claims to be read-only", ino);
}

void run_adopt(struct run *r, int vi, uint64_t ino, unsigned changed, int64_t since)
{
	uint64_t node = run_node(r, vi, mtree_get(r->state.v[vi]->tree, ino));
	struct attr attr;

	run_want(r, "ns_getattr", ns_getattr(r->store, node, &attr), 0);
	if (attr.node != node)
		run_fail(r, "ns_getattr of node %#" PRIx64 " answered for %#" PRIx64, node, attr.node);
	run_adopt_attr(r, vi, ino, &attr, changed, since);
}

static void tell(struct run *r, enum run_news news, int64_t volume, uint64_t ino)
{
	if (r->listener)
		r->listener(r->listener_arg, news, &r->state, volume, ino);
}

static void forget_states(struct history *h, size_t n)
{
	for (size_t i = 0; i < n; i++)
		mstate_free(&h->v[i]);
}

void run_step(struct run *r)
{
	struct history *h = &r->history;

	if (h->n > RUN_HISTORY_MAX) {
		run_want(r, "store_commit", store_commit(r->store), 0);
		run_synced(r);
		return;
	}
	h->v[h->n++] = mstate_copy(&r->state);
	tell(r, RUN_STATE, 0, 0);
}

void run_synced(struct run *r)
{
	struct history *h = &r->history;

	forget_states(h, h->n);
	h->v[0] = mstate_copy(&r->state);
	h->n = 1;
	h->meta_floor = 0;
	h->nfloors = 0;
	tell(r, RUN_STATE, 0, 0);
	tell(r, RUN_SYNCED, 0, 0);
}

void run_synced_file(struct run *r, int64_t volume, uint64_t ino)
{
	struct history *h = &r->history;
	size_t i = 0;

	h->meta_floor = h->n - 1;
	tell(r, ino ? RUN_SYNCED_FILE : RUN_SYNCED_META, volume, ino);
	if (!ino)
		return;
	while (i < h->nfloors && (h->floors[i].volume != volume || h->floors[i].ino != ino))
		i++;
	if (i == h->nfloors) {
		if (h->nfloors == h->floors_cap) {
			h->floors_cap = h->floors_cap ? 2 * h->floors_cap : 16;
			h->floors = must_realloc(h->floors, h->floors_cap * sizeof *h->floors);
		}
		h->nfloors++;
	}
	h->floors[i] = (struct data_floor){volume, ino, h->n - 1};
}
