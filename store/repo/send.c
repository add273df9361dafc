#include "store/repo/send.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/repo/send_changes.h"
#include "store/repo/stream_id.h"

/* Rows and content that are gathered before they are sent. */
#define BATCH_ROWS 4096
#define BATCH_CONTENT (32 * MIB)

struct send {
	struct store *s;
	struct draft hold;
	bool held;
	bool has_base;
	struct source_view view[2]; /* the snapshot, and what the stream begins from */
	struct stream_out out;
	struct send_writer *writer;
	struct send_rows rows;
	struct repo_progress *progress;
	struct err *err;
};

int send_open(struct store *s, const char *volume, const char *snapshot, const char *from, struct send **ret,
	      struct err *err)
{
	struct send *x;
	int bad = crypt_init();

	if (bad)
		return err_set(err, -bad, "libsodium does not start");
	x = calloc(1, sizeof *x);
	if (!x)
		return err_set(err, ENOMEM, "out of memory");
	x->s = s;
	x->has_base = *from;
	bad = source_find(s, volume, snapshot, &x->view[0], err);
	if (!bad && x->has_base)
		bad = source_find(s, volume, from, &x->view[1], err);
	if (!bad && x->has_base && x->view[0].branch == x->view[1].branch && x->view[0].epoch == x->view[1].epoch)
		bad = err_set(err, EINVAL, "'%s@%s' is what the stream is to begin from", volume, snapshot);
	if (!bad && x->has_base && x->view[0].root_ino != x->view[1].root_ino)
		bad = err_set(err, EXDEV, "'%s@%s' and '%s@%s' have nothing in common: send it without --from", volume,
			      from, volume, snapshot);
	if (!bad)
		bad = source_hold(s, x->view, x->has_base ? 2 : 1, &x->hold, err);
	x->held = !bad;
	if (bad)
		send_free(x);
	else
		*ret = x;
	return bad;
}

void send_free(struct send *x)
{
	if (!x)
		return;
	send_writer_free(x->writer);
	send_rows_free(&x->rows);
	stream_out_free(&x->out);
	if (x->held)
		draft_drop(x->s, &x->hold);
	free(x);
}

static int put_begin(struct send *x)
{
	const struct source_view *v = &x->view[0], *from = &x->view[1];
	struct stream_begin b = {.created = v->created,
				 .bytes = v->bytes,
				 .inodes = v->inodes,
				 .root_ino = v->root_ino,
				 .last_ino = source_last_ino(x->s)};
	AUTO_FREE void *blocks = NULL;
	int bad = 0;

	stream_view_id(x->s, v, &b.id);
	(void)snprintf(b.volume, sizeof b.volume, "%s", v->name);
	(void)snprintf(b.snapshot, sizeof b.snapshot, "%s", v->snapshot);
	if (x->has_base) {
		stream_view_id(x->s, from, &b.from_id);
		(void)snprintf(b.from, sizeof b.from, "%s", from->snapshot);
		bad = stream_received_as(x->s, from, &b.from_origin, &blocks, &b.blocks_len);
		b.blocks = blocks;
		if (bad == -ENOENT)
			bad = 0;
	}
	if (!bad)
		bad = stream_out_begin(&x->out);
	if (!bad)
		bad = stream_begin_encode(&b, stream_out_record(&x->out, STREAM_BEGIN));
	return bad ? bad : stream_out_end(&x->out);
}

/* A batch is put when it is large enough. */
static int put_some(struct send *x, bool all)
{
	if (atomic_load(&x->progress->cancel))
		return err_set(x->err, ECANCELED, "cancelled");
	if (!x->rows.n || (!all && x->rows.n < BATCH_ROWS && x->rows.content < BATCH_CONTENT))
		return 0;
	return send_writer_put(x->writer, &x->rows, x->err);
}

static int between(void *arg)
{
	return put_some(arg, false);
}

static int put_inode(void *arg, const struct inode *inode)
{
	struct send *x = arg;
	int bad = source_shown(&x->view[0], inode) ? send_inode(&x->rows, x->s, NULL, &x->view[0], inode) : 0;

	return bad ? bad : put_some(x, false);
}

static int put_everything(struct send *x)
{
	int bad;

	atomic_store(&x->progress->bytes_total, (uint64_t)x->view[0].bytes);
	bad = source_each_inode(x->s, &x->view[0], put_inode, x);
	return bad ? bad : put_some(x, true);
}

static int put_changes(struct send *x)
{
	struct source_changes c = {0};
	size_t end;
	int bad = send_find_changes(x->s, &x->view[1], &x->view[0], &c);

	for (size_t i = 0; i < c.n && !bad; i = end) {
		for (end = i + 1; end < c.n && c.v[end].ino == c.v[i].ino; end++)
			;
		bad = send_changed(&x->rows, x->s, &x->view[1], &x->view[0], &c, &c.v[i], end - i);
		if (!bad)
			bad = put_some(x, false);
	}
	source_changes_free(&c);
	return bad ? bad : put_some(x, true);
}

int send_run(struct send *x, int (*put)(void *arg, const void *data, size_t len), void *arg,
	     struct repo_progress *progress, struct send_result *ret, struct err *err)
{
	const struct source_view *v = &x->view[0];
	struct err local = {0};
	struct stream_end end;
	int bad;

	x->err = err ? err : &local;
	x->progress = progress;
	x->rows.between = between;
	x->rows.arg = x;
	x->out = (struct stream_out){.put = put, .arg = arg, .err = x->err};
	bad = send_writer_new(x->s, x->has_base ? &x->view[1] : NULL, &x->out, progress, &x->writer);
	if (!bad)
		bad = put_begin(x);
	if (!bad)
		bad = x->has_base ? put_changes(x) : put_everything(x);
	if (!bad)
		bad = send_writer_end(x->writer, &end, x->err);
	if (bad)
		return x->err->code ? bad
				    : err_set(x->err, -bad, "sending '%s@%s': %s", v->name, v->snapshot, err_name(-bad));
	*ret = (struct send_result){x->has_base, end.rows, end.chunks, end.content, x->out.bytes};
	return 0;
}
