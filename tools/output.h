/* What a command prints: results on stdout, chatter and errors on stderr, both as JSON with --json. */
#ifndef VARVE_TOOLS_OUTPUT_H
#define VARVE_TOOLS_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>

#include "tools/cli.h"
#include "tools/format.h"
#include "tools/table.h"

/* A result as JSON, indented. */
void output_json(const json_t *value);
/* Chatter: one line on stderr, unless --quiet or --json. */
void output_note(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "varve COMMAND: text" and the hint below it, or {"error":…} with --json. An error is reported once: this clears its
 * text, and a second call prints nothing. */
void output_err(const struct cli *cli, const char *command, struct err *err);
/* The table on stdout, as wide as the terminal allows. 0 or -ENOMEM. */
int output_table(const struct table *t, struct err *err);
/* A size for people, or exact with --bytes. */
const char *output_size(const struct cli *cli, char out[FORMAT_MAX], int64_t bytes);
/* "1 file" "2 files" */
const char *output_count(char out[FORMAT_MAX], int64_t n, const char *noun);
/* "fence 3.1 ms, cut 1.2 ms …" as a note, from an answer with fence_us and cut. */
void output_times(const struct cli *cli, const json_t *answer);
/* Says what is about to happen, then asks when stdin and stderr are a terminal and there is no --yes. 0 to go on,
 * -ECANCELED. */
int output_confirm(const struct cli *cli, struct err *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Whether what output_confirm says will be seen by anyone: what it costs to find out need not be spent otherwise. */
bool output_confirm_seen(const struct cli *cli);
/* Reports results that could not be written (a full disk, a closed pipe). 0 or -errno. */
int output_finish(struct err *err);

#endif
