/* Reading a directory in pieces while its entries come and go. */
#ifndef VARVE_MODEL_LISTING_H
#define VARVE_MODEL_LISTING_H

#include "tests/model/run.h"

bool listing_resume(struct run *r);

#endif
