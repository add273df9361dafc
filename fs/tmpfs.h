/* Volumes of type tmpfs: a kernel tmpfs each, under the folder of options.tmpfs. The store has their options, and
 * copies of their files where a snapshot was taken. They outlive the daemon, and end with their volume or with the
 * machine. */
#ifndef VARVE_FS_TMPFS_H
#define VARVE_FS_TMPFS_H

#include "fs/daemon.h"
#include "store/volume/volume.h"

void tmpfs_path(const struct daemon *d, const char *volume, char ret[PATH_MAX]);
/* Mounts it, empty, unless it is there: for volumes just made, and at each mount request. */
int tmpfs_ensure(struct daemon *d, const struct volume_info *v, struct err *err);
/* That for all volumes; what fails is logged. */
void tmpfs_ensure_all(struct daemon *d);
/* Size, owner and mode as the volume's options say now. */
int tmpfs_adjust(struct daemon *d, const struct volume_info *v, struct err *err);
/* Takes it away, whoever uses it. */
void tmpfs_drop(struct daemon *d, const char *volume);
/* Copies its files into the volume in the store, in place of what that holds. File after file while programs may write:
 * no instant. What vanishes meanwhile is left out. */
int tmpfs_save(struct daemon *d, const struct volume_info *v, struct err *err);
/* Copies the volume in the store into it, in place of its files. */
int tmpfs_load(struct daemon *d, const struct volume_info *v, struct err *err);
/* Bytes and inodes that it holds. */
int tmpfs_usage(const struct daemon *d, const char *volume, int64_t *ret_bytes, int64_t *ret_inodes);

#endif
