/* Times, names and ACLs to and from libarchive's forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "store/archive/archive_internal.h"

static void test_times(void **state)
{
	static const int64_t times[] = {
		0, 1, -1000000000, -1500000000, -7999999999, 1234567890123456789, INT64_MAX, INT64_MIN + 1};
	time_t s;
	long ns;

	(void)state;
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		time_to_pax(times[i], &s, &ns);
		assert_in_range(ns, 0, 999999999);
		if (times[i] > INT64_MIN / 2 && times[i] < INT64_MAX / 2)
			assert_true(time_from_pax(s, ns) == times[i]);
	}
	/* beyond what fits */
	assert_true(time_from_pax(INT64_MAX / 2, 0) == INT64_MAX);
	assert_true(time_from_pax(INT64_MIN / 2, 0) == INT64_MIN);
}

static void test_keywords(void **state)
{
	static const char *const pairs[][2] = {
		{"user.a", "user.a"}, {"user.a%3Db", "user.a=b"}, {"user.%25", "user.%"}, {"%c3%A9", "\xc3\xa9"},
		{"%", "%"},	      {"%3", "%3"},		  {"%zz", "%zz"},	  {"a%00b", "a%00b"},
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		strcpy(text, pairs[i][0]);
		xattr_from_keyword(text);
		assert_string_equal(text, pairs[i][1]);
	}
}

static void test_acl(void **state)
{
	static const uint8_t acl[] = {2, 0,  0,	  0,   1,   0,	 6,  0, 255, 255, 255, 255, 2,	 0,  4,
				      0, 99, 0,	  0,   0,   4,	 0,  4, 0,   255, 255, 255, 255, 16, 0,
				      4, 0,  255, 255, 255, 255, 32, 0, 0,   0,	  255, 255, 255, 255};
	struct archive_entry *e = archive_entry_new();
	struct buf back = {0};
	bool known;

	(void)state;
	assert_int_equal(acl_to_entry(acl, sizeof acl, false, e), 0);
	assert_int_equal(acl_from_entry(e, false, &back, &known), 0);
	assert_true(known);
	assert_int_equal(back.len, sizeof acl);
	assert_memory_equal(back.data, acl, sizeof acl);
	assert_int_equal(acl_from_entry(e, true, &back, &known), 0);
	assert_int_equal(back.len, 0);
	/* a name that is somebody's here, and one that is nobody's */
	assert_int_equal(
		archive_entry_acl_add_entry(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 4, ARCHIVE_ENTRY_ACL_USER, -1, "root"),
		ARCHIVE_OK);
	assert_int_equal(acl_from_entry(e, false, &back, &known), 0);
	assert_true(known);
	assert_int_equal(back.len, sizeof acl + 8);
	assert_int_equal(archive_entry_acl_add_entry(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 4, ARCHIVE_ENTRY_ACL_USER, -1,
						     "no such user"),
			 ARCHIVE_OK);
	assert_int_equal(acl_from_entry(e, false, &back, &known), 0);
	assert_false(known);
	/* malformed */
	assert_true(acl_to_entry(acl, sizeof acl - 1, false, e) < 0);
	assert_true(acl_to_entry(acl, 3, false, e) < 0);
	assert_true(acl_to_entry(acl + 1, 4, false, e) < 0);
	archive_entry_free(e);
	buf_free(&back);
}

static void test_show(void **state)
{
	char out[SHOWN_MAX + 1], longer[2 * SHOWN_MAX];

	(void)state;
	assert_string_equal(archive_show(out, "a\nb\x7f\xc3\xbc"), "a?b?\xc3\xbc");
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = 0;
	assert_int_equal(strlen(archive_show(out, longer)), SHOWN_MAX);
	assert_non_null(strstr(out, "..."));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_keywords),
		cmocka_unit_test(test_acl),
		cmocka_unit_test(test_show),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
