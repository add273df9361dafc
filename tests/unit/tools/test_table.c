#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <locale.h>
#include <stdio.h>

#include "store/base/cleanup.h"
#include "tools/table.h"

/* The table as text. Caller frees. */
static char *printed(const struct table *t, unsigned width)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(table_print(t, f, width), 0);
	assert_int_equal(fclose(f), 0);
	return text;
}

static void expect_table(const struct table *t, unsigned width, const char *expected)
{
	AUTO_FREE char *text = printed(t, width);

	assert_string_equal(text, expected);
}

static struct table *sample(void)
{
	struct table *t;

	assert_int_equal(table_new(&t), 0);
	table_column(t, "NAME", 0);
	table_column(t, "SIZE", TABLE_RIGHT);
	table_column(t, "QUOTA", TABLE_RIGHT | TABLE_OPTIONAL);
	table_column(t, "ORIGIN", TABLE_OPTIONAL);
	return t;
}

static void aligned(void **state)
{
	AUTO_TABLE struct table *t = sample();

	(void)state;
	expect_table(t, 0, "NAME  SIZE  QUOTA  ORIGIN\n");
	table_cell(t, "%s", "db");
	table_cell(t, "%d", 123456);
	table_cell(t, "-");
	table_cell(t, "%s@%s", "a", "b");
	table_cell(t, "a-long-name");
	table_cell(t, "7");
	table_cell(t, "10G");
	table_cell(t, "%s", "");
	expect_table(t, 0,
		     "NAME           SIZE  QUOTA  ORIGIN\n"
		     "db           123456      -  a@b\n"
		     "a-long-name       7    10G\n");
}

static void empty_cells_keep_their_place(void **state)
{
	AUTO_TABLE struct table *t = sample();

	(void)state;
	table_cell(t, "%s", "");
	table_cell(t, "%s", "");
	table_cell(t, "5");
	table_cell(t, "x");
	expect_table(t, 0,
		     "NAME  SIZE  QUOTA  ORIGIN\n"
		     "                5  x\n");
}

static void narrow_terminals_lose_optional_columns(void **state)
{
	AUTO_TABLE struct table *t = sample();

	(void)state;
	table_cell(t, "db");
	table_cell(t, "1");
	table_cell(t, "2");
	table_cell(t, "3");
	expect_table(t, 25, "NAME  SIZE  QUOTA  ORIGIN\ndb       1      2  3\n");
	expect_table(t, 24, "NAME  SIZE  QUOTA\ndb       1      2\n");
	expect_table(t, 17, "NAME  SIZE  QUOTA\ndb       1      2\n");
	expect_table(t, 16, "NAME  SIZE\ndb       1\n");
	expect_table(t, 1, "NAME  SIZE\ndb       1\n"); /* what is needed stays */
}

static void width_is_what_a_terminal_shows(void **state)
{
	AUTO_TABLE struct table *t = NULL;

	(void)state;
	assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
	assert_int_equal(table_new(&t), 0);
	table_column(t, "N", 0);
	table_column(t, "X", 0);
	table_cell(t, "\xc3\xa9\xc3\xa9");
	table_cell(t, "1");
	table_cell(t, "\xe4\xb8\xad"); /* two columns wide */
	table_cell(t, "2");
	table_cell(t, "\xff\xff"); /* no UTF-8: bytes */
	table_cell(t, "3");
	expect_table(t, 0, "N   X\n\xc3\xa9\xc3\xa9  1\n\xe4\xb8\xad  2\n\xff\xff  3\n");
}

static void many_rows(void **state)
{
	AUTO_TABLE struct table *t = NULL;
	AUTO_FREE char *text = NULL;
	size_t lines = 0;

	(void)state;
	assert_int_equal(table_new(&t), 0);
	table_column(t, "N", TABLE_RIGHT);
	for (int i = 0; i < 1000; i++)
		table_cell(t, "%d", i);
	text = printed(t, 0);
	for (const char *p = text; *p; p += 4, lines++)
		assert_int_equal(p[3], '\n');
	assert_int_equal(lines, 1001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aligned),
		cmocka_unit_test(empty_cells_keep_their_place),
		cmocka_unit_test(narrow_terminals_lose_optional_columns),
		cmocka_unit_test(width_is_what_a_terminal_shows),
		cmocka_unit_test(many_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
