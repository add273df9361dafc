/* What the daemon does with volumes for whoever asks, a person through the API or a container engine: the engine's
 * verb, and then what else knows of volumes hears of it: the kernel, tmpfs, the record of uses. From threads that hold
 * no lock that a request takes, and that are no FUSE workers. */
#ifndef VARVE_FS_VOLUMES_H
#define VARVE_FS_VOLUMES_H

#include "fs/daemon.h"
#include "store/volume/draft.h"

struct volumes_made {
	struct volume_info volume;
	bool cloned; /* then what the cut took: */
	uint64_t fence_us;
	struct cut_times times;
};
/* With `from` among the options: a clone. */
int volumes_create(struct daemon *d, const char *name, const struct volume_options *opts, struct volumes_made *ret,
		   struct err *err);
int volumes_clone(struct daemon *d, const char *volume, const char *snapshot, const char *name,
		  const struct volume_options *opts, struct volumes_made *ret, struct err *err);

/* -EBUSY, with who it is, while files are open or mapped, for whatever, or a container engine has it mounted, and while a
 * snapshot is held. */
enum {
	VOLUMES_FORCE = 1 /* whoever uses it; a held snapshot still refuses */,
	VOLUMES_IGNORE_USES = 2,
	VOLUMES_PURGE = 4 /* not into the trash */
};
int volumes_remove(struct daemon *d, const char *name, unsigned flags, struct volume_info *ret, struct err *err);
/* Out of the trash, as `new_name`. */
int volumes_undelete(struct daemon *d, const char *name, const char *new_name, struct volume_info *ret,
		     struct err *err);
/* A draft becomes a volume, or a volume's content, as draft_publish says; an -EBUSY names who has files open. */
int volumes_publish(struct daemon *d, const struct draft *draft, char ret_saved[VOLUME_NAME_MAX + 1],
		    struct volume_info *ret, struct err *err);
/* Adds to an -EBUSY error who has files of the volume open for writing. */
void volumes_name_writers(struct daemon *d, const char *name, const char *what_to_do, struct err *err);
/* -EBUSY while a container engine, which knows it by its name, has it mounted. */
int volumes_rename(struct daemon *d, const char *name, const char *new_name, struct err *err);
int volumes_set(struct daemon *d, const char *name, const struct volume_options *opts, struct volume_info *ret,
		struct err *err);

/* Where programs find its files. */
void volumes_mountpoint(const struct daemon *d, const char *name, bool tmpfs, char ret[PATH_MAX]);

#endif
