/* Private to store/archive: what exporting and importing share. The only place that sees libarchive. */
#ifndef VARVE_ARCHIVE_INTERNAL_H
#define VARVE_ARCHIVE_INTERNAL_H

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/err.h"

/* libarchive takes names to be in the thread's character set, and pax headers are UTF-8: with this one, names that are
 * UTF-8 pass as they are, and others raw. Give the answer to archive_locale_leave. */
locale_t archive_locale_enter(void);
void archive_locale_leave(locale_t before);

/* A name for a message: at most so much of it, its bytes that are no text replaced. */
#define SHOWN_MAX 160
const char *archive_show(char out[SHOWN_MAX + 1], const char *name);

/* POSIX ACLs between the kernel's form in an xattr and libarchive's. *ret_known is false when a name in it is nobody's
 * here. */
int acl_to_entry(const void *value, size_t len, bool is_default, struct archive_entry *e);
int acl_from_entry(struct archive_entry *e, bool is_default, struct buf *ret, bool *ret_known);

/* Times in nanoseconds since 1970, any sign, to what libarchive writes and reads right. */
void time_to_pax(int64_t ns, time_t *ret_s, long *ret_ns);
int64_t time_from_pax(time_t s, long ns);

/* The xattr's name that a pax keyword stands for, in place: GNU tar writes '=' and '%' as %3D and %25, libarchive more
 * as %XX. */
void xattr_from_keyword(char *keyword);

#endif
