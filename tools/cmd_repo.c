/* varve repo …: backup repositories. None of this needs a daemon. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "tools/cmd_repo_access.h"
#include "tools/cmd_repo_keep.h"
#include "tools/cmd_repo_work.h"

static int open_repo(struct cli *cli, const struct args *args, struct repo_access *a, struct repo **ret, struct err *err)
{
	int rc = repo_access_get(cli, args, args->words[0], a, err);

	if (rc == 0)
		rc = repo_access_open(a, ret, err);
	if (rc == 0)
		repo_access_note(cli, *ret);
	return rc;
}

/* Who made a key or a push. */
static void host_label(char out[REPO_HOST_MAX + 1])
{
	if (gethostname(out, REPO_HOST_MAX) < 0)
		*out = 0;
	out[REPO_HOST_MAX] = 0;
}

static int init_run(struct cli *cli, const struct args *args, struct err *err)
{
	bool encrypted = !args_has(args, "no-encryption");
	AUTO_REPO_ACCESS struct repo_access a = {0};
	struct repo_credentials cred;
	char host[REPO_HOST_MAX + 1];
	int rc = repo_access_get(cli, args, args->words[0], &a, err);

	if (rc == 0 && encrypted && !a.passphrase && !a.key_bytes) {
		rc = repo_access_prompt(&a, "New passphrase", true, err);
		if (rc == -EKEYREJECTED) {
			(void)err_set(err, EINVAL, "a repository needs a passphrase or a key file");
			err_hint(err, "set VARVE_PASSPHRASE or VARVE_PASSPHRASE_FILE, or give --key-file; or --no-encryption, if whoever "
				      "can read the place may read the backups");
		}
	}
	if (rc < 0)
		return rc;
	host_label(host);
	cred = repo_access_credentials(&a);
	rc = repo_init(a.url, &cred, encrypted, host, err);
	if (rc < 0)
		return rc;
	if (cli->flags & CLI_JSON) {
		json_auto_t *answer = json_pack("{s:s,s:b}", "repository", a.url, "encrypted", encrypted);

		output_json(answer);
		return 0;
	}
	(void)printf("Made a repository in %s\n", a.url);
	output_note(cli, "%s", encrypted ? "Whoever loses its keys has lost its backups: keep a copy of the passphrase or key file elsewhere"
					: "It is not encrypted: who can read the place can read the backups, and who can write there can forge them");
	return 0;
}

static int info_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO_REPO_ACCESS struct repo_access a = {0};
	AUTO_REPO struct repo *r = NULL;
	AUTO_FREE struct repo_entry *list = NULL;
	char id[2 * REPO_ID_LEN + 1], size[FORMAT_MAX], when[FORMAT_MAX];
	uint64_t blobs = 0, bytes = 0;
	size_t n;
	int rc = open_repo(cli, args, &a, &r, err);

	if (rc == 0)
		rc = repo_load_index(r, 0, err);
	if (rc == 0)
		rc = repo_snapshot_list(r, &list, &n, err);
	if (rc < 0)
		return rc;
	repo_id_hex(r, id);
	for (size_t i = 0; i < blob_index_packs(r->index); i++) {
		blobs += blob_index_pack(r->index, i)->n;
		bytes += blob_index_pack(r->index, i)->bytes;
	}
	if (cli->flags & CLI_JSON) {
		json_auto_t *o = json_pack("{s:s,s:s,s:b,s:I,s:I,s:I,s:I,s:I}", "repository", a.url, "id", id, "encrypted",
					   r->config.encrypted, "created", (json_int_t)r->config.created, "snapshots", (json_int_t)n,
					   "packs", (json_int_t)blob_index_packs(r->index), "blobs", (json_int_t)blobs, "bytes",
					   (json_int_t)bytes);

		output_json(o);
		return 0;
	}
	(void)printf("Repository  %s\nId          %s\nMade        %s\nEncrypted   %s\nSnapshots   %zu\nPacks       %zu, %s\n", a.url, id,
		     format_time(when, r->config.created), r->config.encrypted ? "yes" : "no", n, blob_index_packs(r->index),
		     output_size(cli, size, (int64_t)bytes));
	return 0;
}

static json_t *entry_json(const struct repo_entry *e)
{
	char id[REPO_HEX_LEN];

	repo_name_hex(&e->id, id);
	return json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I}", "volume", e->s.volume, "snapshot", e->s.snapshot, "host", e->s.host, "id",
			 id, "created", (json_int_t)e->s.created, "pushed", (json_int_t)e->s.pushed, "bytes", (json_int_t)e->s.bytes,
			 "inodes", (json_int_t)e->s.inodes, "stored_bytes", (json_int_t)e->s.new_bytes);
}

static int ls_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO_REPO_ACCESS struct repo_access a = {0};
	AUTO_REPO struct repo *r = NULL;
	AUTO_FREE struct repo_entry *list = NULL;
	AUTO_TABLE struct table *t = NULL;
	json_auto_t *all = json_array();
	char when[FORMAT_MAX], size[FORMAT_MAX], stored[FORMAT_MAX];
	const char *only = args->n_words > 1 ? args->words[1] : NULL;
	size_t n;
	int rc = open_repo(cli, args, &a, &r, err);

	if (rc == 0)
		rc = repo_snapshot_list(r, &list, &n, err);
	if (rc == 0 && table_new(&t) < 0)
		rc = err_set(err, ENOMEM, "out of memory");
	if (rc < 0)
		return rc;
	table_column(t, "SNAPSHOT", 0);
	table_column(t, "TAKEN", 0);
	table_column(t, "SIZE", TABLE_RIGHT);
	table_column(t, "STORED", TABLE_RIGHT | TABLE_OPTIONAL);
	table_column(t, "HOST", TABLE_OPTIONAL);
	for (size_t i = 0; i < n; i++) {
		const struct repo_snapshot *s = &list[i].s;

		if (only && strcmp(only, s->volume) != 0)
			continue;
		if (cli->flags & CLI_JSON)
			(void)json_array_append_new(all, entry_json(&list[i]));
		else if (cli->flags & CLI_QUIET)
			(void)printf("%s@%s\n", s->volume, s->snapshot);
		table_cell(t, "%s@%s", s->volume, s->snapshot);
		table_cell(t, "%s", format_time(when, s->created));
		table_cell(t, "%s", output_size(cli, size, s->bytes));
		table_cell(t, "%s", output_size(cli, stored, (int64_t)s->new_bytes));
		table_cell(t, "%s", s->host);
	}
	if (cli->flags & CLI_JSON) {
		json_auto_t *answer = json_pack("{s:O}", "snapshots", all);

		output_json(answer);
	}
	return cli->flags & (CLI_JSON | CLI_QUIET) ? 0 : output_table(t, err);
}

static int add_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO_REPO_ACCESS struct repo_access a = {0};
	AUTO_REPO struct repo *r = NULL;
	int rc = repo_access_get(cli, args, args->words[1], &a, err);

	/* what does not open would fail at night */
	if (rc == 0)
		rc = repo_access_open(&a, &r, err);
	repo_access_note(cli, r);
	if (rc == 0)
		rc = repo_access_store(&a, args->words[0], err);
	if (rc == 0)
		output_note(cli, "'%s' now stands for %s, with what opens it", args->words[0], a.url);
	return rc;
}

/* --- keys --- */

static int key_ls(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO_REPO_ACCESS struct repo_access a = {0};
	AUTO_REPO struct repo *r = NULL;
	AUTO_FREE struct repo_key *keys = NULL;
	AUTO_TABLE struct table *t = NULL;
	json_auto_t *all = json_array();
	char when[FORMAT_MAX];
	size_t n;
	int rc = open_repo(cli, args, &a, &r, err);

	if (rc == 0)
		rc = repo_key_list(r, &keys, &n, err);
	if (rc == 0 && table_new(&t) < 0)
		rc = err_set(err, ENOMEM, "out of memory");
	if (rc < 0)
		return rc;
	table_column(t, "KEY", 0);
	table_column(t, "KIND", 0);
	table_column(t, "ADDED", 0);
	table_column(t, "LABEL", 0);
	for (size_t i = 0; i < n; i++) {
		const char *kind = keys[i].slot.kind == SLOT_PASSPHRASE ? "passphrase" : "key file";

		(void)json_array_append_new(all, json_pack("{s:s,s:s,s:I,s:s}", "id", keys[i].id, "kind", kind, "created",
							   (json_int_t)keys[i].slot.created, "label", keys[i].slot.label));
		table_cell(t, "%s", keys[i].id);
		table_cell(t, "%s", kind);
		table_cell(t, "%s", format_time(when, keys[i].slot.created));
		table_cell(t, "%s", keys[i].slot.label);
	}
	if (cli->flags & CLI_JSON) {
		json_auto_t *answer = json_pack("{s:O}", "keys", all);

		output_json(answer);
		return 0;
	}
	return output_table(t, err);
}

static int key_add(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO_REPO_ACCESS struct repo_access a = {0};
	AUTO_REPO_ACCESS struct repo_access fresh = {0};
	AUTO_REPO struct repo *r = NULL;
	struct repo_credentials cred = {0};
	char id[17], host[REPO_HOST_MAX + 1];
	int rc = open_repo(cli, args, &a, &r, err);

	if (rc == 0)
		rc = repo_access_new_key(&fresh, args, a.name, err);
	if (rc < 0)
		return rc;
	cred = repo_access_credentials(&fresh);
	host_label(host);
	rc = repo_key_add(r, &cred, args_value(args, "label") ? args_value(args, "label") : host, id, err);
	if (rc == 0)
		(void)printf("%s\n", id);
	return rc;
}

static int key_rm(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO_REPO_ACCESS struct repo_access a = {0};
	AUTO_REPO struct repo *r = NULL;
	int rc = open_repo(cli, args, &a, &r, err);

	return rc ? rc : repo_key_remove(r, args->words[1], err);
}

static const struct args_option access_options[] = {REPO_ACCESS_OPTIONS, {0}};
static const struct args_option init_options[] = {
	REPO_ACCESS_OPTIONS,
	{"no-encryption", 0, NULL, "keep contents in clear: who can read the place can read the backups"},
	{0},
};
static const struct args_option key_add_options[] = {
	REPO_ACCESS_OPTIONS,
	{"new-key-file", 0, "FILE", "the key to add: a file"},
	{"new-passphrase-file", 0, "FILE", "the key to add: a passphrase, the first line of a file"},
	{"label", 0, "TEXT", "what the listing calls it (this host's name)"},
	{0},
};

static const struct command key_commands[] = {
	{.name = "ls", .fn = key_ls, .synopsis = "REPO", .help = "list the keys", .options = access_options, .words_min = 1, .words_max = 1,
	 .also = "list"},
	{.name = "add", .fn = key_add, .synopsis = "REPO", .help = "add a key", .options = key_add_options, .words_min = 1, .words_max = 1,
	 .details = "Every key opens the whole repository. Nothing is written again: add the new one, then remove the old one.",
	 .also = "new passwd change"},
	{.name = "rm", .fn = key_rm, .synopsis = "REPO KEY", .help = "remove a key", .options = access_options, .words_min = 2,
	 .words_max = 2, .also = "remove delete revoke"},
	{0},
};

static const struct command repo_commands[] = {
	{.name = "init", .fn = init_run, .synopsis = "REPO", .help = "make a repository", .options = init_options, .words_min = 1,
	 .words_max = 1, .also = "create new",
	 .details = "REPO is a path, ssh://[user@]host[:port]/path or s3://bucket/prefix?endpoint=URL. Contents are encrypted with a key that\n"
		    "the passphrase or key file opens. A lost passphrase means lost backups: nothing else opens them."},
	{.name = "add", .fn = add_run, .synopsis = "NAME REPO", .help = "give a repository a name, and store what opens it",
	 .options = access_options, .words_min = 2, .words_max = 2,
	 .details = "Stored in /etc/varve/repos (VARVE_REPOS), readable by its owner only, for pushes that nobody attends."},
	{.name = "ls", .fn = ls_run, .synopsis = "REPO [VOLUME]", .help = "list the snapshots in it", .options = access_options,
	 .words_min = 1, .words_max = 2, .also = "list snapshots"},
	{.name = "info", .fn = info_run, .synopsis = "REPO", .help = "what it is and how large", .options = access_options, .words_min = 1,
	 .words_max = 1, .also = "stats status"},
	{.name = "check", .fn = repo_check_run, .synopsis = "[--data] [--repair] REPO", .help = "prove that everything in it is there and whole",
	 .options = repo_check_options, .words_min = 1, .words_max = 1, .also = "verify fsck repair heal",
	 .details = "Changes nothing without --repair. That moves what is damaged to the folder damaged/ of the repository, and keeps what\n"
		    "of it can still be read; a push then sends the rest again."},
	{.name = "forget", .fn = repo_forget_run, .synopsis = "REPO VOL@SNAP…\n--keep-… N REPO [VOLUME]", .help = "remove snapshots from it",
	 .options = repo_forget_options, .words_min = 1, .words_max = -1, .also = "rm remove delete expire",
	 .details = "Of each volume (or the one named) all that no --keep option keeps are forgotten. The space comes back with\n"
		    "'varve repo prune'."},
	{.name = "prune", .fn = repo_prune_run, .synopsis = "REPO", .help = "give back the space of what was forgotten",
	 .options = repo_prune_options, .words_min = 1, .words_max = 1, .also = "gc collect",
	 .details = "In two steps, so that others may push meanwhile: what nothing needs is set aside, and deleted by the first prune after\n"
		    "the time of grace."},
	{.name = "key", .synopsis = "", .help = "the keys that open it", .sub = key_commands, .also = "keys passphrase"},
	{0},
};

const struct command cmd_repo = {
	.name = "repo",
	.synopsis = "",
	.help = "backup repositories",
	.sub = repo_commands,
	.also = "repository backup remote",
};
