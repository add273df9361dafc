#include "tools/format.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

#include "store/base/buf.h"
#include "store/base/cleanup.h"

const char *format_size(char out[FORMAT_MAX], uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	unsigned shift = 10, unit = 0;
	uint64_t whole, rest, tenths; /* of the unit; rest in 1024ths */

	if (bytes < 1024) {
		(void)snprintf(out, FORMAT_MAX, "%uB", (unsigned)bytes);
		return out;
	}
	for (;; shift += 10, unit++) {
		whole = bytes >> shift;
		rest = (bytes >> (shift - 10)) & 1023;
		/* What would round up to 1024 belongs to the next unit. */
		if (whole + (rest >= 512) < 1024 || !units[unit + 1])
			break;
	}
	tenths = whole * 10 + (rest * 10 + 512) / 1024;
	if ((bytes & ((UINT64_C(1) << shift) - 1)) == 0)
		(void)snprintf(out, FORMAT_MAX, "%u%c", (unsigned)whole, units[unit]);
	else if (tenths < 1000)
		(void)snprintf(out, FORMAT_MAX, "%u.%u%c", (unsigned)tenths / 10, (unsigned)tenths % 10, units[unit]);
	else
		(void)snprintf(out, FORMAT_MAX, "%u%c", (unsigned)(whole + (rest >= 512)), units[unit]);
	return out;
}

const char *format_micros(char out[FORMAT_MAX], uint64_t us)
{
	if (us < 1000)
		(void)snprintf(out, FORMAT_MAX, "%u us", (unsigned)us);
	else if (us < 1000000)
		(void)snprintf(out, FORMAT_MAX, "%.1f ms", (double)us / 1e3);
	else
		(void)snprintf(out, FORMAT_MAX, "%.2f s", (double)us / 1e6);
	return out;
}

const char *format_uptime(char out[FORMAT_MAX], uint64_t seconds)
{
	unsigned long m = seconds / 60, h = m / 60, d = h / 24;

	if (m == 0)
		(void)snprintf(out, FORMAT_MAX, "%lus", (unsigned long)seconds);
	else if (h == 0)
		(void)snprintf(out, FORMAT_MAX, "%lum %02lus", m, (unsigned long)(seconds % 60));
	else if (d == 0)
		(void)snprintf(out, FORMAT_MAX, "%luh %02lum", h, m % 60);
	else
		(void)snprintf(out, FORMAT_MAX, "%lud %luh", d, h % 24);
	return out;
}

const char *format_time(char out[FORMAT_MAX], int64_t ns)
{
	time_t t = (time_t)(ns / 1000000000);
	struct tm tm;

	if (ns <= 0 || !localtime_r(&t, &tm) || !strftime(out, FORMAT_MAX, "%Y-%m-%d %H:%M:%S", &tm))
		(void)snprintf(out, FORMAT_MAX, "-");
	return out;
}

const char *format_ratio(char out[FORMAT_MAX], uint64_t a, uint64_t b)
{
	if (b == 0)
		(void)snprintf(out, FORMAT_MAX, "-");
	else
		(void)snprintf(out, FORMAT_MAX, "%.1fx", (double)a / (double)b);
	return out;
}

/* Adds one byte as an escape. */
static int escape_byte(struct buf *b, unsigned char c)
{
	static const char plain[] = "\n\t\r", letters[] = "ntr";
	const char *p = c ? strchr(plain, c) : NULL;
	char text[8];

	if (p)
		(void)snprintf(text, sizeof text, "\\%c", letters[p - plain]);
	else
		(void)snprintf(text, sizeof text, "\\x%02x", c);
	return buf_add(b, text, strlen(text));
}

char *format_escape(const char *text)
{
	struct buf b = {0};
	mbstate_t state = {0};
	size_t left = strlen(text);
	int ret = 0;

	while (left > 0 && ret == 0) {
		wchar_t wc;
		size_t n = mbrtowc(&wc, text, left, &state);

		if (n == (size_t)-1 || n == (size_t)-2 || !iswprint((wint_t)wc)) {
			size_t bytes = n == (size_t)-1 || n == (size_t)-2 ? 1 : n;

			memset(&state, 0, sizeof state);
			for (size_t i = 0; i < bytes && ret == 0; i++)
				ret = escape_byte(&b, (unsigned char)text[i]);
			n = bytes;
		} else {
			ret = buf_add(&b, text, n);
		}
		text += n;
		left -= n;
	}
	if (ret == 0)
		ret = buf_add_u8(&b, 0);
	if (ret < 0) {
		buf_free(&b);
		return NULL;
	}
	return (char *)b.data;
}
