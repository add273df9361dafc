/* The order in which things happen is what makes an interrupted repair harmless:
 *
 *   copies are written and indexed · the packs are quarantined · each is copied to damaged/, then goes
 *
 * After the last step the pack is one that the index names and the storage has not: as if it had been lost. */
#include "store/repo/repair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/base/cleanup.h"
#include "store/repo/marker.h"
#include "store/repo/pack_out.h"

#define FOLDER "damaged/"

struct repair {
	struct repo *r;
	const struct repair_object *objects;
	size_t n;
	bool *sound;    /* of each object: it is whole after all, or gone */
	uint64_t *kept; /* of each pack: blobs that were copied */
	void (*finding)(void *arg, const char *line);
	void *arg;
	uint64_t *moved;
	struct marker marker;
	struct err *err;
};

/* Its bytes as they are stored. *ret_sound: they have its name, or it is gone. */
static int read_object(struct repair *p, const struct repair_object *o, struct buf *ret, bool *ret_sound)
{
	char key[BACKEND_KEY_MAX + 1];
	struct repo_name name;
	int bad;

	repo_object_key(o->type, &o->name, key);
	bad = backend_get(p->r->be, key, 0, SIZE_MAX, ret, p->err);
	*ret_sound = bad == -ENOENT;
	if (bad == -ENOENT) {
		*p->err = (struct err){0};
		return 0;
	}
	if (bad)
		return bad;
	crypt_name(&p->r->keys, o->type, ret->data, ret->len, &name);
	*ret_sound = !memcmp(name.b, o->name.b, REPO_NAME_LEN);
	return 0;
}

static int look_again(struct repair *p)
{
	int bad = 0;

	for (size_t i = 0; i < p->n && !bad; i++) {
		struct buf bytes = {0};

		bad = read_object(p, &p->objects[i], &bytes, &p->sound[i]);
		buf_free(&bytes);
	}
	return bad;
}

/* --- what can be kept --- */

/* Blob by blob: a pack may be too short, or damaged where its table is. */
static int copy_sound(struct repair *p, size_t at, size_t pack_at, struct pack_out *out)
{
	const struct blob_pack pack = *blob_index_pack(p->r->index, pack_at);
	AUTO_FREE uint8_t *plain = malloc(REPO_BLOB_STORED_MAX);
	char key[BACKEND_KEY_MAX + 1];
	struct buf sealed = {0};
	int bad = plain ? 0 : -ENOMEM;

	repo_object_key(REPO_PACK, &pack.name, key);
	for (uint32_t j = 0; j < pack.n && !bad; j++) {
		struct blob_place place;
		struct repo_blob blob;
		uint32_t off;

		blob_index_at(p->r->index, pack.first + j, &blob, &off);
		if (!blob_index_find(p->r->index, &blob.name, &place) || place.pack != pack_at || place.off != off)
			continue;
		buf_reset(&sealed);
		bad = backend_get(p->r->be, key, off, blob.stored_len, &sealed, p->err);
		if (!bad)
			bad = crypt_open(&p->r->keys, blob.type, &blob.name, sealed.data, sealed.len, plain);
		if (bad == -ECORRUPT) {
			*p->err = (struct err){0};
			bad = 0;
			continue;
		}
		if (!bad)
			bad = pack_out_add(out, &blob, sealed.data, p->err);
		p->kept[at] += !bad;
	}
	buf_free(&sealed);
	return bad;
}

/* The index object that is written has the packs of damaged ones, too. */
static int keep_sound(struct repair *p)
{
	struct pack_out *out = NULL;
	struct buf index = {0};
	int bad = pack_out_new(p->r, NULL, &out);

	for (size_t i = 0; i < p->n && !bad; i++) {
		size_t pack;

		if (p->sound[i] || p->objects[i].type != REPO_PACK ||
		    !blob_index_pack_find(p->r->index, &p->objects[i].name, &pack))
			continue;
		bad = copy_sound(p, i, pack, out);
		if (!bad)
			bad = marker_keep(p->r, &p->marker, p->err);
	}
	if (!bad)
		bad = pack_out_flush(out, p->err);
	if (!bad)
		bad = pack_out_index(out, &index);
	if (!bad && index.len)
		bad = repo_index_put(p->r, &index, NULL, p->err);
	buf_free(&index);
	pack_out_free(out);
	return bad;
}

static int quarantine(struct repair *p)
{
	AUTO_FREE struct repo_name *names = calloc(p->n ? p->n : 1, sizeof *names);
	struct repo_quarantine q = {.packs = names};
	struct timespec t;
	int bad = names ? 0 : -ENOMEM;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	q.since = t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
	for (size_t i = 0; i < p->n && !bad; i++)
		if (!p->sound[i] && p->objects[i].type == REPO_PACK)
			names[q.n++] = p->objects[i].name;
	return bad ? bad : repo_quarantine_put(p->r, &q, p->err);
}

/* --- and the rest --- */

static void say(struct repair *p, size_t at, const char *key, const char *aside)
{
	char line[2 * BACKEND_KEY_MAX + 100];
	size_t pack;

	if (p->objects[at].type == REPO_PACK && blob_index_pack_find(p->r->index, &p->objects[at].name, &pack))
		(void)snprintf(line, sizeof line, "%s was moved to %s; %llu of the %u pieces in it were kept", key, aside,
			       (unsigned long long)p->kept[at], blob_index_pack(p->r->index, pack)->n);
	else
		(void)snprintf(line, sizeof line, "%s was moved to %s", key, aside);
	p->finding(p->arg, line);
}

static int set_aside(struct repair *p, size_t at)
{
	const struct repair_object *o = &p->objects[at];
	char key[BACKEND_KEY_MAX + 1], hex[REPO_HEX_LEN], aside[sizeof FOLDER + REPO_HEX_LEN];
	struct buf bytes = {0};
	bool sound;
	int bad = read_object(p, o, &bytes, &sound);

	repo_object_key(o->type, &o->name, key);
	repo_name_hex(&o->name, hex);
	(void)snprintf(aside, sizeof aside, FOLDER "%s", hex);
	if (!bad && !sound)
		bad = backend_put(p->r->be, aside, bytes.data, bytes.len, p->err);
	if (!bad && !sound)
		bad = marker_keep(p->r, &p->marker, p->err);
	if (!bad && !sound)
		bad = backend_remove(p->r->be, key, p->err);
	buf_free(&bytes);
	if (!bad && !sound) {
		say(p, at, key, aside);
		++*p->moved;
	}
	return bad;
}

int repair_run(struct repo *r, const struct repair_object *objects, size_t n,
	       void (*finding)(void *arg, const char *line), void *arg, uint64_t *ret_moved, struct err *err)
{
	AUTO_FREE bool *sound = calloc(n ? n : 1, sizeof *sound);
	AUTO_FREE uint64_t *kept = calloc(n ? n : 1, sizeof *kept);
	struct err local = {0};
	struct repair p = {.r = r,
			   .objects = objects,
			   .n = n,
			   .sound = sound,
			   .kept = kept,
			   .finding = finding,
			   .arg = arg,
			   .moved = ret_moved,
			   .err = err ? err : &local};
	int bad = sound && kept ? 0 : -ENOMEM;

	*ret_moved = 0;
	if (!bad)
		bad = marker_begin(r, &p.marker, p.err);
	if (!bad)
		bad = repo_load_index(r, REPO_INDEX_ADOPT | REPO_INDEX_TOLERANT, p.err);
	if (!bad)
		bad = look_again(&p);
	if (!bad)
		bad = keep_sound(&p);
	if (!bad)
		bad = quarantine(&p);
	for (size_t i = 0; i < n && !bad; i++)
		if (!sound[i])
			bad = set_aside(&p, i);
	marker_remove(r, &p.marker);
	return bad && !p.err->code ? err_set(p.err, -bad, "repairing: %s", err_name(-bad)) : bad;
}
