#include "store/repo/send_rows.h"

#include <stdlib.h>
#include <string.h>

void send_rows_reset(struct send_rows *rows)
{
	buf_reset(&rows->bytes);
	rows->n = 0;
	rows->content = 0;
}

void send_rows_free(struct send_rows *rows)
{
	buf_free(&rows->bytes);
	free(rows->v);
	rows->v = NULL;
	rows->n = rows->cap = 0;
}

/* Begins a row: its value is what is added to `bytes` until row_end. */
static int row_begin(struct send_rows *rows, const struct row_key *key, enum stream_op op)
{
	int r;

	if (rows->n == rows->cap) {
		size_t cap = rows->cap ? rows->cap * 2 : 1024;
		struct send_row *v = realloc(rows->v, cap * sizeof *v);

		if (!v)
			return -ENOMEM;
		rows->v = v;
		rows->cap = cap;
	}
	rows->v[rows->n] = (struct send_row){.key_at = rows->bytes.len, .key_len = (uint32_t)key->len, .op = op};
	r = buf_add(&rows->bytes, key->b, key->len);
	rows->v[rows->n].value_at = rows->bytes.len;
	return r;
}

static int row_end(struct send_rows *rows, int r)
{
	struct send_row *row = &rows->v[rows->n];

	if (r)
		return r;
	row->value_len = (uint32_t)(rows->bytes.len - row->value_at);
	rows->n++;
	return 0;
}

int send_rows_remove(struct send_rows *rows, const struct row_key *key)
{
	int r = row_begin(rows, key, STREAM_REMOVE);

	return r ? r : row_end(rows, 0);
}

int send_rows_inode(struct send_rows *rows, const struct inode *inode)
{
	struct row_inode v;
	struct row_key key;
	int r;

	row_inode_of(inode, &v);
	row_key_make(&key, inode->ino, ROW_INODE, 0, NULL, 0);
	r = row_begin(rows, &key, STREAM_PUT);
	return r ? r : row_end(rows, row_inode_encode(&v, &rows->bytes));
}

int send_rows_xattr(struct send_rows *rows, uint64_t ino, const char *name, const void *value, size_t len)
{
	struct row_key key;
	int r;

	row_key_make(&key, ino, ROW_XATTR, 0, name, strlen(name));
	r = row_begin(rows, &key, STREAM_PUT);
	return r ? r : row_end(rows, buf_add(&rows->bytes, value, len));
}

int send_rows_entry(struct send_rows *rows, const struct dirent_row *e)
{
	const struct row_dirent v = {e->ino, e->type};
	struct row_key key;
	int r;

	row_key_make(&key, e->parent, ROW_DIRENT, (uint64_t)e->hash, e->name, e->name_len);
	r = row_begin(rows, &key, STREAM_PUT);
	return r ? r : row_end(rows, row_dirent_encode(&v, &rows->bytes));
}

static int add_range(struct send_rows *rows, uint64_t ino, int64_t off, int64_t len, enum stream_op op)
{
	const struct row_extent v = {.len = len};
	struct row_key key;
	int r;

	row_key_make(&key, ino, ROW_EXTENT, (uint64_t)off, NULL, 0);
	r = row_begin(rows, &key, op);
	return r ? r : row_end(rows, row_extent_encode(&v, &rows->bytes));
}

int send_rows_extent(struct send_rows *rows, uint64_t ino, int64_t off, const struct send_piece *piece)
{
	int r = add_range(rows, ino, off, piece->len, STREAM_PUT);

	if (r)
		return r;
	rows->v[rows->n - 1].piece = *piece;
	rows->content += piece->len;
	return 0;
}

int send_rows_hole(struct send_rows *rows, uint64_t ino, int64_t off, int64_t len)
{
	return add_range(rows, ino, off, len, STREAM_HOLE);
}
