/* Removed volumes: 'varve volume ls --trash', undelete, purge. */
#include <stdio.h>
#include <string.h>

#include "tools/api_client.h"
#include "tools/cmd_trash.h"
#include "tools/name.h"
#include "tools/output.h"

static void trash_row(const struct cli *cli, struct table *t, const json_t *v)
{
	char a[FORMAT_MAX];
	int64_t held = api_int(v, "held_bytes");

	table_cell(t, "%s", api_str(v, "name"));
	table_cell(t, "%s", output_size(cli, a, api_int(v, "bytes")));
	table_cell(t, "%s", held < 0 ? "…" : output_size(cli, a, held));
	table_cell(t, "%lld", (long long)api_int(v, "snapshots"));
	table_cell(t, "%s", format_time(a, api_int(v, "removed")));
	table_cell(t, "%s", format_time(a, api_int(v, "expires")));
}

int cmd_trash_ls(struct cli *cli, struct err *err)
{
	json_auto_t *answer = NULL;
	AUTO_TABLE struct table *t = NULL;
	const json_t *list;
	json_t *v;
	size_t i;
	int rc = api_call(cli->api, "GET", NULL, &answer, err, "/v1/trash");

	if (rc < 0)
		return rc;
	list = json_object_get(answer, "trash");
	if (cli->flags & CLI_JSON) {
		output_json(answer);
		return 0;
	}
	if (cli->flags & CLI_QUIET) {
		json_array_foreach(list, i, v)
			(void)printf("%s\n", api_str(v, "name"));
		return 0;
	}
	if (json_array_size(list) == 0) {
		output_note(cli, "The trash is empty");
		return 0;
	}
	if (table_new(&t) < 0)
		return err_set(err, ENOMEM, "out of memory");
	table_column(t, "NAME", 0);
	table_column(t, "SIZE", TABLE_RIGHT);
	table_column(t, "HOLDS", TABLE_RIGHT);
	table_column(t, "SNAPSHOTS", TABLE_RIGHT | TABLE_OPTIONAL);
	table_column(t, "REMOVED", TABLE_OPTIONAL);
	table_column(t, "GONE AFTER", 0);
	json_array_foreach(list, i, v)
		trash_row(cli, t, v);
	return output_table(t, err);
}

int cmd_trash_undelete(struct cli *cli, const struct args *args, struct err *err)
{
	const char *name = args->words[0], *new_name = args->n_words > 1 ? args->words[1] : name;
	json_auto_t *body = NULL;
	json_auto_t *answer = NULL;
	int rc = name_check("volume", name, err);

	if (rc == 0)
		rc = name_check("volume", new_name, err);
	if (rc < 0)
		return rc;
	body = json_pack("{s:s}", "name", new_name);
	rc = api_call(cli->api, "POST", body, &answer, err, "/v1/trash/%s/undelete", name);
	if (rc == 0 && cli->flags & CLI_JSON)
		output_json(answer);
	else if (rc == 0)
		(void)printf("%s\n", new_name);
	return rc;
}

static int purge(struct cli *cli, const char *name_or_null, json_t **ret, struct err *err)
{
	int rc = name_or_null ? name_check("volume", name_or_null, err) : 0;

	if (rc == 0)
		rc = output_confirm(cli, err,
				    name_or_null ? "Volume %s goes from the trash for good"
						 : "All of the trash goes for good%s",
				    name_or_null ? name_or_null : "");
	if (rc < 0)
		return rc;
	return name_or_null ? api_call(cli->api, "DELETE", NULL, ret, err, "/v1/trash/%s", name_or_null)
			    : api_call(cli->api, "DELETE", NULL, ret, err, "/v1/trash");
}

int cmd_trash_purge(struct cli *cli, const struct args *args, struct err *err)
{
	json_auto_t *answer = NULL;
	bool all = args_has(args, "all");
	char count[FORMAT_MAX];
	int64_t n = 0;
	int rc = 0;

	if (all == (args->n_words > 0))
		return err_set(err, EUSAGE,
			       all ? "--all and names exclude each other" : "say which volume: NAME, or --all");
	for (int w = 0; w < (all ? 1 : args->n_words) && rc == 0; w++) {
		json_t *one = NULL;

		rc = purge(cli, all ? NULL : args->words[w], &one, err);
		n += api_int(one, "purged");
		json_decref(one);
	}
	if (rc < 0)
		return rc;
	if (cli->flags & CLI_JSON) {
		answer = json_pack("{s:I}", "purged", (json_int_t)n);
		output_json(answer);
	} else {
		output_note(cli, "%s purged; the space comes back in the background", output_count(count, n, "volume"));
	}
	return 0;
}
