/* One measured piece of work on one folder, whatever filesystem it is on: work OP DIR [COUNT]. Prints one line of JSON,
 * {"op": …, "ops": N, "bytes": B, "seconds": S}. What prepares the work is not in the time; what makes it durable, where OP says so, is.
 * tests/bench/bench.py runs it on several filesystems in turn. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KIB 1024L
#define MIB (1024L * KIB)
#define FILES_PER_FOLDER 500

struct work {
	const char *dir;
	long count; /* files, operations, MiB or seconds: each op says */
	long ops;
	long bytes;
	double seconds;
	uint64_t rng;
};

static void die(const char *what, const char *name)
{
	fprintf(stderr, "work: %s %s: %s\n", what, name, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t next(struct work *w)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return w->rng;
}

/* Incompressible, and no two blocks alike. */
static char *random_bytes(struct work *w, size_t len)
{
	uint64_t *p;

	if (posix_memalign((void **)&p, 4096, len) != 0)
		die("allocate", "");
	for (size_t i = 0; i < len / sizeof(*p); i++)
		p[i] = next(w);
	return (char *)p;
}

static void path_in(const struct work *w, char *path, size_t size, const char *name)
{
	if (snprintf(path, size, "%s/%s", w->dir, name) >= (int)size)
		exit(1);
}

static int open_in(const struct work *w, const char *name, int flags)
{
	char path[4096];
	int fd;

	path_in(w, path, sizeof(path), name);
	fd = open(path, flags, 0644);
	if (fd < 0)
		die("open", path);
	return fd;
}

static void write_all(int fd, const char *p, size_t len, off_t off)
{
	if (pwrite(fd, p, len, off) != (ssize_t)len)
		die("write", "");
}

/* COUNT MiB in writes of 1 MiB to a new file, and its fsync. */
static void op_seqwrite(struct work *w)
{
	char *data = random_bytes(w, (size_t)(w->count * MIB));
	int fd = open_in(w, "seq", O_CREAT | O_TRUNC | O_WRONLY);
	double t = now();

	for (long i = 0; i < w->count; i++)
		write_all(fd, data + i * MIB, MIB, i * MIB);
	if (fsync(fd) != 0 || close(fd) != 0)
		die("fsync", "seq");
	w->seconds = now() - t;
	w->ops = w->count;
	w->bytes = w->count * MIB;
	free(data);
}

/* The file of seqwrite, read in pieces of 1 MiB. The caller has dropped the caches. */
static void op_read(struct work *w)
{
	char *buf = random_bytes(w, MIB);
	int fd = open_in(w, "seq", O_RDONLY);
	double t = now();
	ssize_t n;

	while ((n = read(fd, buf, MIB)) > 0) {
		w->bytes += n;
		w->ops++;
	}
	if (n < 0)
		die("read", "seq");
	w->seconds = now() - t;
	close(fd);
	free(buf);
}

static void file_name(const struct work *w, char *path, size_t size, long i, const char *prefix)
{
	if (snprintf(path, size, "%s/files/%ld/%s%ld", w->dir, i / FILES_PER_FOLDER, prefix, i) >= (int)size)
		exit(1);
}

static void make_folders(struct work *w)
{
	char path[4096];

	path_in(w, path, sizeof(path), "files");
	if (mkdir(path, 0755) != 0 && errno != EEXIST)
		die("mkdir", path);
	for (long d = 0; d * FILES_PER_FOLDER < w->count; d++) {
		snprintf(path, sizeof(path), "%s/files/%ld", w->dir, d);
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			die("mkdir", path);
	}
}

/* COUNT files of 4 KiB: create, write, close. */
static void op_create(struct work *w)
{
	char *data = random_bytes(w, MIB), path[4096];
	double t;

	make_folders(w);
	t = now();
	for (long i = 0; i < w->count; i++) {
		int fd;

		file_name(w, path, sizeof(path), i, "f");
		fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
		if (fd < 0)
			die("create", path);
		/* Eight bytes further for each file: all of them differ. */
		write_all(fd, data + i % (MIB / 8 - 512) * 8, 4 * KIB, 0);
		if (close(fd) != 0)
			die("close", path);
	}
	w->seconds = now() - t;
	w->ops = w->count;
	free(data);
}

/* COUNT empty files, those that are there already left alone: how the cut tests grow a volume. */
static void op_populate(struct work *w)
{
	char path[4096];
	double t = now();

	make_folders(w);
	for (long i = 0; i < w->count; i++) {
		file_name(w, path, sizeof(path), i, "f");
		if (mknod(path, S_IFREG | 0644, 0) == 0)
			w->ops++;
		else if (errno != EEXIST)
			die("mknod", path);
	}
	w->seconds = now() - t;
}

static long walked;

static int walk_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)path;
	(void)st;
	(void)ftw;
	walked += flag == FTW_F;
	return flag == FTW_NS || flag == FTW_DNR;
}

/* Every folder listed and every entry's status asked for. */
static void op_statwalk(struct work *w)
{
	char path[4096];
	double t = now();

	path_in(w, path, sizeof(path), "files");
	if (nftw(path, walk_entry, 32, FTW_PHYS) != 0)
		die("walk", path);
	w->seconds = now() - t;
	w->ops = walked;
}

static void op_rename(struct work *w)
{
	char from[4096], to[4096];
	double t = now();

	for (long i = 0; i < w->count; i++) {
		file_name(w, from, sizeof(from), i, "f");
		file_name(w, to, sizeof(to), i, "renamed-");
		if (rename(from, to) != 0)
			die("rename", from);
	}
	w->seconds = now() - t;
	w->ops = w->count;
}

static void op_unlink(struct work *w)
{
	char path[4096];
	double t = now();

	for (long i = 0; i < w->count; i++) {
		file_name(w, path, sizeof(path), i, "renamed-");
		if (unlink(path) != 0)
			die("unlink", path);
	}
	w->seconds = now() - t;
	w->ops = w->count;
}

/* A file of len random bytes, written once and durable, for ops that overwrite it. */
static int base_file(struct work *w, const char *name, long len)
{
	int fd = open_in(w, name, O_CREAT | O_RDWR);
	char *data;

	if (lseek(fd, 0, SEEK_END) == len)
		return fd;
	data = random_bytes(w, 16 * MIB);
	for (long off = 0; off < len; off += 16 * MIB) {
		write_all(fd, data, (size_t)(len - off < 16 * MIB ? len - off : 16 * MIB), off);
		for (long i = 0; i < 16 * MIB / 8; i += 512)
			((uint64_t *)data)[i] = next(w);
	}
	if (fsync(fd) != 0)
		die("fsync", name);
	free(data);
	return fd;
}

/* COUNT overwrites of 16 KiB at random places of a 128 MiB file, each made durable. */
static void op_fsync16k(struct work *w)
{
	int fd = base_file(w, "table", 128 * MIB);
	char *data = random_bytes(w, MIB);
	double t = now();

	for (long i = 0; i < w->count; i++) {
		off_t off = (off_t)(next(w) % (128 * MIB / (16 * KIB))) * 16 * KIB;

		((uint64_t *)data)[i % 2048] = next(w);
		write_all(fd, data, 16 * KIB, off);
		if (fdatasync(fd) != 0)
			die("fdatasync", "table");
	}
	w->seconds = now() - t;
	w->ops = w->count;
	close(fd);
	free(data);
}

/* COUNT appends of 4 KiB to a new file, each made durable. */
static void op_append4k(struct work *w)
{
	int fd = open_in(w, "log", O_CREAT | O_TRUNC | O_WRONLY | O_APPEND);
	char *data = random_bytes(w, MIB);
	double t = now();

	for (long i = 0; i < w->count; i++) {
		if (write(fd, data + i % 255 * 4 * KIB, 4 * KIB) != 4 * KIB || fdatasync(fd) != 0)
			die("append", "log");
	}
	w->seconds = now() - t;
	w->ops = w->count;
	close(fd);
	free(data);
}

/* For COUNT seconds, 8 KiB at random places of a 1 GiB file, nothing made durable before the end, which is in the time. */
static void op_rand8k(struct work *w)
{
	int fd = base_file(w, "random", 1024 * MIB);
	char *data = random_bytes(w, MIB);
	double t = now();

	while (now() - t < (double)w->count) {
		for (int i = 0; i < 64; i++) {
			off_t off = (off_t)(next(w) % (1024 * MIB / (8 * KIB))) * 8 * KIB;

			((uint64_t *)data)[next(w) % 1024] = next(w);
			write_all(fd, data, 8 * KIB, off);
			w->ops++;
		}
	}
	if (fsync(fd) != 0)
		die("fsync", "random");
	w->seconds = now() - t;
	w->bytes = w->ops * 8 * KIB;
	close(fd);
	free(data);
}

static const struct {
	const char *name;
	void (*run)(struct work *w);
	long count;
} ops[] = {
	{"seqwrite", op_seqwrite, 256},	  {"read", op_read, 0},		{"create", op_create, 5000},
	{"populate", op_populate, 1000},  {"statwalk", op_statwalk, 0}, {"rename", op_rename, 5000},
	{"unlink", op_unlink, 5000},	  {"fsync16k", op_fsync16k, 400}, {"append4k", op_append4k, 400},
	{"rand8k", op_rand8k, 10},
};

int main(int argc, char **argv)
{
	struct work w = {.rng = (uint64_t)time(NULL) * 2654435761U + (uint64_t)getpid() * 40503U + 1};

	for (size_t i = 0; argc >= 3 && i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (strcmp(argv[1], ops[i].name) != 0)
			continue;
		w.dir = argv[2];
		w.count = argc > 3 ? atol(argv[3]) : ops[i].count;
		ops[i].run(&w);
		printf("{\"op\": \"%s\", \"ops\": %ld, \"bytes\": %ld, \"seconds\": %.6f}\n", ops[i].name, w.ops, w.bytes,
		       w.seconds);
		return 0;
	}
	fprintf(stderr, "usage: work OP DIR [COUNT]\nops:");
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		fprintf(stderr, " %s", ops[i].name);
	fprintf(stderr, "\n");
	return 2;
}
