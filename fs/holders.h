/* Who keeps a volume busy, for messages: processes with files open for writing, and mounts of it in containers. What is
 * read from /proc is of that moment. Any thread that holds no lock a request takes. */
#ifndef VARVE_FS_HOLDERS_H
#define VARVE_FS_HOLDERS_H

#include "fs/daemon.h"

#define HOLDER_COMMAND_MAX 64

/* The name of the process that a thread belongs to, and its id; "" and the thread's own when it is gone. */
void holders_process(uint32_t tid, char command[HOLDER_COMMAND_MAX], int *ret_pid);
/* Turns *err into an -EBUSY error that says which files of the volume are open for writing, and by whom; leaves it as
 * it is when there are none any more. */
void holders_name_writers(struct daemon *d, const char *volume, int64_t volume_id, const char *what_to_do,
			  struct err *err);
/* "container 0123456789ab (process 7, redis-server), …" for each other place where the folder, or one below it, is
 * mounted: in mount namespaces that do not show it at `folder` itself. "" when there is none. */
void holders_of_mount(const char *folder, char *out, size_t size);
/* "/dump.rdb (process 7, redis-server), …": files of the volume that processes have open or mapped, whatever for. Nothing
 * is asked of the mount. "" when none. */
void holders_of_volume(struct daemon *d, int64_t volume_id, char *out, size_t size);
/* "dump.rdb (process 7, redis-server), …": files open on the filesystem that is mounted at `folder`. "" when none. */
void holders_of_files(const char *folder, char *out, size_t size);

#endif
