/* Which blob is in which pack, in memory: what all index objects of a repository say. Any thread; one lock, which is a
 * leaf. */
#ifndef VARVE_REPO_BLOB_INDEX_H
#define VARVE_REPO_BLOB_INDEX_H

#include "store/repo/format.h"

#define BLOB_DELTA_DEPTH_MAX 8 /* a chain of deltas is never longer */
#define BLOB_PACK_PENDING UINT32_MAX

struct blob_index;

struct blob_place {
	uint32_t pack; /* number of the pack; BLOB_PACK_PENDING while it is not written */
	uint32_t off;
	struct repo_name pack_name;
	uint32_t pack_end; /* where its last blob ends */
	bool lost;         /* its pack, or that of what it is a delta upon, is missing */
	struct repo_blob blob;
};

enum blob_pack_flags {
	PACK_QUARANTINED = 1, /* its blobs are found only when nothing else has them, and count for nothing in a push */
	PACK_USED = 2,        /* a push relied on it */
	PACK_UNINDEXED = 4,   /* no index object has it: its own table said what it holds */
	PACK_MISSING = 8,     /* it is in the index, and not in the storage: the same as quarantined, after all others */
	PACK_LOST = 16,       /* it is missing, and had something that no other has; as of blob_index_losses */
};
struct blob_pack {
	struct repo_name name;
	unsigned flags;
	uint32_t first, n; /* its blobs, as blob_index_at numbers them */
	uint64_t bytes;    /* of its blobs */
};

int blob_index_new(struct blob_index **ret);
void blob_index_free(struct blob_index *ix);

/* A pack and its blobs, in their order; one that is known already is left out. */
int blob_index_add_pack(struct blob_index *ix, const struct repo_name *pack, const struct repo_table *table,
			unsigned flags);
bool blob_index_pack_find(struct blob_index *ix, const struct repo_name *pack, size_t *ret_i);
/* When all packs are added and flagged: of several copies of a blob the best is the one that look-ups find. */
void blob_index_settle(struct blob_index *ix);
/* One that was to be read is not there: as if the listing had not had it. False: it was known to be missing. */
bool blob_index_pack_gone(struct blob_index *ix, uint32_t pack);
bool blob_index_find(struct blob_index *ix, const struct repo_name *name, struct blob_place *ret);
/* The other copies, from 0; slow. */
bool blob_index_copy(struct blob_index *ix, const struct repo_name *name, unsigned nth, struct blob_place *ret);
struct blob_losses {
	size_t blobs; /* that are lost: no copy of them can be read */
	size_t fresh; /* packs that are missing and in no quarantine */
	size_t packs; /* these, and others that are missing and have had what is lost */
};
void blob_index_losses(struct blob_index *ix, struct blob_losses *ret);

/* For a push. True: the blob is there, or another thread is about to store it, and its pack is marked as used. False:
 * the caller has to store it, and it is entered as pending; an error -ENOMEM is *ret_err. */
bool blob_index_claim(struct blob_index *ix, const struct repo_name *name, int *ret_err);
/* How many of those that had to be stored were lost. */
size_t blob_index_healed(struct blob_index *ix);
/* Whether a push may build a delta upon this blob. Not where something is lost: what is sent anew needs nothing else. */
bool blob_index_delta_base(struct blob_index *ix, const struct repo_name *name);
/* What a pending blob became; then where it is. */
void blob_index_stored(struct blob_index *ix, const struct repo_blob *blob);
/* The pack that holds these blobs, which were pending, has been written. */
int blob_index_written(struct blob_index *ix, const struct repo_name *pack, const struct repo_blob *blobs, size_t n);

/* Walks: no other thread changes the index meanwhile. */
size_t blob_index_packs(const struct blob_index *ix);
struct blob_pack *blob_index_pack(struct blob_index *ix, size_t i);
/* The i-th of all records of all packs, copies of one blob included; *ret_mark is the caller's, false at first. */
void blob_index_at(struct blob_index *ix, size_t i, struct repo_blob *ret, uint32_t *ret_off);
/* Marks the blob that a look-up finds; false when there is none. *ret_new: it was not marked before. */
bool blob_index_mark(struct blob_index *ix, const struct repo_name *name, struct blob_place *ret, bool *ret_new);
bool blob_index_marked(struct blob_index *ix, const struct repo_name *name);
void blob_index_unmark(struct blob_index *ix);

/* What a check has found out about a blob. */
enum blob_flags {
	BLOB_DAMAGED = 1,
	BLOB_SOUND = 2, /* a node: nothing below it is damaged */
};
void blob_index_flag(struct blob_index *ix, const struct repo_name *name, enum blob_flags flag);
bool blob_index_flagged(struct blob_index *ix, const struct repo_name *name, enum blob_flags flag);

#endif
