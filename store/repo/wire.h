/* What `varve serve --stdio` and the ssh back end say to each other, byte by byte in README.md. Parsers are pure. */
#ifndef VARVE_REPO_WIRE_H
#define VARVE_REPO_WIRE_H

#include "store/repo/backend.h"

#define WIRE_VERSION 1
#define WIRE_HEADER_LEN 4
#define WIRE_FRAME_MAX (64u << 20)

enum wire_op { WIRE_HELLO = 1, WIRE_GET = 2, WIRE_PUT = 3, WIRE_LIST = 4, WIRE_REMOVE = 5 };
enum wire_status { WIRE_OK = 0, WIRE_ERROR = 1, WIRE_ITEMS = 2 };

struct wire_request {
	enum wire_op op;
	uint64_t off, len; /* of a GET; of a HELLO off is the version and len the flags */
	char key[BACKEND_KEY_MAX + 1];
	const void *data; /* of a PUT; points into the frame */
	size_t data_len;
};
/* Whole frames, length included. */
int wire_request_encode(const struct wire_request *r, struct buf *ret);
int wire_reply_begin(struct buf *ret, enum wire_status status); /* then the payload, then wire_end */
int wire_error_encode(const struct err *err, struct buf *ret);
int wire_end(struct buf *frame);
/* Without the length. -ECORRUPT. */
int wire_request_parse(const void *data, size_t len, struct wire_request *ret);
int wire_error_parse(const void *data, size_t len, struct err *ret);
/* Items of a listing: calls fn for each. */
int wire_item_add(struct buf *frame, const char *key, uint64_t size);
int wire_items_parse(const void *data, size_t len, int (*fn)(void *arg, const char *key, uint64_t size), void *arg);

/* One frame from a descriptor, its length taken off. -EPIPE at its end. */
int wire_read(int fd, struct buf *ret);
int wire_write(int fd, const struct buf *frame);

/* The far side: answers requests on a directory until `in` ends. */
int wire_serve(const char *path, int in, int out, struct err *err);

#endif
