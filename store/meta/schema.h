/* Private to store/meta: the tables as SQL, and what row.c must know of them. */
#ifndef VARVE_META_SCHEMA_H
#define VARVE_META_SCHEMA_H

#include "store/meta/row.h"

#define SCHEMA_COLS_MAX 18
#define SCHEMA_APPLICATION_ID 0x76617276 /* "varv" */

struct table_desc {
	const char *name;
	const char *cols;    /* a letter for each column: i integer, b blob, t text */
	unsigned key_count;  /* the first columns are the key */
	bool versioned;      /* the column after the key is `since` */
	enum sql_id put, update, del;
};
/* NULL when there is no such table. */
const struct table_desc *schema_table(unsigned t);

int schema_create(sqlite3 *db);
/* 0 when this program knows the database's version, which may be an older one. */
int schema_check(sqlite3 *db, struct err *err);
bool schema_is_old(sqlite3 *db); /* or cannot be asked */
/* Brings it to this program's in one transaction, which is left open unless `keep`. */
int schema_migrate(sqlite3 *db, bool keep, struct err *err);

#endif
