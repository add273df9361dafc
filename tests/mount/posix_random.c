/* One file under random operations, compared with a copy in memory: what fsx does, with holes, mappings and copies. */
#include <sys/mman.h>

#include "tests/mount/posix.h"

#define FILE_MAX (2 << 20)
#define OPERATIONS 4000

struct shadow {
	int fd;
	unsigned char *want;
	size_t size;
	uint64_t rng;
	unsigned char *buf;
};

static uint64_t next(struct shadow *s)
{
	s->rng ^= s->rng << 13;
	s->rng ^= s->rng >> 7;
	s->rng ^= s->rng << 17;
	return s->rng;
}

/* Lengths of all magnitudes, not mostly large ones. */
static size_t some_len(struct shadow *s, size_t max)
{
	size_t len = 1 + (size_t)(next(s) % (1ULL << (next(s) % 18)));

	return len < max ? len : max;
}

static int op_write(struct shadow *s, size_t off, size_t len)
{
	posix_fill(s->buf, len, next(s));
	CHECK(pwrite(s->fd, s->buf, len, (off_t)off) == (ssize_t)len);
	memcpy(s->want + off, s->buf, len);
	if (off + len > s->size)
		s->size = off + len;
	return 0;
}

static int op_truncate(struct shadow *s, size_t size)
{
	CHECK(ftruncate(s->fd, (off_t)size) == 0);
	if (size < s->size)
		memset(s->want + size, 0, s->size - size);
	s->size = size;
	return 0;
}

static int op_zero(struct shadow *s, size_t off, size_t len, int mode)
{
	CHECK(fallocate(s->fd, mode, (off_t)off, (off_t)len) == 0);
	if (mode == FALLOC_FL_ZERO_RANGE && off + len > s->size)
		s->size = off + len;
	memset(s->want + off, 0, len);
	return 0;
}

static int op_map(struct shadow *s, size_t off, size_t len)
{
	size_t page = off & ~(size_t)4095;
	unsigned char *map;

	if (off >= s->size)
		return 0;
	len = off + len > s->size ? s->size - off : len;
	map = mmap(NULL, off - page + len, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, (off_t)page);
	CHECK(map != MAP_FAILED);
	CHECK(memcmp(map + (off - page), s->want + off, len) == 0);
	posix_fill(map + (off - page), len, next(s));
	memcpy(s->want + off, map + (off - page), len);
	CHECK(munmap(map, off - page + len) == 0);
	return 0;
}

static int op_copy(struct shadow *s, size_t from, size_t to, size_t len)
{
	loff_t in = (loff_t)from, out = (loff_t)to;
	ssize_t n;

	if (from >= s->size || (from < to + len && to < from + len))
		return 0;
	len = from + len > s->size ? s->size - from : len;
	n = copy_file_range(s->fd, &in, s->fd, &out, len, 0);
	CHECK(n >= 0 && n <= (ssize_t)len);
	memmove(s->want + to, s->want + from, (size_t)n);
	if (n > 0 && to + (size_t)n > s->size)
		s->size = to + (size_t)n;
	return 0;
}

static int op_read(struct shadow *s, size_t off, size_t len)
{
	size_t have = off >= s->size ? 0 : s->size - off < len ? s->size - off : len;

	CHECK(pread(s->fd, s->buf, len, (off_t)off) == (ssize_t)have);
	CHECK(memcmp(s->buf, s->want + off, have) == 0);
	return 0;
}

static int op_reopen(struct shadow *s, bool cold)
{
	struct stat st;

	CHECK(close(s->fd) == 0);
	if (cold)
		posix_drop_caches();
	s->fd = open("f", O_RDWR);
	CHECK(s->fd >= 0 && fstat(s->fd, &st) == 0);
	CHECK(st.st_size == (off_t)s->size);
	return op_read(s, 0, FILE_MAX);
}

static int one_operation(struct shadow *s)
{
	size_t off = (size_t)(next(s) % FILE_MAX), len = some_len(s, FILE_MAX - off), to = (size_t)(next(s) % FILE_MAX);

	switch (next(s) % 20) {
	case 0:
		return op_truncate(s, next(s) % 2 ? off : s->size - (s->size ? off % s->size : 0));
	case 1:
		return op_zero(s, off, len, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	case 2:
		return op_zero(s, off, len, FALLOC_FL_ZERO_RANGE);
	case 3:
	case 4:
		return op_map(s, off, len);
	case 5:
		return op_copy(s, off, to, len < FILE_MAX - to ? len : FILE_MAX - to);
	case 6:
		CHECK((next(s) % 2 ? fsync(s->fd) : fdatasync(s->fd)) == 0);
		return 0;
	case 7:
		return next(s) % 8 ? 0 : op_reopen(s, next(s) % 2);
	case 8:
	case 9:
	case 10:
	case 11:
		return op_read(s, off, len);
	default:
		return op_write(s, off, len);
	}
}

static int random_operations(void)
{
	struct shadow s = {.rng = posix_env.seed * 2 + 1, .want = calloc(1, FILE_MAX), .buf = malloc(FILE_MAX)};

	CHECK(s.want != NULL && s.buf != NULL);
	s.fd = open("f", O_CREAT | O_RDWR, 0600);
	CHECK(s.fd >= 0);
	for (int i = 0; i < OPERATIONS; i++) {
		if (one_operation(&s) != 0) {
			printf("#   operation %d of seed %llu\n", i, (unsigned long long)posix_env.seed);
			return 1;
		}
	}
	CHECK(op_reopen(&s, true) == 0);
	CHECK(close(s.fd) == 0);
	free(s.want);
	free(s.buf);
	return 0;
}

const struct posix_case posix_random_cases[] = {
	{"random-operations", random_operations},
	{NULL, NULL},
};
