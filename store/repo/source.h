/* The store's side of a push: views read as rows, a slice of them under the store lock at a time, and the pins that
 * keep a pushed view.
 *
 * A pin is a snapshot row that no listing shows: its name is "@", the repository's id and the id of the repository's
 * snapshot that the view became. It outlives the snapshot that the user made, and goes with the volume. Any thread. */
#ifndef VARVE_REPO_SOURCE_H
#define VARVE_REPO_SOURCE_H

#include "store/base/buf.h"
#include "store/meta/catalog.h"
#include "store/meta/dirent.h"
#include "store/meta/extent_map.h"
#include "store/repo/repo.h"
#include "store/volume/draft.h"

struct source_view {
	int64_t volume, branch, epoch;
	uint64_t root_ino;
	int64_t created, bytes, inodes;
	char name[VOLUME_NAME_MAX + 1], snapshot[VOLUME_NAME_MAX + 1];
};
void source_store_id(const struct store *s, uint8_t out[16]);
uint64_t source_last_ino(struct store *s); /* no inode has a higher number */
void source_view_fill(const struct volume_row *vol, const struct snapshot_row *snap, struct source_view *ret);
int source_find(struct store *s, const char *volume, const char *snapshot, struct source_view *ret, struct err *err);

/* --- pins --- */

/* The view that is pinned for the repository, and what it became there; -ENOENT. */
int source_pin_find(struct store *s, const char *volume, const char *repo_id, struct source_view *ret,
		    struct repo_name *ret_id);
/* Pins the view in place of what was pinned of that volume. Durable. Nothing when the volume is gone. */
int source_pin_set(struct store *s, const struct source_view *v, const char *repo_id, const struct repo_name *id,
		   struct err *err);

/* Keeps snapshots of one volume, or what is pinned of it, for as long as they are read, whatever happens to their names: until draft_drop, or until
 * the store is opened again. -ENOENT when one is gone by now. */
int source_hold(struct store *s, const struct source_view *views, size_t n, struct draft *ret, struct err *err);

/* --- rows of a view --- */

/* As inode_scan, inode_get, dirent_scan, extent_scan of that view. */
int source_inodes(struct store *s, const struct source_view *v, uint64_t after, struct inode *ret, size_t max,
		  size_t *ret_n);
int source_inode(struct store *s, const struct source_view *v, uint64_t ino, struct inode *ret);
int source_entries(struct store *s, const struct source_view *v, uint64_t parent, int64_t after, struct dirent_row *ret,
		   size_t max, size_t *ret_n);
int source_entry(struct store *s, const struct source_view *v, uint64_t parent, const char *name, size_t len,
		 struct dirent_row *ret);
/* An entry that names the inode; -ENOENT. */
int source_name_of(struct store *s, const struct source_view *v, uint64_t ino, struct dirent_row *ret);
/* The file of `base` whose place a file of v took: the same inode, or what had its name; -ENOENT. */
int source_predecessor(struct store *s, const struct source_view *base, const struct source_view *v, uint64_t ino,
		       struct inode *ret);
int source_extents(struct store *s, const struct source_view *v, const struct inode *inode, int64_t off,
		   struct extent *ret, size_t max, size_t *ret_n);
/* Those that overlap [off, end), clipped at neither end. */
int source_extents_at(struct store *s, const struct source_view *v, const struct inode *inode, int64_t off, int64_t end,
		      struct extent *ret, size_t max, size_t *ret_n);
/* Call fn for each in order, under no lock, until it returns other than 0. */
int source_each_inode(struct store *s, const struct source_view *v, int (*fn)(void *arg, const struct inode *inode),
		      void *arg);
int source_each_entry(struct store *s, const struct source_view *v, uint64_t parent,
		      int (*fn)(void *arg, const struct dirent_row *e), void *arg);
int source_each_extent(struct store *s, const struct source_view *v, const struct inode *inode,
		       int (*fn)(void *arg, const struct inode *inode, const struct extent *e), void *arg);
/* Calls fn for each xattr, a symlink's target included, in the order of names. */
int source_xattrs(struct store *s, const struct source_view *v, const struct inode *inode,
		  int (*fn)(void *arg, const char *name, const void *value, size_t len), void *arg);
/* Whether the view shows it: an orphan is not shown. */
static inline bool source_shown(const struct source_view *v, const struct inode *inode)
{
	return inode->nlink || inode->ino == v->root_ino;
}

/* The content of a chunk that a pinned view refers to; out has room for CHUNK_LEN_MAX. */
int source_chunk(struct store *s, uint64_t id, void *out, size_t *ret_len);
/* The same, and the zstd frame that the store has of it, into `packed`, as large; *ret_packed_len 0: it has none. */
int source_chunk_packed(struct store *s, uint64_t id, void *out, size_t *ret_len, void *packed, size_t *ret_packed_len);
/* Bytes [off, off + len) of a file, holes and what is beyond its end as zeros. `scratch` has room for CHUNK_LEN_MAX. */
int source_content(struct store *s, const struct source_view *v, uint64_t ino, int64_t off, size_t len, void *out,
		   void *scratch);

/* --- what changed --- */

enum source_what { SOURCE_INODE = 1, SOURCE_XATTR = 2, SOURCE_DIRENT = 3, SOURCE_EXTENT = 4 };
struct source_change {
	uint64_t ino;
	enum source_what what;
	int64_t k;        /* hash or offset */
	uint32_t name_at; /* of an entry, in names */
	uint8_t name_len;
};
struct source_changes {
	struct source_change *v; /* sorted by ino, what, k, name; no two alike */
	size_t n, cap;
	struct buf names;
};
/* The rows that may differ between two views. >0: nothing tells, all of it may; -EXDEV: they have no common history. */
int source_changed(struct store *s, const struct source_view *a, const struct source_view *b,
		   struct source_changes *ret);
void source_changes_free(struct source_changes *c);
int source_changes_add(struct source_changes *c, const struct source_change *one);
int source_changes_add_entry(struct source_changes *c, uint64_t ino, int64_t k, const void *name, size_t name_len);
/* After additions: sorts them, and removes what is there twice. */
void source_changes_sort(struct source_changes *c);

#endif
