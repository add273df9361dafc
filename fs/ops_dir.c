/* Listings. The kernel keeps them (OPENDIR is answered ENOSYS, which says so) until the folder changes or invalidate.c
 * tells it. */
#include <errno.h>
#include <linux/fuse.h>
#include <string.h>

#include "fs/ops_internal.h"

/* Fills a reply with entries. Entries with one cookie stay together: a reply ends between groups, or the next one would
 * leave some out. */
struct listing {
	fuse_req_t req;
	struct daemon *d;
	char *buf;
	size_t size, used;
	size_t group; /* where the entries with the last one's cookie begin */
	bool plus;
	bool full;
};

void ops_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	(void)node;
	(void)fi;
	ops_reply_err(req, -ENOSYS);
}

/* "." and "..", which the kernel does not count as looked up */
static bool is_dots(const char *name, size_t len)
{
	return name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
}

/* Takes back the look-ups that the entries in [from, used) would have counted as. */
static void drop_entries(struct listing *l, size_t from)
{
	size_t at = from;

	while (l->plus && at < l->used) {
		const struct fuse_direntplus *e = (const void *)(l->buf + at);

		if (e->entry_out.nodeid && !is_dots(e->dirent.name, e->dirent.namelen))
			ops_unref(l->d, e->entry_out.nodeid, 1);
		at += FUSE_DIRENTPLUS_SIZE(e);
	}
	l->used = from;
}

static int add_entry(void *arg, const struct ns_entry *e)
{
	struct listing *l = arg;
	size_t room = l->size - l->used, need;
	struct fuse_entry_param param = {0};
	struct stat st;
	bool counted = l->plus && !is_dots(e->name, strlen(e->name));

	if (l->plus) {
		ops_entry_param(l->d, &e->attr, &param);
		/* A node 0 lets the kernel look it up by itself. */
		if (counted && node_table_ref(l->d->nodes, e->attr.node)) {
			param.ino = 0;
			counted = false;
		}
		need = fuse_add_direntry_plus(l->req, l->buf + l->used, room, e->name, &param, (off_t)e->cookie);
		if (need > room && counted)
			ops_unref(l->d, e->attr.node, 1);
	} else {
		st = (struct stat){.st_ino = e->attr.node, .st_mode = e->attr.mode};
		need = fuse_add_direntry(l->req, l->buf + l->used, room, e->name, &st, (off_t)e->cookie);
	}
	if (need > room) {
		drop_entries(l, l->group);
		l->full = true;
		return 1;
	}
	l->used += need;
	if (!e->more_same)
		l->group = l->used;
	return 0;
}

static void list(fuse_req_t req, uint64_t node, size_t size, off_t off, bool plus)
{
	struct listing l = {
		.req = req,
		.d = ops_daemon(req),
		.buf = session_scratch(),
		.size = size < SESSION_IO_MAX ? size : SESSION_IO_MAX,
		.plus = plus,
	};
	int ret = ns_readdir(l.d->store, node, (uint64_t)off, plus, add_entry, &l);

	if (ret < 0) {
		drop_entries(&l, 0);
		ops_reply_err(req, ret);
		return;
	}
	/* An empty reply would say that the listing ends here. */
	if (!l.used && l.full) {
		ops_reply_err(req, -EINVAL);
		return;
	}
	if (fuse_reply_buf(req, l.buf, l.used))
		drop_entries(&l, 0);
}

void ops_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, node, size, off, false);
}

void ops_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, node, size, off, true);
}
