/* Packs: header, trailer and sealed table as they lie there, and blobs. A blob's inside is also sealed anew, as one who has the key might
 * have: what does not expand to its name is refused. */
#include <errno.h>
#include <string.h>
#include <zstd.h>

#include "store/base/err.h"
#include "store/base/le.h"
#include "store/repo/codec.h"
#include "store/repo/repo.h"
#include "tests/fuzz/fuzz.h"

#define CONTENT_LEN 3000

/* A back end with one object. */
struct one {
	struct backend b;
	const uint8_t *data;
	size_t len;
};

static struct one be;
static struct repo repo;
static struct codec *codec;
static uint8_t content[CONTENT_LEN], base[CONTENT_LEN];
static struct repo_name name, base_name;

static int get(struct backend *b, const char *key, uint64_t off, size_t len, struct buf *ret, struct err *err)
{
	const struct one *o = (const struct one *)b;

	(void)key;
	if (off > o->len || len > o->len - off)
		return err_set(err, ECORRUPT, "too short");
	return buf_add(ret, o->data + off, len);
}

static void set_up(void)
{
	static const struct backend_ops ops = {.get = get};
	static char where[] = "memory";

	fuzz_must(!crypt_init() && !codec_new(&codec));
	be.b.ops = &ops;
	be.b.where = where;
	repo.be = &be.b;
	crypt_derive(&repo.keys, (const uint8_t[REPO_MASTER_LEN]){1}, false);
	for (size_t i = 0; i < CONTENT_LEN; i++)
		content[i] = (uint8_t)("varve"[i % 5] + (i % 97 == 0) * (i >> 6));
	memcpy(base, content, CONTENT_LEN);
	memset(base + 500, 'x', 30);
	crypt_name(&repo.keys, REPO_CHUNK, content, CONTENT_LEN, &name);
	crypt_name(&repo.keys, REPO_CHUNK, base, CONTENT_LEN, &base_name);
}

/* From its end, as an index that has lost it would. */
static void whole_pack(const uint8_t *data, size_t len)
{
	struct repo_table table;
	struct repo_name pack = {{1}};
	struct buf raw = {0};
	struct buf_reader reader;
	struct err err = {0};

	be.data = data;
	be.len = len;
	(void)repo_pack_header_valid(data, len);
	if (!repo_pack_table(&repo, &pack, len, &raw, &err)) {
		reader = buf_reader(raw.data, raw.len);
		if (!repo_table_parse(&reader, &table))
			repo_table_free(&table);
	} else {
		fuzz_must(*err.text);
	}
	buf_free(&raw);
	/* the table's own parser, on what no seal has kept from it */
	reader = buf_reader(data, len);
	if (!repo_table_parse(&reader, &table)) {
		fuzz_must(table.n <= len);
		repo_table_free(&table);
	}
}

/* byte codec, le32 raw_len, then what the seal is put around. */
static void blob(const uint8_t *data, size_t len)
{
	struct repo_blob b = {.name = name, .type = REPO_CHUNK, .base = base_name};
	uint8_t *sealed = malloc(len + SEAL_OVERHEAD), *out;
	int bad;

	b.codec = data[0] % 3;
	b.raw_len = le32_get(data + 1) % (REPO_BLOB_RAW_MAX + 1);
	b.stored_len = (uint32_t)(len - 5 + SEAL_OVERHEAD);
	out = malloc(b.raw_len ? b.raw_len : 1);
	fuzz_must(sealed && out);
	crypt_seal(&repo.keys, REPO_CHUNK, &b.name, data + 5, len - 5, sealed);
	bad = codec_open(codec, &repo.keys, &b, sealed, base, CONTENT_LEN, out);
	fuzz_must(!bad || bad == -ECORRUPT || bad == -ENOMEM);
	if (!bad)
		fuzz_must(b.raw_len == CONTENT_LEN && !memcmp(out, content, CONTENT_LEN));
	free(sealed);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!codec)
		set_up();
	whole_pack(data, len);
	if (len > 5)
		blob(data, len);
	return 0;
}

static size_t seed_pack(uint8_t out[FUZZ_LEN_MAX])
{
	struct repo_blob b = {.name = name, .type = REPO_CHUNK, .codec = CODEC_ZSTD, .stored_len = 100, .raw_len = CONTENT_LEN};
	struct buf pack = {0}, table = {0};
	uint8_t sealed[512] = {0};
	size_t len;

	fuzz_must(!repo_pack_header(&pack) && !buf_add(&pack, sealed, 200) && !buf_add_varint(&table, 2) && !repo_blob_encode(&b, &table));
	b.codec = CODEC_DELTA;
	b.base = base_name;
	fuzz_must(!repo_blob_encode(&b, &table));
	crypt_seal(&repo.keys, REPO_PACK, NULL, table.data, table.len, sealed);
	fuzz_must(!buf_add(&pack, sealed, table.len + SEAL_OVERHEAD) &&
		  !repo_pack_trailer((uint32_t)(table.len + SEAL_OVERHEAD), &pack));
	len = pack.len;
	memcpy(out, pack.data, len);
	buf_free(&pack);
	buf_free(&table);
	return len;
}

static size_t seed_table(uint8_t out[FUZZ_LEN_MAX])
{
	struct repo_blob b = {.name = name, .type = REPO_NODE, .codec = CODEC_ZSTD, .stored_len = 100, .raw_len = CONTENT_LEN};
	struct buf table = {0};
	size_t len;

	fuzz_must(!buf_add_varint(&table, 3) && !repo_blob_encode(&b, &table) && !repo_blob_encode(&b, &table) && !repo_blob_encode(&b, &table));
	len = table.len;
	memcpy(out, table.data, len);
	buf_free(&table);
	return len;
}

static size_t seed_blob(enum repo_codec how, uint8_t out[FUZZ_LEN_MAX])
{
	static uint8_t packed[3][2 * CONTENT_LEN];
	static size_t len[3];

	if (!len[how]) {
		ZSTD_CCtx *c = ZSTD_createCCtx();

		fuzz_must(c != NULL);
		len[how] = CONTENT_LEN;
		memcpy(packed[how], content, CONTENT_LEN);
		if (how == CODEC_DELTA)
			(void)ZSTD_CCtx_refPrefix(c, base, CONTENT_LEN);
		if (how != CODEC_RAW)
			len[how] = ZSTD_compress2(c, packed[how], sizeof *packed, content, CONTENT_LEN);
		fuzz_must(!ZSTD_isError(len[how]));
		(void)ZSTD_freeCCtx(c);
	}
	out[0] = (uint8_t)how;
	le32_put(out + 1, CONTENT_LEN);
	memcpy(out + 5, packed[how], len[how]);
	return len[how] + 5;
}

size_t fuzz_seed(unsigned nth, uint8_t out[FUZZ_LEN_MAX])
{
	if (!codec)
		set_up();
	if (nth > 4)
		return 0;
	return nth == 0 ? seed_pack(out) : nth == 1 ? seed_table(out) : seed_blob((enum repo_codec)(nth - 2), out);
}
