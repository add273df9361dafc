/* What must hold between the tables, recounted from the rows; for check. */
#ifndef VARVE_META_AUDIT_H
#define VARVE_META_AUDIT_H

#include "store/meta/chunk_table.h"

/* References against extent rows, extents against their chunks, versions of one key against each other, records in packs and on the
 * free list against each other, volumes and snapshots against branches, sums against rows. Says each finding through fn, as a line
 * that is valid during the call. Cost: some passes over extents and chunks. */
int audit_tables(struct meta *m, void (*fn)(void *arg, const char *line), void *arg);

#endif
