/* Rows of a manifest: keys and values. */
#include <errno.h>
#include <string.h>

#include "store/base/err.h"
#include "store/meta/inode.h"
#include "store/repo/manifest.h"

static void put_be64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static uint64_t get_be64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

void row_key_make(struct row_key *ret, uint64_t ino, enum row_kind kind, uint64_t sub, const void *name,
		  size_t name_len)
{
	row_key_prefix(ret, ino, kind);
	if (kind == ROW_DIRENT || kind == ROW_EXTENT) {
		put_be64(ret->b + ret->len, sub);
		ret->len += 8;
	}
	if (kind == ROW_DIRENT || kind == ROW_XATTR) {
		memcpy(ret->b + ret->len, name, name_len);
		ret->len += name_len;
	}
}

void row_key_prefix(struct row_key *ret, uint64_t ino, unsigned kind)
{
	put_be64(ret->b, ino);
	ret->b[8] = (uint8_t)kind;
	ret->len = kind ? 9 : 8;
}

int row_key_compare(const void *a, size_t a_len, const void *b, size_t b_len)
{
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return order ? order : (a_len > b_len) - (a_len < b_len);
}

int row_key_parse(const struct row_key *k, uint64_t *ret_ino, enum row_kind *ret_kind, uint64_t *ret_sub,
		  const char **ret_name, size_t *ret_name_len)
{
	size_t at = 9;

	if (k->len < 9 || k->b[8] < ROW_INODE || k->b[8] > ROW_EXTENT)
		return -ECORRUPT;
	*ret_ino = get_be64(k->b);
	*ret_kind = k->b[8];
	*ret_sub = 0;
	if (*ret_kind == ROW_DIRENT || *ret_kind == ROW_EXTENT) {
		if (k->len < at + 8)
			return -ECORRUPT;
		*ret_sub = get_be64(k->b + at);
		at += 8;
	}
	*ret_name = (const char *)k->b + at;
	*ret_name_len = k->len - at;
	if (*ret_kind == ROW_INODE || *ret_kind == ROW_EXTENT)
		return *ret_name_len ? -ECORRUPT : 0;
	if (!*ret_name_len || *ret_name_len > NAME_LEN_MAX || memchr(*ret_name, 0, *ret_name_len))
		return -ECORRUPT;
	if (*ret_kind == ROW_DIRENT &&
	    (memchr(*ret_name, '/', *ret_name_len) || (*ret_name_len <= 2 && !memcmp(*ret_name, "..", *ret_name_len))))
		return -ECORRUPT;
	return 0;
}

void row_inode_of(const struct inode *inode, struct row_inode *ret)
{
	*ret = (struct row_inode){
		.mode = inode->mode,
		.uid = inode->uid,
		.gid = inode->gid,
		.nlink = inode->nlink,
		.flags = inode->flags,
		.rdev = inode->rdev,
		.parent = inode->parent,
		.size = inode->size,
		.atime = inode->atime,
		.mtime = inode->mtime,
		.ctime = inode->ctime,
		.btime = inode->btime,
	};
}

int row_inode_encode(const struct row_inode *v, struct buf *ret)
{
	const uint64_t plain[] = {v->mode, v->uid, v->gid, v->nlink, v->flags, v->rdev, v->parent};
	const int64_t times[] = {v->size, v->atime, v->mtime, v->ctime, v->btime};
	int r = 0;

	for (size_t i = 0; i < sizeof plain / sizeof *plain && !r; i++)
		r = buf_add_varint(ret, plain[i]);
	for (size_t i = 0; i < sizeof times / sizeof *times && !r; i++)
		r = buf_add_svarint(ret, times[i]);
	return r;
}

int row_inode_parse(const void *data, size_t len, struct row_inode *ret)
{
	struct buf_reader r = buf_reader(data, len);
	struct row_inode v;
	uint64_t small[5];

	for (size_t i = 0; i < 5; i++) {
		small[i] = buf_get_varint(&r);
		if (small[i] > UINT32_MAX)
			return -ECORRUPT;
	}
	v = (struct row_inode){(uint32_t)small[0],
			       (uint32_t)small[1],
			       (uint32_t)small[2],
			       (uint32_t)small[3],
			       (uint32_t)small[4],
			       0,
			       0,
			       0,
			       0,
			       0,
			       0,
			       0};
	v.rdev = buf_get_varint(&r);
	v.parent = buf_get_varint(&r);
	v.size = buf_get_svarint(&r);
	v.atime = buf_get_svarint(&r);
	v.mtime = buf_get_svarint(&r);
	v.ctime = buf_get_svarint(&r);
	v.btime = buf_get_svarint(&r);
	if (r.bad || buf_reader_left(&r) || v.size < 0 || v.size > (int64_t)FILE_SIZE_MAX || !v.mode)
		return -ECORRUPT;
	*ret = v;
	return 0;
}

int row_extent_encode(const struct row_extent *v, struct buf *ret)
{
	int r = buf_add(ret, v->chunk.b, REPO_NAME_LEN);

	if (!r)
		r = buf_add_varint(ret, (uint64_t)v->len);
	if (!r)
		r = buf_add_varint(ret, v->choff);
	return r ? r : buf_add_varint(ret, v->source);
}

int row_extent_parse(const void *data, size_t len, struct row_extent *ret)
{
	struct buf_reader r = buf_reader(data, len);
	const void *name = buf_get_raw(&r, REPO_NAME_LEN);
	uint64_t ext_len = buf_get_varint(&r), choff = buf_get_varint(&r), source = buf_get_varint(&r);

	if (r.bad || buf_reader_left(&r) || !ext_len || ext_len > CHUNK_LEN_MAX || choff >= CHUNK_LEN_MAX ||
	    choff + ext_len > CHUNK_LEN_MAX)
		return -ECORRUPT;
	*ret = (struct row_extent){.len = (int64_t)ext_len, .choff = (uint32_t)choff, .source = source};
	memcpy(ret->chunk.b, name, REPO_NAME_LEN);
	return 0;
}

int row_dirent_encode(const struct row_dirent *v, struct buf *ret)
{
	int r = buf_add_varint(ret, v->ino);

	return r ? r : buf_add_u8(ret, v->type);
}

int row_dirent_parse(const void *data, size_t len, struct row_dirent *ret)
{
	struct buf_reader r = buf_reader(data, len);
	struct row_dirent v = {buf_get_varint(&r), 0};

	v.type = buf_get_u8(&r);
	if (r.bad || buf_reader_left(&r) || !v.ino)
		return -ECORRUPT;
	*ret = v;
	return 0;
}
