/* Where the faults come in: the linker gives the engine these instead of what they are named for (--wrap), and SQLite takes its
 * memory through fault_sqlite_memory. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <sqlite3.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "tests/faults/fault_wrap.h"

#include "tests/faults/fault.h"

void *__real_malloc(size_t len);
void *__real_calloc(size_t n, size_t len);
void *__real_realloc(void *old, size_t len);
void *__real_aligned_alloc(size_t align, size_t len);
char *__real_strdup(const char *s);
DIR *__real_fdopendir(int fd);
ZSTD_CCtx *__real_ZSTD_createCCtx(void);
ZSTD_DCtx *__real_ZSTD_createDCtx(void);
size_t __real_ZSTD_compressCCtx(ZSTD_CCtx *c, void *dst, size_t dst_len, const void *src, size_t src_len, int level);
int __real_sqlite3_step(sqlite3_stmt *stmt);
int __real_sqlite3_prepare_v2(sqlite3 *db, const char *sql, int len, sqlite3_stmt **ret, const char **tail);
int __real_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int len, unsigned flags, sqlite3_stmt **ret, const char **tail);
int __real_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *log, int *done);

static bool no_memory(void)
{
	if (!fault_point(FAULT_ALLOC))
		return false;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t len)
{
	return no_memory() ? NULL : __real_malloc(len);
}

void *__wrap_calloc(size_t n, size_t len)
{
	return no_memory() ? NULL : __real_calloc(n, len);
}

void *__wrap_realloc(void *old, size_t len)
{
	return no_memory() ? NULL : __real_realloc(old, len);
}

void *__wrap_aligned_alloc(size_t align, size_t len)
{
	return no_memory() ? NULL : __real_aligned_alloc(align, len);
}

char *__wrap_strdup(const char *s)
{
	return no_memory() ? NULL : __real_strdup(s);
}

DIR *__wrap_fdopendir(int fd)
{
	return no_memory() ? NULL : __real_fdopendir(fd);
}

int __wrap_asprintf(char **ret, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (no_memory())
		return -1;
	va_start(ap, fmt);
	n = vasprintf(ret, fmt, ap);
	va_end(ap);
	return n;
}

ZSTD_CCtx *__wrap_ZSTD_createCCtx(void)
{
	return no_memory() ? NULL : __real_ZSTD_createCCtx();
}

ZSTD_DCtx *__wrap_ZSTD_createDCtx(void)
{
	return no_memory() ? NULL : __real_ZSTD_createDCtx();
}

/* A context allocates its tables when it is first used with a level. */
size_t __wrap_ZSTD_compressCCtx(ZSTD_CCtx *c, void *dst, size_t dst_len, const void *src, size_t src_len, int level)
{
	if (no_memory())
		return (size_t)-ZSTD_error_memory_allocation;
	return __real_ZSTD_compressCCtx(c, dst, dst_len, src, src_len, level);
}

int __wrap_sqlite3_step(sqlite3_stmt *stmt)
{
	return fault_point(FAULT_SQL) ? SQLITE_IOERR : __real_sqlite3_step(stmt);
}

int __wrap_sqlite3_prepare_v2(sqlite3 *db, const char *sql, int len, sqlite3_stmt **ret, const char **tail)
{
	return fault_point(FAULT_SQL) ? SQLITE_IOERR : __real_sqlite3_prepare_v2(db, sql, len, ret, tail);
}

int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int len, unsigned flags, sqlite3_stmt **ret, const char **tail)
{
	return fault_point(FAULT_SQL) ? SQLITE_IOERR : __real_sqlite3_prepare_v3(db, sql, len, flags, ret, tail);
}

int __wrap_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *log, int *done)
{
	return fault_point(FAULT_SQL) ? SQLITE_IOERR : __real_sqlite3_wal_checkpoint_v2(db, name, mode, log, done);
}

static sqlite3_mem_methods sqlite_own;

static void *sqlite_malloc(int len)
{
	return fault_point(FAULT_SQL_ALLOC) ? NULL : sqlite_own.xMalloc(len);
}

static void *sqlite_realloc(void *old, int len)
{
	return fault_point(FAULT_SQL_ALLOC) ? NULL : sqlite_own.xRealloc(old, len);
}

void fault_sqlite_memory(void)
{
	sqlite3_mem_methods failing;

	if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_own))
		abort();
	failing = sqlite_own;
	failing.xMalloc = sqlite_malloc;
	failing.xRealloc = sqlite_realloc;
	/* no lookaside: every allocation is one that can fail */
	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &failing) || sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0))
		abort();
}
