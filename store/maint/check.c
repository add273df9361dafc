/* The check: first the chunks' bytes, if asked for, then what must hold between the tables, then every view.
 *
 * A head changes while it is looked at, so it is walked under one hold of the store lock, and so are the tables that are recounted
 * against each other; a snapshot never changes, so its walk lets others run after every slice. */
#include "store/maint/check_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store/meta/audit.h"

#define LINE_MAX_ 8192

static void add_line(struct check *c, const char *fmt, va_list ap)
{
	char line[LINE_MAX_];

	(void)vsnprintf(line, sizeof line, fmt, ap);
	for (char *p = line; *p; p++)
		if (*p == '\n')
			*p = '?';
	if (buf_add(&c->lines, line, strlen(line) + 1))
		c->failed = -ENOMEM;
}

void check_find(struct check *c, const char *fmt, ...)
{
	va_list ap;

	c->result.errors++;
	va_start(ap, fmt);
	add_line(c, fmt, ap);
	va_end(ap);
}

void check_tell(struct check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_line(c, fmt, ap);
	va_end(ap);
}

void check_flush(struct check *c)
{
	for (size_t at = 0; at < c->lines.len; at += strlen((char *)c->lines.data + at) + 1)
		c->report(c->arg, (const char *)c->lines.data + at);
	buf_reset(&c->lines);
}

static void found(void *arg, const char *line)
{
	check_find(arg, "%s", line);
}

/* drain_lock: commits wait outside the store lock while the database file is read, instead of inside it. */
static void check_file(struct check *c)
{
	struct err err = {0};

	LOCK_SCOPE(&c->s->drain_lock);
	if (meta_integrity(c->s->meta, &err))
		check_find(c, "%s", err.text);
}

static int check_tables(struct check *c)
{
	struct chunk_totals totals = {0};
	int ret;

	LOCK_SCOPE(&c->s->lock);
	ret = chunk_totals(c->s->meta, &totals);
	c->result.chunks = totals.chunks;
	return ret ? ret : audit_tables(c->s->meta, found, c);
}

static int next_volume(struct check *c, struct volume_row *vol)
{
	LOCK_SCOPE(&c->s->lock);
	return volume_next_any(c->s->meta, vol);
}

static int next_snapshot(struct check *c, int64_t volume, struct snapshot_row *snap)
{
	LOCK_SCOPE(&c->s->lock);
	return snapshot_next(c->s->meta, volume, snap->created, snap->id, snap);
}

static int check_volume(struct check *c, const struct volume_row *vol)
{
	struct snapshot_row snap = {0};
	int ret = check_view(c, vol, NULL);

	while (!ret && (ret = next_snapshot(c, vol->id, &snap)) == 0)
		ret = check_view(c, vol, &snap);
	return ret < 0 ? ret : 0;
}

static int check_volumes(struct check *c)
{
	struct volume_row vol = {0};
	int ret = 0;

	while (!ret && (ret = next_volume(c, &vol)) == 0)
		ret = check_volume(c, &vol);
	volume_row_free(&vol);
	return ret < 0 ? ret : 0;
}

int check_store(struct store *s, unsigned flags, void (*report)(void *arg, const char *line), void *arg, struct check_result *ret,
		struct err *err)
{
	struct check c = {.s = s, .flags = flags, .report = report, .arg = arg};
	int r = 0;

	if (flags & CHECK_DATA)
		r = check_data(&c);
	check_file(&c);
	check_flush(&c);
	if (!r)
		r = check_tables(&c);
	check_flush(&c);
	if (!r)
		r = check_volumes(&c);
	check_flush(&c);
	if (!r)
		r = c.failed;
	/* Rows that cannot be read are what a check is for: a finding, not a failure. */
	if (r == -ECORRUPT) {
		check_find(&c, "metadata is damaged so that the check could not go on");
		check_flush(&c);
		r = 0;
	}
	free(c.bad_chunks);
	buf_free(&c.lines);
	if (r)
		return err_set(err, -r, "the check could not finish: %s", err_name(-r));
	*ret = c.result;
	return 0;
}
