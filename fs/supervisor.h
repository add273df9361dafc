/* The process that stays: it holds the connection to the kernel, the listening sockets and the memory that outlives the
 * daemon, and sees to it that there is a daemon. Knows nothing of a store but that it has the claim on it. */
#ifndef VARVE_FS_SUPERVISOR_H
#define VARVE_FS_SUPERVISOR_H

#include "fs/options.h"

/* Until the end; the process's exit status. ready_fd is ready_fork's, or -1; argv and start_dir (the folder that it was
 * started in) are for the program that may take this one's place. */
int supervisor_run(const struct options *o, char **argv, const char *start_dir, int ready_fd);

/* In a program that was executed to take another one's place: >0 with the exit status when it was executed as a
 * supervisor or as a daemon, and has ended. 0: it is an ordinary start. */
int supervisor_resume(const struct options *o, char **argv, const char *start_dir, int *ret_status);

#endif
