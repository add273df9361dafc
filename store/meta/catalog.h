/* Volumes, snapshots and node id numbers: unversioned rows. */
#ifndef VARVE_META_CATALOG_H
#define VARVE_META_CATALOG_H

#include "store/base/limits.h"
#include "store/meta/branch.h"

/* A hidden volume is there, with its snapshots, but no name leads to it and no listing shows it: it was removed (TRASH), or is
 * being filled or read by something that will end (DRAFT: dropped when a store is opened). Its name is free for others. A TMPFS volume's
 * files are in memory, outside the store, which has its snapshots. */
enum { VOLUME_TRASH = 1, VOLUME_DRAFT = 2, VOLUME_TMPFS = 4, VOLUME_FILLING = 8 /* a draft that is no whole tree yet */ };
struct volume_row {
	int64_t id;
	char name[VOLUME_NAME_MAX + 1];
	int64_t branch;       /* the head */
	uint64_t root_ino;
	uint32_t number;      /* of its directories; survives rollback */
	uint32_t head_number; /* of everything else; each rollback renews it */
	int64_t created;      /* ns */
	int64_t quota_bytes, quota_inodes; /* 0: none */
	int32_t compression;  /* 0 none, else zstd level */
	uint32_t flags;       /* VOLUME_* */
	int64_t hidden;       /* ns: since when; 0: it is not. No two of one name have the same time */
	char *options;        /* JSON text of options this module need not know; may be NULL; owned by the row */
};
void volume_row_free(struct volume_row *v);
int volume_by_name(struct meta *m, const char *name, struct volume_row *ret); /* -ENOENT; never a hidden one */
int volume_by_id(struct meta *m, int64_t id, struct volume_row *ret);
int volume_put(struct meta *m, const struct volume_row *v); /* inserts or replaces by id */
int volume_delete(struct meta *m, int64_t id);
/* In name order: the first with name > after ("" at first); >0 at the end. */
int volume_next(struct meta *m, const char *after, struct volume_row *ret);
/* Hidden ones, by time and name: the first after `at` (NULL at first, and may be *ret); >0 at the end. */
int volume_next_hidden(struct meta *m, const struct volume_row *at, struct volume_row *ret);
/* All, hidden ones first: goes from *at, all-zero at first, to the next; >0 at the end. What *at owned is freed, whatever is returned. */
int volume_next_any(struct meta *m, struct volume_row *at);

enum { SNAPSHOT_AUTO = 1, SNAPSHOT_HELD = 2 };
struct snapshot_row {
	int64_t id;
	int64_t volume; /* 0 once its volume is gone but clones keep it: not stored then */
	char name[VOLUME_NAME_MAX + 1];
	int64_t branch, epoch;
	int64_t created;
	int64_t bytes, inodes; /* totals of the volume at that instant */
	uint64_t root_ino;
	uint32_t number; /* node id number, given when first browsed; 0 before */
	uint32_t flags;
};
int snapshot_by_name(struct meta *m, int64_t volume, const char *name, struct snapshot_row *ret); /* -ENOENT */
/* -EEXIST when the volume has a snapshot of that name. */
int snapshot_name_free(struct meta *m, int64_t volume, const char *name);
int snapshot_by_id(struct meta *m, int64_t id, struct snapshot_row *ret);
/* Inserts or replaces by id; pins (branch, epoch). */
int snapshot_put(struct meta *m, const struct snapshot_row *s);
/* Deletes the row only; the caller drops the view (reap_drop_view). */
int snapshot_delete(struct meta *m, int64_t id);
/* By (created, id): the first after (created, id) (0, 0 at first) of a volume; >0 at the end. */
int snapshot_next(struct meta *m, int64_t volume, int64_t created, int64_t id, struct snapshot_row *ret);
/* The same with pins: snapshots whose name begins with '@', which no user can give, and which no listing shows. */
int snapshot_next_any(struct meta *m, int64_t volume, int64_t created, int64_t id, struct snapshot_row *ret);
/* How many of them a volume has, pins not counted, and the last one's row; *ret_n 0: no row. */
int snapshot_newest(struct meta *m, int64_t volume, unsigned *ret_n, struct snapshot_row *ret);
/* How many there are of NAME and "NAME-…" (and NAME with what sorts before '-'). */
int snapshot_named(struct meta *m, int64_t volume, const char *name, unsigned *ret);
/* The one that is this view; -ENOENT. Never a pin. */
int snapshot_of_view(struct meta *m, int64_t branch, int64_t epoch, struct snapshot_row *ret);
/* The oldest automatic one that is not held, when the volume has more than `keep` such; else -ENOENT. */
int snapshot_surplus(struct meta *m, int64_t volume, unsigned keep, struct snapshot_row *ret);
/* How many branches were forked from this view. */
int snapshot_clones(struct meta *m, int64_t branch, int64_t epoch, unsigned *ret);

/* Numbers of node ids. A volume's (kind VOLUME: its live directories), a head's (HEAD: everything else on that branch; once another
 * head took its place, it shows the branch as it was left), a snapshot's (SNAPSHOT). */
enum number_kind { NUMBER_VOLUME = 1, NUMBER_HEAD = 2, NUMBER_SNAPSHOT = 3 };
struct number_row {
	uint32_t number;
	enum number_kind kind;
	int64_t volume;
	int64_t branch, epoch; /* epoch META_HEAD while it is the live head */
};
int number_get(struct meta *m, uint32_t number, struct number_row *ret);
int number_put(struct meta *m, const struct number_row *n);
int number_delete(struct meta *m, uint32_t number);
int number_each(struct meta *m, int (*fn)(void *arg, const struct number_row *n), void *arg);

#endif
