#include "fixture.h"
#include "store/chunk/pack_format.h"

#define CONTENT_LEN (2 * MIB + 777)

static uint8_t *text(uint64_t seed, size_t len)
{
	uint8_t *data = malloc(len);

	fixture_text(seed, data, len);
	return data;
}

static uint8_t *noise(uint64_t seed, size_t len)
{
	uint8_t *data = malloc(len);

	fixture_random(seed, data, len);
	return data;
}

static void round_trip_of_all_sizes(void **state)
{
	static const size_t lens[] = {1, 100, 4096, CHUNK_LEN_MIN, CHUNK_LEN_MIN + 1, CHUNK_LEN_MAX, 9 * MIB};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
		for (int kind = 0; kind < 4; kind++) {
			uint8_t *data = kind & 1 ? text(8 * i + kind, lens[i]) : noise(8 * i + kind, lens[i]);

			assert_int_equal(fixture_add(f, data, lens[i], 0, kind & 2 ? 3 : 0), 0);
			assert_int_equal(chunk_writer_flush(f->w), 0);
			fixture_verify(f, data, lens[i]);
			assert_int_equal(chunk_writer_sync(f->w), 0);
			assert_false(chunk_writer_dirty(f->w));
			free(data);
		}
	}
	assert_int_equal(fixture_add(f, "never stored before", 19, 0, 1), 0);
	assert_true(chunk_writer_dirty(f->w));
	assert_int_equal(chunk_writer_flush(f->w), 0);
	assert_true(chunk_writer_dirty(f->w));
	assert_int_equal(chunk_writer_sync(f->w), 0);
	assert_false(chunk_writer_dirty(f->w));
	assert_int_equal(fixture_add(f, "", 0, 0, 1), 0);
	assert_int_equal(f->npieces, 0);
}

static void compression_follows_the_level(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = text(1, CHUNK_LEN_MAX);

	assert_int_equal(fixture_add(f, data, CHUNK_LEN_MAX, CHUNK_ADD_SINGLE, 0), 0);
	assert_int_equal(f->pieces[0].loc.codec, CHUNK_RAW);
	assert_int_equal(fixture_add(f, data, CHUNK_LEN_MAX, CHUNK_ADD_SINGLE, 1), 0);
	assert_int_equal(f->pieces[0].loc.codec, CHUNK_ZSTD);
	assert_true(f->pieces[0].loc.stored_len < CHUNK_LEN_MAX / 2);
	free(data);
}

/* The spans' layout is invisible in what is stored. */
static void spans_are_one_content(void **state)
{
	struct fixture *f = *state;
	const struct chunk_owner owner = {.branch = 3, .ino = 77, .off = 1000};
	uint8_t *data = noise(2, CONTENT_LEN);
	struct chunk_span spans[600];
	size_t n = 0, pos = 0, whole;

	assert_int_equal(fixture_add(f, data, CONTENT_LEN, 0, 1), 0);
	whole = f->npieces;
	fixture_settle(f);
	assert_int_equal(chunk_writer_sync(f->w), 0);
	while (pos < CONTENT_LEN) {
		size_t len = n % 7 == 3 ? 0 : 1 + (n * 2654435761u) % 9000;

		len = len < CONTENT_LEN - pos ? len : CONTENT_LEN - pos;
		if (n == 50)
			len = CONTENT_LEN / 2; /* one large span, for chunks that are not copied */
		assert_true(n < 600);
		spans[n++] = (struct chunk_span){.data = data + pos, .len = len};
		pos += len;
	}
	f->npieces = 0;
	assert_int_equal(chunk_writer_add(f->w, &owner, spans, n, 0, 1, fixture_emit, f), 0);
	assert_int_equal(f->npieces, whole);
	for (size_t i = 0; i < whole; i++)
		assert_int_equal(f->pieces[i].id, i + 1);
	fixture_verify(f, data, CONTENT_LEN);
	free(data);
}

static void stored_content_is_shared(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = text(3, CONTENT_LEN);
	size_t n;

	assert_int_equal(fixture_add(f, data, CONTENT_LEN, 0, 1), 0);
	n = f->npieces;
	assert_int_equal(chunk_writer_sync(f->w), 0);
	fixture_settle(f);
	assert_int_equal(fixture_add(f, data, CONTENT_LEN, 0, 1), 0);
	assert_int_equal(f->npieces, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(f->pieces[i].id, i + 1);
	assert_false(chunk_writer_dirty(f->w));
	assert_true(stats_get(&f->stats.chunks_dedup) == n);
	assert_true(stats_get(&f->stats.chunk_bytes_dedup) == CONTENT_LEN);
	assert_true(stats_get(&f->stats.chunks_new) == n);
	free(data);
}

/* A candidate whose bytes differ is never shared, whatever its hash is said to be. */
static void bytes_decide(void **state)
{
	struct fixture *f = *state;
	uint8_t *a = noise(4, 30000), *b = noise(5, 30000);
	struct chunk_loc lie, forged;

	assert_int_equal(fixture_add(f, a, 30000, 0, 0), 0);
	assert_int_equal(chunk_writer_sync(f->w), 0);
	fixture_settle(f);
	lie = f->pieces[0].loc;
	f->lie = &lie;
	assert_int_equal(fixture_add(f, b, 30000, 0, 0), 0);
	assert_int_equal(f->npieces, 1);
	assert_int_equal(f->pieces[0].id, 0);
	assert_true(lie.off != f->pieces[0].loc.off);
	assert_int_equal(chunk_writer_sync(f->w), 0);
	fixture_verify(f, b, 30000);
	fixture_settle(f);
	/* the right candidate is found behind the wrong one */
	assert_int_equal(fixture_add(f, b, 30000, 0, 0), 0);
	assert_int_equal(f->pieces[0].id, 2);
	/* the very hash of b on a's bytes: fails its own verification */
	forged = lie;
	forged.hash = f->pieces[0].loc.hash;
	f->lie = &forged;
	assert_int_equal(fixture_add(f, b, 30000, 0, 0), 0);
	assert_int_equal(f->pieces[0].id, 2);
	free(a);
	free(b);
}

static void damaged_candidates_are_not_shared(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = text(6, CONTENT_LEN);
	size_t n;

	assert_int_equal(fixture_add(f, data, CONTENT_LEN, 0, 1), 0);
	n = f->npieces;
	assert_int_equal(chunk_writer_sync(f->w), 0);
	fixture_settle(f);
	fixture_flip(f, &f->table[2], 50);
	assert_int_equal(fixture_add(f, data, CONTENT_LEN, 0, 1), 0);
	assert_int_equal(f->npieces, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(f->pieces[i].id, i == 2 ? 0 : i + 1);
	assert_int_equal(chunk_writer_flush(f->w), 0);
	fixture_verify(f, data, CONTENT_LEN);
	free(data);
}

static void twice_in_one_batch(void **state)
{
	struct fixture *f = *state;

	for (int kind = 0; kind < 4; kind++) {
		uint8_t *data = kind & 1 ? text(7, 40000) : noise(8, 40000);
		struct chunk_loc first;

		assert_int_equal(fixture_add(f, data, 16000, 0, 1), 0);
		first = f->pieces[0].loc;
		if (kind & 2)
			assert_int_equal(chunk_writer_flush(f->w), 0);
		assert_int_equal(fixture_add(f, data, 16000, 0, 1), 0);
		assert_int_equal(f->npieces, 1);
		assert_int_equal(f->pieces[0].id, 0);
		assert_int_equal(f->pieces[0].loc.pack, first.pack);
		assert_int_equal(f->pieces[0].loc.off, first.off);
		data[15999] ^= 1;
		assert_int_equal(fixture_add(f, data, 16000, 0, 1), 0);
		assert_true(f->pieces[0].loc.off != first.off);
		data[15999] ^= 1;
		/* after the end of the batch only `find` knows */
		chunk_writer_batch_end(f->w);
		assert_int_equal(fixture_add(f, data, 16000, 0, 1), 0);
		assert_true(f->pieces[0].loc.off != first.off);
		assert_int_equal(chunk_writer_flush(f->w), 0);
		fixture_verify(f, data, 16000);
		chunk_writer_batch_end(f->w);
		free(data);
	}
}

/* More chunks than a batch remembers. */
static void large_batch(void **state)
{
	struct fixture *f = *state;
	uint8_t data[64];

	for (uint64_t i = 0; i < 10000; i++) {
		fixture_random(i + 1, data, sizeof data);
		assert_int_equal(fixture_add(f, data, sizeof data, 0, 0), 0);
	}
	assert_true(stats_get(&f->stats.chunks_new) == 10000);
	fixture_random(1, data, sizeof data);
	assert_int_equal(fixture_add(f, data, sizeof data, 0, 0), 0);
	assert_true(stats_get(&f->stats.chunks_new) == 10000);
	assert_int_equal(chunk_writer_flush(f->w), 0);
	fixture_verify(f, data, sizeof data);
}

static void single_chunks(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = noise(9, CHUNK_LEN_MAX);
	uint32_t off;

	assert_int_equal(fixture_add(f, data, CHUNK_LEN_MAX, CHUNK_ADD_SINGLE, 1), 0);
	assert_int_equal(f->npieces, 1);
	off = f->pieces[0].loc.off;
	assert_int_equal(fixture_add(f, data, CHUNK_LEN_MAX, CHUNK_ADD_SINGLE, 1), 0);
	assert_int_equal(f->npieces, 1);
	assert_true(f->pieces[0].loc.off != off);
	assert_int_equal(f->finds, 0);
	assert_int_equal(chunk_writer_flush(f->w), 0);
	fixture_verify(f, data, CHUNK_LEN_MAX);
	free(data);
}

static void packs_roll_over(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = noise(10, 20 * MIB);
	struct stat st;
	int fd;

	chunk_store_limit_packs(f->cs, MIB);
	assert_int_equal(chunk_writer_pack(f->w), 0);
	assert_int_equal(fixture_add(f, data, 20 * MIB, 0, 1), 0);
	assert_true(f->last_pack >= 21);
	assert_int_equal(chunk_writer_pack(f->w), f->last_pack);
	assert_int_equal(chunk_writer_sync(f->w), 0);
	fixture_verify(f, data, 20 * MIB);
	for (uint32_t id = 1; id <= f->last_pack; id++) {
		fd = fixture_open_pack(f, id);
		assert_int_equal(fstat(fd, &st), 0);
		assert_in_range(st.st_size, 1, MIB);
		if (id < f->last_pack)
			assert_true(st.st_blocks * 512 <= st.st_size + 4096); /* nothing stays reserved */
		(void)close(fd);
	}
	free(data);
}

/* Headers lie one after the other, say where they are, and lead from record to record. */
static void records_can_be_walked(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = text(11, CONTENT_LEN), header[CHUNK_RECORD_HEADER_LEN];
	struct pack_record rec, before = {0};
	off_t at = 0;
	int fd;

	assert_int_equal(fixture_add(f, data, CONTENT_LEN, 0, 1), 0);
	assert_int_equal(chunk_writer_flush(f->w), 0);
	fd = fixture_open_pack(f, 1);
	for (size_t i = 0; i < f->npieces; i++) {
		assert_int_equal(pread(fd, header, sizeof header, at), sizeof header);
		assert_int_equal(pack_record_parse(header, sizeof header, f->secret, &rec), 0);
		assert_int_equal(rec.loc.pack, 1);
		assert_int_equal(rec.loc.off, at + CHUNK_RECORD_HEADER_LEN);
		assert_int_equal(rec.loc.off, f->pieces[i].loc.off);
		assert_true(rec.loc.hash.lo == f->pieces[i].loc.hash.lo);
		assert_int_equal(rec.owner.ino, 77);
		assert_int_equal(rec.owner.branch, 3);
		assert_int_equal(rec.owner.off, f->pieces[i].off);
		assert_true(rec.sequence > before.sequence);
		before = rec;
		at = (off_t)rec.loc.off + rec.loc.stored_len;
	}
	assert_int_equal(pread(fd, header, 1, at), 0);
	(void)close(fd);
	free(data);
}

/* What only callbacks can do wrong is reported, and the writer goes on. */
static void callback_errors(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = noise(12, CONTENT_LEN);

	f->find_error = -EBUSY;
	assert_int_equal(fixture_add(f, data, CONTENT_LEN, 0, 1), -EBUSY);
	f->find_error = 0;
	f->emit_error = -ENOMEM;
	assert_int_equal(fixture_add(f, data, CONTENT_LEN, 0, 1), -ENOMEM);
	f->emit_error = 0;
	assert_false(chunk_writer_dirty(f->w));
	assert_int_equal(fixture_add(f, data, CONTENT_LEN, 0, 1), 0);
	assert_int_equal(chunk_writer_sync(f->w), 0);
	fixture_verify(f, data, CONTENT_LEN);
	free(data);
}

struct fault {
	enum io_op op;
	int countdown;
	bool hit;
};

static int fault_hook(void *arg, enum io_class cls, enum io_op op, const char *path, int fd, const void *data,
		      size_t *len, off_t off)
{
	struct fault *fault = arg;

	(void)path;
	(void)fd;
	(void)data;
	(void)off;
	assert_int_equal(cls, IO_PACK);
	if (op != fault->op || fault->countdown == 0 || --fault->countdown > 0)
		return 0;
	fault->hit = true;
	if (op == IO_WRITE)
		*len /= 3; /* torn */
	return -EIO;
}

/* A run with several packs, gathers and syncs; stops at the first error. */
static int run(struct fixture *f, const uint8_t *data, size_t len)
{
	int ret = fixture_add(f, data, len / 2, 0, 1);

	if (!ret)
		ret = chunk_writer_flush(f->w);
	if (!ret)
		ret = chunk_writer_sync(f->w);
	if (!ret)
		fixture_settle(f);
	if (!ret)
		ret = fixture_add(f, data + len / 2, len - len / 2, 0, 1);
	if (!ret)
		ret = chunk_writer_sync(f->w);
	if (!ret)
		fixture_settle(f);
	return ret;
}

/* Every file ends with whole records: what is not durable was cut off. */
static void check_packs(struct fixture *f)
{
	uint8_t header[CHUNK_RECORD_HEADER_LEN];
	struct pack_record rec;
	struct stat st;
	off_t at;
	int fd;

	for (uint32_t id = 1; id <= f->last_pack; id++) {
		fd = fixture_open_pack(f, id);
		if (fd < 0)
			continue;
		assert_int_equal(fstat(fd, &st), 0);
		for (at = 0; at < st.st_size; at = (off_t)rec.loc.off + rec.loc.stored_len) {
			assert_int_equal(pread(fd, header, sizeof header, at), sizeof header);
			assert_int_equal(pack_record_parse(header, sizeof header, f->secret, &rec), 0);
		}
		assert_int_equal(at, st.st_size);
		(void)close(fd);
	}
}

/* Fails the nth operation of each kind until a run passes clean. */
static void faults(void **state)
{
	static const enum io_op ops[] = {IO_OPEN, IO_WRITE, IO_SYNC, IO_ALLOCATE, IO_READ, IO_TRUNCATE, IO_UNLINK};
	struct fixture *f = *state;
	const size_t len = 6 * MIB;
	uint8_t *data = noise(13, len + 64), *out = malloc(CHUNK_LEN_MAX);
	struct fault fault;
	int ret;

	chunk_store_limit_packs(f->cs, 2 * MIB);
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
		int nth = 0;

		do {
			fault = (struct fault){.op = ops[i], .countdown = ++nth};
			data[0]++; /* something new to store each time; the rest may be shared */
			io_set_hook(fault_hook, &fault);
			ret = run(f, data, len);
			io_set_hook(NULL, NULL);
			if (fault.hit && (ops[i] == IO_WRITE || ops[i] == IO_SYNC))
				assert_int_equal(ret, -EIO);
			if (ret) {
				assert_int_equal(ret, -EIO);
				assert_false(chunk_writer_dirty(f->w));
				if (ops[i] != IO_TRUNCATE && ops[i] != IO_UNLINK)
					check_packs(f);
				f->npieces = 0;
				assert_int_equal(run(f, data, len), 0);
			}
			/* all that was ever settled reads back */
			for (size_t t = 0; t < f->ntable; t++)
				assert_int_equal(chunk_store_read(f->cs, &f->table[t], out, false), 0);
			f->ntable = 0; /* so that the next run stores everything again */
		} while (fault.hit && nth < 200);
		assert_true(nth < 200);
		assert_true(nth > 1 || ops[i] == IO_READ || ops[i] == IO_UNLINK);
	}
	free(out);
	free(data);
}

/* A sync that fails takes back what it was to make durable, and nothing else. */
static void failed_sync_keeps_what_was_durable(void **state)
{
	struct fixture *f = *state;
	struct fault fault = {.op = IO_SYNC, .countdown = 1};
	uint8_t *a = noise(14, 100000), *b = noise(15, 100000), *out = malloc(CHUNK_LEN_MAX);
	struct chunk_piece kept;

	assert_int_equal(fixture_add(f, a, 100000, CHUNK_ADD_SINGLE, 1), 0);
	assert_int_equal(chunk_writer_sync(f->w), 0);
	kept = f->pieces[0];
	assert_int_equal(fixture_add(f, b, 100000, CHUNK_ADD_SINGLE, 1), 0);
	assert_int_equal(f->pieces[0].loc.pack, kept.loc.pack);
	assert_int_equal(chunk_writer_flush(f->w), 0);
	io_set_hook(fault_hook, &fault);
	assert_int_equal(chunk_writer_sync(f->w), -EIO);
	io_set_hook(NULL, NULL);
	assert_int_equal(chunk_store_read(f->cs, &kept.loc, out, false), 0);
	assert_memory_equal(out, a, 100000);
	assert_int_equal(chunk_store_read(f->cs, &f->pieces[0].loc, out, false), -ECORRUPT);
	assert_int_equal(fixture_add(f, b, 100000, CHUNK_ADD_SINGLE, 1), 0);
	assert_true(f->pieces[0].loc.pack != kept.loc.pack);
	assert_int_equal(chunk_writer_sync(f->w), 0);
	fixture_verify(f, b, 100000);
	free(a);
	free(b);
	free(out);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(round_trip_of_all_sizes),
		TEST(compression_follows_the_level),
		TEST(spans_are_one_content),
		TEST(stored_content_is_shared),
		TEST(bytes_decide),
		TEST(damaged_candidates_are_not_shared),
		TEST(twice_in_one_batch),
		TEST(large_batch),
		TEST(single_chunks),
		TEST(packs_roll_over),
		TEST(records_can_be_walked),
		TEST(callback_errors),
		TEST(faults),
		TEST(failed_sync_keeps_what_was_durable),
	};

	return cmocka_run_group_tests_name("chunk_writer", tests, NULL, NULL);
}
