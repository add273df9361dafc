/* Drafts: hidden volumes that one reader or writer works on. A draft of a view is a clone nobody sees, so what is read
 * through it stays whatever happens to the volume or snapshot. A draft that is to become a volume, or another's
 * content, is filled while nothing of it can be seen, and then published in one instant. Drafts that are there when a
 * store is opened are dropped: whoever worked on them is gone. Nodes of a draft are used as any other. */
#ifndef VARVE_VOLUME_DRAFT_H
#define VARVE_VOLUME_DRAFT_H

#include "store/volume/snapshot.h"

struct draft {
	int64_t id;       /* its own, as a volume */
	uint64_t root_node;
	int64_t bytes, inodes; /* when it was made */
	int64_t target;   /* id of the volume that it is for; 0: one that is to be made */
	int64_t base;     /* epoch of the target that it was begun from; 0: from nothing */
	char name[VOLUME_NAME_MAX + 1]; /* the volume's */
};

/* Of VOL@SNAP, or of VOL as it is now (snapshot ""). */
int draft_of_view(struct store *s, const char *volume, const char *snapshot, struct draft *ret, struct err *err);
/* An empty one: of a volume that is to be made with these options (may be NULL; not `from`), or, when there is such a
 * volume and `may_replace`, of new content for it, under its quota and with its top directory's owner and mode. */
int draft_new(struct store *s, const char *name, const struct volume_options *opts, bool may_replace, struct draft *ret,
	      struct err *err);
/* The draft becomes the volume, or the volume's content, and is no draft any more. What a volume showed before is kept
 * as automatic snapshot, whose name is given back ("" for a new volume). -EBUSY while the volume has files open for
 * writing, or, when the draft was begun from the volume's content, when that has changed since; -EEXIST, -ENOENT. The
 * draft stays a draft then. */
int draft_publish(struct store *s, const struct draft *d, char ret_saved[VOLUME_NAME_MAX + 1], struct volume_info *ret,
		  struct err *err);
/* Drops it. */
void draft_drop(struct store *s, const struct draft *d);

#endif
