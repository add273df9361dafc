#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/suggest.h"

static void distances(void **state)
{
	static const struct {
		const char *a, *b;
		unsigned distance;
	} cases[] = {
		{"", "", 0},
		{"", "abc", 3},
		{"same", "same", 0},
		{"volum", "volume", 1},
		{"volmue", "volume", 1},
		{"kitten", "sitting", 3},
		{"sanpshot", "snapshot", 1},
		{"abcd", "badc", 2},
		{"ca", "abc", 3},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(suggest_distance(cases[i].a, cases[i].b), cases[i].distance);
		assert_int_equal(suggest_distance(cases[i].b, cases[i].a), cases[i].distance);
	}
}

static void long_words_are_far(void **state)
{
	char a[200];

	(void)state;
	memset(a, 'a', sizeof a);
	a[sizeof a - 1] = '\0';
	assert_int_equal(suggest_distance(a, "a"), sizeof a - 1);
	assert_int_equal(suggest_distance("a", a), sizeof a - 1);
	assert_int_equal(suggest_distance(a, a), 0);
	a[SUGGEST_WORD_MAX] = '\0';
	assert_int_equal(suggest_distance(a, "a"), SUGGEST_WORD_MAX - 1);
}

static const char *nearest(const char *typed)
{
	struct suggest s;

	suggest_begin(&s, typed);
	suggest_offer(&s, "volume");
	suggest_offer(&s, "rollback");
	suggest_offer(&s, "diff");
	suggest_offer(&s, "df");
	suggest_offer_also(&s, "ls", "list show");
	return s.best ? s.best : "";
}

static void picks_the_nearest(void **state)
{
	(void)state;
	assert_string_equal(nearest("volmue"), "volume");
	assert_string_equal(nearest("vol"), "volume"); /* a beginning */
	assert_string_equal(nearest("rolback"), "rollback");
	assert_string_equal(nearest("dif"), "diff");
	assert_string_equal(nearest("df"), "df");
	assert_string_equal(nearest("list"), "ls");
	assert_string_equal(nearest("show"), "ls");
	assert_string_equal(nearest("lis"), "");
	assert_string_equal(nearest("frobnicate"), "");
	assert_string_equal(nearest(""), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(distances),
		cmocka_unit_test(long_words_are_far),
		cmocka_unit_test(picks_the_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
