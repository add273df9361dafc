/* What every command of varve gets, and the tables that commands are found in. */
#ifndef VARVE_TOOLS_CLI_H
#define VARVE_TOOLS_CLI_H

#include "store/base/err.h"
#include "tools/args.h"

#define CLI_STORE_DEFAULT "/var/lib/varve/store"
#define CLI_MOUNT_DEFAULT "/var/lib/varve/volumes"
#define CLI_API_DEFAULT "/run/varve/api.sock"

enum cli_flags {
	CLI_JSON = 1,
	CLI_QUIET = 2, /* no chatter; listings give names only */
	CLI_YES = 4,   /* do not ask */
	CLI_BYTES = 8, /* exact sizes */
	CLI_HELP = 16,
	CLI_VERSION = 32,
	CLI_STORE_GIVEN = 64, /* by option or environment, not by default */
};

struct cli {
	const char *program; /* "varve", or "docker varve" when it is docker's plugin */
	unsigned flags;
	const char *store;
	const char *mount;
	const char *api_socket;
	struct api *api; /* api_client.h; opened when the program starts, connected when used */
};

struct command {
	const char *name; /* a table ends with NULL here */
	/* 0 or -code with *err set. NULL when there are subcommands. */
	int (*fn)(struct cli *cli, const struct args *args, struct err *err);
	const char *synopsis;		   /* what follows the name; a newline between several forms */
	const char *help;		   /* one line */
	const char *details;		   /* what --help says beyond that, wrapped; NULL: nothing */
	const struct args_option *options; /* NULL: only the global ones */
	const struct command *sub;
	const char *also;	  /* other words that people type for it: never accepted, only answered with a hint */
	int words_min, words_max; /* how many words it takes; words_max -1: any number */
};

extern const struct command cmd_init;
extern const struct command cmd_status;
extern const struct command cmd_df;
extern const struct command cmd_volume;
extern const struct command cmd_snapshot;
extern const struct command cmd_diff;
extern const struct command cmd_rollback;
extern const struct command cmd_clone;
extern const struct command cmd_export;
extern const struct command cmd_import;
extern const struct command cmd_set;
extern const struct command cmd_check;
extern const struct command cmd_gc;
extern const struct command cmd_push;
extern const struct command cmd_pull;
extern const struct command cmd_send;
extern const struct command cmd_receive;
extern const struct command cmd_restore;
extern const struct command cmd_upgrade;
extern const struct command cmd_repo;
extern const struct command cmd_serve;

#endif
