/* Which views are the same in two stores: a stream names the snapshots that it begins from and makes by the ids of
 * views, and a received snapshot remembers, with its top directory, as what it was received. Any thread. */
#ifndef VARVE_REPO_STREAM_ID_H
#define VARVE_REPO_STREAM_ID_H

#include "store/repo/ino_blocks.h"
#include "store/repo/source.h"
#include "store/repo/stream_format.h"

/* No other view of any store has it: of the store's id, and of branch, epoch, time and top directory. */
void stream_view_id(const struct store *s, const struct source_view *v, struct repo_name *ret);

/* As what the view was received, with how its inodes were numbered then (caller frees); -ENOENT when it was not, or has
 * been changed since. */
int stream_received_as(struct store *s, const struct source_view *v, struct repo_name *ret, void **ret_blocks,
		       size_t *ret_blocks_len);

enum stream_base {
	STREAM_BASE_RECEIVED, /* it came as a stream from where this one comes from */
	STREAM_BASE_OWN,      /* the stream was made by this store */
	STREAM_BASE_ORIGIN,   /* it went from here to where the stream comes from */
};
/* The view that an incremental stream begins from, among the snapshots of a volume (NULL: of all). -ENOENT. */
int stream_base_find(struct store *s, const char *volume, const struct stream_begin *b, struct source_view *ret,
		     enum stream_base *ret_kind);
/* How the stream's inodes are numbered upon such a base that is not STREAM_BASE_RECEIVED (which has it itself). The
 * caller frees ret->v. */
int stream_base_blocks(const struct stream_begin *b, enum stream_base kind, struct ino_blocks *ret);

/* What a top directory remembers: the value of XATTR_RECEIVED. */
#define STREAM_MARK_LEN (REPO_NAME_LEN + 16)
void stream_mark_encode(const struct repo_name *id, int64_t branch, int64_t epoch, uint8_t out[STREAM_MARK_LEN]);

#endif
