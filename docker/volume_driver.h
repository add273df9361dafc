/* The Docker volume plugin: API v1 of volume drivers, on its own socket. It serves before the store is open and while it
 * is being closed: what only tells is answered from the catalog, what changes waits for the one and is refused in the
 * other. */
#ifndef VARVE_DOCKER_VOLUME_DRIVER_H
#define VARVE_DOCKER_VOLUME_DRIVER_H

#include "fs/daemon.h"

struct volume_driver;

/* Serves the plugin's socket. Call it before the store is opened. */
int volume_driver_start(struct daemon *d, struct volume_driver **ret, struct err *err);
/* The store can be read: what only tells is certain. NULL: not after all, nor later. */
int volume_driver_open(struct volume_driver *v, struct store *store, struct err *err);
/* It is open and mounted: what waited goes on. */
void volume_driver_attach(struct volume_driver *v);
/* The store is going to be closed: waits for changes that are running. Accepts NULL. */
void volume_driver_detach(struct volume_driver *v);
/* Waits for the requests that are running; those that wait for a store end without an answer. Accepts NULL. */
void volume_driver_stop(struct volume_driver *v);

#endif
