#ifndef VARVE_TESTS_FAULT_WRAP_H
#define VARVE_TESTS_FAULT_WRAP_H

#include <dirent.h>
#include <sqlite3.h>
#include <stddef.h>
#include <zstd.h>

/* SQLite asks for memory through the fault plan from here on; before its first use. */
void fault_sqlite_memory(void);

void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t n, size_t len);
void *__wrap_realloc(void *old, size_t len);
void *__wrap_aligned_alloc(size_t align, size_t len);
char *__wrap_strdup(const char *s);
DIR *__wrap_fdopendir(int fd);
int __wrap_asprintf(char **ret, const char *fmt, ...);
ZSTD_CCtx *__wrap_ZSTD_createCCtx(void);
ZSTD_DCtx *__wrap_ZSTD_createDCtx(void);
size_t __wrap_ZSTD_compressCCtx(ZSTD_CCtx *c, void *dst, size_t dst_len, const void *src, size_t src_len, int level);
int __wrap_sqlite3_step(sqlite3_stmt *stmt);
int __wrap_sqlite3_prepare_v2(sqlite3 *db, const char *sql, int len, sqlite3_stmt **ret, const char **tail);
int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int len, unsigned flags, sqlite3_stmt **ret, const char **tail);
int __wrap_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *log, int *done);

#endif
