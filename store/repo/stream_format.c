#include "store/repo/stream_format.h"

#include <errno.h>
#include <string.h>

#include "store/meta/xattr.h"

static const char magic[8] = {'V', 'A', 'R', 'V', 'E', 'S', 'T', 'R'};

int stream_header_encode(struct buf *ret)
{
	int bad = buf_add(ret, magic, sizeof magic);

	if (!bad)
		bad = buf_add_le32(ret, STREAM_VERSION);
	return bad ? bad : buf_add_le32(ret, 0);
}

int stream_header_parse(const uint8_t data[STREAM_HEADER_LEN], uint32_t *ret_version)
{
	struct buf_reader r = buf_reader(data, STREAM_HEADER_LEN);
	uint32_t flags;

	if (memcmp(buf_get_raw(&r, sizeof magic), magic, sizeof magic) != 0)
		return -ECORRUPT;
	*ret_version = buf_get_le32(&r);
	flags = buf_get_le32(&r);
	if (*ret_version > STREAM_VERSION)
		return -ETOONEW;
	return *ret_version && !flags ? 0 : -ECORRUPT;
}

/* --- begin --- */

static int add_text(struct buf *ret, const char *text)
{
	return buf_add_bytes(ret, text, strlen(text));
}

static void get_text(struct buf_reader *r, char out[VOLUME_NAME_MAX + 1])
{
	size_t len = 0;
	const void *text = buf_get_bytes(r, &len);

	if (!text || len > VOLUME_NAME_MAX || memchr(text, 0, len)) {
		r->bad = true;
		len = 0;
	}
	if (len)
		memcpy(out, text, len);
	out[len] = 0;
}

static void get_name(struct buf_reader *r, struct repo_name *out)
{
	const void *name = buf_get_raw(r, REPO_NAME_LEN);

	if (name)
		memcpy(out->b, name, REPO_NAME_LEN);
}

int stream_begin_encode(const struct stream_begin *b, struct buf *ret)
{
	const struct repo_name *const names[] = {&b->id, &b->from_id, &b->from_origin};
	const char *const texts[] = {b->volume, b->snapshot, b->from};
	const int64_t numbers[] = {b->created, b->bytes, b->inodes};
	int bad = 0;

	for (size_t i = 0; i < 3 && !bad; i++)
		bad = buf_add(ret, names[i]->b, REPO_NAME_LEN);
	for (size_t i = 0; i < 3 && !bad; i++)
		bad = add_text(ret, texts[i]);
	for (size_t i = 0; i < 3 && !bad; i++)
		bad = buf_add_svarint(ret, numbers[i]);
	if (!bad)
		bad = buf_add_varint(ret, b->root_ino);
	if (!bad)
		bad = buf_add_varint(ret, b->last_ino);
	return bad ? bad : buf_add_bytes(ret, b->blocks, b->blocks_len);
}

int stream_begin_parse(const void *data, size_t len, struct stream_begin *ret)
{
	struct buf_reader r = buf_reader(data, len);
	struct stream_begin b = {0};
	bool whole;

	get_name(&r, &b.id);
	get_name(&r, &b.from_id);
	get_name(&r, &b.from_origin);
	get_text(&r, b.volume);
	get_text(&r, b.snapshot);
	get_text(&r, b.from);
	b.created = buf_get_svarint(&r);
	b.bytes = buf_get_svarint(&r);
	b.inodes = buf_get_svarint(&r);
	b.root_ino = buf_get_varint(&r);
	b.last_ino = buf_get_varint(&r);
	b.blocks = buf_get_bytes(&r, &b.blocks_len);
	whole = stream_begin_whole(&b);
	if (r.bad || buf_reader_left(&r) || !*b.volume || !*b.snapshot || whole == (bool)*b.from || b.bytes < 0 ||
	    b.inodes < 0 || !b.root_ino || b.root_ino > b.last_ino)
		return -ECORRUPT;
	*ret = b;
	return 0;
}

/* --- chunks --- */

static bool has_base(enum stream_codec c)
{
	return c == STREAM_DELTA || c == STREAM_COPY;
}

int stream_chunk_encode(const struct stream_chunk *c, struct buf *ret)
{
	int bad = buf_add(ret, c->name.b, REPO_NAME_LEN);

	if (!bad)
		bad = buf_add_u8(ret, (uint8_t)c->codec);
	if (!bad)
		bad = buf_add_varint(ret, c->raw_len);
	if (!bad && has_base(c->codec))
		bad = buf_add_varint(ret, c->base_ino);
	if (!bad && has_base(c->codec))
		bad = buf_add_varint(ret, (uint64_t)c->base_off);
	if (!bad && has_base(c->codec))
		bad = buf_add_varint(ret, c->base_len);
	return bad ? bad : buf_add(ret, c->payload, c->payload_len);
}

int stream_chunk_parse(const void *data, size_t len, struct stream_chunk *ret)
{
	struct buf_reader r = buf_reader(data, len);
	struct stream_chunk c = {0};
	uint64_t raw_len, off = 0, base_len = 0;
	unsigned codec;

	get_name(&r, &c.name);
	codec = buf_get_u8(&r);
	raw_len = buf_get_varint(&r);
	if (r.bad || codec > STREAM_COPY || !raw_len || raw_len > CHUNK_LEN_MAX)
		return -ECORRUPT;
	c.codec = codec;
	c.raw_len = (uint32_t)raw_len;
	if (has_base(c.codec)) {
		c.base_ino = buf_get_varint(&r);
		off = buf_get_varint(&r);
		base_len = buf_get_varint(&r);
		if (r.bad || !c.base_ino || off > FILE_SIZE_MAX || !base_len || base_len > CHUNK_LEN_MAX)
			return -ECORRUPT;
	}
	c.base_off = (int64_t)off;
	c.base_len = (uint32_t)base_len;
	c.payload_len = buf_reader_left(&r);
	c.payload = buf_get_raw(&r, c.payload_len);
	if ((c.codec == STREAM_COPY && (c.payload_len || c.base_len != c.raw_len)) ||
	    (c.codec == STREAM_RAW && c.payload_len != c.raw_len))
		return -ECORRUPT;
	*ret = c;
	return 0;
}

/* --- rows --- */

int stream_row_encode(const struct row_key *last, const struct row_key *key, enum stream_op op, const void *value,
		      size_t value_len, struct buf *ret)
{
	size_t shared = 0;
	int bad;

	while (shared < last->len && shared < key->len && last->b[shared] == key->b[shared])
		shared++;
	bad = buf_add_varint(ret, shared);
	if (!bad)
		bad = buf_add_bytes(ret, key->b + shared, key->len - shared);
	if (!bad)
		bad = buf_add_u8(ret, (uint8_t)op);
	return bad || op == STREAM_REMOVE ? bad : buf_add_bytes(ret, value, value_len);
}

static int check_row(const struct row_key *key, enum stream_op op, const void *value, size_t len)
{
	struct row_extent extent;
	struct row_dirent entry;
	struct row_inode inode;
	enum row_kind kind;
	uint64_t ino, sub;
	const char *name;
	size_t name_len;
	int bad = row_key_parse(key, &ino, &kind, &sub, &name, &name_len);

	if (bad || !ino || op < STREAM_PUT || op > STREAM_HOLE)
		return -ECORRUPT;
	if (kind == ROW_EXTENT)
		return op == STREAM_REMOVE || sub > FILE_SIZE_MAX ? -ECORRUPT : row_extent_parse(value, len, &extent);
	if (op == STREAM_REMOVE)
		return 0;
	if (op == STREAM_HOLE)
		return -ECORRUPT;
	if (kind == ROW_XATTR)
		return len > XATTR_VALUE_MAX ? -ECORRUPT : 0;
	return kind == ROW_INODE ? row_inode_parse(value, len, &inode) : row_dirent_parse(value, len, &entry);
}

int stream_rows_parse(const void *data, size_t len,
		      int (*fn)(void *arg, const struct row_key *key, enum stream_op op, const void *value,
				size_t value_len),
		      void *arg)
{
	struct buf_reader r = buf_reader(data, len);
	struct row_key key = {0};
	int bad = 0;

	while (!bad && buf_reader_left(&r)) {
		uint64_t shared = buf_get_varint(&r);
		size_t rest = 0, value_len = 0;
		const void *tail = buf_get_bytes(&r, &rest), *value = NULL;
		unsigned op = buf_get_u8(&r);

		if (op != STREAM_REMOVE)
			value = buf_get_bytes(&r, &value_len);
		if (r.bad || shared > key.len || rest > sizeof key.b - shared)
			return -ECORRUPT;
		if (rest)
			memcpy(key.b + shared, tail, rest);
		key.len = shared + rest;
		bad = check_row(&key, op, value, value_len);
		if (!bad)
			bad = fn(arg, &key, op, value, value_len);
	}
	return bad;
}

/* --- end --- */

int stream_end_encode(const struct stream_end *e, struct buf *ret)
{
	int bad = buf_add_varint(ret, e->rows);

	if (!bad)
		bad = buf_add_varint(ret, e->chunks);
	return bad ? bad : buf_add_varint(ret, e->content);
}

int stream_end_parse(const void *data, size_t len, struct stream_end *ret)
{
	struct buf_reader r = buf_reader(data, len);
	struct stream_end e = {.rows = buf_get_varint(&r)};

	e.chunks = buf_get_varint(&r);
	e.content = buf_get_varint(&r);
	if (r.bad || buf_reader_left(&r))
		return -ECORRUPT;
	*ret = e;
	return 0;
}
