/* The processes of this machine, as far as /proc shows them, at that moment. Any thread; nothing is asked of the mount. */
#ifndef VARVE_FS_PROCESSES_H
#define VARVE_FS_PROCESSES_H

#include <stdbool.h>

/* Calls fn with each process's id, its folder in /proc, until it says false. -errno when there is no /proc. */
int processes_each(bool (*fn)(void *arg, const char *pid), void *arg);
/* The same with one process of each mount namespace. */
int processes_each_namespace(bool (*fn)(void *arg, const char *pid), void *arg);

#endif
