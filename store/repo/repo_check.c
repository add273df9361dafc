#include "store/repo/repo_check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/array.h"
#include "store/base/cleanup.h"
#include "store/repo/affected.h"
#include "store/repo/codec.h"
#include "store/repo/parallel.h"
#include "store/repo/repair.h"
#include "store/repo/survey.h"

/* A pack as it is listed. */
struct listed {
	struct repo_name name;
	uint64_t size;
};

struct check {
	struct repo *r;
	struct survey survey;
	struct repo_progress *progress;
	struct repo_check_result *result;
	struct listed *packs;
	size_t n_packs, cap_packs;
	struct repair_object *damaged;
	size_t n_damaged, cap_damaged;
	pthread_mutex_t lock; /* findings of several threads */
	struct err *err;
};

static int note_damaged(struct check *c, enum repo_type type, const struct repo_name *name)
{
	if (array_grow(&c->damaged, &c->cap_damaged, c->n_damaged, sizeof *c->damaged))
		return -ENOMEM;
	c->damaged[c->n_damaged++] = (struct repair_object){type, *name};
	return 0;
}

/* --- small objects --- */

static int check_one(struct check *c, enum repo_type type, const struct repo_name *name)
{
	struct repo_quarantine q;
	struct repo_snapshot snap;
	struct buf content = {0};
	char key[BACKEND_KEY_MAX + 1];
	int bad = repo_object_get(c->r, type, name, &content, c->err);

	repo_object_key(type, name, key);
	if (bad == -ECORRUPT) {
		bad = survey_find(&c->survey, ECORRUPT, c->err, "%s%s", c->err->text,
				  type == REPO_SNAPSHOT ? ": that snapshot cannot be restored"
				  : type == REPO_INDEX	? ": the packs say themselves what they hold"
							: "");
		if (!bad && type != REPO_SNAPSHOT)
			bad = note_damaged(c, type, name);
	} else if (bad == -ENOENT) {
		*c->err = (struct err){0};
		bad = 0; /* it went since it was listed */
	} else if (!bad && type == REPO_SNAPSHOT && repo_snapshot_parse(content.data, content.len, &snap)) {
		bad = survey_find(&c->survey, ECORRUPT, c->err, "%s is not a snapshot", key);
	} else if (!bad && type == REPO_QUARANTINE) {
		if (repo_quarantine_parse(content.data, content.len, &q))
			bad = survey_find(&c->survey, ECORRUPT, c->err, "%s is not a list of packs", key);
		else
			free(q.packs);
	}
	buf_free(&content);
	return bad;
}

static int check_keys(struct check *c)
{
	AUTO_FREE struct repo_key *keys = NULL;
	size_t n;
	int bad = repo_key_list(c->r, &keys, &n, c->err);

	return bad == -ECORRUPT ? survey_find(&c->survey, ECORRUPT, c->err, "%s: it opens nothing", c->err->text) : bad;
}

static int check_config(struct check *c)
{
	struct repo_config config = {0}, copy = {0};
	int bad = repo_config_get(c->r, REPO_CONFIG_KEY, &config, c->err), copy_bad = 0;
	bool lost = bad == -ENOENT || bad == -ECORRUPT;

	if (lost)
		bad = survey_find(&c->survey, ECORRUPT, c->err,
				  "%s is %s: its copy %s opens the repository, and the next push, a new key or --repair mends it",
				  REPO_CONFIG_KEY, bad == -ENOENT ? "missing" : "damaged", REPO_CONFIG_COPY_KEY);
	if (!bad)
		copy_bad = repo_config_get(c->r, REPO_CONFIG_COPY_KEY, &copy, c->err);
	if (copy_bad == -ENOENT || copy_bad == -ECORRUPT)
		bad = survey_find(&c->survey, ECORRUPT, c->err,
				  "%s, the copy of %s, is %s: the next push, a new key or --repair writes it", REPO_CONFIG_COPY_KEY,
				  REPO_CONFIG_KEY, copy_bad == -ENOENT ? "missing" : "damaged");
	else if (copy_bad == -ETOONEW || (!bad && !copy_bad && !lost && !repo_config_same(&config, &copy)))
		bad = survey_find(&c->survey, ECORRUPT, c->err, "%s is no copy of %s: one of them is another repository's",
				  REPO_CONFIG_COPY_KEY, REPO_CONFIG_KEY);
	else if (!bad)
		bad = copy_bad;
	crypt_wipe(&config, sizeof config);
	crypt_wipe(&copy, sizeof copy);
	return bad;
}

static int check_small(struct check *c)
{
	static const enum repo_type types[] = {REPO_INDEX, REPO_SNAPSHOT, REPO_QUARANTINE};
	int bad = check_config(c);

	if (!bad && c->r->config.encrypted)
		bad = check_keys(c);

	for (size_t t = 0; t < sizeof types / sizeof *types && !bad; t++) {
		AUTO_FREE struct repo_name *names = NULL;
		size_t n = 0;

		bad = repo_object_list(c->r, types[t], &names, &n, c->err);
		for (size_t i = 0; i < n && !bad; i++)
			bad = check_one(c, types[t], &names[i]);
	}
	return bad;
}

/* --- packs --- */

static int take_pack(void *arg, const char *key, uint64_t size)
{
	struct check *c = arg;
	struct repo_name name;

	if (!repo_object_name(REPO_PACK, key, &name))
		return 0;
	if (array_grow(&c->packs, &c->cap_packs, c->n_packs, sizeof *c->packs))
		return -ENOMEM;
	c->packs[c->n_packs++] = (struct listed){name, size};
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return memcmp(a, b, REPO_NAME_LEN);
}

/* Every pack of the index is as long as its table says. */
static int check_packs(struct check *c)
{
	char key[BACKEND_KEY_MAX + 1];
	int bad = 0;

	if (c->n_packs)
		qsort(c->packs, c->n_packs, sizeof *c->packs, by_name);
	c->result->packs = c->n_packs;
	for (size_t i = 0; i < blob_index_packs(c->r->index) && !bad; i++) {
		struct blob_pack *p = blob_index_pack(c->r->index, i);
		const struct listed *l = c->n_packs ? bsearch(&p->name, c->packs, c->n_packs, sizeof *c->packs, by_name)
						    : NULL;
		struct buf table = {0};

		repo_object_key(REPO_PACK, &p->name, key);
		if (!l) {
			p->flags |= PACK_MISSING;
			continue;
		}
		bad = repo_pack_table(c->r, &p->name, l->size, &table, c->err);
		if (bad == -ECORRUPT || bad == -ENOENT)
			bad = survey_find(&c->survey, ECORRUPT, c->err, "%s", c->err->text);
		else if (!bad && l->size != PACK_HEADER_LEN + p->bytes + table.len + SEAL_OVERHEAD + PACK_TRAILER_LEN)
			bad = survey_find(&c->survey, ECORRUPT, c->err, "%s is not as long as its table says", key);
		buf_free(&table);
	}
	return bad;
}

/* Packs that are not there. One that was set aside, or that a push has found missing, is a fault only where something
 * needs it still. The survey has been made. */
static int check_missing(struct check *c)
{
	char key[BACKEND_KEY_MAX + 1];
	int bad = 0;

	for (size_t i = 0; i < blob_index_packs(c->r->index) && !bad; i++) {
		const struct blob_pack *p = blob_index_pack(c->r->index, i);
		bool needed = false;

		if (!(p->flags & PACK_MISSING))
			continue;
		for (uint32_t j = 0; j < p->n; j++) {
			struct blob_place place;
			struct repo_blob blob;
			uint32_t off;

			blob_index_at(c->r->index, p->first + j, &blob, &off);
			if (!blob_index_find(c->r->index, &blob.name, &place) || place.pack != i)
				continue;
			blob_index_flag(c->r->index, &blob.name, BLOB_DAMAGED);
			needed |= blob_index_marked(c->r->index, &blob.name);
		}
		repo_object_key(REPO_PACK, &p->name, key);
		if (needed || !(p->flags & PACK_QUARANTINED))
			bad = survey_find(&c->survey, ECORRUPT, c->err, "%s is missing", key);
	}
	return bad;
}

/* One whole pack: its bytes have its name. */
static int read_pack(void *arg, unsigned worker, size_t i, struct err *err)
{
	struct check *c = arg;
	char key[BACKEND_KEY_MAX + 1];
	struct buf bytes = {0};
	struct repo_name name;
	int bad;

	(void)worker;
	repo_object_key(REPO_PACK, &c->packs[i].name, key);
	bad = backend_get(c->r->be, key, 0, SIZE_MAX, &bytes, err);
	if (!bad) {
		crypt_name(&c->r->keys, REPO_PACK, bytes.data, bytes.len, &name);
		atomic_fetch_add(&c->progress->bytes_done, bytes.len);
		if (memcmp(name.b, c->packs[i].name.b, REPO_NAME_LEN) != 0 ||
		    !repo_pack_header_valid(bytes.data, bytes.len))
			bad = -ECORRUPT;
	}
	buf_free(&bytes);
	if (bad == -ECORRUPT || bad == -ENOENT) {
		LOCK_SCOPE(&c->lock);
		bad = survey_find(&c->survey, ECORRUPT, err, "%s is damaged: its bytes do not match its name", key);
		if (!bad)
			bad = note_damaged(c, REPO_PACK, &c->packs[i].name);
	}
	return bad;
}

/* One blob: opens, expands, and hashes to its name. */
static int read_blob(void *arg, unsigned worker, size_t i, struct err *err)
{
	struct check *c = arg;
	AUTO_FREE uint8_t *out = malloc(REPO_BLOB_RAW_MAX);
	struct blob_place place;
	struct repo_blob blob;
	uint32_t off;
	size_t len;
	int bad;

	(void)worker;
	if (!out)
		return err_set(err, ENOMEM, "out of memory");
	if (atomic_load(&c->progress->cancel))
		return err_set(err, ECANCELED, "cancelled");
	blob_index_at(c->r->index, i, &blob, &off);
	if (!blob_index_marked(c->r->index, &blob.name))
		return 0;
	if (blob_index_find(c->r->index, &blob.name, &place) && place.lost)
		return 0; /* said already */
	bad = blob_in_get(c->survey.in, &blob.name, blob.type, out, &len, err);
	if (bad == -ECORRUPT || bad == -ENOENT) {
		blob_index_flag(c->r->index, &blob.name, BLOB_DAMAGED);
		LOCK_SCOPE(&c->lock);
		bad = survey_find(&c->survey, ECORRUPT, err, "%s", err->text);
	}
	return bad;
}

static int check_data(struct check *c)
{
	size_t blobs = 0;
	uint64_t total = 0;
	int bad;

	for (size_t i = 0; i < c->n_packs; i++)
		total += c->packs[i].size;
	atomic_store(&c->progress->bytes_total, total);
	c->result->bytes = total;
	bad = parallel_run(parallel_width(), c->n_packs, read_pack, c, c->err);
	for (size_t i = 0; i < blob_index_packs(c->r->index); i++)
		blobs += blob_index_pack(c->r->index, i)->n;
	return bad ? bad : parallel_run(parallel_width(), blobs, read_blob, c, c->err);
}

/* Calls fn for each snapshot that can be read. */
static int each_snapshot(struct check *c, int (*fn)(struct check *c, const struct repo_entry *e))
{
	AUTO_FREE struct repo_name *names = NULL;
	struct repo_entry e;
	size_t n;
	int bad = repo_object_list(c->r, REPO_SNAPSHOT, &names, &n, c->err);

	for (size_t i = 0; i < n && !bad; i++) {
		e.id = names[i];
		bad = repo_snapshot_get(c->r, &e.id, &e.s, c->err);
		if (bad == -ECORRUPT || bad == -ENOENT) { /* said already, or gone since */
			*c->err = (struct err){0};
			bad = 0;
			continue;
		}
		if (!bad)
			bad = fn(c, &e);
	}
	return bad;
}

static int check_snapshot(struct check *c, const struct repo_entry *e)
{
	c->result->snapshots++;
	return survey_snapshot(&c->survey, e, c->err);
}

static int say_affected(struct check *c, const struct repo_entry *e)
{
	uint64_t files = 0;
	int bad = affected_report(c->r, c->survey.in, e, c->survey.finding, c->survey.arg, &files, c->err);

	c->result->affected += files;
	return bad;
}

static void count_unused(struct check *c)
{
	for (size_t i = 0; i < blob_index_packs(c->r->index); i++) {
		const struct blob_pack *p = blob_index_pack(c->r->index, i);
		struct repo_blob blob;
		uint32_t off;

		for (uint32_t j = 0; j < p->n; j++) {
			blob_index_at(c->r->index, p->first + j, &blob, &off);
			if (!blob_index_marked(c->r->index, &blob.name))
				c->result->unused_bytes += blob.stored_len;
		}
	}
}

int repo_check(struct repo *r, unsigned flags, void (*finding)(void *arg, const char *line), void *arg,
	       struct repo_progress *progress, struct repo_check_result *ret, struct err *err)
{
	struct err local = {0};
	struct check c = {
		.r = r,
		.survey = {.r = r, .finding = finding, .arg = arg},
		.progress = progress,
		.result = ret,
		.err = err ? err : &local,
	};
	int bad;

	*ret = (struct repo_check_result){0};
	(void)pthread_mutex_init(&c.lock, NULL);
	bad = check_small(&c);
	if (!bad)
		bad = repo_load_index(r, REPO_INDEX_ADOPT | REPO_INDEX_TOLERANT, c.err);
	/* after the index: a pack that it has must be among them */
	if (!bad)
		bad = backend_list(r->be, repo_object_folder(REPO_PACK), take_pack, &c, c.err);
	if (!bad)
		bad = blob_in_new(r, NULL, &c.survey.in);
	if (!bad)
		bad = check_packs(&c);
	if (!bad)
		blob_index_settle(r->index);
	if (!bad)
		bad = each_snapshot(&c, check_snapshot);
	if (!bad)
		bad = check_missing(&c);
	if (!bad && (flags & REPO_CHECK_DATA))
		bad = check_data(&c);
	if (!bad && c.survey.findings)
		bad = each_snapshot(&c, say_affected);
	if (!bad)
		count_unused(&c);
	if (!bad && (flags & REPO_CHECK_REPAIR))
		bad = repo_config_mend(r, c.err);
	if (!bad && (flags & REPO_CHECK_REPAIR) && c.n_damaged)
		bad = repair_run(r, c.damaged, c.n_damaged, finding, arg, &ret->set_aside, c.err);
	ret->nodes = c.survey.nodes;
	ret->chunks = c.survey.chunks;
	ret->errors = c.survey.findings;
	blob_in_free(c.survey.in);
	free(c.packs);
	free(c.damaged);
	(void)pthread_mutex_destroy(&c.lock);
	return bad && !c.err->code ? err_set(c.err, -bad, "checking: %s", err_name(-bad)) : bad;
}
