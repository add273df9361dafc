/* Rot: bits flip in packs and database. Reads give what was written or fail; nothing crashes; damage is said, counted, not shared, and found
 * by the check. */
#include <dirent.h>
#include <fcntl.h>
#include <time.h>

#include "store/maint/check.h"
#include "tests/unit/volume/store_fixture.h"

#define FILES 24
#define ROUNDS 40
#define FLIPS_MAX 12

static unsigned long seed;

static unsigned chance(unsigned below)
{
	seed = seed * 6364136223846793005UL + 1442695040888963407UL;
	return (unsigned)(seed >> 33) % below;
}

static const char *const data_files[] = {"meta.db", "packs", "journal.0", "journal.1"};

/* The path of a random file that a store keeps things in. */
static void pick_file(const char *dir, char *out, size_t size)
{
	const char *name = data_files[chance(4)];
	unsigned n = 0, nth;
	struct dirent *e;
	DIR *d;

	(void)snprintf(out, size, "%s/%s", dir, name);
	if (strcmp(name, "packs") != 0)
		return;
	d = opendir(out);
	assert_non_null(d);
	while (readdir(d))
		n++;
	nth = chance(n - 2); /* "." and ".." aside */
	rewinddir(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.' && nth-- == 0)
			(void)snprintf(out, size, "%s/packs/%s", dir, e->d_name);
	(void)closedir(d);
}

static void flip_bit(const char *path, off_t off)
{
	uint8_t byte;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, off), 1);
	byte ^= (uint8_t)(1u << chance(8));
	assert_int_equal(pwrite(fd, &byte, 1, off), 1);
	(void)close(fd);
}

static void flip_somewhere(const char *dir)
{
	char path[400];
	struct stat st;

	pick_file(dir, path, sizeof path);
	assert_int_equal(stat(path, &st), 0);
	if (st.st_size)
		flip_bit(path, (off_t)chance((unsigned)st.st_size));
}

static size_t len_of(unsigned i)
{
	return 500 + i * i * 700;
}

/* A name's file holds these bytes, or says that it cannot be read. Returns whether it could. */
static bool right_or_error(struct store *s, uint64_t dir, const char *name, unsigned i)
{
	static uint8_t want[1 << 20], got[1 << 20];
	struct attr attr;
	size_t n = 0;
	int ret = ns_lookup(s, dir, name, &attr);

	if (ret) {
		assert_int_equal(ret, -ECORRUPT); /* above all, not -ENOENT */
		return false;
	}
	assert_int_equal(attr.size, len_of(i));
	ret = file_read(s, attr.node, got, sizeof got, 0, false, &n);
	if (ret) {
		assert_int_equal(ret, -ECORRUPT);
		return false;
	}
	fixture_bytes(want, len_of(i), i);
	assert_int_equal(n, len_of(i));
	assert_memory_equal(got, want, n);
	return true;
}

static bool find_dir(struct store *s, const char *volume, const char *snapshot, uint64_t *ret)
{
	struct attr at;
	int err = ns_lookup(s, NODE_ROOT, volume, &at);

	if (!err && snapshot)
		err = ns_lookup(s, at.node, ".snapshots", &at);
	if (!err && snapshot)
		err = ns_lookup(s, at.node, snapshot, &at);
	if (err)
		assert_int_equal(err, -ECORRUPT);
	*ret = at.node;
	return !err;
}

static unsigned read_all(struct store *s)
{
	static const char *const views[][2] = {{"v", NULL}, {"v", "s1"}, {"copy", NULL}};
	unsigned bad = 0;
	uint64_t dir;

	for (size_t k = 0; k < 3; k++) {
		if (!find_dir(s, views[k][0], views[k][1], &dir)) {
			bad++;
			continue;
		}
		for (unsigned i = 0; i < FILES; i++) {
			char name[16];

			(void)snprintf(name, sizeof name, "f%u", i);
			bad += !right_or_error(s, dir, name, i);
		}
	}
	return bad;
}

static void ignore(void *arg, const char *line)
{
	(void)arg, (void)line;
}

/* What a user would do next: whatever becomes of it, the store lives. */
static void go_on(struct store_fixture *f)
{
	struct check_result r = {0};
	struct volume_info info;
	struct attr attr;
	bool more = true;

	if (!volume_create(f->s, "new", NULL, &info, NULL) &&
	    !ns_create(f->s, &fixture_op, info.root_node, "x", S_IFREG | 0644, 0, NULL, &attr) &&
	    !file_write(f->s, &fixture_op, attr.node, "abc", 3, 0, 0, false))
		(void)file_fsync(f->s, attr.node);
	(void)store_commit(f->s);
	for (int i = 0; i < 10 && more; i++)
		if (store_maintain(f->s, &more))
			break;
	(void)check_store(f->s, CHECK_DATA, ignore, NULL, &r, NULL);
}

static void build(struct store_fixture *f)
{
	struct snapshot_name name = {"v", "s1"};
	struct volume_info info;
	struct err err = {0};

	for (unsigned i = 0; i < FILES; i++) {
		char text[16];

		(void)snprintf(text, sizeof text, "f%u", i);
		(void)fixture_file(f, f->vol.root_node, text, i, len_of(i));
	}
	assert_int_equal(snapshot_create(f->s, &name, 1, NULL, NULL, &err), 0);
	assert_int_equal(snapshot_clone(f->s, "v", "s1", "copy", NULL, &info, NULL, &err), 0);
	assert_int_equal(store_close(f->s, &err), 0);
	f->s = NULL;
}

static void run(const char *fmt, const char *a, const char *b)
{
	char cmd[300];

	(void)snprintf(cmd, sizeof cmd, fmt, a, b);
	assert_int_equal(system(cmd), 0);
}

static void test_random_flips(void **state)
{
	struct store_fixture *f = *state, hurt = {0};
	unsigned opened = 0, lost = 0, rounds = getenv("LONG") ? 50 * ROUNDS : ROUNDS;

	build(f);
	(void)snprintf(hurt.dir, sizeof hurt.dir, "%.50s.hurt", f->dir);
	for (unsigned round = 0; round < rounds; round++) {
		struct store_options opts = {.flags = STORE_NO_THREADS, .ring_size = 8 * MIB, .ring_fd = -1};
		unsigned flips = 1 + chance(FLIPS_MAX), bad;
		struct err err = {0};
		int ret;

		run("cp -r --sparse=always %s %s", f->dir, hurt.dir);
		while (flips--)
			flip_somewhere(hurt.dir);
		ret = store_open(hurt.dir, &opts, &hurt.s, &err);
		if (ret) {
			assert_int_equal(ret, -ECORRUPT);
			assert_int_not_equal(err.text[0], 0);
		} else {
			opened++;
			bad = read_all(hurt.s);
			lost += bad;
			if (bad)
				assert_true(store_stats(hurt.s)->chunks_corrupt + store_stats(hurt.s)->metadata_corrupt > 0);
			go_on(&hurt);
			(void)store_close(hurt.s, NULL);
		}
		run("rm -rf %s%s", hurt.dir, "");
	}
	print_message("%u rounds: %u opened, %u files could not be read\n", rounds, opened, lost);
	assert_true(opened > rounds / 4);
	store_fixture_open(f, -1);
	assert_int_equal(read_all(f->s), 0);
}

/* Damages the chunk that a file begins with, wherever it lies: all packs, every 64th byte. */
static void hurt_packs(struct store_fixture *f)
{
	char path[400], dir[100];
	struct dirent *e;
	struct stat st;
	DIR *d;

	(void)snprintf(dir, sizeof dir, "%s/packs", f->dir);
	d = opendir(dir);
	assert_non_null(d);
	while ((e = readdir(d))) {
		(void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		if (e->d_name[0] == '.' || stat(path, &st))
			continue;
		for (off_t off = 0; off < st.st_size; off += 64)
			flip_bit(path, off);
	}
	(void)closedir(d);
}

/* What the log says while `read` fails. */
static void read_logged(struct store *s, uint64_t node, char *out, size_t size)
{
	int pipe_fd[2], saved = dup(2);
	uint8_t byte;
	ssize_t n;
	size_t got;

	assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
	assert_true(dup2(pipe_fd[1], 2) >= 0);
	assert_int_equal(file_read(s, node, &byte, 1, 100, false, &got), -ECORRUPT);
	assert_true(dup2(saved, 2) >= 0);
	(void)close(pipe_fd[1]);
	(void)close(saved);
	n = read(pipe_fd[0], out, size - 1);
	out[n > 0 ? n : 0] = 0;
	(void)close(pipe_fd[0]);
}

static int quiet_begin(void)
{
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	assert_true(saved >= 0 && null >= 0);
	assert_true(dup2(null, STDERR_FILENO) >= 0);
	(void)close(null);
	return saved;
}

static void quiet_end(int saved)
{
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	(void)close(saved);
}

/* A byte of the file that something was written to. */
static bool flip_used(const char *dir, const char *name)
{
	char path[400];
	struct stat st;
	uint8_t byte = 0;
	off_t off = 0;
	int fd;

	(void)snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	for (int i = 0; i < 100000 && !byte; i++) {
		off = (off_t)chance((unsigned)st.st_size);
		assert_int_equal(pread(fd, &byte, 1, off), 1);
	}
	(void)close(fd);
	if (byte)
		flip_bit(path, off);
	return byte != 0;
}

#define SYNCED 30

static void build_synced(struct store_fixture *f)
{
	for (unsigned i = 0; i < SYNCED; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "s%u", i);
		assert_int_equal(file_fsync(f->s, fixture_file(f, f->vol.root_node, name, i, 300 + i * 97)), 0);
		/* written, not synced: in no journal, only in the commit */
		(void)snprintf(name, sizeof name, "w%u", i);
		(void)fixture_file(f, f->vol.root_node, name, i, 100);
		if (i % 9 == 8)
			assert_int_equal(store_commit(f->s), 0);
	}
}

/* The last sync's record has nothing behind it, and may look as if the power had torn it. */
static void expect_synced(struct store *s, unsigned *last_lost)
{
	uint64_t dir;

	assert_true(find_dir(s, "v", NULL, &dir));
	for (unsigned i = 0; i < SYNCED; i++) {
		static uint8_t want[8192], got[8192];
		struct attr attr;
		char name[16];
		size_t n = 0;
		int ret;

		(void)snprintf(name, sizeof name, "s%u", i);
		ret = ns_lookup(s, dir, name, &attr);
		if (ret == -ENOENT && i == SYNCED - 1) {
			(*last_lost)++;
			continue;
		}
		assert_int_equal(ret, 0);
		assert_int_equal(attr.size, 300 + i * 97);
		assert_int_equal(file_read(s, attr.node, got, sizeof got, 0, false, &n), 0);
		fixture_bytes(want, 300 + i * 97, i);
		assert_int_equal(n, 300 + i * 97);
		assert_memory_equal(got, want, n);
		/* what was before a commit was with it */
		(void)snprintf(name, sizeof name, "w%u", i);
		if (i / 9 < SYNCED / 9)
			assert_int_equal(ns_lookup(s, dir, name, &attr), 0);
	}
}

/* The power fails, and bits flip in what recovery needs: all that was synced is there, or the store says that it is damaged. */
static void test_flips_after_crash(void **state)
{
	static const char *const names[] = {"journal.0", "journal.1", "meta.db-wal"};
	struct store_fixture *f = *state, hurt = {0};
	unsigned refused = 0, last_lost = 0, rounds = getenv("LONG") ? 2000 : 150;
	int quiet;

	build_synced(f);
	(void)snprintf(hurt.dir, sizeof hurt.dir, "%.50s.hurt", f->dir);
	for (unsigned round = 0; round < rounds; round++) {
		struct store_options opts = {.flags = STORE_NO_THREADS, .ring_size = 8 * MIB, .ring_fd = -1};
		struct err err = {0};
		int ret;

		run("cp -r --sparse=always %s %s", f->dir, hurt.dir);
		assert_true(flip_used(hurt.dir, names[round % 3]));
		quiet = quiet_begin();
		ret = store_open(hurt.dir, &opts, &hurt.s, &err);
		quiet_end(quiet);
		if (ret) {
			refused++;
			assert_int_equal(ret, -ECORRUPT);
			assert_non_null(strstr(err.text, "damaged"));
		} else {
			unsigned before = last_lost;

			expect_synced(hurt.s, &last_lost);
			if (last_lost > before)
				assert_int_not_equal(round % 3, 2);
			assert_int_equal(store_close(hurt.s, &err), 0);
		}
		run("rm -rf %s%s", hurt.dir, "");
	}
	print_message("%u rounds: %u refused, the last sync lost %u times\n", rounds, refused, last_lost);
	assert_true(refused > rounds / 10);
	assert_true(refused < rounds);
}

static void collect(void *arg, const char *line)
{
	char *text = arg;
	size_t n = strlen(text);

	(void)snprintf(text + n, 8192 - n, "%s\n", line);
}

static void test_names_and_good_copy(void **state)
{
	struct store_fixture *f = *state;
	struct snapshot_name name = {"v", "s1"};
	struct check_result r = {0};
	struct err err = {0};
	uint64_t node = fixture_file(f, f->vol.root_node, "old", 7, 50000);
	char text[8192] = "";

	assert_int_equal(snapshot_create(f->s, &name, 1, NULL, NULL, &err), 0);
	assert_int_equal(store_commit(f->s), 0);
	hurt_packs(f);
	read_logged(f->s, node, text, sizeof text);
	assert_non_null(strstr(text, "v:/old near byte 100"));
	assert_non_null(strstr(text, "has it in: v, v@s1."));
	assert_int_not_equal(store_stats(f->s)->chunks_corrupt, 0);

	/* the same content again is stored, not shared with what is damaged */
	(void)fixture_file(f, f->vol.root_node, "new", 7, 50000);
	assert_int_equal(store_commit(f->s), 0);
	fixture_expect(f, f->vol.root_node, "new", 7, 50000);
	text[0] = 0;
	assert_int_equal(check_store(f->s, CHECK_DATA, collect, text, &r, &err), 0);
	assert_int_not_equal(r.errors, 0);
	assert_non_null(strstr(text, "v: /old lost 50000 bytes"));
	assert_non_null(strstr(text, "v@s1: /old lost 50000 bytes"));
	assert_null(strstr(text, "/new"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random_flips, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_flips_after_crash, store_fixture_setup, store_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_names_and_good_copy, store_fixture_setup, store_fixture_teardown),
	};
	const char *given = getenv("SEED");

	seed = given ? strtoul(given, NULL, 10) : (unsigned long)time(NULL);
	print_message("SEED=%lu\n", seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
