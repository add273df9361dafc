/* Metadata must be exactly one of the states since the last sync. A file's data is only as new as its own last fsync or the last
 * commit: each byte must be what one of the file's versions since then has there, and the size and times those of one of them. A byte
 * beyond a version's end does not count as a zero of that version, so that no size can run ahead of its data. */
#include "tests/model/survive.h"

#include <inttypes.h>
#include <stdio.h>

#include "store/base/cleanup.h"
#include "tests/model/alloc.h"
#include "tests/model/readback.h"

/* The distinct values that one file had since its data was last synced. */
struct versions {
	const struct minode **v;
	size_t n;
	bool one_value; /* contents, size and times of data are the same in all of them */
};

/* A volume as the store has it. */
struct survivor {
	struct volume_info info;
	struct snapshot_info *snaps;
	size_t nsnaps;
	struct mtree *tree;
	struct versions *versions; /* per inode of the tree */
};

struct survivors {
	struct run *r;
	size_t n;
	struct survivor v[MSTATE_VOLUMES];
	char why[600]; /* the last state tried is not it */
};

static size_t floor_of(const struct history *h, int64_t volume, uint64_t ino)
{
	for (size_t i = 0; i < h->nfloors; i++)
		if (h->floors[i].volume == volume && h->floors[i].ino == ino)
			return h->floors[i].index;
	return 0;
}

static void find_versions(const struct history *h, int64_t volume, uint64_t ino, struct versions *ret)
{
	const struct minode *last = NULL;

	*ret = (struct versions){.one_value = true};
	ret->v = must_alloc(h->n * sizeof(struct minode *));
	for (size_t i = floor_of(h, volume, ino); i < h->n; i++) {
		const struct mvolume *v = mstate_by_id(&h->v[i], volume);
		const struct minode *m = v ? mtree_get(v->tree, ino) : NULL;

		if (!m || m == last)
			continue;
		if (last && (m->content != last->content || m->size != last->size || m->mtime != last->mtime))
			ret->one_value = false;
		ret->v[ret->n++] = last = m;
	}
}

static bool byte_allowed(const struct versions *versions, uint8_t pages[][CONTENT_PAGE], int64_t page, size_t i, uint8_t byte)
{
	for (size_t k = 0; k < versions->n; k++)
		if (page + (int64_t)i < versions->v[k]->size && pages[k][i] == byte)
			return true;
	return false;
}

static void check_page(struct run *r, const struct minode *got, const struct versions *versions, int64_t page)
{
	uint8_t (*pages)[CONTENT_PAGE] = must_alloc(versions->n * CONTENT_PAGE), bytes[CONTENT_PAGE];
	size_t len = got->size - page < CONTENT_PAGE ? (size_t)(got->size - page) : CONTENT_PAGE;

	content_read(got->content, page, bytes, sizeof bytes);
	for (size_t k = 0; k < versions->n; k++)
		content_read(versions->v[k]->content, page, pages[k], CONTENT_PAGE);
	for (size_t i = 0; i < len; i++)
		if (!byte_allowed(versions, pages, page, i, bytes[i]))
			run_fail(r, "inode %" PRIu64 " after the power cut: the byte at %" PRId64 " of %" PRId64
				    " is %#x, which it never was since the last sync (%zu versions; the last has size %" PRId64 ")",
				 got->ino, page + (int64_t)i, got->size, bytes[i], versions->n, versions->v[versions->n - 1]->size);
	free(pages);
}

/* The next page that the file or one of its versions has, -1 at the end. */
static int64_t next_page(const struct minode *got, const struct versions *versions, int64_t at)
{
	int64_t next = content_next(got->content, at);

	for (size_t k = 0; k < versions->n; k++) {
		int64_t page = content_next(versions->v[k]->content, at);

		if (page >= 0 && (next < 0 || page < next))
			next = page;
	}
	return next;
}

static void check_file(struct run *r, const struct minode *got, const struct versions *versions)
{
	bool mtime = false;
	int64_t least = INT64_MAX, most = 0, first = INT64_MAX, last = INT64_MIN;

	for (size_t k = 0; k < versions->n; k++) {
		const struct minode *m = versions->v[k];

		mtime |= m->mtime == got->mtime;
		first = m->ctime < first ? m->ctime : first;
		last = m->ctime > last ? m->ctime : last;
		least = m->size < least ? m->size : least;
		most = m->size > most ? m->size : most;
	}
	if (!versions->n)
		run_fail(r, "inode %" PRIu64 " is there after the power cut, but never was", got->ino);
	if (got->size < least || got->size > most)
		run_fail(r, "inode %" PRIu64 " has size %" PRId64 " after the power cut; it was %" PRId64 " to %" PRId64, got->ino,
			 got->size, least, most);
	/* a write that clears privileges changes ctime twice, and the model sees the second only */
	if (!mtime || got->ctime < first || got->ctime > last)
		run_fail(r, "inode %" PRIu64 " has mtime %" PRId64 " and ctime %" PRId64 " after the power cut; it had no such %s", got->ino,
			 got->mtime, got->ctime, mtime ? "ctime" : "mtime");
	for (int64_t page = next_page(got, versions, 0); page >= 0 && page < got->size;
	     page = next_page(got, versions, page + CONTENT_PAGE))
		check_page(r, got, versions, page);
}

static void read_all(struct survivors *all)
{
	struct run *r = all->r;
	AUTO_FREE struct volume_info *list = NULL;
	struct err err = {0};
	size_t n = 0;

	run_want_err(r, "volume_list", volume_list(r->store, &list, &n, &err), 0, &err);
	if (n > MSTATE_VOLUMES)
		run_fail(r, "there are %zu volumes after the power cut", n);
	for (all->n = 0; all->n < n; all->n++) {
		struct survivor *s = &all->v[all->n];

		*s = (struct survivor){.info = list[all->n]};
		run_want_err(r, "snapshot_list", snapshot_list(r->store, s->info.name, &s->snaps, &s->nsnaps, &err), 0, &err);
		s->tree = readback_volume(r, s->info.root_node);
		s->versions = must_zalloc(s->tree->n * sizeof *s->versions);
		for (size_t i = 0; i < s->tree->n; i++) {
			if (!S_ISREG(s->tree->v[i]->mode))
				continue;
			find_versions(&r->history, s->info.id, s->tree->v[i]->ino, &s->versions[i]);
			check_file(r, s->tree->v[i], &s->versions[i]);
		}
	}
}

static void free_all(struct survivors *all)
{
	for (size_t i = 0; i < all->n; i++) {
		for (size_t j = 0; j < all->v[i].tree->n; j++)
			free(all->v[i].versions[j].v);
		free(all->v[i].versions);
		free(all->v[i].snaps);
		mtree_unref(all->v[i].tree);
	}
}

static bool values_match(struct survivors *all, const struct minode *got, const struct minode *m, const struct versions *versions)
{
	struct minode expected = *m;
	struct attr attr = {.mode = got->mode,
			    .nlink = got->nlink,
			    .uid = got->uid,
			    .gid = got->gid,
			    .rdev = got->rdev,
			    .size = got->size,
			    .atime = got->atime,
			    .mtime = got->mtime,
			    .ctime = got->ctime,
			    .btime = got->btime};
	char text[160];

	if (S_ISREG(m->mode) && !versions->one_value) {
		expected.size = got->size;
		expected.mtime = got->mtime;
		expected.ctime = got->ctime;
	}
	if (run_attr_differs(&attr, &expected, text, sizeof text)) {
		(void)snprintf(all->why, sizeof all->why, "inode %" PRIu64 ": %s", m->ino, text);
		return false;
	}
	if (got->nents != m->nents || got->nxattrs != m->nxattrs || (S_ISDIR(m->mode) && got->parent != m->parent)) {
		(void)snprintf(all->why, sizeof all->why, "inode %" PRIu64 ": %u entries and %u xattrs, expected %u and %u", m->ino,
			       got->nents, got->nxattrs, m->nents, m->nxattrs);
		return false;
	}
	return true;
}

static bool inode_matches(struct survivors *all, const struct minode *got, const struct minode *m, const struct versions *versions)
{
	if (!values_match(all, got, m, versions))
		return false;
	for (unsigned i = 0; i < m->nents; i++) {
		const struct mdent *e = minode_entry(got, m->ents[i].name);

		if (e && e->ino == m->ents[i].ino)
			continue;
		(void)snprintf(all->why, sizeof all->why, "directory %" PRIu64 ": \"%s\" is inode %" PRIu64 ", expected %" PRIu64, m->ino,
			       words_name(m->ents[i].name), e ? e->ino : 0, m->ents[i].ino);
		return false;
	}
	for (unsigned i = 0; i < m->nxattrs; i++) {
		const struct blob *x = minode_xattr(got, m->xattrs[i].name), *y = m->xattrs[i].value;

		if (x && x->len == y->len && !memcmp(x->data, y->data, x->len))
			continue;
		(void)snprintf(all->why, sizeof all->why, "inode %" PRIu64 ": attribute %s differs", m->ino,
			       words_xattr(m->xattrs[i].name));
		return false;
	}
	return true;
}

static bool volume_matches(struct survivors *all, const struct survivor *s, const struct mvolume *v)
{
	size_t linked = 0;

	if (strcmp(s->info.name, v->name) || s->nsnaps != v->nsnaps) {
		(void)snprintf(all->why, sizeof all->why, "volume %s with %zu snapshots, expected %s with %zu", s->info.name, s->nsnaps,
			       v->name, v->nsnaps);
		return false;
	}
	for (size_t i = 0; i < v->nsnaps; i++)
		if (strcmp(s->snaps[i].name, v->snaps[i]->name) || s->snaps[i].held != v->snaps[i]->held) {
			(void)snprintf(all->why, sizeof all->why, "snapshot %s of %s held %d, expected %s held %d", s->snaps[i].name,
				       v->name, s->snaps[i].held, v->snaps[i]->name, v->snaps[i]->held);
			return false;
		}
	for (size_t i = 0; i < v->tree->n; i++)
		linked += v->tree->v[i]->nlink > 0;
	for (size_t i = 0; i < s->tree->n; i++) {
		const struct minode *got = s->tree->v[i], *m = mtree_get(v->tree, got->ino);

		if (!m || !m->nlink) {
			(void)snprintf(all->why, sizeof all->why, "inode %" PRIu64 " is there", got->ino);
			return false;
		}
		if (!inode_matches(all, got, m, &s->versions[i]))
			return false;
	}
	if (s->tree->n != linked)
		(void)snprintf(all->why, sizeof all->why, "%zu inodes, expected %zu", s->tree->n, linked);
	return s->tree->n == linked;
}

static bool state_matches(struct survivors *all, const struct mstate *state)
{
	if (all->n != state->n) {
		(void)snprintf(all->why, sizeof all->why, "%zu volumes, expected %zu", all->n, state->n);
		return false;
	}
	for (size_t i = 0; i < all->n; i++) {
		const struct mvolume *v = mstate_by_id(state, all->v[i].info.id);

		if (!v) {
			(void)snprintf(all->why, sizeof all->why, "volume %s is there", all->v[i].info.name);
			return false;
		}
		if (!volume_matches(all, &all->v[i], v))
			return false;
	}
	return true;
}

/* The model goes on from this state, with the data that the files have. */
static void adopt_state(struct survivors *all, const struct mstate *state)
{
	struct run *r = all->r;
	struct mstate next = mstate_copy(state);

	for (size_t i = 0; i < all->n; i++) {
		const struct survivor *s = &all->v[i];
		struct mvolume *v = mstate_edit(&next, mstate_index(&next, s->info.id));

		mtree_drop_orphans(&v->tree);
		for (size_t j = 0; j < s->tree->n; j++) {
			const struct minode *got = s->tree->v[j];

			if (S_ISREG(got->mode) && !s->versions[j].one_value)
				mtree_replace(&v->tree, minode_copy(got));
		}
	}
	mstate_free(&r->state);
	r->state = next;
}

void survive_match(struct run *r)
{
	struct survivors all = {.r = r};
	struct history *h = &r->history;
	size_t k = h->n;
	char newest[sizeof all.why] = "";

	read_all(&all);
	while (k > h->meta_floor && !state_matches(&all, &h->v[k - 1])) {
		if (k == h->n)
			(void)snprintf(newest, sizeof newest, "%s", all.why);
		k--;
	}
	if (k == h->meta_floor)
		run_fail(r, "the metadata after the power cut is none of the %zu states since the last sync; the newest has another %s; the "
			    "oldest has another %s",
			 h->n - h->meta_floor, newest, all.why);
	run_log(r, "state %zu of %zu survived, at least %zu had to", k - 1, h->n - 1, h->meta_floor);
	adopt_state(&all, &h->v[k - 1]);
	free_all(&all);
	run_synced(r);
}
