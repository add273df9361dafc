/* A stream of varve send becomes a snapshot: of the volume that it names, whose head is not touched, or of a new
 * volume. All of it or nothing: the snapshot appears when the stream's end has been checked. */
#ifndef VARVE_REPO_RECEIVE_H
#define VARVE_REPO_RECEIVE_H

#include "store/repo/repo.h"
#include "store/volume/snapshot.h"

struct receive_result {
	char volume[VOLUME_NAME_MAX + 1], snapshot[VOLUME_NAME_MAX + 1];
	bool incremental;
	bool made;       /* the volume was not there */
	uint64_t rows, chunks;
	uint64_t content; /* bytes of the chunks, before compression */
	uint64_t bytes;  /* of the stream */
};

/* new_volume NULL: the volume of the stream's name. A whole stream does not go into a new_volume that is there. `get`
 * gives up to len bytes, *ret_len 0 at the end; its -errno ends it. */
int repo_receive(struct store *s, const char *new_volume,
		 int (*get)(void *arg, void *buf, size_t len, size_t *ret_len), void *arg,
		 struct repo_progress *progress, struct receive_result *ret, struct err *err);

#endif
