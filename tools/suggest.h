/* The nearest of some names to what was typed. */
#ifndef VARVE_TOOLS_SUGGEST_H
#define VARVE_TOOLS_SUGGEST_H

#include <stddef.h>

#define SUGGEST_WORD_MAX 64

/* How many insertions, deletions, replacements and swaps of neighbours turn `a` into `b`. Words longer than
 * SUGGEST_WORD_MAX are as far apart as they are long. */
unsigned suggest_distance(const char *a, const char *b);

/* Picks the best of the words offered to it one by one. */
struct suggest {
	const char *typed;
	const char *best; /* NULL while nothing was near enough */
	unsigned distance;
};
void suggest_begin(struct suggest *s, const char *typed);
/* `word` must outlive the suggestion. */
void suggest_offer(struct suggest *s, const char *word);
/* Offers `word` for any of the space-separated words of `also` too; these must match exactly. */
void suggest_offer_also(struct suggest *s, const char *word, const char *also);

#endif
