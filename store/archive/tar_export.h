/* A volume, or a snapshot of it, as a tar archive in pax format: every name, owner (by number), mode, time, extended
 * attribute, ACL, link, device and hole. Sockets have no place in one and are left out. What is exported is one point
 * in time, kept by a draft until the end, whatever happens to the volume or the snapshot. One thread at a time. */
#ifndef VARVE_ARCHIVE_TAR_EXPORT_H
#define VARVE_ARCHIVE_TAR_EXPORT_H

#include <stdbool.h>

#include "store/volume/store.h"

enum tar_compression { TAR_PLAIN, TAR_GZIP, TAR_ZSTD };

struct tar_export;

/* snapshot "": as the volume is now (what the kernel holds dirty is the caller's to fence). */
int tar_export_open(struct store *s, const char *volume, const char *snapshot, enum tar_compression compression,
		    struct tar_export **ret, struct err *err);
/* The next bytes of the archive; *ret_len is 0 at its end only. After an error nothing more can be had. */
int tar_export_read(struct tar_export *x, void *buf, size_t len, size_t *ret_len, struct err *err);
void tar_export_free(struct tar_export *x);

struct tar_export_state {
	uint64_t bytes_total; /* of the files, as large as they seem */
	uint64_t bytes_done;
	uint64_t entries;
	uint64_t sockets; /* left out */
};
void tar_export_state(const struct tar_export *x, struct tar_export_state *ret);

#endif
