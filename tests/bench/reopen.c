/* How long a store takes to open after a crash, as it grows: `make bench-reopen`.
 *
 * The store is filled with contents that neither compress nor repeat, and with files. At each size, several times: a process works with it,
 * fsyncs, and dies without closing; what the host's cache has of the store is dropped; another process opens it. What counts is whether
 * time, and bytes read, stay the same from the first size to the last. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/base/log.h"
#include "store/volume/file_io.h"
#include "store/volume/volume.h"

#define FILE_BYTES (256 * MIB)
#define SYNCS 400
#define DB_SIZE (64 * MIB)
#define ROUNDS_MAX 25

struct opening {
	double ms;
	uint64_t bytes_read, calls; /* of read calls, by the process */
};

static const struct op op = {.umask = 022};
static uint64_t random_state = 1;

static void fail(const char *what, const char *why)
{
	(void)fprintf(stderr, "reopen: %s: %s\n", what, why);
	_Exit(1);
}

static void must(const char *what, int ret)
{
	if (ret)
		fail(what, err_name(-ret));
}

static struct store *open_store(const char *dir)
{
	struct store_options opts = STORE_OPTIONS_DEFAULT;
	struct err err = {0};
	struct store *s;

	if (store_open(dir, &opts, &s, &err))
		fail("store_open", err.text);
	return s;
}

static void random_bytes(uint64_t *p, size_t len)
{
	for (size_t i = 0; i < len / 8; i++) {
		random_state ^= random_state << 13;
		random_state ^= random_state >> 7;
		random_state ^= random_state << 17;
		p[i] = random_state;
	}
}

static uint64_t make(struct store *s, uint64_t dir, const char *name, uint32_t type)
{
	struct attr attr;

	if (!ns_lookup(s, dir, name, &attr))
		return attr.node;
	must(name, ns_create(s, &op, dir, name, type | 0755, 0, NULL, &attr));
	return attr.node;
}

static uint64_t volume_root(struct store *s)
{
	struct volume_info info;
	struct err err = {0};

	if (volume_get(s, "v", &info, &err) && volume_create(s, "v", NULL, &info, &err))
		fail("volume", err.text);
	return info.root_node;
}

/* From `from` to `to` bytes of contents, and files. */
static void fill(const char *dir, uint64_t from, uint64_t to, uint64_t files_from, uint64_t files_to)
{
	struct store *s = open_store(dir);
	uint64_t root = volume_root(s), sub = 0, node = 0;
	uint64_t *data = malloc(MIB);
	struct err err = {0};
	char name[40];

	if (!data)
		fail("fill", "no memory");
	random_state = from / MIB + 1;
	for (uint64_t at = from; at < to; at += MIB) {
		if (at % FILE_BYTES == 0 || at == from) {
			(void)snprintf(name, sizeof name, "big-%" PRIu64, (uint64_t)(at / FILE_BYTES));
			node = make(s, root, name, S_IFREG);
		}
		random_bytes(data, MIB);
		must("write", file_write(s, &op, node, data, MIB, (int64_t)(at % FILE_BYTES), 0, false));
	}
	for (uint64_t i = files_from; i < files_to; i++) {
		if (i % 1000 == 0 || i == files_from) {
			(void)snprintf(name, sizeof name, "dir-%" PRIu64, i / 1000);
			sub = make(s, root, name, S_IFDIR);
		}
		(void)snprintf(name, sizeof name, "file-%" PRIu64, i);
		node = make(s, sub, name, S_IFREG);
		must("write", file_write(s, &op, node, &i, sizeof i, 0, 0, false));
	}
	free(data);
	if (store_close(s, &err))
		fail("store_close", err.text);
}

/* The same at every size; ends as by kill -9. */
static void work_and_die(const char *dir, unsigned round)
{
	struct store *s = open_store(dir);
	uint64_t root = volume_root(s), node = make(s, root, "db", S_IFREG);
	uint64_t page[1024];
	char name[40];

	random_state = round + 12345;
	for (unsigned i = 0; i < SYNCS; i++) {
		random_bytes(page, sizeof page);
		must("write", file_write(s, &op, node, page, sizeof page, (int64_t)(page[0] % (DB_SIZE / sizeof page) * sizeof page), 0, false));
		(void)snprintf(name, sizeof name, "new-%u-%u", round, i);
		(void)make(s, root, name, S_IFREG);
		must("fsync", file_fsync(s, node));
	}
	_Exit(0);
}

static void drop_file(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)fdatasync(fd);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	(void)close(fd);
}

/* The number of packs. */
static unsigned drop_cache(const char *dir)
{
	char packs[300];
	const char *folders[] = {dir, packs};
	unsigned n = 0;

	(void)snprintf(packs, sizeof packs, "%s/packs", dir);
	for (int i = 0; i < 2; i++) {
		DIR *d = opendir(folders[i]);
		const struct dirent *e;

		while (d && (e = readdir(d))) {
			drop_file(dirfd(d), e->d_name);
			n += i;
		}
		if (d)
			(void)closedir(d);
	}
	return n - 2;
}

static uint64_t io_count(const char *name)
{
	char line[100];
	uint64_t value = 0;
	FILE *f = fopen("/proc/self/io", "re");

	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, name, strlen(name)))
			value = strtoull(line + strlen(name) + 1, NULL, 10);
	if (f)
		(void)fclose(f);
	return value;
}

static double now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void measure(const char *dir, int fd)
{
	uint64_t bytes = io_count("rchar:"), calls = io_count("syscr:");
	double start = now_ms();
	struct store *s = open_store(dir);
	struct opening o = {.ms = now_ms() - start, .bytes_read = io_count("rchar:") - bytes, .calls = io_count("syscr:") - calls};

	(void)s;
	_Exit(write(fd, &o, sizeof o) == sizeof o ? 0 : 1);
}

static void wait_for(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		fail("a child process", "failed");
}

static int by_ms(const void *a, const void *b)
{
	double x = ((const struct opening *)a)->ms, y = ((const struct opening *)b)->ms;

	return (x > y) - (x < y);
}

static void one_size(const char *dir, uint64_t bytes, uint64_t files, unsigned rounds)
{
	static unsigned round;
	struct opening o[ROUNDS_MAX];
	char db[300];
	struct stat st;
	unsigned packs = 0;
	pid_t pid;
	int fds[2];

	for (unsigned i = 0; i < rounds; i++) {
		pid = fork();
		if (!pid)
			work_and_die(dir, ++round + i * 100);
		wait_for(pid);
		packs = drop_cache(dir);
		if (pipe(fds))
			fail("pipe", "failed");
		pid = fork();
		if (!pid)
			measure(dir, fds[1]);
		wait_for(pid);
		if (read(fds[0], &o[i], sizeof o[i]) != sizeof o[i])
			fail("a child process", "said nothing");
		(void)close(fds[0]);
		(void)close(fds[1]);
	}
	round++;
	(void)snprintf(db, sizeof db, "%s/meta.db", dir);
	qsort(o, rounds, sizeof *o, by_ms);
	(void)printf("%6.1f GiB  %8" PRIu64 " files  %5u packs  database %7.1f MiB   open %7.1f ms (%.1f to %.1f)   read %6.1f MiB in %" PRIu64 " calls\n",
		     (double)bytes / (double)GIB, files, packs, stat(db, &st) ? 0.0 : (double)st.st_size / (double)MIB, o[rounds / 2].ms, o[0].ms,
		     o[rounds - 1].ms, (double)o[rounds / 2].bytes_read / (double)MIB, o[rounds / 2].calls);
}

int main(int argc, char **argv)
{
	uint64_t bytes = 0, files = 0;
	unsigned rounds = 5;
	struct err err = {0};
	pid_t pid;

	log_set_level(LOG_LEVEL_ERROR);
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 3) {
		(void)fprintf(stderr, "usage: reopen DIR GIB[:FILES]...\n  DIR is made, and kept; sizes only grow\n");
		return 2;
	}
	if (store_init(argv[1], &err))
		fail("store_init", err.text);
	for (int i = 2; i < argc; i++) {
		char *colon = strchr(argv[i], ':');
		uint64_t to = (uint64_t)(strtod(argv[i], NULL) * 1024) * MIB, files_to = colon ? strtoull(colon + 1, NULL, 10) : files;

		pid = fork();
		if (!pid) {
			fill(argv[1], bytes, to, files, files_to);
			_Exit(0);
		}
		wait_for(pid);
		bytes = to > bytes ? to : bytes;
		files = files_to > files ? files_to : files;
		one_size(argv[1], bytes, files, rounds);
	}
	return 0;
}
