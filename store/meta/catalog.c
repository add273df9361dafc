/* The name column of a hidden volume is "/TIME/NAME", the time in 19 digits: so the column stays unique, hidden ones come first
 * and oldest first, and no name that anybody asks for can be one. */
#include "store/meta/catalog.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/meta/meta_internal.h"

#define HIDDEN_END "/~" /* after every hidden one, before every other */
#define TIME_DIGITS 19
#define COLUMN_MAX (VOLUME_NAME_MAX + TIME_DIGITS + 2)

void volume_row_free(struct volume_row *v)
{
	free(v->options);
	v->options = NULL;
}

static int read_name(sqlite3_stmt *st, int col, char out[VOLUME_NAME_MAX + 1])
{
	const unsigned char *text = sqlite3_column_text(st, col);
	size_t len = (size_t)sqlite3_column_bytes(st, col);

	if (!text || len > VOLUME_NAME_MAX)
		return -ECORRUPT;
	memcpy(out, text, len);
	out[len] = '\0';
	return 0;
}

/* All reads of one row end here: steps, has it read, resets. >0 when there is no row. */
static int read_one(struct meta *m, sqlite3_stmt *st, int (*read)(sqlite3_stmt *st, void *ret), void *ret)
{
	int err = sql_step(m, st);

	if (err)
		return err;
	err = read(st, ret);
	(void)sqlite3_reset(st);
	return err;
}

static int missing(int ret)
{
	return ret > 0 ? -ENOENT : ret;
}

static void hidden_column(char out[COLUMN_MAX + 1], int64_t hidden, const char *name)
{
	(void)snprintf(out, COLUMN_MAX + 1, "/%0*" PRId64 "/%s", TIME_DIGITS, hidden, name);
}

static int read_volume_name(sqlite3_stmt *st, struct volume_row *v)
{
	const char *text = (const char *)sqlite3_column_text(st, 1);
	int at = 0;

	if (!text || *text != '/')
		return read_name(st, 1, v->name);
	if (sscanf(text, "/%19" SCNd64 "/%n", &v->hidden, &at) != 1 || at != TIME_DIGITS + 2 || v->hidden <= 0 ||
	    strlen(text + at) > VOLUME_NAME_MAX)
		return -ECORRUPT;
	(void)snprintf(v->name, sizeof v->name, "%s", text + at);
	return 0;
}

static int read_volume(sqlite3_stmt *st, void *ret)
{
	struct volume_row v = {
		.id = sqlite3_column_int64(st, 0),
		.branch = sqlite3_column_int64(st, 2),
		.root_ino = (uint64_t)sqlite3_column_int64(st, 3),
		.number = (uint32_t)sqlite3_column_int64(st, 4),
		.head_number = (uint32_t)sqlite3_column_int64(st, 5),
		.created = sqlite3_column_int64(st, 6),
		.quota_bytes = sqlite3_column_int64(st, 7),
		.quota_inodes = sqlite3_column_int64(st, 8),
		.compression = sqlite3_column_int(st, 9),
		.flags = (uint32_t)sqlite3_column_int64(st, 10),
	};
	const char *options = (const char *)sqlite3_column_text(st, 11);
	int err = read_volume_name(st, &v);

	if (err)
		return err;
	if (options) {
		v.options = strdup(options);
		if (!v.options)
			return -ENOMEM;
	}
	*(struct volume_row *)ret = v;
	return 0;
}

int volume_by_name(struct meta *m, const char *name, struct volume_row *ret)
{
	sqlite3_stmt *st;
	int err = *name == '/' ? -ENOENT : sql_stmt(m, SQL_VOLUME_BY_NAME, &st);

	if (err)
		return err;
	(void)sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	return missing(read_one(m, st, read_volume, ret));
}

int volume_by_id(struct meta *m, int64_t id, struct volume_row *ret)
{
	sqlite3_stmt *st;
	int err = sql_stmt(m, SQL_VOLUME_BY_ID, &st);

	if (err)
		return err;
	(void)sqlite3_bind_int64(st, 1, id);
	return missing(read_one(m, st, read_volume, ret));
}

int volume_put(struct meta *m, const struct volume_row *v)
{
	char column[COLUMN_MAX + 1];
	const char *name = v->hidden ? column : v->name;

	if (v->hidden)
		hidden_column(column, v->hidden, v->name);
	struct value cols[] = {
		VI(v->id), VB(name, strlen(name)), VI(v->branch), VI(v->root_ino), VI(v->number), VI(v->head_number),
		VI(v->created), VI(v->quota_bytes), VI(v->quota_inodes), VI(v->compression), VI(v->flags),
		v->options ? VB(v->options, strlen(v->options)) : VNULL,
	};

	return row_put(m, T_VOLUME, cols);
}

int volume_delete(struct meta *m, int64_t id)
{
	struct value key[] = {VI(id)};

	return row_delete(m, T_VOLUME, key);
}

int volume_next(struct meta *m, const char *after, struct volume_row *ret)
{
	sqlite3_stmt *st;
	int err = sql_stmt(m, SQL_VOLUME_NEXT, &st);

	if (err)
		return err;
	(void)sqlite3_bind_text(st, 1, *after ? after : HIDDEN_END, -1, SQLITE_STATIC);
	return read_one(m, st, read_volume, ret);
}

int volume_next_hidden(struct meta *m, const struct volume_row *at, struct volume_row *ret)
{
	char column[COLUMN_MAX + 1] = "/";
	sqlite3_stmt *st;
	int err = sql_stmt(m, SQL_VOLUME_NEXT, &st);

	if (err)
		return err;
	if (at)
		hidden_column(column, at->hidden, at->name);
	(void)sqlite3_bind_text(st, 1, column, -1, SQLITE_STATIC);
	struct volume_row row = {0};
	err = read_one(m, st, read_volume, &row);
	if (!err && !row.hidden) {
		volume_row_free(&row);
		return 1;
	}
	if (!err)
		*ret = row;
	return err;
}

int volume_next_any(struct meta *m, struct volume_row *at)
{
	struct volume_row next = {0};
	int ret = 1;

	if (!*at->name || at->hidden)
		ret = volume_next_hidden(m, *at->name ? at : NULL, &next);
	if (ret > 0)
		ret = volume_next(m, at->hidden ? "" : at->name, &next);
	volume_row_free(at);
	if (!ret)
		*at = next;
	return ret;
}

static int read_snapshot(sqlite3_stmt *st, void *ret)
{
	struct snapshot_row s = {
		.id = sqlite3_column_int64(st, 0),
		.volume = sqlite3_column_int64(st, 1),
		.branch = sqlite3_column_int64(st, 3),
		.epoch = sqlite3_column_int64(st, 4),
		.created = sqlite3_column_int64(st, 5),
		.bytes = sqlite3_column_int64(st, 6),
		.inodes = sqlite3_column_int64(st, 7),
		.root_ino = (uint64_t)sqlite3_column_int64(st, 8),
		.number = (uint32_t)sqlite3_column_int64(st, 9),
		.flags = (uint32_t)sqlite3_column_int64(st, 10),
	};
	int err = read_name(st, 2, s.name);

	if (!err)
		*(struct snapshot_row *)ret = s;
	return err;
}

int snapshot_by_name(struct meta *m, int64_t volume, const char *name, struct snapshot_row *ret)
{
	sqlite3_stmt *st;
	int err = sql_stmt(m, SQL_SNAPSHOT_BY_NAME, &st);

	if (err)
		return err;
	(void)sqlite3_bind_int64(st, 1, volume);
	(void)sqlite3_bind_text(st, 2, name, -1, SQLITE_STATIC);
	return missing(read_one(m, st, read_snapshot, ret));
}

int snapshot_name_free(struct meta *m, int64_t volume, const char *name)
{
	struct snapshot_row snap;
	int err = snapshot_by_name(m, volume, name, &snap);

	if (err)
		return err == -ENOENT ? 0 : err;
	return -EEXIST;
}

int snapshot_by_id(struct meta *m, int64_t id, struct snapshot_row *ret)
{
	sqlite3_stmt *st;
	int err = sql_stmt(m, SQL_SNAPSHOT_BY_ID, &st);

	if (err)
		return err;
	(void)sqlite3_bind_int64(st, 1, id);
	return missing(read_one(m, st, read_snapshot, ret));
}

int snapshot_put(struct meta *m, const struct snapshot_row *s)
{
	struct value cols[] = {
		VI(s->id), VI(s->volume), VB(s->name, strlen(s->name)), VI(s->branch), VI(s->epoch), VI(s->created),
		VI(s->bytes), VI(s->inodes), VI(s->root_ino), VI(s->number), VI(s->flags),
	};

	return row_put(m, T_SNAPSHOT, cols);
}

int snapshot_delete(struct meta *m, int64_t id)
{
	struct value key[] = {VI(id)};

	return row_delete(m, T_SNAPSHOT, key);
}

static int next_snapshot(struct meta *m, enum sql_id which, int64_t volume, int64_t created, int64_t id, struct snapshot_row *ret)
{
	sqlite3_stmt *st;
	int err = sql_stmt(m, which, &st);

	if (err)
		return err;
	(void)sqlite3_bind_int64(st, 1, volume);
	(void)sqlite3_bind_int64(st, 2, created);
	(void)sqlite3_bind_int64(st, 3, id);
	return read_one(m, st, read_snapshot, ret);
}

int snapshot_next(struct meta *m, int64_t volume, int64_t created, int64_t id, struct snapshot_row *ret)
{
	return next_snapshot(m, SQL_SNAPSHOT_NEXT, volume, created, id, ret);
}

int snapshot_next_any(struct meta *m, int64_t volume, int64_t created, int64_t id, struct snapshot_row *ret)
{
	return next_snapshot(m, SQL_SNAPSHOT_NEXT_ANY, volume, created, id, ret);
}

static int read_count(sqlite3_stmt *st, void *ret)
{
	*(unsigned *)ret = (unsigned)sqlite3_column_int64(st, 0);
	return 0;
}

/* One row of a statement of two integers (the second may be one too many); -ENOENT. */
static int read_by_two(struct meta *m, enum sql_id id, int64_t a, int64_t b, int (*read)(sqlite3_stmt *st, void *ret), void *ret)
{
	sqlite3_stmt *st;
	int err = sql_stmt(m, id, &st);

	if (err)
		return err;
	(void)sqlite3_bind_int64(st, 1, a);
	if (sqlite3_bind_parameter_count(st) > 1)
		(void)sqlite3_bind_int64(st, 2, b);
	return missing(read_one(m, st, read, ret));
}

int snapshot_newest(struct meta *m, int64_t volume, unsigned *ret_n, struct snapshot_row *ret)
{
	unsigned n;
	int err = read_by_two(m, SQL_SNAPSHOT_COUNT, volume, 0, read_count, &n);

	if (!err && n)
		err = read_by_two(m, SQL_SNAPSHOT_NEWEST, volume, 0, read_snapshot, ret);
	if (!err)
		*ret_n = n;
	return err;
}

int snapshot_named(struct meta *m, int64_t volume, const char *name, unsigned *ret)
{
	sqlite3_stmt *st;
	int err = sql_stmt(m, SQL_SNAPSHOT_NAMED, &st);

	if (err)
		return err;
	(void)sqlite3_bind_int64(st, 1, volume);
	(void)sqlite3_bind_text(st, 2, name, -1, SQLITE_STATIC);
	return missing(read_one(m, st, read_count, ret));
}

int snapshot_of_view(struct meta *m, int64_t branch, int64_t epoch, struct snapshot_row *ret)
{
	return read_by_two(m, SQL_SNAPSHOT_OF_VIEW, branch, epoch, read_snapshot, ret);
}

int snapshot_surplus(struct meta *m, int64_t volume, unsigned keep, struct snapshot_row *ret)
{
	return read_by_two(m, SQL_SNAPSHOT_SURPLUS, volume, keep, read_snapshot, ret);
}

int snapshot_clones(struct meta *m, int64_t branch, int64_t epoch, unsigned *ret)
{
	return read_by_two(m, SQL_SNAPSHOT_CLONES, branch, epoch, read_count, ret);
}

static int read_number(sqlite3_stmt *st, void *ret)
{
	*(struct number_row *)ret = (struct number_row){
		.number = (uint32_t)sqlite3_column_int64(st, 0),
		.kind = (enum number_kind)sqlite3_column_int(st, 1),
		.volume = sqlite3_column_int64(st, 2),
		.branch = sqlite3_column_int64(st, 3),
		.epoch = sqlite3_column_int64(st, 4),
	};
	return 0;
}

static int read_number_of(struct meta *m, enum sql_id id, uint32_t number, struct number_row *ret)
{
	sqlite3_stmt *st;
	int err = sql_stmt(m, id, &st);

	if (err)
		return err;
	(void)sqlite3_bind_int64(st, 1, number);
	return read_one(m, st, read_number, ret);
}

int number_get(struct meta *m, uint32_t number, struct number_row *ret)
{
	return missing(read_number_of(m, SQL_NUMBER_GET, number, ret));
}

int number_put(struct meta *m, const struct number_row *n)
{
	struct value cols[] = {VI(n->number), VI(n->kind), VI(n->volume), VI(n->branch), VI(n->epoch)};

	return row_put(m, T_NUMBER, cols);
}

int number_delete(struct meta *m, uint32_t number)
{
	struct value key[] = {VI(number)};

	return row_delete(m, T_NUMBER, key);
}

int number_each(struct meta *m, int (*fn)(void *arg, const struct number_row *n), void *arg)
{
	struct number_row row = {0};
	int ret;

	/* By key, so that fn may change the table. */
	while ((ret = read_number_of(m, SQL_NUMBER_NEXT, row.number, &row)) == 0) {
		ret = fn(arg, &row);
		if (ret)
			return ret;
	}
	return ret < 0 ? ret : 0;
}
