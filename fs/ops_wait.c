/* Requests that wait: for a flush, a disk read, room in the ring, the kernel's dirty pages. A worker that waited would
 * stall every container, so they are parked, with all that the answer needs.
 *
 * One fsync at a time is done by the worker itself: a lone stream of them then costs no change of thread, and the other
 * worker goes on serving. The second one that comes while the first waits is parked, and they share a flush. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/ops_internal.h"
#include "store/volume/file_io.h"

struct waiting {
	struct parked_job job; /* first */
	struct daemon *d;
	fuse_req_t req;
	struct op op;
	uint64_t node, other;
	int64_t off, len, other_off;
	unsigned flags; /* of a write, a mode of fallocate, a whence, a mask */
	void *buffer; /* a write's: the whole request, taken from the session */
	const void *data;
	struct attr want;
};

static struct waiting *waiting_new(fuse_req_t req, uint64_t node, void (*run)(struct parked_job *, void *))
{
	struct waiting *w = calloc(1, sizeof *w);

	if (!w) {
		ops_reply_err(req, -ENOMEM);
		return NULL;
	}
	w->job.run = run;
	w->d = ops_daemon(req);
	w->req = req;
	w->op = ops_op(req);
	w->node = node;
	return w;
}

static void park_in(struct parked *p, struct waiting *w)
{
	int ret = parked_add(p, &w->job);

	if (!ret)
		return;
	ops_reply_err(w->req, ret);
	if (w->buffer)
		session_give_buffer(w->d->session, w->buffer);
	free(w);
}

static void park(struct waiting *w)
{
	park_in(w->d->parked, w);
}

/* --- read, write, truncate --- */

static void read_run(struct parked_job *job, void *scratch)
{
	struct waiting *w = (struct waiting *)job;
	size_t len = 0;
	int ret = file_read(w->d->store, w->node, scratch, (size_t)w->len, w->off, false, &len);

	if (ret)
		ops_reply_err(w->req, ret);
	else
		(void)fuse_reply_buf(w->req, scratch, len);
	free(w);
}

void ops_wait_read(fuse_req_t req, uint64_t node, size_t size, off_t off)
{
	struct waiting *w = waiting_new(req, node, read_run);

	if (!w)
		return;
	w->off = off;
	w->len = (int64_t)size;
	park(w);
}

static void write_run(struct parked_job *job, void *scratch)
{
	struct waiting *w = (struct waiting *)job;
	int ret = file_write(w->d->store, &w->op, w->node, w->data, (size_t)w->len, w->off, w->flags, false);

	(void)scratch;
	session_give_buffer(w->d->session, w->buffer);
	if (ret)
		ops_reply_err(w->req, ops_write_error(ret, w->flags));
	else {
		ops_written(w->d, w->node);
		(void)fuse_reply_write(w->req, (size_t)w->len);
	}
	free(w);
}

void ops_wait_write(fuse_req_t req, uint64_t node, const void *data, size_t size, off_t off, unsigned flags)
{
	struct waiting *w = waiting_new(req, node, write_run);

	if (!w)
		return;
	if (session_take_buffer(&w->buffer)) {
		free(w);
		ops_reply_err(req, -ENOMEM);
		return;
	}
	w->data = data;
	w->off = off;
	w->len = (int64_t)size;
	w->flags = flags;
	park(w);
}

static void setattr_run(struct parked_job *job, void *scratch)
{
	struct waiting *w = (struct waiting *)job;

	(void)scratch;
	ops_setattr_now(w->req, w->d, &w->op, w->node, &w->want, w->flags);
	free(w);
}

void ops_wait_setattr(fuse_req_t req, uint64_t node, const struct attr *want, unsigned mask)
{
	struct waiting *w = waiting_new(req, node, setattr_run);

	if (!w)
		return;
	w->want = *want;
	w->flags = mask;
	park(w);
}

/* --- fsync --- */

/* Node 0: everything, as fsync of a folder asks. */
static int sync_node(struct daemon *d, uint64_t node)
{
	return node ? file_fsync(d->store, node) : file_sync_meta(d->store);
}

static void sync_run(struct parked_job *job, void *scratch)
{
	struct waiting *w = (struct waiting *)job;

	(void)scratch;
	ops_reply_err(w->req, sync_node(w->d, w->node));
	free(w);
}

static void sync_or_park(fuse_req_t req, uint64_t node)
{
	struct daemon *d = ops_daemon(req);
	struct waiting *w;

	if (!atomic_exchange(&d->sync_inline, true)) {
		int ret = sync_node(d, node);

		atomic_store(&d->sync_inline, false);
		ops_reply_err(req, ret);
		return;
	}
	w = waiting_new(req, node, sync_run);
	if (w)
		park(w);
}

void ops_fsync(fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	/* The fence only wants the data here, and it came before this request. */
	if (fi->fh == FENCE_FH)
		ops_reply_err(req, 0);
	else
		sync_or_park(req, node);
}

void ops_fsyncdir(fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *fi)
{
	(void)node;
	(void)datasync;
	(void)fi;
	sync_or_park(req, 0);
}

/* --- fallocate, copy_file_range, lseek --- */

/* The kernel leaves it to us, and does not say whether the caller may keep suid and sgid: only root may. */
static int kill_priv(const struct waiting *w, uint64_t node)
{
	const struct attr none = {0};
	struct attr a;

	return w->op.uid ? ns_setattr(w->d->store, &w->op, node, &none, NS_KILL_PRIV, &a) : 0;
}

static void fallocate_run(struct parked_job *job, void *scratch)
{
	struct waiting *w = (struct waiting *)job;
	int ret = kill_priv(w, w->node);

	(void)scratch;
	if (!ret)
		ret = file_fallocate(w->d->store, &w->op, w->node, (int)w->flags, w->off, w->len);
	ops_reply_err(w->req, ret);
	free(w);
}

void ops_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
	struct waiting *w = waiting_new(req, node, fallocate_run);

	(void)fi;
	if (!w)
		return;
	w->flags = (unsigned)mode;
	w->off = off;
	w->len = len;
	park(w);
}

static void copy_run(struct parked_job *job, void *scratch)
{
	struct waiting *w = (struct waiting *)job;
	int64_t copied = 0;
	int ret = kill_priv(w, w->other);

	(void)scratch;
	if (!ret)
		ret = file_copy_range(w->d->store, &w->op, w->node, w->off, w->other, w->other_off, w->len, &copied);
	if (ret)
		ops_reply_err(w->req, ret);
	else
		(void)fuse_reply_write(w->req, (size_t)copied);
	free(w);
}

void ops_copy_file_range(fuse_req_t req, fuse_ino_t src, off_t src_off, struct fuse_file_info *src_fi, fuse_ino_t dst,
			 off_t dst_off, struct fuse_file_info *dst_fi, size_t len, int flags)
{
	struct waiting *w;

	(void)src_fi;
	(void)dst_fi;
	if (flags) {
		ops_reply_err(req, -EINVAL);
		return;
	}
	w = waiting_new(req, src, copy_run);
	if (!w)
		return;
	w->off = src_off;
	w->other = dst;
	w->other_off = dst_off;
	w->len = len < INT32_MAX ? (int64_t)len : INT32_MAX & ~4095; /* the reply has 32 bits */
	park(w);
}

static void reply_lseek(struct daemon *d, fuse_req_t req, uint64_t node, int64_t off, int whence)
{
	int64_t at = 0;
	int ret = file_lseek(d->store, node, off, whence, &at);

	if (ret)
		ops_reply_err(req, ret);
	else
		(void)fuse_reply_lseek(req, at);
}

static void lseek_run(struct parked_job *job, void *scratch)
{
	struct waiting *w = (struct waiting *)job;

	(void)scratch;
	/* When that fails, an error is better than a hole where there is data. */
	int ret = fence_deliver_range(w->d, w->node, w->off);

	if (ret)
		ops_reply_err(w->req, ret);
	else
		reply_lseek(w->d, w->req, w->node, w->off, (int)w->flags);
	free(w);
}

void ops_lseek(fuse_req_t req, fuse_ino_t node, off_t off, int whence, struct fuse_file_info *fi)
{
	struct daemon *d = ops_daemon(req);
	struct waiting *w;

	(void)fi;
	/* The kernel writes nothing out before it asks: what is dirty there would be taken for a hole. */
	if (!node_table_writers(d->nodes, node)) {
		reply_lseek(d, req, node, off, whence);
		return;
	}
	w = waiting_new(req, node, lseek_run);
	if (!w)
		return;
	w->off = off;
	w->flags = (unsigned)whence;
	park_in(d->parked_deliver, w);
}
