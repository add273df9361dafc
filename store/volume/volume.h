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
};
struct volume_options {
	unsigned set;
	int64_t quota_bytes, quota_inodes;
	int32_t compression; /* 0 none, 1..19 zstd */
	uint32_t uid, gid, mode; /* of the volume's root directory */
	char from[2 * VOLUME_NAME_MAX + 2]; /* VOL[@SNAP]: a clone */
};
/* Parses one "key=value" into *opts: quota quota-inodes compression uid gid mode from. Unknown and malformed ones are refused with the list
 * of known ones. */
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
/* Removes the volume and its snapshots (-EBUSY when one is held, or files are open for writing unless force). */
int volume_remove(struct store *s, const char *name, bool force, struct err *err);
int volume_rename(struct store *s, const char *old_name, const char *new_name, struct err *err);
int volume_set(struct store *s, const char *name, const struct volume_options *opts, struct err *err);

#endif
