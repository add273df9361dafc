/* The index: which pack has which blob, as index objects say it. A pack that no index object has was left by a push
 * that did not come to its end, or belongs to one that runs: its own table says what it holds. */
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/repo/repo.h"

/* A pack's last bytes that are read at once: enough for most tables. */
#define TAIL_LEN (64 * KIB)
#define LOAD_TRIES 4

struct loading {
	struct repo *r;
	struct repo_quarantine *quarantines;
	size_t n;
	bool tolerant;
};

static bool in_quarantine(const struct loading *l, const struct repo_name *pack)
{
	for (size_t i = 0; i < l->n; i++)
		for (size_t j = 0; j < l->quarantines[i].n; j++)
			if (!memcmp(l->quarantines[i].packs[j].b, pack->b, REPO_NAME_LEN))
				return true;
	return false;
}

static int take_pack(void *arg, const struct repo_name *pack, const struct repo_table *table)
{
	const struct loading *l = arg;

	return blob_index_add_pack(l->r->index, pack, table, in_quarantine(l, pack) ? PACK_QUARANTINED : 0);
}

static void forget_error(struct err *err)
{
	if (err)
		*err = (struct err){0};
}

static int load_quarantines(struct loading *l, struct err *err)
{
	struct repo *r = l->r;
	int bad = repo_object_list(r, REPO_QUARANTINE, &r->quarantines, &r->n_quarantines, err);

	if (bad)
		return bad;
	l->quarantines = calloc(r->n_quarantines ? r->n_quarantines : 1, sizeof *l->quarantines);
	if (!l->quarantines)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < r->n_quarantines && !bad; i++) {
		struct buf content = {0};

		bad = repo_object_get(r, REPO_QUARANTINE, &r->quarantines[i], &content, err);
		if (bad == -ENOENT || (bad == -ECORRUPT && l->tolerant)) {
			bad = 0; /* a prune has just finished with it */
			forget_error(err);
		} else if (!bad) {
			bad = repo_quarantine_parse(content.data, content.len, &l->quarantines[l->n]);
			if (bad)
				bad = err_set(err, -bad, "a quarantine object of the repository %s does not parse",
					      r->be->where);
			else
				l->n++;
		}
		buf_free(&content);
	}
	return bad;
}

static int load_one(struct loading *l, const struct repo_name *name, struct err *err)
{
	char key[BACKEND_KEY_MAX + 1];
	struct buf content = {0};
	int bad = repo_object_get(l->r, REPO_INDEX, name, &content, err);

	if (!bad) {
		bad = repo_index_parse(content.data, content.len, take_pack, l);
		repo_object_key(REPO_INDEX, name, key);
		if (bad)
			bad = err_set(err, -bad, "%s in the repository %s: %s", key, l->r->be->where, err_name(-bad));
	}
	buf_free(&content);
	if (bad == -ECORRUPT && l->tolerant) {
		forget_error(err);
		return 0;
	}
	if (bad == -ECORRUPT)
		err_hint(err, "remove that file: the packs say themselves what they hold, and the next push writes an index of it");
	return bad;
}

int repo_pack_table(struct repo *r, const struct repo_name *pack, uint64_t size, struct buf *ret, struct err *err)
{
	uint64_t tail = size < TAIL_LEN ? size : TAIL_LEN, need;
	char key[BACKEND_KEY_MAX + 1];
	struct buf raw = {0};
	uint32_t len = 0;
	int bad = 0;

	repo_object_key(REPO_PACK, pack, key);
	if (size < PACK_HEADER_LEN + PACK_TRAILER_LEN)
		bad = -ECORRUPT;
	if (!bad)
		bad = backend_get(r->be, key, size - tail, (size_t)tail, &raw, err);
	if (!bad)
		bad = repo_pack_trailer_parse(raw.data + raw.len - PACK_TRAILER_LEN, &len);
	need = (uint64_t)len + PACK_TRAILER_LEN;
	if (!bad && need > size - PACK_HEADER_LEN)
		bad = -ECORRUPT;
	if (!bad && need > tail) {
		buf_reset(&raw);
		bad = backend_get(r->be, key, size - need, (size_t)need, &raw, err);
	}
	if (!bad && buf_reserve(ret, len))
		bad = -ENOMEM;
	if (!bad)
		bad = crypt_open(&r->keys, REPO_PACK, NULL, raw.data + raw.len - need, len, ret->data + ret->len);
	if (!bad)
		ret->len += len - SEAL_OVERHEAD;
	buf_free(&raw);
	return bad && err && !err->code
		       ? err_set(err, -bad, "%s in the repository %s: its table is damaged", key, r->be->where)
		       : bad;
}

struct listing {
	struct loading *l;
	bool adopt;
	struct err *err;
};

/* A pack that no index object has. */
static int adopt(const struct listing *a, const struct repo_name *name, uint64_t size)
{
	struct repo *r = a->l->r;
	struct repo_table table;
	struct buf raw = {0};
	struct buf_reader reader;
	int bad = repo_pack_table(r, name, size, &raw, a->err);

	if (bad == -ENOENT ||
	    bad == -ECORRUPT) { /* damaged, or gone: nothing refers to it, so nothing is lost without it */
		forget_error(a->err);
		buf_free(&raw);
		return 0;
	}
	reader = buf_reader(raw.data, raw.len);
	if (!bad)
		bad = repo_table_parse(&reader, &table);
	if (!bad) {
		bad = blob_index_add_pack(r->index, name, &table, PACK_UNINDEXED);
		repo_table_free(&table);
	}
	buf_free(&raw);
	return bad;
}

static int see_pack(void *arg, const char *key, uint64_t size)
{
	const struct listing *a = arg;
	struct repo_name name;
	size_t i;

	if (!repo_object_name(REPO_PACK, key, &name))
		return 0;
	if (blob_index_pack_find(a->l->r->index, &name, &i)) {
		blob_index_pack(a->l->r->index, i)->flags &= ~(unsigned)PACK_MISSING;
		return 0;
	}
	return a->adopt && !in_quarantine(a->l, &name) ? adopt(a, &name, size) : 0;
}

/* After the index: a pack that it has was written before. */
static int list_packs(struct loading *l, bool adopting, struct err *err)
{
	struct listing a = {l, adopting, err};
	struct blob_index *ix = l->r->index;

	for (size_t i = 0; i < blob_index_packs(ix); i++)
		blob_index_pack(ix, i)->flags |= PACK_MISSING;
	return backend_list(l->r->be, repo_object_folder(REPO_PACK), see_pack, &a, err);
}

static int load(struct repo *r, unsigned flags, struct err *err)
{
	struct loading l = {.r = r, .tolerant = flags & REPO_INDEX_TOLERANT};
	int bad;

	blob_index_free(r->index);
	free(r->indexes);
	free(r->quarantines);
	r->index = NULL;
	r->indexes = r->quarantines = NULL;
	r->n_indexes = r->n_quarantines = 0;
	bad = blob_index_new(&r->index);
	/* quarantines before the packs: what is quarantined later is found by whoever looks again at the end */
	if (!bad)
		bad = load_quarantines(&l, err);
	if (!bad)
		bad = repo_object_list(r, REPO_INDEX, &r->indexes, &r->n_indexes, err);
	for (size_t i = 0; i < r->n_indexes && !bad; i++)
		bad = load_one(&l, &r->indexes[i], err);
	if (!bad && (flags & (REPO_INDEX_ADOPT | REPO_INDEX_LIST)))
		bad = list_packs(&l, flags & REPO_INDEX_ADOPT, err);
	if (!bad)
		blob_index_settle(r->index);
	for (size_t i = 0; i < l.n; i++)
		free(l.quarantines[i].packs);
	free(l.quarantines);
	if (bad) {
		blob_index_free(r->index);
		r->index = NULL;
	}
	return bad;
}

int repo_load_index(struct repo *r, unsigned flags, struct err *err)
{
	int bad = load(r, flags, err);

	/* a prune may replace index objects between their listing and their reading */
	for (int i = 0; i < LOAD_TRIES && bad == -ENOENT; i++) {
		forget_error(err);
		bad = load(r, flags, err);
	}
	return bad && err && !err->code ? err_set(err, -bad, "reading the index: %s", err_name(-bad)) : bad;
}

int repo_load_index_to_read(struct repo *r, struct err *err)
{
	int bad = repo_load_index(r, 0, err);

	r->reading = true;
	if (bad != -ECORRUPT)
		return bad;
	forget_error(err);
	return repo_load_index(r, REPO_INDEX_ADOPT | REPO_INDEX_TOLERANT, err);
}

static int know_index(struct repo *r, const struct repo_name *name)
{
	struct repo_name *more = realloc(r->indexes, (r->n_indexes + 1) * sizeof *more);

	if (!more)
		return -ENOMEM;
	more[r->n_indexes++] = *name;
	r->indexes = more;
	return 0;
}

int repo_reload_index(struct repo *r, struct err *err)
{
	struct loading l = {.r = r, .tolerant = true};
	AUTO_FREE struct repo_name *names = NULL;
	size_t n;
	int bad = repo_object_list(r, REPO_INDEX, &names, &n, err);

	for (size_t i = 0; i < n && !bad; i++) {
		size_t had = 0;

		while (had < r->n_indexes && memcmp(names[i].b, r->indexes[had].b, REPO_NAME_LEN) != 0)
			had++;
		if (had == r->n_indexes)
			bad = load_one(&l, &names[i], err);
		if (bad == -ENOENT) { /* it came and went */
			forget_error(err);
			bad = 0;
		} else if (!bad && had == r->n_indexes) {
			bad = know_index(r, &names[i]);
		}
	}
	blob_index_settle(r->index);
	return bad;
}

int repo_index_put(struct repo *r, const struct buf *content, struct repo_name *ret_name, struct err *err)
{
	return repo_object_put(r, REPO_INDEX, content->data, content->len, ret_name, err);
}

int repo_quarantine_put(struct repo *r, const struct repo_quarantine *q, struct err *err)
{
	struct buf content = {0};
	int bad = q->n ? repo_quarantine_encode(q, &content) : 0;

	if (!bad && q->n)
		bad = repo_object_put(r, REPO_QUARANTINE, content.data, content.len, NULL, err);
	buf_free(&content);
	return bad;
}
