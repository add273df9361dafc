#include "tests/model/power_cut.h"

#include <errno.h>
#include <pthread.h>

#include "store/base/cleanup.h"
#include "tests/model/alloc.h"

struct power_cut {
	pthread_mutex_t lock;
	struct disk *disk;
	struct io_watch *watch;
	uint64_t changes, last; /* so many reach the disk */
};

static int on_change(void *arg, const struct disk_event *ev)
{
	struct power_cut *pc = arg;

	LOCK_SCOPE(&pc->lock);
	if (pc->changes >= pc->last)
		return -EIO;
	pc->changes++;
	disk_event(pc->disk, ev);
	return 0;
}

struct power_cut *power_cut_new(const char *dir, int level, unsigned flags)
{
	struct power_cut *pc = must_zalloc(sizeof *pc);

	(void)pthread_mutex_init(&pc->lock, NULL);
	pc->last = UINT64_MAX;
	pc->disk = disk_new(dir, level, flags);
	pc->watch = io_watch_new(disk_tree(pc->disk), on_change, pc);
	return pc;
}

void power_cut_free(struct power_cut *pc)
{
	io_watch_free(pc->watch);
	disk_free(pc->disk);
	(void)pthread_mutex_destroy(&pc->lock);
	free(pc);
}

void power_cut_after(struct power_cut *pc, uint64_t changes)
{
	LOCK_SCOPE(&pc->lock);

	pc->last = pc->changes + changes;
}

void power_cut_off(struct power_cut *pc)
{
	power_cut_after(pc, 0);
}

void power_cut_on(struct power_cut *pc)
{
	LOCK_SCOPE(&pc->lock);

	pc->last = UINT64_MAX;
}

uint64_t power_cut_changes(struct power_cut *pc)
{
	LOCK_SCOPE(&pc->lock);

	return pc->changes;
}

void power_cut_lose(struct power_cut *pc, struct rng *rng)
{
	LOCK_SCOPE(&pc->lock);

	disk_lose(pc->disk, rng);
	disk_settle(pc->disk);
}

void power_cut_take_back(struct power_cut *pc)
{
	LOCK_SCOPE(&pc->lock);

	disk_take_back(pc->disk);
}
