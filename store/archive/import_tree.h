/* Private to store/archive: where entries of an archive go: names checked and resolved below one folder, without ever
 * following a symbolic link, and folders' times and default ACLs, which wait until all is in them. */
#ifndef VARVE_ARCHIVE_IMPORT_TREE_H
#define VARVE_ARCHIVE_IMPORT_TREE_H

#include <stdbool.h>

#include "store/base/buf.h"
#include "store/volume/namespace.h"

#define ARCHIVE_PATH_MAX (64 * KIB)

struct tree {
	struct store *s;
	uint64_t root;
	unsigned strip;
	/* the folder that was resolved last: most entries are in it too */
	char *folder;
	uint64_t folder_node;
	struct waiting *waiting;
	size_t n_waiting, cap_waiting;
};

void tree_free(struct tree *t);
/* The name as parts joined by single slashes, leading ones stripped: "" for the top folder itself; >0 when stripping
 * left nothing of it. -EINVAL, -ENAMETOOLONG, with *err naming the entry as `shown`. */
int tree_name(const struct tree *t, const char *name, const char *shown, struct buf *ret, struct err *err);
/* Splits a name that is not "" at its last slash and resolves the folder, making those that are missing when `make`.
 * *ret_last points into name, which is changed. */
int tree_parent(struct tree *t, char *name, bool make, const char *shown, uint64_t *ret_folder, const char **ret_last,
		struct err *err);
/* Makes way for a new entry: an old one is removed, unless it is a folder that stays one (*ret_stays, *ret). */
int tree_clear(struct tree *t, uint64_t folder, const char *last, bool for_folder, const char *shown, struct attr *ret,
	       bool *ret_stays, struct err *err);
/* Sets these when everything is in: the default ACL (may be NULL), then the times. */
int tree_wait(struct tree *t, uint64_t node, const struct attr *times, const struct buf *default_acl);
int tree_finish(struct tree *t);

#endif
