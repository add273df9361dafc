/* varve send, varve receive: a snapshot as a stream, for pipes, through the daemon. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "tools/api_client.h"
#include "tools/name.h"
#include "tools/output.h"
#include "tools/transfer.h"

/* --- send --- */

/* --from is a snapshot of the same volume: A or VOL@A. */
static int from_of(const struct args *args, const struct name *name, struct name *ret, struct err *err)
{
	const char *from = args_value(args, "from");
	int rc;

	*ret = (struct name){0};
	if (!from)
		return 0;
	if (strchr(from, '@')) {
		rc = name_split_snapshot(from, ret, err);
		if (rc == 0 && strcmp(ret->volume, name->volume) != 0)
			rc = err_set(err, EINVAL, "--from is a snapshot of volume '%s', too, not of '%s'", name->volume,
				     ret->volume);
		return rc;
	}
	(void)snprintf(ret->snapshot, sizeof ret->snapshot, "%s", from);
	return name_check("snapshot", from, err);
}

static void send_report(const struct cli *cli, const char *what, const char *path, int64_t moved, const json_t *job)
{
	const json_t *result = json_object_get(job, "result");
	char a[FORMAT_MAX], b[FORMAT_MAX], took[FORMAT_MAX];

	if (cli->flags & CLI_JSON && path) {
		json_auto_t *answer = json_pack("{s:s,s:O?}", "file", path, "result", result);

		output_json(answer);
	}
	output_note(cli, "Sent %s (%s): %s for %s of content, %s", what,
		    json_is_true(json_object_get(result, "incremental")) ? "what changed" : "whole",
		    output_size(cli, a, moved), output_size(cli, b, api_int(result, "content_bytes")),
		    format_micros(took, (uint64_t)api_int(result, "us")));
}

static int send_online(struct transfer *t, const struct name *name, const char *from, json_t **ret, struct err *err)
{
	char job[FORMAT_MAX] = "";
	const struct api_stream stream = {
		.what = "stream", .put = transfer_put, .tick = transfer_tick, .arg = t, .ret_job = job};
	json_auto_t *ended = NULL;
	int rc;

	t->job = job;
	rc = api_download(t->cli->api, &stream, err, "/v1/snapshots/%s/%s/send?from=%s", name->volume, name->snapshot,
			  from);
	/* the job knows why a stream broke off */
	if (*job && api_call(t->cli->api, "GET", NULL, &ended, NULL, "/v1/jobs/%s", job) == 0) {
		if (rc < 0 && rc != -EPIPE && json_object_get(ended, "error"))
			rc = api_refuse(ended, err);
		*ret = json_incref(ended);
	}
	t->job = NULL;
	return rc;
}

static int send_run(struct cli *cli, const struct args *args, struct err *err)
{
	const char *path = args_value(args, "output");
	struct transfer t = {.cli = cli, .part = -1};
	json_auto_t *job = NULL;
	struct name name, from;
	int rc = name_split_snapshot(args->words[0], &name, err);

	if (rc == 0)
		rc = from_of(args, &name, &from, err);
	if (rc == 0)
		rc = transfer_output(&t, "stream", path, "varve send VOL@SNAP | ssh HOST varve receive", err);
	if (rc < 0)
		return rc;
	(void)api_new(cli->api_socket, &t.ask, NULL);
	progress_begin(&t.bar, cli, "Sending");
	rc = send_online(&t, &name, from.snapshot, &job, err);
	progress_clear(&t.bar);
	api_free(t.ask);
	rc = transfer_output_end(&t, "stream", path, rc, err);
	if (rc == 0)
		send_report(cli, args->words[0], path, t.moved, job);
	return rc;
}

/* --- receive --- */

/* The daemon cut the connection: the job says why. */
static int receive_failure(struct cli *cli, const char *tag, int rc, struct err *err)
{
	json_auto_t *answer = NULL;
	const json_t *job;
	size_t i;

	if (api_call(cli->api, "GET", NULL, &answer, NULL, "/v1/jobs"))
		return rc;
	json_array_foreach(json_object_get(answer, "jobs"), i, job)
		if (!strcmp(api_str(job, "subject"), tag) && json_object_get(job, "error"))
			return api_refuse(job, err);
	return rc;
}

static void receive_report(const struct cli *cli, const json_t *answer)
{
	const char *volume = api_str(answer, "volume"), *snapshot = api_str(answer, "snapshot");
	char a[FORMAT_MAX], b[FORMAT_MAX], took[FORMAT_MAX];

	if (cli->flags & CLI_JSON)
		output_json(answer);
	else
		(void)printf("%s@%s\n", volume, snapshot);
	output_note(cli, "Received %s for %s of content, %s", output_size(cli, a, api_int(answer, "bytes")),
		    output_size(cli, b, api_int(answer, "content_bytes")),
		    format_micros(took, (uint64_t)api_int(answer, "us")));
	if (json_is_true(json_object_get(answer, "made")))
		output_note(cli, "The new volume %s shows it.", volume);
	else
		output_note(cli, "What the volume shows is as it was: 'varve rollback %s@%s' makes it show this snapshot.", volume,
			    snapshot);
}

static int receive_run(struct cli *cli, const struct args *args, struct err *err)
{
	const char *fresh = args->n_words ? args->words[0] : NULL;
	struct transfer t = {.cli = cli, .fd = -1, .part = -1};
	const struct api_stream stream = {
		.what = "stream", .get = transfer_get, .tick = transfer_tick, .arg = &t};
	json_auto_t *answer = NULL;
	struct timespec now;
	char tag[64];
	int rc = fresh ? name_check("volume", fresh, err) : 0;

	if (rc == 0)
		rc = transfer_input(&t, "stream", args_value(args, "input"), "varve send VOL@SNAP | varve receive NEW", err);
	if (rc == 0) {
		(void)clock_gettime(CLOCK_REALTIME, &now);
		(void)snprintf(tag, sizeof tag, "varve-receive-%ld-%lld-%09ld", (long)getpid(), (long long)now.tv_sec,
			       now.tv_nsec);
		progress_begin(&t.bar, cli, "Receiving");
		rc = fresh ? api_upload(cli->api, &stream, &answer, err, "/v1/receive?tag=%s&volume=%s", tag, fresh)
			   : api_upload(cli->api, &stream, &answer, err, "/v1/receive?tag=%s", tag);
		progress_clear(&t.bar);
		if (rc == -ECONNABORTED)
			rc = receive_failure(cli, tag, rc, err);
	}
	if (t.fd >= 0)
		(void)close(t.fd);
	if (rc == 0)
		receive_report(cli, answer);
	return rc;
}

static const struct args_option send_options[] = {
	{"from", 0, "SNAP", "only what changed since this snapshot, which the receiver has"},
	{"output", 'o', "FILE", "write it there, not to standard output"},
	{0},
};
static const struct args_option receive_options[] = {
	{"input", 'i', "FILE", "read it there, not from standard input"},
	{0},
};

const struct command cmd_send = {
	.name = "send",
	.fn = send_run,
	.synopsis = "VOL@SNAP [--from SNAP] > FILE",
	.help = "write a snapshot as a stream for varve receive",
	.details = "With --from the stream has only what changed between the two snapshots; what it costs follows the change,\n"
		   "whatever the volume's size. The stream is compressed and checked, but not encrypted: over a network pipe it\n"
		   "through ssh, as in 'varve send db@b --from a | ssh HOST varve receive', and for keeping through age or gpg.",
	.options = send_options,
	.also = "stream transmit move",
	.words_min = 1,
	.words_max = 1,
};

const struct command cmd_receive = {
	.name = "receive",
	.fn = receive_run,
	.synopsis = "[NEW] < FILE",
	.help = "get a snapshot from a stream of varve send",
	.details = "It becomes a snapshot of the volume that the stream names, whose present content is not touched; without such a\n"
		   "volume, one is made. With NEW it becomes a new volume; a stream of what changed also goes into a NEW that has the\n"
		   "snapshot it begins from. That snapshot must have been received here, or have been sent from here. A stream that\n"
		   "is damaged or ends too early changes nothing. Streams are not encrypted, and do not prove who made them.",
	.options = receive_options,
	.also = "recv",
	.words_min = 0,
	.words_max = 1,
};
