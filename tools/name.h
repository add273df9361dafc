/* Names of volumes and snapshots as typed. The daemon checks them again; checking here tells apart what it never sees,
 * such as a path where a name belongs. */
#ifndef VARVE_TOOLS_NAME_H
#define VARVE_TOOLS_NAME_H

#include "store/base/err.h"
#include "store/base/limits.h"

/* `what` is "volume" or "snapshot". 0 or -EINVAL, and the error says which rule was broken. */
int name_check(const char *what, const char *name, struct err *err);

struct name {
	char volume[VOLUME_NAME_MAX + 1];
	char snapshot[VOLUME_NAME_MAX + 1]; /* "" when none was given */
};
/* Splits VOL@SNAP, or VOL alone. "VOL@" is an error. */
int name_split(const char *text, struct name *ret, struct err *err);
/* The same, but the snapshot must be there. */
int name_split_snapshot(const char *text, struct name *ret, struct err *err);

#endif
