/* Handlers of names. */
#include <stdlib.h>
#include <sys/stat.h>

#include "fs/ops_internal.h"
#include "store/base/cleanup.h"

void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct attr a;
	int ret = ns_lookup(ops_daemon(req)->store, parent, name, &a);

	ops_reply_entry(req, ret, &a, OPS_ENTRY_LOOKED_UP);
}

void ops_forget(fuse_req_t req, fuse_ino_t node, uint64_t n)
{
	ops_unref(ops_daemon(req), node, n);
	fuse_reply_none(req);
}

void ops_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	size_t i;

	for (i = 0; i < count; i++)
		ops_unref(ops_daemon(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

void ops_readlink(fuse_req_t req, fuse_ino_t node)
{
	AUTO_FREE char *target = NULL;
	int ret = ns_readlink(ops_daemon(req)->store, node, &target);

	if (ret)
		ops_reply_err(req, ret);
	else
		(void)fuse_reply_readlink(req, target);
}

static void make(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev, const char *target)
{
	struct store *s = ops_daemon(req)->store;
	struct attr a;
	struct op op;
	uint64_t node;
	int ret = ops_done(req, &op, &node) ? ns_getattr(s, node, &a)
					    : ns_create(s, &op, parent, name, mode, rdev, target, &a);

	ops_reply_entry(req, ret, &a, OPS_ENTRY_MADE);
}

void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	make(req, parent, name, mode, rdev, NULL);
}

void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	make(req, parent, name, S_IFDIR | (mode & ~(mode_t)S_IFMT), 0, NULL);
}

void ops_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	make(req, parent, name, S_IFLNK | 0777, 0, target);
}

void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct op op;
	uint64_t none;

	ops_reply_err(req, ops_done(req, &op, &none) ? 0 : ns_unlink(ops_daemon(req)->store, &op, parent, name));
}

void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct op op;
	uint64_t none;

	ops_reply_err(req, ops_done(req, &op, &none) ? 0 : ns_rmdir(ops_daemon(req)->store, &op, parent, name));
}

void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
		unsigned flags)
{
	struct store *s = ops_daemon(req)->store;
	struct op op;
	uint64_t none;

	ops_reply_err(req, ops_done(req, &op, &none) ? 0 : ns_rename(s, &op, parent, name, new_parent, new_name, flags));
}

void ops_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t new_parent, const char *new_name)
{
	struct store *s = ops_daemon(req)->store;
	struct attr a;
	struct op op;
	uint64_t made;
	int ret = ops_done(req, &op, &made) ? ns_getattr(s, made, &a) : ns_link(s, &op, node, new_parent, new_name, &a);

	ops_reply_entry(req, ret, &a, OPS_ENTRY_MADE);
}
