/* varve clone: a new volume that begins as another one, or as a snapshot of it. */
#include <stdio.h>

#include "store/base/cleanup.h"
#include "tools/api_client.h"
#include "tools/name.h"
#include "tools/options.h"
#include "tools/output.h"

static int clone_run(struct cli *cli, const struct args *args, struct err *err)
{
	const char *new_name = args->words[1];
	json_auto_t *set = NULL;
	json_auto_t *body = NULL;
	json_auto_t *answer = NULL;
	struct name source;
	int rc = name_split(args->words[0], &source, err);

	if (rc == 0)
		rc = name_check("volume", new_name, err);
	if (rc == 0)
		rc = options_collect(args, &set, err);
	if (rc < 0)
		return rc;
	body = json_pack("{s:s,s:s,s:O}", "name", new_name, "snapshot", source.snapshot, "options", set);
	rc = api_call(cli->api, "POST", body, &answer, err, "/v1/volumes/%s/clone", source.volume);
	if (rc < 0)
		return rc;
	if (cli->flags & CLI_JSON) {
		output_json(answer);
		return 0;
	}
	(void)printf("%s\n", new_name);
	output_times(cli, answer);
	return 0;
}

static const struct args_option options[] = {
	{"option", 'o', "KEY=VALUE", "a property of the new volume; may be repeated"},
	{0},
};

const struct command cmd_clone = {
	.name = "clone",
	.fn = clone_run,
	.synopsis = "VOL[@SNAP] NEW [-o KEY=VALUE]…",
	.help = "make a volume that begins as another one, or as its snapshot",
	.details = "It takes no space until one of the two changes. Each lives on by itself: either may be removed.",
	.options = options,
	.also = "copy cp fork branch",
	.words_min = 2,
	.words_max = 2,
};
