/* Private to store/volume: space on the host filesystem that is kept for a commit, so that what deletes can be made durable on a full disk. */
#ifndef VARVE_VOLUME_RESERVE_H
#define VARVE_VOLUME_RESERVE_H

#include "store/volume/store_internal.h"

/* Takes it, a file of RESERVE_SIZE, unless it is there or the host filesystem has little left. Never an error: there may be room later.
 * drain_lock held. */
void reserve_take(struct store *s);
/* Gives it back to the host filesystem. False when there was none. drain_lock held. */
bool reserve_give(struct store *s);

#endif
