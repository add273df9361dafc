/* What a store's folder would hold after a power cut: remembers for each file the writes, truncations and punched holes since its last
 * sync, with what was there before, and for each folder the names made, renamed and removed since its own; so that any part of it can
 * be lost, and all of it brought back. A change of an unsynced file can be lost, kept, or torn at 512 bytes, whatever became of others;
 * that is what POSIX allows, and more than a journalling filesystem does.
 *
 * Making folders counts as durable at once. Files that lose their names wait in a folder `.heldN` of the store's. */
#ifndef VARVE_CRASH_DISK_H
#define VARVE_CRASH_DISK_H

#include "tests/crash/io_watch.h"
#include "tests/model/rng.h"

struct disk;

enum {
	DISK_KEEP = 1,    /* remembers what is synced as well, for disk_take_back */
	DISK_PUNCHED = 2, /* punched holes are done at once, and not remembered */
};
/* `level` tells the held folders of several disks of one store apart. */
struct disk *disk_new(const char *dir, int level, unsigned flags);
void disk_free(struct disk *d);
/* For the io_watch whose events it is given. */
struct tree *disk_tree(struct disk *d);

/* To be called before the change is made, for every event of an io_watch. */
void disk_event(struct disk *d, const struct disk_event *ev);
/* Makes the change, for events that come from a record. */
void disk_do(struct disk *d, const struct disk_event *ev);

/* The folder becomes what a power cut may leave. */
void disk_lose(struct disk *d, struct rng *rng);
/* The folder becomes what it was before disk_lose. */
void disk_redo(struct disk *d);
/* What is there now is durable. */
void disk_settle(struct disk *d);
/* The folder becomes what it was at disk_new (DISK_KEEP). */
void disk_take_back(struct disk *d);

#endif
