/* After a power cut: which of the remembered states the store shows, and whether every file holds what it may. */
#ifndef VARVE_MODEL_SURVIVE_H
#define VARVE_MODEL_SURVIVE_H

#include "tests/model/run.h"

/* Fails the run unless the store's metadata is one of the remembered states, at least as new as the last sync, and each file's contents
 * are made of what was written since its own last sync. Then that is the model's state. */
void survive_match(struct run *r);

#endif
