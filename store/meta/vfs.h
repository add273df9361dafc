/* Private to store/meta: the VFS shim under SQLite, see vfs.c. */
#ifndef VARVE_META_VFS_H
#define VARVE_META_VFS_H

#include <sqlite3.h>
#include <stdint.h>

#define VFS_NAME "varve"
/* A page does not match its checksum: an extended code of our own of SQLITE_CORRUPT, see vfs.c for why. */
#define VFS_CORRUPT_SUM (SQLITE_CORRUPT | 0x76 << 8)

/* Registers it, once a process; any thread. An SQLite result code. */
int vfs_register(void);
/* Reads up to max pages from page *page (the first is 1) on of a database file that the shim opened, and checks the checksums; pages of
 * zeros were never written. *page is where to go on, 0 after the last one. VFS_CORRUPT_SUM with the number of the first bad page. No other
 * connection may write the file meanwhile. */
int vfs_scan(sqlite3_file *file, int64_t *page, unsigned max);

#endif
