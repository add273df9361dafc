/* varve status, varve df: the daemon, the store, and where the space goes. */
#include <stdio.h>

#include "tools/api_client.h"
#include "tools/output.h"

#define STATUS_S_MAX 60 /* whoever watches over a daemon wants to know */

static void print_line(const char *label, const char *text)
{
	(void)printf("%-11s %s\n", label, text);
}

static void print_space(const struct cli *cli, const json_t *space)
{
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX], d[FORMAT_MAX], text[256];
	int64_t referenced = api_int(space, "referenced_bytes"), unique = api_int(space, "unique_bytes");
	int64_t stored = api_int(space, "stored_bytes");

	(void)snprintf(text, sizeof text, "%s in %s, %s in %s", output_size(cli, a, api_int(space, "logical_bytes")),
		       output_count(b, api_int(space, "volumes"), "volume"),
		       output_size(cli, c, api_int(space, "snapshot_bytes")),
		       output_count(d, api_int(space, "snapshots"), "snapshot"));
	print_line("Data", text);
	(void)snprintf(text, sizeof text, "%s (deduplicated %s, compressed %s)",
		       output_size(cli, a, api_int(space, "disk_bytes") + api_int(space, "meta_bytes")),
		       format_ratio(b, (uint64_t)referenced, (uint64_t)unique),
		       format_ratio(c, (uint64_t)unique, (uint64_t)stored));
	print_line("On disk", text);
	(void)snprintf(text, sizeof text, "%s of %s", output_size(cli, a, api_int(space, "host_free")),
		       output_size(cli, b, api_int(space, "host_total")));
	print_line("Free", text);
}

static int status_run(struct cli *cli, const struct args *args, struct err *err)
{
	json_auto_t *answer = NULL;
	const json_t *counters;
	char a[FORMAT_MAX], b[FORMAT_MAX], text[256];
	int rc;

	(void)args;
	api_within(cli->api, STATUS_S_MAX);
	rc = api_call(cli->api, "GET", NULL, &answer, err, "/v1/status");
	if (rc < 0)
		return rc;
	if (cli->flags & CLI_JSON) {
		output_json(answer);
		return 0;
	}
	counters = json_object_get(answer, "counters");
	(void)snprintf(text, sizeof text, "varved %s, process %lld, up %s", api_str(answer, "version"),
		       (long long)api_int(answer, "pid"),
		       format_uptime(a, (uint64_t)api_int(answer, "uptime_us") / 1000000));
	print_line("Daemon", text);
	print_line("Takeover", json_is_true(json_object_get(json_object_get(answer, "takeover"), "possible"))
				       ? "possible: the mount outlives the daemon"
				       : "not possible: the mount ends with the daemon");
	print_line("Store", api_str(answer, "store"));
	print_line("Mount", api_str(answer, "mount"));
	print_space(cli, json_object_get(answer, "space"));
	(void)snprintf(text, sizeof text, "%s in use, %s written and not yet in packs",
		       output_size(cli, a, api_int(answer, "memory_bytes")),
		       output_size(cli, b, api_int(answer, "buffered_bytes")));
	print_line("Memory", text);
	if (api_int(counters, "chunks_corrupt") > 0) {
		(void)snprintf(text, sizeof text, "%s did not match its hash: run 'varve check --data'",
			       output_count(a, api_int(counters, "chunks_corrupt"), "chunk"));
		print_line("DAMAGE", text);
	}
	return 0;
}

/* One row: what, how much, and what to make of it. */
static void df_row(const struct cli *cli, struct table *t, const char *what, int64_t bytes, const char *note)
{
	char size[FORMAT_MAX];

	table_cell(t, "%s", what);
	table_cell(t, "%s", output_size(cli, size, bytes));
	table_cell(t, "%s", note);
}

static int df_run(struct cli *cli, const struct args *args, struct err *err)
{
	json_auto_t *df = NULL;
	AUTO_TABLE struct table *t = NULL;
	char a[FORMAT_MAX], b[FORMAT_MAX], text[96];
	int rc = api_call(cli->api, "GET", NULL, &df, err, "/v1/df");

	(void)args;
	if (rc < 0)
		return rc;
	if (cli->flags & CLI_JSON) {
		output_json(df);
		return 0;
	}
	if (table_new(&t) < 0)
		return err_set(err, ENOMEM, "out of memory");
	table_column(t, "SPACE", 0);
	table_column(t, "SIZE", TABLE_RIGHT);
	table_column(t, "", 0);
	(void)snprintf(text, sizeof text, "%s, %s", output_count(a, api_int(df, "volumes"), "volume"),
		       output_count(b, api_int(df, "inodes"), "inode"));
	df_row(cli, t, "Live volumes", api_int(df, "logical_bytes"), text);
	df_row(cli, t, "Snapshots", api_int(df, "snapshot_bytes"),
	       output_count(a, api_int(df, "snapshots"), "snapshot"));
	df_row(cli, t, "Referenced", api_int(df, "referenced_bytes"), "versions shared by snapshots counted once");
	(void)snprintf(text, sizeof text, "%s in %s",
		       format_ratio(a, (uint64_t)api_int(df, "referenced_bytes"),
				    (uint64_t)api_int(df, "unique_bytes")),
		       output_count(b, api_int(df, "chunks"), "chunk"));
	df_row(cli, t, "  deduplicated", api_int(df, "unique_bytes"), text);
	df_row(cli, t, "  compressed", api_int(df, "stored_bytes"),
	       format_ratio(a, (uint64_t)api_int(df, "unique_bytes"), (uint64_t)api_int(df, "stored_bytes")));
	df_row(cli, t, "Packs on disk", api_int(df, "disk_bytes"), "");
	df_row(cli, t, "Metadata", api_int(df, "meta_bytes"), "database and journal");
	if (api_int(df, "trash_volumes") > 0)
		df_row(cli, t, "  trash", api_int(df, "trash_bytes"),
		       output_count(a, api_int(df, "trash_volumes"), "removed volume"));
	df_row(cli, t, "Buffered", api_int(df, "buffered_bytes"), "written, not yet in packs");
	(void)snprintf(text, sizeof text, "dead chunks, room for new ones; %s in the background",
		       output_count(a, api_int(df, "reap_tasks"), "task"));
	df_row(cli, t, "Not in use", api_int(df, "pending_bytes"), text);
	(void)snprintf(text, sizeof text, "of %s", output_size(cli, a, api_int(df, "host_total")));
	df_row(cli, t, "Host free", api_int(df, "host_free"), text);
	return output_table(t, err);
}

const struct command cmd_status = {
	.name = "status",
	.fn = status_run,
	.synopsis = "",
	.help = "show the daemon, its store, and how full it is",
	.also = "info ps",
};

const struct command cmd_df = {
	.name = "df",
	.fn = df_run,
	.synopsis = "",
	.help = "show where the space goes: logical, deduplicated, compressed, on disk",
	.also = "du space usage",
};
