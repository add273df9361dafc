/* varve: finds the command that the words name, parses its options, runs it, and reports how it went. Help is made from
 * the tables. */
#include <ctype.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "tools/api_client.h"
#include "tools/docker_plugin.h"
#include "tools/output.h"
#include "tools/suggest.h"

#define COMMAND_DEPTH_MAX 3
#define SAY_WAITING_S 10

enum exit_status { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const struct args_option global_options[] = {
	{"json", 0, NULL, "print JSON, errors too"},
	{"bytes", 'b', NULL, "print exact sizes"},
	{"quiet", 'q', NULL, "no chatter; listings give names only"},
	{"yes", 'y', NULL, "do not ask before something is removed or replaced"},
	{"api", 0, "SOCKET", "the daemon's socket (VARVE_API; " CLI_API_DEFAULT ")"},
	{"store", 0, "DIR", "the store (VARVE_STORE; " CLI_STORE_DEFAULT ")"},
	{"help", 'h', NULL, "say how the command is used"},
	{"version", 0, NULL, "say which version this is"},
	{0},
};

static int version_run(struct cli *cli, const struct args *args, struct err *err)
{
	(void)args;
	if (cli->flags & CLI_JSON) {
		json_auto_t *answer = json_pack("{s:s}", "version", VARVE_VERSION);

		if (!answer)
			return err_set(err, ENOMEM, "out of memory");
		output_json(answer);
	} else {
		(void)printf("varve %s\n", VARVE_VERSION);
	}
	return 0;
}

static int help_run(struct cli *cli, const struct args *args, struct err *err);

static const struct command cmd_version = {
	.name = "version",
	.fn = version_run,
	.synopsis = "",
	.help = "say which version this is",
};
static const struct command cmd_help = {
	.name = "help",
	.fn = help_run,
	.synopsis = "[COMMAND [SUBCOMMAND]]",
	.help = "say how a command is used",
	.words_max = COMMAND_DEPTH_MAX,
};

/* In the order of the help text. */
static const struct command *const commands[] = {
	&cmd_init, &cmd_status, &cmd_df, &cmd_volume, &cmd_snapshot, &cmd_diff,
	&cmd_rollback, &cmd_clone, &cmd_export, &cmd_import, &cmd_check, &cmd_gc,
	&cmd_set, &cmd_push, &cmd_pull, &cmd_send, &cmd_receive, &cmd_restore, &cmd_repo, &cmd_upgrade,
	&cmd_version, &cmd_help,
	&cmd_serve,
};
#define N_COMMANDS (sizeof commands / sizeof *commands)

static void say_waiting(void *arg, unsigned waited_s)
{
	output_note(arg, "varved has not answered for %u s: waiting", waited_s);
}

/* A command and the words that led to it. */
struct chosen {
	const struct command *command; /* NULL: varve itself */
	char name[64];		       /* "varve volume create" */
};

static const struct command *level_get(const struct command *noun, size_t i)
{
	if (!noun)
		return i < N_COMMANDS ? commands[i] : NULL;
	return noun->sub[i].name ? &noun->sub[i] : NULL;
}

/* One level down. 0 or -EUSAGE. */
static int choose(struct chosen *at, const char *word, struct err *err)
{
	const struct command *c;
	struct suggest near;

	suggest_begin(&near, word);
	for (size_t i = 0; (c = level_get(at->command, i)); i++) {
		if (strcmp(c->name, word) == 0) {
			size_t n = strlen(at->name);

			at->command = c;
			(void)snprintf(at->name + n, sizeof at->name - n, " %s", word);
			return 0;
		}
		suggest_offer(&near, c->name);
		suggest_offer_also(&near, c->name, c->also);
	}
	err_set(err, EUSAGE, "'%s' is not a command", word);
	if (near.best)
		err_hint(err, "did you mean '%s %s'?", at->name, near.best);
	return -EUSAGE;
}

static void print_synopsis(FILE *f, const struct chosen *at)
{
	const char *lead = "Usage:", *synopsis = at->command && at->command->fn ? at->command->synopsis : "COMMAND …";

	for (;;) {
		size_t n = strcspn(synopsis, "\n");

		(void)fprintf(f, "%-6s %s%s%.*s\n", lead, at->name, n ? " " : "", (int)n, synopsis);
		if (!synopsis[n])
			break;
		synopsis += n + 1;
		lead = "";
	}
}

static void print_options(const char *title, const struct args_option *options)
{
	(void)printf("\n%s:\n", title);
	for (const struct args_option *o = options; o->name; o++) {
		char text[48], letter[8] = "    ";

		if (o->letter)
			(void)snprintf(letter, sizeof letter, "-%c, ", o->letter);
		(void)snprintf(text, sizeof text, "%s--%s%s%s", letter, o->name, o->arg ? " " : "",
			       o->arg ? o->arg : "");
		(void)printf("  %-25s %s\n", text, o->help);
	}
}

static void print_help(const struct chosen *at)
{
	const struct command *c = at->command, *sub;
	const char *help;

	print_synopsis(stdout, at);
	help = c ? c->help : "volumes with snapshots, clones and rollback, on one deduplicated store";
	(void)printf("\n%c%s.\n", toupper(help[0]), help + 1);
	if (c && c->details)
		(void)printf("\n%s\n", c->details);
	if (!c || c->sub) {
		(void)printf("\nCommands:\n");
		for (size_t i = 0; (sub = level_get(c, i)); i++)
			(void)printf("  %-12s %s\n", sub->name, sub->help);
	}
	if (c && c->options)
		print_options("Options", c->options);
	print_options("Options of every command", global_options);
	if (!c)
		(void)printf("\nA snapshot is written VOLUME@SNAPSHOT. 'varve COMMAND --help' says more; so does 'man varve'.\n");
}

static int help_run(struct cli *cli, const struct args *args, struct err *err)
{
	struct chosen at = {0};

	(void)snprintf(at.name, sizeof at.name, "%s", cli->program);
	for (int i = 0; i < args->n_words; i++) {
		int rc;

		if (at.command && !at.command->sub)
			return err_set(err, EUSAGE, "'%s' has no subcommands", at.name);
		rc = choose(&at, args->words[i], err);
		if (rc < 0)
			return rc;
	}
	print_help(&at);
	return 0;
}

static void apply_globals(struct cli *cli, const struct args *args)
{
	static const struct {
		const char *name;
		unsigned flag;
	} flags[] = {
		{"json", CLI_JSON}, {"bytes", CLI_BYTES}, {"quiet", CLI_QUIET},
		{"yes", CLI_YES},   {"help", CLI_HELP},	  {"version", CLI_VERSION},
	};

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (args_has(args, flags[i].name))
			cli->flags |= flags[i].flag;
	if (args_has(args, "api"))
		cli->api_socket = args_value(args, "api");
	if (args_has(args, "store")) {
		cli->store = args_value(args, "store");
		cli->flags |= CLI_STORE_GIVEN;
	}
}

static int check_words(const struct command *c, const struct args *args, struct err *err)
{
	if (args->n_words < c->words_min)
		return err_set(err, EUSAGE, "arguments are missing");
	if (c->words_max >= 0 && args->n_words > c->words_max)
		return err_set(err, EUSAGE, "'%s' is one word too many", args->words[c->words_max]);
	return 0;
}

/* Goes from word to word down to a command, options of every level applied on the way, and runs it. */
static int run(struct cli *cli, int argc, char **argv, struct chosen *at, struct err *err)
{
	for (;;) {
		const struct command *c = at->command;
		bool leaf = c && c->fn;
		AUTO_ARGS struct args args = {0};
		int rc = args_parse(argc, argv, leaf ? 0 : ARGS_STOP_AT_WORD, leaf ? c->options : NULL, global_options,
				    &args, err);

		/* Errors are printed as this command line asked for, however early they come. */
		for (int i = 1; rc < 0 && i < argc; i++)
			if (strcmp(argv[i], "--json") == 0)
				cli->flags |= CLI_JSON;
		if (rc < 0)
			return rc;
		apply_globals(cli, &args);
		if (cli->flags & CLI_VERSION)
			return version_run(cli, &args, err);
		if (!leaf && args.n_words > 0) {
			rc = choose(at, args.words[0], err);
			if (rc < 0)
				return rc;
			argc = args.n_words;
			argv = args.words;
			continue;
		}
		if (cli->flags & CLI_HELP) {
			print_help(at);
			return 0;
		}
		if (!leaf)
			return err_set(err, EUSAGE, "a command is missing");
		rc = check_words(c, &args, err);
		if (rc < 0)
			return rc;
		rc = api_new(cli->api_socket, &cli->api, err);
		if (rc < 0)
			return rc;
		api_say_waiting(cli->api, SAY_WAITING_S, say_waiting, cli);
		return c->fn(cli, &args, err);
	}
}

static const char *env_or(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value && *value ? value : otherwise;
}

/* How to get a daemon, as far as can be seen from here. */
static void hint_daemon(const struct cli *cli, struct err *err)
{
	if (access(cli->store, F_OK) < 0 && errno == ENOENT)
		err_hint(err, "there is no store at %s yet: make one with 'varve init', then start varved", cli->store);
	else
		err_hint(err, "start it: 'varved --store %s --mount %s', or 'systemctl start varved'", cli->store,
			 cli->mount);
}

int main(int argc, char **argv)
{
	struct cli cli = {
		.program = "varve",
		.store = env_or("VARVE_STORE", CLI_STORE_DEFAULT),
		.mount = env_or("VARVE_MOUNT", CLI_MOUNT_DEFAULT),
		.api_socket = env_or("VARVE_API", CLI_API_DEFAULT),
		.flags = *env_or("VARVE_STORE", "") ? CLI_STORE_GIVEN : 0,
	};
	struct chosen at = {0};
	struct err err = {0};
	int rc;

	if (docker_plugin_called(argv[0])) {
		rc = docker_plugin_begin(&cli, commands, N_COMMANDS, &argc, &argv);
		if (rc >= 0)
			return rc;
		cli.program = "docker varve";
	}
	(void)snprintf(at.name, sizeof at.name, "%s", cli.program);
	(void)setlocale(LC_CTYPE, "");
	rc = run(&cli, argc, argv, &at, &err);
	api_free(cli.api);
	if (rc == 0)
		rc = output_finish(&err);
	if (rc == 0)
		return EXIT_OK;
	if (rc == -ENOTCONN && !err.hint[0])
		hint_daemon(&cli, &err);
	output_err(&cli, at.name, &err);
	if (rc != -EUSAGE)
		return EXIT_FAILED;
	if (!(cli.flags & CLI_JSON)) {
		print_synopsis(stderr, &at);
		(void)fprintf(stderr, "'%s --help' says more.\n", at.name);
	}
	return EXIT_USAGE;
}
