/* Private to store/volume: volumes and snapshots by name. Lock held. */
#ifndef VARVE_VOLUME_VOLUME_INTERNAL_H
#define VARVE_VOLUME_VOLUME_INTERNAL_H

#include "store/volume/ns_internal.h"

/* -ENOENT with a suggestion. */
int volume_find(struct store *s, const char *name, struct volume_row *ret, struct err *err);
int snapshot_find(struct store *s, const struct volume_row *vol, const char *name, struct snapshot_row *ret, struct err *err);
/* Checks the name and that no volume has it. */
int volume_name_free(struct store *s, const char *name, struct err *err);
int volume_fill(struct store *s, const struct volume_row *vol, struct volume_info *ret);
/* A row with fresh id and numbers on the given branch; VOLUME_* flags (a draft is hidden); options applied; put. In a transaction. */
int volume_insert(struct tx *tx, const char *name, unsigned flags, struct branch *b, uint64_t root_ino,
		  const struct volume_options *opts, struct volume_row *ret);
/* Whether options go together, and with the volume that they are for when there is one. */
int volume_options_check(const struct volume_options *opts, const struct volume_row *now_or_null, struct err *err);
void volume_apply_options(struct volume_row *vol, const struct volume_options *opts);
/* Puts uid, gid and mode of the options on a volume's root directory. */
int volume_apply_root(struct tx *tx, struct branch *b, uint64_t root_ino, const struct volume_options *opts);
/* The row and its numbers only; in a transaction. */
int volume_forget(struct tx *tx, const struct volume_row *vol);
/* A volume's snapshots, views and numbers and its row; in a transaction. */
int volume_destroy(struct tx *tx, const struct volume_row *vol);
/* Removes a snapshot's row, its number and its view; in a transaction. */
int snapshot_drop(struct tx *tx, const struct snapshot_row *snap);
/* PREFIX and the time, with a suffix when that is taken; out holds VOLUME_NAME_MAX + 1. */
int snapshot_default_name(struct store *s, const struct volume_row *vol, const char *prefix, int64_t now, char *out);
/* A row that pins what the volume showed up to `epoch`, which has just been ended. */
int snapshot_insert(struct tx *tx, const struct volume_row *vol, const char *name, unsigned flags, int64_t epoch,
		    struct snapshot_row *ret);
/* A new branch that begins from a snapshot, or (snapshot "") from the present state, whose epoch ends there; in a transaction. */
int branch_from_view(struct tx *tx, const struct volume_row *vol, const char *snapshot, struct branch **ret, struct err *err);
/* Another branch becomes what the volume shows; what it showed up to `epoch`, which has just been ended, is kept as an automatic
 * snapshot named PREFIX and the time. *vol is put; in a transaction, whose caller sees to automatic_expire after. */
int head_replace(struct tx *tx, struct volume_row *vol, struct branch *b, int64_t epoch, const char *prefix,
		 char ret_saved[VOLUME_NAME_MAX + 1]);
/* Drops the oldest automatic snapshots of a volume, held ones aside, that are more than are kept; in a transaction. */
int automatic_expire(struct tx *tx, int64_t volume);
/* -EBUSY while files of the volume are open for writing. */
int volume_check_unused(struct store *s, const struct volume_row *vol, const char *hint, struct err *err);
int volume_open_writers(struct store *s, int64_t volume_id, unsigned *ret);
/* The closest of the names that `next` gives to `name`; "" when none is near. */
struct nearest {
	const char *name;
	unsigned best;
	char found[VOLUME_NAME_MAX + 1];
};
void nearest_try(struct nearest *n, const char *candidate);

#endif
