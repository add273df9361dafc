/* varve serve --stdio: the far side of ssh:// repositories. Needs no daemon and no key: what passes is sealed. */
#include <unistd.h>

#include "store/repo/wire.h"
#include "tools/args.h"
#include "tools/cli.h"

static int serve_run(struct cli *cli, const struct args *args, struct err *err)
{
	(void)cli;
	if (!args_has(args, "stdio"))
		return err_set(err, EUSAGE, "--stdio is the only way to serve");
	return wire_serve(args->words[0], STDIN_FILENO, STDOUT_FILENO, err);
}

static const struct args_option serve_options[] = {
	{"stdio", 0, NULL, "on standard input and output"},
	{0},
};

const struct command cmd_serve = {
	.name = "serve",
	.fn = serve_run,
	.synopsis = "--stdio PATH",
	.help = "the far side of a repository over ssh",
	.details = "Run by ssh, not by hand: it gives the folder PATH to whoever may log in.",
	.options = serve_options,
	.words_min = 1,
	.words_max = 1,
};
