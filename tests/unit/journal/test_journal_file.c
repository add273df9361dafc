#include "tests/unit/journal/journal_fixture.h"

#include <errno.h>
#include <sys/stat.h>

#include "store/base/log.h"

static void test_empty(void **state)
{
	struct scratch s;
	struct stat st;
	struct journal *j;
	struct delivered d;

	(void)state;
	scratch_make(&s);
	j = replayed(&s, &d);
	assert_delivered(d, 0, 0);
	assert_int_equal(fstatat(s.fd, "journal.0", &st, 0), 0);
	assert_int_equal(st.st_size, SEGMENT);
	assert_int_equal((uint64_t)st.st_blocks * 512 >= SEGMENT, 1);
	assert_int_equal(fstatat(s.fd, "journal.1", &st, 0), 0);
	assert_int_equal(journal_sync(j, 0), 0);
	assert_int_equal(journal_segment_size(j), SEGMENT);
	journal_free(j);
	assert_delivered(contents(&s), 0, 0);
	journal_free(NULL);
	scratch_remove(&s);
}

static void test_round_trip(void **state)
{
	static const size_t sizes[] = {0, 1, 300, 3900, 4032, 4033, 20000};
	struct stats stats = {0};
	struct scratch s;
	struct journal *j;
	struct delivered d = {0, 0};
	uint64_t seq = 41;

	(void)state;
	scratch_make(&s);
	j = open_journal(&s, &stats);
	assert_int_equal(journal_replay(j, 0, deliver, &d, NULL), 0);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		uint64_t used = journal_used(j);

		assert_int_equal(append(j, seq++, i * 10, sizes[i]), 0);
		assert_true(journal_used(j) >= used);
		if (i % 2)
			assert_int_equal(sync_all(j), 0);
		journal_check(j);
	}
	/* What was never synced may be lost, and here is. */
	journal_free(j);
	assert_delivered(contents(&s), 41, 46);
	assert_true(stats_get(&stats.journal_flushes) == 4);

	/* Appends go on after what was replayed. */
	j = replayed(&s, &d);
	assert_int_equal(append(j, 47, 5, 5), 0);
	assert_int_equal(sync_all(j), 0);
	journal_free(j);
	j = replayed(&s, &d);
	assert_delivered(d, 41, 47);
	assert_int_equal(append(j, 48, 5, 5), 0);
	assert_int_equal(sync_all(j), 0);
	journal_free(j);
	assert_delivered(contents(&s), 41, 48);
	scratch_remove(&s);
}

static int refuse_third(void *arg, const struct record *rec)
{
	*(uint64_t *)arg = rec->seq;
	return rec->seq == 3 ? -ENOTSUP : 0;
}

static void test_apply_may_stop(void **state)
{
	struct scratch s;
	struct delivered d;
	struct journal *j;
	uint64_t last = 0;

	(void)state;
	scratch_make(&s);
	j = replayed(&s, &d);
	for (uint64_t seq = 1; seq < 9; seq++)
		assert_int_equal(append(j, seq, 1, 1), 0);
	assert_int_equal(sync_all(j), 0);
	journal_free(j);
	j = open_journal(&s, NULL);
	assert_int_equal(journal_replay(j, 0, refuse_third, &last, NULL), -ENOTSUP);
	assert_int_equal(last, 3);
	journal_free(j);
	scratch_remove(&s);
}

static void test_own_data(void **state)
{
	struct scratch s;
	struct delivered d;
	struct journal *j;
	uint8_t bytes[10];
	struct record rec = {1, {.unique = 2, .kind = RECORD_DATA}, bytes, 4, bytes + 4, 6};

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = content_byte(1, i);
	scratch_make(&s);
	j = replayed(&s, &d);
	assert_int_equal(journal_append(j, &rec, NULL, 0), 0);
	assert_int_equal(sync_all(j), 0);
	journal_free(j);
	assert_delivered(contents(&s), 1, 1);
	scratch_remove(&s);
}

static void test_full(void **state)
{
	struct scratch s;
	struct delivered d;
	struct journal *j;
	uint64_t seq = 1;
	int ret;

	(void)state;
	scratch_make(&s);
	j = replayed(&s, &d);
	assert_int_equal(append(j, 1, 0, SEGMENT), -EMSGSIZE);
	while ((ret = append(j, seq, 100, 900)) == 0) {
		seq++;
		if (seq % 5 == 0)
			assert_int_equal(sync_all(j), 0);
	}
	assert_int_equal(ret, -ENOSPC);
	assert_true(journal_used(j) <= SEGMENT);
	journal_check(j);
	assert_int_equal(sync_all(j), 0);
	assert_int_equal(journal_rotate(j), 0);
	assert_int_equal(append(j, seq, 100, 900), 0);
	assert_int_equal(sync_all(j), 0);
	journal_free(j);
	assert_delivered(contents(&s), 1, seq);
	scratch_remove(&s);
}

static void test_rotate_and_retire(void **state)
{
	struct scratch s;
	struct delivered d;
	struct journal *j;

	(void)state;
	scratch_make(&s);
	j = replayed(&s, &d);
	assert_int_equal(append(j, 1, 10, 10), 0);
	assert_int_equal(sync_all(j), 0);
	assert_int_equal(append(j, 2, 10, 10), 0);
	/* 2 is still in memory: it belongs to the old segment and is written before 3. */
	assert_int_equal(journal_rotate(j), 0);
	assert_false(journal_can_rotate(j));
	assert_int_equal(journal_rotate(j), -EBUSY);
	assert_int_equal(append(j, 3, 10, 10), 0);
	journal_check(j);
	assert_int_equal(sync_all(j), 0);
	assert_delivered(contents(&s), 1, 3);
	commit_through(&s, j, 2);
	assert_true(journal_can_rotate(j));
	commit_through(&s, j, 2);
	assert_int_equal(journal_rotate(j), 0);
	assert_int_equal(append(j, 4, 10, 10), 0);
	assert_int_equal(sync_all(j), 0);
	/* The first segment is in its second use: 1 and 2 are gone for good. */
	assert_delivered(contents(&s), 3, 4);
	commit_through(&s, j, 3);
	assert_int_equal(journal_rotate(j), 0);
	assert_int_equal(append(j, 5, 10, 10), 0);
	commit_through(&s, j, 4);
	assert_int_equal(sync_all(j), 0);
	assert_delivered(contents(&s), 5, 5);
	journal_free(j);
	scratch_remove(&s);
}

/* What is retired before it was ever written is not written, and counts as synced. */
static void test_retired_unwritten(void **state)
{
	struct scratch s;
	struct delivered d;
	struct journal *j;
	uint64_t position;

	(void)state;
	scratch_make(&s);
	j = replayed(&s, &d);
	for (uint64_t seq = 1; seq <= 9; seq++) {
		assert_int_equal(append(j, seq, 10, 10), 0);
		position = journal_position(j);
		assert_int_equal(journal_rotate(j), 0);
		commit_through(&s, j, seq);
		assert_int_equal(journal_sync(j, position), 0);
		journal_check(j);
	}
	assert_delivered(contents(&s), 0, 0);
	assert_int_equal(append(j, 10, 10, 10), 0);
	assert_int_equal(sync_all(j), 0);
	journal_free(j);
	assert_delivered(contents(&s), 10, 10);
	scratch_remove(&s);
}

/* After a crash between rotation and retirement both segments are needed until a commit. */
static void test_replay_of_both(void **state)
{
	struct scratch s;
	struct delivered d;
	struct journal *j;

	(void)state;
	scratch_make(&s);
	j = replayed(&s, &d);
	for (uint64_t seq = 1; seq <= 6; seq++) {
		assert_int_equal(append(j, seq, 10, 5000), 0);
		assert_int_equal(sync_all(j), 0);
		if (seq == 3)
			assert_int_equal(journal_rotate(j), 0);
	}
	journal_free(j);
	j = replayed(&s, &d);
	assert_delivered(d, 1, 6);
	assert_false(journal_can_rotate(j));
	assert_int_equal(append(j, 7, 10, 10), 0);
	assert_int_equal(sync_all(j), 0);
	assert_delivered(contents(&s), 1, 7);
	commit_through(&s, j, 3);
	assert_int_equal(journal_rotate(j), 0);
	assert_int_equal(append(j, 8, 10, 10), 0);
	assert_int_equal(sync_all(j), 0);
	journal_free(j);
	assert_delivered(contents(&s), 4, 8);
	scratch_remove(&s);
}

static void damage(const struct scratch *s, const char *name, off_t off)
{
	int fd = openat(s->fd, name, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, off), 1);
	byte ^= 0x40;
	assert_int_equal(pwrite(fd, &byte, 1, off), 1);
	assert_int_equal(close(fd), 0);
}

/* Opens it, which fails: what is missing was on disk. */
static void assert_refused(const struct scratch *s, const char *says)
{
	struct delivered d = {0, 0};
	struct journal *j = open_journal(s, NULL);
	struct err err = {0};

	log_set_level(LOG_LEVEL_ERROR);
	assert_int_equal(journal_replay(j, s->settled, deliver, &d, &err), -ECORRUPT);
	log_set_level(LOG_LEVEL_INFO);
	assert_int_equal(err.code, ECORRUPT);
	assert_non_null(strstr(err.text, says));
	assert_non_null(strstr(err.hint, "move journal.0 and journal.1"));
	journal_free(j);
}

static int note_last(void *arg, const struct record *rec)
{
	*(uint64_t *)arg = rec->seq;
	return 0;
}

static struct delivered contents_quiet(const struct scratch *s)
{
	struct delivered d;

	log_set_level(LOG_LEVEL_ERROR);
	d = contents(s);
	log_set_level(LOG_LEVEL_INFO);
	return d;
}

/* Six records in a batch each, the last three in the other segment. */
static void fill_both(struct scratch *s)
{
	struct delivered d;
	struct journal *j;

	scratch_make(s);
	j = replayed(s, &d);
	for (uint64_t seq = 1; seq <= 6; seq++) {
		assert_int_equal(append(j, seq, 10, 100), 0);
		assert_int_equal(sync_all(j), 0);
		if (seq == 3)
			assert_int_equal(journal_rotate(j), 0);
	}
	journal_free(j);
}

#define BATCH(n) (SEGMENT_DATA_OFF + (off_t)(n) * SEGMENT_BLOCK)

static void test_damage(void **state)
{
	/* everywhere in a batch: checksum, magic, count, generation, number, length, its sums, records */
	static const off_t places[] = {3, 9, 13, 17, 25, 33, 42, 50, 58, 70, 150};
	struct scratch s;
	struct journal *j;
	uint64_t last;

	(void)state;
	fill_both(&s);
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		for (int n = 0; n < 6; n++) {
			const char *name = n < 3 ? "journal.0" : "journal.1";
			off_t off = BATCH(n % 3) + places[i];

			damage(&s, name, off);
			s.settled = 0;
			if (n == 5) /* a torn end looks like this */
				assert_delivered(contents_quiet(&s), 1, 5);
			else
				assert_refused(&s, "is damaged at byte");
			/* what the database has is not missed; and what follows comes */
			s.settled = (uint64_t)n + 1;
			j = open_journal(&s, NULL);
			log_set_level(LOG_LEVEL_ERROR);
			assert_int_equal(journal_replay(j, s.settled, note_last, &last, NULL), 0);
			log_set_level(LOG_LEVEL_INFO);
			assert_int_equal(last, n < 5 ? 6 : 5);
			journal_free(j);
			damage(&s, name, off);
		}
	s.settled = 0;
	assert_delivered(contents(&s), 1, 6);
	scratch_remove(&s);
}

/* What a header said is known from the first batch. */
static void test_damaged_header(void **state)
{
	struct scratch s;
	struct delivered d;
	struct journal *j;

	(void)state;
	fill_both(&s);
	for (int i = 0; i < 2; i++) {
		const char *name = i ? "journal.1" : "journal.0";

		damage(&s, name, SEGMENT_BLOCK + 44);
		assert_delivered(contents_quiet(&s), 1, 6);
		damage(&s, name, SEGMENT_BLOCK + 44);
	}
	damage(&s, "journal.1", SEGMENT_BLOCK + 44);
	log_set_level(LOG_LEVEL_ERROR);
	j = replayed(&s, &d);
	assert_int_equal(append(j, 7, 20, 200), 0);
	assert_int_equal(sync_all(j), 0);
	commit_through(&s, j, 6);
	assert_int_equal(journal_rotate(j), 0);
	assert_int_equal(append(j, 8, 20, 200), 0);
	assert_int_equal(sync_all(j), 0);
	journal_free(j);
	assert_delivered(contents(&s), 4, 8);
	log_set_level(LOG_LEVEL_INFO);
	scratch_remove(&s);
}

/* The journal was written when the database had more than it has. */
static void test_lost_commit(void **state)
{
	struct scratch s;
	struct delivered d;
	struct journal *j;

	(void)state;
	scratch_make(&s);
	j = replayed(&s, &d);
	assert_int_equal(append(j, 1, 10, 10), 0);
	assert_int_equal(sync_all(j), 0);
	assert_int_equal(journal_rotate(j), 0);
	commit_through(&s, j, 5); /* 2 to 5 never were in the journal */
	assert_int_equal(append(j, 6, 10, 10), 0);
	assert_int_equal(sync_all(j), 0);
	journal_free(j);
	assert_int_equal(contents(&s).last, 6);
	s.settled = 4;
	assert_refused(&s, "the database is damaged: it ends at record 4");
	scratch_remove(&s);
}

/* With a ring nothing of the journal is needed. */
static void test_damage_beside_ring(void **state)
{
	struct scratch s;
	struct journal *j;

	(void)state;
	fill_both(&s);
	for (int n = 0; n < 6; n++) {
		const char *name = n < 3 ? "journal.0" : "journal.1";

		damage(&s, name, BATCH(n % 3) + 70);
		log_set_level(LOG_LEVEL_ERROR);
		j = open_journal(&s, NULL);
		assert_int_equal(journal_replay(j, 0, NULL, NULL, NULL), 0);
		journal_check(j);
		journal_free(j);
		log_set_level(LOG_LEVEL_INFO);
		damage(&s, name, BATCH(n % 3) + 70);
	}
	scratch_remove(&s);
}

/* A batch rewritten after a replay must not be continued by what once lay behind it. */
static void test_torn_end(void **state)
{
	struct scratch s;
	struct delivered d;
	struct journal *j;

	(void)state;
	scratch_make(&s);
	j = replayed(&s, &d);
	for (uint64_t seq = 1; seq <= 2; seq++)
		assert_int_equal(append(j, seq, 10, 100), 0);
	assert_int_equal(sync_all(j), 0);
	assert_int_equal(append(j, 3, 10, 9000), 0);
	assert_int_equal(sync_all(j), 0);
	journal_free(j);
	for (uint64_t seq = 3; seq <= 8; seq++) {
		damage(&s, "journal.0", BATCH(seq - 2) + 70);
		j = replayed(&s, &d);
		assert_delivered(d, 1, seq - 1);
		assert_int_equal(append(j, seq, 20, 90), 0);
		assert_int_equal(sync_all(j), 0);
		assert_int_equal(append(j, seq + 1, 20, 90), 0);
		assert_int_equal(sync_all(j), 0);
		journal_free(j);
	}
	assert_delivered(contents(&s), 1, 9);
	scratch_remove(&s);
}

static void test_truncated(void **state)
{
	struct scratch s;
	struct delivered d;
	struct journal *j;
	uint64_t last = 20;

	(void)state;
	scratch_make(&s);
	j = replayed(&s, &d);
	for (uint64_t seq = 1; seq <= 20; seq++) {
		assert_int_equal(append(j, seq, 30, 3000), 0);
		assert_int_equal(sync_all(j), 0);
	}
	journal_free(j);
	for (off_t len = SEGMENT; len >= 0; len -= 1777) {
		int fd = openat(s.fd, "journal.0", O_RDWR | O_CLOEXEC);

		assert_int_equal(ftruncate(fd, len), 0);
		assert_int_equal(close(fd), 0);
		d = contents(&s);
		assert_true(d.last <= last);
		assert_true(d.last == 0 || d.first == 1);
		last = d.last;
	}
	assert_int_equal(last, 0);
	scratch_remove(&s);
}

static void test_other_store(void **state)
{
	struct scratch s;
	struct delivered d;
	struct journal *j;
	struct err err;

	(void)state;
	scratch_make(&s);
	j = replayed(&s, &d);
	assert_int_equal(append(j, 1, 1, 1), 0);
	assert_int_equal(sync_all(j), 0);
	journal_free(j);
	assert_int_equal(journal_open(s.fd, (const uint8_t *)"some-other-store", SEGMENT, NULL, &j, &err), -EXDEV);
	assert_non_null(strstr(err.text, "journal.0"));
	assert_int_equal(journal_open(s.fd, STORE_ID, 4096, NULL, &j, &err), -EINVAL);
	scratch_remove(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_apply_may_stop),
		cmocka_unit_test(test_own_data),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_rotate_and_retire),
		cmocka_unit_test(test_retired_unwritten),
		cmocka_unit_test(test_replay_of_both),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_damaged_header),
		cmocka_unit_test(test_lost_commit),
		cmocka_unit_test(test_damage_beside_ring),
		cmocka_unit_test(test_torn_end),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_other_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
