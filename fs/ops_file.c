/* Handlers of open files. */
#include <errno.h>
#include <fcntl.h>

#include "fs/ops_internal.h"
#include "store/volume/file_io.h"

static unsigned open_flags(const struct fuse_file_info *fi)
{
	unsigned flags = 0;

	if ((fi->flags & O_ACCMODE) != O_RDONLY)
		flags |= FILE_OPEN_WRITE;
	if (fi->flags & O_TRUNC)
		flags |= FILE_OPEN_TRUNC;
	if (session_request()->kill_priv)
		flags |= FILE_OPEN_KILL_PRIV;
	return flags;
}

/* Opens for writing get a handle, by which each is closed once. */
static int open_node(fuse_req_t req, const struct op *op, uint64_t node, unsigned flags, uint64_t *ret_handle)
{
	struct daemon *d = ops_daemon(req);
	const struct request *r = session_request();
	uint32_t pid = (uint32_t)fuse_req_ctx(req)->pid;
	uint64_t handle = 0;
	int ret;

	if ((flags & FILE_OPEN_WRITE) && r->resent)
		handle = open_table_find(d->opens, r->unique);
	ret = handle ? 0 : file_open(d->store, op, node, flags, pid);
	if (!ret && !handle && (flags & FILE_OPEN_WRITE)) {
		ret = open_table_add(d->opens, node, r->unique, pid, &handle);
		if (ret)
			file_release(d->store, node, FILE_OPEN_WRITE);
		else
			node_table_writer(d->nodes, node, 1);
	}
	if (!ret)
		*ret_handle = handle;
	return ret;
}

static void close_node(struct daemon *d, uint64_t node, uint64_t handle)
{
	if (!handle) {
		file_release(d->store, node, 0);
	} else if (open_table_remove(d->opens, handle)) {
		file_release(d->store, node, FILE_OPEN_WRITE);
		node_table_writer(d->nodes, node, -1);
	}
}

static void reply_flags(struct fuse_file_info *fi)
{
	fi->keep_cache = 1; /* without it, open(2) writes out what is dirty, page by page */
}

void ops_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct daemon *d = ops_daemon(req);
	const struct op op = ops_op(req);
	int ret;

	reply_flags(fi);
	/* The daemon's own opens do not count. */
	if (fence_is_own_thread(d->fence, fuse_req_ctx(req)->pid)) {
		fi->fh = FENCE_FH;
		(void)fuse_reply_open(req, fi);
		return;
	}
	ret = open_node(req, &op, node, open_flags(fi), &fi->fh);
	if (ret)
		ops_reply_err(req, ret);
	else if (fuse_reply_open(req, fi))
		close_node(d, node, fi->fh);
}

void ops_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct daemon *d = ops_daemon(req);
	const struct op open_op = ops_op(req);
	unsigned flags = open_flags(fi);
	struct fuse_entry_param e;
	struct attr a;
	struct op op;
	uint64_t node;
	int ret;

	if (ops_done(req, &op, &node))
		ret = ns_getattr(d->store, node, &a);
	else
		ret = ns_create(d->store, &op, parent, name, S_IFREG | (mode & ~(mode_t)S_IFMT), 0, NULL, &a);
	if (!ret)
		flags &= FILE_OPEN_WRITE;
	else if (ret == -EEXIST && !(fi->flags & O_EXCL))
		ret = ns_lookup(d->store, parent, name, &a);
	if (!ret)
		ret = node_table_ref(d->nodes, a.node);
	if (ret) {
		ops_reply_err(req, ret);
		return;
	}
	ret = open_node(req, &open_op, a.node, flags, &fi->fh);
	if (ret) {
		ops_unref(d, a.node, 1);
		ops_reply_err(req, ret);
		return;
	}
	if (flags & FILE_OPEN_TRUNC)
		a.size = 0;
	reply_flags(fi);
	ops_entry_param(d, &a, &e);
	if (fuse_reply_create(req, &e, fi)) {
		close_node(d, a.node, fi->fh);
		ops_unref(d, a.node, 1);
	}
}

void ops_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	if (fi->fh != FENCE_FH)
		close_node(ops_daemon(req), node, fi->fh);
	ops_reply_err(req, 0);
}

void ops_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi)
{
	void *buf = session_scratch();
	size_t len = 0;
	int ret;

	(void)fi;
	if (size > SESSION_IO_MAX)
		size = SESSION_IO_MAX;
	ret = file_read(ops_daemon(req)->store, node, buf, size, off, true, &len);
	if (ret == -EAGAIN)
		ops_wait_read(req, node, size, off);
	else if (ret)
		ops_reply_err(req, ret);
	else
		(void)fuse_reply_buf(req, buf, len);
}

int ops_write_error(int ret, unsigned flags)
{
	return ret == -EDQUOT && (flags & FILE_WRITE_KEEP_TIMES) ? -ENOSPC : ret;
}

void ops_write(fuse_req_t req, fuse_ino_t node, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	const struct op op = ops_op(req);
	unsigned flags = session_request()->kill_priv ? FILE_WRITE_KILL_PRIV : 0;
	int ret;

	if (fi->writepage)
		flags |= FILE_WRITE_KEEP_TIMES;
	ret = file_write(ops_daemon(req)->store, &op, node, buf, size, off, flags, true);
	if (ret == -EAGAIN)
		ops_wait_write(req, node, buf, size, off, flags);
	else if (ret)
		ops_reply_err(req, ops_write_error(ret, flags));
	else {
		ops_written(ops_daemon(req), node);
		(void)fuse_reply_write(req, size);
	}
}
