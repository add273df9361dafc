#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/base/err.h"
#include "store/base/limits.h"
#include "store/journal/ring.h"

#define SMALL (2 * MIB)
#define MODEL_MAX 65536
/* The ring has no threads: under ThreadSanitizer, which slows these tests fiftyfold, a part of the steps will do. */
#ifdef __SANITIZE_THREAD__
#define STEPS(n) ((n) / 20)
#else
#define STEPS(n) (n)
#endif

/* The model: what each live record should be. Bytes are derived from the sequence number. */
struct model {
	uint64_t tail;
	uint64_t head;
	uint32_t effects_len[MODEL_MAX];
	uint32_t data_len[MODEL_MAX];
};

static uint8_t byte_of(uint64_t seq, size_t i)
{
	return (uint8_t)(seq * 31 + i * 7 + (i >> 8));
}

static void fill(uint8_t *p, size_t len, uint64_t seq)
{
	for (size_t i = 0; i < len; i++)
		p[i] = byte_of(seq, i);
}

static void verify(const uint8_t *p, size_t len, uint64_t seq)
{
	for (size_t i = 0; i < len; i += i < 64 || i + 64 >= len ? 1 : 61)
		if (p[i] != byte_of(seq, i))
			fail_msg("record %llu differs at %zu", (unsigned long long)seq, i);
}

static int add(struct ring *r, size_t effects_len, size_t data_len, int reserve)
{
	static uint8_t effects[64 * KIB];
	static uint8_t data[RECORD_SIZE_MAX];
	uint64_t next = ring_head_seq(r);
	struct record_head head = {next * 3, next, data_len, -(int)(next % 100), RECORD_OP, 7};
	uint64_t seq = 0;
	void *at = NULL;
	int ret;

	fill(effects, effects_len, next);
	if (!reserve)
		fill(data, data_len, next + 1);
	ret = ring_append(r, &head, effects, effects_len, reserve ? NULL : data, data_len, &seq, &at);
	if (ret)
		return ret;
	assert_int_equal(seq, next);
	assert_int_equal((uintptr_t)at % 64, 0);
	if (reserve && data_len) {
		assert_int_equal(ring_head_seq(r), next);
		fill(at, data_len, next + 1);
		ring_publish(r);
	}
	assert_int_equal(ring_head_seq(r), next + 1);
	return 0;
}

static void expect(const struct record *rec, uint64_t seq)
{
	assert_int_equal(rec->seq, seq);
	assert_int_equal(rec->head.unique, seq * 3);
	assert_int_equal(rec->head.reply_value, rec->data_len);
	assert_int_equal(rec->head.reply_error, -(int)(seq % 100));
	verify(rec->effects, rec->effects_len, seq);
	verify(rec->data, rec->data_len, seq + 1);
}

/* Walks from `seq` to the head and returns how many records there were. */
static uint64_t walk(struct ring *r, uint64_t seq)
{
	struct ring_pos pos = {.seq = seq};
	struct record rec;
	uint64_t n = 0;
	int ret;

	while ((ret = ring_next(r, &pos, &rec)) == 0)
		expect(&rec, seq + n++);
	assert_true(ret > 0);
	assert_int_equal(pos.seq, ring_head_seq(r));
	return n;
}

static void test_create(void **state)
{
	struct ring *r;
	struct ring_pos pos = {.seq = 100};
	struct record rec;

	(void)state;
	assert_int_equal(ring_create(SMALL - 5, 100, &r), 0);
	assert_int_equal(ring_size(r), ring_free_space(r));
	assert_true(ring_size(r) <= SMALL && ring_size(r) > SMALL - 64 * KIB);
	assert_int_equal(ring_head_seq(r), 100);
	assert_int_equal(ring_tail_seq(r), 100);
	assert_true(ring_next(r, &pos, &rec) > 0);
	memset(ring_user(r), 0x5a, RING_USER_LEN);
	assert_int_equal(add(r, 10, 20, 0), 0);
	assert_int_equal(walk(r, 100), 1);
	assert_int_equal(((uint8_t *)ring_user(r))[RING_USER_LEN - 1], 0x5a);
	ring_check(r);
	ring_free(r);
	ring_free(NULL);
}

static void test_sizes(void **state)
{
	struct ring *r;
	static uint8_t data[1];
	struct record_head head = {.kind = RECORD_OP};

	(void)state;
	assert_int_equal(ring_create(8 * MIB, 1, &r), 0);
	assert_int_equal(ring_append(r, &head, NULL, 0, data, RECORD_SIZE_MAX, NULL, NULL), -EMSGSIZE);
	assert_int_equal(ring_append(r, &head, NULL, 0, data, SIZE_MAX, NULL, NULL), -EMSGSIZE);
	assert_int_equal(ring_append(r, &head, NULL, SIZE_MAX - 3, NULL, 0, NULL, NULL), -EMSGSIZE);
	for (int i = 0; i < 3; i++)
		assert_int_equal(add(r, 0, RECORD_SIZE_MAX - 64, i & 1), 0);
	assert_int_equal(add(r, 0, RECORD_SIZE_MAX - 64, 0), -ENOSPC);
	ring_release(r, 4);
	/* An empty ring takes any record, wherever its head was. */
	for (int i = 0; i < 3; i++)
		assert_int_equal(add(r, 0, RECORD_SIZE_MAX - 64, i & 1), 0);
	assert_int_equal(walk(r, 4), 3);
	ring_check(r);
	ring_free(r);
}

static size_t random_len(void)
{
	switch (random() % 20) {
	case 0:
		return (size_t)random() % (256 * KIB);
	case 1:
	case 2:
		return (size_t)random() % (16 * KIB);
	case 3:
		return 0;
	default:
		return (size_t)random() % 700;
	}
}

static void model_step(struct ring *r, struct model *m)
{
	size_t effects_len = (size_t)random() % 400;
	size_t data_len = random_len();
	size_t size = ring_record_size(effects_len, data_len);
	size_t space = ring_free_space(r);
	int ret;

	if (m->head - m->tail == MODEL_MAX || random() % 200 == 0) {
		m->tail += (uint64_t)random() % (m->head - m->tail + 1);
		ring_release(r, m->tail);
		assert_true(ring_free_space(r) >= space || m->tail == m->head);
	}
	space = ring_free_space(r);
	ret = add(r, effects_len, data_len, (int)random() & 1);
	if (size <= space)
		assert_int_equal(ret, 0);
	if (ret) {
		assert_int_equal(ret, -ENOSPC);
		m->tail += 1 + (uint64_t)random() % (m->head - m->tail);
		ring_release(r, m->tail);
		return;
	}
	m->effects_len[m->head % MODEL_MAX] = (uint32_t)effects_len;
	m->data_len[m->head % MODEL_MAX] = (uint32_t)data_len;
	m->head++;
}

static void model_compare(struct ring *r, const struct model *m, uint64_t from)
{
	struct ring_pos pos = {.seq = from};
	struct record rec;

	for (uint64_t seq = from; seq < m->head; seq++) {
		assert_int_equal(ring_next(r, &pos, &rec), 0);
		expect(&rec, seq);
		assert_int_equal(rec.effects_len, m->effects_len[seq % MODEL_MAX]);
		assert_int_equal(rec.data_len, m->data_len[seq % MODEL_MAX]);
	}
	assert_true(ring_next(r, &pos, &rec) > 0);
}

static void test_against_a_queue(void **state)
{
	static struct model m = {1, 1, {0}, {0}};
	struct ring *r;
	struct ring_pos follow = {.seq = 1};

	(void)state;
	srandom(7);
	assert_int_equal(ring_create(4 * MIB, 1, &r), 0);
	for (int i = 0; i < STEPS(100000); i++) {
		struct record rec;

		model_step(r, &m);
		assert_int_equal(ring_head_seq(r), m.head);
		assert_int_equal(ring_tail_seq(r), m.tail);
		/* A reader that keeps its position across appends, releases and laps. */
		if (follow.seq < m.tail)
			follow = (struct ring_pos){.seq = m.tail};
		if (random() % 3 && ring_next(r, &follow, &rec) == 0)
			expect(&rec, follow.seq - 1);
		if (i % 1000 == 0) {
			model_compare(r, &m, m.tail + (uint64_t)random() % (m.head - m.tail + 1));
			ring_check(r);
		}
	}
	model_compare(r, &m, m.tail);
	ring_check(r);
	ring_free(r);
}

static void test_many_small(void **state)
{
	struct ring *r;
	struct ring *other;
	uint64_t n = 0;

	(void)state;
	assert_int_equal(ring_create(SMALL, 1, &r), 0);
	for (int lap = 0; lap < 3; lap++) {
		while (add(r, 0, 0, 0) == 0)
			n++;
		assert_int_equal(walk(r, ring_tail_seq(r) + 5000), ring_head_seq(r) - ring_tail_seq(r) - 5000);
		ring_release(r, ring_tail_seq(r) + 20000);
		ring_check(r);
	}
	assert_true(n > 32000);
	assert_int_equal(ring_attach(ring_fd(r), &other), 0);
	ring_check(other);
	ring_release(other, ring_head_seq(other) - 1);
	assert_int_equal(walk(other, ring_head_seq(other) - 1), 1);
	ring_free(other);
	ring_free(r);
}

static void test_attach(void **state)
{
	struct ring *r;
	struct ring *other;
	struct record_head head = {.kind = RECORD_OP};
	void *data;
	int fd;

	(void)state;
	assert_int_equal(ring_create(SMALL, 50, &r), 0);
	assert_int_equal(add(r, 30, 3000, 0), 0);
	assert_int_equal(add(r, 0, 5, 1), 0);
	ring_release(r, 51);
	strcpy(ring_user(r), "attempts=1");
	/* Reserved, partly filled, never published: the record does not exist for who attaches. */
	assert_int_equal(ring_append(r, &head, "x", 1, NULL, 1000, NULL, &data), 0);
	memset(data, 1, 500);
	fd = dup(ring_fd(r));
	assert_int_equal(ring_attach(fd, &other), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(ring_tail_seq(other), 51);
	assert_int_equal(ring_head_seq(other), 52);
	assert_string_equal(ring_user(other), "attempts=1");
	assert_int_equal(walk(other, 51), 1);
	assert_int_equal(add(other, 7, 70000, 0), 0);
	assert_int_equal(walk(other, 51), 2);
	ring_check(other);
	ring_free(other);
	ring_free(r);
}

/* A process that appends and releases as fast as it can is killed at a random moment. */
static void appender(struct ring *r, _Atomic uint64_t *acked)
{
	for (uint64_t n = 0;; n++) {
		size_t len = (n * 2654435761u) % 3000;

		while (add(r, n % 90, len, n & 1))
			ring_release(r, ring_tail_seq(r) + 1 + (ring_head_seq(r) - ring_tail_seq(r)) / 3);
		atomic_store(acked, ring_head_seq(r));
	}
}

static void test_kill(void **state)
{
	_Atomic uint64_t *acked = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct ring *r;

	(void)state;
	assert_ptr_not_equal(acked, MAP_FAILED);
	srandom(3);
	assert_int_equal(ring_create(SMALL, 1, &r), 0);
	atomic_store(acked, 1);
	for (int i = 0; i < 40; i++) {
		uint64_t before = atomic_load(acked);
		int status;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			appender(r, acked);
		while (atomic_load(acked) == before)
			(void)usleep(100);
		(void)usleep((useconds_t)random() % 20000);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		/* Our own mapping knows nothing of what the child did: look at it afresh. */
		{
			struct ring *next;

			assert_int_equal(ring_attach(ring_fd(r), &next), 0);
			ring_free(r);
			r = next;
		}
		ring_check(r);
		assert_true(ring_head_seq(r) == atomic_load(acked) || ring_head_seq(r) == atomic_load(acked) + 1);
		assert_int_equal(walk(r, ring_tail_seq(r)), ring_head_seq(r) - ring_tail_seq(r));
		atomic_store(acked, ring_head_seq(r));
	}
	ring_free(r);
	(void)munmap((void *)acked, 4096);
}

/* Publishes in every way there is: plain, reserved, over the end of the ring, released, emptied and begun again. */
static void publisher(struct ring *r)
{
	struct record_head head = {.kind = RECORD_OP};
	void *at;

	(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	(void)raise(SIGSTOP);
	for (int i = 0; i < 2; i++) {
		(void)ring_append(r, &head, "effects", 7, "data", 4, NULL, NULL);
		(void)ring_append(r, &head, "effects", 7, NULL, 100, NULL, &at);
		ring_publish(r);
		ring_release(r, ring_head_seq(r) - 1);
	}
	ring_release(r, ring_head_seq(r));
	(void)ring_append(r, &head, "again", 5, "data", 4, NULL, NULL);
	_exit(0);
}

/* Steps through all that one instruction at a time: after each, who attaches must see a whole ring. */
static void test_kill_at_every_instruction(void **state)
{
	struct ring *r;
	uint8_t *header;
	uint8_t seen[4096] = {0};
	int changes = 0;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(ring_create(SMALL, 1, &r), 0);
	assert_int_equal(add(r, 0, SMALL / 2, 0), 0);
	assert_int_equal(add(r, 0, ring_free_space(r) - 64 - 500, 0), 0);
	ring_release(r, 2);
	header = mmap(NULL, 4096, PROT_READ, MAP_SHARED, ring_fd(r), 0);
	assert_ptr_not_equal(header, MAP_FAILED);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		publisher(r);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	while (WIFSTOPPED(status)) {
		if (memcmp(seen, header, sizeof seen)) {
			struct ring *other;

			memcpy(seen, header, sizeof seen);
			assert_int_equal(ring_attach(ring_fd(r), &other), 0);
			ring_check(other);
			ring_free(other);
			changes++;
		}
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_true(changes > 20);
	ring_free(r);
	assert_int_equal(munmap(header, 4096), 0);
}

/* Attaching must survive anything: flips and random words in the header, and in records. */
static void test_corrupt_header(void **state)
{
	struct ring *r;
	struct ring *other;
	uint64_t *header;
	uint64_t saved[512];

	(void)state;
	srandom(5);
	assert_int_equal(ring_create(SMALL, 1, &r), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(add(r, 100, 1000, 0), 0);
	ring_release(r, 40);
	header = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring_fd(r), 0);
	assert_ptr_not_equal(header, MAP_FAILED);
	memcpy(saved, header, 4096);
	for (int i = 0; i < STEPS(20000); i++) {
		size_t word = (size_t)random() % 12;
		int ret;

		if (i % 3 == 0)
			header[word] = (uint64_t)random() << 32 | (uint64_t)random();
		else if (i % 3 == 1)
			header[word] ^= 1ull << (random() % 64);
		else
			header[word] += (uint64_t)(random() % 5 - 2) * 64;
		ret = ring_attach(ring_fd(r), &other);
		assert_true(ret == 0 || ret == -ECORRUPT);
		if (other) {
			struct ring_pos pos = {.seq = ring_tail_seq(other)};
			struct record rec;

			while (ring_next(other, &pos, &rec) == 0)
				expect(&rec, pos.seq - 1);
		}
		ring_free(other);
		memcpy(header, saved, 4096);
	}
	assert_int_equal(ring_attach(ring_fd(r), &other), 0);
	ring_free(other);
	assert_int_equal(munmap(header, 4096), 0);
	ring_free(r);
}

static void test_corrupt_record(void **state)
{
	struct ring *r;
	struct ring *other;
	struct ring_pos pos = {.seq = 1};
	struct record rec;

	(void)state;
	assert_int_equal(ring_create(SMALL, 1, &r), 0);
	for (int i = 0; i < 1500; i++)
		assert_int_equal(add(r, 100, 100, 0), 0);
	while (pos.seq <= 1100)
		assert_int_equal(ring_next(r, &pos, &rec), 0);
	*(uint8_t *)rec.effects ^= 1;
	assert_int_equal(ring_attach(ring_fd(r), &other), -ECORRUPT);
	assert_non_null(other);
	assert_int_equal(ring_head_seq(other), 1501);
	pos = (struct ring_pos){.seq = 1};
	for (uint64_t seq = 1; seq < 1100; seq++) {
		assert_int_equal(ring_next(other, &pos, &rec), 0);
		expect(&rec, seq);
	}
	assert_int_equal(ring_next(other, &pos, &rec), -ECORRUPT);
	pos = (struct ring_pos){.seq = 1300};
	assert_int_equal(ring_next(other, &pos, &rec), -ECORRUPT);
	ring_free(other);
	ring_free(r);
}

static void test_not_a_ring(void **state)
{
	struct ring *other = (struct ring *)state;
	int fd = memfd_create("no-ring", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ring_attach(fd, &other), -ECORRUPT);
	assert_null(other);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(ring_attach(fd, &other), -ECORRUPT);
	assert_int_equal(ftruncate(fd, (off_t)SMALL), 0);
	assert_int_equal(ring_attach(fd, &other), -ECORRUPT);
	assert_null(other);
	assert_int_equal(close(fd), 0);
	assert_int_equal(ring_attach(fd, &other), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_against_a_queue),
		cmocka_unit_test(test_many_small),
		cmocka_unit_test(test_attach),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_kill_at_every_instruction),
		cmocka_unit_test(test_corrupt_header),
		cmocka_unit_test(test_corrupt_record),
		cmocka_unit_test(test_not_a_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
