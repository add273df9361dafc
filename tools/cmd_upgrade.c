/* varve upgrade: another program takes the running daemon's place, under the mount. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/api_client.h"
#include "tools/output.h"

#define WAIT_S_MAX 120
#define ASK_PAUSE_NS 50000000L

/* Asks until the upgrade's end is known: what `count` was before says whether it is. */
static int wait_for_end(struct cli *cli, int64_t count, json_t **ret, struct err *err)
{
	const struct timespec pause = {.tv_nsec = ASK_PAUSE_NS};
	time_t until = time(NULL) + WAIT_S_MAX;

	while (time(NULL) < until) {
		json_auto_t *status = NULL;
		int rc = api_call(cli->api, "GET", NULL, &status, err, "/v1/status");

		if (rc < 0)
			return rc;
		if (api_int(json_object_get(json_object_get(status, "takeover"), "upgrade"), "count") != count) {
			*ret = json_incref(status);
			return 0;
		}
		(void)nanosleep(&pause, NULL);
	}
	return err_set(err, ETIMEDOUT, "the upgrade has not ended within %d s; varved's log says more", WAIT_S_MAX);
}

static int report(const struct cli *cli, const char *from, const json_t *status, uint64_t us, struct err *err)
{
	const json_t *upgrade = json_object_get(json_object_get(status, "takeover"), "upgrade");

	if (json_is_true(json_object_get(upgrade, "refused"))) {
		err_set(err, ENOEXEC, "the program does not take over: %s", api_str(upgrade, "message"));
		err_hint(err, "varved %s goes on as before", api_str(status, "version"));
		return -ENOEXEC;
	}
	if (cli->flags & CLI_JSON)
		output_json(status);
	else if (!(cli->flags & CLI_QUIET))
		(void)printf("varved %s serves in place of %s; the change took %.1f s\n", api_str(status, "version"), from,
			     (double)us / 1000000);
	return 0;
}

static uint64_t mono_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int upgrade_run(struct cli *cli, const struct args *args, struct err *err)
{
	json_auto_t *body = json_object();
	json_auto_t *answer = NULL;
	json_auto_t *status = NULL;
	char path[PATH_MAX];
	uint64_t began = mono_us();
	int rc;

	if (args->n_words && !realpath(args->words[0], path))
		return err_set(err, errno, "%s: %s", args->words[0], strerror(errno));
	if (args->n_words && json_object_set_new(body, "program", json_string(path)))
		return err_set(err, EINVAL, "%s is not valid UTF-8", args->words[0]);
	rc = api_call(cli->api, "POST", body, &answer, err, "/v1/upgrade");
	if (rc == 0)
		rc = wait_for_end(cli, api_int(answer, "count"), &status, err);
	return rc < 0 ? rc : report(cli, api_str(answer, "version"), status, mono_us() - began, err);
}

const struct command cmd_upgrade = {
	.name = "upgrade",
	.fn = upgrade_run,
	.synopsis = "[PROGRAM]",
	.help = "let another varved take over, under running containers",
	.details = "PROGRAM, by default the file that the running varved was started from, takes over the mount with all\n"
		   "that is open there; programs that use it notice a short pause. When it cannot, the running one goes on.\n"
		   "Needs Linux 6.9.",
	.also = "update restart",
	.words_max = 1,
};
