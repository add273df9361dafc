/* varve snapshot …: instants of volumes. */
#include <stdio.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "tools/api_client.h"
#include "tools/name.h"
#include "tools/output.h"

/* The words as {"snapshots":[{volume,name}…]}; the one name that was given serves all volumes that have none. */
static int create_body(const struct args *args, json_t **ret, struct err *err)
{
	json_auto_t *list = json_array();
	const char *shared = "", *bare = NULL;
	bool several = false;
	struct name name;
	int rc;

	for (int w = 0; w < args->n_words; w++) {
		const char *at = strchr(args->words[w], '@');

		rc = name_split(args->words[w], &name, err);
		if (rc < 0)
			return rc;
		if (!at)
			bare = args->words[w];
		else if (*shared && strcmp(shared, at + 1) != 0)
			several = true;
		else
			shared = at + 1;
	}
	if (several && bare)
		return err_set(err, EUSAGE, "which of the names is for '%s'? write %s@NAME", bare, bare);
	for (int w = 0; w < args->n_words; w++) {
		json_t *one;

		rc = name_split(args->words[w], &name, err);
		if (rc < 0)
			return rc;
		one = json_pack("{s:s,s:s}", "volume", name.volume, "name", name.snapshot[0] ? name.snapshot : shared);
		if (json_array_append_new(list, one) < 0)
			return err_set(err, ENOMEM, "out of memory");
	}
	*ret = json_pack("{s:O}", "snapshots", list);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int snapshot_create(struct cli *cli, const struct args *args, struct err *err)
{
	json_auto_t *body = NULL;
	json_auto_t *answer = NULL;
	json_t *s;
	size_t i;
	int rc = create_body(args, &body, err);

	if (rc == 0)
		rc = api_call(cli->api, "POST", body, &answer, err, "/v1/snapshots");
	if (rc < 0)
		return rc;
	if (cli->flags & CLI_JSON) {
		output_json(answer);
		return 0;
	}
	json_array_foreach(json_object_get(answer, "snapshots"), i, s)
		(void)printf("%s@%s\n", api_str(s, "volume"), api_str(s, "name"));
	json_array_foreach(json_object_get(answer, "copied"), i, s)
		output_note(cli, "%s is a tmpfs: its files were copied one after the other, which is no instant",
			    json_string_value(s));
	output_times(cli, answer);
	return 0;
}

/* What the listing cannot know: the bytes that only this snapshot holds, asked for one by one. */
static int add_unique(struct cli *cli, json_t *list, struct err *err)
{
	json_t *s;
	size_t i;

	json_array_foreach(list, i, s) {
		json_auto_t *one = NULL;
		int rc = api_call(cli->api, "GET", NULL, &one, err, "/v1/snapshots/%s/%s", api_str(s, "volume"),
				  api_str(s, "name"));

		if (rc < 0)
			return rc;
		if (json_object_set_new(s, "unique_bytes", json_integer(api_int(one, "unique_bytes"))) < 0)
			return err_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

static void list_row(const struct cli *cli, struct table *t, const json_t *s, bool unique)
{
	char text[FORMAT_MAX];
	bool held = json_is_true(json_object_get(s, "held")), automatic = json_is_true(json_object_get(s, "automatic"));

	table_cell(t, "%s@%s", api_str(s, "volume"), api_str(s, "name"));
	table_cell(t, "%s", format_time(text, api_int(s, "created")));
	table_cell(t, "%s", output_size(cli, text, api_int(s, "bytes")));
	if (unique)
		table_cell(t, "%s", output_size(cli, text, api_int(s, "unique_bytes")));
	table_cell(t, "%lld", (long long)api_int(s, "inodes"));
	table_cell(t, "%lld", (long long)api_int(s, "clones"));
	table_cell(t, "%s%s%s", held ? "held" : "", held && automatic ? "," : "", automatic ? "automatic" : "");
}

static int list_print(const struct cli *cli, const json_t *list, bool unique, struct err *err)
{
	AUTO_TABLE struct table *t = NULL;
	json_t *s;
	size_t i;

	if (table_new(&t) < 0)
		return err_set(err, ENOMEM, "out of memory");
	table_column(t, "NAME", 0);
	table_column(t, "CREATED", 0);
	table_column(t, "SIZE", TABLE_RIGHT);
	if (unique)
		table_column(t, "UNIQUE", TABLE_RIGHT);
	table_column(t, "INODES", TABLE_RIGHT | TABLE_OPTIONAL);
	table_column(t, "CLONES", TABLE_RIGHT | TABLE_OPTIONAL);
	table_column(t, "STATE", TABLE_OPTIONAL);
	json_array_foreach(list, i, s)
		list_row(cli, t, s, unique);
	return output_table(t, err);
}

static int snapshot_ls(struct cli *cli, const struct args *args, struct err *err)
{
	json_auto_t *answer = NULL;
	json_t *list, *s;
	bool unique = args_has(args, "unique");
	size_t i;
	int rc = args->n_words ? name_check("volume", args->words[0], err) : 0;

	if (rc == 0 && args->n_words)
		rc = api_call(cli->api, "GET", NULL, &answer, err, "/v1/snapshots?volume=%s", args->words[0]);
	else if (rc == 0)
		rc = api_call(cli->api, "GET", NULL, &answer, err, "/v1/snapshots");
	if (rc < 0)
		return rc;
	list = json_object_get(answer, "snapshots");
	if (unique && !(cli->flags & CLI_QUIET))
		rc = add_unique(cli, list, err);
	if (rc < 0)
		return rc;
	if (cli->flags & CLI_JSON) {
		output_json(answer);
		return 0;
	}
	if (cli->flags & CLI_QUIET) {
		json_array_foreach(list, i, s)
			(void)printf("%s@%s\n", api_str(s, "volume"), api_str(s, "name"));
		return 0;
	}
	if (json_array_size(list) == 0) {
		output_note(cli, "There are no snapshots; 'varve snapshot create VOL' takes one");
		return 0;
	}
	return list_print(cli, list, unique, err);
}

/* Says what goes with the snapshot, and asks. */
static int remove_confirm(struct cli *cli, const struct name *name, struct err *err)
{
	json_auto_t *s = NULL;
	char size[FORMAT_MAX], clones[FORMAT_MAX];
	int rc = api_call(cli->api, "GET", NULL, &s, err, "/v1/snapshots/%s/%s", name->volume, name->snapshot);

	/* A held one will be refused, with the reason: nothing to ask. */
	if (rc < 0 || json_is_true(json_object_get(s, "held")))
		return rc;
	if (api_int(s, "clones") > 0)
		return output_confirm(cli, err, "Removing snapshot %s@%s; its data stays with %s of it", name->volume,
				      name->snapshot, output_count(clones, api_int(s, "clones"), "clone"));
	return output_confirm(cli, err, "Removing snapshot %s@%s frees %s", name->volume, name->snapshot,
			      output_size(cli, size, api_int(s, "unique_bytes")));
}

/* One request about one snapshot; its answer is appended to `all`. */
typedef int (*snapshot_fn)(struct cli *cli, const struct name *name, json_t **ret, struct err *err);

static int remove_one(struct cli *cli, const struct name *name, json_t **ret, struct err *err)
{
	int rc = output_confirm_seen(cli) ? remove_confirm(cli, name, err) : 0;

	return rc < 0 ? rc
		      : api_call(cli->api, "DELETE", NULL, ret, err, "/v1/snapshots/%s/%s", name->volume,
				 name->snapshot);
}

static int hold_one(struct cli *cli, const struct name *name, json_t **ret, struct err *err)
{
	return api_call(cli->api, "POST", NULL, ret, err, "/v1/snapshots/%s/%s/hold", name->volume, name->snapshot);
}

static int release_one(struct cli *cli, const struct name *name, json_t **ret, struct err *err)
{
	return api_call(cli->api, "POST", NULL, ret, err, "/v1/snapshots/%s/%s/release", name->volume, name->snapshot);
}

/* Does it to each snapshot named; goes on after a failure, as rm does, and each error is reported where it happens. */
static int each(struct cli *cli, const struct args *args, const char *command, snapshot_fn fn, struct err *err)
{
	json_auto_t *all = json_array();
	int failed = 0;

	for (int w = 0; w < args->n_words; w++) {
		json_t *answer = NULL;
		struct name name;
		int rc;

		rc = name_split_snapshot(args->words[w], &name, err);
		if (rc == 0)
			rc = fn(cli, &name, &answer, err);
		if (rc == -ENOTCONN)
			return rc;
		if (rc == 0 && json_array_append_new(all, answer) < 0)
			rc = err_set(err, ENOMEM, "out of memory");
		if (rc == 0 && !(cli->flags & CLI_JSON))
			(void)printf("%s\n", args->words[w]);
		if (rc < 0) {
			output_err(cli, command, err);
			failed = rc;
		}
	}
	if (cli->flags & CLI_JSON)
		output_json(all);
	return failed;
}

static int snapshot_rm(struct cli *cli, const struct args *args, struct err *err)
{
	return each(cli, args, "varve snapshot rm", remove_one, err);
}

static int snapshot_hold(struct cli *cli, const struct args *args, struct err *err)
{
	return each(cli, args, "varve snapshot hold", hold_one, err);
}

static int snapshot_release(struct cli *cli, const struct args *args, struct err *err)
{
	return each(cli, args, "varve snapshot release", release_one, err);
}

static const struct args_option ls_options[] = {
	{"unique", 'u', NULL, "also how many bytes only this snapshot holds"},
	{0},
};

static const struct command subcommands[] = {
	{.name = "create",
	 .fn = snapshot_create,
	 .synopsis = "VOL[@NAME]…",
	 .help = "take a snapshot of volumes, all at one instant",
	 .details = "One NAME serves all volumes that are given without; with no NAME at all the time (UTC) is the\n"
		    "name. It holds everything written before, page cache included, and is durable when this returns.",
	 .also = "take new add make",
	 .words_min = 1,
	 .words_max = -1},
	{.name = "ls",
	 .fn = snapshot_ls,
	 .synopsis = "[VOL]",
	 .help = "list snapshots, oldest first",
	 .options = ls_options,
	 .also = "list show",
	 .words_max = 1},
	{.name = "rm",
	 .fn = snapshot_rm,
	 .synopsis = "VOL@NAME…",
	 .help = "remove snapshots",
	 .details = "On a terminal it says what that frees and asks first, unless --yes is given. A held snapshot is\n"
		    "not removed. The data of one that has clones stays for as long as they need it.",
	 .also = "remove delete destroy del",
	 .words_min = 1,
	 .words_max = -1},
	{.name = "hold",
	 .fn = snapshot_hold,
	 .synopsis = "VOL@NAME…",
	 .help = "keep snapshots from being removed",
	 .also = "keep lock protect",
	 .words_min = 1,
	 .words_max = -1},
	{.name = "release",
	 .fn = snapshot_release,
	 .synopsis = "VOL@NAME…",
	 .help = "let held snapshots be removed again",
	 .also = "unhold unlock",
	 .words_min = 1,
	 .words_max = -1},
	{0},
};

const struct command cmd_snapshot = {
	.name = "snapshot",
	.help = "take, list, hold and remove snapshots",
	.sub = subcommands,
	.also = "snap snapshots",
};
