/* Long work in the daemon, waited for. One thread. */
#ifndef VARVE_TOOLS_JOB_H
#define VARVE_TOOLS_JOB_H

#include <jansson.h>

#include "tools/cli.h"

/* Waits for the job of an answer ({"job":…}) and shows how far it is, its messages as they come. 0 with *ret, its result (a new reference), and
 * *ret_messages when wanted; else the job's error. */
int job_wait(struct cli *cli, const char *label, const json_t *answer, json_t **ret, json_t **ret_messages, struct err *err);

#endif
