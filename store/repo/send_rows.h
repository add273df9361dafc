/* Private to store/repo: rows on their way into a stream. Extents wait for the names of their contents; a content is
 * the part of a chunk that one extent shows. */
#ifndef VARVE_REPO_SEND_ROWS_H
#define VARVE_REPO_SEND_ROWS_H

#include "store/repo/repo.h"
#include "store/repo/source.h"
#include "store/repo/stream_frame.h"

struct send_piece {
	uint64_t chunk;      /* of the store; 0: none */
	uint32_t choff, len;
	/* a range of a file of the view that the stream begins from, which it may be much like; base_len 0: none */
	uint64_t base_ino;
	int64_t base_off;
	uint32_t base_len;
};
struct send_row {
	size_t key_at, value_at; /* in bytes */
	uint32_t key_len, value_len;
	enum stream_op op;
	struct send_piece piece; /* an extent's, whose name is to be put at the value's beginning */
};
struct send_rows {
	struct buf bytes;
	struct send_row *v;
	size_t n, cap;
	uint64_t content; /* bytes of pieces */
	/* asked between extents of a file whether rows are to be put; 0 or -errno. NULL: never */
	int (*between)(void *arg);
	void *arg;
};
void send_rows_reset(struct send_rows *rows);
void send_rows_free(struct send_rows *rows);

int send_rows_remove(struct send_rows *rows, const struct row_key *key);
int send_rows_inode(struct send_rows *rows, const struct inode *inode);
int send_rows_xattr(struct send_rows *rows, uint64_t ino, const char *name, const void *value, size_t len);
int send_rows_entry(struct send_rows *rows, const struct dirent_row *e);
int send_rows_extent(struct send_rows *rows, uint64_t ino, int64_t off, const struct send_piece *piece);
int send_rows_hole(struct send_rows *rows, uint64_t ino, int64_t off, int64_t len);

/* Puts rows into a stream, each content once, before the first row that needs it. A few threads read and compress. */
struct send_writer;
int send_writer_new(struct store *s, const struct source_view *base_or_null, struct stream_out *out,
		    struct repo_progress *progress, struct send_writer **ret);
void send_writer_free(struct send_writer *w);
/* Empties the rows. */
int send_writer_put(struct send_writer *w, struct send_rows *rows, struct err *err);
/* The last record. */
int send_writer_end(struct send_writer *w, struct stream_end *ret, struct err *err);

#endif
