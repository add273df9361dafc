#include "store/meta/wal.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "store/base/io.h"
#include "store/base/le.h"
#include "store/meta/meta_internal.h"

#define WAL_MAGIC 0x377f0682u /* and the lowest bit: checksums are over big-endian words */

static_assert(WAL_FRAME_LEN == 24 + META_PAGE_SIZE, "a frame is its header and a page");

struct sums {
	uint32_t a, b;
};

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void add(struct sums *s, const uint8_t *p, size_t len, bool big)
{
	for (size_t i = 0; i < len; i += 8) {
		uint32_t x = big ? be32(p + i) : le32_get(p + i), y = big ? be32(p + i + 4) : le32_get(p + i + 4);

		s->a += x + s->b;
		s->b += y + s->a;
	}
}

static bool fits(const struct sums *s, const uint8_t *p)
{
	return be32(p) == s->a && be32(p + 4) == s->b;
}

static bool sum_frame(struct sums *s, const uint8_t *head, const uint8_t *own, const uint8_t *page)
{
	bool big = be32(head) & 1;

	add(s, own, 8, big);
	add(s, page, META_PAGE_SIZE, big);
	return memcmp(own + 8, head + 16, 8) == 0 && fits(s, own + 16);
}

bool wal_frame_holds(const uint8_t head[WAL_HEADER_LEN], const uint8_t *before, const uint8_t own[WAL_FRAME_HEADER_LEN], const uint8_t *page)
{
	const uint8_t *at = before ? before + 16 : head + 24;
	struct sums s = {be32(at), be32(at + 4)};

	return sum_frame(&s, head, own, page);
}

static int read_header(int fd, uint8_t head[WAL_HEADER_LEN], struct sums *s)
{
	int ret = io_pread(IO_DB, fd, head, WAL_HEADER_LEN, 0);

	if (ret)
		return ret;
	add(s, head, 24, be32(head) & 1);
	return (be32(head) & ~1u) == WAL_MAGIC && be32(head + 8) == META_PAGE_SIZE && fits(s, head + 24) ? 0 : -ENODATA;
}

int wal_each(int fd, int (*fn)(void *arg, uint32_t page, const uint8_t *bytes, size_t len, off_t off), void *arg, uint64_t *ret_end)
{
	uint8_t head[WAL_HEADER_LEN], frame[WAL_FRAME_LEN];
	struct sums s = {0};
	uint64_t off = 0;
	int ret = read_header(fd, head, &s);

	if (!ret) {
		off = sizeof head;
		ret = fn(arg, 0, head, sizeof head, 0);
	}
	while (!ret && !(ret = io_pread(IO_DB, fd, frame, sizeof frame, (off_t)off))) {
		if (!sum_frame(&s, head, frame, frame + WAL_FRAME_HEADER_LEN))
			break;
		ret = fn(arg, be32(frame), frame, sizeof frame, (off_t)off);
		off += ret ? 0 : sizeof frame;
	}
	if (ret && ret != -ENODATA) /* the end of the file */
		return ret;
	*ret_end = off;
	return 0;
}

struct rewrite {
	int fd;
	uint64_t end;
};

static int check_only(void *arg, uint32_t page, const uint8_t *bytes, size_t len, off_t off)
{
	(void)arg, (void)page, (void)bytes, (void)len, (void)off;
	return 0;
}

static int write_back(void *arg, uint32_t page, const uint8_t *bytes, size_t len, off_t off)
{
	const struct rewrite *r = arg;

	(void)page;
	return (uint64_t)off < r->end ? io_pwrite(IO_DB, r->fd, bytes, len, off) : 0;
}

int wal_write_again(int fd, uint64_t end)
{
	struct rewrite r = {fd, end};
	uint64_t found;
	int ret = wal_each(fd, check_only, NULL, &found);

	if (!ret && found < end)
		ret = -EIO;
	if (!ret)
		ret = wal_each(fd, write_back, &r, &found);
	return ret ? ret : io_fdatasync(IO_DB, fd);
}
