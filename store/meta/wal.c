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

#define SECTOR 512

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

static void add_frame(struct sums *s, const uint8_t *head, const uint8_t *own, const uint8_t *page)
{
	bool big = be32(head) & 1;

	add(s, own, 8, big);
	add(s, page, META_PAGE_SIZE, big);
}

static bool sum_frame(struct sums *s, const uint8_t *head, const uint8_t *own, const uint8_t *page)
{
	add_frame(s, head, own, page);
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

static int note_commit(void *arg, uint32_t page, const uint8_t *bytes, size_t len, off_t off)
{
	uint64_t *end = arg;

	if (page && be32(bytes + 4)) /* the size of the database after a commit */
		*end = (uint64_t)off + len;
	return 0;
}

/* >0: there is no such frame any more. */
static int read_frame(int fd, uint64_t off, uint8_t frame[WAL_FRAME_LEN])
{
	int ret = io_pread(IO_DB, fd, frame, WAL_FRAME_LEN, (off_t)off);

	return ret == -ENODATA ? 1 : ret;
}

/* The frame ends a transaction, and another one was begun behind it: that goes on from the frame's checksum. The frame may be the damaged
 * one. Its size says that it is an end; a size that is not of one piece with the checksum, with a sector's boundary in between, could be
 * an older frame's. `before` NULL: it is the first. */
static bool is_followed(const uint8_t *head, const uint8_t *before, const uint8_t *frame, uint64_t off, const uint8_t *next)
{
	const uint8_t *at = before ? before + 16 : head + 24;
	struct sums s = {be32(at), be32(at + 4)};
	bool in_one_sector = off % SECTOR + WAL_FRAME_HEADER_LEN <= SECTOR;

	if (!be32(frame + 4))
		return false;
	add_frame(&s, head, frame, frame + WAL_FRAME_HEADER_LEN);
	if ((in_one_sector || fits(&s, frame + 16)) && wal_frame_holds(head, frame, next, next + WAL_FRAME_HEADER_LEN))
		return true;
	return sum_frame(&s, head, next, next + WAL_FRAME_HEADER_LEN); /* only its checksum is damaged */
}

/* Is there a transaction's end, from the frame at `bad` on, that another frame goes on from? */
static int look_behind(int fd, const uint8_t *head, uint64_t bad, bool *ret)
{
	uint8_t frames[3][WAL_FRAME_LEN], *before = frames[0], *frame = frames[1], *next = frames[2], *spare;
	bool first = bad == WAL_HEADER_LEN;
	uint64_t off = bad;
	int r = first ? 0 : read_frame(fd, bad - WAL_FRAME_LEN, before);

	if (!r)
		r = read_frame(fd, off, frame);
	while (!r && !(r = read_frame(fd, off + WAL_FRAME_LEN, next))) {
		*ret = is_followed(head, first ? NULL : before, frame, off, next);
		if (*ret)
			return 0;
		spare = before;
		before = frame;
		frame = next;
		next = spare;
		first = false;
		off += WAL_FRAME_LEN;
	}
	return r < 0 ? r : 0;
}

static bool is_blank(const uint8_t *p, size_t len)
{
	return p[0] == 0 && !memcmp(p, p + 1, len - 1);
}

int wal_look(int fd, struct wal_state *ret)
{
	struct wal_state st = {0, UINT64_MAX};
	uint8_t head[WAL_HEADER_LEN];
	bool damaged = false;
	uint64_t bad;
	int r = io_pread(IO_DB, fd, head, sizeof head, 0);

	if (r && r != -ENODATA)
		return r;
	if (!r && !is_blank(head, sizeof head)) {
		r = wal_each(fd, note_commit, &st.end, &bad);
		damaged = !r && !bad; /* SQLite syncs a new header before anything else */
		if (!r && bad)
			r = look_behind(fd, head, bad, &damaged);
		if (r)
			return r;
		st.damaged_at = damaged ? bad : UINT64_MAX;
	}
	*ret = st;
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
