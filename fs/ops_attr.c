/* Handlers of attributes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/ops_internal.h"
#include "store/base/cleanup.h"

/* A truncation that frees more than this is not a worker's business: it touches a row for each chunk. */
#define TRUNCATE_SMALL (64 * (int64_t)MIB)
#define GROUPS_MAX 1024

static void reply_attr(fuse_req_t req, int ret, const struct attr *a)
{
	struct stat st;

	if (ret) {
		ops_reply_err(req, ret);
		return;
	}
	ops_stat(a, &st);
	(void)fuse_reply_attr(req, &st, ops_attr_timeout(ops_daemon(req), a));
}

void ops_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct attr a;
	int ret = ns_getattr(ops_daemon(req)->store, node, &a);

	(void)fi;
	reply_attr(req, ret, &a);
}

static int64_t ns_of(const struct timespec *t)
{
	return t->tv_sec * INT64_C(1000000000) + t->tv_nsec;
}

static unsigned set_mask(int to_set)
{
	static const struct {
		int fuse;
		unsigned ns;
	} bits[] = {
		{FUSE_SET_ATTR_MODE, NS_SET_MODE},
		{FUSE_SET_ATTR_UID, NS_SET_UID},
		{FUSE_SET_ATTR_GID, NS_SET_GID},
		{FUSE_SET_ATTR_SIZE, NS_SET_SIZE},
		{FUSE_SET_ATTR_ATIME, NS_SET_ATIME},
		{FUSE_SET_ATTR_MTIME, NS_SET_MTIME},
		{FUSE_SET_ATTR_CTIME, NS_SET_CTIME},
		{FUSE_SET_ATTR_ATIME_NOW, NS_SET_ATIME_NOW},
		{FUSE_SET_ATTR_MTIME_NOW, NS_SET_MTIME_NOW},
	};
	unsigned mask = 0;
	size_t i;

	for (i = 0; i < sizeof bits / sizeof bits[0]; i++)
		if (to_set & bits[i].fuse)
			mask |= bits[i].ns;
	return mask;
}

void ops_setattr_now(fuse_req_t req, struct daemon *d, const struct op *op, uint64_t node, const struct attr *want,
		     unsigned mask)
{
	struct attr a;
	int ret = ns_setattr(d->store, op, node, want, mask, &a);

	reply_attr(req, ret, &a);
}

void ops_setattr(fuse_req_t req, fuse_ino_t node, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	struct daemon *d = ops_daemon(req);
	const struct op op = ops_op(req);
	const struct attr want = {
		.mode = attr->st_mode,
		.uid = attr->st_uid,
		.gid = attr->st_gid,
		.size = attr->st_size,
		.atime = ns_of(&attr->st_atim),
		.mtime = ns_of(&attr->st_mtim),
		.ctime = ns_of(&attr->st_ctim),
	};
	unsigned mask = set_mask(to_set);
	struct attr now;

	(void)fi;
	if ((mask & (NS_SET_UID | NS_SET_GID | NS_SET_SIZE)) && ns_getattr(d->store, node, &now))
		now = (struct attr){0};
	/* A change of owner takes the privileges from anything but a folder, whoever asks. */
	if (session_request()->kill_priv || ((mask & (NS_SET_UID | NS_SET_GID)) && !S_ISDIR(now.mode)))
		mask |= NS_KILL_PRIV;
	if ((mask & NS_SET_SIZE) && now.size - want.size > TRUNCATE_SMALL)
		ops_wait_setattr(req, node, &want, mask);
	else
		ops_setattr_now(req, d, &op, node, &want, mask);
}

void ops_statfs(fuse_req_t req, fuse_ino_t node)
{
	struct ns_statfs s;
	struct statvfs st;
	int ret = ns_statfs(ops_daemon(req)->store, node, &s);

	if (ret) {
		ops_reply_err(req, ret);
		return;
	}
	st = (struct statvfs){
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_blocks = s.total_bytes / 4096,
		.f_bfree = s.free_bytes / 4096,
		.f_bavail = s.avail_bytes / 4096,
		.f_files = s.total_inodes,
		.f_ffree = s.free_inodes,
		.f_favail = s.free_inodes,
		.f_namemax = NAME_LEN_MAX,
	};
	(void)fuse_reply_statfs(req, &st);
}

/* Somebody outside a file's group sets its ACL: chmod would have taken the setgid bit, and so must this. Without it the
 * kernel leaves that to us, and tells only newer versions of the protocol. */
static int acl_kill_sgid(fuse_req_t req, const struct op *op, uint64_t node, const char *name)
{
	struct store *s = ops_daemon(req)->store;
	gid_t groups[GROUPS_MAX];
	struct attr a, want;
	int i, n, ret;

	if (op->uid == 0 || strcmp(name, "system.posix_acl_access") != 0)
		return 0;
	ret = ns_getattr(s, node, &a);
	if (ret || !(a.mode & S_ISGID) || S_ISDIR(a.mode) || a.gid == op->gid)
		return ret;
	n = fuse_req_getgroups(req, GROUPS_MAX, groups);
	for (i = 0; i < n && i < GROUPS_MAX; i++)
		if (groups[i] == a.gid)
			return 0;
	want = (struct attr){.mode = a.mode & ~(uint32_t)S_ISGID};
	return ns_setattr(s, op, node, &want, NS_SET_MODE, &a);
}

void ops_setxattr(fuse_req_t req, fuse_ino_t node, const char *name, const char *value, size_t size, int flags)
{
	const struct op first = ops_op(req);
	struct op op;
	uint64_t none;
	int ret;

	if (ops_done(req, &op, &none)) {
		ops_reply_err(req, 0);
		return;
	}
	ret = acl_kill_sgid(req, &first, node, name);
	if (!ret)
		ret = ns_setxattr(ops_daemon(req)->store, &op, node, name, value, size, flags);
	ops_reply_err(req, ret);
}

/* The size protocol: 0 asks how long the value is. */
static void reply_value(fuse_req_t req, int ret, const void *value, size_t len, size_t size)
{
	if (ret)
		ops_reply_err(req, ret);
	else if (!size)
		(void)fuse_reply_xattr(req, len);
	else if (len > size)
		ops_reply_err(req, -ERANGE);
	else
		(void)fuse_reply_buf(req, value, len);
}

void ops_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size)
{
	AUTO_FREE void *value = NULL;
	size_t len = 0;
	int ret = ns_getxattr(ops_daemon(req)->store, node, name, &value, &len);

	reply_value(req, ret, value, len, size);
}

void ops_listxattr(fuse_req_t req, fuse_ino_t node, size_t size)
{
	struct buf names = {0};
	int ret = ns_listxattr(ops_daemon(req)->store, node, &names);

	reply_value(req, ret, names.data, names.len, size);
	buf_free(&names);
}

void ops_removexattr(fuse_req_t req, fuse_ino_t node, const char *name)
{
	struct op op;
	uint64_t none;

	ops_reply_err(req, ops_done(req, &op, &none) ? 0 : ns_removexattr(ops_daemon(req)->store, &op, node, name));
}
