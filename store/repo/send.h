/* A snapshot as a stream: whole, or what changed since another one of the same volume. Its cost follows the change: the
 * history between the two is walked, not the tree. */
#ifndef VARVE_REPO_SEND_H
#define VARVE_REPO_SEND_H

#include "store/repo/repo.h"
#include "store/volume/snapshot.h"

struct send_result {
	bool incremental;
	uint64_t rows, chunks;
	uint64_t content; /* bytes of the chunks, before compression */
	uint64_t bytes;   /* of the stream */
};

struct send;
/* Holds both snapshots until send_free; `from` "" sends it whole. */
int send_open(struct store *s, const char *volume, const char *snapshot, const char *from, struct send **ret,
	      struct err *err);
/* Puts the stream. An error of `put` (-errno) ends it. Once. */
int send_run(struct send *x, int (*put)(void *arg, const void *data, size_t len), void *arg,
	     struct repo_progress *progress, struct send_result *ret, struct err *err);
void send_free(struct send *x);

#endif
