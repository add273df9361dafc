/* Importing: libarchive reads and says what comes; import_tree.h says where it goes. Each entry is made with its owner
 * and mode, then gets its contents, then extended attributes, then its times. */
#include "store/archive/tar_import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "store/archive/archive_internal.h"
#include "store/archive/import_tree.h"
#include "store/base/cleanup.h"
#include "store/volume/file_io.h"

#define READ_SIZE (256 * KIB)
#define WARNINGS_MAX 20

static const struct op root_op;

struct import {
	struct store *s;
	const struct tar_import_options *o;
	struct tree tree;
	struct archive *a;
	struct archive_entry *e;
	char shown[SHOWN_MAX + 1];
	struct buf name, target, acl;
	uint8_t *input;
	int read_error; /* of o->read */
	bool got_any;   /* bytes */
	unsigned warnings;
	struct tar_import_result result;
	struct err *err;
};

static la_ssize_t read_input(struct archive *a, void *arg, const void **ret)
{
	struct import *im = arg;
	size_t len = 0;
	int r = im->o->read(im->o->arg, im->input, READ_SIZE, &len);

	*ret = im->input;
	im->got_any |= len > 0;
	if (!r)
		return (la_ssize_t)len;
	im->read_error = r;
	archive_set_error(a, -r, "%s", err_name(-r));
	return -1;
}

/* The operation on the entry failed. */
static int refuse(struct import *im, int r)
{
	if (r == -EDQUOT)
		return err_set(im->err, EDQUOT, "'%s' in the archive does not fit: volume %s is at its quota",
			       im->shown, im->o->volume);
	if (r == -ENOSPC)
		return err_set(im->err, ENOSPC, "'%s' in the archive does not fit: the store's disk is full",
			       im->shown);
	return err_set(im->err, -r, "'%s' in the archive: %s", im->shown, err_name(-r));
}

static int say_why(struct import *im)
{
	const char *why = archive_error_string(im->a);

	if (im->read_error)
		return err_set(im->err, -im->read_error, "reading the archive failed: %s", err_name(-im->read_error));
	if (!im->got_any)
		return err_set(im->err, EINVAL, "the archive is empty");
	if (!im->result.entries)
		return err_set(im->err, EINVAL, "this is no tar archive that can be read: %s", why ? why : "unknown");
	return err_set(im->err, EINVAL, "the archive is damaged or cut short after '%s': %s", im->shown,
		       why ? why : "unknown");
}

/* What bsdtar 3.6 puts out with --zstd into a pipe: it fills its last block up with zeros, after which neither zstd nor bsdtar
 * itself can read it. */
#define PADDED_ZSTD "Unknown frame descriptor"

static int refuse_archive(struct import *im)
{
	const char *why = archive_error_string(im->a);
	int r = say_why(im);

	if (why && strstr(why, PADDED_ZSTD))
		err_hint(im->err, "bsdtar spoils what it compresses with --zstd into a pipe: use bsdtar -cf - … | zstd");
	return r;
}

/* Something in the archive could not be taken as it is. A name that is no UTF-8 is taken as the bytes that it is. */
static void warn(struct import *im, const char *what)
{
	char line[ERR_TEXT_MAX];

	if (im->warnings++ >= WARNINGS_MAX || !im->o->tell || strstr(what, "can't be converted"))
		return;
	(void)snprintf(line, sizeof line, "'%s' in the archive: %s", im->shown, what);
	im->o->tell(im->o->arg, line);
}

static bool is_bad(int got)
{
	return got != ARCHIVE_OK && got != ARCHIVE_WARN;
}

/* --- contents and attributes --- */

static int write_piece(struct import *im, uint64_t node, const uint8_t *data, size_t len, int64_t off)
{
	size_t n;
	int r = 0;

	for (; len && !r; len -= n, data += n, off += (int64_t)n) {
		n = len < MIB ? len : MIB;
		r = file_write(im->s, &root_op, node, data, n, off, 0, false);
	}
	return r;
}

static int write_content(struct import *im, struct attr *attr)
{
	int64_t size = archive_entry_size(im->e), end = 0;
	struct attr want = {.size = size};
	const void *data;
	la_int64_t off;
	size_t len;
	int r = 0, got;

	if (size < 0 || (uint64_t)size > FILE_SIZE_MAX)
		return refuse(im, -EFBIG);
	while (!r && (got = archive_read_data_block(im->a, &data, &len, &off)) != ARCHIVE_EOF) {
		if (is_bad(got))
			return refuse_archive(im);
		if (off < end || off > size || (int64_t)len > size - off)
			return refuse(im, -EINVAL);
		r = write_piece(im, attr->node, data, len, off);
		end = off + (int64_t)len;
		im->result.bytes += len;
	}
	if (!r && end < size)
		r = ns_setattr(im->s, &root_op, attr->node, &want, NS_SET_SIZE, attr);
	return r ? refuse(im, r) : 0;
}

static int set_acl(struct import *im, uint64_t node, bool is_default)
{
	bool known;
	int r = acl_from_entry(im->e, is_default, &im->acl, &known);

	if (!known)
		warn(im, "its ACL lacks users or groups that are unknown here");
	if (r || is_default || !im->acl.len)
		return r;
	return ns_setxattr(im->s, &root_op, node, "system.posix_acl_access", im->acl.data, im->acl.len, 0);
}

static int set_xattrs(struct import *im, uint64_t node)
{
	const char *keyword;
	const void *value;
	size_t len;
	int r = 0;

	(void)archive_entry_xattr_reset(im->e);
	while (!r && archive_entry_xattr_next(im->e, &keyword, &value, &len) == ARCHIVE_OK) {
		AUTO_FREE char *name = strdup(keyword);

		if (!name)
			return -ENOMEM;
		xattr_from_keyword(name);
		/* ACLs come as such; other system attributes mean something on one filesystem only */
		if (strncmp(name, "system.", 7))
			r = ns_setxattr(im->s, &root_op, node, name, value, len, 0);
	}
	return r;
}

static struct attr wanted(struct archive_entry *e)
{
	struct attr want = {
		.uid = (uint32_t)archive_entry_uid(e),
		.gid = (uint32_t)archive_entry_gid(e),
		.mode = archive_entry_mode(e),
	};

	want.mtime = time_from_pax(archive_entry_mtime(e), archive_entry_mtime_nsec(e));
	want.atime = archive_entry_atime_is_set(e) ? time_from_pax(archive_entry_atime(e), archive_entry_atime_nsec(e))
						   : want.mtime;
	return want;
}

/* All attributes of what is there now, its times last. A folder's default ACL and times wait. */
static int set_attributes(struct import *im, uint64_t node)
{
	struct attr want = wanted(im->e), got;
	bool folder = S_ISDIR(want.mode);
	unsigned mask = NS_SET_UID | NS_SET_GID | (S_ISLNK(want.mode) ? 0 : NS_SET_MODE);
	int r = ns_setattr(im->s, &root_op, node, &want, mask, &got);

	if (!r)
		r = set_xattrs(im, node);
	if (!r && !S_ISLNK(want.mode))
		r = set_acl(im, node, false);
	if (!r && folder) {
		r = set_acl(im, node, true);
		return r ? r : tree_wait(&im->tree, node, &want, &im->acl);
	}
	return r ? r : ns_setattr(im->s, &root_op, node, &want, NS_SET_ATIME | NS_SET_MTIME, &got);
}

/* --- entries --- */

/* A default ACL of the folder gave the new entry one that the archive does not know of. */
static int drop_inherited(struct import *im, uint64_t node)
{
	static const char *const names[] = {"system.posix_acl_access", "system.posix_acl_default"};
	int r = 0;

	for (size_t i = 0; i < 2 && (!r || r == -ENODATA); i++)
		r = ns_removexattr(im->s, &root_op, node, names[i]);
	return r == -ENODATA || r == -EACCES || r == -EOPNOTSUPP ? 0 : r;
}

static int make_entry(struct import *im, uint64_t folder, const char *last, struct attr *ret)
{
	uint32_t mode = archive_entry_mode(im->e);
	const struct op op = {.uid = (uint32_t)archive_entry_uid(im->e), .gid = (uint32_t)archive_entry_gid(im->e)};
	uint64_t rdev = 0;
	int r;

	if (S_ISCHR(mode) || S_ISBLK(mode))
		rdev = makedev((unsigned)archive_entry_rdevmajor(im->e), (unsigned)archive_entry_rdevminor(im->e));
	r = ns_create(im->s, &op, folder, last, S_ISLNK(mode) ? S_IFLNK | 0777 : mode, rdev,
		      archive_entry_symlink(im->e), ret);
	return r || !im->o->merge ? r : drop_inherited(im, ret->node);
}

static int make_link(struct import *im, uint64_t folder, const char *last, const char *to)
{
	char shown[SHOWN_MAX + 1];
	struct attr attr, unused;
	const char *to_last;
	uint64_t to_folder;
	bool stays;
	int r = tree_name(&im->tree, to, im->shown, &im->target, im->err);

	(void)archive_show(shown, to);
	if (r < 0) {
		if (im->err && im->err->code == EINVAL)
			err_set(im->err, EINVAL, "'%s' in the archive links to '%s', which is not in the volume",
				im->shown, shown);
		return r;
	}
	if (r > 0 || !*im->target.data)
		return err_set(im->err, EINVAL, "'%s' in the archive links to a folder", im->shown);
	r = tree_parent(&im->tree, (char *)im->target.data, false, im->shown, &to_folder, &to_last, im->err);
	if (r)
		return r;
	r = ns_lookup(im->s, to_folder, to_last, &attr);
	if (r == -ENOENT)
		return err_set(im->err, EINVAL, "'%s' in the archive links to '%s', which has not come before it",
			       im->shown, shown);
	if (!r && S_ISDIR(attr.mode))
		return err_set(im->err, EINVAL, "'%s' in the archive links to a folder", im->shown);
	if (r || (to_folder == folder && !strcmp(to_last, last)))
		return r ? refuse(im, r) : 0;
	r = tree_clear(&im->tree, folder, last, false, im->shown, &unused, &stays, im->err);
	if (r)
		return r;
	r = ns_link(im->s, &root_op, attr.node, folder, last, &attr);
	return r ? refuse(im, r) : 0;
}

static int import_node(struct import *im, uint64_t folder, const char *last)
{
	uint32_t mode = archive_entry_mode(im->e);
	struct attr attr;
	bool stays;
	int r = tree_clear(&im->tree, folder, last, S_ISDIR(mode), im->shown, &attr, &stays, im->err);

	if (r)
		return r;
	if (!stays) {
		r = make_entry(im, folder, last, &attr);
		if (r)
			return refuse(im, r);
	}
	if (S_ISREG(mode))
		r = write_content(im, &attr);
	if (r)
		return r;
	r = set_attributes(im, attr.node);
	return r ? refuse(im, r) : 0;
}

static int import_entry(struct import *im)
{
	const char *name = archive_entry_pathname(im->e), *link = archive_entry_hardlink(im->e), *last;
	uint32_t mode = archive_entry_mode(im->e);
	uint64_t folder;
	int r;

	if (!name)
		return err_set(im->err, EINVAL, "the archive has an entry after '%s' whose name cannot be read",
			       im->shown);
	(void)archive_show(im->shown, name);
	im->result.entries++;
	r = tree_name(&im->tree, name, im->shown, &im->name, im->err);
	if (r < 0)
		return r;
	if (!r && !link && S_ISSOCK(mode))
		warn(im, "a socket is left out");
	if (r > 0 || (!link && S_ISSOCK(mode))) {
		im->result.skipped++;
		return 0;
	}
	if (!link &&
	    !(S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISCHR(mode) || S_ISBLK(mode) || S_ISFIFO(mode)))
		return err_set(im->err, EINVAL, "'%s' in the archive is of a type that is not known", im->shown);
	if (!*im->name.data) {
		if (!link && S_ISDIR(mode))
			r = set_attributes(im, im->tree.root);
		else
			return err_set(im->err, EINVAL, "'%s' in the archive would take the place of the volume itself",
				       im->shown);
		return r ? refuse(im, r) : 0;
	}
	r = tree_parent(&im->tree, (char *)im->name.data, true, im->shown, &folder, &last, im->err);
	if (r)
		return r;
	return link ? make_link(im, folder, last, link) : import_node(im, folder, last);
}

/* --- the archive --- */

/* What libarchive does itself: nothing in an archive starts a program. */
static int (*const filters[])(struct archive *) = {
	archive_read_support_filter_gzip, archive_read_support_filter_bzip2, archive_read_support_filter_xz,
	archive_read_support_filter_lzma, archive_read_support_filter_zstd,  archive_read_support_filter_lz4,
	archive_read_support_filter_compress,
};

static int open_archive(struct import *im)
{
	int r = ARCHIVE_OK;

	im->a = archive_read_new();
	im->input = malloc(READ_SIZE);
	if (!im->a || !im->input)
		return err_set(im->err, ENOMEM, "out of memory");
	for (size_t i = 0; i < sizeof filters / sizeof *filters && r == ARCHIVE_OK; i++)
		r = filters[i](im->a);
	if (r == ARCHIVE_OK)
		r = archive_read_support_format_tar(im->a);
	if (r == ARCHIVE_OK)
		r = archive_read_open(im->a, im, NULL, read_input, NULL);
	return r == ARCHIVE_OK ? 0 : refuse_archive(im);
}

/* An archive that ends without its mark of zeros was cut at the end of an entry. */
static int check_end(struct import *im)
{
	if (archive_filter_bytes(im->a, 0) > archive_read_header_position(im->a))
		return 0;
	if (!im->result.entries)
		return err_set(im->err, EINVAL, "the archive is empty");
	return err_set(im->err, EINVAL, "the archive is cut short after '%s': it lacks its end", im->shown);
}

static int import_all(struct import *im)
{
	int r = open_archive(im), got;

	while (!r && (got = archive_read_next_header(im->a, &im->e)) != ARCHIVE_EOF) {
		const char *why = got == ARCHIVE_WARN ? archive_error_string(im->a) : NULL;
		AUTO_FREE char *kept =
			why ? strdup(why) : NULL; /* reading goes on before it is told, with the entry's name */

		r = is_bad(got) ? refuse_archive(im) : import_entry(im);
		if (kept && !r)
			warn(im, kept);
	}
	if (!r)
		r = check_end(im);
	if (r)
		return r;
	r = tree_finish(&im->tree);
	return r ? err_set(im->err, -r, "the folders' times could not be set: %s", err_name(-r)) : 0;
}

int tar_import(struct store *s, uint64_t root, const struct tar_import_options *o, struct tar_import_result *ret,
	       struct err *err)
{
	struct import im = {.s = s,
			    .o = o,
			    .tree = {.s = s, .root = root, .strip = o->strip},
			    .err = err,
			    .shown = "its beginning"};
	locale_t before = archive_locale_enter();
	int r = import_all(&im);

	archive_read_free(im.a);
	archive_locale_leave(before);
	tree_free(&im.tree);
	buf_free(&im.name);
	buf_free(&im.target);
	buf_free(&im.acl);
	free(im.input);
	if (!r)
		*ret = im.result;
	return r;
}
