/* One view: its inodes are read into an array, the entries of its directories counted against them, the extents of its files against
 * their sizes, and all of it against the totals. */
#include "store/maint/check_internal.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/volume/view_path.h"

#define INODES_A_SLICE 128
#define ENTRIES_A_SLICE 64
#define EXTENTS_A_SLICE 256

struct node {
	uint64_t ino, parent;
	int64_t size, alloc, inherit;
	uint32_t mode, nlink;
	uint32_t links;   /* entries that name it */
	uint32_t subdirs; /* of a directory */
	int64_t entries;
};

struct walk {
	struct check *c;
	struct meta *m;
	struct meta_view view;
	int64_t snapshot; /* id, 0: a head */
	uint64_t root;
	int64_t bytes, inodes; /* the totals that are kept */
	char name[2 * VOLUME_NAME_MAX + 2];
	bool gone; /* the snapshot was removed meanwhile */
	uint64_t done, total; /* inodes of this view and those before, and of all */
	struct node *nodes;
	size_t n, cap;
};

/* After a slice: a snapshot's walk, which sees the same in every commit, may let the WAL start over. */
static int breathe(struct walk *w)
{
	struct snapshot_row snap;
	int ret = check_step(w->c, w->done, w->total);

	if (ret || !w->snapshot)
		return ret;
	ret = check_renew_if_due(w->c);
	if (!ret)
		ret = snapshot_by_id(w->m, w->snapshot, &snap);
	w->gone = ret == -ENOENT;
	return ret;
}

static struct node *node_of(const struct walk *w, uint64_t ino)
{
	size_t lo = 0, hi = w->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (w->nodes[mid].ino < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < w->n && w->nodes[lo].ino == ino ? &w->nodes[lo] : NULL;
}

/* For messages: some path, or "?". */
static char *path_of(struct walk *w, uint64_t ino)
{
	struct dirent_row row;
	char *path = NULL;
	size_t n = 0;

	if (ino == w->root)
		return strdup("/");
	if (dirent_by_ino(w->m, &w->view, ino, &row, 1, &n) || !n || view_path(w->m, &w->view, w->root, &row, &path))
		return strdup("?");
	return path;
}

#define FIND(w, ino, fmt, ...)                                                                                         \
	do {                                                                                                           \
		AUTO_FREE char *path_ = path_of(w, ino);                                                               \
		check_find((w)->c, "%s, inode %" PRIu64 " (%s): " fmt, (w)->name, (uint64_t)(ino), path_ ? path_ : "?", \
			   __VA_ARGS__);                                                                               \
	} while (0)

static int add_nodes(struct walk *w, const struct inode *inodes, size_t n)
{
	if (w->n + n > w->cap) {
		size_t cap = 2 * w->cap + INODES_A_SLICE;
		struct node *grown = realloc(w->nodes, cap * sizeof *grown);

		if (!grown)
			return -ENOMEM;
		w->nodes = grown;
		w->cap = cap;
	}
	for (size_t i = 0; i < n; i++)
		w->nodes[w->n++] = (struct node){
			.ino = inodes[i].ino,
			.parent = inodes[i].parent,
			.size = inodes[i].size,
			.alloc = inodes[i].alloc,
			.inherit = inodes[i].inherit,
			.mode = inodes[i].mode,
			.nlink = inodes[i].nlink,
		};
	return 0;
}

static int read_inodes(struct walk *w)
{
	struct inode inodes[INODES_A_SLICE];
	size_t n = INODES_A_SLICE;
	int ret = 0;

	while (!ret && n == INODES_A_SLICE) {
		ret = inode_scan(w->m, &w->view, w->n ? w->nodes[w->n - 1].ino : 0, inodes, INODES_A_SLICE, &n);
		if (!ret)
			ret = add_nodes(w, inodes, n);
		if (!ret)
			ret = breathe(w);
	}
	return ret;
}

static void check_entry(struct walk *w, struct node *dir, const struct dirent_row *row)
{
	struct node *child = node_of(w, row->ino);

	dir->entries++;
	w->c->result.dirents++;
	if (!child) {
		FIND(w, dir->ino, "its entry '%s' points at inode %" PRIu64 ", which does not exist", row->name, row->ino);
		return;
	}
	child->links++;
	if (row->hash != dirent_hash(w->m, row->name, row->name_len))
		FIND(w, dir->ino, "its entry '%s' cannot be found by its name", row->name);
	if (row->type != IFTODT(child->mode))
		FIND(w, dir->ino, "its entry '%s' has type %u, the inode's mode is %o", row->name, row->type, child->mode);
	if (!S_ISDIR(child->mode))
		return;
	dir->subdirs++;
	if (child->parent != dir->ino)
		FIND(w, child->ino, "its parent should be %" PRIu64 " and is %" PRIu64, dir->ino, child->parent);
}

static int read_dir(struct walk *w, struct node *dir)
{
	struct dirent_row rows[ENTRIES_A_SLICE];
	int64_t after = 0;
	size_t n;
	int ret;

	while ((ret = dirent_scan(w->m, &w->view, dir->ino, after, rows, ENTRIES_A_SLICE, &n)) == 0 && n > 0) {
		for (size_t i = 0; i < n; i++)
			check_entry(w, dir, &rows[i]);
		after = rows[n - 1].hash;
		ret = breathe(w);
		if (ret)
			break;
	}
	return ret;
}

static bool is_bad(const struct check *c, uint64_t chunk)
{
	size_t lo = 0, hi = c->bad_n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (c->bad_chunks[mid] < chunk)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < c->bad_n && c->bad_chunks[lo] == chunk;
}

static int read_file(struct walk *w, const struct node *file)
{
	const struct inode inode = {.ino = file->ino, .inherit = file->inherit};
	struct extent extents[EXTENTS_A_SLICE];
	int64_t end = 0, alloc = 0, lost = 0;
	size_t n = EXTENTS_A_SLICE;
	int ret = 0;

	while (!ret && n == EXTENTS_A_SLICE) {
		ret = extent_scan(w->m, &w->view, &inode, end, INT64_MAX, extents, EXTENTS_A_SLICE, &n);
		for (size_t i = 0; i < n && !ret; i++) {
			const struct extent *e = &extents[i];

			if (e->len <= 0 || e->off < end)
				FIND(w, file->ino, "extents overlap at %" PRId64, e->off);
			end = e->off + e->len > end ? e->off + e->len : end + 1;
			alloc += e->len;
			lost += is_bad(w->c, e->chunk) ? e->len : 0;
		}
		w->c->result.extents += ret ? 0 : n;
		if (!ret)
			ret = breathe(w);
	}
	if (ret)
		return ret;
	if (end > file->size)
		FIND(w, file->ino, "its contents end at %" PRId64 ", beyond its size %" PRId64, end, file->size);
	if (alloc != file->alloc)
		FIND(w, file->ino, "it has %" PRId64 " bytes of extents, its inode says %" PRId64, alloc, file->alloc);
	if (lost) {
		AUTO_FREE char *path = path_of(w, file->ino);

		check_tell(w->c, "%s: %s lost %" PRId64 " bytes", w->name, path ? path : "?", lost);
	}
	return 0;
}

static void check_node(struct walk *w, const struct node *node)
{
	uint32_t nlink = node->links;

	if (S_ISDIR(node->mode)) {
		bool named = node->ino == w->root || node->links;

		if (node->ino == w->root ? node->links : node->links > 1)
			FIND(w, node->ino, "%u entries name the directory", node->links);
		nlink = named ? 2 + node->subdirs : 0;
		if (node->size != node->entries)
			FIND(w, node->ino, "its size is %" PRId64 ", but it has %" PRId64 " entries", node->size, node->entries);
	}
	if (node->nlink != nlink)
		FIND(w, node->ino, "its link count is %u and should be %u", node->nlink, nlink);
}

static void check_totals(struct walk *w)
{
	const struct node *root = node_of(w, w->root);
	int64_t bytes = 0;

	if (!root || !S_ISDIR(root->mode))
		check_find(w->c, "%s: the root directory, inode %" PRIu64 ", is missing", w->name, w->root);
	for (size_t i = 0; i < w->n; i++) {
		check_node(w, &w->nodes[i]);
		bytes += S_ISREG(w->nodes[i].mode) ? w->nodes[i].size : 0;
	}
	if (bytes != w->bytes)
		check_find(w->c, "%s: its files have %" PRId64 " bytes, its total says %" PRId64, w->name, bytes, w->bytes);
	if ((int64_t)w->n != w->inodes)
		check_find(w->c, "%s: it has %zu inodes, its total says %" PRId64, w->name, w->n, w->inodes);
}

static int walk(struct walk *w)
{
	int ret = read_inodes(w);

	for (size_t i = 0; i < w->n && !ret; i++) {
		struct node *node = &w->nodes[i];

		w->done++;
		if (S_ISDIR(node->mode))
			ret = read_dir(w, node);
		else if (S_ISREG(node->mode))
			ret = read_file(w, node);
	}
	if (ret)
		return ret;
	w->c->result.inodes += w->n;
	check_totals(w);
	return 0;
}

/* What is to be seen at a name now; >0 when nothing is. */
static int begin(struct walk *w, const struct volume_row *vol, const struct snapshot_row *snap)
{
	struct snapshot_row row;
	struct volume_row now;
	int ret;

	if (snap) {
		w->view = (struct meta_view){branch_get(w->m, snap->branch), snap->epoch};
		w->snapshot = snap->id;
		w->root = snap->root_ino;
		w->bytes = snap->bytes;
		w->inodes = snap->inodes;
		(void)snprintf(w->name, sizeof w->name, "%s@%s", vol->name, snap->name);
		ret = snapshot_by_id(w->m, snap->id, &row);
		w->gone = ret == -ENOENT;
	} else {
		ret = check_renew(w->c);
		if (!ret)
			ret = volume_by_id(w->m, vol->id, &now);
		if (ret)
			return ret == -ENOENT ? 1 : ret;
		w->view = (struct meta_view){branch_get(w->m, now.branch), META_HEAD};
		w->root = now.root_ino;
		w->bytes = w->view.branch ? w->view.branch->bytes : 0;
		w->inodes = w->view.branch ? w->view.branch->inodes : 0;
		(void)snprintf(w->name, sizeof w->name, "%s", now.name);
		volume_row_free(&now);
	}
	/* a missing branch was found when the tables were checked */
	return ret || w->gone ? ret : w->view.branch ? 0 : 1;
}

int check_view(struct check *c, const struct volume_row *vol, const struct snapshot_row *snap, uint64_t *done, uint64_t total)
{
	struct walk w = {.c = c, .m = c->m, .done = *done, .total = total};
	int ret = begin(&w, vol, snap);

	if (!ret)
		ret = walk(&w);
	if (ret == -ECORRUPT) {
		check_find(c, "%s: its metadata cannot be read whole: %s", w.name, err_name(ECORRUPT));
		ret = 0;
	}
	free(w.nodes);
	*done = w.done;
	return ret < 0 && !w.gone ? ret : 0;
}
