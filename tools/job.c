#include "tools/job.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "store/base/cleanup.h"
#include "tools/api_client.h"
#include "tools/output.h"
#include "tools/progress.h"

/* Asked often at first, so that short work ends at once. */
#define POLL_FIRST_MS 5
#define POLL_MS 100

/* Prints those messages of a job that were not printed yet. */
static void print_messages(const struct cli *cli, struct progress *bar, const json_t *messages, size_t *printed)
{
	for (; *printed < json_array_size(messages); (*printed)++) {
		if (cli->flags & CLI_JSON)
			continue;
		progress_clear(bar);
		(void)printf("%s\n", json_string_value(json_array_get(messages, *printed)));
	}
}

/* Until it has ended. */
static int wait_end(struct cli *cli, const char *label, json_t **job, struct err *err)
{
	json_int_t id = json_integer_value(json_object_get(*job, "id"));
	long poll_ms = POLL_FIRST_MS;
	struct progress bar;
	size_t printed = 0;
	char text[FORMAT_MAX];
	int rc = 0;

	(void)snprintf(text, sizeof text, "%lld", (long long)id);
	progress_begin(&bar, cli, label);
	for (;;) {
		json_t *next = NULL;

		print_messages(cli, &bar, json_object_get(*job, "messages"), &printed);
		if (strcmp(api_str(*job, "state"), "running") != 0)
			break;
		if (api_int(*job, "bytes"))
			progress_moved(&bar, json_number_value(json_object_get(*job, "progress")),
				       api_int(*job, "bytes"));
		else
			progress_set(&bar, json_number_value(json_object_get(*job, "progress")));
		(void)nanosleep(&(struct timespec){.tv_nsec = poll_ms * 1000000L}, NULL);
		poll_ms = poll_ms * 2 < POLL_MS ? poll_ms * 2 : POLL_MS;
		rc = api_call(cli->api, "GET", NULL, &next, err, "/v1/jobs/%s", text);
		if (rc == -ENOENT) { /* another daemon answers */
			rc = err_set(err, ECONNRESET, "varved ended before this was done");
			err_hint(err, "it is done or not, never half: do it again");
		}
		if (rc < 0)
			break;
		json_decref(*job);
		*job = next;
	}
	progress_clear(&bar);
	return rc;
}

int job_wait(struct cli *cli, const char *label, const json_t *answer, json_t **ret, json_t **ret_messages,
	     struct err *err)
{
	json_auto_t *job = json_incref(json_object_get(answer, "job"));
	const json_t *error;
	int rc = wait_end(cli, label, &job, err);

	if (rc < 0)
		return rc;
	if (strcmp(api_str(job, "state"), "done") != 0) {
		error = json_object_get(job, "error");
		err_set(err, EIO, "%s",
			*api_str(error, "message") ? api_str(error, "message") : "the work did not come to its end");
		err_hint(err, "%s", api_str(error, "hint"));
		return -EIO;
	}
	*ret = json_incref(json_object_get(job, "result"));
	if (ret_messages)
		*ret_messages = json_incref(json_object_get(job, "messages"));
	return 0;
}
