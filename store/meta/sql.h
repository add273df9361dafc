#ifndef VARVE_META_SQL_H
#define VARVE_META_SQL_H
enum sql_id { SQL_COUNT };
#endif
