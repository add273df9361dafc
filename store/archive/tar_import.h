/* A tar archive into a folder of a volume (a draft's, so that nothing of it is seen before all of it is there): any tar
 * format, compressed or not, as GNU tar, bsdtar and `docker cp` write them. Nothing in an archive is trusted: a name
 * that is absolute or has "..", a name behind a symbolic link, a link to something outside, and an archive that is
 * damaged or ends before its end mark are refused with a line that says which entry it is. Symbolic links themselves
 * may point anywhere; they are stored, never followed. */
#ifndef VARVE_ARCHIVE_TAR_IMPORT_H
#define VARVE_ARCHIVE_TAR_IMPORT_H

#include <stdbool.h>

#include "store/volume/store.h"

/* The archive's next bytes, at most len; *ret_len 0 at its end. A failure ends the import with it. */
typedef int (*tar_read_fn)(void *arg, void *buf, size_t len, size_t *ret_len);

struct tar_import_options {
	tar_read_fn read;
	void (*tell)(void *arg,
		     const char *line); /* what could not be taken as it is, a few times at most; may be NULL */
	void *arg;
	bool merge;     /* the folder is not empty */
	unsigned strip; /* that many leading parts of each name are left away, as by tar --strip-components */
	const char *volume; /* for messages */
};
struct tar_import_result {
	uint64_t entries, bytes;
	uint64_t skipped; /* sockets, and names with nothing left after stripping */
};
/* `root`: the folder's node. What was there stays, unless the archive has the same name. After an error what came so
 * far is there. */
int tar_import(struct store *s, uint64_t root, const struct tar_import_options *o, struct tar_import_result *ret,
	       struct err *err);

#endif
