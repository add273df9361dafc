/* One slot for each id modulo PACK_CACHE_SLOTS; an id takes its slot from another when nobody holds that one, and
 * otherwise gets a descriptor of its own for once. Files are opened and closed outside the lock.
 *
 * Invariants, under lock: an empty slot has fd -1, id 0 and holders 0. A slot with `forgotten` set has holders, is
 * found by nobody, and is emptied by the last holder. */
#include "store/chunk/pack_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/chunk/pack.h"

struct slot {
	uint32_t id;
	int fd;
	unsigned holders;
	bool forgotten;
};

struct pack_cache {
	int dirfd;
	pthread_mutex_t lock; /* protects slots; innermost */
	struct slot slots[PACK_CACHE_SLOTS];
};

static const struct slot slot_empty = {.fd = -1};

static void close_quietly(int fd)
{
	if (fd >= 0)
		(void)io_close(IO_PACK, fd);
}

int pack_cache_new(int dirfd, struct pack_cache **ret)
{
	struct pack_cache *pc = calloc(1, sizeof *pc);

	if (!pc)
		return -ENOMEM;
	pc->dirfd = dirfd;
	(void)pthread_mutex_init(&pc->lock, NULL);
	for (int i = 0; i < PACK_CACHE_SLOTS; i++)
		pc->slots[i] = slot_empty;
	*ret = pc;
	return 0;
}

void pack_cache_free(struct pack_cache *pc)
{
	if (!pc)
		return;
	for (int i = 0; i < PACK_CACHE_SLOTS; i++)
		close_quietly(pc->slots[i].fd);
	(void)pthread_mutex_destroy(&pc->lock);
	free(pc);
}

static int slot_of(uint32_t id)
{
	return (int)(id % PACK_CACHE_SLOTS);
}

/* Takes hold of the pack if its slot has it. */
static bool slot_hold(struct pack_cache *pc, uint32_t id, struct pack_ref *ret)
{
	struct slot *slot = &pc->slots[slot_of(id)];

	if (slot->id != id || slot->forgotten)
		return false;
	slot->holders++;
	*ret = (struct pack_ref){.fd = slot->fd, .slot = slot_of(id)};
	return true;
}

int pack_cache_get(struct pack_cache *pc, uint32_t id, struct pack_ref *ret)
{
	char name[PACK_NAME_LEN + 1];
	int fd, evicted = -1, err;
	struct slot *slot = &pc->slots[slot_of(id)];

	{
		LOCK_SCOPE(&pc->lock);

		if (slot_hold(pc, id, ret))
			return 0;
	}
	pack_name(id, name);
	err = io_open(IO_PACK, pc->dirfd, name, O_RDONLY, 0, &fd);
	if (err)
		return err;
	{
		LOCK_SCOPE(&pc->lock);

		if (slot_hold(pc, id, ret)) { /* another thread was faster */
			evicted = fd;
		} else if (slot->holders > 0) {
			*ret = (struct pack_ref){.fd = fd, .slot = -1};
		} else {
			evicted = slot->fd;
			*slot = (struct slot){.id = id, .fd = fd};
			(void)slot_hold(pc, id, ret);
		}
	}
	close_quietly(evicted);
	return 0;
}

void pack_cache_put(struct pack_cache *pc, struct pack_ref ref)
{
	int fd = -1;

	if (ref.slot < 0) {
		close_quietly(ref.fd);
		return;
	}
	{
		LOCK_SCOPE(&pc->lock);
		struct slot *slot = &pc->slots[ref.slot];

		if (--slot->holders == 0 && slot->forgotten) {
			fd = slot->fd;
			*slot = slot_empty;
		}
	}
	close_quietly(fd);
}

void pack_cache_forget(struct pack_cache *pc, uint32_t id)
{
	struct slot *slot = &pc->slots[slot_of(id)];
	int fd = -1;

	{
		LOCK_SCOPE(&pc->lock);

		if (slot->id != id)
			return;
		if (slot->holders > 0) {
			slot->forgotten = true;
		} else {
			fd = slot->fd;
			*slot = slot_empty;
		}
	}
	close_quietly(fd);
}
