/* What the files of handlers (ops*.c) share. */
#ifndef VARVE_FS_OPS_INTERNAL_H
#define VARVE_FS_OPS_INTERNAL_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <stdbool.h>

#include "fs/daemon.h"
#include "store/volume/namespace.h"

/* Only the daemon changes anything, and it says so: what the kernel knows is right until then. */
#define OPS_TIMEOUT_S 86400.0
#define OPS_TIMEOUT_WRITER_S 1.0

struct daemon *ops_daemon(fuse_req_t req);
/* Who asks, under which unique. Only in the worker. */
struct op ops_op(fuse_req_t req);
/* The same, for what must not be carried out twice: true when an earlier daemon has, with the node that it made. */
bool ops_done(fuse_req_t req, struct op *ret_op, uint64_t *ret_node);
void ops_reply_err(fuse_req_t req, int ret);
void ops_stat(const struct attr *a, struct stat *ret);
/* How long attributes hold, as an answer to GETATTR. Of a file that is written, the kernel knows size and times better than we do, but not
 * how many blocks it has. Not told at each write: it would ask again before the next one, twice (attributes, capabilities). */
double ops_attr_timeout(struct daemon *d, const struct attr *a);
/* Data has come: what an entry said of the blocks is outdated. */
void ops_written(struct daemon *d, uint64_t node);
/* Answers with the entry, or the error; -ENOENT with a negative entry when `negative`. */
enum ops_entry { OPS_ENTRY_MADE, OPS_ENTRY_LOOKED_UP };
void ops_reply_entry(fuse_req_t req, int ret, const struct attr *a, enum ops_entry how);
void ops_entry_param(struct daemon *d, const struct attr *a, struct fuse_entry_param *ret);
/* Takes back node_table_ref: the kernel was not told after all. */
void ops_unref(struct daemon *d, uint64_t node, uint64_t n);

/* ops_name.c */
void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_forget(fuse_req_t req, fuse_ino_t node, uint64_t n);
void ops_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void ops_readlink(fuse_req_t req, fuse_ino_t node);
void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
		unsigned flags);
void ops_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t new_parent, const char *new_name);

/* ops_attr.c */
void ops_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void ops_setattr(fuse_req_t req, fuse_ino_t node, struct stat *attr, int to_set, struct fuse_file_info *fi);
void ops_statfs(fuse_req_t req, fuse_ino_t node);
void ops_setxattr(fuse_req_t req, fuse_ino_t node, const char *name, const char *value, size_t size, int flags);
void ops_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size);
void ops_listxattr(fuse_req_t req, fuse_ino_t node, size_t size);
void ops_removexattr(fuse_req_t req, fuse_ino_t node, const char *name);

/* ops_dir.c */
void ops_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void ops_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi);
void ops_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi);

/* ops_file.c */
void ops_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void ops_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void ops_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void ops_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi);
void ops_write(fuse_req_t req, fuse_ino_t node, const char *buf, size_t size, off_t off, struct fuse_file_info *fi);

/* ops_wait.c: what always, or often, has to wait */
void ops_fsync(fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *fi);
void ops_fsyncdir(fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *fi);
void ops_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t off, off_t len, struct fuse_file_info *fi);
void ops_lseek(fuse_req_t req, fuse_ino_t node, off_t off, int whence, struct fuse_file_info *fi);
void ops_copy_file_range(fuse_req_t req, fuse_ino_t src, off_t src_off, struct fuse_file_info *src_fi, fuse_ino_t dst,
			 off_t dst_off, struct fuse_file_info *dst_fi, size_t len, int flags);
/* Of a write of what the kernel had cached, programs only ever see EIO or ENOSPC: so that is what a quota is. */
int ops_write_error(int ret, unsigned flags);
/* Goes on with a read, a write, or a truncation in a thread that may wait. */
void ops_wait_read(fuse_req_t req, uint64_t node, size_t size, off_t off);
void ops_wait_write(fuse_req_t req, uint64_t node, const void *data, size_t size, off_t off, unsigned flags);
void ops_wait_setattr(fuse_req_t req, uint64_t node, const struct attr *want, unsigned mask);
void ops_setattr_now(fuse_req_t req, struct daemon *d, const struct op *op, uint64_t node, const struct attr *want,
		     unsigned mask);

#endif
