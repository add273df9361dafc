/* varve restore: one path of a snapshot, from a repository to a folder. Needs neither daemon nor store. */
#include <stdio.h>
#include <time.h>

#include "store/repo/restore.h"
#include "tools/cmd_repo_access.h"
#include "tools/cmd_repo_work.h"
#include "tools/name.h"

struct restoring {
	struct repo *r;
	struct name name;
	const char *path, *dest;
	struct repo_progress progress;
	struct restore_result result;
};

static int work(void *arg, struct err *err)
{
	struct restoring *w = arg;

	return repo_restore(w->r, w->name.volume, w->name.snapshot, w->path, w->dest, &w->progress, &w->result, err);
}

static int restore_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO_REPO_ACCESS struct repo_access a = {0};
	AUTO_REPO struct repo *r = NULL;
	struct restoring w = {.path = args->words[2], .dest = args->words[3]};
	struct restore_result *done = &w.result;
	char size[FORMAT_MAX], got[FORMAT_MAX];
	int rc = name_split_snapshot(args->words[1], &w.name, err);

	if (rc == 0)
		rc = repo_access_get(cli, args, args->words[0], &a, err);
	if (rc == 0)
		rc = repo_access_open(&a, &r, err);
	repo_access_note(cli, r);
	w.r = r;
	if (rc == 0)
		rc = repo_work(cli, "Restoring", &w.progress, work, &w, err);
	if (rc < 0)
		return rc;
	if (cli->flags & CLI_JSON) {
		json_auto_t *answer = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "files", (json_int_t)done->files,
						"directories", (json_int_t)done->directories, "others",
						(json_int_t)done->others, "bytes", (json_int_t)done->bytes, "received",
						(json_int_t)atomic_load(&w.progress.sent), "unset",
						(json_int_t)done->unset);

		output_json(answer);
		return 0;
	}
	output_note(cli, "Restored %llu files and %llu folders, %s, from %s of the repository",
		    (unsigned long long)done->files, (unsigned long long)done->directories,
		    output_size(cli, size, (int64_t)done->bytes),
		    output_size(cli, got, (int64_t)atomic_load(&w.progress.sent)));
	if (done->unset)
		output_note(cli, "%llu owners or attributes could not be set here, the first: %s",
			    (unsigned long long)done->unset, done->unset_first);
	return 0;
}

static const struct args_option restore_options[] = {REPO_ACCESS_OPTIONS, {0}};

const struct command cmd_restore = {
	.name = "restore",
	.fn = restore_run,
	.synopsis = "REPO VOL@SNAP PATH DEST",
	.help = "get a file or folder of a snapshot from a repository",
	.details = "PATH is inside the volume, '/' for all of it. DEST is a new name, or an empty folder. Nothing else "
		   "of the snapshot is\n"
		   "read. Needs no daemon.",
	.options = restore_options,
	.also = "extract",
	.words_min = 4,
	.words_max = 4,
};
