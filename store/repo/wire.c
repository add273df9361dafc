#include "store/repo/wire.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/base/le.h"

static int frame_begin(struct buf *ret)
{
	buf_reset(ret);
	return buf_add_le32(ret, 0);
}

int wire_end(struct buf *frame)
{
	if (frame->len - WIRE_HEADER_LEN > WIRE_FRAME_MAX)
		return -EMSGSIZE;
	le32_put(frame->data, (uint32_t)(frame->len - WIRE_HEADER_LEN));
	return 0;
}

int wire_request_encode(const struct wire_request *r, struct buf *ret)
{
	int bad = frame_begin(ret);

	if (!bad)
		bad = buf_add_u8(ret, (uint8_t)r->op);
	if (!bad)
		bad = buf_add_le64(ret, r->off);
	if (!bad)
		bad = buf_add_le64(ret, r->len);
	if (!bad)
		bad = buf_add_bytes(ret, r->key, strlen(r->key));
	if (!bad && r->data_len)
		bad = buf_add(ret, r->data, r->data_len);
	return bad ? bad : wire_end(ret);
}

int wire_request_parse(const void *data, size_t len, struct wire_request *ret)
{
	struct buf_reader r = buf_reader(data, len);
	struct wire_request q = {.op = buf_get_u8(&r)};
	const char *key;
	size_t key_len = 0;

	q.off = buf_get_le64(&r);
	q.len = buf_get_le64(&r);
	key = buf_get_bytes(&r, &key_len);
	if (r.bad || q.op < WIRE_HELLO || q.op > WIRE_REMOVE || key_len > BACKEND_KEY_MAX || memchr(key, 0, key_len))
		return -ECORRUPT;
	memcpy(q.key, key, key_len);
	q.key[key_len] = 0;
	q.data = r.p;
	q.data_len = buf_reader_left(&r);
	if (q.data_len && q.op != WIRE_PUT)
		return -ECORRUPT;
	*ret = q;
	return 0;
}

int wire_reply_begin(struct buf *ret, enum wire_status status)
{
	int bad = frame_begin(ret);

	return bad ? bad : buf_add_u8(ret, (uint8_t)status);
}

int wire_error_encode(const struct err *err, struct buf *ret)
{
	int bad = wire_reply_begin(ret, WIRE_ERROR);

	if (!bad)
		bad = buf_add_le32(ret, (uint32_t)err->code);
	if (!bad)
		bad = buf_add_bytes(ret, err->text, strlen(err->text));
	if (!bad)
		bad = buf_add_bytes(ret, err->hint, strlen(err->hint));
	return bad ? bad : wire_end(ret);
}

int wire_error_parse(const void *data, size_t len, struct err *ret)
{
	struct buf_reader r = buf_reader(data, len);
	uint32_t code = buf_get_le32(&r);
	size_t text_len = 0, hint_len = 0;
	const char *text = buf_get_bytes(&r, &text_len), *hint = buf_get_bytes(&r, &hint_len);

	if (r.bad || buf_reader_left(&r) || !code || code > 65535)
		return -ECORRUPT;
	(void)err_set(ret, (int)code, "%.*s", (int)(text_len < ERR_TEXT_MAX ? text_len : ERR_TEXT_MAX), text);
	if (hint_len)
		err_hint(ret, "%.*s", (int)(hint_len < ERR_TEXT_MAX ? hint_len : ERR_TEXT_MAX), hint);
	return 0;
}

int wire_item_add(struct buf *frame, const char *key, uint64_t size)
{
	int bad = buf_add_varint(frame, size);

	return bad ? bad : buf_add_bytes(frame, key, strlen(key));
}

int wire_items_parse(const void *data, size_t len, int (*fn)(void *arg, const char *key, uint64_t size), void *arg)
{
	struct buf_reader r = buf_reader(data, len);
	char key[BACKEND_KEY_MAX + 1];
	int ret = 0;

	while (!ret && buf_reader_left(&r)) {
		uint64_t size = buf_get_varint(&r);
		size_t key_len = 0;
		const char *k = buf_get_bytes(&r, &key_len);

		if (r.bad || key_len > BACKEND_KEY_MAX)
			return -ECORRUPT;
		memcpy(key, k, key_len);
		key[key_len] = 0;
		if (strlen(key) != key_len || !backend_key_valid(key))
			return -ECORRUPT;
		ret = fn(arg, key, size);
	}
	return ret;
}

/* --- descriptors --- */

static int read_whole(int fd, void *out, size_t len)
{
	uint8_t *p = out;

	while (len) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int wire_read(int fd, struct buf *ret)
{
	uint8_t header[WIRE_HEADER_LEN];
	uint32_t len;
	int bad = read_whole(fd, header, sizeof header);

	if (bad)
		return bad;
	len = le32_get(header);
	if (!len || len > WIRE_FRAME_MAX)
		return -ECORRUPT;
	buf_reset(ret);
	bad = buf_reserve(ret, len);
	if (!bad)
		bad = read_whole(fd, ret->data, len);
	if (!bad)
		ret->len = len;
	return bad;
}

int wire_write(int fd, const struct buf *frame)
{
	const uint8_t *p = frame->data;
	size_t left = frame->len;

	while (left) {
		ssize_t n = send(fd, p, left, MSG_NOSIGNAL);

		if (n < 0 && errno == ENOTSOCK)
			n = write(fd, p, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		left -= (size_t)n;
	}
	return 0;
}

/* --- the far side --- */

#define ITEMS_FRAME (64 * 1024)

struct server {
	const char *path;
	struct backend *be; /* NULL before HELLO */
	int out;
	struct buf reply;
};

static int send_item(void *arg, const char *key, uint64_t size)
{
	struct server *s = arg;
	int bad = wire_item_add(&s->reply, key, size);

	if (!bad && s->reply.len > ITEMS_FRAME) {
		bad = wire_end(&s->reply);
		if (!bad)
			bad = wire_write(s->out, &s->reply);
		if (!bad)
			bad = wire_reply_begin(&s->reply, WIRE_ITEMS);
	}
	return bad;
}

static int serve_list(struct server *s, const char *prefix, struct err *err)
{
	int bad = wire_reply_begin(&s->reply, WIRE_ITEMS);

	if (!bad)
		bad = backend_list(s->be, prefix, send_item, s, err);
	if (!bad)
		bad = wire_end(&s->reply);
	if (!bad)
		bad = wire_write(s->out, &s->reply);
	return bad ? bad : wire_reply_begin(&s->reply, WIRE_OK);
}

static int hello(struct server *s, const struct wire_request *q, struct err *err)
{
	if (q->off != WIRE_VERSION)
		return err_set(err, EPROTO,
			       "the far side's varve speaks version %d, not %llu: use the same varve on both",
			       WIRE_VERSION, (unsigned long long)q->off);
	if (s->be)
		return 0;
	return backend_dir_open(s->path, q->len & BACKEND_CREATE, &s->be, err);
}

/* Fills the reply but for its end. */
static int answer(struct server *s, const struct wire_request *q, struct err *err)
{
	size_t n = strlen(q->key);
	bool folder = q->op == WIRE_LIST && n && q->key[n - 1] == '/';
	char key[BACKEND_KEY_MAX + 1];
	int bad = wire_reply_begin(&s->reply, WIRE_OK);

	memcpy(key, q->key, n + 1);
	if (folder)
		key[n - 1] = 0;
	if (bad || q->op == WIRE_HELLO)
		return bad ? bad : hello(s, q, err);
	if (!s->be)
		return err_set(err, EPROTO, "no greeting came first");
	if (!backend_key_valid(key))
		return err_set(err, EINVAL, "there is no such key");
	switch (q->op) {
	case WIRE_GET:
		if (q->len != UINT64_MAX && q->len > WIRE_FRAME_MAX)
			return err_set(err, EMSGSIZE, "too much at once");
		return backend_get(s->be, key, q->off, q->len == UINT64_MAX ? SIZE_MAX : (size_t)q->len, &s->reply,
				   err);
	case WIRE_PUT:
		return backend_put(s->be, key, q->data, q->data_len, err);
	case WIRE_LIST:
		return serve_list(s, q->key, err);
	default:
		return backend_remove(s->be, key, err);
	}
}

int wire_serve(const char *path, int in, int out, struct err *err)
{
	struct server s = {.path = path, .out = out};
	struct wire_request q;
	struct buf frame = {0};
	int bad;

	for (;;) {
		struct err why = {0};

		bad = wire_read(in, &frame);
		if (!bad)
			bad = wire_request_parse(frame.data, frame.len, &q);
		if (bad)
			break;
		bad = answer(&s, &q, &why);
		if (!bad)
			bad = wire_end(&s.reply);
		if (bad && !why.code)
			(void)err_set(&why, -bad, "%s", err_name(-bad));
		bad = why.code ? wire_error_encode(&why, &s.reply) : 0;
		if (!bad)
			bad = wire_write(out, &s.reply);
		if (bad)
			break;
	}
	buf_free(&frame);
	buf_free(&s.reply);
	backend_free(s.be);
	return bad == -EPIPE ? 0
			     : err_set(err, -bad, "serving %s: %s", path,
				       bad == -ECORRUPT ? "this is not what varve sends" : err_name(-bad));
}
