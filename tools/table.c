#include "tools/table.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "store/base/cleanup.h"

#define GAP 2 /* blanks between columns */

struct column {
	const char *title;
	unsigned flags;
	unsigned width;
};

struct table {
	struct column columns[TABLE_COLUMNS_MAX];
	unsigned n_columns;
	char **cells;
	size_t n_cells, cap;
	bool failed; /* a cell was lost for want of memory */
};

int table_new(struct table **ret)
{
	struct table *t = calloc(1, sizeof *t);

	if (!t)
		return -ENOMEM;
	*ret = t;
	return 0;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

/* Columns that the text takes on a terminal; bytes when it is not valid in this locale. */
static unsigned text_width(const char *text)
{
	size_t len = strlen(text);
	AUTO_FREE wchar_t *wide = calloc(len + 1, sizeof *wide);
	size_t n = wide ? mbstowcs(wide, text, len) : (size_t)-1;
	int w = n == (size_t)-1 ? -1 : wcswidth(wide, n);

	return w < 0 ? (unsigned)len : (unsigned)w;
}

void table_column(struct table *t, const char *title, unsigned flags)
{
	assert(t->n_columns < TABLE_COLUMNS_MAX);
	assert(t->n_cells == 0);
	t->columns[t->n_columns++] = (struct column){title, flags, text_width(title)};
}

void table_cell(struct table *t, const char *fmt, ...)
{
	struct column *c = &t->columns[t->n_cells % t->n_columns];
	char *text = NULL;
	unsigned w;
	va_list ap;
	int n;

	if (t->failed)
		return;
	if (t->n_cells == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		char **cells = realloc(t->cells, cap * sizeof *cells);

		if (!cells) {
			t->failed = true;
			return;
		}
		t->cells = cells;
		t->cap = cap;
	}
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		t->failed = true;
		return;
	}
	t->cells[t->n_cells++] = text;
	w = text_width(text);
	if (w > c->width)
		c->width = w;
}

/* Which columns fit: a bit each. */
static unsigned columns_shown(const struct table *t, unsigned width)
{
	unsigned shown = (1U << t->n_columns) - 1, need = 0;

	for (unsigned i = 0; i < t->n_columns; i++)
		need += t->columns[i].width + (i ? GAP : 0);
	for (unsigned i = t->n_columns; width && need > width && i-- > 0;)
		if (t->columns[i].flags & TABLE_OPTIONAL) {
			shown &= ~(1U << i);
			need -= t->columns[i].width + GAP;
		}
	return shown;
}

/* `cells` NULL: the titles. A line ends with its text, not with blanks. */
static void print_row(const struct table *t, FILE *f, unsigned shown, char *const *cells)
{
	unsigned owed = 0; /* blanks before the next text */

	for (unsigned i = 0; i < t->n_columns; i++) {
		const struct column *c = &t->columns[i];
		const char *text = cells ? cells[i] : c->title;
		unsigned w = text_width(text), pad = w < c->width ? c->width - w : 0;

		if (!(shown & (1U << i)))
			continue;
		if (c->flags & TABLE_RIGHT)
			owed += pad;
		if (*text)
			(void)fprintf(f, "%*s%s", (int)owed, "", text);
		owed = (*text ? 0 : owed) + GAP + (c->flags & TABLE_RIGHT ? 0 : pad);
	}
	(void)fputc('\n', f);
}

int table_print(const struct table *t, FILE *f, unsigned width)
{
	unsigned shown = columns_shown(t, width);

	if (t->failed)
		return -ENOMEM;
	assert(t->n_cells % t->n_columns == 0);
	print_row(t, f, shown, NULL);
	for (size_t i = 0; i < t->n_cells; i += t->n_columns)
		print_row(t, f, shown, t->cells + i);
	return 0;
}
