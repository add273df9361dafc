/* The store's own check, which must find nothing. */
#ifndef VARVE_MODEL_CHECKUP_H
#define VARVE_MODEL_CHECKUP_H

#include "tests/model/run.h"

void checkup_store(struct run *r, bool data);
/* Background work: some steps of it, or all there is. */
bool checkup_maintain(struct run *r);
void checkup_maintain_all(struct run *r);

/* All that is dead given back, as by varve gc. */
bool checkup_collect(struct run *r);

#endif
