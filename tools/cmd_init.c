/* varve init: makes a store. Needs no daemon. */
#include <stdio.h>

#include "store/volume/store.h"
#include "tools/output.h"

static int init_run(struct cli *cli, const struct args *args, struct err *err)
{
	const char *dir = args->n_words ? args->words[0] : cli->store;
	int rc = store_init(dir, err);

	if (rc < 0)
		return rc;
	if (cli->flags & CLI_JSON) {
		json_auto_t *answer = json_pack("{s:s}", "store", dir);

		if (!answer)
			return err_set(err, ENOMEM, "the store is made, but memory ran out");
		output_json(answer);
		return 0;
	}
	(void)printf("Made a store in %s\n", dir);
	output_note(cli, "Mount it with 'varved --store %s --mount %s', or 'systemctl start varved'", dir, cli->mount);
	return 0;
}

const struct command cmd_init = {
	.name = "init",
	.fn = init_run,
	.synopsis = "[STORE]",
	.help = "make a store",
	.details = "STORE is an empty or new directory on a local filesystem (ext4, xfs, btrfs); without it\n"
		   "--store, VARVE_STORE or " CLI_STORE_DEFAULT " say where.",
	.also = "create new setup format mkfs",
	.words_max = 1,
};
