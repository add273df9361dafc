#include "tools/suggest.h"

#include <stdint.h>
#include <string.h>

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

unsigned suggest_distance(const char *a, const char *b)
{
	unsigned rows[3][SUGGEST_WORD_MAX + 1];
	unsigned *before = rows[0], *last = rows[1], *now = rows[2];
	size_t na = strlen(a), nb = strlen(b);

	if (na > SUGGEST_WORD_MAX || nb > SUGGEST_WORD_MAX)
		return strcmp(a, b) == 0 ? 0 : (unsigned)(na > nb ? na : nb);
	for (size_t j = 0; j <= nb; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned *spare = before;

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[nb];
}

void suggest_begin(struct suggest *s, const char *typed)
{
	*s = (struct suggest){.typed = typed, .distance = UINT32_MAX};
}

void suggest_offer(struct suggest *s, const char *word)
{
	size_t typed = strlen(s->typed);
	unsigned d = suggest_distance(s->typed, word);

	/* The beginning of a word is a good hint, however much of it is missing. */
	if (typed >= 2 && strncmp(s->typed, word, typed) == 0)
		d = 1;
	/* One slip in every three letters is still the same word. */
	if (d <= (strlen(word) + 2) / 3 && d < s->distance) {
		s->best = word;
		s->distance = d;
	}
}

void suggest_offer_also(struct suggest *s, const char *word, const char *also)
{
	size_t typed = strlen(s->typed);

	for (const char *p = also; p && *p;) {
		size_t n = strcspn(p, " ");

		if (n == typed && memcmp(p, s->typed, n) == 0) {
			s->best = word;
			s->distance = 0;
		}
		p += n + (p[n] == ' ');
	}
}
