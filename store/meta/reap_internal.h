/* Private to store/meta. */
#ifndef VARVE_META_REAP_INTERNAL_H
#define VARVE_META_REAP_INTERNAL_H

#include "store/meta/branch.h"

/* Deletes a branch that has no view, no row and no task left, which drops its view of the parent. */
int reap_branch_if_empty(struct meta *m, struct branch *b);

#endif
