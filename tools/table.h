/* A table with aligned columns. Cells are copied. One thread. Memory that runs out ends in a table without the cell,
 * reported by table_print. */
#ifndef VARVE_TOOLS_TABLE_H
#define VARVE_TOOLS_TABLE_H

#include <stdio.h>

#define TABLE_COLUMNS_MAX 12

enum table_column_flags {
	TABLE_RIGHT = 1,    /* numbers */
	TABLE_OPTIONAL = 2, /* left out when the terminal is too narrow; the last such column goes first */
};

struct table;

/* 0 or -ENOMEM. */
int table_new(struct table **ret);
void table_free(struct table *t);
/* All columns come before the first cell. */
void table_column(struct table *t, const char *title, unsigned flags);
/* Cells fill rows from left to right. */
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Writes titles and rows. `width` 0: as wide as it needs to be. 0 or -ENOMEM. */
int table_print(const struct table *t, FILE *f, unsigned width);

static inline void table_cleanup(struct table **t)
{
	table_free(*t);
}
#define AUTO_TABLE __attribute__((cleanup(table_cleanup)))

#endif
