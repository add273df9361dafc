/* Subcommands of 'varve volume' for what is in the trash. */
#ifndef VARVE_TOOLS_CMD_TRASH_H
#define VARVE_TOOLS_CMD_TRASH_H

#include "tools/cli.h"

int cmd_trash_ls(struct cli *cli, struct err *err);
int cmd_trash_undelete(struct cli *cli, const struct args *args, struct err *err);
int cmd_trash_purge(struct cli *cli, const struct args *args, struct err *err);

#endif
