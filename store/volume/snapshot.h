/* Snapshots, clones and rollback: O(1) instants. The fence (getting the kernel's dirty pages delivered) is the daemon's and
 * comes before; these functions make the cut: drain the write buffers until little remains, hold mutating operations back, drain
 * the rest, end the epoch, let go, then make it durable. */
#ifndef VARVE_VOLUME_SNAPSHOT_H
#define VARVE_VOLUME_SNAPSHOT_H

#include "store/volume/volume.h"

struct snapshot_info {
	int64_t id;
	char volume[VOLUME_NAME_MAX + 1];
	char name[VOLUME_NAME_MAX + 1];
	int64_t created; /* ns */
	int64_t bytes, inodes;
	bool automatic, held;
	unsigned clones;
};

/* What an instant cost, microseconds. */
struct cut_times {
	uint64_t drain_us; /* before operations were held back */
	uint64_t cut_us;   /* while they were */
	uint64_t sync_us;  /* making it durable */
};

struct snapshot_name {
	char volume[VOLUME_NAME_MAX + 1];
	char snapshot[VOLUME_NAME_MAX + 1]; /* "" : the default name, YYYYMMDDTHHMMSSZ (a suffix -2, -3 … when taken) */
};
/* All at one instant, or none. Fills in default names. ret may be NULL, else holds n. */
int snapshot_create(struct store *s, struct snapshot_name *names, size_t n, struct snapshot_info *ret, struct cut_times *times,
		    struct err *err);
/* Snapshots of a volume (NULL: of all), oldest first. Caller frees. */
int snapshot_list(struct store *s, const char *volume, struct snapshot_info **ret, size_t *ret_n, struct err *err);
int snapshot_get(struct store *s, const char *volume, const char *name, struct snapshot_info *ret, struct err *err);
/* -EBUSY when held, and the error names the hold. With clones only the name goes. */
int snapshot_remove(struct store *s, const char *volume, const char *name, struct err *err);
int snapshot_hold(struct store *s, const char *volume, const char *name, bool hold, struct err *err);
/* Bytes that only this snapshot refers to, counted from its rows (cost follows what differs from its neighbours). */
int snapshot_unique_bytes(struct store *s, const char *volume, const char *name, int64_t *ret_bytes, struct err *err);

/* The volume shows the snapshot's state again; what it showed before is kept as automatic snapshot, whose name is given back. Files' nodes change
 * (see DESIGN section 3). Refuses with -EBUSY while files are open for writing unless live; the caller adds who. */
int snapshot_rollback(struct store *s, const char *volume, const char *name, bool live, char ret_saved[VOLUME_NAME_MAX + 1],
		      struct cut_times *times, struct err *err);
/* A new volume from VOL@SNAP, or from VOL as it is now (snapshot ""). */
int snapshot_clone(struct store *s, const char *volume, const char *snapshot, const char *new_name, const struct volume_options *opts,
		   struct volume_info *ret, struct cut_times *times, struct err *err);
/* Splits "VOL@SNAP" or "VOL" (snapshot ""); checks both names. */
int snapshot_name_parse(const char *text, struct snapshot_name *ret, struct err *err);

#endif
