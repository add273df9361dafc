/* Contents: reading, writing, sizes, holes, mappings, locks. */
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "tests/mount/posix.h"

#define KIB 1024
#define MIB (1024 * KIB)
#define TIB ((off_t)1 << 40)

static bool all_zero(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] != 0)
			return false;
	}
	return true;
}

static off_t size_of(const char *name)
{
	struct stat st;

	return stat(name, &st) == 0 ? st.st_size : -1;
}

static int offsets(void)
{
	char buf[64], a[3] = "abc", b[3] = "def";
	struct iovec iov[2] = {{a, 3}, {b, 3}};
	int fd = open("f", O_CREAT | O_RDWR, 0600);

	CHECK(fd >= 0);
	CHECK(pwritev(fd, iov, 2, 10) == 6);
	CHECK(size_of("f") == 16);
	CHECK(pread(fd, buf, sizeof(buf), 0) == 16);
	CHECK(all_zero(buf, 10) && memcmp(buf + 10, "abcdef", 6) == 0);
	CHECK(pread(fd, buf, sizeof(buf), 16) == 0 && pread(fd, buf, sizeof(buf), 1 << 30) == 0);
	CHECK(lseek(fd, 0, SEEK_END) == 16 && write(fd, "g", 1) == 1 && size_of("f") == 17);
	CHECK_ERR(pwrite(fd, "x", 1, -1), EINVAL);
	CHECK(close(fd) == 0);
	fd = open("f", O_RDONLY);
	CHECK_ERR(write(fd, "x", 1), EBADF);
	CHECK(close(fd) == 0);
	return 0;
}

static int large_and_cold(void)
{
	enum { LEN = 9 * MIB + 4321 };
	char *data = malloc(LEN);
	int fd;

	CHECK(data != NULL);
	posix_fill(data, LEN, 1);
	CHECK(posix_put("f", data, LEN) == 0);
	CHECK(posix_holds("f", data, LEN) == 0);
	fd = open("f", O_RDONLY);
	CHECK(fd >= 0 && fsync(fd) == 0);
	CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0 && close(fd) == 0);
	posix_drop_caches();
	CHECK(posix_holds("f", data, LEN) == 0);
	free(data);
	return 0;
}

static int truncation(void)
{
	char buf[3 * 4096];
	int fd = open("f", O_CREAT | O_RDWR, 0600);

	CHECK(fd >= 0);
	memset(buf, 'x', sizeof(buf));
	CHECK(write(fd, buf, sizeof(buf)) == sizeof(buf));
	CHECK(ftruncate(fd, 5000) == 0 && size_of("f") == 5000);
	CHECK(ftruncate(fd, sizeof(buf)) == 0 && size_of("f") == sizeof(buf));
	CHECK(pread(fd, buf, sizeof(buf), 0) == sizeof(buf));
	CHECK(buf[4999] == 'x' && all_zero(buf + 5000, sizeof(buf) - 5000));
	CHECK(fsync(fd) == 0);
	posix_drop_caches();
	CHECK(pread(fd, buf, sizeof(buf), 0) == sizeof(buf));
	CHECK(buf[4999] == 'x' && all_zero(buf + 5000, sizeof(buf) - 5000));
	CHECK(truncate("f", 0) == 0 && pread(fd, buf, 1, 0) == 0);
	CHECK(pwrite(fd, "z", 1, 8192) == 1);
	CHECK(pread(fd, buf, sizeof(buf), 0) == 8193 && all_zero(buf, 8192) && buf[8192] == 'z');
	CHECK_ERR(ftruncate(fd, -1), EINVAL);
	CHECK_ERR(truncate(".", 0), EISDIR);
	CHECK(close(fd) == 0);
	return 0;
}

/* The last megabyte of a file of 16 TiB; ext4 itself ends one block short of that. */
static int sparse_16_tib(void)
{
	off_t end = posix_env.fuse ? 16 * TIB + 12345 : 16 * TIB - 8192;
	char *data = malloc(MIB), *back = malloc(MIB);
	struct stat st;
	int fd = open("f", O_CREAT | O_RDWR, 0600);

	CHECK(fd >= 0 && data != NULL && back != NULL);
	posix_fill(data, MIB, 16);
	CHECK(pwrite(fd, data, MIB, end - MIB) == MIB);
	CHECK(pwrite(fd, data, MIB, 3 * TIB + 1) == MIB);
	CHECK(fsync(fd) == 0 && size_of("f") == end);
	CHECK(fstat(fd, &st) == 0 && st.st_blocks < 64 * MIB / 512);
	posix_drop_caches();
	CHECK(pread(fd, back, MIB, end - MIB) == MIB && memcmp(back, data, MIB) == 0);
	CHECK(pread(fd, back, MIB, 3 * TIB + 1) == MIB && memcmp(back, data, MIB) == 0);
	CHECK(pread(fd, back, MIB, 8 * TIB + 99) == MIB && all_zero(back, MIB));
	CHECK(ftruncate(fd, 3 * TIB + 2) == 0);
	CHECK(pread(fd, back, MIB, 3 * TIB) == 2 && back[0] == 0 && back[1] == data[0]);
	CHECK(close(fd) == 0);
	free(data);
	free(back);
	return 0;
}

static int append_records(void *arg)
{
	int fd = open("log", O_CREAT | O_WRONLY | O_APPEND, 0600);
	char rec[100];

	if (fd < 0)
		return 1;
	memset(rec, 'a' + (int)(intptr_t)arg, sizeof(rec));
	for (int i = 0; i < 500; i++) {
		if (write(fd, rec, sizeof(rec)) != sizeof(rec))
			return 1;
	}
	return close(fd) != 0;
}

static int appending_writers(void)
{
	int counts[4] = {0}, status;
	char rec[100];
	pid_t pids[4];
	int fd;

	fflush(stdout);
	for (int i = 0; i < 4; i++) {
		pids[i] = fork();
		CHECK(pids[i] >= 0);
		if (pids[i] == 0)
			_exit(append_records((void *)(intptr_t)i));
	}
	for (int i = 0; i < 4; i++)
		CHECK(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
	CHECK(size_of("log") == 4 * 500 * 100);
	fd = open("log", O_RDONLY);
	CHECK(fd >= 0);
	while (read(fd, rec, sizeof(rec)) == sizeof(rec)) {
		for (size_t i = 1; i < sizeof(rec); i++)
			CHECK(rec[i] == rec[0]);
		CHECK(rec[0] >= 'a' && rec[0] <= 'd');
		counts[rec[0] - 'a']++;
	}
	for (int i = 0; i < 4; i++)
		CHECK(counts[i] == 500);
	CHECK(close(fd) == 0);
	return 0;
}

static int preallocation(void)
{
	char *buf = malloc(MIB);
	struct stat st;
	int fd = open("f", O_CREAT | O_RDWR, 0600);

	CHECK(fd >= 0 && buf != NULL);
	CHECK(fallocate(fd, 0, 0, MIB) == 0 && size_of("f") == MIB);
	CHECK(pread(fd, buf, MIB, 0) == MIB && all_zero(buf, MIB));
	CHECK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4 * MIB) == 0 && size_of("f") == MIB);
	CHECK(posix_fallocate(fd, 0, MIB + 7) == 0 && size_of("f") == MIB + 7);
	posix_fill(buf, MIB, 2);
	CHECK(pwrite(fd, buf, MIB, 0) == MIB);
	CHECK(fallocate(fd, 0, 0, MIB) == 0); /* over data: changes nothing */
	CHECK(ftruncate(fd, MIB) == 0 && posix_holds("f", buf, MIB) == 0);
	CHECK_ERR(fallocate(fd, 0, -1, 10), EINVAL);
	CHECK_ERR(fallocate(fd, 0, 0, 0), EINVAL);
	CHECK(fstat(fd, &st) == 0 && close(fd) == 0);
	fd = open("f", O_RDONLY);
	CHECK_ERR(fallocate(fd, 0, 0, 10), EBADF);
	CHECK(close(fd) == 0);
	free(buf);
	return 0;
}

static int punching(void)
{
	enum { LEN = 4 * MIB };
	char *want = malloc(LEN), *buf = malloc(LEN);
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	int fd = open("f", O_CREAT | O_RDWR, 0600);
	struct stat before, after;

	CHECK(fd >= 0 && want != NULL && buf != NULL);
	posix_fill(want, LEN, 3);
	CHECK(pwrite(fd, want, LEN, 0) == LEN && fsync(fd) == 0 && fstat(fd, &before) == 0);
	CHECK(fallocate(fd, punch, 1000, 100) == 0);
	memset(want + 1000, 0, 100);
	CHECK(fallocate(fd, punch, MIB + 77, 2 * MIB) == 0);
	memset(want + MIB + 77, 0, 2 * MIB);
	CHECK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 5000, 70000) == 0);
	memset(want + 5000, 0, 70000);
	CHECK(fallocate(fd, punch, LEN - 10, MIB) == 0); /* past the end: the size stays */
	memset(want + LEN - 10, 0, 10);
	CHECK(posix_holds("f", want, LEN) == 0);
	CHECK(fsync(fd) == 0 && fstat(fd, &after) == 0);
	CHECK(after.st_blocks <= before.st_blocks - (2 * MIB - 64 * KIB) / 512);
	posix_drop_caches();
	CHECK(posix_holds("f", want, LEN) == 0);
	CHECK(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, LEN - 5, 100) == 0 && size_of("f") == LEN);
	CHECK(fallocate(fd, FALLOC_FL_ZERO_RANGE, LEN - 5, 100) == 0 && size_of("f") == LEN + 95);
	CHECK(pread(fd, buf, 200, LEN - 5) == 100 && all_zero(buf, 100));
	CHECK(close(fd) == 0);
	free(want);
	free(buf);
	return 0;
}

/* Walks by SEEK_DATA and SEEK_HOLE; everything called a hole must read as zeros. Returns bytes of data, -1 on error. */
static off_t walk_data(int fd, off_t size, char *buf)
{
	off_t pos = 0, total = 0;

	while (pos < size) {
		off_t data = lseek(fd, pos, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			data = size;
		if (data < pos)
			return -1;
		if (data > pos && (pread(fd, buf, (size_t)(data - pos), pos) != data - pos ||
				   !all_zero(buf, (size_t)(data - pos))))
			return -1;
		if (data >= size)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole <= data || hole > size)
			return -1;
		total += hole - data;
		pos = hole;
	}
	return total;
}

static int data_and_holes(void)
{
	enum { LEN = 32 * MIB };
	char *buf = calloc(1, LEN), data[8192];
	int fd = open("f", O_CREAT | O_RDWR, 0600);
	off_t dirty, clean;

	CHECK(fd >= 0 && buf != NULL);
	posix_fill(data, sizeof(data), 4);
	CHECK(ftruncate(fd, LEN) == 0);
	CHECK(pwrite(fd, data, sizeof(data), MIB + 100) == sizeof(data));
	CHECK(pwrite(fd, data, sizeof(data), 20 * MIB) == sizeof(data));
	dirty = walk_data(fd, LEN, buf);
	CHECK(dirty >= 2 * (off_t)sizeof(data));
	CHECK(fsync(fd) == 0);
	clean = walk_data(fd, LEN, buf);
	CHECK(clean >= 2 * (off_t)sizeof(data) && clean <= MIB);
	CHECK(lseek(fd, 2 * MIB, SEEK_DATA) > 19 * MIB && lseek(fd, 2 * MIB, SEEK_DATA) <= 20 * MIB);
	CHECK(lseek(fd, 2 * MIB, SEEK_HOLE) == 2 * MIB);
	CHECK(lseek(fd, 20 * MIB + 4096, SEEK_HOLE) >= 20 * MIB + 8192);
	CHECK_ERR(lseek(fd, LEN, SEEK_DATA), ENXIO);
	CHECK_ERR(lseek(fd, LEN, SEEK_HOLE), ENXIO);
	CHECK_ERR(lseek(fd, 25 * MIB, SEEK_DATA), ENXIO);
	CHECK(close(fd) == 0);
	free(buf);
	return 0;
}

static int copying_ranges(void)
{
	enum { LEN = 3 * MIB + 17 };
	char *data = malloc(LEN), *want = calloc(1, 5 * MIB);
	int in = open("in", O_CREAT | O_RDWR, 0600), out = open("out", O_CREAT | O_RDWR, 0600);
	off_t from = 0, to = 1000;
	ssize_t n;

	CHECK(in >= 0 && out >= 0 && data != NULL && want != NULL);
	posix_fill(data, LEN, 5);
	CHECK(pwrite(in, data, LEN, 0) == LEN); /* still dirty when it is copied */
	while ((n = copy_file_range(in, &from, out, &to, LEN + 100, 0)) > 0)
		;
	CHECK(n == 0 && from == LEN && to == LEN + 1000);
	memcpy(want + 1000, data, LEN);
	CHECK(posix_holds("out", want, LEN + 1000) == 0);
	from = 4097, to = 2 * MIB;
	CHECK(copy_file_range(in, &from, out, &to, 100000, 0) == 100000);
	memcpy(want + 2 * MIB, data + 4097, 100000);
	/* The source may change afterwards; the copy may not. */
	CHECK(pwrite(in, "changed", 7, 5000) == 7 && fsync(in) == 0);
	posix_drop_caches();
	CHECK(posix_holds("out", want, LEN + 1000) == 0);
	from = 0, to = 10;
	CHECK_ERR(copy_file_range(out, &from, out, &to, 100, 0), EINVAL);
	from = 1000, to = 4 * MIB;
	CHECK(copy_file_range(out, &from, out, &to, 1000, 0) == 1000);
	memcpy(want + 4 * MIB, want + 1000, 1000);
	CHECK(posix_holds("out", want, 4 * MIB + 1000) == 0);
	from = LEN + 10, to = 0;
	CHECK(copy_file_range(in, &from, out, &to, 100, 0) == 0);
	CHECK(close(in) == 0 && close(out) == 0);
	free(data);
	free(want);
	return 0;
}

static int mappings(void)
{
	enum { LEN = 1 * MIB };
	char *map, *private_map, buf[16], *want = malloc(LEN);
	int fd = open("f", O_CREAT | O_RDWR, 0600);

	CHECK(fd >= 0 && want != NULL && ftruncate(fd, LEN) == 0);
	map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	posix_fill(want, LEN, 6);
	memcpy(map, want, LEN);
	CHECK(pread(fd, buf, 16, 5000) == 16 && memcmp(buf, want + 5000, 16) == 0);
	CHECK(pwrite(fd, "through write", 13, 70000) == 13 && memcmp(map + 70000, "through write", 13) == 0);
	memcpy(want + 70000, "through write", 13);
	CHECK(msync(map, LEN, MS_SYNC) == 0);
	private_map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(private_map != MAP_FAILED);
	private_map[0] = (char)~want[0];
	CHECK(munmap(private_map, LEN) == 0);
	/* Written after the file was closed, through the mapping alone. */
	CHECK(close(fd) == 0);
	memcpy(map + 300000, "after close", 11);
	memcpy(want + 300000, "after close", 11);
	CHECK(munmap(map, LEN) == 0);
	sync();
	posix_drop_caches();
	CHECK(posix_holds("f", want, LEN) == 0);
	free(want);
	return 0;
}

static int direct_io(void)
{
	char *buf, back[8192];
	int fd = open("f", O_CREAT | O_RDWR | O_DIRECT, 0600), plain;

	if (fd < 0 && errno == EINVAL)
		return 0;
	CHECK(fd >= 0 && posix_memalign((void **)&buf, 4096, 64 * KIB) == 0);
	posix_fill(buf, 64 * KIB, 7);
	CHECK(pwrite(fd, buf, 64 * KIB, 0) == 64 * KIB);
	plain = open("f", O_RDWR);
	CHECK(plain >= 0 && pread(plain, back, 8192, 4096) == 8192 && memcmp(back, buf + 4096, 8192) == 0);
	CHECK(pwrite(plain, "buffered", 8, 8192) == 8);
	CHECK(pread(fd, buf, 4096, 8192) == 4096 && memcmp(buf, "buffered", 8) == 0);
	memset(buf, 'd', 4096);
	CHECK(pwrite(fd, buf, 4096, 8192) == 4096);
	CHECK(pread(plain, back, 8, 8192) == 8 && memcmp(back, "dddddddd", 8) == 0);
	CHECK(pread(fd, buf, 64 * KIB, 60 * KIB) == 4 * KIB);
	CHECK(close(fd) == 0 && close(plain) == 0);
	free(buf);
	return 0;
}

static int try_lock(void *arg)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};
	int fd = open("f", O_RDWR);

	if (fd < 0)
		return 3;
	if (strcmp(arg, "flock") == 0)
		return flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : 1;
	return fcntl(fd, strcmp(arg, "ofd") == 0 ? F_OFD_SETLK : F_SETLK, &fl) == 0 ? 0 : 1;
}

static int locks(void)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 15};
	int fd = open("f", O_CREAT | O_RDWR, 0600);

	CHECK(fd >= 0);
	CHECK(flock(fd, LOCK_EX) == 0 && posix_child(try_lock, "flock", false) == 1);
	CHECK(flock(fd, LOCK_UN) == 0 && posix_child(try_lock, "flock", false) == 0);
	CHECK(fcntl(fd, F_SETLK, &fl) == 0 && posix_child(try_lock, "posix", false) == 1);
	fl.l_type = F_UNLCK;
	CHECK(fcntl(fd, F_SETLK, &fl) == 0 && posix_child(try_lock, "posix", false) == 0);
	fl.l_type = F_WRLCK;
	CHECK(fcntl(fd, F_OFD_SETLK, &fl) == 0 && posix_child(try_lock, "ofd", false) == 1);
	CHECK(close(fd) == 0 && posix_child(try_lock, "ofd", false) == 0);
	return 0;
}

static int syncing(void)
{
	int dir = open(".", O_RDONLY | O_DIRECTORY), fd;

	CHECK(dir >= 0);
	fd = open("f", O_CREAT | O_RDWR | O_SYNC, 0600);
	CHECK(fd >= 0 && write(fd, "sync", 4) == 4 && close(fd) == 0);
	fd = open("f", O_RDWR | O_DSYNC);
	CHECK(fd >= 0 && pwrite(fd, "d", 1, 4) == 1 && fsync(fd) == 0 && fdatasync(fd) == 0);
	CHECK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER) == 0);
	CHECK(fsync(dir) == 0 && syncfs(dir) == 0 && close(fd) == 0);
	fd = open("f", O_RDONLY);
	CHECK(fd >= 0 && fsync(fd) == 0 && close(fd) == 0 && close(dir) == 0);
	return posix_holds("f", "syncd", 5);
}

static int times(void)
{
	struct timespec ts[2] = {{1234567890, 123456789}, {1000000000, 987654321}}, omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
	struct stat a, b;
	int fd;

	CHECK(posix_put("f", "x", 1) == 0);
	CHECK(utimensat(AT_FDCWD, "f", ts, 0) == 0 && stat("f", &a) == 0);
	CHECK(a.st_atim.tv_sec == 1234567890 && a.st_atim.tv_nsec == 123456789);
	CHECK(a.st_mtim.tv_sec == 1000000000 && a.st_mtim.tv_nsec == 987654321);
	posix_drop_caches();
	CHECK(stat("f", &b) == 0 && b.st_mtim.tv_nsec == 987654321 && b.st_atim.tv_nsec == 123456789);
	CHECK(utimensat(AT_FDCWD, "f", omit, 0) == 0 && stat("f", &b) == 0 && b.st_mtim.tv_sec == 1000000000);
	omit[1].tv_nsec = UTIME_NOW;
	CHECK(utimensat(AT_FDCWD, "f", omit, 0) == 0 && stat("f", &b) == 0);
	CHECK(b.st_mtim.tv_sec > 1500000000 && b.st_atim.tv_sec == 1234567890);
	ts[1] = (struct timespec){-5, 250};
	CHECK(utimensat(AT_FDCWD, "f", ts, 0) == 0 && stat("f", &b) == 0);
	CHECK(b.st_mtim.tv_sec == -5 && b.st_mtim.tv_nsec == 250);
	fd = open("f", O_WRONLY);
	CHECK(fd >= 0 && write(fd, "yy", 2) == 2 && close(fd) == 0);
	CHECK(stat("f", &b) == 0 && b.st_mtim.tv_sec > 1500000000);
	/* Closing and syncing afterwards leave a time that was set alone. */
	ts[1] = (struct timespec){1111111111, 1};
	fd = open("f", O_WRONLY);
	CHECK(fd >= 0 && write(fd, "zz", 2) == 2 && futimens(fd, ts) == 0 && fsync(fd) == 0 && close(fd) == 0);
	posix_drop_caches();
	CHECK(stat("f", &b) == 0 && b.st_mtim.tv_sec == 1111111111 && b.st_mtim.tv_nsec == 1);
	CHECK(symlink("f", "s") == 0 && utimensat(AT_FDCWD, "s", ts, AT_SYMLINK_NOFOLLOW) == 0);
	CHECK(lstat("s", &b) == 0 && b.st_mtim.tv_sec == 1111111111);
	CHECK(mkdir("d", 0755) == 0 && utimensat(AT_FDCWD, "d", ts, 0) == 0 && posix_put("d/n", "", 0) == 0);
	CHECK(stat("d", &b) == 0 && b.st_mtim.tv_sec > 1500000000);
	CHECK(utimensat(AT_FDCWD, "d", ts, 0) == 0 && unlink("d/n") == 0 && stat("d", &b) == 0);
	CHECK(b.st_mtim.tv_sec > 1500000000);
	return 0;
}

static void *write_stripes(void *arg)
{
	int who = (int)(intptr_t)arg, fd = open("f", O_WRONLY);
	char buf[5000];

	memset(buf, 'a' + who, sizeof(buf));
	for (int i = 0; fd >= 0 && i < 200; i++) {
		if (pwrite(fd, buf, sizeof(buf), (off_t)(i * 4 + who) * (off_t)sizeof(buf)) != sizeof(buf))
			return (void *)1;
		if (i % 50 == who && fdatasync(fd) != 0)
			return (void *)1;
	}
	return (void *)(intptr_t)(fd < 0 || close(fd) != 0);
}

static int threads_in_one_file(void)
{
	pthread_t t[4];
	char buf[5000];
	void *rc;
	int fd = open("f", O_CREAT | O_RDWR, 0600);

	CHECK(fd >= 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, write_stripes, (void *)(intptr_t)i) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(t[i], &rc) == 0 && rc == NULL);
	posix_drop_caches();
	for (int i = 0; i < 800; i++) {
		CHECK(read(fd, buf, sizeof(buf)) == sizeof(buf));
		for (size_t k = 0; k < sizeof(buf); k++)
			CHECK(buf[k] == 'a' + i % 4);
	}
	CHECK(close(fd) == 0 && size_of("f") == 800 * 5000);
	return 0;
}

static int programs(void)
{
	CHECK(system("cp /bin/true ./prog && ./prog") == 0);
	CHECK(chmod("prog", 0644) == 0);
	CHECK(system("./prog 2>/dev/null") != 0);
	return 0;
}

const struct posix_case posix_io_cases[] = {
	{"offsets", offsets},
	{"large-and-cold", large_and_cold},
	{"truncation", truncation},
	{"sparse-16-tib", sparse_16_tib},
	{"appending-writers", appending_writers},
	{"preallocation", preallocation},
	{"punching", punching},
	{"data-and-holes", data_and_holes},
	{"copying-ranges", copying_ranges},
	{"mappings", mappings},
	{"direct-io", direct_io},
	{"locks", locks},
	{"syncing", syncing},
	{"times", times},
	{"threads-in-one-file", threads_in_one_file},
	{"programs", programs},
	{NULL, NULL},
};
