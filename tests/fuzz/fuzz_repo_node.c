/* Nodes of manifests, and the rows in them. What parses is in order, and comes back from the encoder as it was taken. */
#include <string.h>

#include "store/repo/node.h"
#include "tests/fuzz/fuzz.h"

struct taken {
	struct buf b; /* encoded again */
	struct row_key before;
	unsigned n;
};

static void inode_row(const void *value, size_t len)
{
	struct row_inode v, w;
	struct buf b = {0};

	if (row_inode_parse(value, len, &v))
		return;
	fuzz_must(!row_inode_encode(&v, &b) && !row_inode_parse(b.data, b.len, &w));
	fuzz_must(v.mode == w.mode && v.size == w.size && v.mtime == w.mtime && v.parent == w.parent);
	buf_free(&b);
}

static void extent_row(const void *value, size_t len)
{
	struct row_extent v, w;
	struct buf b = {0};

	if (row_extent_parse(value, len, &v))
		return;
	fuzz_must(v.len > 0 && (uint64_t)v.len + v.choff <= REPO_BLOB_RAW_MAX);
	fuzz_must(!row_extent_encode(&v, &b) && !row_extent_parse(b.data, b.len, &w));
	fuzz_must(v.len == w.len && v.choff == w.choff && v.source == w.source);
	buf_free(&b);
}

static int take_row(void *arg, const struct row_key *key, const void *value, size_t value_len)
{
	struct taken *t = arg;
	struct row_dirent entry;
	enum row_kind kind;
	uint64_t ino, sub;
	const char *name;
	size_t name_len;

	fuzz_must(key->len <= ROW_KEY_MAX);
	fuzz_must(!t->n || row_key_compare(t->before.b, t->before.len, key->b, key->len) < 0);
	if (!row_key_parse(key, &ino, &kind, &sub, &name, &name_len)) {
		struct row_key again;

		fuzz_must(name_len <= NAME_LEN_MAX);
		row_key_make(&again, ino, kind, sub, name, name_len);
		fuzz_must(!row_key_compare(again.b, again.len, key->b, key->len));
	}
	inode_row(value, value_len);
	extent_row(value, value_len);
	if (!row_dirent_parse(value, value_len, &entry))
		fuzz_must(entry.ino > 0);
	fuzz_must(!node_add(&t->b, t->before.b, t->before.len, key->b, key->len, value, value_len));
	t->before = *key;
	t->n++;
	return 0;
}

static int count_row(void *arg, const struct row_key *key, const void *value, size_t value_len)
{
	(void)key;
	(void)value;
	(void)value_len;
	++*(unsigned *)arg;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct taken t = {0};
	struct buf whole = {0};
	unsigned level, same, n = 0;

	if (!node_parse(data, len, &level, take_row, &t)) {
		fuzz_must(!node_begin(&whole, level, t.n) && !buf_add(&whole, t.b.data ? t.b.data : (uint8_t *)"", t.b.len));
		fuzz_must(!node_parse(whole.data, whole.len, &same, count_row, &n) && same == level && n == t.n);
	}
	buf_free(&whole);
	buf_free(&t.b);
	return 0;
}

struct seed {
	struct buf b;
	struct row_key before;
};

static void add(struct seed *s, uint64_t ino, enum row_kind kind, uint64_t sub, const char *name, const struct buf *value)
{
	struct row_key key;

	row_key_make(&key, ino, kind, sub, name, name ? strlen(name) : 0);
	fuzz_must(!node_add(&s->b, s->before.b, s->before.len, key.b, key.len, value->data, value->len));
	s->before = key;
}

static void seed_rows(struct seed *s)
{
	const struct row_inode inode = {.mode = 0100644, .uid = 1000, .nlink = 1, .parent = 1, .size = 70000, .mtime = -5};
	const struct row_extent extent = {.chunk = {{6}}, .len = 60000, .choff = 5, .source = 77};
	const struct row_dirent entry = {5, 8};
	struct buf i = {0}, x = {0}, e = {0}, v = {0};

	fuzz_must(!row_inode_encode(&inode, &i) && !row_extent_encode(&extent, &x) && !row_dirent_encode(&entry, &e));
	fuzz_must(!buf_add(&v, "a value", 7) && !node_begin(&s->b, 0, 8));
	add(s, 4, ROW_INODE, 0, NULL, &i);
	add(s, 4, ROW_XATTR, 0, "user.name", &v);
	add(s, 4, ROW_DIRENT, 99, "a file", &e);
	add(s, 4, ROW_DIRENT, UINT64_C(1) << 60, "another", &e);
	add(s, 5, ROW_INODE, 0, NULL, &i);
	add(s, 5, ROW_XATTR, 0, "\001target", &v);
	add(s, 5, ROW_EXTENT, 0, NULL, &x);
	add(s, 5, ROW_EXTENT, 65536, NULL, &x);
	buf_free(&i);
	buf_free(&x);
	buf_free(&e);
	buf_free(&v);
}

static void seed_inner(struct seed *s)
{
	const struct repo_name child = {{1, 2, 3}};
	struct buf v = {0};

	fuzz_must(!buf_add(&v, child.b, REPO_NAME_LEN) && !node_begin(&s->b, 1, 3));
	add(s, 4, ROW_INODE, 0, NULL, &v);
	add(s, 400, ROW_DIRENT, 12, "a name", &v);
	add(s, 70000, ROW_EXTENT, 1 << 20, NULL, &v);
	buf_free(&v);
}

size_t fuzz_seed(unsigned nth, uint8_t out[FUZZ_LEN_MAX])
{
	struct seed s = {0};
	size_t len;

	if (nth > 1)
		return 0;
	if (nth)
		seed_inner(&s);
	else
		seed_rows(&s);
	len = s.b.len;
	memcpy(out, s.b.data, len);
	buf_free(&s.b);
	return len;
}
