/* varve as a plugin of the docker command, when it is called docker-varve: `docker varve …`. What docker asks of a
 * plugin beyond running it: what it is, and what may come next on a command line. */
#ifndef VARVE_TOOLS_DOCKER_PLUGIN_H
#define VARVE_TOOLS_DOCKER_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "tools/cli.h"

bool docker_plugin_called(const char *argv0);
/* Takes docker's own words off the command line: the program's name is left in front, as for any program. >=0: it was
 * one of docker's questions, which is answered, and this is the exit status. */
int docker_plugin_begin(struct cli *cli, const struct command *const commands[], size_t n, int *argc, char ***argv);

#endif
