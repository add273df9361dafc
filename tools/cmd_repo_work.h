/* Work on a repository in this process, with a progress bar. One thread. */
#ifndef VARVE_TOOLS_CMD_REPO_WORK_H
#define VARVE_TOOLS_CMD_REPO_WORK_H

#include "store/repo/repo.h"
#include "tools/cli.h"

/* Runs fn(arg, err) in a thread of its own and shows how far `p` is. */
int repo_work(struct cli *cli, const char *label, struct repo_progress *p, int (*fn)(void *arg, struct err *err), void *arg,
	      struct err *err);

static inline void repo_cleanup(struct repo **r)
{
	repo_free(*r);
}
#define AUTO_REPO __attribute__((cleanup(repo_cleanup)))

#endif
