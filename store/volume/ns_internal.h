/* Private to store/volume: what the files of the namespace share. Lock held. */
#ifndef VARVE_VOLUME_NS_INTERNAL_H
#define VARVE_VOLUME_NS_INTERNAL_H

#include "store/volume/effect.h"
#include "store/volume/store_internal.h"

/* The directory `node` in which `name` is to be changed. */
int ns_parent(struct store *s, uint64_t node, const char *name, struct resolved *ret, struct inode *ret_inode);
/* Adds to a directory's entries and subdirectory links, sets its times, puts it. */
int ns_dir_changed(struct store *s, struct branch *b, struct inode *dir, int entries, int subdirs, int64_t now);
/* The root directory of a new volume; with *ino, or a new one when that is 0. In a transaction. */
int ns_create_root(struct tx *tx, struct branch *b, uint32_t uid, uint32_t gid, uint32_t mode, uint64_t *ino);
/* Sets the size of a regular file to `size`, with what that means for extents and for the buffers of `f` (may be NULL); the inode is not
 * put, and the buffers are trimmed by the caller once the transaction stands. */
int file_resize(struct tx *tx, struct branch *b, struct inode *inode, struct file *f, int64_t size);
/* One slice of a file's truncation to `size`, as far from its end as one transaction may reach: *ret_more is false when the rest may be done
 * in one, which is then the caller's. Takes the lock. */
int file_shorten(struct store *s, uint64_t node, int64_t size, bool *ret_more);
/* Sets the row's mtime and ctime to the operation's, in place of a buffered mtime, which the caller clears once the transaction stands. */
int file_touch(struct tx *tx, struct branch *b, struct inode *inode, struct file *f);
int ns_volume_root_attr(struct store *s, const struct volume_row *vol, struct attr *ret);
/* Gives the snapshot its number if it has none yet. */
int ns_snapshot_root_attr(struct store *s, struct snapshot_row *snap, struct attr *ret);

#endif
