#include "store/repo/s3_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/err.h"

#define KEY_MAX 1024

/* "<name>…</name>" from *at on: the text between, and *at after it. */
static bool next_element(const char **at, const char *end, const char *name, const char **ret, size_t *ret_len)
{
	char open[64], close[64];
	size_t n = (size_t)snprintf(open, sizeof open, "<%s>", name),
	       m = (size_t)snprintf(close, sizeof close, "</%s>", name);
	const char *from = memmem(*at, (size_t)(end - *at), open, n), *to;

	if (!from)
		return false;
	from += n;
	to = memmem(from, (size_t)(end - from), close, m);
	if (!to)
		return false;
	*ret = from;
	*ret_len = (size_t)(to - from);
	*at = to + m;
	return true;
}

/* The five entities that XML has. */
static bool decode(const char *text, size_t len, char *out, size_t max)
{
	static const struct {
		const char *name;
		char c;
	} entities[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
	size_t n = 0;

	for (size_t i = 0; i < len;) {
		size_t step = 1;
		char c = text[i];

		for (size_t e = 0; c == '&' && step == 1 && e < 5; e++) {
			size_t k = strlen(entities[e].name);

			if (len - i >= k && !memcmp(text + i, entities[e].name, k)) {
				c = entities[e].c;
				step = k;
			}
		}
		if (n == max || !c)
			return false;
		out[n++] = c;
		i += step;
	}
	out[n] = 0;
	return true;
}

bool s3_element(const char *text, size_t len, const char *name, char *out, size_t max)
{
	const char *at = text, *value;
	size_t n;

	return next_element(&at, text + len, name, &value, &n) && decode(value, n, out, max);
}

int s3_list_parse(const char *text, size_t len, int (*fn)(void *arg, const char *key, uint64_t size), void *arg,
		  char *ret_next)
{
	const char *at = text, *end = text + len, *item;
	char truncated[8], size[32], key[KEY_MAX + 1];
	size_t n;
	int ret = 0;

	*ret_next = 0;
	if (!memmem(text, len, "</ListBucketResult>", 19) ||
	    !s3_element(text, len, "IsTruncated", truncated, sizeof truncated - 1))
		return -ECORRUPT;
	if (!strcmp(truncated, "true") &&
	    (!s3_element(text, len, "NextContinuationToken", ret_next, S3_TOKEN_MAX) || !*ret_next))
		return -ECORRUPT;
	while (!ret && next_element(&at, end, "Contents", &item, &n)) {
		char *rest;
		uint64_t bytes;

		if (!s3_element(item, n, "Key", key, KEY_MAX) || !s3_element(item, n, "Size", size, sizeof size - 1))
			return -ECORRUPT;
		bytes = strtoull(size, &rest, 10);
		if (*rest || !*size)
			return -ECORRUPT;
		ret = fn(arg, key, bytes);
	}
	return ret;
}
