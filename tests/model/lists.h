/* The lists of volumes and snapshots, by name and through the directories that show them, compared with the model. */
#ifndef VARVE_MODEL_LISTS_H
#define VARVE_MODEL_LISTS_H

#include "tests/model/run.h"

void lists_compare(struct run *r);

#endif
