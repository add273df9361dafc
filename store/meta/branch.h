/* Branches: lines of history. A branch has a parent view (parent branch, fork epoch), or none.
 *
 * A key is read in the branch itself first, then in its parent at the fork epoch, and so on; the nearest row visible
 * at its level's epoch decides, and a tombstone there means "absent". An ino above ino_base was made on this branch
 * or later, so no ancestor can show it. */
#ifndef VARVE_META_BRANCH_H
#define VARVE_META_BRANCH_H

#include "store/meta/db.h"

struct branch {
	int64_t id;
	struct branch *parent; /* NULL at the root of a lineage */
	int64_t fork_epoch;    /* the parent's view that this branch began from */
	uint64_t ino_base;     /* meta_last_ino() when it began; ignored without a parent */
	int64_t origin_branch; /* parent and fork epoch as they were made: they survive flattening, for diff; 0 when none */
	int64_t origin_epoch;
	int64_t pinned;        /* the highest epoch of this branch that a snapshot or a child can see; 0 when none */
	int64_t bytes;         /* sum of the live view's file sizes, and its number of inodes */
	int64_t inodes;
	bool head;             /* a volume's head: its live rows are a view */
	bool dead;             /* dropped; the pointer is still valid until meta_free */
	struct branch *next_;  /* private */
	bool totals_dirty_;    /* private */
	uint64_t op_;          /* private: the last operation that changed it */
};

/* What one can look at: a branch at an epoch; META_HEAD for the live state. */
struct meta_view {
	struct branch *branch;
	int64_t epoch;
};

struct branch *branch_get(struct meta *m, int64_t id); /* NULL when there is none */
/* A new root branch (parent NULL), or one that starts from a view; its totals start at the given values. */
int branch_create(struct meta *m, const struct meta_view *parent, int64_t bytes, int64_t inodes, struct branch **ret);
/* Marks whether the branch is a volume's head. */
int branch_set_head(struct meta *m, struct branch *b, bool head);
/* Adds to the live totals (kept in memory, written at commit, part of the effects). */
int branch_add_totals(struct meta *m, struct branch *b, int64_t bytes, int64_t inodes);
/* Recomputes `pinned` from the snapshots and children; called by whatever adds or drops a view. */
int branch_refresh_pinned(struct meta *m, struct branch *b);
unsigned branch_depth(const struct branch *b); /* 1 for a root */
/* Removes the row of a branch with no head, no snapshot, no child and no rows left. */
int branch_delete(struct meta *m, struct branch *b);
/* Cuts the parent link (the last step of flattening). origin_* stay. */
int branch_cut_parent(struct meta *m, struct branch *b);
/* Calls fn for every branch that is not dead. */
int branch_each(struct meta *m, int (*fn)(void *arg, struct branch *b), void *arg);

/* The views on a branch, apart from the head, as sorted epochs of snapshots and forks: the nearest one below `epoch`
 * (0 when none) and the nearest one above it (when none: META_HEAD for a head, else META_LIVE), and whether `epoch`
 * itself is pinned by anything. */
int branch_neighbours(struct meta *m, struct branch *b, int64_t epoch, int64_t *ret_below, int64_t *ret_above,
		      bool *ret_pinned);

/* Reap tasks: rows of `branch` with since in (p, v] and until in (v, n] are invisible for good. */
struct reap_task {
	int64_t id;
	int64_t branch;
	int64_t p, v, n;
};
/* Records that the view (branch, epoch) was dropped: nothing when something else still pins it; otherwise the task
 * with its bounds, in the running operation. `epoch` META_HEAD drops the live head, which the branch then no longer is
 * (v = META_LIVE, and until = META_LIVE is included). n is `now` when nothing but a live head follows, see reap.c. */
int reap_drop_view(struct meta *m, struct branch *b, int64_t epoch);
/* The oldest task; >0 when there is none. */
int reap_first(struct meta *m, struct reap_task *ret);
/* Deletes up to max_rows rows of a task (chunk references included). *ret_rows is how many; when 0 the task is
 * removed, and so is its branch if nothing is left of it, which drops the parent's fork view in turn. Inside an
 * operation. */
int reap_slice(struct meta *m, const struct reap_task *task, unsigned max_rows, unsigned *ret_rows);

/* Copies up to max_rows inherited rows into the branch (see DESIGN section 3, flattening); *ret_done when nothing
 * was left to copy, and the parent link has been cut. `cursor` all-zero at first. Inside an operation. */
struct flatten_cursor {
	int stage;
	uint64_t ino;
	int64_t key;
	uint8_t opaque[280];
};
int flatten_slice(struct meta *m, struct branch *b, struct flatten_cursor *cursor, unsigned max_rows, bool *ret_done);

#endif
