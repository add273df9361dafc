#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/base/err.h"

static void set_context_hint(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(err_set(&err, ENOENT, "no volume \"%s\"", "db"), -ENOENT);
	assert_int_equal(err.code, ENOENT);
	err_context(&err, "clone of %s", "db");
	assert_string_equal(err.text, "clone of db: no volume \"db\"");
	err_hint(&err, "see `%s`", "varve volume ls");
	assert_string_equal(err.hint, "see `varve volume ls`");
	assert_int_equal(err_set(&err, EIO, "again: %s", err.text), -EIO);
	assert_string_equal(err.text, "again: clone of db: no volume \"db\"");
	assert_string_equal(err.hint, "");
}

static void null_is_accepted(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, EIO, "x"), -EIO);
	err_context(NULL, "x");
	err_hint(NULL, "x");
}

static void long_text_is_cut(void **state)
{
	char big[3 * ERR_TEXT_MAX];
	struct err err;

	(void)state;
	memset(big, 'a', sizeof big);
	big[sizeof big - 1] = '\0';
	(void)err_set(&err, EIO, "%s", big);
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
	err_context(&err, "front");
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
	assert_memory_equal(err.text, "front: aaa", 10);
	err_context(&err, "%s", big);
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
	err_hint(&err, "%s", big);
	assert_int_equal(strlen(err.hint), ERR_TEXT_MAX - 1);
}

static void names_and_errnos(void **state)
{
	(void)state;
	assert_string_equal(err_name(ENOENT), "No such file or directory");
	assert_non_null(strstr(err_name(ECORRUPT), "damaged"));
	assert_non_null(strstr(err_name(ETOONEW), "newer"));
	assert_string_equal(err_name(99999), "unknown error");
	assert_int_equal(err_errno(0), 0);
	assert_int_equal(err_errno(-ENOSPC), ENOSPC);
	assert_int_equal(err_errno(-ECORRUPT), EIO);
	assert_int_equal(err_errno(-ETOONEW), EIO);
	assert_int_equal(err_errno(-99999), EIO);
	assert_int_equal(err_errno(5), EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_context_hint),
		cmocka_unit_test(null_is_accepted),
		cmocka_unit_test(long_text_is_cut),
		cmocka_unit_test(names_and_errnos),
	};

	return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
