/* Space, counted from what is maintained anyway. */
#include <string.h>
#include <sys/statvfs.h>

#include "store/volume/store_internal.h"
#include "store/volume/trash.h"

int host_space(struct store *s, struct store_space *ret)
{
	struct statvfs fs;

	if (fstatvfs(s->dirfd, &fs))
		return -errno;
	ret->host_total = (uint64_t)fs.f_blocks * fs.f_frsize;
	ret->host_free = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}

static uint64_t file_blocks(struct store *s, const char *name)
{
	struct stat st;

	return fstatat(s->dirfd, name, &st, 0) ? 0 : (uint64_t)st.st_blocks * 512;
}

static int count_volumes(struct store *s, struct store_space *ret)
{
	char after[VOLUME_NAME_MAX + 1] = "";
	struct volume_row vol;
	int r;

	while (!(r = volume_next(s->meta, after, &vol))) {
		const struct branch *b = branch_get(s->meta, vol.branch);
		struct snapshot_row snap = {0};

		ret->volumes++;
		ret->logical_bytes += b ? (uint64_t)b->bytes : 0;
		ret->inodes += b ? (uint64_t)b->inodes : 0;
		while (!snapshot_next(s->meta, vol.id, snap.created, snap.id, &snap)) {
			ret->snapshots++;
			ret->snapshot_bytes += (uint64_t)snap.bytes;
		}
		memcpy(after, vol.name, sizeof after);
		volume_row_free(&vol);
	}
	return r < 0 ? r : 0;
}

int store_space(struct store *s, struct store_space *ret)
{
	struct store_space space = {0};
	struct chunk_totals totals;
	struct reap_task task;
	unsigned trash_volumes;
	int r = host_space(s, &space);

	if (!r)
		r = chunk_store_disk_usage(s->chunks, &space.disk_bytes);
	space.meta_bytes = file_blocks(s, "meta.db") + file_blocks(s, "meta.db-wal") + file_blocks(s, "journal.0") + file_blocks(s, "journal.1");
	space.trash_bytes = (uint64_t)trash_held_bytes(s, &trash_volumes);
	space.trash_volumes = trash_volumes;
	LOCK_SCOPE(&s->lock);
	if (!r)
		r = rows_ready(s);
	if (!r)
		r = chunk_totals(s->meta, &totals);
	if (!r)
		r = count_volumes(s, &space);
	if (r)
		return r;
	space.chunks = totals.chunks;
	space.unique_bytes = totals.raw_bytes;
	space.stored_bytes = totals.stored_bytes;
	space.referenced_bytes = totals.referenced_bytes;
	space.buffered_bytes = (uint64_t)buffered_bytes(s);
	space.pending_bytes = space.disk_bytes > space.stored_bytes ? space.disk_bytes - space.stored_bytes : 0;
	space.reap_tasks = reap_first(s->meta, &task) == 0;
	*ret = space;
	return 0;
}
