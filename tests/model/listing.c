#include "tests/model/listing.h"

#include <inttypes.h>
#include <string.h>

#include "tests/model/namespace.h"

#define PENDING_MAX 8 /* entries of one hash */

struct reading {
	struct run *r;
	uint64_t cookie;
	size_t limit, taken;
	unsigned pending[PENDING_MAX];
	size_t npending;
	uint8_t always[WORDS_NAMES]; /* was there all the time */
	uint8_t ever[WORDS_NAMES];
	uint8_t seen[WORDS_NAMES];
};

static int take(void *arg, const struct ns_entry *e)
{
	struct reading *rd = arg;
	int name;

	if (!rd->npending && rd->taken == rd->limit)
		return 1;
	if (e->cookie <= rd->cookie)
		run_fail(rd->r, "cookie %#" PRIx64 " of \"%s\" comes after %#" PRIx64, e->cookie, e->name, rd->cookie);
	if (strcmp(e->name, ".") && strcmp(e->name, "..")) {
		name = words_name_index(e->name);
		if (name < 0 || rd->npending == PENDING_MAX)
			run_fail(rd->r, "the listing shows \"%s\"", e->name);
		rd->pending[rd->npending++] = (unsigned)name;
	}
	if (e->more_same)
		return 0;
	for (size_t i = 0; i < rd->npending; i++)
		rd->seen[rd->pending[i]]++;
	rd->npending = 0;
	rd->cookie = e->cookie;
	rd->taken++;
	return 0;
}

static void note_entries(struct reading *rd, const struct minode *dir)
{
	uint8_t now[WORDS_NAMES] = {0};

	for (unsigned i = 0; i < dir->nents; i++)
		now[dir->ents[i].name] = 1;
	for (unsigned i = 0; i < WORDS_NAMES; i++) {
		rd->always[i] &= now[i];
		rd->ever[i] |= now[i];
	}
}

static void change_one(struct run *r, int vi, uint64_t dir_ino, struct reading *rd)
{
	const struct minode *dir = mtree_get(r->state.v[vi]->tree, dir_ino);

	if (dir->nents && rng_one_in(&r->rng, 2))
		namespace_remove_at(r, vi, dir_ino, dir->ents[rng_below(&r->rng, dir->nents)].name);
	else if (r->state.v[vi]->tree->n < RUN_INODES_MAX)
		namespace_create_at(r, vi, dir_ino, run_name(r), S_IFREG);
	note_entries(rd, mtree_get(r->state.v[vi]->tree, dir_ino));
}

static void read_piece(struct reading *rd, uint64_t node)
{
	bool want_attr = rng_one_in(&rd->r->rng, 2);

	rd->taken = rd->npending = 0;
	run_want(rd->r, "ns_readdir", ns_readdir(rd->r->store, node, rd->cookie, want_attr, take, rd), 0);
}

static void compare_seen(struct reading *rd, uint64_t dir_ino)
{
	for (unsigned i = 0; i < WORDS_NAMES; i++)
		if (rd->seen[i] > 1 || (rd->always[i] && !rd->seen[i]) || (rd->seen[i] && !rd->ever[i]))
			run_fail(rd->r, "directory %" PRIu64 ", read in pieces, showed \"%s\" %u times; it was there %s", dir_ino,
				 words_name(i), rd->seen[i], rd->always[i] ? "all the time" : rd->ever[i] ? "for a time" : "never");
}

bool listing_resume(struct run *r)
{
	int vi = run_volume(r);
	struct reading rd = {.r = r};
	const struct minode *dir;
	unsigned rounds;
	uint64_t ino;

	if (vi < 0)
		return false;
	dir = run_pick(r, r->state.v[vi]->tree, PICK_DIR);
	for (int tries = 0; tries < 6 && dir->nents < 4; tries++)
		dir = run_pick(r, r->state.v[vi]->tree, PICK_DIR);
	ino = dir->ino;
	memset(rd.always, 1, sizeof rd.always);
	note_entries(&rd, dir);
	run_log(r, "readdir %s dir %" PRIu64 " in pieces", r->state.v[vi]->name, ino);
	/* as many rounds in every store, whatever the order of its entries */
	rounds = dir->nents / 3 + 2;
	for (unsigned i = 0; i <= rounds; i++) {
		rd.limit = 1 + rng_below(&r->rng, 5);
		if (i == rounds)
			rd.limit = WORDS_NAMES + 2;
		read_piece(&rd, run_node(r, vi, mtree_get(r->state.v[vi]->tree, ino)));
		if (i < rounds && rng_one_in(&r->rng, 2))
			change_one(r, vi, ino, &rd);
	}
	compare_seen(&rd, ino);
	return true;
}
