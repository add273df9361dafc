#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/name.h"

static char longest[VOLUME_NAME_MAX + 2]; /* one more than a name may have */

static void good_names(void **state)
{
	static const char *const names[] = {"a", "_x", "0", "web-data.2", "20260101T000000Z", "A_b-C.d", "a..b"};
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_int_equal(name_check("volume", names[i], &err), 0);
	assert_int_equal(name_check("volume", longest + 1, &err), 0);
	assert_int_equal(err.code, 0);
}

static void refused(const char *name, const char *why)
{
	struct err err = {0};

	assert_int_equal(name_check("volume", name, &err), -EINVAL);
	assert_int_equal(err.code, EINVAL);
	if (!strstr(err.text, why))
		fail_msg("'%s' does not say '%s'", err.text, why);
}

static void bad_names(void **state)
{
	(void)state;
	refused("", "cannot be empty");
	refused(".", "'.' cannot be a volume name");
	refused("..", "'..' cannot be a volume name");
	refused("a/b", "contains '/'");
	refused("/", "contains '/'");
	refused("a@b", "contains '@'");
	refused("a b", "contains a space");
	refused("a*", "contains '*'");
	refused("a\n", "byte 0x0a");
	refused("caf\xc3\xa9", "byte 0xc3");
	refused("-rf", "begins with '-'");
	refused(".hidden", "begins with '.'");
	refused(longest, "at most 128 characters; this one has 129");
}

static void split(void **state)
{
	char both[2 * VOLUME_NAME_MAX + 2];
	struct name name;
	struct err err = {0};

	(void)state;
	assert_int_equal(name_split("db", &name, &err), 0);
	assert_string_equal(name.volume, "db");
	assert_string_equal(name.snapshot, "");
	assert_int_equal(name_split("db@x.1", &name, &err), 0);
	assert_string_equal(name.volume, "db");
	assert_string_equal(name.snapshot, "x.1");
	(void)snprintf(both, sizeof both, "%s@%s", longest + 1, longest + 1);
	assert_int_equal(name_split_snapshot(both, &name, &err), 0);
	assert_string_equal(name.volume, longest + 1);
	assert_string_equal(name.snapshot, longest + 1);
}

static void split_refuses(void **state)
{
	static const char *const bad[] = {"", "@", "@x", "db@", "db@a@b", "db@a/b", "a/b@x", "db@.", "db@..", "..@x"};
	struct name name = {.volume = "untouched"};
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		err = (struct err){0};
		assert_int_equal(name_split(bad[i], &name, &err), -EINVAL);
		assert_true(err.text[0] != '\0');
	}
	assert_int_equal(name_split(longest, &name, &err), -EINVAL);
	assert_int_equal(name_split_snapshot("db", &name, &err), -EINVAL);
	assert_non_null(strstr(err.text, "db@SNAPSHOT"));
	assert_string_equal(name.volume, "untouched");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_names),
		cmocka_unit_test(bad_names),
		cmocka_unit_test(split),
		cmocka_unit_test(split_refuses),
	};

	memset(longest, 'x', sizeof longest - 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
