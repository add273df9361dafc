/* A shim over SQLite's own unix VFS. It does two things on the way of the database and its WAL:
 *
 * - asks the I/O hook of store/base/io.h before each operation, so that tests fail, shorten and record SQLite's I/O
 *   like any other;
 * - keeps a checksum in each page of the database file, which SQLite does not: of META_PAGE_RESERVE bytes that
 *   SQLite leaves alone at the end of every page, the last 8 hold XXH3-64 of all bytes before them, seeded with the
 *   page's number (a page in another's place does not check either), little-endian. Written when a page goes to the
 *   file, checked when a whole page is read from it. SQLite reads parts of page 1 too (its header, before it knows
 *   the page size); those are not checked.
 *
 * A page that does not check must not end the long transaction, or one rotten page would cost everybody's
 * operations, again and again. After an I/O error, be it of a read (SQLITE_IOERR_DATA is one), SQLite rolls the
 * transaction back, and after plain SQLITE_CORRUPT it refuses all further writes in it, since the failed statement
 * may be half done; an extended code of SQLITE_CORRUPT does neither. What was half done is undone by the operation's
 * savepoint.
 *
 * Frames of the WAL carry SQLite's own checksums, which SQLite checks when it recovers; here a page is checked against them whenever
 * it is read.
 *
 * Memory mapping is not offered (methods version 2): what is mapped cannot be checked. */
#include "store/meta/vfs.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <xxhash.h>

#include "store/base/err.h"
#include "store/base/io.h"
#include "store/base/le.h"
#include "store/base/log.h"
#include "store/meta/meta_internal.h"
#include "store/meta/wal.h"

#define SUM_OFF (META_PAGE_SIZE - 8)

struct shim_file {
	sqlite3_file base;
	sqlite3_file *real; /* right behind this struct */
	const char *path;   /* SQLite's; lives as long as the file */
	bool hooked;        /* database or WAL */
	bool has_sums;      /* the database */
	bool is_wal;
	uint8_t page[META_PAGE_SIZE]; /* a page on its way out; a file belongs to one connection, so to one thread at a time */
};

/* Registered with SQLite once and for the life of the process; constant after shim_register. */
static sqlite3_vfs shim_vfs;
static int shim_rc;
static pthread_once_t shim_once = PTHREAD_ONCE_INIT;

static struct shim_file *shim(sqlite3_file *f)
{
	return (struct shim_file *)f;
}

static sqlite3_file *real_of(sqlite3_file *f)
{
	return shim(f)->real;
}

static sqlite3_vfs *below(void)
{
	return shim_vfs.pAppData;
}

static int hook_rc(int ret, int io_rc)
{
	return ret == -ENOSPC ? SQLITE_FULL : ret == -ENOMEM ? SQLITE_IOERR_NOMEM : io_rc;
}

/* 0, or the result code that the operation must fail with. */
static int hooked(struct shim_file *s, enum io_op op, size_t len, sqlite3_int64 off, int io_rc)
{
	int ret = s->hooked ? io_check(IO_DB, op, s->path, NULL, &len, off) : 0;

	return ret ? hook_rc(ret, io_rc) : SQLITE_OK;
}

static uint64_t page_sum(const uint8_t *page, int64_t number)
{
	return XXH3_64bits_withSeed(page, SUM_OFF, (XXH64_hash_t)number);
}

static bool page_holds(const uint8_t *page, int64_t number)
{
	return le64_get(page + SUM_OFF) == page_sum(page, number);
}

static bool is_whole_page(const struct shim_file *s, int len, sqlite3_int64 off)
{
	return s->has_sums && len == META_PAGE_SIZE && off % META_PAGE_SIZE == 0;
}

/* A page of a frame of the WAL: SQLite checks them only when it recovers. */
static bool wal_page_holds(struct shim_file *s, const void *page, sqlite3_int64 off)
{
	uint8_t head[WAL_HEADER_LEN], before[WAL_FRAME_HEADER_LEN], own[WAL_FRAME_HEADER_LEN];
	sqlite3_int64 frame = off - WAL_FRAME_HEADER_LEN;
	bool first = frame == WAL_HEADER_LEN;

	if (frame < WAL_HEADER_LEN || (frame - WAL_HEADER_LEN) % WAL_FRAME_LEN)
		return true; /* something else that is as long */
	if (s->real->pMethods->xRead(s->real, head, sizeof head, 0) || s->real->pMethods->xRead(s->real, own, sizeof own, frame) ||
	    (!first && s->real->pMethods->xRead(s->real, before, sizeof before, frame - WAL_FRAME_LEN)))
		return false;
	return wal_frame_holds(head, first ? NULL : before, own, page);
}

static int shim_close(sqlite3_file *f)
{
	return real_of(f)->pMethods->xClose(real_of(f));
}

static int shim_read(sqlite3_file *f, void *buf, int len, sqlite3_int64 off)
{
	struct shim_file *s = shim(f);
	int rc = hooked(s, IO_READ, (size_t)len, off, SQLITE_IOERR_READ);

	if (!rc)
		rc = s->real->pMethods->xRead(s->real, buf, len, off);
	if (!rc && s->is_wal && len == META_PAGE_SIZE && !wal_page_holds(s, buf, off)) {
		log_error("%s: the page at %lld does not match its checksum", s->path, (long long)off);
		return VFS_CORRUPT_SUM;
	}
	if (!rc && is_whole_page(s, len, off) && !page_holds(buf, off / META_PAGE_SIZE + 1)) {
		log_error("%s: page %lld does not match its checksum", s->path, (long long)(off / META_PAGE_SIZE + 1));
		return VFS_CORRUPT_SUM;
	}
	return rc;
}

static int shim_write(sqlite3_file *f, const void *buf, int len, sqlite3_int64 off)
{
	struct shim_file *s = shim(f);
	size_t n = (size_t)len;
	int ret;

	if (is_whole_page(s, len, off)) {
		memcpy(s->page, buf, SUM_OFF);
		le64_put(s->page + SUM_OFF, page_sum(s->page, off / META_PAGE_SIZE + 1));
		buf = s->page;
	}
	ret = s->hooked ? io_check(IO_DB, IO_WRITE, s->path, buf, &n, off) : 0;
	if (ret) {
		if (n < (size_t)len && n > 0)
			(void)s->real->pMethods->xWrite(s->real, buf, (int)n, off);
		return hook_rc(ret, SQLITE_IOERR_WRITE);
	}
	return s->real->pMethods->xWrite(s->real, buf, len, off);
}

static int shim_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	int rc = hooked(shim(f), IO_TRUNCATE, 0, size, SQLITE_IOERR_TRUNCATE);

	return rc ? rc : real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int shim_sync(sqlite3_file *f, int flags)
{
	int rc = hooked(shim(f), IO_SYNC, 0, 0, SQLITE_IOERR_FSYNC);

	if (!rc)
		rc = real_of(f)->pMethods->xSync(real_of(f), flags);
	if (!rc && shim(f)->hooked)
		io_synced(shim(f)->path);
	return rc;
}

static int shim_file_size(sqlite3_file *f, sqlite3_int64 *ret)
{
	return real_of(f)->pMethods->xFileSize(real_of(f), ret);
}

static int shim_lock(sqlite3_file *f, int level)
{
	return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int shim_unlock(sqlite3_file *f, int level)
{
	return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int shim_check_reserved(sqlite3_file *f, int *ret)
{
	return real_of(f)->pMethods->xCheckReservedLock(real_of(f), ret);
}

static int shim_file_control(sqlite3_file *f, int op, void *arg)
{
	return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int shim_sector_size(sqlite3_file *f)
{
	return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int shim_characteristics(sqlite3_file *f)
{
	int flags = real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));

#ifdef SQLITE_IOCAP_SUBPAGE_READ
	flags &= ~SQLITE_IOCAP_SUBPAGE_READ; /* part of a page cannot be checked */
#endif
	return flags;
}

static int shim_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
	return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, ret);
}

static int shim_shm_lock(sqlite3_file *f, int off, int n, int flags)
{
	return real_of(f)->pMethods->xShmLock(real_of(f), off, n, flags);
}

static void shim_shm_barrier(sqlite3_file *f)
{
	real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int shim_shm_unmap(sqlite3_file *f, int del)
{
	return real_of(f)->pMethods->xShmUnmap(real_of(f), del);
}

static const sqlite3_io_methods shim_methods = {
	.iVersion = 2,
	.xClose = shim_close,
	.xRead = shim_read,
	.xWrite = shim_write,
	.xTruncate = shim_truncate,
	.xSync = shim_sync,
	.xFileSize = shim_file_size,
	.xLock = shim_lock,
	.xUnlock = shim_unlock,
	.xCheckReservedLock = shim_check_reserved,
	.xFileControl = shim_file_control,
	.xSectorSize = shim_sector_size,
	.xDeviceCharacteristics = shim_characteristics,
	.xShmMap = shim_shm_map,
	.xShmLock = shim_shm_lock,
	.xShmBarrier = shim_shm_barrier,
	.xShmUnmap = shim_shm_unmap,
};

static int shim_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags, int *ret_flags)
{
	struct shim_file *s = shim(f);
	int rc;

	(void)vfs;
	memset(s, 0, sizeof *s);
	s->real = (sqlite3_file *)(s + 1);
	s->path = name;
	s->has_sums = (flags & SQLITE_OPEN_MAIN_DB) != 0;
	s->is_wal = (flags & SQLITE_OPEN_WAL) != 0;
	s->hooked = (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL)) != 0;
	rc = hooked(s, IO_OPEN, 0, flags & SQLITE_OPEN_CREATE ? O_CREAT : 0, SQLITE_CANTOPEN);
	if (!rc)
		rc = below()->xOpen(below(), name, s->real, flags, ret_flags);
	/* SQLite closes what has methods, even after an error. */
	s->base.pMethods = !rc || (s->real->pMethods && rc) ? &shim_methods : NULL;
	return rc;
}

static int shim_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	size_t len = 0;
	int ret = io_check(IO_DB, IO_UNLINK, name, NULL, &len, 0);

	(void)vfs;
	return ret ? hook_rc(ret, SQLITE_IOERR_DELETE) : below()->xDelete(below(), name, sync_dir);
}

static void shim_register(void)
{
	sqlite3_vfs *unix_vfs;

	/* Counting every allocation takes a process-wide mutex; meta_memory asks the connections instead. Fails
	 * without harm when SQLite is in use already. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	unix_vfs = sqlite3_vfs_find("unix");
	if (!unix_vfs) {
		shim_rc = SQLITE_ERROR;
		return;
	}
	shim_vfs = *unix_vfs; /* what is not replaced takes no file and works on any sqlite3_vfs */
	shim_vfs.zName = VFS_NAME;
	shim_vfs.pNext = NULL;
	shim_vfs.pAppData = unix_vfs;
	shim_vfs.szOsFile = (int)sizeof(struct shim_file) + unix_vfs->szOsFile;
	shim_vfs.xOpen = shim_open;
	shim_vfs.xDelete = shim_delete;
	shim_rc = sqlite3_vfs_register(&shim_vfs, 0);
}

int vfs_register(void)
{
	(void)pthread_once(&shim_once, shim_register);
	return shim_rc;
}

static bool is_zero(const uint8_t *p, size_t n)
{
	return p[0] == 0 && !memcmp(p, p + 1, n - 1);
}

int vfs_scan(sqlite3_file *file, int64_t *page, unsigned max)
{
	struct shim_file *s = shim(file);
	sqlite3_int64 size = 0;
	int rc = shim_file_size(file, &size);
	int64_t n = *page, pages = size / META_PAGE_SIZE;

	for (; !rc && n <= pages && max; n++, max--) {
		*page = n;
		rc = hooked(s, IO_READ, META_PAGE_SIZE, (n - 1) * META_PAGE_SIZE, SQLITE_IOERR_READ);
		if (!rc)
			rc = s->real->pMethods->xRead(s->real, s->page, META_PAGE_SIZE, (n - 1) * META_PAGE_SIZE);
		if (!rc && !page_holds(s->page, n) && !is_zero(s->page, META_PAGE_SIZE))
			rc = VFS_CORRUPT_SUM;
	}
	if (!rc)
		*page = n <= pages ? n : 0;
	return rc;
}
