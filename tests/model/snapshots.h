/* Operations on snapshots, and rollback. */
#ifndef VARVE_MODEL_SNAPSHOTS_H
#define VARVE_MODEL_SNAPSHOTS_H

#include "tests/model/run.h"

bool snapshots_create(struct run *r);
bool snapshots_remove(struct run *r);
bool snapshots_hold(struct run *r);
bool snapshots_rollback(struct run *r);
/* Snapshot, rollback, and again, until the lineage is deeper than is left alone. */
bool snapshots_deepen(struct run *r);

#endif
