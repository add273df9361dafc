/* varve export, varve import: a volume as a tar archive, and back. Through the daemon where one holds the store, and
 * otherwise by opening the store. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/archive/tar_export.h"
#include "store/archive/tar_import.h"
#include "store/base/cleanup.h"
#include "store/volume/draft.h"
#include "tools/api_client.h"
#include "tools/daemon.h"
#include "tools/name.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/transfer.h"

#define PIECE (128 * 1024)

static void tell(const struct cli *cli, const char *command, const json_t *messages)
{
	const json_t *line;
	size_t i;

	json_array_foreach(messages, i, line)
		output_note(cli, "varve %s: %s", command, json_string_value(line));
}

/* --- where no daemon has the store --- */

/* s NULL: it was done through the daemon. */
static int close_store(struct store *s, int rc, struct err *err)
{
	int closed = s ? store_close(s, rc < 0 ? NULL : err) : 0;

	return rc < 0 ? rc : closed;
}

static int export_offline(struct transfer *t, struct store *s, const struct name *name, enum tar_compression how,
			  json_t **ret, struct err *err)
{
	AUTO_FREE char *piece = malloc(PIECE);
	struct tar_export_state state = {0};
	struct tar_export *x = NULL;
	size_t len = 1;
	int rc = piece ? tar_export_open(s, name->volume, name->snapshot, how, &x, err)
		       : err_set(err, ENOMEM, "out of memory");

	while (rc == 0 && len) {
		rc = tar_export_read(x, piece, PIECE, &len, err);
		if (rc == 0 && (rc = transfer_put(t, piece, len)))
			err_set(err, -rc, "writing the archive failed: %s", err_name(-rc));
		tar_export_state(x, &state);
		t->part = state.bytes_total ? (double)state.bytes_done / (double)state.bytes_total : 0;
		transfer_tick(t);
	}
	tar_export_free(x);
	if (rc == 0)
		*ret = json_pack("{s:s,s:{s:I,s:I,s:I}}", "state", "done", "result", "entries",
				 (json_int_t)state.entries, "bytes", (json_int_t)state.bytes_done, "sockets",
				 (json_int_t)state.sockets);
	return rc;
}

static int read_offline(void *arg, void *buf, size_t len, size_t *ret_len)
{
	struct transfer *t = arg;
	ssize_t n = transfer_get(t, buf, len, -1);

	transfer_tick(t);
	if (n < 0)
		return (int)n;
	*ret_len = (size_t)n;
	return 0;
}

static void tell_offline(void *arg, const char *line)
{
	output_note(((struct transfer *)arg)->cli, "varve import: %s", line);
}

struct import_options {
	bool merge;
	unsigned strip;
	json_t *set;
};

static int import_offline(struct transfer *t, struct store *s, const char *volume, const struct import_options *o,
			 json_t **ret, struct err *err)
{
	const struct tar_import_options options = {.read = read_offline,
						   .tell = tell_offline,
						   .arg = t,
						   .merge = o->merge,
						   .strip = o->strip,
						   .volume = volume};
	struct volume_options set = {0};
	struct tar_import_result result;
	char saved[VOLUME_NAME_MAX + 1];
	struct volume_info v;
	struct draft d;
	const char *key;
	json_t *value;
	int rc = 0;

	json_object_foreach(o->set, key, value) if (rc == 0) rc =
		volume_option_parse(&set, key, json_string_value(value), err);
	if (rc == 0 && o->merge && volume_get(s, volume, &v, NULL) == 0)
		rc = draft_of_view(s, volume, "", &d, err);
	else if (rc == 0)
		rc = draft_new(s, volume, &set, true, &d, err);
	if (rc < 0)
		return rc;
	rc = tar_import(s, d.root_node, &options, &result, err);
	if (rc == 0)
		rc = draft_publish(s, &d, saved, &v, err);
	if (rc < 0) {
		draft_drop(s, &d);
		return rc;
	}
	*ret = json_pack("{s:{s:s},s:s,s:I,s:I,s:I}", "volume", "name", volume, "saved_as", saved, "entries",
			 (json_int_t)result.entries, "bytes", (json_int_t)result.bytes, "skipped",
			 (json_int_t)result.skipped);
	return 0;
}

/* --- export --- */

static int export_online(struct transfer *t, const struct name *name, const char *how, json_t **ret, struct err *err)
{
	char job[FORMAT_MAX] = "";
	const struct api_stream stream = {
		.what = "archive", .put = transfer_put, .tick = transfer_tick, .arg = t, .ret_job = job};
	int rc;

	t->job = job;
	rc = api_download(t->cli->api, &stream, err, "/v1/volumes/%s/export?snapshot=%s&compression=%s", name->volume,
			  name->snapshot, how);
	/* the job knows why an archive broke off, and what was left out */
	if (*job) {
		json_auto_t *ended = NULL;

		if (api_call(t->cli->api, "GET", NULL, &ended, NULL, "/v1/jobs/%s", job) == 0) {
			if (rc < 0 && rc != -EPIPE && json_object_get(ended, "error"))
				rc = api_refuse(ended, err);
			*ret = json_incref(ended);
		}
	}
	t->job = NULL;
	return rc;
}

/* The name of the archive's compression, as the daemon has it. */
static int compression_of(const struct args *args, const char **ret, enum tar_compression *ret_how, struct err *err)
{
	bool zstd = args_has(args, "zstd"), gzip = args_has(args, "gzip");

	if (zstd && gzip)
		return err_set(err, EUSAGE, "--zstd and --gzip exclude each other");
	*ret = zstd ? "zstd" : gzip ? "gzip" : "none";
	*ret_how = zstd ? TAR_ZSTD : gzip ? TAR_GZIP : TAR_PLAIN;
	return 0;
}

static void export_report(const struct cli *cli, const char *what, const char *path, int64_t moved, const json_t *job)
{
	const json_t *result = json_object_get(job, "result");
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX];

	tell(cli, "export", json_object_get(job, "messages"));
	if (cli->flags & CLI_JSON && path) {
		json_auto_t *answer =
			json_pack("{s:s,s:I,s:O?}", "file", path, "archive_bytes", (json_int_t)moved, "result", result);

		output_json(answer);
	}
	output_note(cli, "Exported %s: %s in %s, an archive of %s", what, output_size(cli, a, api_int(result, "bytes")),
		    output_count(b, api_int(result, "entries"), "inode"), output_size(cli, c, moved));
}

static int export_run(struct cli *cli, const struct args *args, struct err *err)
{
	const char *path = args_value(args, "output"), *how = "none";
	struct transfer t = {.cli = cli, .part = -1};
	json_auto_t *job = NULL;
	enum tar_compression compression = TAR_PLAIN;
	struct store *s = NULL;
	struct name name;
	int rc = name_split(args->words[0], &name, err);

	if (rc == 0)
		rc = compression_of(args, &how, &compression, err);
	if (rc == 0)
		rc = daemon_or_store(cli, 0, &s, err);
	if (rc < 0)
		return rc;
	rc = transfer_output(&t, "archive", path, "varve export VOL > VOL.tar", err);
	if (rc < 0)
		return close_store(s, rc, err);
	if (s)
		output_note(cli, "Using %s without a daemon", cli->store);
	(void)api_new(cli->api_socket, &t.ask, NULL);
	progress_begin(&t.bar, cli, "Exporting");
	rc = s ? export_offline(&t, s, &name, compression, &job, err) : export_online(&t, &name, how, &job, err);
	progress_clear(&t.bar);
	api_free(t.ask);
	rc = close_store(s, rc, err);
	rc = transfer_output_end(&t, "archive", path, rc, err);
	if (rc == 0)
		export_report(cli, args->words[0], path, t.moved, job);
	return rc;
}

/* --- import --- */

/* The daemon cut the connection: the job says why. */
static int import_failure(struct cli *cli, const char *volume, int rc, struct err *err)
{
	json_auto_t *answer = NULL;
	const json_t *job, *last = NULL;
	size_t i;

	if (api_call(cli->api, "GET", NULL, &answer, NULL, "/v1/jobs"))
		return rc;
	json_array_foreach(json_object_get(answer, "jobs"), i, job)
		if (!strcmp(api_str(job, "kind"), "import") && !strcmp(api_str(job, "subject"), volume))
			last = job;
	return last && json_object_get(last, "error") ? api_refuse(last, err) : rc;
}

static int import_online(struct transfer *t, const char *volume, const struct import_options *o, json_t **ret,
			 struct err *err)
{
	const struct api_stream stream = {.what = "archive", .get = transfer_get, .tick = transfer_tick, .arg = t};
	AUTO_FREE char *set = json_dumps(o->set, JSON_COMPACT);
	char strip[FORMAT_MAX];
	int rc;

	if (!set)
		return err_set(err, ENOMEM, "out of memory");
	(void)snprintf(strip, sizeof strip, "%u", o->strip);
	rc = api_upload(t->cli->api, &stream, ret, err, "/v1/volumes/%s/import?merge=%s&strip=%s&options=%s", volume,
			o->merge ? "1" : "0", strip, set);
	return rc == -ECONNABORTED ? import_failure(t->cli, volume, rc, err) : rc;
}

static int import_options(const struct args *args, struct import_options *o, struct err *err)
{
	const char *strip = args_value(args, "strip-components");
	char *end = NULL;

	o->merge = args_has(args, "merge");
	o->strip = strip ? (unsigned)strtoul(strip, &end, 10) : 0;
	if (strip && (!*strip || *end || *strip == '-'))
		return err_set(err, EUSAGE, "--strip-components takes a number, not '%s'", strip);
	return options_collect(args, &o->set, err);
}

/* A volume that is there gets other content: not without having been asked for. */
static int confirm(struct cli *cli, const char *volume, bool merge, struct err *err)
{
	json_auto_t *v = NULL;
	char a[FORMAT_MAX];

	if (!output_confirm_seen(cli) || api_call(cli->api, "GET", NULL, &v, NULL, "/v1/volumes/%s", volume))
		return 0;
	return output_confirm(
		cli, err,
		"The archive %s what is in volume %s (%s). What it holds now is kept as an automatic snapshot.",
		merge ? "goes over" : "replaces", volume, output_size(cli, a, api_int(v, "bytes")));
}

static void import_report(const struct cli *cli, const char *volume, const json_t *answer)
{
	const char *saved = api_str(answer, "saved_as");
	char a[FORMAT_MAX], b[FORMAT_MAX];

	tell(cli, "import", json_object_get(answer, "messages"));
	if (cli->flags & CLI_JSON)
		output_json(answer);
	else
		(void)printf("%s\n", volume);
	output_note(cli, "Imported %s in %s%s%s%s%s", output_size(cli, a, api_int(answer, "bytes")),
		    output_count(b, api_int(answer, "entries"), "inode"), *saved ? "; the state before is " : "",
		    *saved ? volume : "", *saved ? "@" : "", saved);
}

static int import_run(struct cli *cli, const struct args *args, struct err *err)
{
	const char *volume = args->words[0];
	struct transfer t = {.cli = cli, .fd = -1, .part = -1};
	struct import_options o = {0};
	json_auto_t *answer = NULL;
	struct store *s = NULL;
	int rc = name_check("volume", volume, err);

	if (rc == 0)
		rc = import_options(args, &o, err);
	if (rc == 0)
		rc = daemon_or_store(cli, 0, &s, err);
	if (rc >= 0)
		rc = transfer_input(&t, "archive", args_value(args, "input"), "varve import VOL < VOL.tar", err);
	if (rc == 0 && s)
		output_note(cli, "Using %s without a daemon", cli->store);
	else if (rc == 0)
		rc = confirm(cli, volume, o.merge, err);
	if (rc == 0) {
		progress_begin(&t.bar, cli, "Importing");
		rc = s ? import_offline(&t, s, volume, &o, &answer, err) : import_online(&t, volume, &o, &answer, err);
		progress_clear(&t.bar);
	}
	rc = close_store(s, rc, err);
	if (t.fd >= 0)
		(void)close(t.fd);
	json_decref(o.set);
	if (rc == 0)
		import_report(cli, volume, answer);
	return rc;
}

static const struct args_option export_options[] = {
	{"output", 'o', "FILE", "write it there, not to standard output"},
	{"zstd", 0, NULL, "compressed with zstd"},
	{"gzip", 'z', NULL, "compressed with gzip"},
	{0},
};

const struct command cmd_export = {
	.name = "export",
	.fn = export_run,
	.synopsis = "VOL[@SNAP] [--zstd | --gzip] > FILE",
	.help = "write a volume or a snapshot as a tar archive",
	.details = "A volume is written as it is at this instant, while containers go on writing. The archive is pax: "
		   "owners by\n"
		   "number, times to the nanosecond, extended attributes, ACLs, hard links, devices and holes; GNU tar "
		   "and bsdtar\n"
		   "read it. Sockets are left out.",
	.options = export_options,
	.also = "backup save dump tar",
	.words_min = 1,
	.words_max = 1,
};

static const struct args_option import_option_table[] = {
	{"input", 'i', "FILE", "read it there, not from standard input"},
	{"merge", 0, NULL, "put the archive's files over what is there"},
	{"strip-components", 0, "N", "leave the first N parts of each name away"},
	{"option", 'o', "KEY=VALUE", "a property of a new volume; may be repeated"},
	{0},
};

const struct command cmd_import = {
	.name = "import",
	.fn = import_run,
	.synopsis = "VOL [--merge] [-o KEY=VALUE]… < FILE",
	.help = "fill a volume from a tar archive",
	.details = "The archive is any tar, compressed or not: of varve export, GNU tar, bsdtar, docker cp. A volume "
		   "that does not\n"
		   "exist is made. One that does gets the archive's content in place of its own, all at once, and what "
		   "it held\n"
		   "is kept as a snapshot pre-import-…; it refuses while files are open for writing. An archive that "
		   "is damaged,\n"
		   "too large, or whose names lead out of the volume is refused, and nothing is changed.",
	.options = import_option_table,
	.also = "load restore untar",
	.words_min = 1,
	.words_max = 1,
};
