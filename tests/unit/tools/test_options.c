#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/options.h"

static const struct args_option table[] = {{"option", 'o', "KEY=VALUE", ""}, {"force", 'f', NULL, ""}, {0}};

static void collects_what_was_given(void **state)
{
	struct args_given given[] = {{&table[0], "quota=10G"},
				     {&table[1], NULL},
				     {&table[0], "label=a=b"},
				     {&table[0], "from="}};
	struct args args = {.given = given, .n_given = 4};
	json_auto_t *options = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(options_collect(&args, &options, &err), 0);
	assert_int_equal(json_object_size(options), 3);
	assert_string_equal(json_string_value(json_object_get(options, "quota")), "10G");
	assert_string_equal(json_string_value(json_object_get(options, "label")), "a=b");
	assert_string_equal(json_string_value(json_object_get(options, "from")), "");
}

static void refuses(void **state)
{
	json_auto_t *options = json_object();
	struct err err = {0};

	(void)state;
	assert_int_equal(options_add(options, "quota", &err), -EUSAGE);
	assert_string_equal(err.text, "'quota' is not KEY=VALUE");
	assert_int_equal(options_add(options, "=10G", &err), -EUSAGE);
	assert_int_equal(options_add(options, "quota=\xff", &err), -EINVAL);
	assert_int_equal(json_object_size(options), 0);
	assert_int_equal(options_add(options, "quota=1", &err), 0);
	assert_int_equal(options_add(options, "quota=2", &err), -EUSAGE);
	assert_string_equal(err.text, "'quota' is given twice");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(collects_what_was_given),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
