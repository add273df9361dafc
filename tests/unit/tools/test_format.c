#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <locale.h>
#include <time.h>

#include "store/base/cleanup.h"
#include "tools/format.h"

static void sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0B"},
		{1, "1B"},
		{1023, "1023B"},
		{1024, "1K"},
		{1025, "1.0K"},
		{1536, "1.5K"},
		{10240, "10K"},
		{102400 - 1, "100K"},
		{100 * 1024 + 512, "101K"},
		{1024 * 1024 - 1, "1.0M"},
		{1023 * 1024, "1023K"},
		{1023 * 1024 + 511, "1023K"},
		{1023 * 1024 + 513, "1.0M"},
		{UINT64_C(1) << 20, "1M"},
		{UINT64_C(3) << 29, "1.5G"},
		{UINT64_C(10) << 30, "10G"},
		{UINT64_C(5) << 40, "5T"},
		{UINT64_C(1) << 60, "1E"},
		{UINT64_MAX, "16.0E"},
	};
	char out[FORMAT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_string_equal(format_size(out, cases[i].bytes), cases[i].text);
}

/* What is printed never grows when the size shrinks, and no unit shows 1024 or more of itself. */
static void sizes_are_monotonic(void **state)
{
	char out[FORMAT_MAX];
	double last = 0;

	(void)state;
	for (uint64_t bytes = 1; bytes < UINT64_MAX / 2; bytes += bytes / 37 + 1) {
		static const char units[] = "BKMGTPE";
		char *end;
		double shown = strtod(format_size(out, bytes), &end);

		assert_true(shown < 1024);
		for (const char *u = units; *u != *end; u++)
			shown *= 1024;
		assert_true(shown >= last);
		assert_true(shown > (double)bytes * 0.95 && shown < (double)bytes * 1.05);
		last = shown;
	}
}

static void durations(void **state)
{
	char out[FORMAT_MAX];

	(void)state;
	assert_string_equal(format_micros(out, 0), "0 us");
	assert_string_equal(format_micros(out, 999), "999 us");
	assert_string_equal(format_micros(out, 3100), "3.1 ms");
	assert_string_equal(format_micros(out, 2500000), "2.50 s");
	assert_string_equal(format_uptime(out, 0), "0s");
	assert_string_equal(format_uptime(out, 312), "5m 12s");
	assert_string_equal(format_uptime(out, 3 * 3600 + 300), "3h 05m");
	assert_string_equal(format_uptime(out, 12 * 86400 + 4 * 3600), "12d 4h");
}

static void times(void **state)
{
	char out[FORMAT_MAX];

	(void)state;
	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	tzset();
	assert_string_equal(format_time(out, INT64_C(1767225599) * 1000000000 + 999999999), "2025-12-31 23:59:59");
	assert_string_equal(format_time(out, 0), "-");
	assert_int_equal(setenv("TZ", "XXX-2", 1), 0);
	tzset();
	assert_string_equal(format_time(out, INT64_C(1767225599) * 1000000000), "2026-01-01 01:59:59");
}

static void ratios(void **state)
{
	char out[FORMAT_MAX];

	(void)state;
	assert_string_equal(format_ratio(out, 3, 2), "1.5x");
	assert_string_equal(format_ratio(out, 3, 0), "-");
}

static void escapes(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{"", ""},
		{"plain/path x", "plain/path x"},
		{"a\nb\tc\rd", "a\\nb\\tc\\rd"},
		{"back\\slash\\xff", "back\\slash\\xff"},
		{"\033[31mred\177", "\\x1b[31mred\\x7f"},
		{"caf\xc3\xa9", "caf\xc3\xa9"},
		{"bad\xc3", "bad\\xc3"},
		{"\xff\xfeok", "\\xff\\xfeok"},
		{"\xc2\x85", "\\xc2\\x85"},
		{"\xe4\xb8\xad\n", "\xe4\xb8\xad\\n"},
	};

	(void)state;
	assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		AUTO_FREE char *shown = format_escape(cases[i].text);

		assert_non_null(shown);
		assert_string_equal(shown, cases[i].shown);
	}
	assert_non_null(setlocale(LC_CTYPE, "C"));
	{
		AUTO_FREE char *shown = format_escape("caf\xc3\xa9");

		assert_string_equal(shown, "caf\\xc3\\xa9");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),     cmocka_unit_test(sizes_are_monotonic),
		cmocka_unit_test(durations), cmocka_unit_test(times),
		cmocka_unit_test(ratios),    cmocka_unit_test(escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
