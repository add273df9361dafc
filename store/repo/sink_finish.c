/* The end of a sink: what was filled becomes a snapshot of the volume, or the volume. */
#include <stdio.h>
#include <string.h>

#include "store/repo/sink_internal.h"
#include "store/repo/stream_id.h"

struct finish {
	struct sink *k;
	const char *snapshot;
	int64_t created;
	const struct repo_name *received_as;
	struct source_view *ret;
	struct err *err;
	bool stays; /* the filled volume becomes the target */
};

static int check_target(struct store *s, const struct finish *f, struct volume_row *hidden, struct volume_row *target)
{
	int bad = volume_by_id(s->meta, f->k->draft.id, hidden);

	if (bad)
		return bad;
	bad = volume_by_name(s->meta, f->k->volume, target);
	if (bad == -ENOENT) {
		*target = *hidden;
		target->options = NULL;
		target->hidden = 0;
		target->flags &= ~(uint32_t)(VOLUME_DRAFT | VOLUME_FILLING);
		return 1;
	}
	if (!bad)
		bad = snapshot_name_free(s->meta, target->id, f->snapshot);
	if (bad == -EEXIST)
		bad = err_set(f->err, EEXIST, "there is a snapshot '%s@%s' already", target->name, f->snapshot);
	return bad;
}

/* Without a top directory it is no volume. */
static int check_root(struct meta *m, struct branch *b, const struct finish *f)
{
	const struct meta_view head = {b, META_HEAD};
	struct inode root;
	int bad = inode_get(m, &head, f->k->inos.root_local, &root);

	if (bad == -ENOENT || (!bad && !S_ISDIR(root.mode)))
		return err_set(f->err, ECORRUPT, "it has no top directory");
	return bad;
}

static int mark_received(struct meta *m, struct branch *b, const struct finish *f)
{
	uint8_t mark[STREAM_MARK_LEN];

	stream_mark_encode(f->received_as, b->id, meta_now(m), mark);
	return xattr_set(m, b, f->k->inos.root_local, XATTR_RECEIVED, mark, sizeof mark, 0);
}

static int finish_in(struct tx *tx, void *arg)
{
	struct finish *f = arg;
	struct store *s = tx->s;
	struct volume_row hidden = {0}, target = {0};
	struct snapshot_row snap = {
		.id = meta_next_id(s->meta), .created = f->created, .root_ino = f->k->inos.root_local};
	struct branch *b = branch_get(s->meta, f->k->branch);
	int bad = b ? check_target(s, f, &hidden, &target) : -ESTALE;

	if (bad > 0) {
		f->stays = true;
		bad = volume_put(s->meta, &target);
	}
	if (!bad)
		bad = check_root(s->meta, b, f);
	if (!bad && f->received_as)
		bad = mark_received(s->meta, b, f);
	if (!bad)
		bad = meta_epoch_advance(s->meta, &snap.epoch);
	if (!bad) {
		snap.volume = target.id;
		snap.branch = b->id;
		snap.bytes = b->bytes;
		snap.inodes = b->inodes;
		(void)snprintf(snap.name, sizeof snap.name, "%s", f->snapshot);
		bad = snapshot_put(s->meta, &snap);
	}
	if (!bad) {
		*f->ret = (struct source_view){target.id,     snap.branch,  snap.epoch,
					       snap.root_ino, snap.created, snap.bytes,
					       snap.inodes,   "",           ""};
		(void)snprintf(f->ret->name, sizeof f->ret->name, "%s", target.name);
		(void)snprintf(f->ret->snapshot, sizeof f->ret->snapshot, "%s", snap.name);
	}
	volume_row_free(&hidden);
	volume_row_free(&target);
	return bad;
}

static int check_rows(struct sink *k)
{
	struct meta_view head;
	int r = 0;

	while (!r) {
		LOCK_SCOPE(&k->s->lock);
		r = rows_ready(k->s);
		head = (struct meta_view){branch_get(k->s->meta, k->branch), META_HEAD};
		if (!r)
			r = head.branch ? sink_watch_check(k->watch, k->s->meta, &head) : -ESTALE;
	}
	return r < 0 ? r : 0;
}

int sink_finish(struct sink *k, const char *snapshot, int64_t created, const struct repo_name *received_as,
		struct source_view *ret, struct err *err)
{
	struct finish f = {.k = k,
			   .snapshot = snapshot,
			   .created = created,
			   .received_as = received_as,
			   .ret = ret,
			   .err = err};
	struct cut_times times;
	int bad = k->watch ? check_rows(k) : 0;

	if (bad == -ECORRUPT)
		return err_set(err, ECORRUPT, "what came makes no sense as a tree of files");
	if (!bad)
		bad = instant_run(k->s, finish_in, NULL, &f, &times);

	if (bad)
		return err && !err->code ? err_set(err, -bad, "putting the snapshot in its place: %s", err_name(-bad)) : bad;
	k->finished = true;
	/* the snapshot pins the branch; the volume that was its head goes */
	if (!f.stays)
		draft_drop(k->s, &k->draft);
	return 0;
}
