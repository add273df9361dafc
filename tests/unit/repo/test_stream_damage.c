/* Streams that are cut short, damaged, of something else, or for another store: each is one clear line, and nothing of it
 * stays. */
#include "tests/unit/repo/stream_fixture.h"

#include <errno.h>

#define FLIPS 400
#define CUTS 150

struct streams {
	struct buf whole, change;
};

/* "v" of the first store, with two snapshots, as streams. */
static struct streams make_streams(struct stream_fixture *f)
{
	struct tree_rng r = {7};
	struct streams st = {0};

	for (int i = 0; i < 80; i++)
		tree_edit(f->a->s, &r, f->a->vol.root_node);
	(void)fixture_file(f->a, f->a->vol.root_node, "some", 3, 300000);
	stream_snapshot(f->a->s, "v", "one");
	for (int i = 0; i < 40; i++)
		tree_edit(f->a->s, &r, f->a->vol.root_node);
	(void)fixture_file(f->a, f->a->vol.root_node, "more", 4, 100000);
	stream_snapshot(f->a->s, "v", "two");
	(void)stream_send_ok(f->a->s, "v", "one", "", &st.whole);
	(void)stream_send_ok(f->a->s, "v", "two", "one", &st.change);
	return st;
}

static void free_streams(struct streams *st)
{
	buf_free(&st->whole);
	buf_free(&st->change);
}

/* Everything that has a name. */
static size_t count_names(struct store *s)
{
	struct volume_info *volumes;
	struct snapshot_info *snaps;
	size_t n, m;

	assert_int_equal(volume_list(s, &volumes, &n, NULL), 0);
	assert_int_equal(snapshot_list(s, NULL, &snaps, &m, NULL), 0);
	free(volumes);
	free(snaps);
	return n + m;
}

static void refused(struct stream_fixture *f, const void *data, size_t len, int code)
{
	size_t names = count_names(f->b->s);
	struct receive_result result;
	struct err err = {0};
	int r = stream_receive(f->b->s, "w", data, len, &result, &err);

	if (r != -code)
		fail_msg("%d in place of %d: %s", r, -code, err.text);
	assert_int_equal(err.code, code);
	assert_true(*err.text && !strchr(err.text, '\n'));
	assert_int_equal(count_names(f->b->s), names);
}

static void cut_everywhere(struct stream_fixture *f, const struct buf *stream, struct tree_rng *r)
{
	size_t records = 0;

	for (size_t at = STREAM_HEADER_LEN; at < stream->len; at = stream_record_end(stream, at), records++)
		refused(f, stream->data, at, ECORRUPT);
	print_message("%zu bytes, %zu records\n", stream->len, records);
	for (int i = 0; i < CUTS; i++)
		refused(f, stream->data, rng(r, (uint32_t)stream->len), ECORRUPT);
	refused(f, stream->data, stream->len - 1, ECORRUPT);
}

static void flip_anywhere(struct stream_fixture *f, const struct buf *stream, struct tree_rng *r)
{
	for (int i = 0; i < FLIPS; i++) {
		size_t at = i < 64 ? (size_t)i : rng(r, (uint32_t)stream->len);
		uint8_t bit = (uint8_t)(1 << rng(r, 8)), was = stream->data[at];
		bool newer = at >= 8 && at < 12;

		stream->data[at] ^= bit;
		refused(f, stream->data, stream->len, newer && (at > 8 || !(was & bit)) ? ETOONEW : ECORRUPT);
		stream->data[at] = was;
	}
}

static void test_damaged(void **state)
{
	struct stream_fixture *f = *state;
	struct streams st = make_streams(f);
	struct tree_rng r = {getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 1};

	print_message("seed %llu\n", (unsigned long long)r.x);
	cut_everywhere(f, &st.whole, &r);
	flip_anywhere(f, &st.whole, &r);
	(void)stream_receive_ok(f->b->s, "w", &st.whole);
	cut_everywhere(f, &st.change, &r);
	flip_anywhere(f, &st.change, &r);
	fixture_maintain(f->b);
	stream_check_clean(f->b->s);
	(void)stream_receive_ok(f->b->s, "w", &st.change);
	tree_same(f->a->s, tree_root(f->a->s, "v", "two"), f->b->s, tree_root(f->b->s, "w", "two"));
	free_streams(&st);
}

static void expect_text(struct stream_fixture *f, const char *new_volume, const struct buf *stream, int code,
			const char *text)
{
	size_t names = count_names(f->b->s);
	struct receive_result result;
	struct err err = {0};

	assert_int_equal(stream_receive(f->b->s, new_volume, stream->data, stream->len, &result, &err), -code);
	assert_string_equal(err.text, text);
	assert_int_equal(count_names(f->b->s), names);
}

static void write_something(struct store_fixture *f, const char *volume)
{
	struct volume_info vol;
	struct attr attr;

	assert_int_equal(volume_get(f->s, volume, &vol, NULL), 0);
	assert_int_equal(ns_create(f->s, &fixture_op, vol.root_node, "added", S_IFREG | 0644, 0, NULL, &attr), 0);
}

static void test_wrong_places(void **state)
{
	struct stream_fixture *f = *state;
	struct streams st = make_streams(f);

	expect_text(f, "w", &st.change, ENOENT, "the stream starts from v@one, which this store does not have");
	expect_text(f, NULL, &st.change, ENOENT, "the stream starts from v@one, which volume 'v' does not have here");
	(void)stream_receive_ok(f->b->s, NULL, &st.whole);
	expect_text(f, NULL, &st.whole, EEXIST, "there is a snapshot 'v@one' already");
	expect_text(f, "v", &st.whole, EEXIST, "there is a volume 'v' already");
	(void)stream_receive_ok(f->b->s, "w", &st.whole);
	(void)stream_receive_ok(f->b->s, "w", &st.change);
	expect_text(f, "w", &st.change, EEXIST, "there is a snapshot 'w@two' already");
	expect_text(f, "bad/name", &st.whole, EINVAL, "volume name 'bad/name': '/' may not be part of it");

	/* what was made of it is not it */
	assert_int_equal(snapshot_remove(f->b->s, "w", "two", NULL), 0);
	write_something(f->b, "w");
	stream_snapshot(f->b->s, "w", "changed");
	assert_int_equal(snapshot_remove(f->b->s, "w", "one", NULL), 0);
	expect_text(f, "w", &st.change, ENOENT, "the stream starts from v@one, which volume 'w' does not have here");
	/* nor does the name tell */
	stream_snapshot(f->b->s, "w", "one");
	expect_text(f, "w", &st.change, ENOENT, "the stream starts from v@one, which volume 'w' does not have here");
	fixture_maintain(f->b);
	stream_check_clean(f->b->s);
	free_streams(&st);
}

static void test_head_stays(void **state)
{
	struct stream_fixture *f = *state;
	struct streams st = make_streams(f);
	struct volume_info vol;
	struct attr attr;

	write_something(f->b, "v");
	(void)stream_receive_ok(f->b->s, NULL, &st.whole);
	(void)stream_receive_ok(f->b->s, NULL, &st.change);
	assert_int_equal(volume_get(f->b->s, "v", &vol, NULL), 0);
	assert_int_equal(vol.inodes, 2);
	assert_int_equal(ns_lookup(f->b->s, vol.root_node, "added", &attr), 0);
	tree_same(f->a->s, tree_root(f->a->s, "v", "two"), f->b->s, tree_root(f->b->s, "v", "two"));
	free_streams(&st);
}

/* --- streams whose checks fit, and which are wrong nevertheless --- */

/* The stream without its nth record of a type, or (drop false) with the last byte of what it holds changed. */
static struct buf altered(const struct buf *stream, enum stream_type type, unsigned nth, bool drop)
{
	struct buf ret = {0};

	assert_int_equal(buf_add(&ret, stream->data, STREAM_HEADER_LEN), 0);
	for (size_t at = STREAM_HEADER_LEN, end; at < stream->len; at = end) {
		bool it = stream->data[at] == (uint8_t)type && !nth--;

		end = stream_record_end(stream, at);
		if (!it || !drop)
			assert_int_equal(buf_add(&ret, stream->data + at, end - at), 0);
		if (it && !drop)
			ret.data[ret.len - 33] ^= 1;
	}
	stream_seal(&ret);
	return ret;
}

static void test_nonsense(void **state)
{
	static const enum stream_type types[] = {STREAM_BEGIN, STREAM_CHUNK, STREAM_ROWS, STREAM_END};
	struct stream_fixture *f = *state;
	struct streams st = make_streams(f);
	struct buf whole = altered(&st.whole, STREAM_END, 99, true), bad;

	assert_int_equal(whole.len, st.whole.len); /* sealing anew makes the same stream */
	assert_memory_equal(whole.data, st.whole.data, whole.len);
	for (size_t i = 0; i < 4; i++) {
		bad = altered(&st.whole, types[i], 0, true);
		refused(f, bad.data, bad.len, ECORRUPT);
		buf_free(&bad);
	}
	bad = altered(&st.whole, STREAM_CHUNK, 1, false);
	refused(f, bad.data, bad.len, ECORRUPT);
	buf_free(&bad);
	bad = altered(&st.whole, STREAM_END, 0, false);
	refused(f, bad.data, bad.len, ECORRUPT);
	buf_free(&bad);
	assert_int_equal(buf_add_u8(&whole, 0), 0);
	refused(f, whole.data, whole.len, ECORRUPT);
	buf_free(&whole);
	/* its copies and differences are of what only the base has */
	(void)stream_receive_ok(f->b->s, "w", &st.whole);
	for (unsigned i = 0; i < 3; i++) {
		bad = altered(&st.change, STREAM_CHUNK, i, false);
		refused(f, bad.data, bad.len, ECORRUPT);
		buf_free(&bad);
	}
	fixture_maintain(f->b);
	stream_check_clean(f->b->s);
	free_streams(&st);
}

/* --- what fails on the way --- */

static int put_until(void *arg, const void *data, size_t len)
{
	size_t *left = arg;

	(void)data;
	if (len > *left)
		return -ENOSPC;
	*left -= len;
	return 0;
}

static int get_until(void *arg, void *buf, size_t len, size_t *ret_len)
{
	struct stream_source *src = arg;

	return src->len ? stream_get(src, buf, len, ret_len) : -ECONNRESET;
}

static void test_broken_pipes(void **state)
{
	struct stream_fixture *f = *state;
	struct streams st = make_streams(f);
	struct stream_source src = {st.whole.data, st.whole.len / 2, 1000};
	struct repo_progress progress = {0};
	struct receive_result received;
	struct send_result sent;
	struct err err = {0};
	struct send *x;
	size_t left;

	for (size_t i = 0; i < 20; i++) {
		left = st.whole.len * i / 20;
		assert_int_equal(send_open(f->a->s, "v", "one", "", &x, &err), 0);
		assert_int_equal(send_run(x, put_until, &left, &progress, &sent, &err), -ENOSPC);
		assert_string_equal(err.text, "writing the stream: No space left on device");
		send_free(x);
		err = (struct err){0};
	}
	assert_int_equal(repo_receive(f->b->s, "w", get_until, &src, &progress, &received, &err), -ECONNRESET);
	assert_non_null(strstr(err.text, "the stream broke off after"));
	src = (struct stream_source){st.whole.data, st.whole.len, 1};
	progress.cancel = true;
	assert_int_equal(repo_receive(f->b->s, "w", stream_get, &src, &progress, &received, &err), -ECANCELED);
	progress.cancel = false;
	src = (struct stream_source){st.whole.data, st.whole.len, 1};
	assert_int_equal(repo_receive(f->b->s, "w", stream_get, &src, &progress, &received, &err), 0);
	fixture_maintain(f->a);
	stream_check_clean(f->a->s);
	stream_check_clean(f->b->s);
	free_streams(&st);
}

static void test_send_errors(void **state)
{
	struct stream_fixture *f = *state;
	struct streams st = make_streams(f);
	struct buf stream = {0};
	struct send_result result;
	struct err err = {0};

	assert_int_equal(stream_send(f->a->s, "x", "one", "", &stream, &result, &err), -ENOENT);
	assert_int_equal(stream_send(f->a->s, "v", "three", "", &stream, &result, &err), -ENOENT);
	assert_int_equal(stream_send(f->a->s, "v", "two", "three", &stream, &result, &err), -ENOENT);
	assert_int_equal(stream_send(f->a->s, "v", "two", "two", &stream, &result, &err), -EINVAL);
	assert_string_equal(err.text, "'v@two' is what the stream is to begin from");
	free_streams(&st);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, stream_fixture_setup, stream_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_damaged),	 TEST(test_wrong_places), TEST(test_head_stays),
		TEST(test_nonsense), TEST(test_broken_pipes), TEST(test_send_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
