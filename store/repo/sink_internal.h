/* Private to sink.c and sink_finish.c, which write rows under the store's locks. */
#ifndef VARVE_REPO_SINK_INTERNAL_H
#define VARVE_REPO_SINK_INTERNAL_H

#include "store/repo/sink.h"
#include "store/repo/sink_watch.h"
#include "store/volume/store_internal.h"
#include "store/volume/volume_internal.h"

/* Where a chunk of the repository is in the store: whole chunks or parts, in order. */
struct piece {
	uint64_t id;       /* 0 until it has a row */
	uint32_t off, len; /* in the repository's chunk */
	struct chunk_loc loc;
	int64_t same; /* number of an earlier piece that is the same chunk; -1 */
};
struct known {
	struct repo_name name;
	size_t first, n; /* pieces */
	bool used;
};

struct sink {
	struct store *s;
	char volume[VOLUME_NAME_MAX + 1];
	struct draft draft; /* what is filled */
	bool made, finished, locked;
	int64_t branch;
	struct ino_blocks inos;
	struct known *known; /* hash table */
	size_t known_size, n_known;
	struct piece *pieces;
	size_t n_pieces, cap_pieces, pending; /* pieces from `pending` on may lack ids */
	struct inode inode;                   /* the one being changed */
	bool has_inode, inode_dirty;
	struct sink_watch *watch; /* NULL: rows are trusted */
};

#endif
