/* The store's side of a pull: a volume that no listing shows is filled with rows, then becomes a snapshot of another
 * volume, or a volume of its own. What an interrupted pull leaves is removed by the next one.
 *
 * Inodes get numbers of their own in blocks: a number of the manifest plus a distance that its block has. The blocks
 * are kept with the root directory, so that a later pull of the same history goes on with them. One thread. */
#ifndef VARVE_REPO_SINK_H
#define VARVE_REPO_SINK_H

#include "store/repo/ino_blocks.h"
#include "store/repo/manifest.h"
#include "store/repo/source.h"

struct sink;

/* `volume` is where the snapshot will go; it may or may not be there. From a view (base), or from nothing. A base that an
 * earlier pull made has how its inodes were numbered; for another one `blocks` says it (else NULL). root_ino and last_ino
 * are numbers of the manifest. */
int sink_begin(struct store *s, const char *volume, const struct source_view *base, const struct ino_blocks *blocks,
	       uint64_t root_ino, uint64_t last_ino, struct sink **ret, struct err *err);
/* Rows may be made up by anyone: sink_finish refuses (-ECORRUPT) a tree that makes no sense. Before the first row. */
int sink_distrust(struct sink *k);
/* Removes what was filled in, unless sink_finish has been called. */
void sink_free(struct sink *k);

/* Contents that rows will refer to: known ones need not be given again. Between sink_chunks_begin and sink_rows the
 * store makes no other change of contents. */
bool sink_knows(const struct sink *k, const struct repo_name *name);
void sink_chunks_begin(struct sink *k);
int sink_chunk(struct sink *k, const struct repo_name *name, const void *data, size_t len);

struct sink_row {
	const struct row_key *key;
	const void *value; /* NULL: the row goes */
	size_t value_len;
	const void *old; /* an extent's that goes or changes: its range becomes a hole first; NULL: none */
	size_t old_len;
};
/* Applies rows, and ends what sink_chunks_begin began. -ECORRUPT when a row makes no sense. */
int sink_rows(struct sink *k, const struct sink_row *rows, size_t n);
/* After an error instead of sink_rows. */
void sink_chunks_abort(struct sink *k);

/* From a number of the manifest to the store's. -ECORRUPT. */
int sink_ino(const struct sink *k, uint64_t remote, uint64_t *ret);

/* Makes VOLUME@SNAPSHOT of it; a volume that is not there is made. `received_as` (NULL: nothing) is remembered with it,
 * see stream_id.h. *ret is the view. */
int sink_finish(struct sink *k, const char *snapshot, int64_t created, const struct repo_name *received_as,
		struct source_view *ret, struct err *err);

#endif
