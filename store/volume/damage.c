#include "store/volume/damage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAMED_MAX 20 /* places in one line of the log */

struct places {
	struct store *s;
	uint64_t ino, chunk, node;
	int64_t off;
	struct buf text;
	unsigned n;
};

/* Whether a view shows the chunk in this file, around this offset. */
static bool shows(struct places *p, const struct meta_view *v)
{
	struct inode inode;
	struct extent e;
	size_t n = 0;

	if (!v->branch || inode_get(p->s->meta, v, p->ino, &inode))
		return false;
	return !extent_scan(p->s->meta, v, &inode, p->off, p->off + 1, &e, 1, &n) && n && e.chunk == p->chunk;
}

static void add(struct places *p, const struct meta_view *v, const char *volume, const char *snapshot)
{
	char name[2 * VOLUME_NAME_MAX + 8];

	if (!shows(p, v) || p->n++ >= NAMED_MAX)
		return;
	(void)snprintf(name, sizeof name, "%s%s%s%s", p->text.len ? ", " : "", volume, snapshot ? "@" : "", snapshot ? snapshot : "");
	(void)buf_add(&p->text, name, strlen(name)); /* a line cut short is better than none */
}

/* Inode numbers are never given out twice, so that a file is the same one in snapshots, clones and rolled-back states. */
static void find_places(struct places *p)
{
	char after[VOLUME_NAME_MAX + 1] = "";
	struct volume_row vol;

	while (!volume_next(p->s->meta, after, &vol)) {
		struct meta_view head = {branch_get(p->s->meta, vol.branch), META_HEAD};
		struct snapshot_row snap = {0};

		add(p, &head, vol.name, NULL);
		while (!snapshot_next(p->s->meta, vol.id, snap.created, snap.id, &snap)) {
			struct meta_view v = {branch_get(p->s->meta, snap.branch), snap.epoch};

			add(p, &v, vol.name, snap.name);
		}
		(void)snprintf(after, sizeof after, "%s", vol.name);
		volume_row_free(&vol);
	}
	(void)buf_add_u8(&p->text, 0);
}

/* False when it was said a short while ago. */
static bool is_news(struct store *s, uint64_t chunk)
{
	LOCK_SCOPE(&s->lock);
	for (size_t i = 0; i < DAMAGE_REMEMBERED; i++)
		if (s->damage_said[i] == chunk)
			return false;
	s->damage_said[s->damage_next++ % DAMAGE_REMEMBERED] = chunk;
	return true;
}

void damage_report(struct store *s, uint64_t node, int64_t off, uint64_t chunk, const struct chunk_loc *loc)
{
	struct places p = {.s = s, .chunk = chunk, .node = node, .off = off};
	AUTO_FREE char *volume = NULL, *path = NULL;

	if (!is_news(s, chunk))
		return;
	if (ns_path(s, node, &volume, &path))
		volume = path = NULL; /* unlinked, say */
	p.ino = node & ((UINT64_C(1) << NODE_INO_BITS) - 1);
	(void)pthread_mutex_lock(&s->lock);
	find_places(&p);
	(void)pthread_mutex_unlock(&s->lock);
	log_error("damaged: %s:%s near byte %" PRId64 " (chunk %" PRIu64 ", pack %08x at %u); the file has it in: %s%s. "
		  "'varve check --data' lists every file that is affected",
		  volume ? volume : "?", path ? path : "?", off, chunk, loc->pack, loc->off,
		  p.text.len > 1 ? (char *)p.text.data : "no volume or snapshot", p.n > NAMED_MAX ? " and more" : "");
	buf_free(&p.text);
}
