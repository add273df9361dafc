/* Waiting for the store at a start: one that is killed, or stopped, or an offline command's, is free in a moment. */
#ifndef VARVE_FS_TURN_H
#define VARVE_FS_TURN_H

#include "fs/options.h"

/* Takes the claim on the store (store/volume/claim.h): waits o->wait_s seconds for whoever has it and will let go, and a second
 * for a daemon that serves, which might just have been killed; says once whom it waits for. -EBUSY names the holder. ready_fd is
 * ready_fork's, or -1: -ECANCELED when who started this waits no more. */
int turn_wait(const struct options *o, int ready_fd, int *ret_claim_fd, struct err *err);

#endif
