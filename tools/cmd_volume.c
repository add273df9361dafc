/* varve volume …: the volumes of the store. */
#include <stdio.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "tools/api_client.h"
#include "tools/cmd_trash.h"
#include "tools/name.h"
#include "tools/options.h"
#include "tools/output.h"

static int volume_create(struct cli *cli, const struct args *args, struct err *err)
{
	const char *name = args->words[0], *from = args_value(args, "from");
	json_auto_t *options = NULL;
	json_auto_t *body = NULL;
	json_auto_t *answer = NULL;
	struct name source;
	int rc = name_check("volume", name, err);

	if (rc == 0)
		rc = options_collect(args, &options, err);
	if (rc == 0 && from) {
		rc = name_split(from, &source, err);
		if (rc == 0 && json_object_get(options, "from"))
			rc = err_set(err, EUSAGE, "--from and -o from=… say the same thing twice");
		if (rc == 0 && json_object_set_new(options, "from", json_string(from)) < 0)
			rc = err_set(err, ENOMEM, "out of memory");
	}
	if (rc < 0)
		return rc;
	body = json_pack("{s:s,s:O}", "name", name, "options", options);
	rc = api_call(cli->api, "POST", body, &answer, err, "/v1/volumes");
	if (rc < 0)
		return rc;
	if (cli->flags & CLI_JSON) {
		output_json(answer);
		return 0;
	}
	(void)printf("%s\n", name);
	output_times(cli, answer);
	return 0;
}

static void list_row(const struct cli *cli, struct table *t, const json_t *v)
{
	char text[FORMAT_MAX];
	int64_t quota = api_int(v, "quota");

	table_cell(t, "%s", api_str(v, "name"));
	table_cell(t, "%s", output_size(cli, text, api_int(v, "bytes")));
	table_cell(t, "%lld", (long long)api_int(v, "inodes"));
	table_cell(t, "%s", quota ? output_size(cli, text, quota) : "-");
	table_cell(t, "%lld", (long long)api_int(v, "snapshots"));
	table_cell(t, "%s", *api_str(v, "newest_snapshot") ? api_str(v, "newest_snapshot") : "-");
	table_cell(t, "%s", format_time(text, api_int(v, "created")));
	table_cell(t, "%s", *api_str(v, "origin") ? api_str(v, "origin") : "-");
}

static int volume_ls(struct cli *cli, const struct args *args, struct err *err)
{
	json_auto_t *answer = NULL;
	AUTO_TABLE struct table *t = NULL;
	const json_t *volumes;
	json_t *v;
	size_t i;
	int rc;

	if (args_has(args, "trash"))
		return cmd_trash_ls(cli, err);
	rc = api_call(cli->api, "GET", NULL, &answer, err, "/v1/volumes");
	if (rc < 0)
		return rc;
	volumes = json_object_get(answer, "volumes");
	if (cli->flags & CLI_JSON) {
		output_json(answer);
		return 0;
	}
	if (cli->flags & CLI_QUIET) {
		json_array_foreach(volumes, i, v)
			(void)printf("%s\n", api_str(v, "name"));
		return 0;
	}
	if (json_array_size(volumes) == 0) {
		output_note(cli, "There are no volumes; 'varve volume create NAME' makes one");
		return 0;
	}
	if (table_new(&t) < 0)
		return err_set(err, ENOMEM, "out of memory");
	table_column(t, "NAME", 0);
	table_column(t, "SIZE", TABLE_RIGHT);
	table_column(t, "INODES", TABLE_RIGHT | TABLE_OPTIONAL);
	table_column(t, "QUOTA", TABLE_RIGHT | TABLE_OPTIONAL);
	table_column(t, "SNAPSHOTS", TABLE_RIGHT);
	table_column(t, "NEWEST", 0);
	table_column(t, "CREATED", TABLE_OPTIONAL);
	table_column(t, "ORIGIN", TABLE_OPTIONAL);
	json_array_foreach(volumes, i, v)
		list_row(cli, t, v);
	return output_table(t, err);
}

static void print_field(const char *label, const char *text)
{
	(void)printf("  %-13s %s\n", label, text);
}

/* "1.0G used of 10G (10%)", or what is used alone. */
static void print_limit(const char *label, const char *used, int64_t used_n, const char *limit, int64_t limit_n)
{
	char text[3 * FORMAT_MAX];

	if (limit_n > 0)
		(void)snprintf(text, sizeof text, "%s of %s (%d%%)", used, limit,
			       (int)((double)used_n * 100 / (double)limit_n));
	else
		(void)snprintf(text, sizeof text, "%s", used);
	print_field(label, text);
}

static void inspect_print(const struct cli *cli, const json_t *v)
{
	char a[FORMAT_MAX], b[FORMAT_MAX], text[256];
	int64_t inodes = api_int(v, "inodes"), inodes_max = api_int(v, "quota_inodes");

	(void)printf("%s\n", api_str(v, "name"));
	print_field("Mount point", api_str(v, "mountpoint"));
	if (strcmp(api_str(v, "type"), "tmpfs") == 0)
		print_field("Type", "tmpfs: in memory, gone with the machine's start; snapshots of it are in the store");
	print_field("Created", format_time(a, api_int(v, "created")));
	print_limit("Size", output_size(cli, a, api_int(v, "bytes")), api_int(v, "bytes"),
		    output_size(cli, b, api_int(v, "quota")), api_int(v, "quota"));
	(void)snprintf(a, sizeof a, "%lld", (long long)inodes);
	(void)snprintf(b, sizeof b, "%lld", (long long)inodes_max);
	print_limit("Inodes", a, inodes, b, inodes_max);
	print_field("Compression", api_str(v, "compression"));
	(void)snprintf(text, sizeof text, *api_str(v, "newest_snapshot") ? "%lld, newest %s@%s" : "%lld",
		       (long long)api_int(v, "snapshots"), api_str(v, "name"), api_str(v, "newest_snapshot"));
	print_field("Snapshots", text);
	if (*api_str(v, "origin"))
		print_field("Origin", api_str(v, "origin"));
	(void)snprintf(text, sizeof text, "%lld", (long long)api_int(v, "depth"));
	print_field("Lineage depth", text);
	(void)snprintf(text, sizeof text, "%lld", (long long)api_int(v, "open_writers"));
	print_field("Open writers", text);
	(void)snprintf(text, sizeof text, "%lld", (long long)api_int(v, "mounts"));
	print_field("Mounts", text);
}

static int volume_inspect(struct cli *cli, const struct args *args, struct err *err)
{
	json_auto_t *all = json_array();
	json_t *v;
	size_t i;

	for (int w = 0; w < args->n_words; w++) {
		json_t *answer = NULL;
		int rc = name_check("volume", args->words[w], err);

		if (rc == 0)
			rc = api_call(cli->api, "GET", NULL, &answer, err, "/v1/volumes/%s", args->words[w]);
		if (rc < 0)
			return rc;
		if (json_array_append_new(all, answer) < 0)
			return err_set(err, ENOMEM, "out of memory");
	}
	if (cli->flags & CLI_JSON) {
		output_json(all);
		return 0;
	}
	json_array_foreach(all, i, v) {
		if (i)
			(void)putchar('\n');
		inspect_print(cli, v);
	}
	return 0;
}

/* Removes one volume; its answer is appended to `all`. */
static int remove_one(struct cli *cli, const char *name, const struct args *args, json_t *all, struct err *err)
{
	json_auto_t *v = NULL;
	json_t *answer = NULL;
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX];
	int rc = name_check("volume", name, err);

	if (rc == 0)
		rc = api_call(cli->api, "GET", NULL, &v, err, "/v1/volumes/%s", name);
	if (rc == 0)
		rc = output_confirm(cli, err, "Removing volume %s: %s in %s, and %s", name,
				    output_size(cli, a, api_int(v, "bytes")),
				    output_count(b, api_int(v, "inodes"), "inode"),
				    output_count(c, api_int(v, "snapshots"), "snapshot"));
	if (rc == 0)
		rc = api_call(cli->api, "DELETE", NULL, &answer, err, "/v1/volumes/%s?force=%s&purge=%s", name,
			      args_has(args, "force") ? "1" : "0", args_has(args, "purge") ? "1" : "0");
	if (rc < 0)
		return rc;
	if (!(cli->flags & CLI_JSON))
		(void)printf("%s\n", name);
	if (api_int(answer, "trash_until"))
		output_note(cli, "It can be brought back until %s: varve volume undelete %s",
			    format_time(a, api_int(answer, "trash_until")), name);
	return json_array_append_new(all, answer) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

/* Goes on after a failure, as rm does; each error is reported where it happens. */
static int volume_rm(struct cli *cli, const struct args *args, struct err *err)
{
	json_auto_t *all = json_array();
	int failed = 0;

	for (int w = 0; w < args->n_words; w++) {
		int rc = remove_one(cli, args->words[w], args, all, err);
		if (rc == -ENOTCONN)
			return rc;
		if (rc < 0) {
			output_err(cli, "varve volume rm", err);
			failed = rc;
		}
	}
	if (cli->flags & CLI_JSON)
		output_json(all);
	return failed;
}

static int volume_rename(struct cli *cli, const struct args *args, struct err *err)
{
	const char *old_name = args->words[0], *new_name = args->words[1];
	json_auto_t *body = NULL;
	json_auto_t *answer = NULL;
	int rc = name_check("volume", old_name, err);

	if (rc == 0)
		rc = name_check("volume", new_name, err);
	if (rc < 0)
		return rc;
	body = json_pack("{s:s}", "name", new_name);
	rc = api_call(cli->api, "POST", body, &answer, err, "/v1/volumes/%s/rename", old_name);
	if (rc == 0 && cli->flags & CLI_JSON)
		output_json(answer);
	else if (rc == 0)
		(void)printf("%s\n", new_name);
	return rc;
}

static int volume_set(struct cli *cli, const struct args *args, struct err *err)
{
	json_auto_t *options = NULL;
	json_auto_t *body = NULL;
	json_auto_t *answer = NULL;
	int rc = name_check("volume", args->words[0], err);

	if (rc == 0)
		rc = options_collect(args, &options, err);
	for (int w = 1; w < args->n_words && rc == 0; w++)
		rc = options_add(options, args->words[w], err);
	if (rc == 0 && json_object_size(options) == 0)
		rc = err_set(err, EUSAGE, "say what to set: KEY=VALUE");
	if (rc < 0)
		return rc;
	body = json_pack("{s:O}", "options", options);
	rc = api_call(cli->api, "POST", body, &answer, err, "/v1/volumes/%s/set", args->words[0]);
	if (rc == 0 && cli->flags & CLI_JSON)
		output_json(answer);
	return rc;
}

#define KEYS "Keys: quota (10G; of the live volume, 0 for none), quota-inodes, compression (none, zstd:1 … zstd:19)"
#define OPTION_O {"option", 'o', "KEY=VALUE", "a property of the volume; may be repeated"}

static const struct args_option create_options[] = {
	{"from", 0, "VOL[@SNAP]", "make it a clone"},
	OPTION_O,
	{0},
};
static const struct args_option rm_options[] = {
	{"force", 'f', NULL, "even while files are open"},
	{"purge", 0, NULL, "for good, not into the trash"},
	{0},
};
static const struct args_option set_options[] = {OPTION_O, {0}};
static const struct args_option ls_options[] = {
	{"trash", 0, NULL, "those that were removed"},
	{0},
};
static const struct args_option purge_options[] = {
	{"all", 'a', NULL, "everything in the trash"},
	{0},
};

static const struct command subcommands[] = {
	{.name = "create",
	 .fn = volume_create,
	 .synopsis = "NAME [--from VOL[@SNAP]] [-o KEY=VALUE]…",
	 .help = "make a volume",
	 .details = KEYS ",\nuid, gid, mode (of its top directory), from.",
	 .options = create_options,
	 .also = "new add make mk",
	 .words_min = 1,
	 .words_max = 1},
	{.name = "ls",
	 .fn = volume_ls,
	 .synopsis = "[--trash]",
	 .help = "list the volumes",
	 .details = "With --trash those that were removed and can be brought back: what each takes by itself (HOLDS: of what it\n"
		    "shares with others, its share), and when it goes for good.",
	 .options = ls_options,
	 .also = "list show"},
	{.name = "inspect",
	 .fn = volume_inspect,
	 .synopsis = "NAME…",
	 .help = "show all about volumes",
	 .details = "With --json an array, as of 'docker volume inspect'.",
	 .also = "show info get",
	 .words_min = 1,
	 .words_max = -1},
	{.name = "rm",
	 .fn = volume_rm,
	 .synopsis = "[-f] [--purge] NAME…",
	 .help = "remove volumes and their snapshots",
	 .details = "On a terminal it says what goes and asks first, unless --yes is given. A volume with a held\n"
		    "snapshot is not removed. Clones made from it stay. For some days (varve set trash-days=N) it can be\n"
		    "brought back with 'varve volume undelete'; a volume with an anonymous name of 64 digits cannot.",
	 .options = rm_options,
	 .also = "remove delete destroy del",
	 .words_min = 1,
	 .words_max = -1},
	{.name = "undelete",
	 .fn = cmd_trash_undelete,
	 .synopsis = "NAME [NEW]",
	 .help = "bring a removed volume back",
	 .details = "With its snapshots; the last one that was removed under this name. 'varve volume ls --trash' lists what\n"
		    "there is, 'varve set trash-days=N' says for how long.",
	 .also = "restore recover undo unremove",
	 .words_min = 1,
	 .words_max = 2},
	{.name = "purge",
	 .fn = cmd_trash_purge,
	 .synopsis = "NAME… | --all",
	 .help = "free what removed volumes hold, now",
	 .options = purge_options,
	 .also = "prune empty",
	 .words_max = -1},
	{.name = "rename",
	 .fn = volume_rename,
	 .synopsis = "OLD NEW",
	 .help = "give a volume another name",
	 .also = "mv move",
	 .words_min = 2,
	 .words_max = 2},
	{.name = "set",
	 .fn = volume_set,
	 .synopsis = "NAME KEY=VALUE…",
	 .help = "change properties of a volume",
	 .details = KEYS ",\nuid, gid, mode (of its top directory).",
	 .options = set_options,
	 .also = "update change",
	 .words_min = 1,
	 .words_max = -1},
	{0},
};

const struct command cmd_volume = {
	.name = "volume",
	.help = "make, list, change and remove volumes",
	.sub = subcommands,
	.also = "vol volumes ls list",
};
