/* Streams that fit their checks, with rows that somebody has made up: they are refused, or what they leave is a tree like
 * any other. */
#include "tests/unit/repo/stream_fixture.h"

#include <errno.h>

#define ROWS_MAX 4096

struct made_row {
	struct row_key key;
	enum stream_op op;
	uint8_t value[512];
	size_t len;
};

struct made {
	struct made_row rows[ROWS_MAX];
	size_t n;
};

static int take(void *arg, const struct row_key *key, enum stream_op op, const void *value, size_t len)
{
	struct made *m = arg;

	assert_true(m->n < ROWS_MAX && len <= sizeof m->rows->value);
	m->rows[m->n] = (struct made_row){.key = *key, .op = op, .len = len};
	if (len)
		memcpy(m->rows[m->n].value, value, len);
	m->n++;
	return 0;
}

static void read_rows(const struct buf *stream, struct made *m)
{
	m->n = 0;
	for (size_t at = STREAM_HEADER_LEN; at < stream->len; at = stream_record_end(stream, at))
		if (stream->data[at] == STREAM_ROWS)
			assert_int_equal(stream_rows_parse(stream->data + at + 5, le32_get(stream->data + at + 1), take, m),
					 0);
}

static void add_record(struct buf *to, enum stream_type type, const void *data, size_t len)
{
	static const uint8_t room[32];

	assert_int_equal(buf_add_u8(to, (uint8_t)type), 0);
	assert_int_equal(buf_add_le32(to, (uint32_t)len), 0);
	assert_int_equal(buf_add(to, data, len), 0);
	assert_int_equal(buf_add(to, room, sizeof room), 0);
}

/* The stream with these rows, all after its contents. */
static struct buf write_rows(const struct buf *stream, const struct made *m)
{
	struct stream_end end = {.rows = m->n};
	struct stream_chunk c;
	struct row_key last = {0};
	struct buf ret = {0}, body = {0};

	assert_int_equal(buf_add(&ret, stream->data, STREAM_HEADER_LEN), 0);
	for (size_t at = STREAM_HEADER_LEN, len; at < stream->len; at = stream_record_end(stream, at)) {
		len = le32_get(stream->data + at + 1);
		if (stream->data[at] != STREAM_BEGIN && stream->data[at] != STREAM_CHUNK)
			continue;
		add_record(&ret, stream->data[at], stream->data + at + 5, len);
		if (stream->data[at] == STREAM_BEGIN)
			continue;
		assert_int_equal(stream_chunk_parse(stream->data + at + 5, len, &c), 0);
		end.chunks++;
		end.content += c.raw_len;
	}
	for (size_t i = 0; i < m->n; i++) {
		assert_int_equal(stream_row_encode(&last, &m->rows[i].key, m->rows[i].op, m->rows[i].value,
						   m->rows[i].len, &body),
				 0);
		last = m->rows[i].key;
	}
	add_record(&ret, STREAM_ROWS, body.data, body.len);
	buf_reset(&body);
	assert_int_equal(stream_end_encode(&end, &body), 0);
	add_record(&ret, STREAM_END, body.data, body.len);
	buf_free(&body);
	stream_seal(&ret);
	return ret;
}

static void encode(struct made_row *row, const struct row_inode *inode, const struct row_dirent *entry)
{
	struct buf b = {0};

	assert_int_equal(inode ? row_inode_encode(inode, &b) : row_dirent_encode(entry, &b), 0);
	memcpy(row->value, b.data, b.len);
	row->len = b.len;
	buf_free(&b);
}

static uint64_t some_ino(const struct made *m, struct tree_rng *r)
{
	return row_key_ino(&m->rows[rng(r, (uint32_t)m->n)].key);
}

static void change_inode(struct made *m, struct made_row *row, struct tree_rng *r)
{
	static const uint32_t modes[] = {S_IFDIR | 0755, S_IFREG | 0644, S_IFLNK | 0777, S_IFIFO | 0600, 0644};
	struct row_inode v;

	assert_int_equal(row_inode_parse(row->value, row->len, &v), 0);
	switch (rng(r, 5)) {
	case 0:
		v.mode = modes[rng(r, 5)];
		break;
	case 1:
		v.nlink = rng(r, 4);
		break;
	case 2:
		v.size = rng(r, 3) ? v.size + (int64_t)rng(r, 100) - 50 : 0;
		v.size = v.size < 0 ? 0 : v.size;
		break;
	case 3:
		v.parent = some_ino(m, r);
		break;
	default:
		v.flags = rng(r, 8);
	}
	encode(row, &v, NULL);
}

static void make_up(struct made *m, struct tree_rng *r)
{
	size_t i = rng(r, (uint32_t)m->n), k = rng(r, (uint32_t)m->n);
	struct made_row *row = &m->rows[i];
	struct row_dirent entry;

	switch (rng(r, 6)) {
	case 0: /* left out */
		memmove(row, row + 1, (--m->n - i) * sizeof *row);
		break;
	case 1: /* of another inode */
		memcpy(row->key.b, m->rows[k].key.b, 8);
		break;
	case 2: /* twice, the second time later */
		if (m->n < ROWS_MAX)
			m->rows[m->n++] = *row;
		break;
	case 3:
		if (row->key.b[8] != ROW_EXTENT) {
			row->op = STREAM_REMOVE;
			row->len = 0;
		} else {
			row->key.b[14] ^= (uint8_t)rng(r, 4);
		}
		break;
	default:
		if (row->op == STREAM_PUT && row->key.b[8] == ROW_INODE)
			change_inode(m, row, r);
		if (row->op == STREAM_PUT && row->key.b[8] == ROW_DIRENT) {
			assert_int_equal(row_dirent_parse(row->value, row->len, &entry), 0);
			if (rng(r, 4))
				entry.ino = some_ino(m, r);
			else
				entry.type = (uint8_t)rng(r, 13);
			encode(row, NULL, &entry);
		}
	}
}

/* How many of the made-up streams were let in. */
static unsigned try_many(struct stream_fixture *f, const struct buf *stream, struct tree_rng *r, int times)
{
	struct made *m = malloc(sizeof *m);
	struct receive_result result;
	unsigned taken = 0;

	assert_non_null(m);
	for (int i = 0; i < times; i++) {
		struct err err = {0};
		struct buf bad;
		int ret;

		read_rows(stream, m);
		for (uint32_t n = i ? 1 + rng(r, 3) : 0; n; n--)
			make_up(m, r);
		bad = write_rows(stream, m);
		ret = stream_receive(f->b->s, "made", bad.data, bad.len, &result, &err);
		if (ret) {
			assert_int_equal(ret, -ECORRUPT);
		} else {
			taken++;
			stream_check_clean(f->b->s);
			assert_int_equal(volume_remove(f->b->s, "made", VOLUME_REMOVE_PURGE, NULL), 0);
		}
		assert_int_equal(ret == 0 || i, 1); /* with no change it is good */
		buf_free(&bad);
	}
	free(m);
	return taken;
}

static void test_made_up(void **state)
{
	struct stream_fixture *f = *state;
	struct tree_rng r = {getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 1};
	int times = getenv("ROUNDS") ? atoi(getenv("ROUNDS")) : 80;
	struct buf whole = {0}, change = {0};
	unsigned a, b;

	print_message("seed %llu\n", (unsigned long long)r.x);
	for (int i = 0; i < 60; i++)
		tree_edit(f->a->s, &r, f->a->vol.root_node);
	stream_snapshot(f->a->s, "v", "one");
	for (int i = 0; i < 60; i++)
		tree_edit(f->a->s, &r, f->a->vol.root_node);
	stream_snapshot(f->a->s, "v", "two");
	(void)stream_send_ok(f->a->s, "v", "one", "", &whole);
	(void)stream_send_ok(f->a->s, "v", "two", "one", &change);
	a = try_many(f, &whole, &r, times);
	(void)stream_receive_ok(f->b->s, "w", &whole);
	b = try_many(f, &change, &r, times);
	print_message("of %d made-up streams %u were let in, of %d of changes %u\n", times, a, times, b);
	fixture_maintain(f->b);
	stream_check_clean(f->b->s);
	buf_free(&whole);
	buf_free(&change);
}

static struct made_row *find_row(struct made *m, uint64_t ino, enum row_kind kind)
{
	for (size_t i = 0; i < m->n; i++)
		if (row_key_ino(&m->rows[i].key) == ino && m->rows[i].key.b[8] == kind)
			return &m->rows[i];
	fail_msg("no row");
	return NULL;
}

static void alter_dir(struct made *m, uint64_t ino, int entries, uint64_t parent)
{
	struct made_row *row = find_row(m, ino, ROW_INODE);
	struct row_inode v;

	assert_int_equal(row_inode_parse(row->value, row->len, &v), 0);
	v.size += entries;
	v.nlink = (uint32_t)((int)v.nlink + entries);
	v.parent = parent ? parent : v.parent;
	encode(row, &v, NULL);
}

/* Two directories that are in each other, with all counts right. */
static void test_circle(void **state)
{
	struct stream_fixture *f = *state;
	struct store_fixture *a = f->a;
	struct made *m = malloc(sizeof *m);
	struct receive_result result;
	struct made_row *entry;
	struct buf whole = {0}, bad;
	struct row_dirent outer, inner;
	struct attr dir;
	struct err err = {0};
	uint64_t root;

	assert_non_null(m);
	assert_int_equal(ns_create(a->s, &fixture_op, a->vol.root_node, "outer", S_IFDIR | 0755, 0, NULL, &dir), 0);
	assert_int_equal(ns_create(a->s, &fixture_op, dir.node, "inner", S_IFDIR | 0755, 0, NULL, &dir), 0);
	stream_snapshot(a->s, "v", "one");
	(void)stream_send_ok(a->s, "v", "one", "", &whole);
	read_rows(&whole, m);
	root = row_key_ino(&m->rows[0].key);
	entry = find_row(m, root, ROW_DIRENT);
	assert_int_equal(row_dirent_parse(entry->value, entry->len, &outer), 0);
	assert_int_equal(row_dirent_parse(find_row(m, outer.ino, ROW_DIRENT)->value, entry->len, &inner), 0);
	row_key_make(&entry->key, inner.ino, ROW_DIRENT, 5, "outer", 5);
	alter_dir(m, root, -1, 0);
	alter_dir(m, outer.ino, 0, inner.ino);
	alter_dir(m, inner.ino, 1, 0);
	bad = write_rows(&whole, m);
	assert_int_equal(stream_receive(f->b->s, "made", bad.data, bad.len, &result, &err), -ECORRUPT);
	assert_string_equal(err.text, "what came makes no sense as a tree of files");
	stream_check_clean(f->b->s);
	buf_free(&whole);
	buf_free(&bad);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_made_up, stream_fixture_setup, stream_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_circle, stream_fixture_setup, stream_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
