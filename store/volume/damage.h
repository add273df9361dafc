/* Private to store/volume: saying what a damaged chunk means for people. */
#ifndef VARVE_VOLUME_DAMAGE_H
#define VARVE_VOLUME_DAMAGE_H

#include "store/volume/store_internal.h"

/* Logs that a chunk which file `node` has near `off` cannot be read right: its volume and path, and the other volumes and snapshots that show
 * the chunk in the same file. Each chunk once while it is among the last few. No lock held. */
void damage_report(struct store *s, uint64_t node, int64_t off, uint64_t chunk, const struct chunk_loc *loc);

#endif
