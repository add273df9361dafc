/* The model of a whole store: volumes with their live trees and snapshots. Copying a state costs a reference for each volume, which is
 * what makes it cheap to remember the state after every operation since the last sync (the states a power cut may leave). */
#ifndef VARVE_MODEL_MSTATE_H
#define VARVE_MODEL_MSTATE_H

#include "store/base/limits.h"
#include "tests/model/mtree.h"

struct msnapshot {
	unsigned refs;
	char name[VOLUME_NAME_MAX + 1];
	bool automatic, held;
	uint32_t number; /* of its nodes; 0 until browsed */
	uint64_t lineage; /* the branch of history it was taken on */
	struct mtree *tree;
};

struct mvolume {
	unsigned refs;
	int64_t id;
	char name[VOLUME_NAME_MAX + 1];
	uint32_t number;      /* of its directories */
	uint32_t head_number; /* of everything else; 0 until seen */
	uint64_t lineage;     /* changes with each rollback */
	uint64_t family;      /* equal when there is a common origin */
	struct mtree *tree;
	size_t nsnaps, snaps_cap;
	struct msnapshot **snaps; /* oldest first */
};

#define MSTATE_VOLUMES 6

struct mstate {
	size_t n;
	struct mvolume *v[MSTATE_VOLUMES];
};

struct msnapshot *msnapshot_new(const char *name, struct mtree *tree, uint64_t lineage);
struct msnapshot *msnapshot_find(const struct mvolume *v, const char *name); /* NULL when absent */

struct mvolume *mvolume_new(int64_t id, const char *name, struct mtree *tree); /* takes the tree's reference */
void mvolume_add_snapshot(struct mvolume *v, struct msnapshot *s); /* takes the reference */
void mvolume_remove_snapshot(struct mvolume *v, size_t i);
/* The snapshot to be changed. */
struct msnapshot *mvolume_edit_snapshot(struct mvolume *v, size_t i);

struct mstate mstate_copy(const struct mstate *s);
void mstate_free(struct mstate *s);
/* The volume to be changed. */
struct mvolume *mstate_edit(struct mstate *s, size_t i);
void mstate_add(struct mstate *s, struct mvolume *v); /* takes the reference */
void mstate_remove(struct mstate *s, size_t i);
struct mvolume *mstate_by_name(const struct mstate *s, const char *name); /* NULL when absent */
struct mvolume *mstate_by_id(const struct mstate *s, int64_t id);
size_t mstate_index(const struct mstate *s, int64_t id);
size_t mstate_snapshots(const struct mstate *s);

#endif
