/* The bytes of a stream (varve send), as README.md has them: a header, then records. Encoders append to a buffer;
 * parsers are pure, look at bounds first, and answer -ECORRUPT to whatever does not fit. */
#ifndef VARVE_REPO_STREAM_FORMAT_H
#define VARVE_REPO_STREAM_FORMAT_H

#include "store/repo/manifest.h"

#define STREAM_VERSION 1
#define STREAM_HEADER_LEN 16
#define STREAM_RECORD_MAX (512 * KIB) /* of what one record holds */
#define STREAM_ROWS_LEN (64 * KIB)    /* a record of rows is ended beyond this */

enum stream_type { STREAM_BEGIN = 'B', STREAM_CHUNK = 'C', STREAM_ROWS = 'R', STREAM_END = 'E' };

int stream_header_encode(struct buf *ret);
/* -ECORRUPT, or -ETOONEW with *ret_version set. */
int stream_header_parse(const uint8_t data[STREAM_HEADER_LEN], uint32_t *ret_version);

/* What the stream is. Names are ids of views, see stream_id.h. */
struct stream_begin {
	struct repo_name id, from_id; /* from_id zeros: it is whole */
	struct repo_name from_origin; /* what the sender had received its `from` as; zeros: it was made there */
	char volume[VOLUME_NAME_MAX + 1], snapshot[VOLUME_NAME_MAX + 1], from[VOLUME_NAME_MAX + 1];
	int64_t created, bytes, inodes;
	uint64_t root_ino, last_ino; /* no row has a higher inode number */
	const void *blocks; /* how the sender had numbered from_origin's inodes, see ino_blocks.h; points into the record */
	size_t blocks_len;
};
int stream_begin_encode(const struct stream_begin *b, struct buf *ret);
int stream_begin_parse(const void *data, size_t len, struct stream_begin *ret);
static inline bool stream_begin_whole(const struct stream_begin *b)
{
	static const struct repo_name none;

	return !__builtin_memcmp(b->from_id.b, none.b, REPO_NAME_LEN);
}

/* A content. Its name is the BLAKE2b-256 of it. */
enum stream_codec {
	STREAM_RAW = CODEC_RAW,
	STREAM_ZSTD = CODEC_ZSTD,
	STREAM_DELTA = CODEC_DELTA, /* zstd with a range of a file of `from` as prefix */
	STREAM_COPY = 3,            /* that range as it is */
};
struct stream_chunk {
	struct repo_name name;
	enum stream_codec codec;
	uint32_t raw_len;
	/* of DELTA and COPY */
	uint64_t base_ino;
	int64_t base_off;
	uint32_t base_len;
	const void *payload; /* points into the record */
	size_t payload_len;
};
int stream_chunk_encode(const struct stream_chunk *c, struct buf *ret);
int stream_chunk_parse(const void *data, size_t len, struct stream_chunk *ret);

/* Rows, as in manifests: a key, what to do, a value. */
enum stream_op {
	STREAM_PUT = 1,
	STREAM_REMOVE = 2, /* no value; an inode's extents and attributes go with it */
	STREAM_HOLE = 3,   /* the value is a row_extent, of which only the length counts: that range becomes a hole */
};
/* `last` is the key before it in the record; its length is 0 at first. */
int stream_row_encode(const struct row_key *last, const struct row_key *key, enum stream_op op, const void *value,
		      size_t value_len, struct buf *ret);
/* Calls fn for each. Keys and values are checked. A non-zero return of fn ends it and is returned. */
int stream_rows_parse(const void *data, size_t len,
		      int (*fn)(void *arg, const struct row_key *key, enum stream_op op, const void *value,
				size_t value_len),
		      void *arg);

struct stream_end {
	uint64_t rows, chunks; /* how many there were */
	uint64_t content;      /* bytes of the chunks, before compression */
};
int stream_end_encode(const struct stream_end *e, struct buf *ret);
int stream_end_parse(const void *data, size_t len, struct stream_end *ret);

#endif
