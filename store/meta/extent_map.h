/* Extents: which chunk holds which range of a file. Live extents of one view never overlap; a range without one is a
 * hole. No extent is longer than CHUNK_LEN_MAX, so the one that covers an offset begins at most that far before it.
 *
 * Every row that exists is one reference to its chunk (tombstones have chunk 0 and refer to nothing). In a branch with
 * a parent the levels merge by their `off`, nearest first, inherited ones only below the inode's `inherit`. */
#ifndef VARVE_META_EXTENT_MAP_H
#define VARVE_META_EXTENT_MAP_H

#include "store/meta/chunk_table.h"
#include "store/meta/inode.h"

struct extent {
	int64_t off;   /* in the file */
	int64_t len;
	uint64_t chunk; /* id, never 0 here */
	uint32_t choff; /* where in the chunk's content */
};

/* Up to max extents of the view that overlap [off, end), in order; clipped at neither end. *ret_n < max means there are
 * no more. Continue from the end of the last one. `inode` gives ino and inherit. */
int extent_scan(struct meta *m, const struct meta_view *v, const struct inode *inode, int64_t off, int64_t end,
		struct extent *ret, size_t max, size_t *ret_n);
/* Makes [off, off+len) hold these pieces: contiguous, in order, covering the range exactly; a piece with chunk 0 is a
 * hole. What overlaps is trimmed, split or closed. Reference counts of the new pieces go up by one each. Changes
 * inode->alloc (not put). */
int extent_write(struct meta *m, struct branch *b, struct inode *inode, int64_t off, int64_t len,
		 const struct extent *pieces, size_t n);
/* Makes [off, end) a hole; at most max_rows rows are touched: *ret_next is where to go on (end when done), from the
 * front. */
int extent_punch(struct meta *m, struct branch *b, struct inode *inode, int64_t off, int64_t end, unsigned max_rows,
		 int64_t *ret_next);
/* Hides everything at or beyond `size`: inherit bound, own rows removed from the back, at most max_rows; *ret_done
 * false when more remain (call again). Changes inode->alloc and inode->inherit (not put). */
int extent_truncate(struct meta *m, struct branch *b, struct inode *inode, int64_t size, unsigned max_rows,
		    bool *ret_done);

/* For truncating in slices: the least offset from `size` on from which a truncation has no more than max_rows rows to deal with. That is
 * `size` itself when there are few, and for a truncation to 0, which hides all that is inherited at once, when few are the branch's own. */
int extent_tail(struct meta *m, struct branch *b, const struct inode *inode, int64_t size, unsigned max_rows, int64_t *ret_off);
/* The same for punching [off, end) from the front: the greatest end of a slice. */
int extent_head(struct meta *m, struct branch *b, const struct inode *inode, int64_t off, int64_t end, unsigned max_rows,
		int64_t *ret_end);

/* A deleted inode's own live extents and xattrs: a few are removed at once, the rest is recorded as a task for
 * extent_purge_slice. has_xattrs: the inode may have some. After inode_delete, in the same operation. */
int extent_purge(struct meta *m, struct branch *b, uint64_t ino, bool has_xattrs);
/* Up to max_rows rows of the oldest task; *ret_rows 0 when there was no task. Inside an operation. */
int extent_purge_slice(struct meta *m, unsigned max_rows, unsigned *ret_rows);

/* The bytes of extents that of a branch's views only `v` shows, with neighbouring views p < v < n: rows with since in
 * (p, v] and until in (v, n]. Before deduplication. */
int extent_unique_bytes(struct meta *m, const struct branch *b, int64_t p, int64_t v, int64_t n, int64_t *ret_bytes);

/* What the extents of one branch hold of the stored bytes, in slices: a chunk counts in full where nothing else refers to it, and
 * otherwise by its share of the references. Adds up to max_rows extents after the cursor (all-zero at first) to *bytes; *ret_rows is how
 * many there were. */
struct extent_cursor {
	int64_t ino, off, until;
};
int extent_held_slice(struct meta *m, int64_t branch, struct extent_cursor *at, unsigned max_rows, double *bytes, unsigned *ret_rows);

/* One branch's references to chunks, a slice at a time: up to `max` rows after the cursor (all-zero at first), those
 * that refer to nothing and, with an `epoch`, those that this view does not show left out. *ret_done at the end. */
int extent_refs(struct meta *m, int64_t branch, int64_t epoch_or_0, struct extent_cursor *cursor, unsigned max,
		uint64_t *ret_chunks, unsigned *ret_n, bool *ret_done);

#endif
