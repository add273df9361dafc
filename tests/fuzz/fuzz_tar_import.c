/* Archives from anywhere, into a draft: whatever is in one, it is refused with a reason or imported, below the draft's top folder, and nothing
 * else in the store is touched. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/archive/tar_export.h"
#include "store/archive/tar_import.h"
#include "store/base/log.h"
#include "store/volume/draft.h"
#include "store/volume/file_io.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/scratch.h"

#define MAINTAIN_EVERY 200

static const struct op op;
static struct store *store;
static struct volume_info volume; /* with what must not change */
static char dir[SCRATCH_LEN];

static void cleanup(void)
{
	store_abandon(store);
	fuzz_must(scratch_remove(dir));
}

static void fill(void)
{
	struct attr attr;

	fuzz_must(!ns_create(store, &op, volume.root_node, "file", S_IFREG | 0644, 0, NULL, &attr));
	fuzz_must(!file_write(store, &op, attr.node, "content", 7, 0, 0, false));
	fuzz_must(!ns_setxattr(store, &op, attr.node, "user.a", "b", 1, 0));
	fuzz_must(!ns_link(store, &op, attr.node, volume.root_node, "link", &attr));
	fuzz_must(!ns_create(store, &op, volume.root_node, "out", S_IFLNK | 0777, 0, "/tmp", &attr));
}

static void open_once(void)
{
	const struct store_options opts = {.flags = STORE_NO_THREADS, .ring_size = 8 * MIB, .ring_fd = -1};
	struct volume_options limits = {.set = VOLUME_SET_QUOTA | VOLUME_SET_QUOTA_INODES, .quota_bytes = 1 << 20, .quota_inodes = 1000};
	struct err err = {0};

	if (store)
		return;
	fuzz_must(scratch_make("fuzz", 0, dir));
	fuzz_must(!store_init(dir, &err) && !store_open(dir, &opts, &store, &err));
	(void)atexit(cleanup);
	fuzz_must(!volume_create(store, "v", &limits, &volume, &err));
	fill();
}

struct source {
	const uint8_t *data;
	size_t len;
};

static int source_read(void *arg, void *buf, size_t len, size_t *ret_len)
{
	struct source *s = arg;
	size_t n = s->len < len ? s->len : len;

	memcpy(buf, s->data, n);
	s->data += n;
	s->len -= n;
	*ret_len = n;
	return 0;
}

static void check_untouched(void)
{
	struct volume_info *list, now;
	struct err err = {0};
	size_t n;

	fuzz_must(!volume_list(store, &list, &n, &err) && n == 1);
	free(list);
	fuzz_must(!volume_get(store, "v", &now, &err) && now.inodes == 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static unsigned runs;
	struct source src = {data, len};
	const struct tar_import_options o = {.read = source_read, .arg = &src, .strip = len % 3 == 0, .merge = len % 2, .volume = "v"};
	struct tar_import_result result;
	struct err err = {0};
	struct draft d;
	bool more = true;
	int r;

	open_once();
	r = o.merge ? draft_of_view(store, "v", "", &d, &err) : draft_new(store, "v", NULL, true, &d, &err);
	fuzz_must(!r);
	r = tar_import(store, d.root_node, &o, &result, &err);
	fuzz_must(!r || (r == -err.code && err.text[0]));
	draft_drop(store, &d);
	check_untouched();
	if (++runs % MAINTAIN_EVERY)
		return 0;
	while (more)
		fuzz_must(!store_maintain(store, &more));
	return 0;
}

size_t fuzz_seed(unsigned nth, uint8_t out[FUZZ_LEN_MAX])
{
	struct tar_export *x;
	struct err err = {0};
	size_t len = 0, n = 1;

	if (nth > TAR_ZSTD)
		return 0;
	open_once();
	fuzz_must(!tar_export_open(store, "v", "", (enum tar_compression)nth, &x, &err));
	for (; n; len += n)
		fuzz_must(!tar_export_read(x, out + len, FUZZ_LEN_MAX - len, &n, &err));
	tar_export_free(x);
	return len;
}
