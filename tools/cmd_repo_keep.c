#include "tools/cmd_repo_keep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/repo/forget.h"
#include "store/repo/prune.h"
#include "store/repo/repo_check.h"
#include "tools/cmd_repo_work.h"
#include "tools/name.h"

static int open_repo(struct cli *cli, const struct args *args, struct repo_access *a, struct repo **ret,
		     struct err *err)
{
	int rc = repo_access_get(cli, args, args->words[0], a, err);

	if (rc == 0)
		rc = repo_access_open(a, ret, err);
	if (rc == 0)
		repo_access_note(cli, *ret);
	return rc;
}

/* --- check --- */

const struct args_option repo_check_options[] = {
	REPO_ACCESS_OPTIONS,
	{"data", 0, NULL, "also read and verify every byte"},
	{"repair", 0, NULL, "and move what is damaged out of the way, so that the next push sends it again"},
	{0},
};

struct checking {
	struct cli *cli;
	struct repo *r;
	unsigned flags;
	struct repo_progress progress;
	struct repo_check_result result;
	json_t *messages;
};

static void check_finding(void *arg, const char *line)
{
	struct checking *c = arg;

	if (c->cli->flags & CLI_JSON)
		(void)json_array_append_new(c->messages, json_string(line));
	else
		(void)printf("%s\n", line);
}

static int check_work(void *arg, struct err *err)
{
	struct checking *c = arg;

	return repo_check(c->r, c->flags, check_finding, c, &c->progress, &c->result, err);
}

int repo_check_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO_REPO_ACCESS struct repo_access a = {0};
	AUTO_REPO struct repo *r = NULL;
	json_auto_t *messages = json_array();
	struct checking c = {.cli = cli,
			     .flags = args_has(args, "repair") ? REPO_CHECK_DATA | REPO_CHECK_REPAIR
				      : args_has(args, "data") ? REPO_CHECK_DATA
							       : 0,
			     .messages = messages};
	struct repo_check_result *done = &c.result;
	char size[FORMAT_MAX], unused[FORMAT_MAX], count[FORMAT_MAX];
	int rc = open_repo(cli, args, &a, &r, err);

	c.r = r;
	if (rc == 0)
		rc = repo_work(cli, "Checking", &c.progress, check_work, &c, err);
	if (rc < 0)
		return rc;
	if (cli->flags & CLI_JSON) {
		json_auto_t *answer = json_pack(
			"{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:O}", "snapshots", (json_int_t)done->snapshots, "packs",
			(json_int_t)done->packs, "nodes", (json_int_t)done->nodes, "chunks", (json_int_t)done->chunks,
			"bytes_verified", (json_int_t)done->bytes, "unused_bytes", (json_int_t)done->unused_bytes,
			"errors", (json_int_t)done->errors, "affected_files", (json_int_t)done->affected, "set_aside",
			(json_int_t)done->set_aside, "messages", messages);

		output_json(answer);
	} else {
		output_note(cli,
			    "Checked %llu snapshots, %llu packs, %llu nodes, %llu chunks%s%s; %s are not needed by any",
			    (unsigned long long)done->snapshots, (unsigned long long)done->packs,
			    (unsigned long long)done->nodes, (unsigned long long)done->chunks,
			    done->bytes ? "; verified " : "",
			    done->bytes ? output_size(cli, size, (int64_t)done->bytes) : "",
			    output_size(cli, unused, (int64_t)done->unused_bytes));
		if (!done->errors)
			(void)printf("The repository is clean\n");
	}
	if (!done->errors)
		return 0;
	(void)err_set(err, ECORRUPT, "found %s", output_count(count, (int64_t)done->errors, "error"));
	if (done->affected)
		err_hint(err, "%s", c.flags & REPO_CHECK_REPAIR
					    ? "a push sends again what is lost and the store still has"
					    : "'varve repo check --repair', then a push, bring back what the store still has");
	else
		err_hint(err, "%s", c.flags ? "no file of the snapshots that can be read is affected"
					    : "'varve repo check --data' says which files are affected");
	return -ECORRUPT;
}

/* --- forget --- */

const struct args_option repo_forget_options[] = {
	REPO_ACCESS_OPTIONS,
	{"keep-last", 0, "N", "keep the newest N of each volume"},
	{"keep-hourly", 0, "N", "and the newest of each of the newest N hours that have one"},
	{"keep-daily", 0, "N", "and of N days"},
	{"keep-weekly", 0, "N", "and of N weeks"},
	{"keep-monthly", 0, "N", "and of N months"},
	{"keep-yearly", 0, "N", "and of N years"},
	{"dry-run", 'n', NULL, "only say what would be forgotten"},
	{0},
};

static int policy_get(const struct args *args, struct forget_policy *ret, bool *ret_any, struct err *err)
{
	const char *const names[] = {"keep-last",   "keep-hourly",  "keep-daily",
				     "keep-weekly", "keep-monthly", "keep-yearly"};
	unsigned *const fields[] = {&ret->last,    &ret->each[0], &ret->each[1],
				    &ret->each[2], &ret->each[3], &ret->each[4]};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *value = args_value(args, names[i]);
		char *end;

		if (!value)
			continue;
		*ret_any = true;
		*fields[i] = (unsigned)strtoul(value, &end, 10);
		if (*end || !*value || *value == '-')
			return err_set(err, EUSAGE, "--%s takes a number, not '%s'", names[i], value);
	}
	if (*ret_any && !ret->last && !ret->each[0] && !ret->each[1] && !ret->each[2] && !ret->each[3] && !ret->each[4])
		return err_set(err, EINVAL,
			       "a policy that keeps nothing would forget everything: name the snapshots instead");
	return 0;
}

/* Those that the words name are not kept. */
static int keep_but_named(const struct args *args, const struct repo_entry *list, size_t n, bool *keep, struct err *err)
{
	memset(keep, true, n * sizeof *keep);
	for (int w = 1; w < args->n_words; w++) {
		struct name name;
		bool found = false;
		int rc = name_split_snapshot(args->words[w], &name, err);

		if (rc < 0)
			return rc;
		for (size_t i = 0; i < n; i++)
			if (!strcmp(list[i].s.volume, name.volume) && !strcmp(list[i].s.snapshot, name.snapshot)) {
				keep[i] = false;
				found = true;
			}
		if (!found)
			return err_set(err, ENOENT, "the repository has no snapshot '%s'", args->words[w]);
	}
	return 0;
}

static int forget_these(struct cli *cli, const struct args *args, struct repo *r, const struct repo_entry *list,
			size_t n, const bool *keep, struct err *err)
{
	bool dry = args_has(args, "dry-run");
	json_auto_t *forgotten = json_array();
	size_t kept = 0;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		char text[2 * VOLUME_NAME_MAX + 2];

		kept += keep[i];
		if (keep[i])
			continue;
		(void)snprintf(text, sizeof text, "%s@%s", list[i].s.volume, list[i].s.snapshot);
		rc = dry ? 0 : repo_snapshot_remove(r, &list[i].id, err);
		(void)json_array_append_new(forgotten, json_string(text));
		if (rc == 0 && !(cli->flags & (CLI_JSON | CLI_QUIET)))
			(void)printf("%s %s\n", dry ? "would forget" : "forgot", text);
	}
	if (cli->flags & CLI_JSON) {
		json_auto_t *answer = json_pack("{s:O,s:I}", "forgotten", forgotten, "kept", (json_int_t)kept);

		output_json(answer);
	}
	return rc;
}

int repo_forget_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO_REPO_ACCESS struct repo_access a = {0};
	AUTO_REPO struct repo *r = NULL;
	AUTO_FREE struct repo_entry *list = NULL;
	AUTO_FREE bool *keep = NULL;
	struct forget_policy policy = {0};
	bool any = false;
	size_t n = 0;
	int rc = policy_get(args, &policy, &any, err);

	if (rc == 0 && !any && args->n_words < 2)
		rc = err_set(err, EUSAGE, "say which snapshots to forget, or what to keep");
	if (rc == 0)
		rc = open_repo(cli, args, &a, &r, err);
	if (rc == 0)
		rc = repo_snapshot_list(r, &list, &n, err);
	if (rc < 0)
		return rc;
	keep = calloc(n ? n : 1, sizeof *keep);
	if (!keep)
		return err_set(err, ENOMEM, "out of memory");
	if (any)
		forget_select(&policy, list, n, keep);
	else
		rc = keep_but_named(args, list, n, keep, err);
	for (size_t i = 0; any && args->n_words > 1 && i < n; i++)
		keep[i] |= strcmp(list[i].s.volume, args->words[1]) != 0;
	return rc ? rc : forget_these(cli, args, r, list, n, keep, err);
}

/* --- prune --- */

const struct args_option repo_prune_options[] = {
	REPO_ACCESS_OPTIONS,
	{"grace", 0, "TIME", "how long what is set aside waits: 30m, 12h, 2d (24h)"},
	{"dry-run", 'n', NULL, "only say what would be done"},
	{0},
};

static int parse_time(const char *text, int64_t *ret, struct err *err)
{
	char *end;
	long n = strtol(text, &end, 10);
	int64_t unit = *end == 's' || !*end ? 1 : *end == 'm' ? 60 : *end == 'h' ? 3600 : *end == 'd' ? 86400 : 0;

	if (n < 0 || n > 100000 || end == text || !unit || (*end && end[1]))
		return err_set(err, EUSAGE, "'%s' is not a time: write 30m, 12h or 2d", text);
	*ret = n * unit * 1000000000;
	return 0;
}

struct pruning {
	struct repo *r;
	int64_t grace;
	bool dry_run;
	struct repo_progress progress;
	struct prune_result result;
};

static int prune_work(void *arg, struct err *err)
{
	struct pruning *p = arg;

	return repo_prune(p->r, p->grace, p->dry_run, &p->progress, &p->result, err);
}

int repo_prune_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO_REPO_ACCESS struct repo_access a = {0};
	AUTO_REPO struct repo *r = NULL;
	struct pruning p = {.grace = PRUNE_GRACE_DEFAULT_NS, .dry_run = args_has(args, "dry-run")};
	const struct prune_result *done = &p.result;
	char deleted[FORMAT_MAX], waiting[FORMAT_MAX];
	int rc = args_has(args, "grace") ? parse_time(args_value(args, "grace"), &p.grace, err) : 0;

	if (rc == 0)
		rc = open_repo(cli, args, &a, &r, err);
	p.r = r;
	if (rc == 0)
		rc = repo_work(cli, "Pruning", &p.progress, prune_work, &p, err);
	if (rc < 0)
		return rc;
	if (cli->flags & CLI_JSON) {
		json_auto_t *answer = json_pack(
			"{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "packs", (json_int_t)done->packs, "bytes",
			(json_int_t)done->bytes, "deleted_packs", (json_int_t)done->deleted_packs, "deleted_bytes",
			(json_int_t)done->deleted_bytes, "quarantined_packs", (json_int_t)done->quarantined_packs,
			"quarantined_bytes", (json_int_t)done->quarantined_bytes, "rescued_packs",
			(json_int_t)done->rescued_packs, "copied_bytes", (json_int_t)done->copied_bytes);

		output_json(answer);
		return 0;
	}
	(void)printf("%s %s in %llu packs; %s in %llu packs set aside\n", p.dry_run ? "Would delete" : "Deleted",
		     output_size(cli, deleted, (int64_t)done->deleted_bytes), (unsigned long long)done->deleted_packs,
		     output_size(cli, waiting, (int64_t)done->quarantined_bytes),
		     (unsigned long long)done->quarantined_packs);
	return 0;
}
