/* Streams of varve send from anywhere: as they come, and with checks that fit, so that what is in their records is looked at. Whatever is in
 * one, it is refused with a reason or becomes a snapshot, and nothing else in the store is touched. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/le.h"
#include "store/maint/check.h"
#include "store/repo/receive.h"
#include "store/repo/send.h"
#include "store/repo/stream_frame.h"
#include "store/volume/file_io.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/scratch.h"

#define MAINTAIN_EVERY 200
#define CHECK_LEN 32
#define HEAD_LEN 5

static const struct op op;
static struct store *store;
static struct volume_info volume; /* with what must not change */
static struct buf seeds[2]; /* whole, and from the first to the second */
static char dir[SCRATCH_LEN];

static void cleanup(void)
{
	buf_free(&seeds[0]);
	buf_free(&seeds[1]);
	store_abandon(store);
	fuzz_must(scratch_remove(dir));
}

static void snapshot(const char *name)
{
	struct snapshot_name n = {.volume = "v"};
	struct cut_times times;
	struct err err = {0};

	(void)snprintf(n.snapshot, sizeof n.snapshot, "%s", name);
	fuzz_must(!snapshot_create(store, &n, 1, NULL, &times, &err));
}

static int put(void *arg, const void *data, size_t len)
{
	return buf_add(arg, data, len);
}

static void make_seed(const char *snap, const char *from, struct buf *ret)
{
	struct repo_progress progress = {0};
	struct send_result result;
	struct err err = {0};
	struct send *x;

	fuzz_must(!send_open(store, "v", snap, from, &x, &err));
	fuzz_must(!send_run(x, put, ret, &progress, &result, &err));
	send_free(x);
}

static void fill(void)
{
	struct attr attr, sub;
	char text[2000];

	memset(text, 'x', sizeof text);
	fuzz_must(!ns_create(store, &op, volume.root_node, "file", S_IFREG | 0644, 0, NULL, &attr));
	fuzz_must(!file_write(store, &op, attr.node, text, sizeof text, 0, 0, false));
	fuzz_must(!ns_setxattr(store, &op, attr.node, "user.a", "b", 1, 0));
	fuzz_must(!ns_create(store, &op, volume.root_node, "out", S_IFLNK | 0777, 0, "/tmp", &sub));
	fuzz_must(!ns_create(store, &op, volume.root_node, "sub", S_IFDIR | 0755, 0, NULL, &sub));
	fuzz_must(!ns_link(store, &op, attr.node, sub.node, "link", &attr));
	snapshot("one");
	text[0] = 'y';
	fuzz_must(!file_write(store, &op, attr.node, text, sizeof text, 100, 0, false));
	fuzz_must(!ns_unlink(store, &op, volume.root_node, "out"));
	fuzz_must(!ns_setxattr(store, &op, attr.node, "user.a", "c", 1, 0));
	snapshot("two");
	make_seed("two", "", &seeds[0]);
	make_seed("two", "one", &seeds[1]);
}

static void open_once(void)
{
	const struct store_options opts = {.flags = STORE_NO_THREADS, .ring_size = 8 * MIB, .ring_fd = -1};
	struct err err = {0};

	if (store)
		return;
	fuzz_must(scratch_make("fuzz", 0, dir));
	fuzz_must(!store_init(dir, &err) && !store_open(dir, &opts, &store, &err));
	(void)atexit(cleanup);
	fuzz_must(!volume_create(store, "v", NULL, &volume, &err));
	fill();
	fuzz_must(!volume_get(store, "v", &volume, &err));
}

struct source {
	const uint8_t *data;
	size_t len;
};

static int get(void *arg, void *buf, size_t len, size_t *ret_len)
{
	struct source *s = arg;
	size_t n = s->len < len ? s->len : len;

	memcpy(buf, s->data, n);
	s->data += n;
	s->len -= n;
	*ret_len = n;
	return 0;
}

static void report(void *arg, const char *line)
{
	(void)arg;
	(void)fprintf(stderr, "%s\n", line);
}

/* What was let in is a tree like any other. */
static void check_whole(void)
{
	struct check_result result = {0};
	struct err err = {0};

	fuzz_must(!check_store(store, 0, report, NULL, &result, &err) && !result.errors);
}

static void receive(const uint8_t *data, size_t len)
{
	struct source src = {data, len};
	struct repo_progress progress = {0};
	struct receive_result result;
	struct volume_info now;
	struct err err = {0};
	int r = repo_receive(store, "w", get, &src, &progress, &result, &err);

	fuzz_must(!r || (r == -err.code && err.text[0]));
	fuzz_must((volume_get(store, "w", &now, NULL) == 0) == (r == 0));
	if (!r) {
		check_whole();
		fuzz_must(!volume_remove(store, "w", VOLUME_REMOVE_PURGE, &err));
	}
	fuzz_must(!volume_get(store, "v", &now, &err) && now.inodes == volume.inodes && now.snapshots == 2);
}

/* Gives every record the check that it should have; a length that is too great becomes what is there. */
static void seal(uint8_t *data, size_t len)
{
	uint8_t *joined = malloc(CHECK_LEN + len);
	uint8_t check[CHECK_LEN];
	size_t at = STREAM_HEADER_LEN;

	fuzz_must(joined != NULL);
	crypt_checksum(data, STREAM_HEADER_LEN, check, sizeof check);
	while (len - at >= HEAD_LEN + CHECK_LEN) {
		size_t most = len - at - HEAD_LEN - CHECK_LEN, n = le32_get(data + at + 1);

		n = n < most ? n : most;
		le32_put(data + at + 1, (uint32_t)n);
		memcpy(joined, check, sizeof check);
		memcpy(joined + CHECK_LEN, data + at, HEAD_LEN + n);
		crypt_checksum(joined, CHECK_LEN + HEAD_LEN + n, check, sizeof check);
		at += HEAD_LEN + n;
		memcpy(data + at, check, sizeof check);
		at += CHECK_LEN;
	}
	free(joined);
}

static int ignore(void *arg, const struct row_key *key, enum stream_op stream_op, const void *value, size_t value_len)
{
	(void)arg;
	(void)stream_op;
	fuzz_must(key->len >= 9 && (value || !value_len));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static unsigned runs;
	struct stream_begin begin;
	struct stream_chunk chunk;
	struct stream_end end;
	bool more = true;

	open_once();
	if (!stream_begin_parse(data, len, &begin))
		fuzz_must(begin.volume[0] && begin.snapshot[0] && begin.blocks_len <= len);
	if (!stream_chunk_parse(data, len, &chunk))
		fuzz_must(chunk.payload_len <= len && chunk.raw_len <= CHUNK_LEN_MAX && chunk.base_len <= CHUNK_LEN_MAX);
	(void)stream_rows_parse(data, len, ignore, NULL);
	(void)stream_end_parse(data, len, &end);
	receive(data, len);
	if (len >= STREAM_HEADER_LEN) {
		uint8_t *copy = malloc(len);

		fuzz_must(copy != NULL);
		memcpy(copy, data, len);
		seal(copy, len);
		receive(copy, len);
		free(copy);
	}
	if (++runs % MAINTAIN_EVERY)
		return 0;
	while (more)
		fuzz_must(!store_maintain(store, &more));
	return 0;
}

/* The streams, then what their records hold. */
size_t fuzz_seed(unsigned nth, uint8_t out[FUZZ_LEN_MAX])
{
	open_once();
	if (nth < 2) {
		fuzz_must(seeds[nth].len <= FUZZ_LEN_MAX);
		memcpy(out, seeds[nth].data, seeds[nth].len);
		return seeds[nth].len;
	}
	nth -= 2;
	for (size_t at = STREAM_HEADER_LEN, n; at < seeds[1].len; at += HEAD_LEN + n + CHECK_LEN) {
		n = le32_get(seeds[1].data + at + 1);
		if (nth--)
			continue;
		memcpy(out, seeds[1].data + at + HEAD_LEN, n);
		return n;
	}
	return 0;
}
