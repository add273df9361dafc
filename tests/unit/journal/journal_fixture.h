/* What the journal's tests share: a scratch directory, records whose bytes follow from their number, and a replay that
 * checks them. */
#ifndef VARVE_TESTS_JOURNAL_FIXTURE_H
#define VARVE_TESTS_JOURNAL_FIXTURE_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/base/io.h"
#include "store/journal/journal_file.h"
#include "store/journal/segment.h"

#define SEGMENT (128 * 1024)

static const uint8_t STORE_ID[16] = "varve-unit-test";

struct scratch {
	char path[64];
	int fd;
	uint64_t settled; /* the record that the database, which is not there, would have everything up to */
};

static inline void scratch_make(struct scratch *s)
{
	strcpy(s->path, "/var/tmp/varve-journal-XXXXXX");
	assert_non_null(mkdtemp(s->path));
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(s->fd >= 0);
	s->settled = 0;
}

static inline void scratch_remove(struct scratch *s)
{
	(void)unlinkat(s->fd, "journal.0", 0);
	(void)unlinkat(s->fd, "journal.1", 0);
	assert_int_equal(close(s->fd), 0);
	assert_int_equal(rmdir(s->path), 0);
}

static inline uint8_t content_byte(uint64_t seq, size_t i)
{
	return (uint8_t)(seq * 17 + i * 3 + (i >> 8));
}

/* Appends record `seq` with its data in two pieces. */
static inline int append(struct journal *j, uint64_t seq, size_t effects_len, size_t data_len)
{
	uint8_t *p = malloc(effects_len + data_len + 1);
	struct iovec iov[2] = {{p + effects_len, data_len / 3}, {p + effects_len + data_len / 3, data_len - data_len / 3}};
	struct record rec = {seq, {.unique = seq + 1, .kind = RECORD_DATA}, p, effects_len, NULL, 0};
	int ret;

	assert_non_null(p);
	for (size_t i = 0; i < effects_len + data_len; i++)
		p[i] = content_byte(seq, i);
	ret = journal_append(j, &rec, iov, 2);
	free(p);
	return ret;
}

/* What a replay delivered: numbers without a gap, from first to last; 0, 0 when nothing. */
struct delivered {
	uint64_t first;
	uint64_t last;
};

static inline int deliver(void *arg, const struct record *rec)
{
	struct delivered *d = arg;

	if (d->last)
		assert_int_equal(rec->seq, d->last + 1);
	else
		d->first = rec->seq;
	d->last = rec->seq;
	assert_int_equal(rec->head.unique, rec->seq + 1);
	assert_int_equal(rec->head.kind, RECORD_DATA);
	for (size_t i = 0; i < rec->effects_len; i++)
		assert_int_equal(((const uint8_t *)rec->effects)[i], content_byte(rec->seq, i));
	for (size_t i = 0; i < rec->data_len; i++)
		assert_int_equal(((const uint8_t *)rec->data)[i], content_byte(rec->seq, rec->effects_len + i));
	return 0;
}

static inline struct journal *open_journal(const struct scratch *s, struct stats *stats)
{
	struct journal *j;
	struct err err;

	assert_int_equal(journal_open(s->fd, STORE_ID, SEGMENT, stats, &j, &err), 0);
	return j;
}

/* Opens, replays, and says what came. */
static inline struct journal *replayed(const struct scratch *s, struct delivered *ret)
{
	struct journal *j = open_journal(s, NULL);

	*ret = (struct delivered){0, 0};
	assert_int_equal(journal_replay(j, s->settled, deliver, ret, NULL), 0);
	journal_check(j);
	return j;
}

static inline struct delivered contents(const struct scratch *s)
{
	struct delivered d;

	journal_free(replayed(s, &d));
	return d;
}

static inline void assert_delivered(struct delivered d, uint64_t first, uint64_t last)
{
	assert_int_equal(d.first, first);
	assert_int_equal(d.last, last);
}

/* A durable commit has everything up to record `through`. */
static inline void commit_through(struct scratch *s, struct journal *j, uint64_t through)
{
	if (through > s->settled)
		s->settled = through;
	journal_retire(j, through);
}

static inline int sync_all(struct journal *j)
{
	return journal_sync(j, journal_position(j));
}

#endif
