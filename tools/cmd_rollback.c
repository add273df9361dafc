/* varve rollback: a volume as it was. */
#include <stdio.h>

#include "store/base/cleanup.h"
#include "tools/api_client.h"
#include "tools/name.h"
#include "tools/output.h"

static int confirm(struct cli *cli, const struct name *name, struct err *err)
{
	json_auto_t *v = NULL;
	json_auto_t *s = NULL;
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX];
	int rc = api_call(cli->api, "GET", NULL, &v, err, "/v1/volumes/%s", name->volume);

	if (rc == 0)
		rc = api_call(cli->api, "GET", NULL, &s, err, "/v1/snapshots/%s/%s", name->volume, name->snapshot);
	if (rc < 0)
		return rc;
	return output_confirm(
		cli, err, "Volume %s (now %s) goes back to %s, %s. What it holds now is kept as an automatic snapshot.",
		name->volume, output_size(cli, a, api_int(v, "bytes")), format_time(b, api_int(s, "created")),
		output_size(cli, c, api_int(s, "bytes")));
}

static int rollback_run(struct cli *cli, const struct args *args, struct err *err)
{
	json_auto_t *body = NULL;
	json_auto_t *answer = NULL;
	struct name name;
	int rc = name_split_snapshot(args->words[0], &name, err);

	if (rc == 0 && output_confirm_seen(cli))
		rc = confirm(cli, &name, err);
	if (rc < 0)
		return rc;
	body = json_pack("{s:s,s:b}", "snapshot", name.snapshot, "live", args_has(args, "live"));
	rc = api_call(cli->api, "POST", body, &answer, err, "/v1/volumes/%s/rollback", name.volume);
	if (rc < 0)
		return rc;
	if (cli->flags & CLI_JSON) {
		output_json(answer);
		return 0;
	}
	if (cli->flags & CLI_QUIET)
		(void)printf("%s@%s\n", name.volume, api_str(answer, "saved_as"));
	else
		(void)printf("%s is back at %s; the state before is %s@%s\n", name.volume, args->words[0], name.volume,
			     api_str(answer, "saved_as"));
	output_times(cli, answer);
	return 0;
}

static const struct args_option options[] = {
	{"live", 0, NULL, "even while files are open for writing"},
	{0},
};

const struct command cmd_rollback = {
	.name = "rollback",
	.fn = rollback_run,
	.synopsis = "VOL@SNAP [--live]",
	.help = "let a volume show a snapshot's state again",
	.details = "Nothing is lost: later snapshots stay, and the state before is kept as an automatic snapshot. It\n"
		   "refuses while files of the volume are open for writing, and names who has them open; with --live\n"
		   "it goes on, and writes through those open files fail from then on (ESTALE).",
	.options = options,
	.also = "restore revert undo reset",
	.words_min = 1,
	.words_max = 1,
};
