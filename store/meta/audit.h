/* What must hold between the tables, recounted from the rows; for check. */
#ifndef VARVE_META_AUDIT_H
#define VARVE_META_AUDIT_H

#include "store/meta/chunk_table.h"

/* References against extent rows, extents against their chunks, versions of one key against each other, records in packs and on the
 * free list against each other, volumes and snapshots against branches, sums against rows: audit_count() parts, numbered from 0, each
 * of which looks at one instant. Says each finding through fn, as a line that is valid during the call. Cost: up to a pass over
 * extents and chunks each. */
unsigned audit_count(void);
int audit_tables(struct meta *m, unsigned part, void (*fn)(void *arg, const char *line), void *arg);

#endif
