/* Manifests: what a snapshot holds, as a tree of rows in key order, whose nodes are blobs named by their content. Equal
 * parts of two manifests are equal nodes, so that what has not changed is neither written nor read again.
 *
 * A key is an inode's number, a kind, and what tells rows of one kind apart, all big-endian, so that bytes compare as
 * keys do. */
#ifndef VARVE_REPO_MANIFEST_H
#define VARVE_REPO_MANIFEST_H

#include "store/repo/blob_in.h"
#include "store/repo/pack_out.h"

enum row_kind { ROW_INODE = 1, ROW_XATTR = 2, ROW_DIRENT = 3, ROW_EXTENT = 4 };

#define ROW_KEY_MAX (8 + 1 + 8 + NAME_LEN_MAX)
struct row_key {
	size_t len;
	uint8_t b[ROW_KEY_MAX];
};

/* `name` of xattrs and directory entries; `sub` is an entry's hash or an extent's offset. */
void row_key_make(struct row_key *ret, uint64_t ino, enum row_kind kind, uint64_t sub, const void *name,
		  size_t name_len);
/* The part that all rows of an inode, or of one kind of it (kind 0: all), begin with. */
void row_key_prefix(struct row_key *ret, uint64_t ino, unsigned kind);
int row_key_compare(const void *a, size_t a_len, const void *b, size_t b_len);
static inline uint64_t row_key_ino(const struct row_key *k)
{
	uint64_t ino = 0;

	for (int i = 0; i < 8; i++)
		ino = ino << 8 | k->b[i];
	return ino;
}
/* -ECORRUPT when it is no key of a row. `*ret_name` points into the key. */
int row_key_parse(const struct row_key *k, uint64_t *ret_ino, enum row_kind *ret_kind, uint64_t *ret_sub,
		  const char **ret_name, size_t *ret_name_len);

/* Values. */
struct row_inode {
	uint32_t mode, uid, gid, nlink, flags;
	uint64_t rdev, parent;
	int64_t size, atime, mtime, ctime, btime;
};
struct row_extent {
	struct repo_name chunk;
	int64_t len;
	uint32_t choff;
	uint64_t source; /* the chunk's id in the store that pushed it: saves reading it again */
};
struct row_dirent {
	uint64_t ino;
	uint8_t type; /* DT_* */
};
struct inode;
void row_inode_of(const struct inode *inode, struct row_inode *ret);
int row_inode_encode(const struct row_inode *v, struct buf *ret);
int row_inode_parse(const void *data, size_t len, struct row_inode *ret);
int row_extent_encode(const struct row_extent *v, struct buf *ret); /* the name comes first */
int row_extent_parse(const void *data, size_t len, struct row_extent *ret);
int row_dirent_encode(const struct row_dirent *v, struct buf *ret);
int row_dirent_parse(const void *data, size_t len, struct row_dirent *ret);

/* --- nodes --- */

#define NODE_LEVEL_MAX 8
/* Parses a node: calls fn for each entry, in key order (checked). A non-zero return ends it. */
int node_parse(const void *data, size_t len, unsigned *ret_level,
	       int (*fn)(void *arg, const struct row_key *key, const void *value, size_t value_len), void *arg);

/* --- writing --- */

struct manifest_ref {
	unsigned level; /* of the root node; 0: it is a leaf */
	struct repo_name root;
};

struct manifest_writer;
int manifest_writer_new(struct repo *r, struct pack_out *out, struct manifest_writer **ret);
void manifest_writer_free(struct manifest_writer *w);
/* Rows in key order. */
int manifest_add(struct manifest_writer *w, const struct row_key *key, const void *value, size_t value_len,
		 struct err *err);
/* A subtree of another manifest, taken as it is. */
int manifest_add_node(struct manifest_writer *w, unsigned level, const struct row_key *first,
		      const struct repo_name *node, struct err *err);
int manifest_end(struct manifest_writer *w, struct manifest_ref *ret, struct err *err);

/* --- reading --- */

/* Calls fn for every row whose key begins with `prefix` (NULL: all), in order. A non-zero return of fn ends it and is
 * returned. */
typedef int (*manifest_row_fn)(void *arg, const struct row_key *key, const void *value, size_t value_len);
int manifest_walk(struct blob_in *in, const struct manifest_ref *m, const struct row_key *prefix, manifest_row_fn fn,
		  void *arg, struct err *err);
/* The last key of all; its length is 0 when there are no rows. */
int manifest_last(struct blob_in *in, const struct manifest_ref *m, struct row_key *ret, struct err *err);
/* Rows that only one of two manifests has, or that differ: NULL for a side that has none. Equal nodes are not read. `a`
 * may be NULL. */
typedef int (*manifest_diff_fn)(void *arg, const struct row_key *key, const void *a, size_t a_len, const void *b,
				size_t b_len);
int manifest_diff(struct blob_in *in, const struct manifest_ref *a, const struct manifest_ref *b, manifest_diff_fn fn,
		  void *arg, struct err *err);

/* --- changing --- */

struct manifest_change {
	struct row_key key;
	const void *value; /* NULL: the row goes */
	size_t value_len;
	bool prefix; /* every row that begins with the key goes; no other prefix lies within it, and rows put there come
			after */
};
/* The old manifest with these changes, sorted by key (a prefix before what it covers), is what the writer gets; nodes
 * without a change are neither read nor written. */
int manifest_update(struct blob_in *in, const struct manifest_ref *old, const struct manifest_change *changes, size_t n,
		    struct manifest_writer *w, struct err *err);

#endif
