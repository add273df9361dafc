/* Exporting: a walk through the view, in which libarchive is fed one header or one piece of a file at a time, and only
 * when all that came of the one before has been taken: so an export needs no thread, and memory for one piece and for
 * the names of inodes with several links. */
#include "store/archive/tar_export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "store/archive/archive_internal.h"
#include "store/archive/link_table.h"
#include "store/base/cleanup.h"
#include "store/volume/draft.h"
#include "store/volume/file_io.h"

#define PIECE MIB
#define BATCH 256
#define HOLE_MIN 4096 /* shorter ones are written as zeros */
#define INO_MASK ((UINT64_C(1) << NODE_INO_BITS) - 1)

/* A folder on the way to where the walk is, and some of its entries that come next. */
struct level {
	uint64_t node, cookie;
	size_t path_len; /* of the folder's own */
	struct item {
		char *name;
		struct attr attr;
	} *items;
	size_t n, at;
	bool last_shares; /* the last item's cookie is the next one's too */
};

struct tar_export {
	struct store *s;
	struct draft draft;
	struct archive *a;
	struct archive_entry *entry;
	struct buf out; /* made and not taken yet */
	size_t out_at;
	struct buf path;
	struct level *levels;
	size_t depth, levels_cap;
	struct link_table links;
	uint8_t *piece;
	/* the file that is being written */
	bool in_file;
	uint64_t node;
	int64_t off, size;
	bool started, ended, given_up;
	struct tar_export_state state;
};

static la_ssize_t take_output(struct archive *a, void *arg, const void *data, size_t len)
{
	struct tar_export *x = arg;

	if (x->given_up)
		return -1;
	if (!buf_add(&x->out, data, len))
		return (la_ssize_t)len;
	archive_set_error(a, ENOMEM, "out of memory");
	return -1;
}

static int refuse(struct tar_export *x, int r, struct err *err)
{
	char shown[SHOWN_MAX + 1];

	return err_set(err, -r, "'%s' in %s: %s", archive_show(shown, (const char *)x->path.data), x->draft.name,
		       err_name(-r));
}

static int refuse_archive(struct tar_export *x, struct err *err)
{
	char shown[SHOWN_MAX + 1];
	int code = archive_errno(x->a) > 0 ? archive_errno(x->a) : EIO;

	return err_set(err, code, "writing '%s': %s", archive_show(shown, (const char *)x->path.data),
		       archive_error_string(x->a));
}

/* --- headers --- */

static int set_path(struct tar_export *x, size_t folder_len, const char *name)
{
	int r;

	x->path.len = folder_len;
	r = buf_add(&x->path, "/", folder_len > 0);
	if (!r)
		r = buf_add(&x->path, name, strlen(name));
	if (!r)
		r = buf_add_u8(&x->path, 0);
	x->path.len -= !r;
	return r;
}

static int add_xattr(struct tar_export *x, uint64_t node, const char *name)
{
	AUTO_FREE void *value = NULL;
	bool is_default = !strcmp(name, "system.posix_acl_default");
	size_t len;
	int r = ns_getxattr(x->s, node, name, &value, &len);

	if (r)
		return r;
	if (is_default || !strcmp(name, "system.posix_acl_access"))
		return acl_to_entry(value, len, is_default, x->entry);
	archive_entry_xattr_add_entry(x->entry, name, value, len);
	return 0;
}

static int add_xattrs(struct tar_export *x, uint64_t node)
{
	__attribute__((cleanup(buf_free))) struct buf names = {0};
	size_t at;
	int r = ns_listxattr(x->s, node, &names);

	for (at = 0; !r && at < names.len; at += strlen((char *)names.data + at) + 1)
		r = add_xattr(x, node, (char *)names.data + at);
	return r;
}

/* Where data is, unless it is everywhere. */
static int add_holes(struct tar_export *x, const struct attr *attr)
{
	int64_t at = 0, from, to, data = 0, data_end = 0;
	bool any = false;
	int r = 0;

	while (at < attr->size) {
		r = file_lseek(x->s, attr->node, at, SEEK_DATA, &from);
		if (r)
			break;
		r = file_lseek(x->s, attr->node, from, SEEK_HOLE, &to);
		if (r)
			return r;
		if (from - data_end >= HOLE_MIN) {
			if (data_end > data)
				archive_entry_sparse_add_entry(x->entry, data, data_end - data);
			data = from;
			any = true;
		}
		data_end = at = to;
	}
	if (r && r != -ENXIO)
		return r;
	if (!any && attr->size - data_end < HOLE_MIN)
		return 0;
	if (data_end > data)
		archive_entry_sparse_add_entry(x->entry, data, data_end - data);
	else if (!any) /* nothing but a hole */
		archive_entry_sparse_add_entry(x->entry, 0, 0);
	return 0;
}

static void set_attributes(struct tar_export *x, const struct attr *attr)
{
	struct archive_entry *e = archive_entry_clear(x->entry);
	time_t s;
	long ns;

	archive_entry_set_mode(e, attr->mode);
	archive_entry_set_uid(e, attr->uid);
	archive_entry_set_gid(e, attr->gid);
	time_to_pax(attr->mtime, &s, &ns);
	archive_entry_set_mtime(e, s, ns);
	time_to_pax(attr->atime, &s, &ns);
	archive_entry_set_atime(e, s, ns);
	if (S_ISCHR(attr->mode) || S_ISBLK(attr->mode)) {
		archive_entry_set_rdevmajor(e, major(attr->rdev));
		archive_entry_set_rdevminor(e, minor(attr->rdev));
	}
}

static int set_target(struct tar_export *x, uint64_t node)
{
	AUTO_FREE char *target = NULL;
	int r = ns_readlink(x->s, node, &target);

	if (!r)
		archive_entry_copy_symlink(x->entry, target);
	return r;
}

/* What is the file's own in its header; a further link to an inode has none of it. */
static int set_content(struct tar_export *x, const struct attr *attr)
{
	int r = add_xattrs(x, attr->node);

	if (!r && S_ISLNK(attr->mode))
		r = set_target(x, attr->node);
	archive_entry_set_size(x->entry, S_ISREG(attr->mode) ? attr->size : 0);
	if (!r && S_ISREG(attr->mode))
		r = add_holes(x, attr);
	return r;
}

static int write_header(struct tar_export *x, const struct attr *attr, struct err *err)
{
	const char *path = (const char *)x->path.data, *first = NULL;
	int r = 0;

	set_attributes(x, attr);
	archive_entry_copy_pathname(x->entry, path);
	if (!S_ISDIR(attr->mode) && attr->nlink > 1)
		r = link_table_meet(&x->links, attr->node & INO_MASK, path, &first);
	if (!r && first)
		archive_entry_copy_hardlink(x->entry, first);
	else if (!r)
		r = set_content(x, attr);
	if (r)
		return refuse(x, r, err);
	/* a warning is a name that is no UTF-8, which is written as it is */
	if (archive_write_header(x->a, x->entry) < ARCHIVE_WARN)
		return refuse_archive(x, err);
	x->state.entries++;
	x->in_file = !first && S_ISREG(attr->mode) && attr->size > 0;
	x->node = attr->node;
	x->off = 0;
	x->size = attr->size;
	return 0;
}

/* --- the walk --- */

static void level_clear(struct level *l)
{
	while (l->n)
		free(l->items[--l->n].name);
	l->at = 0;
}

static int take_item(void *arg, const struct ns_entry *e)
{
	struct level *l = arg;
	struct item *item = &l->items[l->n];

	if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
		return 0;
	/* those of one cookie are taken together */
	if (l->n >= BATCH && !l->last_shares)
		return 1;
	if (l->n >= BATCH && l->n % BATCH == 0) {
		struct item *more = reallocarray(l->items, l->n + BATCH, sizeof *more);

		if (!more)
			return -ENOMEM;
		l->items = more;
		item = &more[l->n];
	}
	item->name = strdup(e->name);
	if (!item->name)
		return -ENOMEM;
	item->attr = e->attr;
	l->n++;
	l->cookie = e->cookie;
	l->last_shares = e->more_same;
	return 0;
}

static int fill_level(struct tar_export *x, struct level *l)
{
	level_clear(l);
	return ns_readdir(x->s, l->node, l->cookie, true, take_item, l);
}

static int push(struct tar_export *x, uint64_t node)
{
	struct level *l;

	if (x->depth == x->levels_cap) {
		size_t cap = x->levels_cap ? 2 * x->levels_cap : 16;
		struct level *more = reallocarray(x->levels, cap, sizeof *more);

		if (!more)
			return -ENOMEM;
		x->levels = more;
		x->levels_cap = cap;
	}
	l = &x->levels[x->depth];
	*l = (struct level){.node = node, .path_len = x->path.len, .items = calloc(BATCH, sizeof *l->items)};
	if (!l->items)
		return -ENOMEM;
	x->depth++;
	return 0;
}

static void pop(struct tar_export *x)
{
	struct level *l = &x->levels[--x->depth];

	level_clear(l);
	free(l->items);
}

/* The first header: the top folder's. */
static int begin(struct tar_export *x, struct err *err)
{
	struct attr attr;
	int r = set_path(x, 0, ".");

	x->started = true;
	if (!r)
		r = ns_getattr(x->s, x->draft.root_node, &attr);
	if (!r)
		r = push(x, x->draft.root_node);
	return r ? refuse(x, r, err) : write_header(x, &attr, err);
}

static int end(struct tar_export *x, struct err *err)
{
	x->ended = true;
	return archive_write_close(x->a) == ARCHIVE_OK ? 0 : refuse_archive(x, err);
}

static int next_entry(struct tar_export *x, struct err *err)
{
	struct level *l = &x->levels[x->depth - 1];
	struct item *item;
	int r = 0;

	if (l->at == l->n)
		r = fill_level(x, l);
	if (r)
		return refuse(x, r, err);
	if (!l->n) {
		pop(x);
		return 0;
	}
	item = &l->items[l->at++];
	r = set_path(x, l->path_len, item->name);
	if (!r && S_ISSOCK(item->attr.mode)) {
		x->state.sockets++;
		return 0;
	}
	/* `l` and `item` may move with the levels */
	const struct attr attr = item->attr;

	if (!r && S_ISDIR(attr.mode))
		r = push(x, attr.node);
	return r ? refuse(x, r, err) : write_header(x, &attr, err);
}

/* Zeros are fed to libarchive for holes; it knows from the header where they are, and writes none of them. */
static int next_piece(struct tar_export *x, struct err *err)
{
	size_t len = x->size - x->off < (int64_t)PIECE ? (size_t)(x->size - x->off) : PIECE;
	int64_t data;
	int r = file_lseek(x->s, x->node, x->off, SEEK_DATA, &data);

	if (!r && data < x->off + (int64_t)len) {
		r = file_read(x->s, x->node, x->piece, len, x->off, false, &len);
	} else if (!r || r == -ENXIO) {
		memset(x->piece, 0, len);
		r = 0;
	}
	if (!r && !len)
		r = -ECORRUPT;
	if (r)
		return refuse(x, r, err);
	if (archive_write_data(x->a, x->piece, len) != (la_ssize_t)len)
		return refuse_archive(x, err);
	x->off += (int64_t)len;
	x->state.bytes_done += len;
	x->in_file = x->off < x->size;
	return 0;
}

static int step(struct tar_export *x, struct err *err)
{
	if (x->in_file)
		return next_piece(x, err);
	if (!x->started)
		return begin(x, err);
	return x->depth ? next_entry(x, err) : end(x, err);
}

int tar_export_read(struct tar_export *x, void *buf, size_t len, size_t *ret_len, struct err *err)
{
	locale_t before = archive_locale_enter();
	size_t n;
	int r = 0;

	while (!r && x->out_at == x->out.len && !x->ended) {
		buf_reset(&x->out);
		x->out_at = 0;
		r = step(x, err);
	}
	archive_locale_leave(before);
	if (r)
		return r;
	n = x->out.len - x->out_at;
	n = n < len ? n : len;
	memcpy(buf, x->out.data + x->out_at, n);
	x->out_at += n;
	*ret_len = n;
	return 0;
}

void tar_export_state(const struct tar_export *x, struct tar_export_state *ret)
{
	*ret = x->state;
}

static int open_archive(struct tar_export *x, enum tar_compression compression)
{
	int r;

	x->a = archive_write_new();
	x->entry = archive_entry_new();
	x->piece = malloc(PIECE);
	if (!x->a || !x->entry || !x->piece)
		return -ENOMEM;
	r = archive_write_set_format_pax(x->a);
	/* what GNU tar reads, once */
	if (r == ARCHIVE_OK)
		r = archive_write_set_format_option(x->a, "pax", "xattrheader", "SCHILY");
	if (r == ARCHIVE_OK && compression == TAR_GZIP)
		r = archive_write_add_filter_gzip(x->a);
	if (r == ARCHIVE_OK && compression == TAR_ZSTD)
		r = archive_write_add_filter_zstd(x->a);
	/* no padding behind a compressed stream */
	if (r == ARCHIVE_OK)
		r = archive_write_set_bytes_per_block(x->a, 0);
	if (r == ARCHIVE_OK)
		r = archive_write_open(x->a, x, NULL, take_output, NULL);
	return r == ARCHIVE_OK ? 0 : -EIO;
}

int tar_export_open(struct store *s, const char *volume, const char *snapshot, enum tar_compression compression,
		    struct tar_export **ret, struct err *err)
{
	struct tar_export *x = calloc(1, sizeof *x);
	int r;

	if (!x)
		return err_set(err, ENOMEM, "out of memory");
	x->s = s;
	r = open_archive(x, compression);
	if (r)
		(void)err_set(err, -r, "the archive cannot be begun: %s",
			      x->a ? archive_error_string(x->a) : err_name(-r));
	else
		r = draft_of_view(s, volume, snapshot, &x->draft, err);
	if (r) {
		tar_export_free(x);
		return r;
	}
	x->state.bytes_total = (uint64_t)x->draft.bytes;
	*ret = x;
	return 0;
}

void tar_export_free(struct tar_export *x)
{
	if (!x)
		return;
	while (x->depth)
		pop(x);
	free(x->levels);
	link_table_free(&x->links);
	archive_entry_free(x->entry);
	/* closing frees what only closing frees, and would write the rest of an entry that was begun, as zeros */
	x->given_up = !x->ended;
	if (x->a)
		(void)archive_write_close(x->a);
	archive_write_free(x->a);
	buf_free(&x->out);
	buf_free(&x->path);
	free(x->piece);
	if (x->draft.id)
		draft_drop(x->s, &x->draft);
	free(x);
}
