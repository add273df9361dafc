/* Reads a live volume of the store into a tree. */
#ifndef VARVE_MODEL_READBACK_H
#define VARVE_MODEL_READBACK_H

#include "tests/model/run.h"

struct mtree *readback_volume(struct run *r, uint64_t root_node);

#endif
