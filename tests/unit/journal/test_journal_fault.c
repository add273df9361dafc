/* Failed writes and flushes: the error stays until a commit has made the segment unnecessary. */
#include "tests/unit/journal/journal_fixture.h"

#include <errno.h>

/* Fails operation number `at` on the journal's files, or only those of one kind. */
struct fault {
	int count;
	int at;
	int only; /* an enum io_op, or -1 */
	size_t short_len;
	bool hit;
};

static int fault_hook(void *arg, enum io_class cls, enum io_op op, const char *path, int fd, const void *data,
		      size_t *len, off_t off)
{
	struct fault *f = arg;

	(void)path;
	(void)fd;
	(void)data;
	(void)off;
	if (cls != IO_JOURNAL || (f->only >= 0 && (int)op != f->only) || f->count++ != f->at)
		return 0;
	if (op == IO_WRITE && len)
		*len = *len < f->short_len ? *len : f->short_len;
	f->hit = true;
	return -EIO;
}

static void test_failed_flush(void **state)
{
	static const int ops[] = {IO_WRITE, IO_SYNC};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct fault f = {.only = ops[i], .short_len = 40};
		struct scratch s;
		struct delivered d;
		struct journal *j;
		uint64_t acked;
		uint64_t position;

		scratch_make(&s);
		j = replayed(&s, &d);
		assert_int_equal(append(j, 1, 10, 10), 0);
		assert_int_equal(sync_all(j), 0);
		acked = journal_position(j);
		assert_int_equal(append(j, 2, 10, 10), 0);
		position = journal_position(j);
		io_set_hook(fault_hook, &f);
		assert_int_equal(journal_sync(j, position), -EIO);
		io_set_hook(NULL, NULL);
		assert_true(f.hit);
		/* It stays, also for what comes after; what was synced before is not touched by it. */
		assert_int_equal(journal_sync(j, position), -EIO);
		assert_int_equal(append(j, 3, 10, 10), 0);
		assert_int_equal(sync_all(j), -EIO);
		assert_int_equal(journal_sync(j, acked), 0);
		assert_int_equal(journal_rotate(j), 0);
		assert_int_equal(append(j, 4, 10, 10), 0);
		assert_int_equal(sync_all(j), -EIO);
		journal_check(j);
		commit_through(&s, j, 3);
		assert_int_equal(journal_sync(j, position), 0);
		assert_int_equal(sync_all(j), 0);
		journal_check(j);
		/* The failed segment is out of the history, whatever its last batch looks like. */
		assert_delivered(contents(&s), 4, 4);
		assert_int_equal(journal_rotate(j), 0);
		assert_int_equal(append(j, 5, 10, 10), 0);
		assert_int_equal(sync_all(j), 0);
		journal_free(j);
		assert_delivered(contents(&s), 4, 5);
		scratch_remove(&s);
	}
}

/* One commit as the store does it: records, rotation, more records, retirement. */
static int commit_cycle(struct scratch *s, struct journal *j, uint64_t *seq)
{
	uint64_t cut = 0;
	int ret = 0;

	for (int i = 0; i < 6; i++) {
		int r;

		if (i == 3 && journal_can_rotate(j)) {
			cut = *seq - 1;
			assert_int_equal(journal_rotate(j), 0);
		}
		assert_int_equal(append(j, (*seq)++, 50, 700), 0);
		r = sync_all(j);
		ret = ret ? ret : r;
		journal_check(j);
	}
	commit_through(s, j, cut);
	return ret;
}

/* Each I/O operation fails in turn; two commits later the journal must work, and replay what it acknowledged. */
static void test_every_io_fails(void **state)
{
	(void)state;
	for (int at = 0;; at++) {
		struct fault f = {.at = at, .only = -1, .short_len = (size_t)at * 97};
		struct scratch s;
		struct delivered d = {0, 0};
		struct journal *j;
		struct err err;
		uint64_t seq = 1;
		int ret;

		scratch_make(&s);
		io_set_hook(fault_hook, &f);
		ret = journal_open(s.fd, STORE_ID, SEGMENT, NULL, &j, &err);
		if (!ret) {
			ret = journal_replay(j, 0, deliver, &d, NULL);
			for (int i = 0; !ret && i < 2; i++)
				ret = commit_cycle(&s, j, &seq);
			if (!f.hit)
				assert_int_equal(ret, 0);
			else
				assert_int_equal(ret, -EIO);
		} else {
			assert_int_equal(ret, -EIO);
			assert_int_equal(err.code, EIO);
			j = NULL;
		}
		io_set_hook(NULL, NULL);
		if (j && seq == 1) {
			journal_free(j);
			j = NULL;
		}
		if (!j) {
			j = replayed(&s, &d);
			assert_delivered(d, 0, 0);
		}
		(void)commit_cycle(&s, j, &seq);
		(void)commit_cycle(&s, j, &seq);
		assert_int_equal(commit_cycle(&s, j, &seq), 0);
		journal_free(j);
		d = contents(&s);
		assert_true(d.first <= seq - 3);
		assert_int_equal(d.last, seq - 1);
		scratch_remove(&s);
		if (!f.hit)
			break;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failed_flush),
		cmocka_unit_test(test_every_io_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
