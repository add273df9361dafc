/* Volumes. Operations that a user asks for by name: they take a struct err and set one clear line. */
#ifndef VARVE_VOLUME_VOLUME_H
#define VARVE_VOLUME_VOLUME_H

#include "store/volume/store.h"

struct volume_info {
	int64_t id;
	char name[VOLUME_NAME_MAX + 1];
	uint64_t root_node;
	int64_t created; /* ns */
	int64_t bytes, inodes;
	int64_t quota_bytes, quota_inodes; /* 0: none */
	int32_t compression;
	bool tmpfs; /* lives in a tmpfs of quota_bytes, which is the daemon's business; what is here are saved copies */
	unsigned depth;     /* of its lineage */
	unsigned snapshots; /* how many */
	char newest_snapshot[VOLUME_NAME_MAX + 1];
	char origin[2 * VOLUME_NAME_MAX + 2]; /* "VOLUME@SNAPSHOT" it was cloned from or rolled back to; "" when unknown or none */
	unsigned open_writers;
};

/* Values of `-o key=value`; a field counts only when its bit is in `set`. */
enum {
	VOLUME_SET_QUOTA = 1,
	VOLUME_SET_QUOTA_INODES = 2,
	VOLUME_SET_COMPRESSION = 4,
	VOLUME_SET_UID = 8,
	VOLUME_SET_GID = 16,
	VOLUME_SET_MODE = 32,
	VOLUME_SET_FROM = 64,
	VOLUME_SET_TYPE = 128,
	VOLUME_SET_SIZE = 256,
};
struct volume_options {
	unsigned set;
	int64_t quota_bytes, quota_inodes;
	int32_t compression; /* 0 none, 1..19 zstd */
	uint32_t uid, gid, mode; /* of the volume's root directory */
	char from[2 * VOLUME_NAME_MAX + 2]; /* VOL[@SNAP]: a clone */
	bool tmpfs;                         /* by type; its `size` is in quota_bytes */
};
/* Parses one "key=value" into *opts. Unknown and malformed ones are refused, and the hint lists the known ones with the form of their values. */
int volume_option_parse(struct volume_options *opts, const char *key, const char *value, struct err *err);
/* "10G" -> bytes; K M G T P are powers of 1024, with an optional "B" or "iB". */
int volume_size_parse(const char *text, int64_t *ret, struct err *err);

/* Valid: 1..VOLUME_NAME_MAX of [A-Za-z0-9_.-], beginning with a letter, digit or '_'. The error says which rule was broken. */
int volume_name_check(const char *what, const char *name, struct err *err);

int volume_create(struct store *s, const char *name, const struct volume_options *opts, struct volume_info *ret, struct err *err);
/* Unknown names get -ENOENT with a hint that suggests the nearest known name. */
int volume_get(struct store *s, const char *name, struct volume_info *ret, struct err *err);
/* All volumes by name; caller frees. */
int volume_list(struct store *s, struct volume_info **ret, size_t *ret_n, struct err *err);
/* What is cheap to know of all of them, by name: a look at one row each. Caller frees. */
struct volume_brief {
	int64_t id;
	char name[VOLUME_NAME_MAX + 1];
	int64_t created; /* ns */
	bool tmpfs;
};
int volume_briefs(struct store *s, struct volume_brief **ret, size_t *ret_n, struct err *err);
enum {
	VOLUME_REMOVE_FORCE = 1, /* even while files are open for writing */
	VOLUME_REMOVE_PURGE = 2, /* not into the trash */
};
/* Removes the volume and its snapshots: -EBUSY when one is held, or files are open for writing. It goes into the trash (trash.h), but
 * not one with an anonymous name, as Docker gives it: 64 hexadecimal digits. */
int volume_remove(struct store *s, const char *name, unsigned flags, struct err *err);
int volume_rename(struct store *s, const char *old_name, const char *new_name, struct err *err);
/* Changes whenever the set of volumes, their names, options or states may have (snapshots taken and dropped included); takes no
 * lock. What was read after asking for it is current for as long as it stays the same. */
uint64_t volume_generation(struct store *s);

/* What the volume refers to with its snapshots, as stored (compressed): by it alone, so that removing it frees them, and also by
 * others. Walks all its extent rows in slices, so it belongs in a background thread; `stop` (may be NULL) ends it with -ECANCELED, a
 * change of its lineage with -EAGAIN. */
struct volume_sizes {
	int64_t unique_bytes, shared_bytes;
};
int volume_sizes(struct store *s, int64_t volume_id, const _Atomic bool *stop, struct volume_sizes *ret);
int volume_set(struct store *s, const char *name, const struct volume_options *opts, struct err *err);

#endif
