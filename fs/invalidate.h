/* Telling the kernel what changed behind its back: it keeps names, absent ones too, attributes and listings for a day.
 * Call these from a thread that holds no lock that a request takes, and that is no FUSE worker. They cannot fail in a
 * way that a caller could mend: what the kernel does not know needs no telling, and the rest is logged. */
#ifndef VARVE_FS_INVALIDATE_H
#define VARVE_FS_INVALIDATE_H

#include "fs/daemon.h"

/* A name in a folder came, went, or means something else. */
void invalidate_name(struct daemon *d, uint64_t parent, const char *name);
/* A snapshot of the volume with this root came or went. */
void invalidate_snapshot(struct daemon *d, uint64_t volume_root, const char *snapshot);
/* A node's attributes changed, and nothing else. Takes no lock of the inode: workers may call it. */
void invalidate_attr(struct daemon *d, uint64_t node);
/* The volume with this root shows another state; `saved` is the snapshot of the one before. */
void invalidate_rollback(struct daemon *d, uint64_t volume_root, const char *saved);

#endif
