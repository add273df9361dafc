/* Quotas, filled to the last inode and byte. */
#ifndef VARVE_MODEL_QUOTAS_H
#define VARVE_MODEL_QUOTAS_H

#include "tests/model/run.h"

bool quotas_inodes(struct run *r);
bool quotas_bytes(struct run *r);

#endif
