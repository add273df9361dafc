/* Private to store/repo: rows on their way into a manifest. Extents wait for the names of their chunks. */
#ifndef VARVE_REPO_PUSH_ROWS_H
#define VARVE_REPO_PUSH_ROWS_H

#include "store/repo/chunk_map.h"
#include "store/repo/manifest.h"
#include "store/repo/source.h"

struct push_row {
	size_t key_at, value_at; /* in bytes */
	uint32_t key_len, value_len;
	uint64_t chunk; /* an extent's, whose name is to be put at the value's beginning; 0: none */
	bool removed, prefix;
};
struct push_rows {
	struct buf bytes;
	struct push_row *v;
	size_t n, cap;
	uint64_t content; /* bytes of extents */
	/* asked between extents of a file that is put whole, whether rows are to be flushed; 0 or -errno. NULL: never */
	int (*between)(void *arg);
	void *arg;
};
void push_rows_reset(struct push_rows *rows);
void push_rows_free(struct push_rows *rows);

int push_rows_remove(struct push_rows *rows, const struct row_key *key, bool prefix);
int push_rows_inode(struct push_rows *rows, const struct inode *inode);
int push_rows_entry(struct push_rows *rows, const struct dirent_row *e);
int push_rows_extent(struct push_rows *rows, uint64_t ino, const struct extent *e);
int push_rows_xattrs(struct push_rows *rows, struct store *s, const struct source_view *v, const struct inode *inode);

/* Sends chunks: those of these rows whose names are not known yet are read, named, and stored if they are new. */
struct push_sender;
int push_sender_new(struct store *s, struct repo *r, struct pack_out *out, struct repo_progress *progress,
		    struct push_sender **ret);
void push_sender_free(struct push_sender *p);
/* The names known so far; a caller adds those that it knows from elsewhere. */
struct chunk_map *push_sender_map(struct push_sender *p);
/* Gives every extent its chunk's name. */
int push_sender_resolve(struct push_sender *p, struct push_rows *rows, struct err *err);

#endif
