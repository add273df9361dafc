#include "tools/args.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tools/suggest.h"

#define OPTIONS_MAX 32
#define LONG_ONLY 256 /* the value of an option without a letter: this plus its place */

/* Both tables as getopt wants them. */
struct parser {
	const struct args_option *known[OPTIONS_MAX];
	struct option longs[OPTIONS_MAX + 1];
	char shorts[2 * OPTIONS_MAX + 3];
	size_t n;
};

static void parser_add(struct parser *p, const struct args_option *table)
{
	char *s = p->shorts + strlen(p->shorts);

	for (const struct args_option *o = table; o && o->name && p->n < OPTIONS_MAX; o++, p->n++) {
		int val = o->letter ? o->letter : LONG_ONLY + (int)p->n;

		p->known[p->n] = o;
		p->longs[p->n] = (struct option){o->name, o->arg ? required_argument : no_argument, NULL, val};
		if (!o->letter)
			continue;
		*s++ = (char)o->letter;
		if (o->arg)
			*s++ = ':';
	}
	*s = '\0';
}

static const struct args_option *parser_find(const struct parser *p, int val)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->longs[i].val == val)
			return p->known[i];
	return NULL;
}

/* getopt said '?' or ':'; says why. `text` is the argument that it stopped at. */
static int refuse(const struct parser *p, int answer, const char *text, struct err *err)
{
	const struct args_option *o = optopt ? parser_find(p, optopt) : NULL;
	struct suggest near;
	char typed[SUGGEST_WORD_MAX];
	size_t len;

	if (answer == ':')
		return err_set(err, EUSAGE, "option '%s' needs a value", text);
	if (o && strncmp(text, "--", 2) == 0)
		return err_set(err, EUSAGE, "option '--%s' takes no value", o->name);
	if (optopt)
		return err_set(err, EUSAGE, "unknown option '-%c'", optopt);
	err_set(err, EUSAGE, "unknown option '%s'", text);
	len = strcspn(text + 2, "=");
	if (len < sizeof typed) {
		memcpy(typed, text + 2, len);
		typed[len] = '\0';
		suggest_begin(&near, typed);
		for (size_t i = 0; i < p->n; i++)
			suggest_offer(&near, p->known[i]->name);
		if (near.best)
			err_hint(err, "did you mean '--%s'?", near.best);
	}
	return -EUSAGE;
}

int args_parse(int argc, char **argv, unsigned flags, const struct args_option *own, const struct args_option *global,
	       struct args *ret, struct err *err)
{
	struct parser p = {.shorts = ":"};
	struct args args = {.given = calloc((size_t)argc + 1, sizeof *args.given)};
	int val;

	if (!args.given)
		return err_set(err, ENOMEM, "out of memory");
	if (flags & ARGS_STOP_AT_WORD)
		strcpy(p.shorts, "+:");
	parser_add(&p, own);
	parser_add(&p, global);
	opterr = 0;
	optind = 0; /* glibc: begin anew */
	while ((val = getopt_long(argc, argv, p.shorts, p.longs, NULL)) != -1) {
		if (val == '?' || val == ':') {
			int rc = refuse(&p, val, argv[optind - 1], err);

			args_free(&args);
			return rc;
		}
		args.given[args.n_given++] = (struct args_given){parser_find(&p, val), optarg};
	}
	args.words = argv + optind;
	args.n_words = argc - optind;
	*ret = args;
	return 0;
}

void args_free(struct args *args)
{
	free(args->given);
	*args = (struct args){0};
}

bool args_has(const struct args *args, const char *name)
{
	for (size_t i = 0; i < args->n_given; i++)
		if (strcmp(args->given[i].option->name, name) == 0)
			return true;
	return false;
}

const char *args_value(const struct args *args, const char *name)
{
	const char *value = NULL;

	for (size_t i = 0; i < args->n_given; i++)
		if (strcmp(args->given[i].option->name, name) == 0)
			value = args->given[i].value;
	return value;
}
