/* The API of fs/API.md: routes, and how answers and errors look. */
#ifndef VARVE_FS_API_H
#define VARVE_FS_API_H

#include "fs/daemon.h"

struct api;

/* Serves what connects to the daemon's API listener. */
int api_start(struct daemon *d, struct api **ret, struct err *err);
/* Takes no more requests and finishes those that are running; jobs go on. */
void api_quiesce(struct api *api);
/* The same, and waits for the jobs. */
void api_stop(struct api *api);

#endif
