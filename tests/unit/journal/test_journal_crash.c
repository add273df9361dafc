/* A power cut at any moment: the journal's I/O is recorded, and images are made of what the disk may hold. Writes that
 * a finished fdatasync covers are there; of the others each may be there, missing, cut short, or torn by sectors. */
#include "tests/unit/journal/journal_fixture.h"

#include <sys/stat.h>

/* ThreadSanitizer has nothing to find here, and slows it much. */
#ifdef __SANITIZE_THREAD__
#define EVENTS_MAX 600
#else
#define EVENTS_MAX 4000
#endif
#define SECTOR 512

enum event_kind { EVENT_WRITE, EVENT_SYNC };

struct event {
	enum event_kind kind;
	int file;
	off_t off;
	size_t len;
	uint8_t *data;
	/* What the caller could rely on when this began. */
	uint64_t appended;
	uint64_t acked;
	uint64_t committed;
};

struct recorder {
	struct event events[EVENTS_MAX];
	size_t n;
	ino_t ino[2];
	uint64_t appended;
	uint64_t acked;
	uint64_t committed;
};

static int record_hook(void *arg, enum io_class cls, enum io_op op, const char *path, int fd, const void *data,
		       size_t *len, off_t off)
{
	struct recorder *r = arg;
	struct event *e = &r->events[r->n];
	struct stat st;

	(void)path;
	if (cls != IO_JOURNAL || (op != IO_WRITE && op != IO_SYNC))
		return 0;
	assert_true(r->n < EVENTS_MAX);
	assert_int_equal(fstat(fd, &st), 0);
	*e = (struct event){.kind = op == IO_WRITE ? EVENT_WRITE : EVENT_SYNC, .file = st.st_ino == r->ino[1]};
	e->appended = r->appended;
	e->acked = r->acked;
	e->committed = r->committed;
	if (op == IO_WRITE) {
		e->off = off;
		e->len = *len;
		e->data = malloc(*len);
		memcpy(e->data, data, *len);
	}
	r->n++;
	return 0;
}

/* Appends, syncs and commits at random; a commit may stop half-way and be finished later. */
static void workload(struct recorder *r, struct journal *j)
{
	uint64_t cut = 0;

	while (r->n < EVENTS_MAX - 100) {
		switch (random() % 12) {
		case 0:
			if (!journal_can_rotate(j))
				break;
			cut = r->appended;
			assert_int_equal(journal_rotate(j), 0);
			break;
		case 1:
			if (journal_can_rotate(j))
				break;
			/* The commit up to the rotation is durable, elsewhere. */
			r->committed = cut;
			if (r->acked < cut)
				r->acked = cut;
			journal_retire(j, cut);
			break;
		case 2:
		case 3:
		case 4:
			assert_int_equal(sync_all(j), 0);
			r->acked = r->appended;
			break;
		default:
			if (append(j, r->appended + 1, (size_t)random() % 300, (size_t)random() % 3000) == 0)
				r->appended++;
		}
		journal_check(j);
	}
}

static void apply_event(uint8_t *disk, const struct event *e, bool durable)
{
	size_t len = e->len;

	switch (durable ? 0 : random() % 4) {
	case 0:
		memcpy(disk + e->off, e->data, len);
		break;
	case 1:
		memcpy(disk + e->off, e->data, (size_t)random() % (len + 1));
		break;
	case 2:
		for (size_t at = 0; at < len; at += SECTOR)
			if (random() % 3)
				memcpy(disk + (size_t)e->off + at, e->data + at, len - at < SECTOR ? len - at : SECTOR);
		break;
	default:
		break;
	}
}

/* The disk as a cut just after event `end` - 1 began may leave it. */
static void image(const struct recorder *r, size_t end, const struct scratch *s, uint8_t disk[2][SEGMENT])
{
	size_t synced[2] = {0, 0};

	/* The last event itself may not have finished. */
	for (size_t i = 0; i + 1 < end; i++)
		if (r->events[i].kind == EVENT_SYNC)
			synced[r->events[i].file] = i;
	memset(disk, 0, 2 * SEGMENT);
	for (size_t i = 0; i < end; i++) {
		const struct event *e = &r->events[i];

		if (e->kind == EVENT_WRITE)
			apply_event(disk[e->file], e, i < synced[e->file]);
	}
	for (int i = 0; i < 2; i++) {
		int fd = openat(s->fd, i ? "journal.1" : "journal.0", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		assert_true(fd >= 0);
		assert_int_equal(pwrite(fd, disk[i], SEGMENT, 0), SEGMENT);
		assert_int_equal(close(fd), 0);
	}
}

static void check_image(struct scratch *s, const struct event *at)
{
	struct delivered before;
	struct delivered after;
	struct journal *j;
	uint64_t next;

	s->settled = at->committed;
	j = replayed(s, &before);
	next = (before.last > at->committed ? before.last : at->committed) + 1;

	/* Everything acknowledged is there or committed, nothing is skipped, nothing was invented. */
	if (before.last) {
		assert_true(before.first <= at->committed + 1);
		assert_true(before.last <= at->appended);
	}
	assert_true(next > at->acked);
	/* Go on, and crash again before a commit: the same history must come, and what was added. */
	if (before.last && before.last < at->committed) {
		/* The store is ahead of the journal: it commits before it appends. */
		commit_through(s, j, at->committed);
		if (journal_can_rotate(j))
			assert_int_equal(journal_rotate(j), 0);
		commit_through(s, j, at->committed);
		before = (struct delivered){0, 0};
	}
	if (append(j, next, 100, 1000) == 0) {
		assert_int_equal(sync_all(j), 0);
		after = contents(s);
		assert_int_equal(after.last, next);
		assert_int_equal(after.first, before.last ? before.first : next);
	}
	journal_free(j);
}

static void test_power_cut(void **state)
{
	static struct recorder r;
	static uint8_t disk[2][SEGMENT];
	struct scratch s;
	struct stat st;
	struct delivered d;
	struct journal *j;

	(void)state;
	srandom(11);
	scratch_make(&s);
	j = replayed(&s, &d);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fstatat(s.fd, i ? "journal.1" : "journal.0", &st, 0), 0);
		r.ino[i] = st.st_ino;
	}
	io_set_hook(record_hook, &r);
	workload(&r, j);
	io_set_hook(NULL, NULL);
	journal_free(j);
	assert_true(r.committed > EVENTS_MAX / 40);
	for (size_t end = 1; end <= r.n; end += 1 + (size_t)random() % 4) {
		image(&r, end, &s, disk);
		check_image(&s, &r.events[end - 1]);
	}
	for (size_t i = 0; i < r.n; i++)
		free(r.events[i].data);
	scratch_remove(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
