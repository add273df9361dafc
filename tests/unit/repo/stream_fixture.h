/* Two stores, each with no threads, and streams between them in memory. */
#ifndef VARVE_TESTS_STREAM_FIXTURE_H
#define VARVE_TESTS_STREAM_FIXTURE_H

#include "store/base/le.h"
#include "store/maint/check.h"
#include "store/repo/receive.h"
#include "store/repo/send.h"
#include "store/repo/stream_format.h"
#include "tests/unit/repo/tree.h"

struct stream_fixture {
	struct store_fixture *a, *b;
};

static inline int stream_fixture_setup(void **state)
{
	struct stream_fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	assert_int_equal(store_fixture_setup((void **)&f->a), 0);
	assert_int_equal(store_fixture_setup((void **)&f->b), 0);
	ns_keep_orphans(f->a->s, false);
	ns_keep_orphans(f->b->s, false);
	*state = f;
	return 0;
}

static inline int stream_fixture_teardown(void **state)
{
	struct stream_fixture *f = *state;

	(void)store_fixture_teardown((void **)&f->a);
	(void)store_fixture_teardown((void **)&f->b);
	free(f);
	return 0;
}

static inline void stream_snapshot(struct store *s, const char *volume, const char *name)
{
	struct snapshot_name n = {0};
	struct cut_times times;
	struct err err = {0};

	(void)snprintf(n.volume, sizeof n.volume, "%s", volume);
	(void)snprintf(n.snapshot, sizeof n.snapshot, "%s", name);
	if (snapshot_create(s, &n, 1, NULL, &times, &err))
		fail_msg("snapshot_create: %s", err.text);
}

static inline void stream_rollback(struct store *s, const char *volume, const char *name)
{
	char saved[VOLUME_NAME_MAX + 1];
	struct cut_times times;
	struct err err = {0};

	if (snapshot_rollback(s, volume, name, true, saved, &times, &err))
		fail_msg("rollback: %s", err.text);
}

static inline int stream_put(void *arg, const void *data, size_t len)
{
	return buf_add(arg, data, len);
}

static inline int stream_send(struct store *s, const char *volume, const char *snapshot, const char *from,
			      struct buf *ret, struct send_result *result, struct err *err)
{
	struct repo_progress progress = {0};
	struct send *x;
	int r = send_open(s, volume, snapshot, from, &x, err);

	if (r)
		return r;
	buf_reset(ret);
	r = send_run(x, stream_put, ret, &progress, result, err);
	send_free(x);
	return r;
}

static inline struct send_result stream_send_ok(struct store *s, const char *volume, const char *snapshot,
						const char *from, struct buf *ret)
{
	struct send_result result = {0};
	struct err err = {0};

	if (stream_send(s, volume, snapshot, from, ret, &result, &err))
		fail_msg("send: %s", err.text);
	assert_int_equal(result.bytes, ret->len);
	return result;
}

struct stream_source {
	const uint8_t *data;
	size_t len;
	size_t piece; /* at most so much at once; 0: all */
};

static inline int stream_get(void *arg, void *buf, size_t len, size_t *ret_len)
{
	struct stream_source *src = arg;
	size_t n = src->len < len ? src->len : len;

	n = src->piece && n > src->piece ? src->piece : n;
	memcpy(buf, src->data, n);
	src->data += n;
	src->len -= n;
	*ret_len = n;
	return 0;
}

static inline int stream_receive(struct store *s, const char *new_volume, const void *data, size_t len,
				 struct receive_result *result, struct err *err)
{
	struct stream_source src = {data, len, 0};
	struct repo_progress progress = {0};

	return repo_receive(s, new_volume, stream_get, &src, &progress, result, err);
}

static inline struct receive_result stream_receive_ok(struct store *s, const char *new_volume, const struct buf *stream)
{
	struct receive_result result;
	struct err err = {0};

	if (stream_receive(s, new_volume, stream->data, stream->len, &result, &err))
		fail_msg("receive: %s", err.text);
	return result;
}

static inline void stream_report(void *arg, const char *line)
{
	(void)arg;
	print_message("%s\n", line);
}

static inline void stream_check_clean(struct store *s)
{
	struct check_result result = {0};
	struct err err = {0};

	if (check_store(s, 0, stream_report, NULL, &result, &err))
		fail_msg("check_store: %s", err.text);
	assert_int_equal(result.errors, 0);
}

/* --- a stream's records --- */

static inline size_t stream_record_end(const struct buf *stream, size_t at)
{
	return at + 5 + le32_get(stream->data + at + 1) + 32;
}

/* Gives every record the check that it should have. */
static inline void stream_seal(struct buf *stream)
{
	uint8_t *joined = malloc(32 + 5 + STREAM_RECORD_MAX), check[32];

	assert_non_null(joined);
	crypt_checksum(stream->data, STREAM_HEADER_LEN, check, 32);
	for (size_t at = STREAM_HEADER_LEN, end; at < stream->len; at = end) {
		end = stream_record_end(stream, at);
		memcpy(joined, check, 32);
		memcpy(joined + 32, stream->data + at, end - at - 32);
		crypt_checksum(joined, end - at, check, 32);
		memcpy(stream->data + end - 32, check, 32);
	}
	free(joined);
}

#endif
