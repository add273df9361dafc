/* One view of one volume, as the model has it: the inodes that it shows, by number. Trees, inodes and blobs are counted and never
 * changed while shared, so that a snapshot, a clone or a remembered state costs a pointer, and so that two trees which hold the
 * same inode object are known to agree on it. */
#ifndef VARVE_MODEL_MTREE_H
#define VARVE_MODEL_MTREE_H

#include <sys/stat.h>

#include "tests/model/content.h"

struct blob {
	unsigned refs;
	size_t len;
	uint8_t data[];
};

struct mdent {
	unsigned name; /* index for name_text */
	uint64_t ino;
};

struct mxattr {
	unsigned name; /* index for xattr_text */
	struct blob *value;
};

#define MXATTR_MAX 8

struct minode {
	unsigned refs;
	uint64_t ino;
	uint32_t mode, uid, gid, nlink;
	uint64_t rdev;
	int64_t size;
	int64_t atime, mtime, ctime, btime;
	uint64_t parent;         /* of a directory */
	struct content *content; /* of a regular file */
	struct blob *target;     /* of a symlink */
	unsigned nxattrs;
	struct mxattr xattrs[MXATTR_MAX];
	unsigned nents, ents_cap;
	struct mdent *ents;
};

struct mtree {
	unsigned refs;
	uint64_t root;
	size_t n, cap;
	struct minode **v; /* by ino */
};

struct blob *blob_new(const void *data, size_t len);
void blob_unref(struct blob *b); /* NULL is harmless */

struct minode *minode_new(uint64_t ino, uint32_t mode);
struct minode *minode_copy(const struct minode *m);
void minode_unref(struct minode *m);
const struct mdent *minode_entry(const struct minode *dir, unsigned name); /* NULL when absent */
void minode_entry_add(struct minode *dir, unsigned name, uint64_t ino);
void minode_entry_remove(struct minode *dir, unsigned name);
void minode_entry_change(struct minode *dir, unsigned name, uint64_t ino);
const struct blob *minode_xattr(const struct minode *m, unsigned name); /* NULL when absent */
void minode_xattr_set(struct minode *m, unsigned name, const void *value, size_t len);
void minode_xattr_remove(struct minode *m, unsigned name);

struct mtree *mtree_new(uint64_t root);
struct mtree *mtree_ref(struct mtree *t);
void mtree_unref(struct mtree *t);
const struct minode *mtree_get(const struct mtree *t, uint64_t ino); /* NULL when absent */
/* The inode to be changed: tree and inode are copied first when shared. It must exist. */
struct minode *mtree_edit(struct mtree **t, uint64_t ino);
void mtree_add(struct mtree **t, struct minode *m); /* takes the reference */
void mtree_replace(struct mtree **t, struct minode *m); /* the same, in the place of the inode with that number */
void mtree_remove(struct mtree **t, uint64_t ino);
/* Takes out what no name leads to. */
void mtree_drop_orphans(struct mtree **t);
/* The same, but for directories. */
void mtree_drop_orphan_files(struct mtree **t);
/* Whether `ino` is `top` or lies below it. */
bool mtree_below(const struct mtree *t, uint64_t ino, uint64_t top);
unsigned mtree_depth(const struct mtree *t, uint64_t dir);
size_t mtree_pages(const struct mtree *t);

#endif
