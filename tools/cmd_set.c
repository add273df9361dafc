/* varve set: the store's own settings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "tools/api_client.h"
#include "tools/output.h"

static int show(struct cli *cli, struct err *err)
{
	json_auto_t *answer = NULL;
	const char *key;
	json_t *value;
	int rc = api_call(cli->api, "GET", NULL, &answer, err, "/v1/settings");

	if (rc < 0)
		return rc;
	if (cli->flags & CLI_JSON) {
		output_json(answer);
		return 0;
	}
	json_object_foreach(answer, key, value)
		(void)printf("%s=%lld\n", key, (long long)json_integer_value(value));
	return 0;
}

/* All settings are whole numbers so far. */
static int add(json_t *body, const char *text, struct err *err)
{
	AUTO_FREE char *key = strdup(text);
	char *equals = key ? strchr(key, '=') : NULL, *end;
	long long n;

	if (!key)
		return err_set(err, ENOMEM, "out of memory");
	if (!equals || equals == key)
		return err_set(err, EUSAGE, "'%s' is not KEY=VALUE", text);
	*equals++ = '\0';
	if (strcmp(key, "trash-days") != 0) {
		err_set(err, EINVAL, "there is no setting '%s'", key);
		err_hint(err, "known settings: trash-days=7");
		return -EINVAL;
	}
	n = strtoll(equals, &end, 10);
	if (!*equals || *end)
		return err_set(err, EINVAL, "%s takes a number of days, not '%s'", key, equals);
	return json_object_set_new(body, key, json_integer(n)) ? err_set(err, ENOMEM, "out of memory") : 0;
}

static int set_run(struct cli *cli, const struct args *args, struct err *err)
{
	json_auto_t *body = json_object();
	json_auto_t *answer = NULL;
	int rc = 0;

	if (!args->n_words)
		return show(cli, err);
	for (int w = 0; w < args->n_words && rc == 0; w++)
		rc = add(body, args->words[w], err);
	if (rc == 0)
		rc = api_call(cli->api, "POST", body, &answer, err, "/v1/settings");
	if (rc == 0 && cli->flags & CLI_JSON)
		output_json(answer);
	return rc;
}

const struct command cmd_set = {
	.name = "set",
	.fn = set_run,
	.synopsis = "[KEY=VALUE…]",
	.help = "show or change the store's settings",
	.details = "trash-days: how many days a removed volume can be brought back (7; 0: not at all).",
	.also = "config settings",
	.words_max = -1,
};
