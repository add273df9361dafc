#include "store/repo/sink_watch.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/err.h"
#include "store/meta/extent_map.h"
#include "store/meta/xattr.h"

#define CHECKED_AT_ONCE 64
#define TYPE_NONE 255 /* of no inode: its names do not agree */

struct touched {
	uint64_t ino; /* 0: free */
	/* as it was; mode 0: it was not there */
	uint32_t mode, nlink;
	int64_t size;
	/* what rows have changed since */
	int64_t entries, subdirs; /* in it */
	int64_t links;            /* that name it */
	uint64_t parent;          /* a directory's: as it was, or where its new name is */
	uint8_t type;             /* as its new names say; 0: it got none */
};

struct sink_watch {
	uint64_t root;
	struct touched *v; /* hash table */
	size_t size, n;
	size_t at; /* the next to be looked at */
};

int sink_watch_new(uint64_t root_ino, struct sink_watch **ret)
{
	struct sink_watch *w = calloc(1, sizeof *w);

	if (!w)
		return -ENOMEM;
	w->root = root_ino;
	*ret = w;
	return 0;
}

void sink_watch_free(struct sink_watch *w)
{
	if (!w)
		return;
	free(w->v);
	free(w);
}

static struct touched *slot(struct touched *v, size_t size, uint64_t ino)
{
	size_t i = (ino * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (size - 1);

	while (v[i].ino && v[i].ino != ino)
		i = (i + 1) & (size - 1);
	return &v[i];
}

static int grow(struct sink_watch *w)
{
	size_t size = w->size ? w->size * 2 : 1024;
	struct touched *v = calloc(size, sizeof *v);

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < w->size; i++)
		if (w->v[i].ino)
			*slot(v, size, w->v[i].ino) = w->v[i];
	free(w->v);
	w->v = v;
	w->size = size;
	return 0;
}

static int touch(struct sink_watch *w, struct meta *m, const struct meta_view *head, uint64_t ino, struct touched **ret)
{
	struct touched *t;
	struct inode inode;
	int bad = 2 * w->n >= w->size ? grow(w) : 0;

	if (bad)
		return bad;
	t = slot(w->v, w->size, ino);
	if (!t->ino) {
		bad = inode_get(m, head, ino, &inode);
		if (bad && bad != -ENOENT)
			return bad;
		*t = (struct touched){.ino = ino};
		if (!bad)
			*t = (struct touched){.ino = ino,
					      .mode = inode.mode,
					      .nlink = inode.nlink,
					      .size = inode.size,
					      .parent = inode.parent};
		w->n++;
	}
	*ret = t;
	return 0;
}

int sink_watch_touch(struct sink_watch *w, struct meta *m, const struct meta_view *head, uint64_t ino)
{
	struct touched *t;

	return touch(w, m, head, ino, &t);
}

static int change(struct sink_watch *w, struct meta *m, const struct meta_view *head, const struct dirent_row *e, int by)
{
	struct touched *t;
	int bad = touch(w, m, head, e->ino, &t);

	if (bad)
		return bad;
	t->links += by;
	if (by > 0) {
		t->parent = e->type == DT_DIR ? e->parent : 0;
		t->type = !e->type || (t->type && t->type != e->type) ? TYPE_NONE : e->type;
	}
	bad = touch(w, m, head, e->parent, &t);
	if (bad)
		return bad;
	t->entries += by;
	t->subdirs += e->type == DT_DIR ? by : 0;
	return 0;
}

int sink_watch_entry(struct sink_watch *w, struct meta *m, const struct meta_view *head, const struct dirent_row *old,
		     const struct dirent_row *now)
{
	int bad = old ? change(w, m, head, old, -1) : 0;

	return bad || !now ? bad : change(w, m, head, now, 1);
}

/* --- looking --- */

/* Up from a directory that got a place: to the top, not in a circle. */
static int check_ancestors(const struct sink_watch *w, struct meta *m, const struct meta_view *head, uint64_t ino)
{
	int64_t steps = head->branch->inodes;
	struct inode inode;

	while (ino != w->root) {
		int bad = inode_get(m, head, ino, &inode);

		if (bad)
			return bad == -ENOENT ? -ECORRUPT : bad;
		if (!S_ISDIR(inode.mode) || steps-- <= 0)
			return -ECORRUPT;
		ino = inode.parent;
	}
	return 0;
}

static int check_dir(const struct sink_watch *w, struct meta *m, const struct meta_view *head, const struct touched *t,
		     const struct inode *inode)
{
	bool root = t->ino == w->root;
	int64_t named = (t->mode && !root) + t->links;

	if (inode->size != t->size + t->entries || inode->nlink != (t->mode ? t->nlink : 2) + t->subdirs ||
	    named != !root || inode->parent != (root ? t->ino : t->parent))
		return -ECORRUPT;
	return root || !t->type ? 0 : check_ancestors(w, m, head, inode->parent);
}

static int check_content(struct meta *m, const struct meta_view *head, const struct inode *inode)
{
	AUTO_FREE void *target = NULL;
	struct extent beyond;
	size_t n = 0;
	int bad;

	if (S_ISREG(inode->mode)) {
		bad = extent_scan(m, head, inode, inode->size, INT64_MAX, &beyond, 1, &n);
		return bad ? bad : n ? -ECORRUPT : 0;
	}
	if (!S_ISLNK(inode->mode))
		return inode->alloc ? -ECORRUPT : 0;
	bad = xattr_get(m, head, inode->ino, XATTR_SYMLINK_TARGET, &target, &n);
	if (bad)
		return bad == -ENODATA ? -ECORRUPT : bad;
	return !n || n > SYMLINK_LEN_MAX || (int64_t)n != inode->size || memchr(target, 0, n) ? -ECORRUPT : 0;
}

/* Attributes are of an inode that says so, or nobody would find them. */
static int check_attributes(struct meta *m, const struct meta_view *head, const struct inode *inode)
{
	struct buf names = {0};
	int bad = inode->flags & INODE_HAS_XATTR ? 0 : xattr_list(m, head, inode->ino, &names);

	if (!bad && names.len)
		bad = -ECORRUPT;
	buf_free(&names);
	return bad;
}

static int check_one(const struct sink_watch *w, struct meta *m, const struct meta_view *head, const struct touched *t)
{
	bool was_dir = S_ISDIR(t->mode);
	int64_t links = (was_dir ? t->ino != w->root : t->nlink) + t->links;
	struct inode inode;
	int bad = inode_get(m, head, t->ino, &inode);

	if (bad == -ENOENT)
		return links || (was_dir ? t->size : 0) + t->entries ? -ECORRUPT : 0;
	if (!bad)
		bad = check_attributes(m, head, &inode);
	if (bad)
		return bad;
	if ((t->mode && (t->mode & S_IFMT) != (inode.mode & S_IFMT)) || (t->type && t->type != IFTODT(inode.mode)))
		return -ECORRUPT;
	if (S_ISDIR(inode.mode))
		return check_dir(w, m, head, t, &inode);
	if (!links || inode.nlink != links || t->entries || inode.parent)
		return -ECORRUPT;
	return check_content(m, head, &inode);
}

int sink_watch_check(struct sink_watch *w, struct meta *m, const struct meta_view *head)
{
	int bad = 0;

	for (unsigned n = 0; w->at < w->size && n < CHECKED_AT_ONCE && !bad; w->at++)
		if (w->v[w->at].ino) {
			bad = check_one(w, m, head, &w->v[w->at]);
			n++;
		}
	return bad ? bad : w->at == w->size;
}
