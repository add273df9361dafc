/* The mount itself: /dev/fuse, mount(2), umount(2). */
#ifndef VARVE_FS_MOUNT_H
#define VARVE_FS_MOUNT_H

#include <stdbool.h>

#include "store/base/err.h"

/* Makes the mount point ready: made if missing, and freed of the mount that a dead daemon left behind. */
/* Makes the folder and those above it that are missing. */
int mount_make_dirs(const char *dir, struct err *err);
int mount_prepare(const char *dir, struct err *err);
/* Opens /dev/fuse and mounts it on dir. *ret_fd is the connection. */
int mount_fuse(const char *dir, int *ret_fd, struct err *err);
/* Takes the mount away; when something still uses it, lazily: *ret_busy is set. Needs the workers. */
int mount_detach(const char *dir, bool *ret_busy);
/* Whether something is mounted on a folder in dir's filesystem, in any mount namespace that can be seen. True when in
 * doubt. */
bool mount_has_inner(const char *dir);
/* The kernel offers 128 KiB of read-ahead; cold reads want more. Needs the workers. */
void mount_set_read_ahead(const char *dir);

#endif
