/* What diff_views says, against the difference of the model's trees. */
#ifndef VARVE_MODEL_CHANGES_H
#define VARVE_MODEL_CHANGES_H

#include "tests/model/run.h"

bool changes_compare(struct run *r);

#endif
