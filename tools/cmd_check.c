/* varve check, varve gc: the store proved, and its garbage given back. Checking goes through the daemon where one holds
 * the store, and otherwise opens the store itself, read-only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/maint/check.h"
#include "tools/api_client.h"
#include "tools/daemon.h"
#include "tools/job.h"
#include "tools/output.h"

/* Daemons may end over a check, and it changes nothing. */
#define TRIES_MAX 10

/* What was found, from either way of checking. */
struct finding {
	const struct cli *cli;
	json_t *messages; /* borrowed; collects lines for --json */
};

static void report(void *arg, const char *line)
{
	struct finding *f = arg;

	if (f->cli->flags & CLI_JSON)
		(void)json_array_append_new(f->messages, json_string(line));
	else
		(void)printf("%s\n", line);
}

/* Ends a check: prints its result, an object of counts, and fails if there were errors. */
static int finish(const struct cli *cli, const json_t *result, const json_t *messages, struct err *err)
{
	int64_t errors = api_int(result, "errors"), verified = api_int(result, "bytes_verified");
	char size[FORMAT_MAX], count[FORMAT_MAX];

	if (cli->flags & CLI_JSON) {
		json_auto_t *answer = json_pack("{s:O,s:O}", "result", result, "messages", messages);

		if (!answer)
			return err_set(err, ENOMEM, "out of memory");
		output_json(answer);
	} else {
		output_note(cli, "Checked %lld inodes, %lld directory entries, %lld extents, %lld chunks%s%s",
			    (long long)api_int(result, "inodes"), (long long)api_int(result, "dirents"),
			    (long long)api_int(result, "extents"), (long long)api_int(result, "chunks"),
			    verified ? "; verified " : "", verified ? output_size(cli, size, verified) : "");
		if (errors == 0)
			(void)printf("The store is clean\n");
	}
	return errors == 0 ? 0 : err_set(err, ECORRUPT, "found %s", output_count(count, errors, "error"));
}

static int check_offline(struct cli *cli, struct store *s, bool data, struct err *err)
{
	json_auto_t *messages = json_array();
	json_auto_t *result = NULL;
	struct finding finding = {cli, messages};
	struct check_result r = {0};
	int rc, closed;

	output_note(cli, "Checking %s without a daemon", cli->store);
	rc = check_store(s, data ? CHECK_DATA : 0, report, &finding, &r, err);
	closed = store_close(s, rc < 0 ? NULL : err);
	if (rc < 0 || closed < 0)
		return rc < 0 ? rc : closed;
	result = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "inodes", (json_int_t)r.inodes, "dirents",
			   (json_int_t)r.dirents, "extents", (json_int_t)r.extents, "chunks", (json_int_t)r.chunks,
			   "bytes_verified", (json_int_t)r.bytes_verified, "errors", (json_int_t)r.errors);
	return finish(cli, result, messages, err);
}

static int check_online(struct cli *cli, bool data, struct err *err)
{
	json_auto_t *body = json_pack("{s:b}", "data", data);
	json_auto_t *answer = NULL;
	json_auto_t *result = NULL;
	json_auto_t *messages = NULL;
	int rc = api_call(cli->api, "POST", body, &answer, err, "/v1/check");

	if (rc == 0)
		rc = job_wait(cli, "Checking", answer, &result, &messages, err);
	return rc < 0 ? rc : finish(cli, result, messages, err);
}

static int check_run(struct cli *cli, const struct args *args, struct err *err)
{
	bool data = args_has(args, "data");
	struct store *s;
	int rc, tries = 0;

	if (args->n_words) {
		cli->store = args->words[0];
		cli->flags |= CLI_STORE_GIVEN;
	}
	for (;;) {
		rc = daemon_or_store(cli, STORE_READONLY | STORE_NO_THREADS, &s, err);
		if (rc < 0)
			return rc;
		if (rc == 0)
			return check_offline(cli, s, data, err);
		rc = check_online(cli, data, err);
		if ((rc != -ENOTCONN && rc != -ECONNRESET) || ++tries == TRIES_MAX)
			return rc;
		*err = (struct err){0};
	}
}

static int collect(struct cli *cli, const struct args *args, struct err *err)
{
	json_auto_t *answer = NULL;
	json_auto_t *result = NULL;
	json_auto_t *messages = NULL;
	char freed[FORMAT_MAX], moved[FORMAT_MAX];
	int rc = api_call(cli->api, "POST", NULL, &answer, err, "/v1/gc");

	(void)args;
	if (rc == 0)
		rc = job_wait(cli, "Collecting", answer, &result, &messages, err);
	if (rc < 0)
		return rc;
	if (cli->flags & CLI_JSON) {
		output_json(result);
		return 0;
	}
	(void)printf("Freed %s\n", output_size(cli, freed, api_int(result, "freed_bytes")));
	if (api_int(result, "moved_bytes"))
		output_note(cli, "Moved %s for it, which live on elsewhere", output_size(cli, moved, api_int(result, "moved_bytes")));
	return 0;
}

static const struct args_option check_options[] = {
	{"data", 0, NULL, "also read and verify every chunk"},
	{0},
};

const struct command cmd_check = {
	.name = "check",
	.fn = check_run,
	.synopsis = "[--data] [STORE]",
	.help = "prove that the store is consistent",
	.details = "Recounts references, sizes and links from the files themselves, and says each thing that does not\n"
		   "add up. It changes nothing. Through the daemon where one runs, and directly where none does.",
	.options = check_options,
	.also = "fsck scrub verify",
	.words_max = 1,
};

const struct command cmd_gc = {
	.name = "gc",
	.fn = collect,
	.synopsis = "",
	.help = "finish freeing what was removed, now",
	.details = "The daemon does this by itself in the background, but for what died in the packs that it is\n"
		   "writing to. Says how much of the host filesystem was given back.",
	.also = "prune trim collect",
};
