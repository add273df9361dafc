/* What a repository's index objects, snapshots and quarantines have inside their seal. What parses comes back from its encoder as it was
 * taken. */
#include <errno.h>
#include <string.h>

#include "store/base/err.h"
#include "store/repo/format.h"
#include "tests/fuzz/fuzz.h"

static int take_pack(void *arg, const struct repo_name *pack, const struct repo_table *table)
{
	struct buf *b = arg;

	fuzz_must(!buf_add(b, pack->b, REPO_NAME_LEN) && !buf_add_varint(b, table->n));
	for (size_t i = 0; i < table->n; i++) {
		const struct repo_blob *blob = &table->v[i];

		fuzz_must(blob->type == REPO_CHUNK || blob->type == REPO_NODE);
		fuzz_must(blob->codec <= CODEC_DELTA);
		fuzz_must(blob->raw_len > 0 && blob->raw_len <= REPO_BLOB_RAW_MAX);
		fuzz_must(blob->stored_len > SEAL_OVERHEAD && blob->stored_len <= REPO_BLOB_STORED_MAX);
		fuzz_must(!repo_blob_encode(blob, b));
	}
	return 0;
}

static int count_pack(void *arg, const struct repo_name *pack, const struct repo_table *table)
{
	(void)pack;
	*(size_t *)arg += 1 + table->n;
	return 0;
}

static void index_object(const uint8_t *data, size_t len)
{
	struct buf b = {0};
	size_t n = 0, m = 0;

	fuzz_must(!repo_index_begin(&b));
	if (!repo_index_parse(data, len, take_pack, &b)) {
		fuzz_must(!repo_index_parse(data, len, count_pack, &n));
		fuzz_must(!repo_index_parse(b.data, b.len, count_pack, &m) && n == m);
	}
	buf_free(&b);
}

static void snapshot(const uint8_t *data, size_t len)
{
	struct repo_snapshot s = {0}, again = {0};
	struct buf b = {0};

	if (repo_snapshot_parse(data, len, &s))
		return;
	fuzz_must(strlen(s.volume) <= VOLUME_NAME_MAX && strlen(s.snapshot) <= VOLUME_NAME_MAX && strlen(s.host) <= REPO_HOST_MAX);
	fuzz_must(!repo_snapshot_encode(&s, &b) && !repo_snapshot_parse(b.data, b.len, &again));
	fuzz_must(!strcmp(s.volume, again.volume) && s.created == again.created && s.level == again.level);
	buf_free(&b);
}

static void quarantine(const uint8_t *data, size_t len)
{
	struct repo_quarantine q;
	struct buf b = {0};

	if (repo_quarantine_parse(data, len, &q))
		return;
	fuzz_must(!repo_quarantine_encode(&q, &b) && b.len == len && !memcmp(b.data, data, len));
	free(q.packs);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	index_object(data, len);
	snapshot(data, len);
	quarantine(data, len);
	return 0;
}

static int seed_index(struct buf *b)
{
	struct repo_blob blob = {.type = REPO_CHUNK, .stored_len = 1000, .raw_len = 5000};
	struct repo_name pack = {{7}};
	struct buf table = {0};
	int bad = repo_index_begin(b);

	for (int p = 0; p < 2 && !bad; p++) {
		buf_reset(&table);
		bad = buf_add_varint(&table, 3);
		for (int i = 0; i < 3 && !bad; i++) {
			memset(blob.name.b, 3 * p + i + 1, REPO_NAME_LEN);
			blob.codec = i;
			blob.type = p ? REPO_NODE : REPO_CHUNK;
			blob.raw_len = i ? 5000 : blob.stored_len - SEAL_OVERHEAD;
			bad = repo_blob_encode(&blob, &table);
		}
		pack.b[1] = (uint8_t)p;
		if (!bad)
			bad = repo_index_add_pack(b, &pack, table.data, table.len);
	}
	buf_free(&table);
	return bad;
}

size_t fuzz_seed(unsigned nth, uint8_t out[FUZZ_LEN_MAX])
{
	const struct repo_snapshot snap = {.volume = "shop",
					   .snapshot = "20260101T000000Z",
					   .host = "host.example",
					   .store = {8},
					   .created = INT64_C(1767225600000000000),
					   .pushed = INT64_C(1767225601000000000),
					   .bytes = 1 << 30,
					   .inodes = 2000,
					   .root_ino = 5,
					   .level = 2,
					   .root = {{3}}};
	struct repo_name packs[2] = {{{1}}, {{2}}};
	const struct repo_quarantine q = {.since = 4, .packs = packs, .n = 2};
	struct buf b = {0};
	size_t len;

	if (nth > 2)
		return 0;
	fuzz_must(!(nth == 0 ? seed_index(&b) : nth == 1 ? repo_snapshot_encode(&snap, &b) : repo_quarantine_encode(&q, &b)));
	len = b.len;
	memcpy(out, b.data, len);
	buf_free(&b);
	return len;
}
