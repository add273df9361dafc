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
	BATCH_RESERVED = 40,
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

/* Takes the newer of the slots that check. */
static int segment_load(struct segment *seg, const char *name, struct err *err)
{
	uint8_t head[SEGMENT_HEAD_LEN];
	bool blank = true;

	for (int slot = 0; slot < 2; slot++) {
		struct segment_use use;
		uint64_t size;
		int ret = io_pread(IO_JOURNAL, seg->fd, head, sizeof head, slot * SEGMENT_BLOCK);

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
		if (ret || use.generation <= seg->use.generation)
			continue;
		seg->use = use;
		seg->slot = slot;
		seg->size = size;
	}
	if (!seg->use.generation && !blank)
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

uint64_t batch_seal(uint8_t *p, size_t len, uint32_t count, const struct batch_id *id)
{
	uint64_t sum;

	le32_put(p + BATCH_OFF_MAGIC, BATCH_MAGIC);
	le32_put(p + BATCH_COUNT, count);
	le64_put(p + BATCH_GENERATION, id->generation);
	le64_put(p + BATCH_NUMBER, id->number);
	le64_put(p + BATCH_LEN, len);
	memset(p + BATCH_RESERVED, 0, BATCH_HEADER_LEN - BATCH_RESERVED);
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

int batch_parse(const void *p, size_t len, const struct batch_id *id, size_t *ret_len, uint64_t *ret_sum)
{
	const uint8_t *b = p;
	size_t body;
	uint64_t sum;
	int ret = batch_len(b, len, id, &body);

	if (ret)
		return ret;
	sum = XXH3_64bits_withSeed(b + BATCH_OFF_MAGIC, BATCH_HEADER_LEN - BATCH_OFF_MAGIC + body, id->chain);
	if (sum != le64_get(b + BATCH_SUM))
		return -ECORRUPT;
	*ret_len = body;
	*ret_sum = sum;
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

int segment_read(struct segment *seg, uint64_t off, const struct batch_id *id, struct buf *buf, size_t *ret_len,
		 uint64_t *ret_sum)
{
	size_t len;
	int ret;

	if (off + BATCH_HEADER_LEN > seg->size)
		return 1;
	buf_reset(buf);
	ret = buf_reserve(buf, BATCH_HEADER_LEN);
	if (ret)
		return ret;
	ret = io_pread(IO_JOURNAL, seg->fd, buf->data, BATCH_HEADER_LEN, (off_t)off);
	if (ret)
		return ret == -ENODATA ? 1 : ret;
	if (batch_len(buf->data, seg->size - off, id, &len))
		return 1;
	ret = buf_reserve(buf, BATCH_HEADER_LEN + len);
	if (ret)
		return ret;
	ret = io_pread(IO_JOURNAL, seg->fd, buf->data, BATCH_HEADER_LEN + len, (off_t)off);
	if (ret)
		return ret == -ENODATA ? 1 : ret;
	return batch_parse(buf->data, BATCH_HEADER_LEN + len, id, ret_len, ret_sum) ? 1 : 0;
}
