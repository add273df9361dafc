/* Going into the background, and telling whoever waits that the daemon serves: the parent process, a pidfile, systemd.
 */
#ifndef VARVE_FS_READY_H
#define VARVE_FS_READY_H

#include <stdbool.h>

#include "fs/options.h"

/* Forks; call before any thread is started. The parent waits for the child's word and exits (0 once ready_tell was
 * called, else 1). In the child: *ret_fd for ready_tell. Errors are printed to stderr by the child until then. */
int ready_fork(int *ret_fd, struct err *err);
/* The volumes are mounted: the pidfile, systemd, and whoever waits at fd (ready_fork's, or -1 in the foreground). */
int ready_tell(int fd, const struct options *o, struct err *err);
/* Leaves the terminal, when not in the foreground: stdin and stdout, and stderr unless it is the log. */
void ready_detach(const struct options *o);
/* The end begins. */
void ready_stopping(void);
/* Removes the pidfile. */
void ready_gone(const struct options *o);

#endif
