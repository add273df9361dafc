/* Private to store/repo: a stream's records on their way out and in. Each ends with a check: the BLAKE2b-256 of the
 * check before it (of the first: of the header) and of the record. So a record vouches for all before it, and the last
 * one for the stream. One thread. */
#ifndef VARVE_REPO_STREAM_FRAME_H
#define VARVE_REPO_STREAM_FRAME_H

#include "store/base/err.h"
#include "store/repo/stream_format.h"

struct stream_out {
	int (*put)(void *arg, const void *data, size_t len); /* 0 or -errno */
	void *arg;
	struct buf record; /* the check before it and the record */
	uint64_t bytes;    /* put so far */
	struct err *err;
};
/* The header. */
int stream_out_begin(struct stream_out *o);
/* Begins a record: what it holds is what is added to the buffer. */
struct buf *stream_out_record(struct stream_out *o, enum stream_type type);
int stream_out_end(struct stream_out *o);
void stream_out_free(struct stream_out *o);

struct stream_in {
	/* Up to len bytes; *ret_len 0 at the end. 0 or -errno. */
	int (*get)(void *arg, void *buf, size_t len, size_t *ret_len);
	void *arg;
	struct buf record; /* the check before it and the record */
	uint64_t bytes, records;
	struct err *err;
};
int stream_in_begin(struct stream_in *in);
/* The next record; what it holds is valid until the next call. */
int stream_in_next(struct stream_in *in, enum stream_type *ret_type, const void **ret_data, size_t *ret_len);
/* Nothing may follow. */
int stream_in_end(struct stream_in *in);
/* Sets the error that the last record makes no sense. */
int stream_in_damaged(struct stream_in *in);
void stream_in_free(struct stream_in *in);

#endif
