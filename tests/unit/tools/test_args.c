#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/args.h"

#define ARGV_MAX 8

static const struct args_option global[] = {
	{"json", 0, NULL, ""},
	{"quiet", 'q', NULL, ""},
	{"api", 0, "SOCKET", ""},
	{0},
};
static const struct args_option own[] = {
	{"option", 'o', "KEY=VALUE", ""},
	{"live", 0, NULL, ""},
	{0},
};

/* Splits `line` at blanks and parses it. The words point into static storage, valid until the next call. */
static int parse(const char *line, unsigned flags, const struct args_option *table, struct args *args, struct err *err)
{
	static char text[256];
	static char *argv[ARGV_MAX + 1];
	int argc = 0;

	(void)snprintf(text, sizeof text, "%s", line);
	for (char *save, *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		assert_true(argc < ARGV_MAX);
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	*err = (struct err){0};
	return args_parse(argc, argv, flags, table, global, args, err);
}

static void options_stand_anywhere(void **state)
{
	AUTO_ARGS struct args args = {0};
	struct err err;

	(void)state;
	assert_int_equal(parse("rollback db@a --live -q -o a=1 word --option=b=2", 0, own, &args, &err), 0);
	assert_int_equal(args.n_words, 2);
	assert_string_equal(args.words[0], "db@a");
	assert_string_equal(args.words[1], "word");
	assert_null(args.words[2]);
	assert_true(args_has(&args, "live"));
	assert_true(args_has(&args, "quiet"));
	assert_false(args_has(&args, "json"));
	assert_null(args_value(&args, "api"));
	assert_int_equal(args.n_given, 4);
	assert_string_equal(args.given[2].value, "a=1");
	assert_string_equal(args_value(&args, "option"), "b=2");
}

static void stops_at_the_command(void **state)
{
	AUTO_ARGS struct args args = {0};
	struct err err;

	(void)state;
	assert_int_equal(parse("varve --api sock volume --unknown -q", ARGS_STOP_AT_WORD, NULL, &args, &err), 0);
	assert_int_equal(args.n_words, 3);
	assert_string_equal(args.words[0], "volume");
	assert_string_equal(args_value(&args, "api"), "sock");
	assert_false(args_has(&args, "quiet"));
}

static void two_dashes_end_options(void **state)
{
	AUTO_ARGS struct args args = {0};
	struct err err;

	(void)state;
	assert_int_equal(parse("inspect -- --live -q", 0, own, &args, &err), 0);
	assert_int_equal(args.n_given, 0);
	assert_int_equal(args.n_words, 2);
	assert_string_equal(args.words[0], "--live");
}

static void refused(const char *line, const char *text, const char *hint)
{
	struct args args = {.n_words = -1};
	struct err err;

	assert_int_equal(parse(line, 0, own, &args, &err), -EUSAGE);
	assert_string_equal(err.text, text);
	assert_string_equal(err.hint, hint);
	assert_int_equal(args.n_words, -1); /* untouched */
}

static void says_what_is_wrong(void **state)
{
	(void)state;
	refused("x --liv3", "unknown option '--liv3'", "did you mean '--live'?");
	refused("x word --frobnicate", "unknown option '--frobnicate'", "");
	refused("x --optoin=a=1", "unknown option '--optoin=a=1'", "did you mean '--option'?");
	refused("x -z", "unknown option '-z'", "");
	refused("x -qz", "unknown option '-z'", "");
	refused("x --live=yes", "option '--live' takes no value", "");
	refused("x --api", "option '--api' needs a value", "");
	refused("x -o", "option '-o' needs a value", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_stand_anywhere),
		cmocka_unit_test(stops_at_the_command),
		cmocka_unit_test(two_dashes_end_options),
		cmocka_unit_test(says_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
