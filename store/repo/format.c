#include "store/repo/format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/err.h"
#include "store/base/le.h"

#define CONFIG_MAGIC "VARVEREP"
#define CONFIG_SUM_LEN 16
#define CONFIG_ENCRYPTED 1
#define SLOT_MAGIC 0x31534b56u       /* "VKS1" */
#define PACK_MAGIC 0x314b5056u       /* "VPK1" */
#define PACK_END_MAGIC 0x454b5056u   /* "VPKE" */
#define INDEX_MAGIC 0x31584956u      /* "VIX1" */
#define SNAPSHOT_MAGIC 0x314e5356u   /* "VSN1" */
#define QUARANTINE_MAGIC 0x31415156u /* "VQA1" */

static int get_raw(struct buf_reader *r, void *out, size_t len)
{
	const void *p = buf_get_raw(r, len);

	if (!p)
		return -ECORRUPT;
	memcpy(out, p, len);
	return 0;
}

/* A string without NULs, at most max bytes. */
static int get_text(struct buf_reader *r, char *out, size_t max)
{
	size_t len = 0;
	const char *p = buf_get_bytes(r, &len);

	if (!p || len > max || memchr(p, 0, len))
		return -ECORRUPT;
	memcpy(out, p, len);
	out[len] = 0;
	return 0;
}

static int finished(const struct buf_reader *r)
{
	return r->bad || buf_reader_left(r) ? -ECORRUPT : 0;
}

/* --- config --- */

int repo_config_encode(const struct repo_config *c, struct buf *ret)
{
	uint8_t sum[CONFIG_SUM_LEN];
	int r = buf_add(ret, CONFIG_MAGIC, 8);

	if (!r)
		r = buf_add_le32(ret, REPO_FORMAT_VERSION);
	if (!r)
		r = buf_add_le32(ret, c->encrypted ? CONFIG_ENCRYPTED : 0);
	if (!r)
		r = buf_add(ret, c->id, REPO_ID_LEN);
	if (!r)
		r = buf_add_le64(ret, (uint64_t)c->created);
	if (!r && !c->encrypted)
		r = buf_add(ret, c->master, REPO_MASTER_LEN);
	if (r)
		return r;
	crypt_checksum(ret->data, ret->len, sum, sizeof sum);
	return buf_add(ret, sum, sizeof sum);
}

int repo_config_parse(const void *data, size_t len, struct repo_config *ret)
{
	struct repo_config c = {0};
	uint8_t sum[CONFIG_SUM_LEN];
	struct buf_reader r;
	const void *magic;
	uint32_t flags;

	if (len < 12 + CONFIG_SUM_LEN || len > REPO_CONFIG_MAX)
		return -ECORRUPT;
	r = buf_reader(data, len - CONFIG_SUM_LEN);
	magic = buf_get_raw(&r, 8);
	if (memcmp(magic, CONFIG_MAGIC, 8) != 0)
		return -ECORRUPT;
	/* before the version: one that is damaged is not a newer one's */
	crypt_checksum(data, len - CONFIG_SUM_LEN, sum, sizeof sum);
	if (memcmp((const uint8_t *)data + len - CONFIG_SUM_LEN, sum, sizeof sum) != 0)
		return -ECORRUPT;
	if (buf_get_le32(&r) != REPO_FORMAT_VERSION)
		return -ETOONEW;
	flags = buf_get_le32(&r);
	c.encrypted = flags & CONFIG_ENCRYPTED;
	if ((flags & ~(uint32_t)CONFIG_ENCRYPTED) || get_raw(&r, c.id, REPO_ID_LEN))
		return -ECORRUPT;
	c.created = (int64_t)buf_get_le64(&r);
	if (!c.encrypted && get_raw(&r, c.master, REPO_MASTER_LEN))
		return -ECORRUPT;
	if (finished(&r))
		return -ECORRUPT;
	*ret = c;
	return 0;
}

/* --- key slots --- */

int repo_slot_encode_bound(const struct repo_slot *s, struct buf *ret)
{
	int r = buf_add_le32(ret, SLOT_MAGIC);

	if (!r)
		r = buf_add_u8(ret, (uint8_t)s->kind);
	if (!r)
		r = buf_add_le64(ret, s->cost.ops);
	if (!r)
		r = buf_add_le64(ret, s->cost.memory);
	if (!r)
		r = buf_add(ret, s->salt, CRYPT_SALT_LEN);
	if (!r)
		r = buf_add_le64(ret, (uint64_t)s->created);
	return r ? r : buf_add_bytes(ret, s->label, strlen(s->label));
}

int repo_slot_encode(const struct repo_slot *s, struct buf *ret)
{
	int r = repo_slot_encode_bound(s, ret);

	return r ? r : buf_add(ret, s->wrapped, CRYPT_WRAPPED_LEN);
}

int repo_slot_parse(const void *data, size_t len, struct repo_slot *ret)
{
	struct buf_reader r = buf_reader(data, len);
	struct repo_slot s = {0};

	if (len > REPO_SLOT_MAX || buf_get_le32(&r) != SLOT_MAGIC)
		return -ECORRUPT;
	s.kind = buf_get_u8(&r);
	s.cost.ops = buf_get_le64(&r);
	s.cost.memory = buf_get_le64(&r);
	if (get_raw(&r, s.salt, CRYPT_SALT_LEN))
		return -ECORRUPT;
	s.created = (int64_t)buf_get_le64(&r);
	if (get_text(&r, s.label, REPO_LABEL_MAX) || get_raw(&r, s.wrapped, CRYPT_WRAPPED_LEN) || finished(&r))
		return -ECORRUPT;
	if (s.kind != SLOT_PASSPHRASE && s.kind != SLOT_KEY_FILE)
		return -ECORRUPT;
	*ret = s;
	return 0;
}

/* --- blobs and tables --- */

int repo_blob_encode(const struct repo_blob *b, struct buf *ret)
{
	int r = buf_add_u8(ret, (uint8_t)((unsigned)b->type << 4 | (unsigned)b->codec));

	if (!r)
		r = buf_add(ret, b->name.b, REPO_NAME_LEN);
	if (!r)
		r = buf_add_varint(ret, b->stored_len);
	if (!r)
		r = buf_add_varint(ret, b->raw_len);
	if (!r && b->codec == CODEC_DELTA)
		r = buf_add(ret, b->base.b, REPO_NAME_LEN);
	return r;
}

int repo_blob_get(struct buf_reader *r, struct repo_blob *ret)
{
	struct repo_blob b = {0};
	uint8_t kind = buf_get_u8(r);
	uint64_t stored, raw;

	b.type = kind >> 4;
	b.codec = kind & 15;
	if (get_raw(r, b.name.b, REPO_NAME_LEN))
		return -ECORRUPT;
	stored = buf_get_varint(r);
	raw = buf_get_varint(r);
	if (b.codec == CODEC_DELTA && get_raw(r, b.base.b, REPO_NAME_LEN))
		return -ECORRUPT;
	if (r->bad || (b.type != REPO_CHUNK && b.type != REPO_NODE) || b.codec > CODEC_DELTA ||
	    (b.codec == CODEC_DELTA && b.type != REPO_CHUNK))
		return -ECORRUPT;
	if (!raw || raw > REPO_BLOB_RAW_MAX || stored <= SEAL_OVERHEAD || stored > REPO_BLOB_STORED_MAX)
		return -ECORRUPT;
	if (b.codec == CODEC_RAW && stored != raw + SEAL_OVERHEAD)
		return -ECORRUPT;
	b.stored_len = (uint32_t)stored;
	b.raw_len = (uint32_t)raw;
	*ret = b;
	return 0;
}

int repo_pack_header(struct buf *ret)
{
	int r = buf_add_le32(ret, PACK_MAGIC);

	return r ? r : buf_add_le32(ret, REPO_FORMAT_VERSION);
}

bool repo_pack_header_valid(const void *data, size_t len)
{
	return len >= PACK_HEADER_LEN && le32_get(data) == PACK_MAGIC &&
	       le32_get((const uint8_t *)data + 4) == REPO_FORMAT_VERSION;
}

int repo_pack_trailer(uint32_t table_len, struct buf *ret)
{
	int r = buf_add_le32(ret, table_len);

	return r ? r : buf_add_le32(ret, PACK_END_MAGIC);
}

int repo_pack_trailer_parse(const uint8_t data[PACK_TRAILER_LEN], uint32_t *ret_table_len)
{
	uint32_t len = le32_get(data);

	if (le32_get(data + 4) != PACK_END_MAGIC || len <= SEAL_OVERHEAD || len > PACK_TABLE_MAX)
		return -ECORRUPT;
	*ret_table_len = len;
	return 0;
}

void repo_table_free(struct repo_table *t)
{
	free(t->v);
	*t = (struct repo_table){0};
}

/* No entry takes fewer bytes than this. */
#define BLOB_ENCODED_MIN (1 + REPO_NAME_LEN + 2)

int repo_table_parse(struct buf_reader *r, struct repo_table *ret)
{
	uint64_t n = buf_get_varint(r), bytes = PACK_HEADER_LEN;
	struct repo_table t = {0};

	if (r->bad || n > buf_reader_left(r) / BLOB_ENCODED_MIN)
		return -ECORRUPT;
	t.v = calloc(n ? n : 1, sizeof *t.v);
	if (!t.v)
		return -ENOMEM;
	for (; t.n < n; t.n++) {
		if (repo_blob_get(r, &t.v[t.n]))
			break;
		bytes += t.v[t.n].stored_len;
	}
	if (t.n < n || bytes > REPO_PACK_MAX) {
		repo_table_free(&t);
		return -ECORRUPT;
	}
	*ret = t;
	return 0;
}

/* --- index --- */

int repo_index_begin(struct buf *ret)
{
	return buf_add_le32(ret, INDEX_MAGIC);
}

int repo_index_add_pack(struct buf *ret, const struct repo_name *pack, const void *table, size_t table_len)
{
	int r = buf_add(ret, pack->b, REPO_NAME_LEN);

	return r ? r : buf_add(ret, table, table_len);
}

int repo_index_parse(const void *data, size_t len,
		     int (*fn)(void *arg, const struct repo_name *pack, const struct repo_table *table), void *arg)
{
	struct buf_reader r = buf_reader(data, len);
	struct repo_table table;
	struct repo_name pack;
	int ret = 0;

	if (buf_get_le32(&r) != INDEX_MAGIC)
		return -ECORRUPT;
	while (!ret && buf_reader_left(&r)) {
		if (get_raw(&r, pack.b, REPO_NAME_LEN))
			return -ECORRUPT;
		ret = repo_table_parse(&r, &table);
		if (ret)
			return ret;
		ret = fn(arg, &pack, &table);
		repo_table_free(&table);
	}
	return ret ? ret : finished(&r);
}

/* --- snapshots --- */

int repo_snapshot_encode(const struct repo_snapshot *s, struct buf *ret)
{
	const int64_t numbers[] = {s->created,           s->pushed, s->bytes, s->inodes, (int64_t)s->root_ino,
				   (int64_t)s->new_bytes};
	int r = buf_add_le32(ret, SNAPSHOT_MAGIC);

	if (!r)
		r = buf_add(ret, s->store, sizeof s->store);
	if (!r)
		r = buf_add_bytes(ret, s->volume, strlen(s->volume));
	if (!r)
		r = buf_add_bytes(ret, s->snapshot, strlen(s->snapshot));
	if (!r)
		r = buf_add_bytes(ret, s->host, strlen(s->host));
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !r; i++)
		r = buf_add_svarint(ret, numbers[i]);
	if (!r)
		r = buf_add_u8(ret, (uint8_t)s->level);
	return r ? r : buf_add(ret, s->root.b, REPO_NAME_LEN);
}

int repo_snapshot_parse(const void *data, size_t len, struct repo_snapshot *ret)
{
	struct buf_reader r = buf_reader(data, len);
	struct repo_snapshot s = {0};

	if (buf_get_le32(&r) != SNAPSHOT_MAGIC || get_raw(&r, s.store, sizeof s.store) ||
	    get_text(&r, s.volume, VOLUME_NAME_MAX) || get_text(&r, s.snapshot, VOLUME_NAME_MAX) ||
	    get_text(&r, s.host, REPO_HOST_MAX))
		return -ECORRUPT;
	s.created = buf_get_svarint(&r);
	s.pushed = buf_get_svarint(&r);
	s.bytes = buf_get_svarint(&r);
	s.inodes = buf_get_svarint(&r);
	s.root_ino = (uint64_t)buf_get_svarint(&r);
	s.new_bytes = (uint64_t)buf_get_svarint(&r);
	s.level = buf_get_u8(&r);
	if (get_raw(&r, s.root.b, REPO_NAME_LEN) || finished(&r) || !*s.volume || !*s.snapshot)
		return -ECORRUPT;
	*ret = s;
	return 0;
}

/* --- quarantine --- */

int repo_quarantine_encode(const struct repo_quarantine *q, struct buf *ret)
{
	int r = buf_add_le32(ret, QUARANTINE_MAGIC);

	if (!r)
		r = buf_add_le64(ret, (uint64_t)q->since);
	for (size_t i = 0; i < q->n && !r; i++)
		r = buf_add(ret, q->packs[i].b, REPO_NAME_LEN);
	return r;
}

int repo_quarantine_parse(const void *data, size_t len, struct repo_quarantine *ret)
{
	struct buf_reader r = buf_reader(data, len);
	struct repo_quarantine q = {0};

	if (buf_get_le32(&r) != QUARANTINE_MAGIC)
		return -ECORRUPT;
	q.since = (int64_t)buf_get_le64(&r);
	if (r.bad || buf_reader_left(&r) % REPO_NAME_LEN)
		return -ECORRUPT;
	q.n = buf_reader_left(&r) / REPO_NAME_LEN;
	q.packs = malloc((q.n ? q.n : 1) * sizeof *q.packs);
	if (!q.packs)
		return -ENOMEM;
	for (size_t i = 0; i < q.n; i++)
		(void)get_raw(&r, q.packs[i].b, REPO_NAME_LEN);
	*ret = q;
	return 0;
}
