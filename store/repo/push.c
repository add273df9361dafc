#include "store/repo/push.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/repo/push_changes.h"
#include "store/repo/survey.h"

/* Rows and content that are gathered before their chunks are sent. */
#define BATCH_ROWS 16384
#define BATCH_CONTENT (256 * MIB)
/* A prune quarantined what this push relied on; it is tried again with those packs out of sight. */
#define ATTEMPTS 4

struct push {
	struct store *s;
	struct repo *r;
	struct source_view view;
	struct repo_progress *progress;
	struct push_result *result;
	struct pack_out *out;
	struct blob_in *in;
	struct push_sender *sender;
	struct manifest_writer *writer;
	struct push_rows rows;
	struct manifest_ref manifest;
	bool has_base;
	struct push_base base;
	struct repo_name base_id, pinned_before; /* the latter of what was pinned at the beginning; zeros: nothing */
	struct draft view_hold, base_hold;
	bool holds_base;
	struct blob_losses losses; /* of the repository, before */
	struct repo_entry there;   /* the snapshot, when the repository has it and it is to be sent again; else zeros */
	struct err *err;
};

static void push_end(struct push *p)
{
	manifest_writer_free(p->writer);
	push_sender_free(p->sender);
	blob_in_free(p->in);
	pack_out_free(p->out);
	push_rows_free(&p->rows);
	if (p->holds_base)
		draft_drop(p->s, &p->base_hold);
	p->holds_base = false;
	p->writer = NULL;
	p->sender = NULL;
	p->in = NULL;
	p->out = NULL;
}

static int push_begin(struct push *p)
{
	int bad = pack_out_new(p->r, p->progress, &p->out);

	if (!bad)
		bad = blob_in_new(p->r, NULL, &p->in);
	if (!bad)
		bad = push_sender_new(p->s, p->r, p->out, p->progress, &p->sender);
	if (!bad)
		bad = manifest_writer_new(p->r, p->out, &p->writer);
	return bad ? err_set(p->err, -bad, "out of memory") : 0;
}

static int64_t now_ns_real(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* --- the first push: everything --- */

static int flush_rows(struct push *p)
{
	struct push_rows *rows = &p->rows;
	int bad = push_sender_resolve(p->sender, rows, p->err);

	for (size_t i = 0; i < rows->n && !bad; i++) {
		const struct push_row *row = &rows->v[i];
		struct row_key key = {.len = row->key_len};

		memcpy(key.b, rows->bytes.data + row->key_at, key.len);
		bad = manifest_add(p->writer, &key, rows->bytes.data + row->value_at, row->value_len, p->err);
	}
	p->result->rows += rows->n;
	push_rows_reset(rows);
	return bad;
}

static int flush_some(void *arg)
{
	struct push *p = arg;

	return p->rows.n >= BATCH_ROWS || p->rows.content >= BATCH_CONTENT ? flush_rows(p) : 0;
}

static int push_inode(void *arg, const struct inode *inode)
{
	struct push *p = arg;
	int bad = source_shown(&p->view, inode) ? push_whole_inode(&p->rows, p->s, &p->view, inode) : 0;

	return bad ? bad : flush_some(p);
}

static int push_all(struct push *p)
{
	int bad;

	atomic_store(&p->progress->bytes_total, (uint64_t)p->view.bytes);
	p->rows.between = flush_some;
	p->rows.arg = p;
	bad = source_each_inode(p->s, &p->view, push_inode, p);
	return bad ? bad : flush_rows(p);
}

/* --- a later one: what changed --- */

static int update_manifest(struct push *p)
{
	const struct push_rows *rows = &p->rows;
	AUTO_FREE struct manifest_change *changes = calloc(rows->n ? rows->n : 1, sizeof *changes);

	if (!changes)
		return -ENOMEM;
	for (size_t i = 0; i < rows->n; i++) {
		const struct push_row *row = &rows->v[i];

		changes[i].key.len = row->key_len;
		memcpy(changes[i].key.b, rows->bytes.data + row->key_at, row->key_len);
		changes[i].value = row->removed ? NULL : rows->bytes.data + row->value_at;
		changes[i].value_len = row->value_len;
		changes[i].prefix = row->prefix;
	}
	p->result->rows = rows->n;
	return manifest_update(p->in, &p->base.manifest, changes, rows->n, p->writer, p->err);
}

static int push_changed(struct push *p)
{
	struct source_changes changes = {0};
	int bad = source_changed(p->s, &p->base.view, &p->view, &changes);

	if (bad > 0 || bad == -EXDEV) {
		/* everything is looked at, but what the old manifest names need not be read */
		bad = push_known_names(p->in, &p->base, 0, push_sender_map(p->sender), p->err);
		return bad ? bad : push_all(p);
	}
	if (!bad)
		bad = push_changed_rows(&p->rows, p->s, p->in, &p->base, &p->view, &changes, push_sender_map(p->sender),
					p->err);
	source_changes_free(&changes);
	atomic_store(&p->progress->bytes_total, p->rows.content);
	if (!bad)
		bad = push_sender_resolve(p->sender, &p->rows, p->err);
	if (!bad)
		bad = update_manifest(p);
	p->result->incremental = !bad;
	return bad;
}

/* --- the end of both --- */

/* Whether a prune has set packs aside that this push found chunks in, or whose snapshot it builds upon is gone. */
static int still_good(struct push *p, bool *ret)
{
	AUTO_FREE struct repo_name *names = NULL;
	struct repo_snapshot ignored;
	size_t n, i, j;
	int bad = repo_object_list(p->r, REPO_QUARANTINE, &names, &n, p->err);

	*ret = true;
	for (i = 0; i < n && !bad; i++) {
		for (j = 0; j < p->r->n_quarantines; j++)
			if (!memcmp(names[i].b, p->r->quarantines[j].b, REPO_NAME_LEN))
				break;
		if (j == p->r->n_quarantines)
			*ret = false;
	}
	if (!bad && p->has_base) {
		bad = repo_snapshot_get(p->r, &p->base_id, &ignored, p->err);
		if (bad == -ENOENT) {
			*ret = false;
			bad = 0;
			*p->err = (struct err){0};
		}
	}
	return bad;
}

static int write_snapshot(struct push *p)
{
	struct repo_snapshot snap = {
		.created = p->view.created,
		.pushed = now_ns_real(),
		.bytes = p->view.bytes,
		.inodes = p->view.inodes,
		.root_ino = p->view.root_ino,
		.new_bytes = pack_out_bytes(p->out),
		.level = p->manifest.level,
		.root = p->manifest.root,
	};

	source_store_id(p->s, snap.store);
	(void)snprintf(snap.volume, sizeof snap.volume, "%s", p->view.name);
	(void)snprintf(snap.snapshot, sizeof snap.snapshot, "%s", p->view.snapshot);
	if (gethostname(snap.host, REPO_HOST_MAX) < 0)
		*snap.host = 0;
	return repo_snapshot_put(p->r, &snap, &p->result->id, p->err);
}

static int write_index(struct push *p)
{
	struct buf index = {0};
	int bad = pack_out_flush(p->out, p->err);

	if (!bad)
		bad = pack_out_index(p->out, &index);
	if (!bad && index.len)
		bad = repo_index_put(p->r, &index, NULL, p->err);
	buf_free(&index);
	return bad;
}

/* The pinned snapshot, if the repository still has it. */
static int find_pinned(struct push *p, const char *repo_id)
{
	struct repo_snapshot snap;
	uint8_t id[16];
	int bad = source_pin_find(p->s, p->view.name, repo_id, &p->base.view, &p->base_id);

	p->has_base = false;
	if (bad)
		return bad == -ENOENT ? 0 : err_set(p->err, -bad, "finding the last push: %s", err_name(-bad));
	bad = repo_snapshot_get(p->r, &p->base_id, &snap, p->err);
	if (bad == -ENOENT || bad == -ECORRUPT) {
		*p->err = (struct err){0};
		return 0;
	}
	if (bad)
		return bad;
	source_store_id(p->s, id);
	p->base.manifest = (struct manifest_ref){snap.level, snap.root};
	p->base.own = !memcmp(id, snap.store, sizeof id);
	/* a pulled snapshot's inodes have other numbers than in the manifest */
	p->has_base = p->base.own;
	return 0;
}

/* Another push of the volume may end meanwhile and move the pin: what is built upon is held besides. */
static int find_base(struct push *p, const char *repo_id)
{
	int bad = 0, held = -ENOENT;

	for (int i = 0; i < ATTEMPTS && !bad && held == -ENOENT; i++) {
		struct err why = {0};

		bad = find_pinned(p, repo_id);
		if (bad || !p->has_base)
			return bad;
		held = source_hold(p->s, &p->base.view, 1, &p->base_hold, &why);
		if (held && held != -ENOENT) {
			*p->err = why;
			bad = held;
		}
	}
	p->holds_base = p->has_base = !held;
	return bad;
}

/* --- what the repository has lost --- */

/* Whether the index has everything that a snapshot of the repository needs in packs that are there. */
static int is_whole(struct push *p, const struct repo_entry *e, bool *ret)
{
	struct survey s = {.r = p->r};
	int bad = blob_in_new(p->r, NULL, &s.in);

	blob_index_unmark(p->r->index);
	if (!bad)
		bad = survey_snapshot(&s, e, p->err);
	blob_in_free(s.in);
	*ret = !bad;
	if (bad == -ECORRUPT) {
		*p->err = (struct err){0};
		return 0;
	}
	return bad;
}

static void count_losses(struct push *p)
{
	blob_index_losses(p->r->index, &p->losses);
	if (p->losses.packs > p->result->missing_packs)
		p->result->missing_packs = p->losses.packs;
}

/* What it builds upon must be whole, or the loss is inherited. */
static int look_at_losses(struct push *p)
{
	struct repo_entry base = {.id = p->base_id};
	bool whole = true;
	int bad = 0;

	count_losses(p);
	if (p->losses.blobs && p->has_base) {
		bad = repo_snapshot_get(p->r, &base.id, &base.s, p->err);
		if (!bad)
			bad = is_whole(p, &base, &whole);
		if (bad == -ENOENT) { /* forgotten meanwhile */
			*p->err = (struct err){0};
			whole = false;
			bad = 0;
		}
	}
	p->has_base &= whole;
	return bad;
}

/* With the packs that are missing in a quarantine, whoever reads finds the copies that are there, and a prune takes them
 * out of the index. */
static int quarantine_missing(struct push *p)
{
	struct blob_index *ix = p->r->index;
	AUTO_FREE struct repo_name *names = calloc(p->losses.fresh ? p->losses.fresh : 1, sizeof *names);
	struct repo_quarantine q = {now_ns_real(), names, 0};
	int bad = names ? 0 : -ENOMEM;

	for (size_t i = 0; i < blob_index_packs(ix) && !bad && q.n < p->losses.fresh; i++) {
		struct blob_pack *pack = blob_index_pack(ix, i);

		if ((pack->flags & (PACK_MISSING | PACK_QUARANTINED)) != PACK_MISSING)
			continue;
		names[q.n++] = pack->name;
		pack->flags |= PACK_QUARANTINED;
	}
	return bad ? bad : repo_quarantine_put(p->r, &q, p->err);
}

/* --- all of it --- */

/* In place of one that was there and had lost something. */
static int finish_snapshot(struct push *p)
{
	bool again = p->there.s.root_ino;
	int bad = 0;

	if (again && p->there.s.level == p->manifest.level &&
	    !memcmp(p->there.s.root.b, p->manifest.root.b, REPO_NAME_LEN)) {
		p->result->id = p->there.id;
		return 0;
	}
	bad = write_snapshot(p);
	return bad || !again ? bad : repo_snapshot_remove(p->r, &p->there.id, p->err);
}

/* What could not be found may have been taken away by a prune: then it is no error, and nothing is good. */
static int explain(struct push *p, int bad, bool *ret_good)
{
	struct err why = *p->err;
	bool good = true;

	if (bad != -ECORRUPT && bad != -ENOENT)
		return bad;
	*p->err = (struct err){0};
	*ret_good = false;
	if (!still_good(p, &good) && !good)
		return 0;
	*p->err = why;
	return bad;
}

static int attempt(struct push *p, const char *repo_id, bool *ret_good)
{
	/* before the index, which then has what it is made of */
	int bad = find_base(p, repo_id);

	if (!bad)
		bad = repo_load_index(p->r, REPO_INDEX_ADOPT, p->err);
	if (!bad)
		bad = push_begin(p);
	if (!bad)
		bad = look_at_losses(p);
	if (!bad)
		bad = p->has_base ? push_changed(p) : push_all(p);
	if (!bad)
		bad = manifest_end(p->writer, &p->manifest, p->err);
	if (!bad)
		bad = write_index(p);
	if (!bad)
		bad = still_good(p, ret_good);
	if (!bad && *ret_good)
		bad = finish_snapshot(p);
	if (!bad && *ret_good)
		bad = quarantine_missing(p);
	bad = explain(p, bad, ret_good);
	if (p->r->index)
		p->result->sent_again += blob_index_healed(p->r->index);
	push_end(p);
	return bad;
}

/* One that the repository has: whether it is whole, so that nothing is to be sent. */
static int look_at_there(struct push *p, const struct repo_entry *e, bool own, bool *ret)
{
	bool whole = true;
	int bad = p->r->index ? 0 : repo_load_index(p->r, REPO_INDEX_ADOPT, p->err);

	if (!bad)
		count_losses(p);
	if (!bad && p->losses.blobs)
		bad = is_whole(p, e, &whole);
	if (bad)
		return bad;
	if (whole && (own || !*ret))
		p->result->id = e->id;
	if (!whole && own)
		p->there = *e;
	*ret |= whole;
	return 0;
}

/* Whether the repository has it. What it has is what a later push begins from, when nothing else is. */
static int already_there(struct push *p, const char *repo_id, bool *ret)
{
	AUTO_FREE struct repo_entry *list = NULL;
	struct source_view at = {0};
	uint8_t id[16];
	bool pin, own = false;
	size_t n, damaged;
	int bad = repo_snapshot_list_sound(p->r, &list, &n, &damaged, p->err);

	*ret = false;
	pin = source_pin_find(p->s, p->view.name, repo_id, &at, &p->pinned_before) != 0;
	for (size_t i = 0, found = 0; i < n && !bad && !pin; i++) {
		found += !memcmp(list[i].id.b, p->pinned_before.b, REPO_NAME_LEN);
		pin = i + 1 == n && !found;
	}
	/* or a push of it was killed when all was written but the pin */
	pin |= at.epoch < p->view.epoch;
	source_store_id(p->s, id);
	for (size_t i = 0; i < n && !bad; i++) {
		bool mine = !memcmp(list[i].s.store, id, sizeof id);

		if (strcmp(list[i].s.volume, p->view.name) != 0 || strcmp(list[i].s.snapshot, p->view.snapshot) != 0 ||
		    list[i].s.created != p->view.created)
			continue;
		own |= mine;
		bad = look_at_there(p, &list[i], mine, ret);
	}
	if (!bad && *ret && p->there.s.root_ino) /* its successor was written, and it was not taken away */
		bad = repo_snapshot_remove(p->r, &p->there.id, p->err);
	if (!bad && *ret)
		bad = quarantine_missing(p);
	return bad || !*ret || !pin || !own ? bad : source_pin_set(p->s, &p->view, repo_id, &p->result->id, p->err);
}

/* What the next push begins from; unless one of a later snapshot has come to its end meanwhile. */
static int move_pin(struct push *p, const char *repo_id)
{
	struct source_view at;
	struct repo_name id;

	if (!source_pin_find(p->s, p->view.name, repo_id, &at, &id) && memcmp(id.b, p->pinned_before.b, REPO_NAME_LEN) != 0 &&
	    at.epoch > p->view.epoch)
		return 0;
	return source_pin_set(p->s, &p->view, repo_id, &p->result->id, p->err);
}

static int push_held(struct push *p, const char *repo_id)
{
	bool good = false;
	int bad = already_there(p, repo_id, &p->result->already);

	if (bad || p->result->already)
		return bad;
	bad = repo_config_mend(p->r, p->err);
	for (int i = 0; i < ATTEMPTS && !bad && !good; i++)
		bad = attempt(p, repo_id, &good);
	if (!bad && !good)
		bad = err_set(p->err, EAGAIN,
			      "prunes of the repository %s kept taking away what this push relied on: try again",
			      p->r->be->where);
	return bad ? bad : move_pin(p, repo_id);
}

int repo_push(struct store *s, struct repo *r, const char *volume, const char *snapshot, struct repo_progress *progress,
	      struct push_result *ret, struct err *err)
{
	struct err local = {0};
	struct push p = {.s = s, .r = r, .progress = progress, .result = ret, .err = err ? err : &local};
	char repo_id[2 * REPO_ID_LEN + 1];
	int bad = source_find(s, volume, snapshot, &p.view, p.err);

	if (!bad)
		bad = source_hold(s, &p.view, 1, &p.view_hold, p.err);
	if (bad)
		return bad;
	*ret = (struct push_result){0};
	repo_id_hex(r, repo_id);
	bad = push_held(&p, repo_id);
	draft_drop(s, &p.view_hold);
	if (bad == -ECORRUPT && !*p.err->hint)
		err_hint(p.err, "'varve repo check --repair' takes what is damaged out of use; the next push sends it again");
	return !bad || p.err->code ? bad : err_set(p.err, -bad, "pushing '%s@%s': %s", volume, snapshot, err_name(-bad));
}
