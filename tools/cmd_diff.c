/* varve diff: what changed between two instants of a volume. */
#include <stdio.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "tools/api_client.h"
#include "tools/name.h"
#include "tools/output.h"

/* "content, attributes" */
static void print_what(const json_t *change)
{
	const char *before = "\t(";
	json_t *what;
	size_t i;

	json_array_foreach(json_object_get(change, "what"), i, what) {
		(void)printf("%s%s", before, json_string_value(what));
		before = ", ";
	}
	if (i > 0)
		(void)putchar(')');
}

static int print_change(const json_t *change, bool details, struct err *err)
{
	AUTO_FREE char *path = format_escape(api_str(change, "path"));
	AUTO_FREE char *new_path = format_escape(api_str(change, "new_path"));

	if (!path || !new_path)
		return err_set(err, ENOMEM, "out of memory");
	(void)printf("%s ", api_str(change, "kind"));
	if (details)
		(void)printf("%-9s ", api_str(change, "type"));
	(void)printf("%s", path);
	if (*new_path)
		(void)printf(" -> %s", new_path);
	if (details)
		print_what(change);
	(void)putchar('\n');
	return 0;
}

static int diff_run(struct cli *cli, const struct args *args, struct err *err)
{
	json_auto_t *answer = NULL;
	struct name from, to;
	json_t *change;
	size_t i;
	int rc = name_split_snapshot(args->words[0], &from, err);

	if (rc == 0)
		rc = name_split(args->n_words > 1 ? args->words[1] : from.volume, &to, err);
	if (rc == 0)
		rc = api_call(cli->api, "GET", NULL, &answer, err, "/v1/diff?from=%s&to=%s", args->words[0],
			      args->n_words > 1 ? args->words[1] : from.volume);
	if (rc < 0)
		return rc;
	if (cli->flags & CLI_JSON) {
		output_json(answer);
		return 0;
	}
	json_array_foreach(json_object_get(answer, "changes"), i, change) {
		rc = print_change(change, args_has(args, "long"), err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static const struct args_option options[] = {
	{"long", 'l', NULL, "also the type, and what of it changed"},
	{0},
};

const struct command cmd_diff = {
	.name = "diff",
	.fn = diff_run,
	.synopsis = "VOL@A [VOL@B | VOL]",
	.help = "list what changed between two snapshots, or since one",
	.details = "  + PATH          made\n  - PATH          removed\n  M PATH          changed\n  R OLD -> NEW    "
		   "renamed\n\n"
		   "Without a second name the live volume is compared. Bytes that do not print are shown as \\n, \\t, "
		   "\\xHH.",
	.options = options,
	.also = "changes compare",
	.words_min = 1,
	.words_max = 2,
};
