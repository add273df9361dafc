/* Private to store/volume and store/repo: which stretches of history lie between two views. Lock held.
 *
 * A view's lineage is its branch at its epoch, then each parent at the fork epoch (the origin, where flattening has cut the link). The first
 * branch that both lineages have is where their histories part: what changed is what changed on it between the two epochs, and on the branches
 * of either side above it. */
#ifndef VARVE_VOLUME_VIEW_HISTORY_H
#define VARVE_VOLUME_VIEW_HISTORY_H

#include "store/meta/branch.h"

/* Calls fn for each stretch (from, to] of a branch. *ret_whole: a flattened branch is among them, which changes the rows that it copied in
 * place, so that they do not tell when: whole views have to be compared. -EXDEV when the two have no common history. */
int view_history(struct meta *m, const struct meta_view *a, const struct meta_view *b,
		 int (*fn)(void *arg, int64_t branch, int64_t from, int64_t to), void *arg, bool *ret_whole);

#endif
