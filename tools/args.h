/* Options and words of one command line, parsed with getopt_long from tables. One thread. */
#ifndef VARVE_TOOLS_ARGS_H
#define VARVE_TOOLS_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "store/base/err.h"

/* What a usage error carries as its code: the command ends with exit status 2. */
#define EUSAGE 2001

struct args_option {
	const char *name; /* long, without dashes; a table ends with NULL here */
	int letter;	  /* 0: none */
	const char *arg;  /* what its value is called in the help; NULL when it takes none */
	const char *help;
};

struct args_given {
	const struct args_option *option;
	const char *value;
};

struct args {
	char **words; /* borrowed from argv; ends with NULL */
	int n_words;
	struct args_given *given; /* in the order given */
	size_t n_given;
};

enum args_flags { ARGS_STOP_AT_WORD = 1 /* leave everything from the first word on as words */ };

/* Parses argv[1..] by up to two tables (`own` may be NULL), which must outlive `ret`. Free with args_free. Reorders
 * argv so that words come last. Not to be called by two threads (getopt). 0, -EUSAGE or -ENOMEM. */
int args_parse(int argc, char **argv, unsigned flags, const struct args_option *own, const struct args_option *global,
	       struct args *ret, struct err *err);
void args_free(struct args *args);
#define AUTO_ARGS __attribute__((cleanup(args_free)))

bool args_has(const struct args *args, const char *name);
/* The last value given, or NULL. */
const char *args_value(const struct args *args, const char *name);

#endif
