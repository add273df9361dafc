/* What keeps a repository in order: check, forget, prune. For cmd_repo.c's table. */
#ifndef VARVE_TOOLS_CMD_REPO_KEEP_H
#define VARVE_TOOLS_CMD_REPO_KEEP_H

#include "tools/cmd_repo_access.h"

extern const struct args_option repo_check_options[], repo_forget_options[], repo_prune_options[];
int repo_check_run(struct cli *cli, const struct args *args, struct err *err);
int repo_forget_run(struct cli *cli, const struct args *args, struct err *err);
int repo_prune_run(struct cli *cli, const struct args *args, struct err *err);

#endif
