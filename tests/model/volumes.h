/* Operations on volumes. */
#ifndef VARVE_MODEL_VOLUMES_H
#define VARVE_MODEL_VOLUMES_H

#include "tests/model/run.h"

bool volumes_create(struct run *r);
bool volumes_remove(struct run *r);
bool volumes_undelete(struct run *r);
bool volumes_rename(struct run *r);
bool volumes_set(struct run *r);
bool volumes_clone(struct run *r);
bool volumes_statfs(struct run *r);

#endif
