/* The mount itself: /dev/fuse, mount(2), umount(2). */
#ifndef VARVE_FS_MOUNT_H
#define VARVE_FS_MOUNT_H

#include <stdbool.h>
#include <sys/types.h>

#include "store/base/err.h"

/* Makes the mount point ready: made if missing, and freed of the mount that a dead daemon left behind. */
int mount_prepare(const char *dir, struct err *err);
/* Makes the folder and those above it that are missing. */
int mount_make_dirs(const char *dir, struct err *err);
/* Mounts a connection (/dev/fuse) that is not mounted yet on dir. */
int mount_fuse(const char *dir, int fuse_fd, struct err *err);
/* Takes the mount away; when something still uses it, lazily: *ret_busy is set. Needs the workers. */
int mount_detach(const char *dir, bool *ret_busy);
/* The mount's device. Needs the workers. -errno. */
int mount_device(const char *dir, dev_t *ret);
/* Whether something is mounted on a folder in the filesystem with this device, in any mount namespace that can be seen.
 * True when in doubt. */
bool mount_has_inner(dev_t device);
/* The kernel offers 128 KiB of read-ahead; cold reads want more. */
void mount_set_read_ahead(dev_t device);

#endif
