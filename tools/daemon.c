#include "tools/daemon.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/volume/claim.h"
#include "tools/api_client.h"
#include "tools/output.h"

#define WAIT_MS_MAX 30000
/* A daemon that has the store listens from its start on: one that is not reached where we look listens elsewhere. */
#define WAIT_MS_LASTING 1000
#define SAY_AFTER_MS 500
#define TRY_MS 50

static bool same_directory(const char *a, const char *b)
{
	AUTO_FREE char *real_a = realpath(a, NULL);
	AUTO_FREE char *real_b = realpath(b, NULL);

	return real_a && real_b && strcmp(real_a, real_b) == 0;
}

/* 1: a daemon answers, and serves the store that is meant; 0: none does, or not for long, and there may be a store to open. */
static int serves(struct cli *cli, struct err *err)
{
	json_auto_t *status = NULL;
	int rc = api_call(cli->api, "GET", NULL, &status, err, "/v1/status");

	/* A daemon may be there and serve another store than the one asked for. */
	if (rc == 0 && cli->flags & CLI_STORE_GIVEN && !same_directory(cli->store, api_str(status, "store")))
		return 0;
	if (rc == 0)
		return claim_look(api_str(status, "store")) != CLAIM_PASSES;
	return rc == -ENOTCONN && (cli->flags & CLI_STORE_GIVEN || access(cli->store, F_OK) == 0) ? 0 : rc;
}

int daemon_or_store(struct cli *cli, unsigned flags, struct store **ret, struct err *err)
{
	const struct timespec pause = {.tv_nsec = TRY_MS * 1000000L};
	struct store_options options = STORE_OPTIONS_DEFAULT;
	unsigned waited;
	int rc;

	options.flags = flags;
	for (waited = 0;; waited += TRY_MS) {
		rc = serves(cli, err);
		if (rc)
			return rc;
		*err = (struct err){0};
		rc = store_open(cli->store, &options, ret, err);
		if (rc != -EBUSY)
			return rc;
		if (claim_look(cli->store) == CLAIM_LASTS && waited >= WAIT_MS_LASTING) {
			err_hint(err, "a daemon holds this store: say where it listens with --api");
			return rc;
		}
		if (waited >= WAIT_MS_MAX)
			return rc;
		if (waited == SAY_AFTER_MS)
			output_note(cli, "%s: waiting for it", err->text);
		(void)nanosleep(&pause, NULL);
	}
}
