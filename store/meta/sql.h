/* The one table of SQL statements: SQL_NAME for each SQL(NAME, text) of sql_list.h. */
#ifndef VARVE_META_SQL_H
#define VARVE_META_SQL_H

enum sql_id {
#define SQL(name, text) SQL_##name,
#include "store/meta/sql_list.h"
#undef SQL
	SQL_COUNT
};

const char *sql_text(enum sql_id id);

#endif
