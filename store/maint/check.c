/* The check: first the chunks' bytes, if asked for, then what must hold between the tables, then every view.
 *
 * What was acknowledged is committed first; then a reader (store/meta/reader.h) looks at the database as a commit left it, so that all
 * that is counted against each other is of one instant, while operations go on. The reader goes on to a newer commit between steps, of
 * which each is about one instant alone: a statement over the tables, a head; within a snapshot, which cannot change, after any slice.
 * That bounds how long the WAL cannot start over; should it grow beyond WAL_MAX nevertheless, the check gives up. */
#include "store/maint/check_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store/meta/audit.h"
#include "store/meta/reader.h"

#define LINE_MAX_ 8192
#define PAGES_A_SLICE 128
#define RENEW_US 1000000
#define WAL_MAX GIB

/* Of all that there is to do. Reading chunks dwarfs the rest. */
#define SHARE_DATA 0.75
#define SHARE_PAGES 0.1
#define SHARE_STRUCTURE 0.15
#define SHARE_TABLES 0.25
#define SHARE_VIEWS 0.5

static void say(struct check *c, const char *fmt, va_list ap)
{
	char line[LINE_MAX_];

	(void)vsnprintf(line, sizeof line, fmt, ap);
	for (char *p = line; *p; p++)
		if (*p == '\n')
			*p = '?';
	c->watch->report(c->watch->arg, line);
}

void check_find(struct check *c, const char *fmt, ...)
{
	va_list ap;

	c->result.errors++;
	va_start(ap, fmt);
	say(c, fmt, ap);
	va_end(ap);
}

void check_tell(struct check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(c, fmt, ap);
	va_end(ap);
}

static void found(void *arg, const char *line)
{
	check_find(arg, "%s", line);
}

/* Asked by the reader during statements, too. */
static bool must_stop(void *arg)
{
	struct check *c = arg;

	if (!c->stopped && c->watch->cancelled && c->watch->cancelled(c->watch->arg))
		c->stopped = -ECANCELED;
	if (!c->stopped && c->m && c->m != c->s->meta && meta_wal_size(c->s->meta) > WAL_MAX)
		c->stopped = -EAGAIN;
	return c->stopped;
}

int check_step(struct check *c, uint64_t done, uint64_t total)
{
	double part = c->part + c->share * (total && done < total ? (double)done / (double)total : 1);

	c->shown = part > c->shown ? part : c->shown;
	if (c->watch->progress)
		c->watch->progress(c->watch->arg, c->shown);
	return must_stop(c) ? c->stopped : 0;
}

/* The current step is done, the next one has this share of what --data leaves. */
static void next_step(struct check *c, double share)
{
	c->part += c->share;
	c->share = share * (c->flags & CHECK_DATA ? 1 - SHARE_DATA : 1);
}

int check_renew(struct check *c)
{
	if (c->m == c->s->meta)
		return 0;
	c->renewed_us = mono_us();
	return meta_reader_renew(c->m);
}

int check_renew_if_due(struct check *c)
{
	return mono_us() - c->renewed_us > RENEW_US ? check_renew(c) : 0;
}

static int check_pages(struct check *c)
{
	int64_t page = 1, total = meta_pages(c->s->meta);
	struct err err = {0};
	int ret = 0;

	while (!ret && page) {
		if (meta_check_pages(c->s->meta, &page, PAGES_A_SLICE, &err)) {
			check_find(c, "%s", err.text);
			return 0;
		}
		ret = check_step(c, page ? (uint64_t)page : (uint64_t)total, (uint64_t)total);
	}
	return ret;
}

static int check_structure(struct check *c)
{
	struct err err = {0};
	int ret = meta_check_structure(c->m, &err);

	if (ret && ret != -ECANCELED)
		check_find(c, "%s", err.text);
	return ret == -ECANCELED ? ret : 0;
}

static bool is_short(struct check *c, uint32_t pack, uint64_t end)
{
	uint64_t len;

	return chunk_store_pack_length(c->s->chunks, pack, &len) || len < end;
}

struct pack_ends {
	struct check *c;
	uint32_t pack; /* the one to look for; 0: any */
	uint64_t end;
};

static int find_end(void *arg, uint32_t pack, uint64_t end)
{
	struct pack_ends *e = arg;

	if (pack == e->pack)
		e->end = end;
	return pack == e->pack;
}

/* The reader sees an older commit: the pack may have been emptied and removed since. */
static int check_pack_end(void *arg, uint32_t pack, uint64_t end)
{
	struct check *c = ((struct pack_ends *)arg)->c;
	struct pack_ends now = {.c = c, .pack = pack};
	int ret = 0;

	if (!is_short(c, pack, end))
		return 0;
	if (c->m != c->s->meta) {
		LOCK_SCOPE(&c->s->lock);
		ret = audit_pack_ends(c->s->meta, find_end, &now);
	} else {
		now.end = end;
	}
	if (!ret && now.end && is_short(c, pack, now.end))
		check_find(c, "pack %08x is missing, or ends before %llu, where its last chunk does", pack, (unsigned long long)now.end);
	return ret;
}

static int check_tables(struct check *c)
{
	struct chunk_totals totals = {0};
	unsigned n = audit_count();
	int ret = chunk_totals(c->m, &totals);

	c->result.chunks = totals.chunks;
	for (unsigned i = 0; i < n && !ret; i++) {
		ret = check_renew(c);
		if (!ret)
			ret = audit_tables(c->m, i, found, c);
		if (!ret)
			ret = check_step(c, i + 1, n);
	}
	return ret ? ret : audit_pack_ends(c->m, check_pack_end, &(struct pack_ends){.c = c});
}

/* Calls fn for every view: for each volume its head, then its snapshots. fn may renew the reader. */
static int each_view(struct check *c, int (*fn)(struct check *c, const struct volume_row *vol, const struct snapshot_row *snap, void *arg),
		     void *arg)
{
	struct volume_row vol = {0};
	int ret = 0;

	while (!ret && (ret = volume_next_any(c->m, &vol)) == 0) {
		struct snapshot_row snap = {0};

		ret = fn(c, &vol, NULL, arg);
		while (!ret && (ret = snapshot_next_any(c->m, vol.id, snap.created, snap.id, &snap)) == 0)
			ret = fn(c, &vol, &snap, arg);
		ret = ret > 0 ? 0 : ret;
	}
	volume_row_free(&vol);
	return ret < 0 ? ret : 0;
}

struct views {
	uint64_t done, total; /* inodes */
	int64_t last_snapshot; /* what came while others were looked at is another check's */
};

static int add_view(struct check *c, const struct volume_row *vol, const struct snapshot_row *snap, void *arg)
{
	const struct branch *b = snap ? NULL : branch_get(c->m, vol->branch);
	struct views *v = arg;

	v->total += (uint64_t)(snap ? snap->inodes : b ? b->inodes : 0);
	if (snap && snap->id > v->last_snapshot)
		v->last_snapshot = snap->id;
	return 0;
}

static int one_view(struct check *c, const struct volume_row *vol, const struct snapshot_row *snap, void *arg)
{
	struct views *v = arg;

	if (!snap && (vol->flags & VOLUME_FILLING))
		return 0; /* a pull puts entries in before or after what they name */
	return snap && snap->id > v->last_snapshot ? 0 : check_view(c, vol, snap, &v->done, v->total);
}

static int check_views(struct check *c)
{
	struct views v = {0};
	int ret = check_renew(c);

	if (!ret)
		ret = each_view(c, add_view, &v);
	if (!ret)
		ret = each_view(c, one_view, &v);
	return ret ? ret : check_step(c, 1, 1);
}

static int open_reader(struct check *c)
{
	struct err err = {0};
	int ret = 0;

	if (c->s->flags & STORE_READONLY)
		c->m = c->s->meta;
	else
		ret = meta_reader_open(c->s->dir, &c->m, &err);
	if (ret)
		return ret;
	c->renewed_us = mono_us();
	meta_reader_watch(c->m, must_stop, c);
	return 0;
}

static void close_reader(struct check *c)
{
	if (c->m == c->s->meta)
		meta_reader_watch(c->m, NULL, NULL);
	else
		meta_free(c->m);
}

static int check_metadata(struct check *c)
{
	int ret = open_reader(c);

	if (!ret)
		ret = check_pages(c);
	next_step(c, SHARE_STRUCTURE);
	if (!ret)
		ret = check_structure(c);
	next_step(c, SHARE_TABLES);
	if (!ret)
		ret = check_tables(c);
	next_step(c, SHARE_VIEWS);
	if (!ret)
		ret = check_views(c);
	close_reader(c);
	return ret;
}

static int run(struct check *c)
{
	int ret = c->s->flags & STORE_READONLY ? 0 : store_commit(c->s);

	if (ret)
		check_tell(c, "what was written since the last commit is not checked, because it cannot be committed: %s", err_name(-ret));
	ret = 0;
	if (c->flags & CHECK_DATA) {
		c->share = SHARE_DATA;
		ret = check_data(c);
	}
	next_step(c, SHARE_PAGES);
	return ret ? ret : check_metadata(c);
}

static int failed(const struct check *c, int ret, struct err *err)
{
	if (c->stopped == -ECANCELED)
		return err_set(err, ECANCELED, "the check was stopped before its end");
	if (c->stopped) {
		(void)err_set(err, EAGAIN, "the store changes too fast to be checked");
		err_hint(err, "check it again when less is written to it");
		return -EAGAIN;
	}
	return err_set(err, -ret, "the check could not finish: %s", err_name(-ret));
}

int check_store_watched(struct store *s, unsigned flags, const struct check_watch *watch, struct check_result *ret, struct err *err)
{
	struct check c = {.s = s, .flags = flags, .watch = watch};
	int r = run(&c);

	/* Rows that cannot be read are what a check is for: a finding, not a failure. */
	if (r == -ECORRUPT) {
		check_find(&c, "metadata is damaged so that the check could not go on");
		r = 0;
	}
	free(c.bad_chunks);
	if (r)
		return failed(&c, r, err);
	*ret = c.result;
	return 0;
}

int check_store(struct store *s, unsigned flags, void (*report)(void *arg, const char *line), void *arg, struct check_result *ret,
		struct err *err)
{
	return check_store_watched(s, flags, &(struct check_watch){.arg = arg, .report = report}, ret, err);
}
