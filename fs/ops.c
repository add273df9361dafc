#include "fs/ops.h"

#include <errno.h>
#include <time.h>

#include "fs/invalidate.h"
#include "fs/ops_internal.h"

/* Requests in the background (read-ahead, write-back) that the kernel keeps in flight. */
#define BACKGROUND_MAX 64
#define BACKGROUND_CONGESTED 48

static void ops_init(void *userdata, struct fuse_conn_info *conn)
{
	static const unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_EXPORT_SUPPORT |
				       FUSE_CAP_DONT_MASK | FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
				       FUSE_CAP_ASYNC_DIO | FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_PARALLEL_DIROPS |
				       FUSE_CAP_POSIX_ACL | FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPLICIT_INVAL_DATA;

	(void)userdata;
	/* Not the first HANDLE_KILLPRIV, which says nothing of who writes; session.c sets the second. Locks are the
	 * kernel's. */
	conn->want = wanted & conn->capable;
	conn->max_write = SESSION_IO_MAX;
	conn->max_background = BACKGROUND_MAX;
	conn->congestion_threshold = BACKGROUND_CONGESTED;
	conn->time_gran = 1;
}

/* No flush: the kernel then stops asking at close(2). */
static const struct fuse_lowlevel_ops table = {
	.init = ops_init,
	.lookup = ops_lookup,
	.forget = ops_forget,
	.forget_multi = ops_forget_multi,
	.getattr = ops_getattr,
	.setattr = ops_setattr,
	.readlink = ops_readlink,
	.mknod = ops_mknod,
	.mkdir = ops_mkdir,
	.unlink = ops_unlink,
	.rmdir = ops_rmdir,
	.symlink = ops_symlink,
	.rename = ops_rename,
	.link = ops_link,
	.open = ops_open,
	.read = ops_read,
	.write = ops_write,
	.release = ops_release,
	.fsync = ops_fsync,
	.opendir = ops_opendir,
	.readdir = ops_readdir,
	.readdirplus = ops_readdirplus,
	.fsyncdir = ops_fsyncdir,
	.statfs = ops_statfs,
	.setxattr = ops_setxattr,
	.getxattr = ops_getxattr,
	.listxattr = ops_listxattr,
	.removexattr = ops_removexattr,
	.create = ops_create,
	.fallocate = ops_fallocate,
	.copy_file_range = ops_copy_file_range,
	.lseek = ops_lseek,
};

const struct fuse_lowlevel_ops *ops_table(void)
{
	return &table;
}

size_t ops_table_size(void)
{
	return sizeof table;
}

struct daemon *ops_daemon(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

struct op ops_op(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct op){
		.unique = session_request()->unique,
		.uid = ctx->uid,
		.gid = ctx->gid,
		.umask = ctx->umask,
	};
}

bool ops_done(fuse_req_t req, struct op *ret_op, uint64_t *ret_node)
{
	*ret_op = ops_op(req);
	return session_done(ret_node, &ret_op->done);
}

void ops_reply_err(fuse_req_t req, int ret)
{
	(void)fuse_reply_err(req, err_errno(ret));
}

static struct timespec timespec_of(int64_t ns)
{
	int64_t s = ns / 1000000000, rest = ns % 1000000000;

	if (rest < 0) {
		rest += 1000000000;
		s--;
	}
	return (struct timespec){.tv_sec = s, .tv_nsec = rest};
}

void ops_stat(const struct attr *a, struct stat *ret)
{
	*ret = (struct stat){
		.st_ino = a->node,
		.st_mode = a->mode,
		.st_nlink = a->nlink,
		.st_uid = a->uid,
		.st_gid = a->gid,
		.st_rdev = a->rdev,
		.st_size = a->size,
		.st_blocks = a->blocks,
		.st_blksize = 4096,
		.st_atim = timespec_of(a->atime),
		.st_mtim = timespec_of(a->mtime),
		.st_ctim = timespec_of(a->ctime),
	};
}

static bool is_volatile(const struct attr *a)
{
	return S_ISREG(a->mode) && !(a->flags & ATTR_READONLY);
}

double ops_attr_timeout(struct daemon *d, const struct attr *a)
{
	return is_volatile(a) && node_table_writers(d->nodes, a->node) ? OPS_TIMEOUT_WRITER_S : OPS_TIMEOUT_S;
}

void ops_written(struct daemon *d, uint64_t node)
{
	if (node_table_take_told(d->nodes, node))
		invalidate_attr(d, node);
}

void ops_entry_param(struct daemon *d, const struct attr *a, struct fuse_entry_param *ret)
{
	*ret = (struct fuse_entry_param){
		.ino = a->node,
		.attr_timeout = OPS_TIMEOUT_S,
		.entry_timeout = OPS_TIMEOUT_S,
	};
	if (is_volatile(a))
		node_table_told(d->nodes, a->node);
	ops_stat(a, &ret->attr);
}

void ops_unref(struct daemon *d, uint64_t node, uint64_t n)
{
	/* An orphan that stays is freed when the store is opened. */
	if (node_table_forget(d->nodes, node, n))
		(void)ns_forget(d->store, node);
}

void ops_reply_entry(fuse_req_t req, int ret, const struct attr *a, enum ops_entry how)
{
	struct daemon *d = ops_daemon(req);
	struct fuse_entry_param e;

	if (ret == -ENOENT && how == OPS_ENTRY_LOOKED_UP) {
		e = (struct fuse_entry_param){.entry_timeout = OPS_TIMEOUT_S};
		(void)fuse_reply_entry(req, &e);
		return;
	}
	/* Counted before the kernel knows: its FORGET may come to the other worker at once. */
	if (!ret)
		ret = node_table_ref(d->nodes, a->node);
	if (ret) {
		ops_reply_err(req, ret);
		return;
	}
	ops_entry_param(d, a, &e);
	if (fuse_reply_entry(req, &e))
		ops_unref(d, a->node, 1);
}
