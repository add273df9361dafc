#include "store/chunk/chunk_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/base/limits.h"
#include "store/chunk/chunk_internal.h"
#include "store/chunk/pack.h"
#include "store/chunk/pack_format.h"

#define PACKS_DIR "packs"
#define BLOCK_SIZE_DEFAULT 4096
#define ST_BLOCK 512 /* the unit of st_blocks */

_Static_assert(CHUNK_SECRET_LEN >= XXH3_SECRET_SIZE_MIN, "XXH3 refuses short secrets");

static int open_packs_dir(int dirfd, int *ret_fd, struct err *err)
{
	int ret = io_mkdirat(IO_PACK, dirfd, PACKS_DIR, 0700);

	if (!ret) {
		ret = io_fsync_dir(IO_PACK, dirfd);
		if (ret)
			return err_set(err, -ret, "cannot sync the store's directory: %s", err_name(-ret));
	} else if (ret != -EEXIST) {
		return err_set(err, -ret, "cannot make the folder " PACKS_DIR ": %s", err_name(-ret));
	}
	ret = io_open(IO_PACK, dirfd, PACKS_DIR, O_RDONLY | O_DIRECTORY, 0, ret_fd);
	if (ret)
		return err_set(err, -ret, "cannot open the folder " PACKS_DIR ": %s", err_name(-ret));
	return 0;
}

/* Sequence numbers have to grow across openings without being stored: nanoseconds outrun any count of records. */
static uint64_t sequence_start(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int chunk_store_open(int dirfd, const uint8_t secret[CHUNK_SECRET_LEN], struct stats *stats, struct chunk_store **ret,
		     struct err *err)
{
	struct chunk_store *cs = calloc(1, sizeof *cs);
	int fail_code;

	if (!cs)
		return err_set(err, ENOMEM, "%s", err_name(ENOMEM));
	cs->packs_fd = -1;
	cs->stats = stats ? stats : &cs->own_stats;
	cs->pack_size_max = PACK_SIZE_MAX;
	cs->sequence = sequence_start();
	memcpy(cs->secret, secret, CHUNK_SECRET_LEN);
	chunker_gear_init(&cs->gear);
	fail_code = open_packs_dir(dirfd, &cs->packs_fd, err);
	if (fail_code)
		goto fail;
	fail_code = pack_cache_new(cs->packs_fd, &cs->packs);
	if (!fail_code)
		fail_code = compress_pool_new(&cs->pool);
	if (fail_code) {
		(void)err_set(err, -fail_code, "%s", err_name(-fail_code));
		goto fail;
	}
	*ret = cs;
	return 0;
fail:
	chunk_store_free(cs);
	return fail_code;
}

void chunk_store_limit_packs(struct chunk_store *cs, uint64_t size_max)
{
	cs->pack_size_max = size_max;
}

void chunk_store_free(struct chunk_store *cs)
{
	if (!cs)
		return;
	pack_cache_free(cs->packs);
	compress_pool_free(cs->pool);
	cleanup_close_fd(&cs->packs_fd);
	free(cs);
}

struct chunk_hash chunk_store_hash(const struct chunk_store *cs, const void *data, size_t len)
{
	XXH128_hash_t hash = XXH3_128bits_withSecret(data, len, cs->secret, sizeof cs->secret);

	return (struct chunk_hash){.lo = hash.low64, .hi = hash.high64};
}

/* Reads the payload of a location. What ought to be there and is not, file or bytes, is damage and no I/O failure. */
static int read_payload(struct chunk_store *cs, const struct chunk_loc *loc, void *out, bool nowait)
{
	struct pack_ref ref;
	int ret = pack_cache_get(cs->packs, loc->pack, &ref);

	if (ret)
		return ret == -ENOENT ? -ECORRUPT : ret;
	if (nowait)
		ret = io_pread_nowait(IO_PACK, ref.fd, out, loc->stored_len, loc->off);
	else
		ret = io_pread(IO_PACK, ref.fd, out, loc->stored_len, loc->off);
	pack_cache_put(cs->packs, ref);
	return ret == -ENODATA ? -ECORRUPT : ret;
}

int chunk_store_read_record(struct chunk_store *cs, const struct chunk_loc *loc, void *out)
{
	const struct chunk_loc record = {
		.pack = loc->pack,
		.off = loc->off - CHUNK_RECORD_HEADER_LEN,
		.stored_len = loc->stored_len + CHUNK_RECORD_HEADER_LEN,
	};

	return read_payload(cs, &record, out, false);
}

static int read_checked(struct chunk_store *cs, struct compress_ctx *ctx, const struct chunk_loc *loc, void *out,
			bool nowait)
{
	struct chunk_hash hash;
	int ret;

	if (!pack_loc_valid(loc))
		return -ECORRUPT;
	ret = read_payload(cs, loc, loc->codec == CHUNK_RAW ? out : compress_scratch(ctx), nowait);
	if (!ret && loc->codec == CHUNK_ZSTD)
		ret = compress_expand(ctx, compress_scratch(ctx), loc->stored_len, out, loc->raw_len);
	if (ret)
		return ret;
	hash = chunk_store_hash(cs, out, loc->raw_len);
	return hash.lo == loc->hash.lo && hash.hi == loc->hash.hi ? 0 : -ECORRUPT;
}

int chunk_store_read_with(struct chunk_store *cs, struct compress_ctx *ctx, const struct chunk_loc *loc, void *out,
			  bool nowait)
{
	int ret = read_checked(cs, ctx, loc, out, nowait);

	if (ret == -ECORRUPT)
		stats_add(&cs->stats->chunks_corrupt, 1);
	return ret;
}

static int read_chunk(struct chunk_store *cs, const struct chunk_loc *loc, void *out, void *stored, bool nowait)
{
	struct compress_ctx *ctx = NULL;
	int ret;

	if (loc->codec != CHUNK_RAW) {
		ret = compress_pool_get(cs->pool, &ctx);
		if (ret)
			return ret;
	}
	ret = chunk_store_read_with(cs, ctx, loc, out, nowait);
	if (!ret && ctx && stored)
		memcpy(stored, compress_scratch(ctx), loc->stored_len);
	compress_pool_put(cs->pool, ctx);
	return ret;
}

int chunk_store_read(struct chunk_store *cs, const struct chunk_loc *loc, void *out, bool nowait)
{
	return read_chunk(cs, loc, out, NULL, nowait);
}

int chunk_store_read_both(struct chunk_store *cs, const struct chunk_loc *loc, void *out, void *stored)
{
	return read_chunk(cs, loc, out, stored, false);
}

int chunk_store_write_again(struct chunk_store *cs, const struct chunk_loc *loc)
{
	AUTO_FREE uint8_t *raw = malloc(CHUNK_LEN_MAX);
	AUTO_FREE uint8_t *stored = malloc(CHUNK_LEN_MAX);
	char name[PACK_NAME_LEN + 1];
	AUTO_CLOSE int fd = -1;
	int ret = raw && stored ? chunk_store_read(cs, loc, raw, false) : -ENOMEM;

	pack_name(loc->pack, name);
	if (!ret)
		ret = io_open(IO_PACK, cs->packs_fd, name, O_RDWR, 0, &fd);
	if (!ret)
		ret = io_pread(IO_PACK, fd, stored, loc->stored_len, loc->off);
	return ret ? ret : io_pwrite(IO_PACK, fd, stored, loc->stored_len, loc->off);
}

int chunk_store_sync_pack(struct chunk_store *cs, uint32_t pack)
{
	char name[PACK_NAME_LEN + 1];
	AUTO_CLOSE int fd = -1;
	int ret;

	pack_name(pack, name);
	ret = io_open(IO_PACK, cs->packs_fd, name, O_RDWR, 0, &fd);
	if (!ret)
		ret = io_fdatasync(IO_PACK, fd);
	return ret ? ret : io_fsync_dir(IO_PACK, cs->packs_fd);
}

static uint64_t block_size(const struct stat *st)
{
	uint64_t size = (uint64_t)st->st_blksize;

	return size >= ST_BLOCK && (size & (size - 1)) == 0 ? size : BLOCK_SIZE_DEFAULT;
}

int chunk_store_punch(struct chunk_store *cs, uint32_t pack, uint64_t off, uint64_t end)
{
	char name[PACK_NAME_LEN + 1];
	AUTO_CLOSE int fd = -1;
	uint64_t block, from, to;
	struct stat st, now;
	int ret;

	pack_name(pack, name);
	ret = io_open(IO_PACK, cs->packs_fd, name, O_RDWR, 0, &fd);
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	if (fstat(fd, &st) < 0)
		return -errno;
	block = block_size(&st);
	from = (off + block - 1) / block * block;
	to = end < (uint64_t)st.st_size ? end / block * block : ((uint64_t)st.st_size + block - 1) / block * block;
	if (to <= from)
		return 0;
	ret = io_punch(IO_PACK, fd, (off_t)from, (off_t)(to - from));
	if (!ret && fstat(fd, &now) == 0 && now.st_blocks < st.st_blocks)
		stats_add(&cs->stats->bytes_punched, (uint64_t)(st.st_blocks - now.st_blocks) * ST_BLOCK);
	return ret;
}

int chunk_store_pack_length(struct chunk_store *cs, uint32_t pack, uint64_t *ret)
{
	char name[PACK_NAME_LEN + 1];
	struct stat st;

	pack_name(pack, name);
	if (fstatat(cs->packs_fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	*ret = (uint64_t)st.st_size;
	return 0;
}

int chunk_store_remove_pack(struct chunk_store *cs, uint32_t pack)
{
	char name[PACK_NAME_LEN + 1];
	struct stat st = {0};
	int ret;

	pack_name(pack, name);
	(void)fstatat(cs->packs_fd, name, &st, AT_SYMLINK_NOFOLLOW);
	ret = io_unlinkat(IO_PACK, cs->packs_fd, name);
	if (ret && ret != -ENOENT)
		return ret;
	pack_cache_forget(cs->packs, pack);
	stats_add(&cs->stats->bytes_punched, (uint64_t)st.st_blocks * ST_BLOCK);
	return 0;
}

/* Calls visit for every pack file until it returns non-zero, which is returned. */
static int each_pack(struct chunk_store *cs,
		     int (*visit)(struct chunk_store *cs, uint32_t id, const struct stat *st, void *arg), void *arg)
{
	int fd = openat(cs->packs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	struct stat st;
	uint32_t id;
	int ret = 0;
	DIR *dir;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		ret = -errno;
		(void)close(fd);
		return ret;
	}
	while (!ret && (errno = 0, entry = readdir(dir))) {
		if (!pack_name_parse(entry->d_name, &id))
			continue;
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			ret = visit(cs, id, &st, arg);
		else if (errno != ENOENT) /* removed meanwhile */
			ret = -errno;
	}
	if (!ret && !entry)
		ret = -errno; /* 0 at the end of the folder */
	(void)closedir(dir);
	return ret;
}

static int add_usage(struct chunk_store *cs, uint32_t id, const struct stat *st, void *arg)
{
	(void)cs;
	(void)id;
	*(uint64_t *)arg += (uint64_t)st->st_blocks * ST_BLOCK;
	return 0;
}

int chunk_store_disk_usage(struct chunk_store *cs, uint64_t *ret_bytes)
{
	uint64_t total = 0;
	int ret = each_pack(cs, add_usage, &total);

	if (!ret)
		*ret_bytes = total;
	return ret;
}

struct each {
	int (*fn)(void *arg, uint32_t pack, uint64_t bytes);
	void *arg;
};

static int tell_pack(struct chunk_store *cs, uint32_t id, const struct stat *st, void *arg)
{
	const struct each *each = arg;
	uint64_t bytes = (uint64_t)st->st_blocks * ST_BLOCK;

	(void)cs;
	return each->fn(each->arg, id, bytes < (uint64_t)st->st_size ? bytes : (uint64_t)st->st_size);
}

int chunk_store_each_pack(struct chunk_store *cs, int (*fn)(void *arg, uint32_t pack, uint64_t bytes), void *arg)
{
	return each_pack(cs, tell_pack, &(struct each){fn, arg});
}

/* A writer that died left blocks reserved beyond the end of its pack: truncation to the size it has gives them back. */
static int release_reserved(struct chunk_store *cs, uint32_t id, const struct stat *st)
{
	char name[PACK_NAME_LEN + 1];
	AUTO_CLOSE int fd = -1;
	int ret;

	if ((uint64_t)st->st_blocks * ST_BLOCK <= (uint64_t)st->st_size + block_size(st))
		return 0;
	pack_name(id, name);
	ret = io_open(IO_PACK, cs->packs_fd, name, O_RDWR, 0, &fd);
	return ret ? ret : io_ftruncate(IO_PACK, fd, st->st_size);
}

static int remove_leftover(struct chunk_store *cs, uint32_t id, const struct stat *st, void *arg)
{
	const uint32_t *first_unused = arg;

	return id >= *first_unused ? chunk_store_remove_pack(cs, id) : release_reserved(cs, id, st);
}

int chunk_store_remove_packs_from(struct chunk_store *cs, uint32_t first_unused_pack)
{
	return each_pack(cs, remove_leftover, &first_unused_pack);
}
