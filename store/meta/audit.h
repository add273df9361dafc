/* What must hold between the tables, recounted from the rows; for check. */
#ifndef VARVE_META_AUDIT_H
#define VARVE_META_AUDIT_H

#include "store/meta/chunk_table.h"

/* References against extent rows, extents against their chunks, versions of one key against each other and against the views and tasks
 * that they are there for, rows of an inode against it, records in packs and on the free list against each other, volumes, snapshots,
 * numbers and branches against each other, sums and counters against rows: audit_count() parts, numbered from 0, each
 * of which looks at one instant. Says each finding through fn, as a line that is valid during the call. Cost: up to a pass over
 * extents and chunks each. */
unsigned audit_count(void);
int audit_tables(struct meta *m, unsigned part, void (*fn)(void *arg, const char *line), void *arg);
/* Calls fn for each pack that chunks live in, with where the last of them ends; a non-zero return ends it and is returned. */
int audit_pack_ends(struct meta *m, int (*fn)(void *arg, uint32_t pack, uint64_t end), void *arg);

#endif
