#include "store/chunk/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/io.h"
#include "store/base/limits.h"

#define ALLOC_STEP (16 * MIB) /* space is reserved in such steps: several writers do not interleave their blocks */
#define PUSH_ALIGN (64 * KIB) /* a page under writeback that the next append changes would be waited for */
#define DIRECT_MIN (256 * KIB) /* less is soon read again, as databases' pages are, or cheaper to write with its neighbours */

void pack_name(uint32_t id, char ret_name[PACK_NAME_LEN + 1])
{
	(void)snprintf(ret_name, PACK_NAME_LEN + 1, "%08x.pack", id);
}

bool pack_name_parse(const char *name, uint32_t *ret_id)
{
	char expected[PACK_NAME_LEN + 1];
	uint32_t id;

	if (strlen(name) != PACK_NAME_LEN)
		return false;
	id = (uint32_t)strtoul(name, NULL, 16);
	pack_name(id, expected);
	if (id == 0 || strcmp(name, expected) != 0)
		return false;
	*ret_id = id;
	return true;
}

int pack_create(int dirfd, uint32_t id, struct pack **ret)
{
	struct pack *p = calloc(1, sizeof *p);
	char name[PACK_NAME_LEN + 1];
	int err;

	if (!p)
		return -ENOMEM;
	pack_name(id, name);
	err = io_open(IO_PACK, dirfd, name, O_RDWR | O_CREAT | O_EXCL, 0600, &p->fd);
	if (err) {
		free(p);
		return err;
	}
	p->id = id;
	p->dirfd = dirfd;
	p->direct_fd = -1;
	*ret = p;
	return 0;
}

/* Only a hint: without it the write itself finds out whether there is room. */
static void reserve_blocks(struct pack *p, size_t len)
{
	uint64_t want = (p->end + len + ALLOC_STEP - 1) / ALLOC_STEP * ALLOC_STEP;

	if (want <= p->allocated)
		return;
	p->allocated = io_fallocate_keep(IO_PACK, p->fd, (off_t)p->end, (off_t)(want - p->end)) ? UINT64_MAX : want;
}

static int append_cached(struct pack *p, const uint8_t *data, size_t len)
{
	uint64_t push_end;
	int ret = len ? io_pwrite(IO_PACK, p->fd, data, len, (off_t)p->end) : 0;

	if (ret)
		return ret;
	p->end += len;
	push_end = p->end / PUSH_ALIGN * PUSH_ALIGN;
	if (push_end > p->pushed) {
		io_push(p->fd, (off_t)p->pushed, (off_t)(push_end - p->pushed));
		p->pushed = push_end;
	}
	return 0;
}

static bool can_direct(struct pack *p)
{
	char name[PACK_NAME_LEN + 1];

	if (p->direct_fd < 0 && !p->no_direct) {
		pack_name(p->id, name);
		p->no_direct = io_open(IO_PACK, p->dirfd, name, O_WRONLY | O_DIRECT, 0, &p->direct_fd) != 0;
	}
	return !p->no_direct;
}

/* Whole blocks. */
static int append_direct(struct pack *p, const uint8_t *data, size_t len)
{
	int ret = io_pwrite(IO_PACK, p->direct_fd, data, len, (off_t)p->end);

	if (ret == -EINVAL) { /* opened, and yet refused: larger blocks, or other conditions */
		p->no_direct = true;
		return append_cached(p, data, len);
	}
	if (ret)
		return ret;
	p->end += len;
	p->pushed = p->end;
	return 0;
}

int pack_append(struct pack *p, const void *data, size_t len)
{
	const uint8_t *from = data;
	size_t head = (size_t)(-p->end % PACK_BLOCK), blocks;
	int ret;

	reserve_blocks(p, len);
	if (len < DIRECT_MIN || ((uintptr_t)data - p->end) % PACK_BLOCK || !can_direct(p))
		return append_cached(p, from, len);
	blocks = (len - head) / PACK_BLOCK * PACK_BLOCK;
	ret = append_cached(p, from, head);
	if (!ret)
		ret = append_direct(p, from + head, blocks);
	return ret ? ret : append_cached(p, from + head + blocks, len - head - blocks);
}

int pack_sync(struct pack *p)
{
	int ret;

	if (!pack_dirty(p))
		return 0;
	ret = io_fdatasync(IO_PACK, p->fd);
	if (!ret && !p->entry_synced)
		ret = io_fsync_dir(IO_PACK, p->dirfd);
	if (ret)
		return ret;
	p->entry_synced = true;
	p->synced = p->end;
	return 0;
}

void pack_trim(struct pack *p)
{
	if (p->allocated > p->end)
		(void)io_ftruncate(IO_PACK, p->fd, (off_t)p->end);
	p->allocated = p->end;
}

void pack_free(struct pack *p)
{
	char name[PACK_NAME_LEN + 1];

	if (!p)
		return;
	pack_trim(p);
	if (p->end == 0) {
		pack_name(p->id, name);
		(void)io_unlinkat(IO_PACK, p->dirfd, name);
	}
	if (p->direct_fd >= 0)
		(void)io_close(IO_PACK, p->direct_fd);
	(void)io_close(IO_PACK, p->fd); /* what had to be durable was synced */
	free(p);
}

void pack_abandon(struct pack *p)
{
	if (!p)
		return;
	p->end = p->synced;
	p->allocated = UINT64_MAX; /* whatever the file has now, trim it */
	pack_free(p);
}
