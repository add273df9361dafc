/* varve push and pull: snapshots to and from repositories, through the daemon. */
#include <stdio.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "tools/api_client.h"
#include "tools/cmd_repo_access.h"
#include "tools/job.h"
#include "tools/name.h"

/* "VOL@SNAP: sent 3.1M of 12M new, 200M there already, 0.41 s" */
static void print_done(const struct cli *cli, const json_t *s, const char *verb)
{
	char sent[FORMAT_MAX], fresh[FORMAT_MAX], dedup[FORMAT_MAX], took[FORMAT_MAX];

	if (json_is_true(json_object_get(s, "already"))) {
		(void)printf("%s@%s: there already\n", api_str(s, "volume"), api_str(s, "snapshot"));
		return;
	}
	(void)printf("%s@%s: %s %s for %s of new content; %s deduplicated; %s, %s\n", api_str(s, "volume"),
		     api_str(s, "snapshot"), verb, output_size(cli, sent, api_int(s, "sent")),
		     output_size(cli, fresh, api_int(s, "fresh")), output_size(cli, dedup, api_int(s, "deduplicated")),
		     json_is_true(json_object_get(s, "incremental")) ? "what changed" : "everything looked at",
		     format_micros(took, (uint64_t)api_int(s, "us")));
}

/* What the repository had lost. */
static void note_losses(const struct cli *cli, const json_t *s)
{
	char packs[FORMAT_MAX], pieces[FORMAT_MAX];

	if (api_int(s, "missing_packs"))
		output_note(cli,
			    "%s of the repository %s missing: %s that they had were sent again; 'varve repo check' says "
			    "whether anything is still lost",
			    output_count(packs, api_int(s, "missing_packs"), "pack"),
			    api_int(s, "missing_packs") == 1 ? "is" : "are",
			    output_count(pieces, api_int(s, "sent_again"), "piece"));
}

static void note_config(const struct cli *cli, const json_t *result)
{
	if (*api_str(result, "notice"))
		output_note(cli, "%s", api_str(result, "notice"));
}

/* The snapshots of all volumes: the newest of each, or all of them. */
static int all_snapshots(struct cli *cli, bool each, json_t *list, struct err *err)
{
	json_auto_t *answer = NULL;
	json_auto_t *newest = json_object();
	json_t *s;
	const char *volume;
	size_t i;
	int rc = api_call(cli->api, "GET", NULL, &answer, err, "/v1/snapshots");

	if (rc < 0)
		return rc;
	json_array_foreach(json_object_get(answer, "snapshots"), i, s)
	{
		json_t *one = json_pack("{s:O,s:O}", "volume", json_object_get(s, "volume"), "name",
					json_object_get(s, "name"));

		if (each)
			(void)json_array_append_new(list, one);
		else
			(void)json_object_set_new(newest, api_str(s, "volume"), one);
	}
	json_object_foreach(newest, volume, s)(void) json_array_append(list, s);
	return json_array_size(list) ? 0 : err_set(err, ENOENT, "there are no snapshots to push");
}

static int push_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO_REPO_ACCESS struct repo_access a = {0};
	json_auto_t *list = json_array();
	json_auto_t *repo = NULL;
	json_auto_t *body = NULL;
	json_auto_t *answer = NULL;
	json_auto_t *result = NULL;
	bool all = args_has(args, "all");
	struct name name;
	json_t *s;
	size_t i;
	int rc = 0;

	if (!all && args->n_words < 2)
		return err_set(err, EUSAGE, "say which snapshots, and which repository");
	if (all && args->n_words > 1)
		return err_set(err, EUSAGE, "--all names all volumes: '%s' is one word too many", args->words[0]);
	if (args_has(args, "new") && !all)
		return err_set(err, EUSAGE, "--new goes with --all");
	for (int w = 0; w + 1 < args->n_words && rc == 0; w++) {
		rc = name_split_snapshot(args->words[w], &name, err);
		if (rc == 0)
			(void)json_array_append_new(
				list, json_pack("{s:s,s:s}", "volume", name.volume, "name", name.snapshot));
	}
	if (rc == 0 && all)
		rc = all_snapshots(cli, args_has(args, "new"), list, err);
	if (rc == 0)
		rc = repo_access_get(cli, args, args->words[args->n_words - 1], &a, err);
	if (rc == 0)
		rc = repo_access_json(&a, &repo, err);
	if (rc < 0)
		return rc;
	body = json_pack("{s:O,s:O}", "snapshots", list, "repo", repo);
	rc = api_call(cli->api, "POST", body, &answer, err, "/v1/push");
	if (rc == 0)
		rc = job_wait(cli, "Pushing", answer, &result, NULL, err);
	if (rc < 0)
		return rc;
	json_array_foreach(json_object_get(result, "snapshots"), i, s)
	{
		if (cli->flags & CLI_JSON)
			output_json(s);
		else if (!(cli->flags & CLI_QUIET))
			print_done(cli, s, "sent");
		note_losses(cli, s);
	}
	note_config(cli, result);
	return 0;
}

static int pull_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO_REPO_ACCESS struct repo_access a = {0};
	json_auto_t *repo = NULL;
	json_auto_t *body = NULL;
	json_auto_t *answer = NULL;
	json_auto_t *result = NULL;
	struct name name;
	int rc = name_split_snapshot(args->words[1], &name, err);

	if (rc == 0 && args->n_words > 2)
		rc = name_check("volume", args->words[2], err);
	if (rc == 0)
		rc = repo_access_get(cli, args, args->words[0], &a, err);
	if (rc == 0)
		rc = repo_access_json(&a, &repo, err);
	if (rc < 0)
		return rc;
	body = json_pack("{s:s,s:s,s:O}", "volume", name.volume, "name", name.snapshot, "repo", repo);
	if (args->n_words > 2)
		(void)json_object_set_new(body, "new", json_string(args->words[2]));
	rc = api_call(cli->api, "POST", body, &answer, err, "/v1/pull");
	if (rc == 0)
		rc = job_wait(cli, "Pulling", answer, &result, NULL, err);
	if (rc < 0)
		return rc;
	if (cli->flags & CLI_JSON)
		output_json(result);
	else if (!(cli->flags & CLI_QUIET))
		print_done(cli, result, "received");
	note_config(cli, result);
	return 0;
}

static const struct args_option push_options[] = {
	REPO_ACCESS_OPTIONS,
	{"all", 0, NULL, "the newest snapshot of every volume"},
	{"new", 0, NULL, "with --all: every snapshot that the repository has not"},
	{0},
};
static const struct args_option pull_options[] = {REPO_ACCESS_OPTIONS, {0}};

const struct command cmd_push = {
	.name = "push",
	.fn = push_run,
	.synopsis = "VOL@SNAP… REPO\n--all [--new] REPO",
	.help = "send snapshots to a repository",
	.details = "What the repository has is not sent again. From the second push of a volume on only what changed "
		   "since the last\n"
		   "one is looked at, whatever the volume's size.",
	.options = push_options,
	.also = "backup upload",
	.words_min = 1,
	.words_max = -1,
};

const struct command cmd_pull = {
	.name = "pull",
	.fn = pull_run,
	.synopsis = "REPO VOL@SNAP [NEW]",
	.help = "get a snapshot from a repository",
	.details = "It becomes a snapshot of the volume of that name, whose present content is not touched; without "
		   "such a volume, one\n"
		   "is made. With NEW it becomes a new volume.",
	.options = pull_options,
	.also = "download fetch",
	.words_min = 2,
	.words_max = 3,
};
