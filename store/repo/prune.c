/* The order in which things happen is what makes an interrupted prune harmless.
 *
 *   delete      a new index object without the packs · the old index objects go · the packs go · the quarantine object goes
 *   quarantine  copies are written and indexed · the quarantine object is written
 *
 * A pack that is quarantined stays in the index and is read from when a snapshot needs it. One prune at a time: marker.h. */
#include "store/repo/prune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/base/cleanup.h"
#include "store/repo/marker.h"
#include "store/repo/pack_out.h"
#include "store/repo/survey.h"

/* Index objects that a prune leaves as they are. */
#define INDEXES_MAX 8

struct prune {
	struct repo *r;
	int64_t grace, now;
	bool dry_run;
	struct repo_progress *progress;
	struct prune_result *result;
	struct survey survey;
	struct marker marker;
	uint64_t *live;           /* bytes of each pack that are needed there */
	bool *gone;               /* packs of the index that are deleted now */
	struct repo_name *doomed; /* packs to delete, in the index or not */
	size_t n_doomed;
	struct repo_name *finished; /* quarantine objects that are done with */
	size_t n_finished;
	struct err *err;
};

static int begin(struct prune *p)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	p->now = t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
	return p->dry_run ? 0 : marker_begin(p->r, &p->marker, p->err);
}

/* --- what is needed --- */

static int survey(struct prune *p)
{
	AUTO_FREE struct repo_entry *list = NULL;
	size_t n, packs;
	int bad = repo_load_index(p->r, REPO_INDEX_LIST, p->err);

	if (!bad)
		bad = repo_snapshot_list(p->r, &list, &n, p->err);
	if (!bad)
		bad = blob_in_new(p->r, p->progress, &p->survey.in);
	if (!bad)
		atomic_store(&p->progress->bytes_total, n);
	for (size_t i = 0; i < n && !bad; i++) {
		bad = survey_snapshot(&p->survey, &list[i], p->err);
		if (!bad)
			bad = marker_keep(p->r, &p->marker, p->err);
		atomic_store(&p->progress->bytes_done, i + 1);
	}
	if (bad == -ECORRUPT && !*p->err->hint)
		err_hint(p->err, "'varve repo check' says which files that costs; push them again, or forget the snapshots "
				 "that need them");
	if (bad)
		return bad;
	packs = blob_index_packs(p->r->index);
	p->live = calloc(packs ? packs : 1, sizeof *p->live);
	p->gone = calloc(packs ? packs : 1, sizeof *p->gone);
	p->doomed = calloc(packs ? packs : 1, sizeof *p->doomed);
	if (!p->live || !p->gone || !p->doomed)
		return -ENOMEM;
	for (size_t i = 0; i < packs; i++) {
		const struct blob_pack *pack = blob_index_pack(p->r->index, i);

		p->result->packs++;
		p->result->bytes += pack->bytes;
		for (uint32_t j = 0; j < pack->n; j++) {
			struct blob_place place;
			struct repo_blob blob;
			uint32_t off;

			blob_index_at(p->r->index, pack->first + j, &blob, &off);
			if (blob_index_marked(p->r->index, &blob.name) &&
			    blob_index_find(p->r->index, &blob.name, &place) && place.pack == i)
				p->live[i] += blob.stored_len;
		}
	}
	return 0;
}

/* --- deleting what waited long enough --- */

static int doom(struct prune *p, const struct repo_name *name)
{
	struct repo_name *more;
	size_t i;

	if (blob_index_pack_find(p->r->index, name, &i)) {
		if (p->live[i]) {
			p->result->rescued_packs++;
			return 0;
		}
		p->gone[i] = true;
		p->result->deleted_bytes += blob_index_pack(p->r->index, i)->bytes;
	}
	more = realloc(p->doomed, (p->n_doomed + 1) * sizeof *more);
	if (!more)
		return -ENOMEM;
	p->doomed = more;
	p->doomed[p->n_doomed++] = *name;
	p->result->deleted_packs++;
	return 0;
}

static int look_at_quarantine(struct prune *p, const struct repo_name *name)
{
	struct buf content = {0};
	struct repo_quarantine q = {0};
	int bad = repo_object_get(p->r, REPO_QUARANTINE, name, &content, p->err);

	if (!bad)
		bad = repo_quarantine_parse(content.data, content.len, &q);
	buf_free(&content);
	if (bad)
		return bad;
	if (p->now - q.since < p->grace) {
		p->result->quarantined_packs += q.n;
		for (size_t i = 0; i < q.n; i++) {
			size_t at;

			if (blob_index_pack_find(p->r->index, &q.packs[i], &at))
				p->result->quarantined_bytes += blob_index_pack(p->r->index, at)->bytes;
		}
	} else {
		for (size_t i = 0; i < q.n && !bad; i++)
			bad = doom(p, &q.packs[i]);
		p->finished[p->n_finished++] = *name;
	}
	free(q.packs);
	return bad;
}

/* One index object for all packs that stay; then the old ones go. */
static int write_index_anew(struct prune *p)
{
	struct blob_index *ix = p->r->index;
	char key[BACKEND_KEY_MAX + 1];
	struct repo_name fresh;
	struct buf index = {0};
	int bad = repo_index_begin(&index);

	for (size_t i = 0; i < blob_index_packs(ix) && !bad; i++) {
		const struct blob_pack *pack = blob_index_pack(ix, i);

		if (p->gone[i])
			continue;
		bad = buf_add(&index, pack->name.b, REPO_NAME_LEN);
		if (!bad)
			bad = buf_add_varint(&index, pack->n);
		for (uint32_t j = 0; j < pack->n && !bad; j++) {
			struct repo_blob blob;
			uint32_t off;

			blob_index_at(ix, pack->first + j, &blob, &off);
			bad = repo_blob_encode(&blob, &index);
		}
	}
	if (!bad)
		bad = repo_index_put(p->r, &index, &fresh, p->err);
	buf_free(&index);
	for (size_t i = 0; i < p->r->n_indexes && !bad; i++) {
		if (!memcmp(p->r->indexes[i].b, fresh.b, REPO_NAME_LEN))
			continue;
		repo_object_key(REPO_INDEX, &p->r->indexes[i], key);
		bad = backend_remove(p->r->be, key, p->err);
	}
	return bad;
}

static int delete_waiting(struct prune *p)
{
	char key[BACKEND_KEY_MAX + 1];
	int bad = 0;

	p->finished = calloc(p->r->n_quarantines ? p->r->n_quarantines : 1, sizeof *p->finished);
	if (!p->finished)
		return -ENOMEM;
	for (size_t i = 0; i < p->r->n_quarantines && !bad; i++)
		bad = look_at_quarantine(p, &p->r->quarantines[i]);
	if (bad || p->dry_run)
		return bad;
	if (p->n_doomed || p->r->n_indexes > INDEXES_MAX)
		bad = write_index_anew(p);
	for (size_t i = 0; i < p->n_doomed && !bad; i++) {
		repo_object_key(REPO_PACK, &p->doomed[i], key);
		bad = marker_keep(p->r, &p->marker, p->err);
		if (!bad)
			bad = backend_remove(p->r->be, key, p->err);
	}
	for (size_t i = 0; i < p->n_finished && !bad; i++) {
		repo_object_key(REPO_QUARANTINE, &p->finished[i], key);
		bad = backend_remove(p->r->be, key, p->err);
	}
	return bad;
}

/* --- quarantining what is not needed --- */

/* What is needed of a pack goes into new ones, sealed as it is. */
static int copy_pack(struct prune *p, size_t i, struct pack_out *out)
{
	const struct blob_pack pack = *blob_index_pack(p->r->index, i);
	char key[BACKEND_KEY_MAX + 1];
	struct buf bytes = {0};
	int bad;

	repo_object_key(REPO_PACK, &pack.name, key);
	bad = backend_get(p->r->be, key, 0, PACK_HEADER_LEN + (size_t)pack.bytes, &bytes, p->err);
	for (uint32_t j = 0; j < pack.n && !bad; j++) {
		struct blob_place place;
		struct repo_blob blob;
		uint32_t off;

		blob_index_at(p->r->index, pack.first + j, &blob, &off);
		if (!blob_index_marked(p->r->index, &blob.name) || !blob_index_find(p->r->index, &blob.name, &place) ||
		    place.pack != i)
			continue;
		bad = pack_out_add(out, &blob, bytes.data + off, p->err);
		p->result->copied_bytes += blob.stored_len;
	}
	buf_free(&bytes);
	return bad;
}

static int quarantine_unused(struct prune *p)
{
	size_t packs = blob_index_packs(p->r->index);
	AUTO_FREE struct repo_name *names = calloc(packs ? packs : 1, sizeof *names);
	struct repo_quarantine q = {p->now, names, 0};
	struct pack_out *out = NULL;
	struct buf index = {0};
	int bad = names ? pack_out_new(p->r, NULL, &out) : -ENOMEM;

	for (size_t i = 0; i < packs && !bad; i++) {
		const struct blob_pack pack = *blob_index_pack(p->r->index, i);

		if ((pack.flags & PACK_QUARANTINED) || p->gone[i] ||
		    (pack.bytes - p->live[i]) * 100 <= pack.bytes * PRUNE_UNUSED_PERCENT)
			continue;
		if (p->live[i] && !p->dry_run)
			bad = copy_pack(p, i, out);
		if (!bad)
			bad = marker_keep(p->r, &p->marker, p->err);
		names[q.n++] = pack.name;
		p->result->quarantined_packs++;
		p->result->quarantined_bytes += pack.bytes;
	}
	if (!bad && !p->dry_run)
		bad = pack_out_flush(out, p->err);
	if (!bad && !p->dry_run)
		bad = pack_out_index(out, &index);
	if (!bad && index.len)
		bad = repo_index_put(p->r, &index, NULL, p->err);
	if (!bad && q.n && !p->dry_run)
		bad = repo_quarantine_put(p->r, &q, p->err);
	buf_free(&index);
	pack_out_free(out);
	return bad;
}

int repo_prune(struct repo *r, int64_t grace_ns, bool dry_run, struct repo_progress *progress, struct prune_result *ret,
	       struct err *err)
{
	struct err local = {0};
	struct prune p = {.r = r,
			  .grace = grace_ns,
			  .dry_run = dry_run,
			  .progress = progress,
			  .result = ret,
			  .survey = {.r = r},
			  .err = err ? err : &local};
	int bad;

	*ret = (struct prune_result){0};
	bad = begin(&p);
	if (!bad)
		bad = survey(&p);
	if (!bad)
		bad = delete_waiting(&p);
	if (!bad)
		bad = quarantine_unused(&p);
	marker_remove(r, &p.marker);
	blob_in_free(p.survey.in);
	free(p.live);
	free(p.gone);
	free(p.doomed);
	free(p.finished);
	return bad && !p.err->code ? err_set(p.err, -bad, "pruning: %s", err_name(-bad)) : bad;
}
