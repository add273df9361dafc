/* The trash: removed volumes, which can be brought back for some days, snapshots and all. Their names are free
 * meanwhile, so there may be several of one name. They go for good when their days are over, when somebody says so,
 * and, oldest first, before anything is refused for want of space. */
#ifndef VARVE_VOLUME_TRASH_H
#define VARVE_VOLUME_TRASH_H

#include "store/volume/volume.h"

#define TRASH_DAYS_DEFAULT 7
#define TRASH_DAYS_MAX 36500

struct trash_info {
	int64_t id;
	char name[VOLUME_NAME_MAX + 1];
	int64_t removed, expires; /* ns */
	int64_t bytes, inodes;    /* of the volume when it was removed */
	unsigned snapshots;
	int64_t held_bytes; /* of what is stored: what only this volume refers to, and of the rest its share; -1: not
			       counted yet */
};
/* Oldest first; caller frees. */
int trash_list(struct store *s, struct trash_info **ret, size_t *ret_n, struct err *err);
/* When the volume with this id goes for good; 0 when it is not in the trash. */
int64_t trash_until(struct store *s, int64_t id);
/* Brings the one back that was removed last under this name, as new_name when that is not NULL. */
int trash_undelete(struct store *s, const char *name, const char *new_name, struct volume_info *ret, struct err *err);
/* For good: all of this name (NULL: everything). -ENOENT when there is none of that name. The space comes back in the
 * background. */
int trash_purge(struct store *s, const char *name, unsigned *ret_volumes, struct err *err);

/* How long a volume stays in the trash; 0: none goes there. Durable on return. What is there already is kept as long as
 * the new value says. */
int trash_days(struct store *s);
int trash_set_days(struct store *s, int days, struct err *err);
/* Sum over the trash of what has been counted. */
int64_t trash_held_bytes(struct store *s, unsigned *ret_volumes);

#endif
