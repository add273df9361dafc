/* Private to store/repo: the rows in which a view differs from the one that a stream begins from. */
#ifndef VARVE_REPO_SEND_CHANGES_H
#define VARVE_REPO_SEND_CHANGES_H

#include "store/repo/send_rows.h"

/* All rows of an inode. base NULL: the stream is whole. */
int send_inode(struct send_rows *rows, struct store *s, const struct source_view *base, const struct source_view *v,
	       const struct inode *inode);

/* What may differ: from the history between the views, and where that does not tell, everything of both. */
int send_find_changes(struct store *s, const struct source_view *base, const struct source_view *v,
		      struct source_changes *ret);
/* The rows for changes [0, n), which are all that there are of one inode. */
int send_changed(struct send_rows *rows, struct store *s, const struct source_view *base, const struct source_view *v,
		 const struct source_changes *changes, const struct source_change *of_inode, size_t n);

#endif
