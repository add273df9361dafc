/* Private to store/repo: the rows in which a view differs from the one that was pushed last. */
#ifndef VARVE_REPO_PUSH_CHANGES_H
#define VARVE_REPO_PUSH_CHANGES_H

#include "store/repo/push_rows.h"

/* All rows of an inode. */
int push_whole_inode(struct push_rows *rows, struct store *s, const struct source_view *v, const struct inode *inode);

struct push_base {
	struct source_view view;
	struct manifest_ref manifest;
	bool own; /* this store pushed it: its rows name chunks of this store */
};
/* Rows to put and to take away, in key order, for what may have changed from base to v. Chunks get names that the old
 * manifest knows, and those that replace others are given these as bases. */
int push_changed_rows(struct push_rows *rows, struct store *s, struct blob_in *in, const struct push_base *base,
		      const struct source_view *v, const struct source_changes *changes, struct chunk_map *map,
		      struct err *err);
/* The names of chunks of all of a manifest, or of one inode (0: all). */
int push_known_names(struct blob_in *in, const struct push_base *base, uint64_t ino, struct chunk_map *map,
		     struct err *err);

#endif
