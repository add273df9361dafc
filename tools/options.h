/* The -o KEY=VALUE options of volumes, as the daemon takes them. Which keys there are is the daemon's business. */
#ifndef VARVE_TOOLS_OPTIONS_H
#define VARVE_TOOLS_OPTIONS_H

#include <jansson.h>

#include "tools/args.h"

/* All that were given with -o, as a new object of strings. 0, -EUSAGE or -ENOMEM. */
int options_collect(const struct args *args, json_t **ret, struct err *err);
/* Adds one KEY=VALUE; a key may be given once. */
int options_add(json_t *options, const char *text, struct err *err);

#endif
