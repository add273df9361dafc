/* Which snapshots of a repository a policy keeps. Forgetting removes records only; what they alone needed goes with a
 * prune. */
#ifndef VARVE_REPO_FORGET_H
#define VARVE_REPO_FORGET_H

#include "store/repo/repo.h"

enum forget_period { FORGET_HOURLY, FORGET_DAILY, FORGET_WEEKLY, FORGET_MONTHLY, FORGET_YEARLY, FORGET_PERIODS };
struct forget_policy {
	unsigned last;                 /* the newest so many of each volume */
	unsigned each[FORGET_PERIODS]; /* the newest of each of the newest so many hours, days … that have one */
};
/* keep[i] for list[i], which is as repo_snapshot_list gives it. Periods are in local time; each volume by itself. */
void forget_select(const struct forget_policy *policy, const struct repo_entry *list, size_t n, bool *keep);

#endif
