/* Private to store/meta: the VFS shim under SQLite, see vfs.c. */
#ifndef VARVE_META_VFS_H
#define VARVE_META_VFS_H

#include <sqlite3.h>
#include <stdint.h>

#define VFS_NAME "varve"

/* Registers it, once a process; any thread. An SQLite result code. */
int vfs_register(void);
/* Reads every page of a database file that the shim opened and checks the checksums; pages of zeros were never written. SQLITE_IOERR_DATA
 * with the number of the first bad page. No other connection may write the file meanwhile. */
int vfs_scan(sqlite3_file *file, int64_t *ret_page);

#endif
