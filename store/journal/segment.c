#include "store/journal/segment.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/le.h"
#include "store/base/log.h"

#define SEGMENT_MAGIC 0x314c4e524a565256ULL /* "VRVJRNL1" */
#define SEGMENT_VERSION 1
#define SEGMENT_CONTINUES 1u
#define BATCH_MAGIC 0x48435442u /* "BTCH" */
#define FILL_LEN (1024 * 1024)
#define FIND_LEN (256 * 1024)

enum { /* a header slot */
	HEAD_MAGIC = 0,
	HEAD_VERSION = 8,
	HEAD_FLAGS = 12,
	HEAD_STORE_ID = 16,
	HEAD_GENERATION = 32,
	HEAD_SALT = 40,
	HEAD_FIRST_BATCH = 48,
	HEAD_SIZE = 56,
	HEAD_SUM = 64,
};

enum { /* a batch */
	BATCH_SUM = 0,
	BATCH_OFF_MAGIC = 8,
	BATCH_COUNT = 12,
	BATCH_GENERATION = 16,
	BATCH_NUMBER = 24,
	BATCH_LEN = 32,
	BATCH_HEAD_SUM = 40,
	BATCH_CHAIN = 48,
	BATCH_AFTER = 56,
};

static uint64_t head_sum(const uint8_t *p, const uint8_t store_id[16])
{
	return XXH3_64bits_withSeed(p, HEAD_SUM, le64_get(store_id) ^ le64_get(store_id + 8));
}

void segment_head_encode(uint8_t out[SEGMENT_HEAD_LEN], const struct segment *seg, const struct segment_use *use)
{
	le64_put(out + HEAD_MAGIC, SEGMENT_MAGIC);
	le32_put(out + HEAD_VERSION, SEGMENT_VERSION);
	le32_put(out + HEAD_FLAGS, use->continues ? SEGMENT_CONTINUES : 0);
	memcpy(out + HEAD_STORE_ID, seg->store_id, sizeof seg->store_id);
	le64_put(out + HEAD_GENERATION, use->generation);
	le64_put(out + HEAD_SALT, use->salt);
	le64_put(out + HEAD_FIRST_BATCH, use->first_batch);
	le64_put(out + HEAD_SIZE, seg->size);
	le64_put(out + HEAD_SUM, head_sum(out, seg->store_id));
}

/* 0, -ECORRUPT, -ETOONEW, or -EXDEV for a journal of another store. */
int segment_head_decode(const void *p, size_t len, const uint8_t store_id[16], struct segment_use *ret,
			uint64_t *ret_size)
{
	const uint8_t *b = p;
	uint64_t size;

	if (len < SEGMENT_HEAD_LEN || le64_get(b + HEAD_MAGIC) != SEGMENT_MAGIC)
		return -ECORRUPT;
	if (le64_get(b + HEAD_SUM) != head_sum(b, b + HEAD_STORE_ID))
		return -ECORRUPT;
	if (le32_get(b + HEAD_VERSION) > SEGMENT_VERSION)
		return -ETOONEW;
	if (memcmp(b + HEAD_STORE_ID, store_id, 16))
		return -EXDEV;
	size = le64_get(b + HEAD_SIZE);
	if (size < SEGMENT_SIZE_MIN || size > SEGMENT_SIZE_MAX || size % SEGMENT_BLOCK ||
	    le64_get(b + HEAD_GENERATION) == 0 || le64_get(b + HEAD_FIRST_BATCH) == 0)
		return -ECORRUPT;
	ret->generation = le64_get(b + HEAD_GENERATION);
	ret->salt = le64_get(b + HEAD_SALT);
	ret->first_batch = le64_get(b + HEAD_FIRST_BATCH);
	ret->continues = le32_get(b + HEAD_FLAGS) & SEGMENT_CONTINUES;
	*ret_size = size;
	return 0;
}

/* All zeros, under a temporary name until that is durable: a file of this name is never half-made. */
static int segment_create(int dirfd, const char *name, uint64_t size)
{
	AUTO_FREE uint8_t *zeros = calloc(1, FILL_LEN);
	char tmp[32];
	int closed;
	int ret;
	int fd;

	if (!zeros)
		return -ENOMEM;
	(void)snprintf(tmp, sizeof tmp, "%s.tmp", name);
	ret = io_open(IO_JOURNAL, dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600, &fd);
	if (ret)
		return ret;
	for (uint64_t off = 0; !ret && off < size; off += FILL_LEN)
		ret = io_pwrite(IO_JOURNAL, fd, zeros, size - off < FILL_LEN ? size - off : FILL_LEN, (off_t)off);
	if (!ret)
		ret = io_fdatasync(IO_JOURNAL, fd);
	closed = io_close(IO_JOURNAL, fd);
	if (!ret)
		ret = closed;
	if (!ret)
		ret = io_renameat(IO_JOURNAL, dirfd, tmp, name);
	if (!ret)
		return io_fsync_dir(IO_JOURNAL, dirfd);
	(void)io_unlinkat(IO_JOURNAL, dirfd, tmp);
	return ret;
}

static uint64_t batch_head_sum(const uint8_t *p, uint64_t salt)
{
	uint8_t head[BATCH_HEADER_LEN];

	memcpy(head, p, sizeof head);
	memset(head + BATCH_SUM, 0, 8);
	memset(head + BATCH_HEAD_SUM, 0, 8);
	return XXH3_64bits_withSeed(head, sizeof head, salt);
}

/* A header slot that does not check was torn as it was written, or has rotted since. In the second case a first batch of that use lies
 * in its place, and tells what the header did: the chain of a first batch is the salt. */
static int use_from_batch(struct segment *seg, int bad_slot)
{
	uint8_t p[BATCH_HEADER_LEN];
	struct segment_use use;
	int ret = io_pread(IO_JOURNAL, seg->fd, p, sizeof p, SEGMENT_DATA_OFF);

	if (ret)
		return ret == -ENODATA ? 0 : ret;
	use = (struct segment_use){le64_get(p + BATCH_GENERATION), le64_get(p + BATCH_CHAIN), le64_get(p + BATCH_NUMBER), true};
	if (le32_get(p + BATCH_OFF_MAGIC) != BATCH_MAGIC || use.generation <= seg->use.generation || !use.first_batch ||
	    le64_get(p + BATCH_HEAD_SUM) != batch_head_sum(p, use.salt))
		return 0;
	seg->use = use;
	seg->slot = bad_slot;
	return 1;
}

/* Takes the newer of the slots that check. */
static int segment_load(struct segment *seg, const char *name, struct err *err)
{
	uint8_t head[SEGMENT_HEAD_LEN];
	int ret, bad_slot = -1;
	bool blank = true;

	for (int slot = 0; slot < 2; slot++) {
		struct segment_use use;
		uint64_t size;

		ret = io_pread(IO_JOURNAL, seg->fd, head, sizeof head, slot * SEGMENT_BLOCK);
		if (ret == -ENODATA)
			continue;
		if (ret)
			return err_set(err, -ret, "%s: %s", name, err_name(-ret));
		blank = blank && le64_get(head + HEAD_MAGIC) == 0;
		ret = segment_head_decode(head, sizeof head, seg->store_id, &use, &size);
		if (ret == -ETOONEW)
			return err_set(err, ETOONEW, "%s was written by a newer version", name);
		if (ret == -EXDEV)
			return err_set(err, EXDEV, "%s belongs to another store", name);
		if (ret)
			bad_slot = slot;
		if (ret || use.generation <= seg->use.generation)
			continue;
		seg->use = use;
		seg->slot = slot;
		seg->size = size;
	}
	ret = bad_slot >= 0 ? use_from_batch(seg, bad_slot) : 0;
	if (ret < 0)
		return err_set(err, -ret, "%s: %s", name, err_name(-ret));
	if (ret)
		log_warn("%s: a header is damaged; what it said is known from the first batch", name);
	else if (!seg->use.generation && !blank)
		log_warn("%s: neither header checks; what it held cannot be replayed", name);
	return 0;
}

int segment_open(int dirfd, int index, const uint8_t store_id[16], uint64_t size, struct segment *seg, struct err *err)
{
	char name[16];
	int ret;

	(void)snprintf(name, sizeof name, "journal.%d", index);
	*seg = (struct segment){.fd = -1, .size = size};
	memcpy(seg->store_id, store_id, sizeof seg->store_id);
	ret = io_open(IO_JOURNAL, dirfd, name, O_RDWR | O_CLOEXEC, 0, &seg->fd);
	if (ret == -ENOENT) {
		ret = segment_create(dirfd, name, size);
		if (!ret)
			ret = io_open(IO_JOURNAL, dirfd, name, O_RDWR | O_CLOEXEC, 0, &seg->fd);
	}
	if (ret) {
		seg->fd = -1;
		return err_set(err, -ret, "%s: %s", name, err_name(-ret));
	}
	return segment_load(seg, name, err);
}

void segment_close(struct segment *seg)
{
	if (seg->fd >= 0)
		(void)io_close(IO_JOURNAL, seg->fd);
	seg->fd = -1;
}

int segment_begin(struct segment *seg, const struct segment_use *use)
{
	uint8_t head[SEGMENT_HEAD_LEN];
	int slot = seg->slot ^ 1;
	int ret;

	segment_head_encode(head, seg, use);
	ret = io_pwrite(IO_JOURNAL, seg->fd, head, sizeof head, slot * SEGMENT_BLOCK);
	if (!ret)
		ret = io_fdatasync(IO_JOURNAL, seg->fd);
	if (ret)
		return ret;
	seg->slot = slot;
	seg->use = *use;
	return 0;
}

uint64_t batch_span(uint64_t len)
{
	return (BATCH_HEADER_LEN + len + SEGMENT_BLOCK - 1) / SEGMENT_BLOCK * SEGMENT_BLOCK;
}

uint64_t batch_seal(uint8_t *p, size_t len, uint32_t count, const struct batch_id *id, uint64_t salt, uint64_t after)
{
	uint64_t sum;

	le32_put(p + BATCH_OFF_MAGIC, BATCH_MAGIC);
	le32_put(p + BATCH_COUNT, count);
	le64_put(p + BATCH_GENERATION, id->generation);
	le64_put(p + BATCH_NUMBER, id->number);
	le64_put(p + BATCH_LEN, len);
	le64_put(p + BATCH_CHAIN, id->chain);
	le64_put(p + BATCH_AFTER, after);
	le64_put(p + BATCH_HEAD_SUM, batch_head_sum(p, salt));
	sum = XXH3_64bits_withSeed(p + BATCH_OFF_MAGIC, BATCH_HEADER_LEN - BATCH_OFF_MAGIC + len, id->chain);
	le64_put(p + BATCH_SUM, sum);
	return sum;
}

/* What the header alone tells: the length, if this can be the batch. */
static int batch_len(const uint8_t *p, size_t room, const struct batch_id *id, size_t *ret_len)
{
	uint64_t len;

	if (room < BATCH_HEADER_LEN || le32_get(p + BATCH_OFF_MAGIC) != BATCH_MAGIC ||
	    le64_get(p + BATCH_GENERATION) != id->generation || le64_get(p + BATCH_NUMBER) != id->number)
		return -ECORRUPT;
	len = le64_get(p + BATCH_LEN);
	if (len > room - BATCH_HEADER_LEN)
		return -ECORRUPT;
	*ret_len = (size_t)len;
	return 0;
}

int batch_parse(const void *p, size_t len, const struct batch_id *id, struct batch_info *ret)
{
	const uint8_t *b = p;
	size_t body;
	uint64_t sum;
	int r = batch_len(b, len, id, &body);

	if (r)
		return r;
	sum = XXH3_64bits_withSeed(b + BATCH_OFF_MAGIC, BATCH_HEADER_LEN - BATCH_OFF_MAGIC + body, id->chain);
	if (sum != le64_get(b + BATCH_SUM))
		return -ECORRUPT;
	*ret = (struct batch_info){body, sum, le64_get(b + BATCH_AFTER)};
	return 0;
}

int segment_write(struct segment *seg, uint64_t off, const uint8_t *p, uint64_t span)
{
	int ret;

	assert(off >= SEGMENT_DATA_OFF && off % SEGMENT_BLOCK == 0);
	assert(off + span <= seg->size);
	ret = io_pwrite(IO_JOURNAL, seg->fd, p, span, (off_t)off);
	return ret ? ret : io_fdatasync(IO_JOURNAL, seg->fd);
}

int segment_read(struct segment *seg, uint64_t off, const struct batch_id *id, struct buf *buf, struct batch_info *ret)
{
	size_t len;
	int r;

	if (off + BATCH_HEADER_LEN > seg->size)
		return 1;
	buf_reset(buf);
	r = buf_reserve(buf, BATCH_HEADER_LEN);
	if (r)
		return r;
	r = io_pread(IO_JOURNAL, seg->fd, buf->data, BATCH_HEADER_LEN, (off_t)off);
	if (r)
		return r == -ENODATA ? 1 : r;
	if (batch_len(buf->data, seg->size - off, id, &len))
		return 1;
	r = buf_reserve(buf, BATCH_HEADER_LEN + len);
	if (r)
		return r;
	r = io_pread(IO_JOURNAL, seg->fd, buf->data, BATCH_HEADER_LEN + len, (off_t)off);
	if (r)
		return r == -ENODATA ? 1 : r;
	return batch_parse(buf->data, BATCH_HEADER_LEN + len, id, ret) ? 1 : 0;
}

static bool is_batch_of(const struct segment_use *use, const uint8_t *p, uint64_t number)
{
	return le32_get(p + BATCH_OFF_MAGIC) == BATCH_MAGIC && le64_get(p + BATCH_GENERATION) == use->generation &&
	       le64_get(p + BATCH_NUMBER) >= number && le64_get(p + BATCH_HEAD_SUM) == batch_head_sum(p, use->salt);
}

int segment_find(struct segment *seg, uint64_t number, uint64_t *off, struct batch_id *ret, uint64_t *ret_after)
{
	AUTO_FREE uint8_t *p = malloc(FIND_LEN);
	uint64_t at = *off, i, n;
	int r;

	if (!p)
		return -ENOMEM;
	for (; at < seg->size; at += n) {
		n = seg->size - at < FIND_LEN ? seg->size - at : FIND_LEN;
		r = io_pread(IO_JOURNAL, seg->fd, p, n, (off_t)at);
		if (r)
			return r == -ENODATA ? 1 : r;
		for (i = 0; i < n; i += SEGMENT_BLOCK)
			if (is_batch_of(&seg->use, p + i, number)) {
				*off = at + i;
				*ret = (struct batch_id){seg->use.generation, le64_get(p + i + BATCH_NUMBER), le64_get(p + i + BATCH_CHAIN)};
				*ret_after = le64_get(p + i + BATCH_AFTER);
				return 0;
			}
	}
	return 1;
}
