/* The formats of a repository's objects, byte by byte in README.md. Encoders append to a buffer; parsers are pure, look
 * at bounds first, and answer -ECORRUPT to whatever does not fit. */
#ifndef VARVE_REPO_FORMAT_H
#define VARVE_REPO_FORMAT_H

#include "store/base/buf.h"
#include "store/base/limits.h"
#include "store/repo/crypt.h"

#define REPO_FORMAT_VERSION 1

/* --- config, in clear --- */

#define REPO_ID_LEN 16
#define REPO_CONFIG_MAX 256
struct repo_config {
	uint8_t id[REPO_ID_LEN];
	bool encrypted;
	int64_t created;                 /* ns */
	uint8_t master[REPO_MASTER_LEN]; /* only without encryption */
};
int repo_config_encode(const struct repo_config *c, struct buf *ret);
int repo_config_parse(const void *data, size_t len, struct repo_config *ret); /* -ETOONEW, too */

/* --- key slots, in clear but for the wrapped master key --- */

enum repo_slot_kind { SLOT_PASSPHRASE = 1, SLOT_KEY_FILE = 2 };
#define REPO_LABEL_MAX 128
#define REPO_SLOT_MAX 512
struct repo_slot {
	enum repo_slot_kind kind;
	struct crypt_cost cost; /* of a passphrase */
	uint8_t salt[CRYPT_SALT_LEN];
	int64_t created;
	char label[REPO_LABEL_MAX + 1];
	uint8_t wrapped[CRYPT_WRAPPED_LEN];
};
/* Everything but the wrapped key: what the wrapping is bound to, after the config. */
int repo_slot_encode_bound(const struct repo_slot *s, struct buf *ret);
int repo_slot_encode(const struct repo_slot *s, struct buf *ret);
int repo_slot_parse(const void *data, size_t len, struct repo_slot *ret);

/* --- blobs (chunks and nodes) and the tables that list them --- */

enum repo_codec { CODEC_RAW = 0, CODEC_ZSTD = 1, CODEC_DELTA = 2 /* zstd with the base chunk's content as prefix */ };
#define REPO_BLOB_RAW_MAX CHUNK_LEN_MAX
#define REPO_BLOB_STORED_MAX (CHUNK_LEN_MAX + SEAL_OVERHEAD)
struct repo_blob {
	struct repo_name name;
	enum repo_type type; /* REPO_CHUNK or REPO_NODE */
	enum repo_codec codec;
	uint32_t stored_len; /* sealed */
	uint32_t raw_len;
	struct repo_name base; /* CODEC_DELTA */
};
int repo_blob_encode(const struct repo_blob *b, struct buf *ret);
int repo_blob_get(struct buf_reader *r, struct repo_blob *ret);

/* A pack file: header, sealed blobs one after another, sealed table, trailer. */
#define PACK_HEADER_LEN 8
#define PACK_TRAILER_LEN 8
#define PACK_TABLE_MAX (16 * MIB)
#define REPO_PACK_MAX (64 * MIB) /* no longer file is read as a pack */
int repo_pack_header(struct buf *ret);
int repo_pack_trailer(uint32_t table_len, struct buf *ret);
/* The last PACK_TRAILER_LEN bytes: how long the sealed table before them is. */
int repo_pack_trailer_parse(const uint8_t data[PACK_TRAILER_LEN], uint32_t *ret_table_len);
bool repo_pack_header_valid(const void *data, size_t len);

/* What an index object and a pack's table have for one pack: each blob's place follows from the lengths before it. */
struct repo_table {
	struct repo_blob *v;
	size_t n;
};
void repo_table_free(struct repo_table *t);
int repo_table_parse(struct buf_reader *r, struct repo_table *ret);

/* --- an index object's content --- */

int repo_index_begin(struct buf *ret);
int repo_index_add_pack(struct buf *ret, const struct repo_name *pack, const void *table, size_t table_len);
/* Calls fn for each pack; the table is freed after. */
int repo_index_parse(const void *data, size_t len,
		     int (*fn)(void *arg, const struct repo_name *pack, const struct repo_table *table), void *arg);

/* --- a snapshot record's content --- */

#define REPO_HOST_MAX 64
struct repo_snapshot {
	char volume[VOLUME_NAME_MAX + 1], snapshot[VOLUME_NAME_MAX + 1];
	char host[REPO_HOST_MAX + 1];
	uint8_t store[16]; /* the uuid of the store that it was pushed from */
	int64_t created;   /* the snapshot, ns */
	int64_t pushed;    /* ns */
	int64_t bytes, inodes;
	uint64_t root_ino;
	uint64_t new_bytes; /* that the push stored */
	unsigned level;     /* of the manifest's root node */
	struct repo_name root;
};
int repo_snapshot_encode(const struct repo_snapshot *s, struct buf *ret);
int repo_snapshot_parse(const void *data, size_t len, struct repo_snapshot *ret);

/* --- a quarantine object's content: packs that nothing refers to, and since when --- */

struct repo_quarantine {
	int64_t since; /* ns */
	struct repo_name *packs;
	size_t n;
};
int repo_quarantine_encode(const struct repo_quarantine *q, struct buf *ret);
int repo_quarantine_parse(const void *data, size_t len,
			  struct repo_quarantine *ret); /* packs are the caller's to free */

#endif
