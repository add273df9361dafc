#include "tools/daemon.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "tools/api_client.h"

static bool same_directory(const char *a, const char *b)
{
	AUTO_FREE char *real_a = realpath(a, NULL);
	AUTO_FREE char *real_b = realpath(b, NULL);

	return real_a && real_b && strcmp(real_a, real_b) == 0;
}

int daemon_serves(struct cli *cli, struct err *err)
{
	json_auto_t *status = NULL;
	int rc = api_call(cli->api, "GET", NULL, &status, err, "/v1/status");

	/* A daemon may be there and serve another store than the one asked for. */
	if (rc == 0)
		return !(cli->flags & CLI_STORE_GIVEN) || same_directory(cli->store, api_str(status, "store"));
	return rc == -ENOTCONN && access(cli->store, F_OK) == 0 ? 0 : rc;
}
